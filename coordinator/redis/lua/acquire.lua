#!lua flags=allow-oom
-- Takes or renews a lease: Coordinator.Acquire. It runs when Redis is full as well: there are few leases,
-- and without them groups are served by nobody, and nothing is tidied up.
--
-- KEYS 1 current, 2 counters, 3 leases
-- ARGV 1 generation, 2 name, 3 holder, 4 how long, in microseconds
-- Returns 1 if it is the caller's, holder, number (the lower half of the epoch), microseconds left.
-- A lease is stored as number (8 bytes), end (8), holder.

local refused = untrusted()
if refused then return refused end
local now, stored = microseconds(), redis.call('HGET', KEYS[3], ARGV[2])
local number, holder = nil, nil
if stored then
  local expires
  number, expires = struct.unpack('>I8I8', stored)
  holder = string.sub(stored, 17)
  if holder ~= ARGV[3] and now < expires then return {0, holder, number, expires - now} end
end
if holder ~= ARGV[3] then number = redis.call('HINCRBY', KEYS[2], 'lease', 1) end
redis.call('HSET', KEYS[3], ARGV[2], struct.pack('>I8I8', number, now + tonumber(ARGV[4])) .. ARGV[3])
return {1, ARGV[3], number, tonumber(ARGV[4])}
