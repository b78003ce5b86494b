-- Write the attempt that a partition's owner begins (a step, or the trial of one record), for the next claim if this
-- owner dies in it.
-- KEYS meta. ARGV token, attempt. Returns 0 if another claim owns the partition.
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then
  return 0
end
redis.call('HSET', KEYS[1], 'attempt', ARGV[2])
return 1
