#!lua flags=no-writes
-- The number of the newest entry of the commit stream.
--
-- KEYS 1 current, 2 counters
-- ARGV 1 generation

local refused = untrusted()
if refused then return refused end
return tonumber(redis.call('HGET', KEYS[2], 'seq') or '0')
