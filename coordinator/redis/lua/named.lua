#!lua flags=no-writes
-- The live topic of a name.
--
-- KEYS 1 current, 2 names, 3 topics, 4 usable
-- ARGV 1 generation, 2 name
-- Returns the topic's fact (empty: none), and how many partitions commits may use.

local refused = untrusted()
if refused then return refused end
local id = redis.call('HGET', KEYS[2], ARGV[2])
if not id then return {'', 0} end
return {redis.call('HGET', KEYS[3], id) or '', tonumber(redis.call('HGET', KEYS[4], id) or '0')}
