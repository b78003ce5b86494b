-- Give inputs without a position their first one. KEYS meta. ARGV token, then input, position …
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then
  return 0
end
for i = 2, #ARGV, 2 do
  redis.call('HSETNX', KEYS[1], 'position:' .. ARGV[i], ARGV[i + 1])
end
return 1
