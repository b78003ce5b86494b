-- Drop published entries of the outbox. Entries are numbered from the first ever put, so that a call which
-- the client sends twice drops nothing more. KEYS meta, outbox. ARGV token, number of the first to keep.
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then
  return 0
end
local drop = tonumber(ARGV[2]) - tonumber(redis.call('HGET', KEYS[1], 'trimmed') or '0')
if drop > 0 then
  redis.call('LTRIM', KEYS[2], drop, -1)
  redis.call('HSET', KEYS[1], 'trimmed', ARGV[2])
end
return 1
