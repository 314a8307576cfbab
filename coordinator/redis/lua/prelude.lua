-- What stands before every script. KEYS[1] is the shard's key `current`; ARGV[1] the generation that the caller believes in.

-- server tells this server, in its present role, from any other: run_id changes when the process does, master_replid when it has been a
-- replica in between, or lost the history that it shares with its replicas. It is nil if this is not a master.
-- LAYOUT is the version of the keys of a generation: what was opened in another one is not trusted either.
local LAYOUT = '/4'
local function server()
  local info = redis.call('INFO', 'server', 'replication')
  if not string.find(info, 'role:master', 1, true) then return nil end
  return string.match(info, 'run_id:(%x+)') .. string.match(info, 'master_replid:(%x+)') .. LAYOUT
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

-- AT_ONCE is how many fields one command reads or writes. Few long commands take less time than many short ones.
local AT_ONCE = 1000

-- read_end takes apart what `ends` has of a partition: its next offset and, behind a space where that is less, the end of its confirmed prefix.
local function read_end(value)
  if not value then return 0, 0 end
  local finish = tonumber(value)
  if finish then return finish, finish end
  local both, confirmed = string.match(value, '^(%d+) (%d+)$')
  return tonumber(both), tonumber(confirmed)
end

local function write_end(finish, confirmed)
  if finish == confirmed then return decimal(finish) end
  return decimal(finish) .. ' ' .. decimal(confirmed)
end

-- high_watermarks returns the end of the confirmed prefix of each partition of a list of names, false where commits may not use it.
local function high_watermarks(names, usable_key, ends_key)
  local marks = {}
  for from = 1, #names, AT_ONCE do
    local to = math.min(from + AT_ONCE - 1, #names)
    local topics = {}
    for i = from, to do topics[#topics + 1] = string.sub(names[i], 1, 16) end
    local usable, ends = redis.call('HMGET', usable_key, unpack(topics)), redis.call('HMGET', ends_key, unpack(names, from, to))
    for i, value in ipairs(ends) do
      local _, confirmed = read_end(value)
      marks[#marks + 1] = struct.unpack('>I4', names[from + i - 1], 17) < tonumber(usable[i] or 0) and confirmed
    end
  end
  return marks
end

-- append adds an entry to the commit stream. The stream is trimmed by bytes: whenever another sixteenth of what it keeps has been added, the entry is noted, in a
-- ring of one note more than that. confirm.lua trims up to the oldest note.
local NOTES, ENTRY_BYTES = 16, 64
local function append(counters, stream, seq, field, value)
  redis.call('XADD', stream, seq .. '-0', field, value)
  local total = redis.call('HINCRBY', counters, 'stream_bytes', ENTRY_BYTES + #value)
  local kept = redis.call('HMGET', counters, 'stream_keep', 'stream_noted')
  local part, noted = math.floor(total * NOTES / tonumber(kept[1])), tonumber(kept[2] or 0)
  if part > noted then
    for i = math.max(noted, part - NOTES - 1) + 1, part do redis.call('HSET', counters, 'note' .. i % (NOTES + 1), seq) end
    redis.call('HSET', counters, 'stream_noted', part)
  end
end

-- transaction reads what is decided of a producer id that a transactional id has: nil if none has it. `touched` has the newest offset of its
-- transaction in each partition, `names` lists those; they are `open` unless it has ended. It is `incomplete` while its last fence or ending is not
-- confirmed, and, when it has ended, while anything of it is not below the high watermark. What is `finished` or lies in `gone`, partitions of topics
-- whose deletion is confirmed, has to be removed by whoever writes: see clear.
local function transaction(key, usable_key, ends_key, pending_key, settling_key)
  local fields = redis.call('HGETALL', key)
  if #fields == 0 then return nil end
  local t = {key = key, touched = {}, names = {}, gone = {}, marks = {}, count = 0}
  local all = {}
  for i = 1, #fields, 2 do
    if #fields[i] == 20 then
      all[#all + 1], t.touched[fields[i]] = fields[i], tonumber(fields[i + 1])
    else
      t[fields[i]] = fields[i + 1]
    end
  end
  for i, mark in ipairs(high_watermarks(all, usable_key, ends_key)) do
    local name = all[i]
    if not mark and redis.call('HEXISTS', settling_key, '\0' .. string.sub(name, 1, 16)) == 0 then
      t.touched[name], t.gone[#t.gone + 1] = nil, name
    else
      t.names[#t.names + 1], t.marks[name] = name, mark
    end
  end
  t.count = #t.names
  t.epoch, t.ordinal, t.aborting = struct.unpack('>I2I8B', t.writer)
  if t.awaits and redis.call('HEXISTS', pending_key, t.awaits) == 1 then
    t.incomplete = true
  elseif t.ended then
    for _, name in ipairs(t.names) do
      if not t.marks[name] or t.marks[name] <= t.touched[name] then t.incomplete = true end
    end
    if not t.incomplete then
      for _, name in ipairs(t.names) do t.gone[#t.gone + 1] = name end
      t.gone[#t.gone + 1] = 'ended'
      t.ended, t.touched, t.names, t.count = nil, {}, {}, 0
    end
  end
  return t
end

-- clear removes what is done of a transaction.
local function clear(t)
  for i = 1, #t.gone, AT_ONCE do redis.call('HDEL', t.key, unpack(t.gone, i, math.min(i + AT_ONCE - 1, #t.gone))) end
  t.gone = {}
end
