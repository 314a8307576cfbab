-- What stands before every script. KEYS[1] is the shard's key `current`; ARGV[1] the generation that the caller believes in.

-- server tells this server, in its present role, from any other: run_id changes when the process does, master_replid when it has been a
-- replica in between, or lost the history that it shares with its replicas. It is nil if this is not a master.
local function server()
  local info = redis.call('INFO', 'server', 'replication')
  if not string.find(info, 'role:master', 1, true) then return nil end
  return string.match(info, 'run_id:(%x+)') .. string.match(info, 'master_replid:(%x+)')
end

local not_master = 'READONLY this server is a replica'

-- untrusted returns an error reply unless what this server holds was opened on it, as the caller's generation, and nothing has happened to it since.
local function untrusted()
  local here = server()
  if not here then return redis.error_reply(not_master) end
  local current = redis.call('HMGET', KEYS[1], 'generation', 'server')
  if not current[1] then return redis.error_reply('FIRNNOTOPEN nothing was opened here') end
  if current[2] ~= here then return redis.error_reply('FIRNNOTOPEN the state was opened on another server, or in another life of this one') end
  if current[1] ~= ARGV[1] then return redis.error_reply('FIRNINCARNATION ' .. current[1] .. ' is open') end
end

-- incarnation is the number that a generation begins with; 0 for none.
local function incarnation(generation)
  return generation and tonumber(string.match(generation, '^%d+')) or 0
end

local function microseconds()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000000 + tonumber(time[2])
end

local function milliseconds()
  return math.floor(microseconds() / 1000)
end

-- decimal writes a whole number as Redis reads it: tostring would turn to exponents.
local function decimal(n)
  return string.format('%.0f', n)
end
