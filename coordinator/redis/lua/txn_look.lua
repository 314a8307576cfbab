#!lua flags=no-writes
-- What is decided of a transactional id: Coordinator.TransactionalID, and what its changes and endings depend on.
--
-- KEYS 1 current, 2 ids, 3 the transaction of the producer id that the caller believes the id has, 4 usable, 5 ends, 6 pending, 7 settling, 8 leases
-- ARGV 1 generation, 2 not used, 3 transactional id, 4 a lease, or nothing, 5 its number
-- Returns its fact (empty: none), the time in milliseconds, 1 if the last fence and ending are complete, the partitions in which its transaction is open,
-- 1 if the lease is held.

local refused = untrusted()
if refused then return refused end
local fact = redis.call('HGET', KEYS[2], ARGV[3]) or ''
local t = transaction(KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7])
local complete, open = 1, ''
if t then
  if t.incomplete then complete = 0 end
  if not t.ended then
    table.sort(t.names)
    open = table.concat(t.names)
  end
end
local stored, held = redis.call('HGET', KEYS[8], ARGV[4]), 0
if stored then
  local number, expires = struct.unpack('>I8I8', stored)
  if number == tonumber(ARGV[5]) and microseconds() < expires then held = 1 end
end
return {fact, milliseconds(), complete, open, held}
