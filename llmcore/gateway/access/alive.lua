-- One process says that it is there. KEYS: the processes, when Redis began to count. ARGV: the process.
-- Answer: {second, microsecond, epoch, age of the epoch in seconds, processes}.

local time = redis.call('TIME')
local now, micro = tonumber(time[1]), tonumber(time[2])
redis.call('SET', KEYS[2], string.format('%.0f', now * 1000000 + micro), 'NX')
local epoch = tonumber(redis.call('GET', KEYS[2]))
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - 3600)
redis.call('EXPIRE', KEYS[1], 3600)
return {now, micro, epoch, math.floor(now - epoch / 1000000), redis.call('ZCOUNT', KEYS[1], now - 30, '+inf')}
