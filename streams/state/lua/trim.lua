-- Drop published entries of the outbox, and set the positions after them on their topics. Entries are numbered from
-- the first ever put, so that a call which the client sends twice drops nothing more.
-- KEYS meta, outbox. ARGV token, number of the first that stays, number of a save, then field and position of each
-- output …
-- Returns 0 if another claim owns the partition, or if that save is not there: a Redis that has lost its last writes
-- lacks their changes too, so the next claim must read back what was published.
local meta, outbox = KEYS[1], KEYS[2]
local stored = redis.call('HMGET', meta, 'token', 'trimmed', 'save')
if stored[1] ~= ARGV[1] or tonumber(stored[3] or '0') < tonumber(ARGV[3]) then
  return 0
end
local drop = tonumber(ARGV[2]) - tonumber(stored[2] or '0')
if drop > 0 then
  -- A call without the right for it must fail here: a number that does not fit the entries would drop others later.
  redis.call('LTRIM', outbox, 0, -1)
  redis.call('HSET', meta, 'trimmed', ARGV[2])
  redis.call('LTRIM', outbox, drop, -1)
end
if #ARGV > 3 then
  redis.call('HSET', meta, unpack(ARGV, 4))
end
return 1
