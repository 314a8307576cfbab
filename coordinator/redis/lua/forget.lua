#!lua flags=allow-oom
-- Forgets producers that have been silent for too long, of some partitions: of each a few, drawn at random, as Redis itself expires keys.
--
-- KEYS 1 current, 2… producers
-- ARGV 1 generation, 2 how long (ms), 3 how many of each
-- Returns how many were forgotten.

local refused = untrusted()
if refused then return refused end
local silent, forgotten = milliseconds() - tonumber(ARGV[2]), 0
for i = 2, #KEYS do
  local drawn = redis.call('HRANDFIELD', KEYS[i], ARGV[3], 'WITHVALUES')
  for j = 2, #drawn, 2 do
    if struct.unpack('>I8', drawn[j], 3) < silent then forgotten = forgotten + redis.call('HDEL', KEYS[i], drawn[j - 1]) end
  end
end
return forgotten
