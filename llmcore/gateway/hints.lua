-- What one process has found failing, told to the others. KEYS: the hints, by when they end. ARGV: the process, its hints
-- as a JSON array of [provider, family, seconds].
-- Answer: of every hint of other processes the member "[process, provider, family]" and the milliseconds that it lasts.

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local hints, me = KEYS[1], ARGV[1]
local mine, answer = {}, {}

for _, hint in ipairs(cjson.decode(ARGV[2])) do
  mine[cjson.encode({me, hint[1], hint[2]})] = now + math.floor(hint[3] * 1000)
end

redis.call('ZREMRANGEBYSCORE', hints, '-inf', now)
local kept = redis.call('ZRANGE', hints, 0, 999, 'WITHSCORES')
for index = 1, #kept, 2 do
  local member = kept[index]
  if cjson.decode(member)[1] ~= me then
    table.insert(answer, member)
    table.insert(answer, tonumber(kept[index + 1]) - now)
  elseif not mine[member] then
    redis.call('ZREM', hints, member)
  end
end
for member, ends in pairs(mine) do
  redis.call('ZADD', hints, string.format('%.0f', ends), member)
end
redis.call('EXPIRE', hints, 3600)
return answer
