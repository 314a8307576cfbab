#!lua flags=no-writes
-- The ends of partitions' confirmed prefixes.
--
-- KEYS 1 current, 2 usable, 3 ends, 4 pending
-- ARGV 1 generation, 2 the names of the partitions
-- Returns a number for each, -1 where commits may not use it.

local refused = untrusted()
if refused then return refused end

local ends = {}
for at = 1, #ARGV[2], 20 do
  local name = string.sub(ARGV[2], at, at + 19)
  local usable = tonumber(redis.call('HGET', KEYS[2], string.sub(name, 1, 16)) or '0')
  ends[name] = struct.unpack('>I4', name, 17) < usable and tonumber(redis.call('HGET', KEYS[3], name) or '0') or -1
end
for _, waiting in ipairs(redis.call('HVALS', KEYS[4])) do
  if string.sub(waiting, 1, 1) == 'C' then
    for at = 2, #waiting, 28 do
      local name = string.sub(waiting, at, at + 19)
      if ends[name] then ends[name] = math.min(ends[name], (struct.unpack('>I8', waiting, at + 20))) end
    end
  end
end

local marks = {}
for at = 1, #ARGV[2], 20 do marks[#marks + 1] = ends[string.sub(ARGV[2], at, at + 19)] end
return marks
