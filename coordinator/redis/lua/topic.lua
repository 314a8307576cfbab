#!lua flags=no-writes
-- What a change of a topic depends on.
--
-- KEYS 1 current, 2 what is remembered of the change, 3 topics, 4 names, 5 settling
-- ARGV 1 generation, 2 not used, 3 topic, 4 name
-- Returns the entry that the change became before (empty: none), the topic's fact (empty: none), 1 if the name is taken.

local refused = untrusted()
if refused then return refused end
local taken = redis.call('HEXISTS', KEYS[4], ARGV[4]) + redis.call('HEXISTS', KEYS[5], ARGV[4])
return {redis.call('HGET', KEYS[2], 'entry') or '', redis.call('HGET', KEYS[3], ARGV[3]) or '', taken}
