-- Drop published entries of the outbox, and note up to where what was published is known. Entries are numbered from
-- the first ever put, so that a call which the client sends twice drops nothing more.
-- KEYS meta, outbox. ARGV token, number of the first to keep, number of a save, then field and position of each output …
-- Returns 0 if the claim is not held, or if that save is not there: a Redis that lost its last writes must not forget
-- that their changes are published, nor what they knew of the outputs.
local meta, outbox = KEYS[1], KEYS[2]
local held = redis.call('HMGET', meta, 'token', 'trimmed', 'save')
if held[1] ~= ARGV[1] or tonumber(held[3] or '0') < tonumber(ARGV[3]) then
  return 0
end
local drop = tonumber(ARGV[2]) - tonumber(held[2] or '0')
if drop > 0 then
  -- What this user may not do must fail here: a number that does not fit the entries would drop others at the next trim.
  redis.call('LTRIM', outbox, 0, -1)
  redis.call('HSET', meta, 'trimmed', ARGV[2])
  redis.call('LTRIM', outbox, drop, -1)
end
if #ARGV > 3 then
  redis.call('HSET', meta, unpack(ARGV, 4))
end
return 1
