#!lua
-- Decides what a consumer group has committed, under a lease: Coordinator.Propose of offsets.
--
-- KEYS 1 current, 2 counters, 3 leases, 4 stream, 5 pending, 6 order
-- ARGV 1 generation, 2 lease, 3 its number (the lower half of its epoch), 4 the fact, without version and time, 5 its version;
--      0: one that is higher than all so far
-- Returns {number, version, milliseconds}, or {} if the lease is not held.

local refused = untrusted()
if refused then return refused end
local stored = redis.call('HGET', KEYS[3], ARGV[2])
if not stored then return {} end
local number, expires = struct.unpack('>I8I8', stored)
local now = microseconds()
if number ~= tonumber(ARGV[3]) or now >= expires then return {} end
now = math.floor(now / 1000)

local version, highest = tonumber(ARGV[5]), tonumber(redis.call('HGET', KEYS[2], 'offsets_version') or '0')
if version == 0 then version = highest + 1 end

-- From here on it is written.
if version > highest then redis.call('HSET', KEYS[2], 'offsets_version', decimal(version)) end
local seq = decimal(redis.call('HINCRBY', KEYS[2], 'seq', 1))
append(KEYS[2], KEYS[4], seq, 'offsets', struct.pack('>I8I8', version, now) .. ARGV[4])
redis.call('HSET', KEYS[5], seq, '')
redis.call('ZADD', KEYS[6], seq, seq)
return {tonumber(seq), version, now}
