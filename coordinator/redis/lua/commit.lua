#!lua
-- Gives the batches of a segment their offsets: Coordinator.Commit. Everything is decided before anything is written.
--
-- KEYS 1 current, 2 counters, 3 usable, 4 ends, 5 starts, 6 what is remembered of commits of the segment's second, 7 stream, 8 pending, 9 order,
--      10… producers: of each partition with idempotent batches, in the order in which the request first names them; then the slots of
--      requests of each partition with keyed batches, in that order, and those of each topic with such
-- ARGV 1 generation, 2 segment, 3 its time, 4 commit deadline, 5 what the caller knows to be remembered of the segment, 6 request,
--      7 how many producers a partition remembers, 8 for how long, 9 the names of all partitions, each once,
--      10 how many partitions have idempotent batches, 11 for how long keyed requests are remembered, 12 how many partitions have keyed ones
-- Times are milliseconds. request.go and chunk.go lay out requests, decisions, chunks and what is remembered.
-- Returns {'old', age}, {'known', remembered, log start of each partition, its newest fact if that is pending}
--      or {'decided', number, now, decisions, log start of each partition, the newest fact before if that is pending}.

local refused = untrusted()
if refused then return refused end

local PLAIN, IDEMPOTENT, ANSWERED, KEYED = 0, 1, 2, 3
local GROUP = {[PLAIN] = 25, [IDEMPOTENT] = 31, [ANSWERED] = 9, [KEYED] = 61} -- bytes in a request
local ACCEPTED, UNKNOWN_PARTITION, DUPLICATE, OUT_OF_ORDER, PRODUCER_EPOCH, KEY_REUSED, OTHER_PARTITIONS = 0, 1, 2, 3, 4, 5, 6
local CODES = 7
local BATCH, REMEMBERED = 16, 5 -- bytes of a batch that a producer's state holds, and how many it holds
local SECONDS = 1200 -- coordinator.MaxCommitSeconds
local SLOTS = 4 -- of requests, each of half of the time for which they are remembered

local segment, known, request = ARGV[2], ARGV[5], ARGV[6]
local max_producers, now = tonumber(ARGV[7]), milliseconds()
local silent = now - tonumber(ARGV[8])
local age, deadline = now - tonumber(ARGV[3]), tonumber(ARGV[4])
if age > deadline or age < -deadline then return {'old', age} end

