#!lua flags=allow-oom
-- Says that facts are in the journal, and forgets what has had its time. It runs when Redis is full as well, because it makes room.
--
-- KEYS 1 current, 2 counters, 3 usable, 4 settling, 5 stream, 6 pending, 7 order, 8 commits, 9 commit times, 10 changes, 11 change times
-- ARGV 1 generation, 2 how many entries the stream keeps, 3… numbers of facts

local refused = untrusted()
if refused then return refused end

-- A topic's partitions are usable, and a deleted one's name is free, once that is confirmed. A deleted topic has -1 usable partitions for ever.
local function confirmed(seq, fact)
  local kind, topic = string.sub(fact, 1, 1), string.sub(fact, 2, 17)
  if kind == 'T' then
    local usable, partitions = tonumber(redis.call('HGET', KEYS[3], topic) or '0'), struct.unpack('>I4', fact, 18)
    if usable >= 0 and usable < partitions then redis.call('HSET', KEYS[3], topic, decimal(partitions)) end
  elseif kind == 'D' then
    local name = string.sub(fact, 18)
    if redis.call('HGET', KEYS[4], name) == seq then redis.call('HDEL', KEYS[4], name) end
  end
end

local seqs = {}
for i = 3, #ARGV do
  local fact = redis.call('HGET', KEYS[6], ARGV[i])
  if fact then
    redis.call('HDEL', KEYS[6], ARGV[i])
    redis.call('ZREM', KEYS[7], ARGV[i])
    confirmed(ARGV[i], fact)
    seqs[#seqs + 1] = ARGV[i]
  end
end

if #seqs > 0 then
  local last = redis.call('HINCRBY', KEYS[2], 'seq', 1)
  redis.call('XADD', KEYS[5], decimal(last) .. '-0', 'confirmed', table.concat(seqs, ','))
  local oldest = redis.call('ZRANGE', KEYS[7], 0, 0)[1]
  local keep = math.min(oldest and tonumber(oldest) or last, last - tonumber(ARGV[2]) + 1)
  if keep > 1 then redis.call('XTRIM', KEYS[5], 'MINID', '~', decimal(keep) .. '-0') end
end

local function forget(answers, times)
  local over = redis.call('ZRANGEBYSCORE', times, '-inf', '(' .. decimal(milliseconds()), 'LIMIT', 0, 200)
  for _, id in ipairs(over) do redis.call('HDEL', answers, id) end
  if #over > 0 then redis.call('ZREM', times, unpack(over)) end
end
forget(KEYS[8], KEYS[9])
forget(KEYS[10], KEYS[11])
return #seqs
