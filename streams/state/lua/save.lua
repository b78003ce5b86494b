-- One atomic step of a partition. A script has no rollback, so every check comes before the first write.
-- KEYS meta, customers, due, outbox, erased, files
-- ARGV token, number, digest, clock, caught up to, n inputs, n customer fields, n due fields, n due removals, n outbox,
--      n gone, n erased fields, epoch, epochs (empty: unchanged), n files that stay, then numbers of files that stay
--      (the others go, where epochs are given), inputs (name, start, position), customers (id, value), dues (ms, id),
--      removals (id), outbox, gone (id), erased (hash of the id, value).
--      epoch: number of the newest definition version; epochs: the list of versions; files: their definitions files.
--      These are names of stored fields. In the code they are definition versions; an epoch elsewhere is Kafka's.
local meta, customers, due, outbox, erased, files = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local stored = redis.call('HMGET', meta, 'token', 'save', 'digest', 'clock', 'caught_up', 'epoch')
if stored[1] ~= ARGV[1] then
  return 'fenced'
end
local number = tonumber(stored[2] or '0')
if tonumber(ARGV[2]) == number and stored[3] == ARGV[3] then
  return 'already'
end
if tonumber(ARGV[2]) ~= number + 1 then
  return 'out_of_order'
end
-- The save was computed by another definition version than the newest here: this Redis has lost its last writes.
if (stored[6] or '0') ~= ARGV[13] then
  return 'moved'
end
local after_stays = 15 + tonumber(ARGV[15])
-- The save begins at other positions of the inputs than are stored here: Redis has lost writes, as above.
local inputs = tonumber(ARGV[6])
for i = 0, inputs - 1 do
  if redis.call('HGET', meta, 'position:' .. ARGV[after_stays + 1 + 3 * i]) ~= ARGV[after_stays + 2 + 3 * i] then
    return 'moved'
  end
end

-- A decision cannot be taken back, so a partition's clock moves on only as far as this Redis agrees: the
-- wall clock of a worker may have been set since it was last compared. 1,000 ms: CLOCK_SKEW_MAX_MS of state/redis.py.
local moves = tonumber(ARGV[4]) > tonumber(stored[4] or '0')
if moves then
  local now = redis.call('TIME')
  if tonumber(ARGV[4]) > tonumber(now[1]) * 1000 + tonumber(now[2]) / 1000 + 1000 then
    return 'too_early'
  end
end

-- A call without the right for it must fail here, where nothing counts yet: calls that change nothing, then the digest,
-- which does not count without its number, then the outbox, without which a customer's changes would be lost.
redis.call('ZADD', due, 'XX', 0, '')
redis.call('ZREM', due, '')
redis.call('HDEL', customers, '')
redis.call('HSET', meta, 'digest', ARGV[3])
-- unpack() fails near 8,000 values (LUAI_MAXCSTACK), so the arguments go in slices.
local function slices(command, key, after, count)
  for first = after + 1, after + count, 4000 do
    redis.call(command, key, unpack(ARGV, first, math.min(first + 3999, after + count)))
  end
  return after + count
end
local after_inputs = after_stays + 3 * inputs
local after_removals = after_inputs + tonumber(ARGV[7]) + tonumber(ARGV[8]) + tonumber(ARGV[9])
local after_outbox = after_removals + tonumber(ARGV[10])
for i = after_removals + 1, after_outbox do
  redis.call('RPUSH', outbox, ARGV[i])
end
redis.call('HSET', meta, 'save', ARGV[2])
if moves then
  redis.call('HSET', meta, 'clock', ARGV[4])
end
if ARGV[14] ~= '' then
  redis.call('HSET', meta, 'epochs', ARGV[14])
  local stays = {}
  for i = 16, 15 + tonumber(ARGV[15]) do
    stays[ARGV[i]] = true
  end
  for _, file in ipairs(redis.call('HKEYS', files)) do
    if not stays[file] then
      redis.call('HDEL', files, file)
    end
  end
end
if tonumber(ARGV[5]) > tonumber(stored[5] or '0') then
  redis.call('HSET', meta, 'caught_up', ARGV[5])
end
for i = 0, inputs - 1 do
  redis.call('HSET', meta, 'position:' .. ARGV[after_stays + 1 + 3 * i], ARGV[after_stays + 3 + 3 * i])
end
local after_customers = slices('HSET', customers, after_inputs, tonumber(ARGV[7]))
local after_due = slices('ZADD', due, after_customers, tonumber(ARGV[8]))
slices('ZREM', due, after_due, tonumber(ARGV[9]))
local after_gone = slices('HDEL', customers, after_outbox, tonumber(ARGV[11]))
slices('HSET', erased, after_gone, tonumber(ARGV[12]))
return 'saved'
