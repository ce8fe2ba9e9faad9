-- One process says that it is there. KEYS: the processes, when Redis began to count, who has told it all that was used
-- before, how many there are to tell. ARGV: the process, the epoch to which it has told all, how many it knows of.
-- Answer: {second, microsecond, epoch, age of the epoch in seconds, processes, how many have told, how many are to tell}.

local FORGOTTEN = 3600

local time = redis.call('TIME')
local now, micro = tonumber(time[1]), tonumber(time[2])
redis.call('SET', KEYS[2], string.format('%.0f', now * 1000000 + micro), 'NX')
local epoch = tonumber(redis.call('GET', KEYS[2]))

local function seen(key)
  redis.call('ZADD', key, now, ARGV[1])
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now - FORGOTTEN)
  redis.call('EXPIRE', key, FORGOTTEN)
end

seen(KEYS[1])
if tonumber(ARGV[2]) == epoch then seen(KEYS[3]) end
local expected = tonumber(redis.call('GET', KEYS[4]) or 0)
if tonumber(ARGV[3]) > expected then
  expected = tonumber(ARGV[3])
  redis.call('SET', KEYS[4], expected, 'EX', 60)
end
return {
  now, micro, epoch, math.floor(now + (micro - epoch) / 1000000), redis.call('ZCOUNT', KEYS[1], now - 30, '+inf'),
  redis.call('ZCARD', KEYS[3]), expected,
}
