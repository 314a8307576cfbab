#!lua flags=allow-oom
-- Gives a lease up: Coordinator.Release.
--
-- KEYS 1 current, 2 leases
-- ARGV 1 generation, 2 name, 3 holder, 4 number
-- Returns 1, or 0 if the caller no longer held it.

local refused = untrusted()
if refused then return refused end
local stored = redis.call('HGET', KEYS[2], ARGV[2])
if not stored then return 0 end
local number, expires = struct.unpack('>I8I8', stored)
if string.sub(stored, 17) ~= ARGV[3] or number ~= tonumber(ARGV[4]) or microseconds() >= expires then return 0 end
return redis.call('HDEL', KEYS[2], ARGV[2])
