-- Give inputs without a position their first one, and set which definitions decide where that is told.
-- KEYS meta. ARGV token, number of a save that must be there, definitions, epoch and epochs (empty: as they were), then
--      input, position …
local held = redis.call('HMGET', KEYS[1], 'token', 'save')
if held[1] ~= ARGV[1] or tonumber(held[2] or '0') < tonumber(ARGV[2]) then
  return 0
end
if ARGV[4] ~= '' then
  redis.call('HSET', KEYS[1], 'definitions', ARGV[3], 'epoch', ARGV[4], 'epochs', ARGV[5])
end
for i = 6, #ARGV, 2 do
  redis.call('HSETNX', KEYS[1], 'position:' .. ARGV[i], ARGV[i + 1])
end
return 1
