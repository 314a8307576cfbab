#!lua
-- Decides a change of anything but records: Coordinator.Propose. Everything is checked before anything is written.
-- Of these changes deletions alone are made when Redis is full as well: script.go, deleteScript.
--
-- KEYS 1 current, 2 counters, 3 usable, 4 ends, 5 starts, 6 stream, 7 pending, 8 order, 9 what is remembered of this change, 10 topics, 11 names, 12 settling,
--      13 merges, 14 leases
-- ARGV 1 generation, 2 not used, 3 how long the change is remembered (s), 4 kind, 5 fact, and by kind:
--      create, delete, alter: 6 topic, 7 the fact that it replaces, 8 name, 9 partitions. What there is of a deleted topic's partitions the caller removes
--      start: 6 a list of partition (20 bytes) and offset (8)
--      ids: 6 how many; the fact is then the end, in decimal
--      settings: 6 the rest of the fact, behind version and time
--      merge: 6 partition (20 bytes) and last offset (8), 7 lease, 8 its number (the lower half of its epoch), 9 version of the newest merge that the caller knows,
--      10 time of the merged segment (ms; empty if there is none), 11 how old and 12 how young it may be (ms), 13 time of the youngest segment that gives way (ms),
--      14 how old it has to be (ms)
-- Returns {'decided', entry}, {'changed'} if the topic or the name is not what the caller thought, {'partition', which} or {'range', which, end}; of a
-- merge also {'lease'}, {'old', age}, {'young', age} or {'merged'}.

local refused = untrusted()
if refused then return refused end

local before = redis.call('HGET', KEYS[9], 'entry')
if before then return {'decided', before} end

local kind, fact = ARGV[4], ARGV[5]
local names = {} -- of the partitions whose logs start further up
local awaited = '' -- what confirm.lua has to know of it

-- refused_merge returns why a merge cannot be decided, or nil.
local function refused_merge()
  local stored, now = redis.call('HGET', KEYS[14], ARGV[7]), microseconds()
  if not stored then return {'lease'} end
  local number, expires = struct.unpack('>I8I8', stored)
  if number ~= tonumber(ARGV[8]) or now >= expires then return {'lease'} end
  if ARGV[10] ~= '' then
    local age = math.floor(now / 1000) - tonumber(ARGV[10])
    if age > tonumber(ARGV[11]) or age < -tonumber(ARGV[12]) then return {'old', age} end
  end
  local age = math.floor(now / 1000) - tonumber(ARGV[13])
  if age <= tonumber(ARGV[14]) then return {'young', age} end
  local name, last = string.sub(ARGV[6], 1, 20), struct.unpack('>I8', ARGV[6], 21)
  local finish = high_watermarks({name}, KEYS[3], KEYS[4])[1]
  if not finish then return {'partition', 0} end
  if last >= finish then return {'range', 0, decimal(finish)} end
  if (redis.call('HGET', KEYS[13], name) or '0') ~= ARGV[9] then return {'merged'} end -- also while one awaits its confirmation: its entry is noted behind the version
  awaited = 'M' .. name
end

if kind == 'merge' then
  local why = refused_merge()
  if why then return why end
elseif kind == 'start' then
  for at = 1, #ARGV[6], 28 do names[#names + 1] = string.sub(ARGV[6], at, at + 19) end
  for i, finish in ipairs(high_watermarks(names, KEYS[3], KEYS[4])) do
    local offset = struct.unpack('>I8', ARGV[6], i * 28 - 7)
    if not finish then return {'partition', i - 1} end
    if offset < 0 or offset > finish then return {'range', i - 1, decimal(finish)} end
  end
elseif kind ~= 'ids' and kind ~= 'settings' then
  if (redis.call('HGET', KEYS[10], ARGV[6]) or '') ~= ARGV[7] then return {'changed'} end
  if kind == 'create' and redis.call('HEXISTS', KEYS[11], ARGV[8]) + redis.call('HEXISTS', KEYS[12], ARGV[8]) > 0 then return {'changed'} end
end

-- From here on it is written.
local seq = decimal(redis.call('HINCRBY', KEYS[2], 'seq', 1))
if kind == 'start' then
  for from = 1, #names, AT_ONCE do
    local to, moved = math.min(from + AT_ONCE - 1, #names), {}
    for i, start in ipairs(redis.call('HMGET', KEYS[5], unpack(names, from, to))) do
      local offset = struct.unpack('>I8', ARGV[6], (from + i - 1) * 28 - 7)
      if offset > tonumber(start or '0') then moved[#moved + 1], moved[#moved + 2] = names[from + i - 1], decimal(offset) end
    end
    if #moved > 0 then redis.call('HSET', KEYS[5], unpack(moved)) end
  end
elseif kind == 'ids' then
  fact = decimal(redis.call('HINCRBY', KEYS[2], 'producer_ids', ARGV[6]))
elseif kind == 'settings' then
  local version = redis.call('HINCRBY', KEYS[2], 'settings_version', 1)
  fact = fact .. struct.pack('>I8I8', version, milliseconds()) .. ARGV[6]
elseif kind == 'merge' then
  redis.call('HSET', KEYS[13], string.sub(ARGV[6], 1, 20), decimal(tonumber(ARGV[9]) + 1) .. ' ' .. seq)
elseif kind == 'delete' then
  redis.call('HSET', KEYS[3], ARGV[6], '-1')
  redis.call('HSET', KEYS[10], ARGV[6], fact)
  redis.call('HDEL', KEYS[11], ARGV[8])
  redis.call('HSET', KEYS[12], ARGV[8], seq, '\0' .. ARGV[6], seq)
  awaited = 'D' .. ARGV[6] .. ARGV[8]
else
  redis.call('HSET', KEYS[10], ARGV[6], fact)
  redis.call('HSET', KEYS[11], ARGV[8], ARGV[6])
  awaited = 'T' .. ARGV[6] .. struct.pack('>I4', tonumber(ARGV[9]))
end

local field = kind == 'ids' and 'ids' or 'fact'
append(KEYS[2], KEYS[6], seq, field, fact)
redis.call('HSET', KEYS[7], seq, awaited)
redis.call('ZADD', KEYS[8], seq, seq)
local entry = struct.pack('>I8', tonumber(seq)) .. string.sub(field, 1, 1) .. fact
redis.call('HSET', KEYS[9], 'entry', entry)
redis.call('EXPIRE', KEYS[9], ARGV[3])
return {'decided', entry}
