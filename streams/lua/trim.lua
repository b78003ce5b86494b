-- Drop published entries of the outbox. KEYS meta, outbox. ARGV token, entries.
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then
  return 0
end
redis.call('LTRIM', KEYS[2], ARGV[2], -1)
return 1
