-- Give inputs without a position their first one, and set which definitions decide where that is told.
-- KEYS meta. ARGV token, definitions, epoch and epochs (empty: as they were), then input, position …
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then
  return 0
end
if ARGV[3] ~= '' then
  redis.call('HSET', KEYS[1], 'definitions', ARGV[2], 'epoch', ARGV[3], 'epochs', ARGV[4])
end
for i = 5, #ARGV, 2 do
  redis.call('HSETNX', KEYS[1], 'position:' .. ARGV[i], ARGV[i + 1])
end
return 1
