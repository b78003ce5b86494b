-- Write what the owner of a partition works from.
-- KEYS meta. ARGV token, attempt. Returns 0 if the claim is not held.
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then
  return 0
end
redis.call('HSET', KEYS[1], 'attempt', ARGV[2])
return 1
