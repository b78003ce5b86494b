-- Take a partition: check whose it is, then write the claim and read all that it needs.
-- KEYS meta, due, outbox, erased
-- ARGV token, generation, generation proven to be over (-1: none), cluster, group, partitions, definitions, topics
-- Returns {'claimed', meta (flat), next due, outbox, n erased}, {'lower', stored generation} or {'other', field, stored}.
local meta, due, outbox, erased = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local names = {'cluster', 'group', 'partitions', 'definitions', 'topics'}
local stored = redis.call('HMGET', meta, 'generation', unpack(names))
-- What was claimed but never begun holds no state: a worker that was refused after its claim binds nobody.
local begun = false
for _, field in ipairs(redis.call('HKEYS', meta)) do
  begun = begun or field:sub(1, 9) == 'position:'
end
for i, name in ipairs(names) do
  if begun and stored[i + 1] and stored[i + 1] ~= ARGV[i + 3] then
    return {'other', name, stored[i + 1]}
  end
end
if stored[1] and tonumber(ARGV[2]) < tonumber(stored[1]) and ARGV[3] ~= stored[1] then
  return {'lower', stored[1]}
end
redis.call('HSET', meta, 'token', ARGV[1], 'generation', ARGV[2], 'cluster', ARGV[4], 'group', ARGV[5],
  'partitions', ARGV[6], 'definitions', ARGV[7], 'topics', ARGV[8])
return {'claimed', redis.call('HGETALL', meta), redis.call('ZRANGE', due, 0, 0, 'WITHSCORES'),
  redis.call('LRANGE', outbox, 0, -1), redis.call('HLEN', erased)}
