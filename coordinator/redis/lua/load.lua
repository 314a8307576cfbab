#!lua
-- Loads one part of the state of a generation that is not open yet. Every part checks that it comes to the server to which the parts before it
-- came, and that those are still there: so that a half can never be taken for the whole.
--
-- KEYS 1 current, 2 counters of the new generation, 3 generations, 4… the keys that this part loads
-- ARGV 1 the new generation, 2 server, 3 number of this part, 4… for each key: command, how many arguments, the arguments

local here = server()
if not here then return redis.error_reply(not_master) end
if here ~= ARGV[2] then return redis.error_reply('FIRNCHANGED another server answers than before') end
if incarnation(redis.call('HGET', KEYS[1], 'generation')) >= incarnation(ARGV[1]) then
  return redis.error_reply('FIRNINCARNATION a later one is open')
end
if (redis.call('HGET', KEYS[2], 'parts') or '0') ~= ARGV[3] then
  return redis.error_reply('FIRNCHANGED parts that were loaded are gone, or came twice')
end
if ARGV[3] == '0' then redis.call('ZADD', KEYS[3], milliseconds(), ARGV[1]) end
redis.call('HINCRBY', KEYS[2], 'parts', 1)
local at = 4
for i = 4, #KEYS do
  local count = tonumber(ARGV[at + 1])
  redis.call(ARGV[at], KEYS[i], unpack(ARGV, at + 2, at + 1 + count))
  at = at + 2 + count
end
return 1
