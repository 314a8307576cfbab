#!lua
-- Loads one part of the state of a generation that is not open yet. Every part checks that it comes to the server to which the parts before it
-- came, and that those are still there: so that a half can never be taken for the whole.
--
-- KEYS 1 current, 2 counters of the new generation, 3 the key that this part belongs to, 4 generations
-- ARGV 1 the new generation, 2 server, 3 number of this part, 4 command, 5… its arguments

local here = server()
if not here then return redis.error_reply(not_master) end
if here ~= ARGV[2] then return redis.error_reply('FIRNCHANGED another server answers than before') end
if incarnation(redis.call('HGET', KEYS[1], 'generation')) >= incarnation(ARGV[1]) then
  return redis.error_reply('FIRNINCARNATION a later one is open')
end
if (redis.call('HGET', KEYS[2], 'parts') or '0') ~= ARGV[3] then
  return redis.error_reply('FIRNCHANGED parts that were loaded are gone, or came twice')
end
if ARGV[3] == '0' then redis.call('ZADD', KEYS[4], milliseconds(), ARGV[1]) end
redis.call('HINCRBY', KEYS[2], 'parts', 1)
return redis.call(ARGV[4], KEYS[3], unpack(ARGV, 5))
