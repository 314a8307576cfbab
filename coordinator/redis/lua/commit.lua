#!lua
-- Gives the batches of a segment their offsets: Coordinator.Commit. Everything is decided before anything is written.
--
-- KEYS 1 current, 2 counters, 3 usable, 4 ends, 5 starts, 6 what is remembered of commits of the segment's second, 7 stream, 8 pending, 9 order,
--      10 ids, 11 writers, 12 settling, 13 leases,
--      14… producers: of each partition with idempotent batches, in the order in which the request first names them; then the slots of
--      requests of each partition with keyed batches, in that order, and those of each topic with such; then the transactions of
--      producer ids that the request names in transactional batches and endings, and those of the next producer ids of endings
-- ARGV 1 generation, 2 segment, 3 its time, 4 commit deadline, 5 what the caller knows to be remembered of the segment, 6 request,
--      7 how many producers a partition remembers, 8 for how long, 9 the names of all partitions, each once,
--      10 how many partitions have idempotent batches, 11 for how long keyed requests are remembered, 12 how many partitions have keyed ones,
--      13 the producer ids of the last keys (8 bytes each), 14 how many partitions a transaction has at most, 15 the atomic requests, as request.go lays
--      them out; then for each ending nine more: the
--      transactional id, its fact as the caller knows it, the next fact up to its version, its rest behind its time, what it lets count, 'c' if it
--      commits, its producer id, the next one (8 bytes each), the next writer
-- Times are milliseconds. request.go and chunk.go lay out requests, decisions, chunks and what is remembered.
-- Returns {'old', age}, {'known', remembered, log start of each partition, its newest fact if that is pending}
--      or {'decided', number, now, decisions, log start of each partition, the newest fact before if that is pending, a code for each ending, the
--      endings as they are decided, what the atomic requests let count}, or {'changed', which} if the id of an ending is not what the caller thought.

local refused = untrusted()
if refused then return refused end

local PLAIN, IDEMPOTENT, ANSWERED, KEYED, TRANSACTIONAL, MARKER, ATOMIC = 0, 1, 2, 3, 4, 5, 6
local GROUP = {[PLAIN] = 25, [IDEMPOTENT] = 31, [ANSWERED] = 9, [KEYED] = 61, [TRANSACTIONAL] = 32, [MARKER] = 34, [ATOMIC] = 65} -- bytes in a request
local ACCEPTED, UNKNOWN_PARTITION, DUPLICATE, OUT_OF_ORDER, PRODUCER_EPOCH, KEY_REUSED, OTHER_PARTITIONS = 0, 1, 2, 3, 4, 5, 6
local UNKNOWN_ID, CONCURRENT, STATE, TOO_LARGE, NOT_OPEN, BUILD_ANEW, NOT_WHOLE, LEASE_LOST = 7, 8, 9, 10, 11, 12, 13, 14
local CODES = 15
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

-- What is decided of transactional ids, by producer id: see transaction.
local transactions, txn_keys = {}, {}
for i = 1, #ARGV[13] / 8 do txn_keys[string.sub(ARGV[13], i * 8 - 7, i * 8)] = KEYS[#KEYS - #ARGV[13] / 8 + i] end
local function transaction_of(id)
  if transactions[id] == nil then transactions[id] = transaction(txn_keys[id], KEYS[3], KEYS[4], KEYS[8], KEYS[12]) or false end
  return transactions[id]
end

-- Endings are decided before the batches. brought has the partitions for which there are new markers, of each ending.
local brought, endings, ending_codes, ended = {}, {}, {}, {}
local function look_for_markers()
  local runs, at = struct.unpack('>I4', request)
  for _ = 1, runs do
    local name, _, groups, after = struct.unpack('>c20I8I4', request, at)
    at = after
    for _ = 1, groups do
      local kind = string.byte(request, at)
      if kind == MARKER then
        local of = struct.unpack('>I4', request, at + 13)
        brought[of] = brought[of] or {}
        brought[of][name] = true
      end
      at = at + GROUP[kind]
    end
  end
