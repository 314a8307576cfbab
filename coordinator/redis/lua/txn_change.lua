#!lua
-- Decides a change of a transactional id: Coordinator.Propose of a fence, an addition, offsets that are staged, or that it is forgotten. The caller has
-- worked out what it becomes; that takes effect if the id is still what it was. Everything is checked before anything is written.
--
-- KEYS 1 current, 2 counters, 3 ids, 4 writers, 5 the transaction of the present producer id, 6 that of the next, 7 usable, 8 ends, 9 stream,
--      10 pending, 11 order, 12 settling, 13 leases
-- ARGV 1 generation, 2 lease (empty: none is needed), 3 its number (the lower half of its epoch), 4 transactional id, 5 its fact as the caller knows it,
--      6 whether the caller takes a transaction for open (0 or 1), 7 the fact up to its version, 8 the rest behind its time, 9 kind: fence, change or
--      forget, 10 the present producer id, 11 the next (8 bytes each), 12 the next writer, 13 the partitions that were added, 14 the highest version of
--      staged offsets
-- Returns {number, fact}, or {'lease'}, {'changed'}, {'incomplete'}.

local refused = untrusted()
if refused then return refused end
if ARGV[2] ~= '' then
  local stored = redis.call('HGET', KEYS[13], ARGV[2])
  if not stored then return {'lease'} end
  local number, expires = struct.unpack('>I8I8', stored)
  if number ~= tonumber(ARGV[3]) or microseconds() >= expires then return {'lease'} end
end
if (redis.call('HGET', KEYS[3], ARGV[4]) or '') ~= ARGV[5] then return {'changed'} end
local t = transaction(KEYS[5], KEYS[7], KEYS[8], KEYS[10], KEYS[12])
if t and t.incomplete then return {'incomplete'} end
local open = t and not t.ended and t.count > 0
if open ~= (ARGV[6] == '1') and (open or ARGV[6] == '1') then return {'changed'} end

-- From here on it is written.
if t then clear(t) end
local version = redis.call('HINCRBY', KEYS[2], 'txns_version', 1)
local fact = ARGV[7] .. struct.pack('>I8I8', version, milliseconds()) .. ARGV[8]
local seq = decimal(redis.call('HINCRBY', KEYS[2], 'seq', 1))
redis.call('HSET', KEYS[3], ARGV[4], fact)
if ARGV[9] == 'forget' or ARGV[10] ~= ARGV[11] then
  redis.call('UNLINK', KEYS[5])
  redis.call('HDEL', KEYS[4], ARGV[10])
end
if ARGV[9] ~= 'forget' then
  redis.call('HSET', KEYS[4], ARGV[11], ARGV[4])
  redis.call('HSET', KEYS[6], 'writer', ARGV[12], 'added', ARGV[13])
  if ARGV[9] == 'fence' then redis.call('HSET', KEYS[6], 'awaits', seq) end
end
local highest = tonumber(redis.call('HGET', KEYS[2], 'offsets_version') or '0')
if tonumber(ARGV[14]) > highest then redis.call('HSET', KEYS[2], 'offsets_version', ARGV[14]) end
append(KEYS[2], KEYS[9], seq, 'fact', fact)
redis.call('HSET', KEYS[10], seq, '')
redis.call('ZADD', KEYS[11], seq, seq)
return {seq, fact}
