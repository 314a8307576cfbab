#!lua flags=allow-oom
-- Says that facts are in the journal. It runs when Redis is full as well, because it makes room.
--
-- KEYS 1 current, 2 counters, 3 usable, 4 settling, 5 stream, 6 pending, 7 order, 8 ends, 9 merges, 10 islands
-- ARGV 1 generation, 2 how many partitions this call may look at, 3… numbers of facts
-- Returns of how many of these facts it has taken care: the caller calls again with the others. A commit of more partitions than that is confirmed in several
-- steps; it is in the journal, so each of its partitions may show it.
--
-- What `pending` has of a fact is 'C' and name (20 bytes), first and next offset (8, 8) of each partition that got records; 'M' and the partition that was merged;
-- 'T', a topic's id (16) and partitions (4); 'D', a deleted one's id and name; or nothing. `islands` has confirmed ranges beyond something that
-- is not, each twice: by its first offset and by the next after it, so that what joins them finds both. Ranges that touch are one.

local refused = untrusted()
if refused then return refused end

local left = tonumber(ARGV[2])
local RANGE = 36 -- bytes of a partition in a pending commit

-- join_islands returns the end of the confirmed range that begins at `first`, which ends at `next` or, if an island begins there, at that one's end.
local function join_islands(name, next)
  local field = 'F' .. name .. struct.pack('>I8', next)
  local beyond = redis.call('HGET', KEYS[10], field)
  if not beyond then return next end
  redis.call('HDEL', KEYS[10], field, 'N' .. name .. beyond)
  return (struct.unpack('>I8', beyond))
end

-- add_island notes a range beyond something that is not confirmed.
local function add_island(name, first, next)
  next = join_islands(name, next)
  local field = 'N' .. name .. struct.pack('>I8', first)
  local before = redis.call('HGET', KEYS[10], field)
  if before then
    redis.call('HDEL', KEYS[10], field)
    first = struct.unpack('>I8', before)
  end
  local from, to = struct.pack('>I8', first), struct.pack('>I8', next)
  redis.call('HSET', KEYS[10], 'F' .. name .. from, to, 'N' .. name .. to, from)
end

-- confirm_ranges moves the confirmed prefixes of partitions.
local function confirm_ranges(ranges)
  local names, ends = {}, {}
  for at = 1, #ranges, RANGE do names[#names + 1] = string.sub(ranges, at, at + 19) end
  local islands = redis.call('HLEN', KEYS[10]) > 0
  for i, value in ipairs(redis.call('HMGET', KEYS[8], unpack(names))) do
    local name, first, next = struct.unpack('>c20I8I8', ranges, (i - 1) * RANGE + 1)
    local finish, confirmed = read_end(value)
    if not value then -- the topic was deleted meanwhile
      if islands then join_islands(name, next) end
    elseif confirmed == first then
      if islands and next < finish then next = join_islands(name, next) end
      ends[#ends + 1], ends[#ends + 2] = name, write_end(finish, next)
    elseif confirmed < first then
      add_island(name, first, next)
      islands = true
    end
  end
  if #ends > 0 then redis.call('HSET', KEYS[8], unpack(ends)) end
end

-- commit_confirmed confirms as much of a commit as this call may, and says whether that is all.
local function commit_confirmed(seq, fact)
  local at = 2
  while at <= #fact and left > 0 do
    local count = math.min((#fact - at + 1) / RANGE, left, AT_ONCE)
    confirm_ranges(string.sub(fact, at, at + count * RANGE - 1))
    at, left = at + count * RANGE, left - count
  end
  if at > #fact then return true end
  redis.call('HSET', KEYS[6], seq, 'C' .. string.sub(fact, at))
  return false
end

-- A topic's partitions are usable, and a deleted one's name is free, once that is confirmed. A deleted topic has -1 usable partitions for ever.
local function confirmed(seq, fact)
  local kind, topic = string.sub(fact, 1, 1), string.sub(fact, 2, 17)
  if kind == 'C' then return commit_confirmed(seq, fact) end
  left = left - 1
  if kind == 'T' then
    local usable, partitions = tonumber(redis.call('HGET', KEYS[3], topic) or '0'), struct.unpack('>I4', fact, 18)
    if usable >= 0 and usable < partitions then redis.call('HSET', KEYS[3], topic, decimal(partitions)) end
  elseif kind == 'D' then
    local name = string.sub(fact, 18)
    if redis.call('HGET', KEYS[4], name) == seq then redis.call('HDEL', KEYS[4], name) end
    redis.call('HDEL', KEYS[4], '\0' .. topic)
  elseif kind == 'M' then
    local name = string.sub(fact, 2)
    local version, merge = string.match(redis.call('HGET', KEYS[9], name) or '', '^(%d+) (%d+)$')
    if merge == seq then redis.call('HSET', KEYS[9], name, version) end
  end
  return true
end

local seqs, done = {}, 0
for i = 3, #ARGV do
  if left <= 0 then break end
  local fact = redis.call('HGET', KEYS[6], ARGV[i])
  if fact then
    if not confirmed(ARGV[i], fact) then break end
    redis.call('HDEL', KEYS[6], ARGV[i])
    redis.call('ZREM', KEYS[7], ARGV[i])
    seqs[#seqs + 1] = ARGV[i]
  else
    left = left - 1
  end
  done = done + 1
end

if #seqs > 0 then
  local last = redis.call('HINCRBY', KEYS[2], 'seq', 1)
  append(KEYS[2], KEYS[5], decimal(last), 'confirmed', table.concat(seqs, ','))
  local noted = tonumber(redis.call('HGET', KEYS[2], 'stream_noted') or '0')
  local keep = noted > NOTES and redis.call('HGET', KEYS[2], 'note' .. (noted + 1) % (NOTES + 1))
  if keep then
    local oldest = redis.call('ZRANGE', KEYS[7], 0, 0)[1]
    keep = math.min(tonumber(keep), tonumber(oldest or keep))
    redis.call('XTRIM', KEYS[5], 'MINID', '~', decimal(keep) .. '-0', 'LIMIT', 1000)
  end
end
return done
