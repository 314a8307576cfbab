#!lua flags=no-writes
-- The time by this server's clock, in microseconds.
--
-- KEYS 1 current
-- ARGV 1 generation

local refused = untrusted()
if refused then return refused end
return microseconds()
