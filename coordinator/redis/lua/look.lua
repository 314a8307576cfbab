#!lua flags=no-writes
-- Says what is open here, whether it can be trusted, which server this is, and its time.
--
-- KEYS 1 current
-- ARGV 1 not used
-- Returns generation, cluster id (both empty if there is none), 1 if trusted, server, microseconds.

local here = server()
if not here then return redis.error_reply(not_master) end
local current = redis.call('HMGET', KEYS[1], 'generation', 'cluster', 'server')
return {current[1] or '', current[2] or '', current[3] == here and 1 or 0, here, microseconds()}
