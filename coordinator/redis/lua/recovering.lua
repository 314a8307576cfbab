#!lua flags=allow-oom
-- Says that a recovery lives, and which does: Coordinator.AnnounceRecovery, AnnouncedRecovery. It runs when Redis is
-- full as well, and whatever is open.
--
-- KEYS 1 recovering: a hash of incarnation and until, in microseconds
-- ARGV 1 not used, 2 incarnation, 3 for how long, in microseconds (0: it only asks)
-- Returns the newest incarnation of which that is said, 0 if there is none.

if not server() then return redis.error_reply(not_master) end
local said, now = redis.call('HMGET', KEYS[1], 'incarnation', 'until'), microseconds()
local newest = (said[2] and now < tonumber(said[2])) and tonumber(said[1]) or 0
if ARGV[3] == '0' or newest > tonumber(ARGV[2]) then return newest end
redis.call('HSET', KEYS[1], 'incarnation', ARGV[2], 'until', string.format('%.0f', now + tonumber(ARGV[3])))
redis.call('EXPIRE', KEYS[1], math.ceil(tonumber(ARGV[3]) / 1000000))
return tonumber(ARGV[2])
