#!lua flags=allow-oom
-- Announces a node, or takes it away: Coordinator.Register. It runs when Redis is full as well: there are few nodes,
-- and one that is not announced any more is taken for dead.
--
-- KEYS 1 current, 2 nodes
-- ARGV 1 generation, 2 id, 3 how long, in microseconds (0: not any more), 4 what there is to know of it

local refused = untrusted()
if refused then return refused end
if ARGV[3] == '0' then return redis.call('HDEL', KEYS[2], ARGV[2]) end
redis.call('HSET', KEYS[2], ARGV[2], struct.pack('>I8', microseconds() + tonumber(ARGV[3])) .. ARGV[4])
return 1
