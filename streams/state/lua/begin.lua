-- Give inputs without a position their first one, and set which definitions decide where that is told.
-- KEYS meta, files. ARGV token, number of a save that must be there, definitions, epoch and epochs (empty: as they were),
--      n files that stay, n fields of files, then numbers of files that stay, files (number, document), and input,
--      position …
local meta, files = KEYS[1], KEYS[2]
local held = redis.call('HMGET', meta, 'token', 'save')
if held[1] ~= ARGV[1] or tonumber(held[2] or '0') < tonumber(ARGV[2]) then
  return 0
end
local at = 7
if ARGV[4] ~= '' then
  redis.call('HSET', meta, 'definitions', ARGV[3], 'epoch', ARGV[4], 'epochs', ARGV[5])
  local stays = {}
  for i = at + 1, at + tonumber(ARGV[6]) do
    stays[ARGV[i]] = true
  end
  for _, number in ipairs(redis.call('HKEYS', files)) do
    if not stays[number] then
      redis.call('HDEL', files, number)
    end
  end
  at = at + tonumber(ARGV[6])
  for i = at + 1, at + tonumber(ARGV[7]), 2 do
    redis.call('HSET', files, ARGV[i], ARGV[i + 1])
  end
  at = at + tonumber(ARGV[7])
end
for i = at + 1, #ARGV, 2 do
  redis.call('HSETNX', meta, 'position:' .. ARGV[i], ARGV[i + 1])
end
return 1
