-- Claim a partition: check to which installation it belongs, then write the claim and read the state.
-- KEYS meta, due, outbox, erased, files
-- ARGV token, generation, token of a claim proven to be over (empty: none), cluster, group, partitions, definitions, topics,
--      follows (1: may take over state of other definitions, if the partition has the list of its versions)
--      The stored field `epochs` is that list of definition versions; an epoch elsewhere in the code is Kafka's.
-- Returns {'claimed', meta (flat), next due, outbox, n erased, files (flat)},
-- {'lower', stored generation, its token} or {'other', field, stored}.
local meta, due, outbox, erased, files = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local names = {'cluster', 'group', 'partitions', 'definitions', 'topics'}
local stored = redis.call('HMGET', meta, 'generation', unpack(names))
-- A partition that was claimed but never begun has no state, so any installation may claim it.
local begun = false
for _, field in ipairs(redis.call('HKEYS', meta)) do
  begun = begun or field:sub(1, 9) == 'position:'
end
for i, name in ipairs(names) do
  local follows = name == 'definitions' and ARGV[9] == '1' and redis.call('HEXISTS', meta, 'epochs') == 1
  if begun and stored[i + 1] and stored[i + 1] ~= ARGV[i + 3] and not follows then
    return {'other', name, stored[i + 1]}
  end
end
if stored[1] and tonumber(ARGV[2]) < tonumber(stored[1]) then
  local token = redis.call('HGET', meta, 'token')
  if ARGV[3] ~= token then
    return {'lower', stored[1], token}
  end
end
redis.call('HSET', meta, 'token', ARGV[1], 'generation', ARGV[2], 'cluster', ARGV[4], 'group', ARGV[5],
  'partitions', ARGV[6], 'topics', ARGV[8])
if not begun or not stored[5] then
  redis.call('HSET', meta, 'definitions', ARGV[7])
end
local all = redis.call('HGETALL', meta)
local next_due = redis.call('ZRANGE', due, 0, 0, 'WITHSCORES')
local waiting = redis.call('LRANGE', outbox, 0, -1)
local count = redis.call('HLEN', erased)
local documents = redis.call('HGETALL', files)
return {'claimed', all, next_due, waiting, count, documents}