-- What is known of the partitions, by name.
local partitions, order, log_starts = {}, {}, {}
local function look_up(names)
  local topics = {}
  for i, name in ipairs(names) do topics[i] = string.sub(name, 1, 16) end
  local usable = redis.call('HMGET', KEYS[3], unpack(topics))
  local ends, starts = redis.call('HMGET', KEYS[4], unpack(names)), redis.call('HMGET', KEYS[5], unpack(names))
  for i, name in ipairs(names) do
    local p = {name = name, start = 0, usable = struct.unpack('>I4', name, 17) < tonumber(usable[i] or 0)}
    if p.usable then
      p.first, p.confirmed = read_end(ends[i])
      p.start = tonumber(starts[i] or 0)
      p.next = p.first
    end
    partitions[name] = p
    order[#order + 1] = p
    log_starts[#order] = struct.pack('>I8', p.start)
  end
end
local names = {}
for from = 1, #ARGV[9], 20 do
  names[#names + 1] = string.sub(ARGV[9], from, from + 19)
  if #names == AT_ONCE or from + 20 > #ARGV[9] then
    look_up(names)
    names = {}
  end
end
log_starts = table.concat(log_starts)

-- pending is a fact, as it is in the stream, if it still awaits its confirmation: it is kept there until then.
local function pending(number)
  if number == 0 or redis.call('HEXISTS', KEYS[8], decimal(number)) == 0 then return '' end
  local read = redis.call('XREAD', 'COUNT', 1, 'STREAMS', KEYS[7], decimal(number - 1) .. '-0')
  return read[1][2][1][2][2]
end

local remembered = redis.call('HGET', KEYS[6], segment) or ''
-- When Redis has forgotten the commits of a second, the second itself is remembered for longer: the
-- clock may be set back, and a segment be young enough again that was committed.
local seconds
if remembered == '' and redis.call('HLEN', KEYS[6]) == 0 then
  seconds = redis.call('HGET', KEYS[2], 'seconds') or ''
  local second = struct.pack('>I4', math.floor(tonumber(ARGV[3]) / 1000))
  for at = 1, #seconds, 4 do
    if string.sub(seconds, at, at + 3) == second then return {'old', age} end
  end
  seconds = string.sub(seconds .. second, -4 * SECONDS)
end
local newest = remembered ~= '' and struct.unpack('>I8', remembered) or 0
local before = pending(newest)
if remembered ~= known then return {'known', remembered, log_starts, before} end

local key = 9 -- of the producers of the partition that had idempotent batches last
local function producer(p, id)
  local state = p.producers[id]
  if state == nil then
    state = redis.call('HGET', p.key, id)
    if state and struct.unpack('>I8', state, 3) < silent then state = false end
    p.producers[id] = state
  end
  return state
end

-- admit applies a Kafka broker's rules: a code, and the offset of the original if it is a duplicate. A producer's state is its
-- epoch (2 bytes), the time of its newest batch (8) and its newest batches: first and last sequence number (4, 4), offset (8).
local function admit(state, epoch, base, numbers)
  if not state then return ACCEPTED end
  local current = struct.unpack('>I2', state)
  if epoch < current then return PRODUCER_EPOCH end
  if epoch > current then return base == 0 and ACCEPTED or OUT_OF_ORDER end
  for at = 11, #state, BATCH do
    if string.sub(state, at, at + 7) == numbers then return DUPLICATE, (struct.unpack('>I8', state, at + 8)) end
  end
  local last = struct.unpack('>I4', state, #state - BATCH + 5)
  return base == (last + 1) % 2147483648 and ACCEPTED or OUT_OF_ORDER
end

local function observe(state, epoch, numbers, offset)
  local batches = ''
  if state and struct.unpack('>I2', state) == epoch then
    batches = string.sub(state, math.max(11, #state - (REMEMBERED - 1) * BATCH + 1))
  end
  return struct.pack('>I2I8', epoch, now) .. batches .. numbers .. struct.pack('>I8', offset)
end

local function idempotent(p, at)
  if not p.key then
    key = key + 1
    p.key, p.producers, p.changed = KEYS[key], {}, {}
  end
  if not p.usable then return UNKNOWN_PARTITION, 0 end
  local records, _, _, id, epoch, base = struct.unpack('>I4I4c8c8I2I4', request, at)
  local numbers = struct.pack('>I4I4', base, (base + records - 1) % 2147483648)
  local state = producer(p, id)
  local code, original = admit(state, epoch, base, numbers)
  if code ~= ACCEPTED then return code, original or 0 end
  p.producers[id] = observe(state, epoch, numbers, p.next)
  p.changed[id] = true
  p.next = p.next + records
  return ACCEPTED, p.next - records
end

-- A request's state is the hash of its body (16 bytes), when it was written (8), its offset (8), its records (4), and of how many partitions and
-- with what timestamp its records were made (4, 8). Which slot it is in depends on a clock that may have
-- been another; so all are looked at, and its own time counts.
local slots, expiration = 9 + tonumber(ARGV[10]) - SLOTS, tonumber(ARGV[11])
local function written(p, id)
  local state = p.requests[id]
  if state == nil then
    state = false
    for i = 1, SLOTS do
      local found = redis.call('HGET', KEYS[p.slots + i], id)
      if found and struct.unpack('>I8', found, 17) >= now - expiration then state = found end
    end
    p.requests[id] = state
  end
  return state
end

-- What a topic knows of a request, whichever partitions remember it: the hash of its body (16 bytes), when it was written last (8), and how its records were made (12).
local topics, topic_slots = {}, slots + SLOTS * tonumber(ARGV[12])
local function topic_of(p)
  local id = string.sub(p.name, 1, 16)
  if not topics[id] then
    topic_slots = topic_slots + SLOTS
    topics[id] = {slots = topic_slots, requests = {}, changed = {}, new = {}}
  end
  return topics[id]
end

local function keyed(p, at)
  if not p.slots then
    slots = slots + SLOTS
    p.slots, p.requests, p.new, p.topic = slots, {}, {}, topic_of(p)
  end
  if not p.usable then return UNKNOWN_PARTITION, 0 end
  local records, _, _, id, body, made = struct.unpack('>I4c4c8c16c16c12', request, at)
  local state = written(p, id)
  if state then
    if string.sub(state, 1, 16) ~= body then return KEY_REUSED, 0 end
    -- Of its records others may be in this partition than there were then.
    if string.sub(state, 37, 40) ~= string.sub(made, 1, 4) then return OTHER_PARTITIONS, 0 end
    return DUPLICATE, (struct.unpack('>I8', state, 25))
  end
  local elsewhere = written(p.topic, id)
  if elsewhere and string.sub(elsewhere, 1, 16) ~= body then return KEY_REUSED, 0 end
  if elsewhere and string.sub(elsewhere, 25, 28) ~= string.sub(made, 1, 4) then return OTHER_PARTITIONS, 0 end
  p.topic.requests[id] = body .. struct.pack('>I8', now) .. made
  p.topic.changed[id] = true
  state = body .. struct.pack('>I8I8I4', now, p.next, records) .. made
  p.requests[id] = state
  p.new[#p.new + 1], p.new[#p.new + 2] = id, state
  p.next = p.next + records
  return ACCEPTED, p.next - records
end

local function plain(p, at)
  if not p.usable then return UNKNOWN_PARTITION, 0 end
  local records = struct.unpack('>I8', request, at)
  p.next = p.next + records
  return ACCEPTED, p.next - records
end

-- answers are what is remembered of the decisions, as numbers: see chunk.go. One answer stands for accepted batches that follow each other.
local answers, last_byte, last_offset = {}, 0, 0
local open = nil -- where in answers the length of the accepted bytes stands that may go on
local function remember_answer(code, offset, position, length)
  if code == ACCEPTED and open then
    answers[open] = answers[open] + length
  else
    answers[#answers + 1] = (position - last_byte) * CODES + code
    answers[#answers + 1] = length
    open = code == ACCEPTED and #answers or nil
    if code == ACCEPTED or code == DUPLICATE then
      answers[#answers + 1] = offset - last_offset
      last_offset = offset
    end
  end
  last_byte = position + length
end

local decisions = {}
local runs, at = struct.unpack('>I4', request)
for _ = 1, runs do
  local name, position, groups, after = struct.unpack('>c20I8I4', request, at)
  at, open = after, nil
  local p = partitions[name]
  for _ = 1, groups do
    local kind, length = string.byte(request, at), nil
    local code, offset
    if kind == PLAIN then
      length = struct.unpack('>I8', request, at + 9)
      code, offset = plain(p, at + 1)
    elseif kind == IDEMPOTENT then
      length = struct.unpack('>I4', request, at + 5)
      code, offset = idempotent(p, at + 1)
    elseif kind == KEYED then
      length = struct.unpack('>I4', request, at + 5)
      code, offset = keyed(p, at + 1)
    else
      length, open = struct.unpack('>I8', request, at + 1), nil
    end
    if code then
      decisions[#decisions + 1] = struct.pack('>BI8', code, offset)
      remember_answer(code, offset, position, length)
    end
    at, position = at + GROUP[kind], position + length
  end
end
decisions = table.concat(decisions)

local grown = {} -- name, first new offset and the next of each partition that gets records
for _, p in ipairs(order) do
  if p.usable and p.next > p.first then
    if p.next > 9007199254740991 then return redis.error_reply('FIRNLIMIT offsets end at 2^53') end
    grown[#grown + 1] = p.name .. struct.pack('>I8I8', p.first, p.next)
  end
end

-- From here on it is written.
local DRAWN = 64
-- forget makes room among the producers of a partition: of some that are drawn at random the older half goes, as Redis itself evicts keys.
local function forget(p)
  local drawn, oldest, newest = redis.call('HRANDFIELD', p.key, DRAWN, 'WITHVALUES'), math.huge, 0
  for i = 2, #drawn, 2 do
    drawn[i] = struct.unpack('>I8', drawn[i], #drawn[i] - 7)
    oldest, newest = math.min(oldest, drawn[i]), math.max(newest, drawn[i])
  end
  local gone = {}
  for i = 2, #drawn, 2 do
    if drawn[i] <= oldest + math.floor((newest - oldest) / 2) then gone[#gone + 1] = drawn[i - 1] end
  end
  redis.call('HDEL', p.key, unpack(gone))
end

local function remember(p)
  local half = expiration / 2
  local window = math.floor(now / half)
  local slot = KEYS[p.slots + 1 + window % SLOTS]
  for i = 1, #p.new, AT_ONCE do redis.call('HSET', slot, unpack(p.new, i, math.min(i + AT_ONCE - 1, #p.new))) end
  redis.call('EXPIRE', slot, decimal(math.ceil(((window + 1) * half + expiration - now) / 1000)))
end

for _, topic in pairs(topics) do
  for id in pairs(topic.changed) do topic.new[#topic.new + 1], topic.new[#topic.new + 2] = id, topic.requests[id] end
  if #topic.new > 0 then remember(topic) end
end
local ends = {}
for i, p in ipairs(order) do
  if p.usable and p.next > p.first then
    ends[#ends + 1], ends[#ends + 2] = p.name, write_end(p.next, p.confirmed)
    local new, changed = 0, {}
    for id in pairs(p.changed or {}) do changed[#changed + 1], changed[#changed + 2] = id, p.producers[id] end
    for from = 1, #changed, AT_ONCE do new = new + redis.call('HSET', p.key, unpack(changed, from, math.min(from + AT_ONCE - 1, #changed))) end
    for _ = 1, math.ceil(4 * new / DRAWN) do
      if redis.call('HLEN', p.key) <= max_producers then break end
      forget(p)
    end
    if p.new and #p.new > 0 then remember(p) end
  end
  if #ends > 0 and (#ends >= AT_ONCE or i == #order) then
    redis.call('HSET', KEYS[4], unpack(ends))
    ends = {}
  end
end

local number = 0
if #grown > 0 then
  number = redis.call('HINCRBY', KEYS[2], 'seq', 1)
  append(KEYS[2], KEYS[7], decimal(number), 'commit', segment .. 'C' .. struct.pack('>I8I4', now, #request) .. request .. decisions)
  redis.call('HSET', KEYS[8], decimal(number), 'C' .. table.concat(grown))
  redis.call('ZADD', KEYS[9], number, decimal(number))
  newest = number
end
if seconds then redis.call('HSET', KEYS[2], 'seconds', seconds) end
redis.call('HSET', KEYS[6], segment, struct.pack('>I8', newest) .. string.sub(remembered, 9) .. cmsgpack.pack(answers))
-- Redis forgets the commits of a second by itself, once none of them may be repeated any more.
redis.call('EXPIRE', KEYS[6], decimal(math.ceil(((math.floor(tonumber(ARGV[3]) / 1000) + 1) * 1000 + deadline - now) / 1000) + 1))
return {'decided', number, now, decisions, log_starts, before}
