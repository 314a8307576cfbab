#!lua flags=no-writes
-- Where a request was written.
--
-- KEYS 1 current, 2… the slots of requests of each partition
-- ARGV 1 generation, 2 request, 3 for how long requests are remembered
-- Returns, for each slot that has it, the slot's number from 0 on and what commit.lua keeps of the request.

local refused = untrusted()
if refused then return refused end
local found, since = {}, milliseconds() - tonumber(ARGV[3])
for i = 2, #KEYS do
  local state = redis.call('HGET', KEYS[i], ARGV[2])
  if state and struct.unpack('>I8', state, 17) >= since then
    found[#found + 1], found[#found + 2] = i - 2, state
  end
end
return found
