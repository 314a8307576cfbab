#!lua flags=no-writes
-- What a topic knows of requests.
--
-- KEYS 1 current, 2… the topic's slots of requests
-- ARGV 1 generation, 2 the requests (16 bytes each), 3 for how long they are remembered
-- Returns, for each request, what commit.lua keeps of it, or an empty string.

local refused = untrusted()
if refused then return refused end
local ids, found, since = {}, {}, milliseconds() - tonumber(ARGV[3])
for at = 1, #ARGV[2], 16 do
  ids[#ids + 1] = string.sub(ARGV[2], at, at + 15)
  found[#ids] = ''
end
for i = 2, #KEYS do
  for n, state in ipairs(redis.call('HMGET', KEYS[i], unpack(ids))) do
    if state and struct.unpack('>I8', state, 17) >= since then found[n] = state end
  end
end
return found
