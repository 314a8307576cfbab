#!lua
-- Decides a change of anything but records: Coordinator.Propose. Everything is checked before anything is written.
--
-- KEYS 1 current, 2 counters, 3 usable, 4 ends, 5 starts, 6 stream, 7 pending, 8 order, 9 changes, 10 change times, 11 topics, 12 names,
--      13 settling, 14 merges, 15 leases, 16… producers and keyed requests of the partitions of a topic that is deleted
-- ARGV 1 generation, 2 id of the change, 3 how long it is remembered (ms), 4 kind, 5 fact, and by kind:
--      create, delete, alter: 6 topic, 7 the fact that it replaces, 8 name, 9 partitions
--      start: 6 a list of partition (20 bytes) and offset (8)
--      ids: 6 how many; the fact is then the end, in decimal
--      merge: 6 partition (20 bytes) and last offset (8), 7 lease, 8 its number (the lower half of its epoch), 9 version of the newest merge that the caller knows,
--      10 time of the merged segment (ms; empty if there is none), 11 how old and 12 how young it may be (ms)
-- Returns {'decided', entry}, {'changed'} if the topic or the name is not what the caller thought, {'partition', which} or {'range', which, end}; of a
-- merge also {'lease'}, {'old', age} or {'merged'}.

local refused = untrusted()
if refused then return refused end

local before = redis.call('HGET', KEYS[9], ARGV[2])
if before then return {'decided', before} end

local kind, fact = ARGV[4], ARGV[5]
local awaited = '' -- what confirm.lua has to know of it

-- high_watermark is the end of a partition's confirmed prefix, false if commits cannot use the partition.
local function high_watermark(name)
  local usable = tonumber(redis.call('HGET', KEYS[3], string.sub(name, 1, 16)) or '0')
  if struct.unpack('>I4', name, 17) >= usable then return false end
  local finish = tonumber(redis.call('HGET', KEYS[4], name) or '0')
  for _, waiting in ipairs(redis.call('HVALS', KEYS[7])) do
    if string.sub(waiting, 1, 1) == 'C' then
      for at = 2, #waiting, 28 do
        if string.sub(waiting, at, at + 19) == name then finish = math.min(finish, (struct.unpack('>I8', waiting, at + 20))) end
      end
    end
  end
  return finish
end

-- merging says whether a merge of the partition awaits its confirmation.
local function merging(name)
  for _, waiting in ipairs(redis.call('HVALS', KEYS[7])) do
    if waiting == 'M' .. name then return true end
  end
  return false
end

-- refused_merge returns why a merge cannot be decided, or nil.
local function refused_merge()
  local stored, now = redis.call('HGET', KEYS[15], ARGV[7]), microseconds()
  if not stored then return {'lease'} end
  local number, expires = struct.unpack('>I8I8', stored)
  if number ~= tonumber(ARGV[8]) or now >= expires then return {'lease'} end
  if ARGV[10] ~= '' then
    local age = math.floor(now / 1000) - tonumber(ARGV[10])
    if age > tonumber(ARGV[11]) or age < -tonumber(ARGV[12]) then return {'old', age} end
  end
  local name, last = string.sub(ARGV[6], 1, 20), struct.unpack('>I8', ARGV[6], 21)
  local finish = high_watermark(name)
  if not finish then return {'partition', 0} end
  if last >= finish then return {'range', 0, decimal(finish)} end
  if (redis.call('HGET', KEYS[14], name) or '0') ~= ARGV[9] or merging(name) then return {'merged'} end
  awaited = 'M' .. name
end

if kind == 'merge' then
  local why = refused_merge()
  if why then return why end
elseif kind == 'start' then
  for at = 1, #ARGV[6], 28 do
    local finish, offset = high_watermark(string.sub(ARGV[6], at, at + 19)), struct.unpack('>I8', ARGV[6], at + 20)
    if not finish then return {'partition', (at - 1) / 28} end
    if offset < 0 or offset > finish then return {'range', (at - 1) / 28, decimal(finish)} end
  end
elseif kind ~= 'ids' then
  if (redis.call('HGET', KEYS[11], ARGV[6]) or '') ~= ARGV[7] then return {'changed'} end
  if kind == 'create' and redis.call('HEXISTS', KEYS[12], ARGV[8]) + redis.call('HEXISTS', KEYS[13], ARGV[8]) > 0 then return {'changed'} end
end

-- From here on it is written.
local seq = decimal(redis.call('HINCRBY', KEYS[2], 'seq', 1))
if kind == 'start' then
  for at = 1, #ARGV[6], 28 do
    local name, offset = string.sub(ARGV[6], at, at + 19), struct.unpack('>I8', ARGV[6], at + 20)
    if offset > tonumber(redis.call('HGET', KEYS[5], name) or '0') then redis.call('HSET', KEYS[5], name, decimal(offset)) end
  end
elseif kind == 'ids' then
  fact = decimal(redis.call('HINCRBY', KEYS[2], 'producer_ids', ARGV[6]))
elseif kind == 'merge' then
  redis.call('HINCRBY', KEYS[14], string.sub(ARGV[6], 1, 20), 1)
elseif kind == 'delete' then
  for index = 0, tonumber(ARGV[9]) - 1 do
    local name = ARGV[6] .. struct.pack('>I4', index)
    redis.call('HDEL', KEYS[4], name)
    redis.call('HDEL', KEYS[5], name)
    redis.call('HDEL', KEYS[14], name)
  end
  for i = 16, #KEYS do redis.call('UNLINK', KEYS[i]) end
  redis.call('HSET', KEYS[3], ARGV[6], '-1')
  redis.call('HSET', KEYS[11], ARGV[6], fact)
  redis.call('HDEL', KEYS[12], ARGV[8])
  redis.call('HSET', KEYS[13], ARGV[8], seq)
  awaited = 'D' .. ARGV[6] .. ARGV[8]
else
  redis.call('HSET', KEYS[11], ARGV[6], fact)
  redis.call('HSET', KEYS[12], ARGV[8], ARGV[6])
  awaited = 'T' .. ARGV[6] .. struct.pack('>I4', tonumber(ARGV[9]))
end

local field = kind == 'ids' and 'ids' or 'fact'
redis.call('XADD', KEYS[6], seq .. '-0', field, fact)
redis.call('HSET', KEYS[7], seq, awaited)
redis.call('ZADD', KEYS[8], seq, seq)
local entry = struct.pack('>I8', tonumber(seq)) .. string.sub(field, 1, 1) .. fact
redis.call('HSET', KEYS[9], ARGV[2], entry)
redis.call('ZADD', KEYS[10], milliseconds() + tonumber(ARGV[3]), ARGV[2])
return {'decided', entry}
