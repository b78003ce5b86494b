-- Give inputs without a position their first one, and set the list of definition versions if it is given.
-- KEYS meta, files. ARGV token, number of a save that must be there, definitions, epoch and epochs (empty: unchanged),
--      n files that stay, n fields of files, then numbers of files that stay, files (number, document), and input,
--      position …
local meta, files = KEYS[1], KEYS[2]
local stored = redis.call('HMGET', meta, 'token', 'save')
if stored[1] ~= ARGV[1] or tonumber(stored[2] or '0') < tonumber(ARGV[2]) then
  return 0
end
local index = 7
if ARGV[4] ~= '' then
  redis.call('HSET', meta, 'definitions', ARGV[3], 'epoch', ARGV[4], 'epochs', ARGV[5])
  local stays = {}
  for i = index + 1, index + tonumber(ARGV[6]) do
    stays[ARGV[i]] = true
  end
  for _, number in ipairs(redis.call('HKEYS', files)) do
    if not stays[number] then
      redis.call('HDEL', files, number)
    end
  end
  index = index + tonumber(ARGV[6])
  for i = index + 1, index + tonumber(ARGV[7]), 2 do
    redis.call('HSET', files, ARGV[i], ARGV[i + 1])
  end
  index = index + tonumber(ARGV[7])
end
for i = index + 1, #ARGV, 2 do
  redis.call('HSETNX', meta, 'position:' .. ARGV[i], ARGV[i + 1])
end
return 1
