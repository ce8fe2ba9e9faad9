-- Where one session stays. KEYS: the providers' names by session, the sessions by when they were last used. ARGV: the
-- session, the name that the process believes to be kept ("": none), the name that it shall be from now on ("": only asked),
-- the milliseconds that a name is kept after its last use, the most sessions.
-- A name is changed only where nobody else was faster. Answer: the name that is kept now, "" for none.

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local names, used = KEYS[1], KEYS[2]
local session, believed, wanted = ARGV[1], ARGV[2], ARGV[3]
local keeps, most = tonumber(ARGV[4]), tonumber(ARGV[5])

local kept = ''
local last = redis.call('ZSCORE', used, session)
if last and tonumber(last) + keeps > now then
  kept = redis.call('HGET', names, session) or ''
end
if wanted ~= '' and (kept == believed or kept == '') then
  redis.call('HSET', names, session, wanted)
  kept = wanted
end
if kept ~= '' then
  redis.call('ZADD', used, string.format('%.0f', now), session)
  local surplus = redis.call('ZCARD', used) - most
  if surplus > 0 then
    local gone = redis.call('ZPOPMIN', used, surplus)
    for index = 1, #gone, 2 do
      redis.call('HDEL', names, gone[index])
    end
  end
  redis.call('PEXPIRE', names, keeps)
  redis.call('PEXPIRE', used, keeps)
end
return kept
