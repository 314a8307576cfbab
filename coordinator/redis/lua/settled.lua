#!lua flags=no-writes
-- The number up to which every fact is confirmed.
--
-- KEYS 1 current, 2 counters, 3 order
-- ARGV 1 generation

local refused = untrusted()
if refused then return refused end
local oldest = redis.call('ZRANGE', KEYS[3], 0, 0)[1]
if oldest then return tonumber(oldest) - 1 end
return tonumber(redis.call('HGET', KEYS[2], 'seq') or '0')
