#!lua
-- Makes a loaded generation the current one, and tells the followers of the one before.
--
-- KEYS 1 current, 2 counters of the new generation, 3 stream of the generation before
-- ARGV 1 the new generation, 2 server, 3 number of parts, 4 cluster id, 5 the generation before

local here = server()
if not here then return redis.error_reply(not_master) end
if here ~= ARGV[2] then return redis.error_reply('FIRNCHANGED another server answers than before') end
local current = redis.call('HMGET', KEYS[1], 'generation', 'cluster')
if incarnation(current[1]) >= incarnation(ARGV[1]) then return redis.error_reply('FIRNINCARNATION ' .. current[1] .. ' is open') end
if current[2] and current[2] ~= ARGV[4] then return redis.error_reply('FIRNCLUSTER ' .. current[2]) end
if (current[1] or '') ~= ARGV[5] then return redis.error_reply('FIRNCHANGED ' .. current[1] .. ' was opened meanwhile') end
if (redis.call('HGET', KEYS[2], 'parts') or '0') ~= ARGV[3] then
  return redis.error_reply('FIRNCHANGED parts that were loaded are gone')
end
redis.call('HSET', KEYS[1], 'generation', ARGV[1], 'server', here, 'cluster', ARGV[4])
redis.call('HDEL', KEYS[2], 'parts') -- so that this request opens nothing when it comes a second time, whatever became of the key current
if current[1] then
  redis.call('XADD', KEYS[3], 'MAXLEN', 1, '*', 'closed', '') -- all that is left of it, also for followers that come a little late
  redis.call('EXPIRE', KEYS[3], 60)
end
return 1
