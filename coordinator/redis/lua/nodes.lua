#!lua flags=allow-oom
-- Returns what there is to know of each live node, and forgets the others: Coordinator.Nodes.
--
-- KEYS 1 current, 2 nodes
-- ARGV 1 generation

local refused = untrusted()
if refused then return refused end
local now, all, live = microseconds(), redis.call('HGETALL', KEYS[2]), {}
for i = 1, #all, 2 do
  if now < struct.unpack('>I8', all[i + 1]) then
    live[#live + 1] = string.sub(all[i + 1], 9)
  else
    redis.call('HDEL', KEYS[2], all[i])
  end
end
return live