end

local function decide_ending(i, commits, id)
  local t = transaction_of(id)
  if not t or t.incomplete then return CONCURRENT end
  for _, name in ipairs(t.names) do
    local mark = t.marks[name]
    if not mark or commits and mark <= t.touched[name] then return CONCURRENT end
  end
  for _, name in ipairs(t.names) do
    if not (brought[i] or {})[name] then return BUILD_ANEW end
  end
  return ACCEPTED
end

if #ARGV > 15 then
  look_for_markers()
  local versions = tonumber(redis.call('HGET', KEYS[2], 'txns_version') or '0')
  for i = 1, (#ARGV - 15) / 9 do
    local a = 15 + (i - 1) * 9
    if (redis.call('HGET', KEYS[10], ARGV[a + 1]) or '') ~= ARGV[a + 2] then return {'changed', i} end
    local code = decide_ending(i, ARGV[a + 6] == 'c', ARGV[a + 7])
    ending_codes[i] = string.char(code)
    if code == ACCEPTED then
      versions = versions + 1
      local stamp, t = struct.pack('>I8I8', versions, now), transactions[ARGV[a + 7]]
      local e = {t = t, id = ARGV[a + 1], open = {}, before = ARGV[a + 7], producer = ARGV[a + 8], writer = ARGV[a + 9]}
      e.key, e.fact = txn_keys[e.producer], ARGV[a + 3] .. stamp .. ARGV[a + 4]
      for _, name in ipairs(t.names) do e.open[name] = true end
      t.epoch, t.ordinal, t.aborting = struct.unpack('>I2I8B', e.writer)
      t.ended, t.incomplete, t.version = true, true, versions
      transactions[e.before] = false
      transactions[e.producer] = t
      endings[i], ended[#ended + 1] = e, stamp .. ARGV[a + 4] .. ARGV[a + 5]
    end
  end
end
ended = #ended > 0 and struct.pack('>I4', #ended) .. table.concat(ended) or ''

local key = 13 -- of the producers of the partition that had idempotent batches last
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

-- is_writer says whether a transactional id has a producer id.
local writers = nil
local function is_writer(id)
  if writers == nil then writers = redis.call('HLEN', KEYS[11]) > 0 and {} end
  if not writers then return false end
  if writers[id] == nil then writers[id] = redis.call('HEXISTS', KEYS[11], id) == 1 end
  return writers[id]
end

local function refused_by(t, name, protocol)
  if t.incomplete or t.aborting == 1 then return CONCURRENT end
  if protocol == 2 then
    local added = false
    for at = 1, #t.added, 20 do added = added or string.sub(t.added, at, at + 19) == name end
    if not added then return STATE end
  end
  if not t.touched[name] and t.count >= tonumber(ARGV[14]) then return TOO_LARGE end
  return ACCEPTED
end

local function marker(p, at)
  local e = endings[struct.unpack('>I4', request, at + 12)]
  if not e or not p.usable or not e.open[p.name] then return NOT_OPEN, 0 end
  e.open[p.name] = nil
  e.t.new = e.t.new or {}
  e.t.touched[p.name], e.t.new[p.name] = p.next, p.next
  p.next = p.next + 1
  return ACCEPTED, p.next - 1
end

local function idempotent(p, at, protocol)
  if not p.key then
    key = key + 1
    p.key, p.producers, p.changed = KEYS[key], {}, {}
  end
  if not p.usable then return UNKNOWN_PARTITION, 0 end
  local records, _, _, id, epoch, base = struct.unpack('>I4I4c8c8I2I4', request, at)
  if not protocol and is_writer(id) then return STATE, 0 end
  local t = protocol and transaction_of(id)
  if t == false then return UNKNOWN_ID, 0 end
  if t and t.epoch ~= epoch then return PRODUCER_EPOCH, 0 end
  local numbers = struct.pack('>I4I4', base, (base + records - 1) % 2147483648)
  local state = producer(p, id)
  local code, original = admit(state, epoch, base, numbers)
  if code == ACCEPTED and t then code = refused_by(t, p.name, protocol) end
  if code ~= ACCEPTED then return code, original or 0 end
  if t then
    if not t.touched[p.name] then t.count = t.count + 1 end
    t.touched[p.name], t.new = p.next + records - 1, t.new or {}
    t.new[p.name] = t.touched[p.name]
  end
  p.producers[id] = observe(state, epoch, numbers, p.next)
  p.changed[id] = true
  p.next = p.next + records
  return ACCEPTED, p.next - records, t and t.ordinal
end

-- A request's state is the hash of its body (16 bytes), when it was written (8), its offset (8), its records (4), and of how many partitions and
-- with what timestamp its records were made (4, 8). Which slot it is in depends on a clock that may have
-- been another; so all are looked at, and its own time counts.
local slots, expiration = 13 + tonumber(ARGV[10]) - SLOTS, tonumber(ARGV[11])
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

-- with_slots finds the slots of a partition, and of its topic. They come in the order of the request.
local function with_slots(p)
  if p.slots then return end
  slots = slots + SLOTS
  p.slots, p.requests, p.new, p.topic = slots, {}, {}, topic_of(p)
end

-- unwritten looks whether a batch with a key may be written: a code, and the offset of the original if it is a duplicate.
local function unwritten(p, at)
  with_slots(p)
  if not p.usable then return UNKNOWN_PARTITION, 0 end
  local id, body, made = struct.unpack('>c16c16c12', request, at + 16)
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
  return ACCEPTED, 0
end

local function keyed(p, at)
  local code, original = unwritten(p, at)
  if code ~= ACCEPTED then return code, original end
  local records, _, _, id, body, made = struct.unpack('>I4c4c8c16c16c12', request, at)
  p.topic.requests[id] = body .. struct.pack('>I8', now) .. made
  p.topic.changed[id] = true
  local state = body .. struct.pack('>I8I8I4', now, p.next, records) .. made
  p.requests[id] = state
  p.new[#p.new + 1], p.new[#p.new + 2] = id, state
  p.next = p.next + records
  return ACCEPTED, p.next - records
end

-- Atomic requests are looked at as a whole, before anything of them is written: whole has a code for each.
local whole, counting, offsets_version = {}, '', 0
local function judge_atomic()
  local runs, at = struct.unpack('>I4', request)
  local brought = {}
  for _ = 1, runs do
    local name, _, groups, after = struct.unpack('>c20I8I4', request, at)
    at = after
    for _ = 1, groups do
      local kind = string.byte(request, at)
      if kind == KEYED then with_slots(partitions[name]) end
      if kind == ATOMIC then
        local number = struct.unpack('>I4', request, at + 61)
        brought[number] = (brought[number] or 0) + 1
        if unwritten(partitions[name], at + 1) ~= ACCEPTED then whole[number] = NOT_WHOLE end
      end
      at = at + GROUP[kind]
    end
  end
  at = 1
  local number = 0
  while at <= #ARGV[15] do
    local batches, lease, epoch, version, offsets
    batches, lease, epoch, version, offsets, at = struct.unpack('>I4I4c0I8I8I4c0', ARGV[15], at)
    number = number + 1
    if (brought[number] or 0) ~= batches then whole[number] = NOT_WHOLE end
    whole[number] = whole[number] or ACCEPTED
    if whole[number] == ACCEPTED and lease ~= '' then
      local held, expires, stored = 0, 0, redis.call('HGET', KEYS[13], lease)
      if stored then held, expires = struct.unpack('>I8I8', stored) end
      if not stored or held ~= epoch or microseconds() >= expires then
        whole[number] = LEASE_LOST
      else
        counting = counting .. struct.pack('>I4I4', number, #offsets) .. offsets
        offsets_version = math.max(offsets_version, version)
      end
    end
  end
end
if ARGV[15] ~= '' then judge_atomic() end

local function atomic(p, at)
  local refused_as = whole[struct.unpack('>I4', request, at + 60)]
  if refused_as == ACCEPTED then return keyed(p, at) end
  local code, original = unwritten(p, at)
  if code ~= ACCEPTED then return code, original end
  return refused_as, 0
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
    local code, offset, ordinal
    if kind == PLAIN then
      length = struct.unpack('>I8', request, at + 9)
      code, offset = plain(p, at + 1)
    elseif kind == IDEMPOTENT then
      length = struct.unpack('>I4', request, at + 5)
      code, offset = idempotent(p, at + 1)
    elseif kind == KEYED then
      length = struct.unpack('>I4', request, at + 5)
      code, offset = keyed(p, at + 1)
    elseif kind == TRANSACTIONAL then
      length = struct.unpack('>I4', request, at + 5)
      code, offset, ordinal = idempotent(p, at + 1, string.byte(request, at + 31))
    elseif kind == MARKER then
      length, open = struct.unpack('>I4', request, at + 1), nil
      code, offset = marker(p, at + 1)
    elseif kind == ATOMIC then
      length, open = struct.unpack('>I4', request, at + 5), nil
      code, offset = atomic(p, at + 1)
    else
      length, open = struct.unpack('>I8', request, at + 1), nil
    end
    if code then
      decisions[#decisions + 1] = struct.pack('>BI8', code, offset)
      if kind == TRANSACTIONAL then decisions[#decisions + 1] = struct.pack('>I8', ordinal or 0) end
      remember_answer(code, offset, position, length)
      if kind == MARKER or kind == ATOMIC then open = nil end
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
if #grown > 0 or ended ~= '' then
  number = redis.call('HINCRBY', KEYS[2], 'seq', 1)
  local chunk = struct.pack('>I8I4', now, #request) .. request
  if ended ~= '' then chunk = 'T' .. struct.pack('>I4', #ended) .. ended .. chunk else chunk = 'C' .. chunk end
  if counting ~= '' then chunk = 'A' .. struct.pack('>I4', #counting) .. counting .. chunk end
  append(KEYS[2], KEYS[7], decimal(number), 'commit', segment .. chunk .. decisions)
  redis.call('HSET', KEYS[8], decimal(number), 'C' .. table.concat(grown))
  redis.call('ZADD', KEYS[9], number, decimal(number))
  newest = number
end
for _, e in pairs(endings) do
  clear(e.t)
  redis.call('HSET', KEYS[10], e.id, e.fact)
  redis.call('HINCRBY', KEYS[2], 'txns_version', 1)
  if e.before ~= e.producer then -- what it has touched is written below: its markers
    redis.call('HDEL', KEYS[11], e.before)
    redis.call('HSET', KEYS[11], e.producer, e.id)
    redis.call('UNLINK', e.t.key)
    e.t.key = e.key
  end
  redis.call('HSET', e.t.key, 'writer', e.writer, 'added', '', 'awaits', decimal(number), 'ended', '1')
end
for _, t in pairs(transactions) do
  if t and t.new then
    clear(t)
    local new = {}
    for name, offset in pairs(t.new) do new[#new + 1], new[#new + 2] = name, decimal(offset) end
    for i = 1, #new, AT_ONCE do redis.call('HSET', t.key, unpack(new, i, math.min(i + AT_ONCE - 1, #new))) end
  end
end
if offsets_version > tonumber(redis.call('HGET', KEYS[2], 'offsets_version') or '0') then
  redis.call('HSET', KEYS[2], 'offsets_version', decimal(offsets_version))
end
if seconds then redis.call('HSET', KEYS[2], 'seconds', seconds) end
redis.call('HSET', KEYS[6], segment, struct.pack('>I8', newest) .. string.sub(remembered, 9) .. cmsgpack.pack(answers))
-- Redis forgets the commits of a second by itself, once none of them may be repeated any more.
redis.call('EXPIRE', KEYS[6], decimal(math.ceil(((math.floor(tonumber(ARGV[3]) / 1000) + 1) * 1000 + deadline - now) / 1000) + 1))
return {'decided', number, now, decisions, log_starts, before, table.concat(ending_codes), ended, counting}
