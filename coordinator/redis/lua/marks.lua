#!lua flags=no-writes
-- The ends of partitions' confirmed prefixes.
--
-- KEYS 1 current, 2 usable, 3 ends
-- ARGV 1 generation, 2 the names of the partitions
-- Returns a number for each, -1 where commits may not use it.

local refused = untrusted()
if refused then return refused end

local names = {}
for at = 1, #ARGV[2], 20 do names[#names + 1] = string.sub(ARGV[2], at, at + 19) end
local marks = high_watermarks(names, KEYS[2], KEYS[3])
for i, mark in ipairs(marks) do marks[i] = mark or -1 end
return marks
