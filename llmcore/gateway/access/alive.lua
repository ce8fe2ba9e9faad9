-- One process says that it is there. KEYS: the processes, when Redis began to count, who has told it all that was used,
-- the keys in use.
-- ARGV: the process; the Redis that it has spoken with before ("": none, or it was cut off); 1 where it has told that one
-- all; the others that it knows of, a JSON object of the seconds since they were heard.
-- Answer: {second, microsecond, epoch, age of the epoch in seconds, run of Redis, the keys in use, [process, second in
-- which it was heard, second in which it had told all (0: it has not)]...} of all that live.

local DEAD = 30       -- seconds of silence after which a process is gone
local FORGOTTEN = 3600
local IN_USE = 3       -- seconds; others look once a second
local MOST = 100

local processes, began, told, in_use = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local me, before, all_told, others = ARGV[1], ARGV[2], ARGV[3] == '1', cjson.decode(ARGV[4])

local time = redis.call('TIME')
local now, micro = tonumber(time[1]), tonumber(time[2])
redis.call('SET', began, string.format('%.0f', now * 1000000 + micro), 'NX')
local epoch = redis.call('GET', began)
local info = redis.pcall('INFO', 'server')
local run = type(info) == 'string' and string.match(info, 'run_id:(%x+)') or ''

if before ~= epoch .. ':' .. run then
  all_told = false
  for other, age in pairs(others) do   -- it has not heard them while it was away, or has forgotten them
    local seen = redis.call('ZSCORE', processes, other)
    if not seen or tonumber(seen) < now - age then
      redis.call('ZADD', processes, now - age, other)
    end
  end
end

redis.call('ZADD', processes, now, me)
if all_told then
  redis.call('ZADD', told, now, me)
else
  redis.call('ZREM', told, me)
end
for _, key in ipairs({processes, told}) do
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now - FORGOTTEN)
  redis.call('EXPIRE', key, FORGOTTEN)
end

redis.call('ZREMRANGEBYSCORE', in_use, '-inf', now - IN_USE)
redis.call('EXPIRE', in_use, FORGOTTEN)
local keys = redis.call('ZREVRANGE', in_use, 0, MOST - 1)
local answer = {now, micro, tonumber(epoch), math.floor(now + (micro - tonumber(epoch)) / 1000000), run, keys}
local live = redis.call('ZRANGEBYSCORE', processes, now - DEAD, '+inf', 'WITHSCORES')
for index = 1, #live, 2 do
  table.insert(answer, live[index])
  table.insert(answer, tonumber(live[index + 1]))
  table.insert(answer, tonumber(redis.call('ZSCORE', told, live[index]) or 0))
end
return answer
