-- One process speaks of one key: what it has used since it last spoke, what it wants now, and how much in advance.
-- KEYS: the key's minute, its purse, the processes that live, when Redis began to count, the keys in use (see alive.lua).
-- ARGV[1]: a JSON object, see `Question` in account.py.
-- Answer: {1, second, microsecond, requests, tokens, spent, advance, [verdict, seconds]...}, or {0} where
-- Redis has lost what it knew, and the process is asked to say all that it has used.
--
-- minute: r, t: sums; o: the oldest second that counts; r<second>, t<second>; e: the epoch; p:<process>: its last turn.
-- purse: spent; h:<process>: what it holds for calls that run and in advance. Money is in millionths of a dollar.

local KEEP = 62       -- seconds that a second counts: 60, its own width, and the life of an advance
local DEAD = 30       -- seconds of silence after which a process holds nothing any more
local FORGOTTEN = 3600
local GRANTED, NO_REQUESTS, NO_TOKENS, NO_MONEY = 0, 1, 2, 3

local ask = cjson.decode(ARGV[1])
local minute, purse, processes, began, in_use = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local time = redis.call('TIME')
local now, micro = tonumber(time[1]), tonumber(time[2])
local counts = ask.rpm >= 0 or ask.tpm >= 0 or ask.looks
local pays = ask.budget >= 0

if tonumber(redis.call('GET', began) or 0) ~= ask.epoch then return {0} end
local epoch = string.format('%.0f', ask.epoch)
if counts then
  local kept = redis.call('HMGET', minute, 'p:' .. ask.me, 'e')
  if kept[2] and kept[2] ~= epoch then   -- of a Redis that has forgotten since; everybody says again what counts
    redis.call('DEL', minute)
    kept[1] = false
  end
  local heard = tonumber(kept[1] or 0)
  if heard < ask.heard then
    if heard > 0 then   -- it came back with a state of before: what it has forgotten, all have to say
      redis.call('SET', began, string.format('%.0f', now * 1000000 + micro))
    end
    return {0}
  end
end

redis.call('ZADD', processes, now, ask.me)
redis.call('EXPIRE', processes, FORGOTTEN)
local live = math.max(1, redis.call('ZCOUNT', processes, now - DEAD, '+inf'))

-- the minute ---------------------------------------------------------------------------------------------------

local requests, tokens, oldest = 0, 0, now

local function number(text)
  return tonumber(text) or 0
end

local function add(second, r, t)
  if second > now then second = now end
  if second <= now - KEEP or (r == 0 and t == 0) then return end
  redis.call('HINCRBY', minute, 'r' .. second, r)
  redis.call('HINCRBY', minute, 't' .. second, t)
  requests, tokens, oldest = requests + r, tokens + t, math.min(oldest, second)
end

if counts then
  local kept = redis.call('HMGET', minute, 'r', 't', 'o')
  requests, tokens, oldest = number(kept[1]), number(kept[2]), tonumber(kept[3]) or now
  while oldest <= now - KEEP do
    local r, t = 'r' .. oldest, 't' .. oldest
    local gone = redis.call('HMGET', minute, r, t)
    if gone[1] then
      requests, tokens = requests - number(gone[1]), tokens - number(gone[2])
      redis.call('HDEL', minute, r, t)
    end
    oldest = oldest + 1
  end
  for _, used in ipairs(ask.used) do
    add(used[1], used[2], used[3])
  end
end

local seconds_kept = nil

local function room_in(r, t)   -- seconds until so much is forgotten
  if not seconds_kept then
    seconds_kept = {}
    for second = oldest, now do
      local kept = redis.call('HMGET', minute, 'r' .. second, 't' .. second)
      if kept[1] then table.insert(seconds_kept, {second, number(kept[1]), number(kept[2])}) end
    end
  end
  for _, kept in ipairs(seconds_kept) do
    r, t = r - kept[2], t - kept[3]
    if r <= 0 and t <= 0 then return math.max(1, kept[1] + KEEP - now) end
  end
  return KEEP
end

-- the purse ----------------------------------------------------------------------------------------------------

local spent, held = 0, ask.held

if pays then
  local fields = redis.call('HGETALL', purse)
  for index = 1, #fields, 2 do
    local field, value = fields[index], number(fields[index + 1])
    if field == 'spent' then
      spent = value
    elseif field ~= 'h:' .. ask.me then
      local seen = redis.call('ZSCORE', processes, string.sub(field, 3))
      if seen and tonumber(seen) >= now - DEAD then
        held = held + value
      else
        redis.call('HDEL', purse, field)
      end
    end
  end
  spent = math.max(spent, ask.floor) + ask.paid
end

-- the verdicts -------------------------------------------------------------------------------------------------

local answer = {1, now, micro, 0, 0, 0, 0}
local took_requests, took_tokens, took_money, all = 0, 0, 0, true

local function take(r, t, m)
  took_requests, took_tokens, took_money = took_requests + r, took_tokens + t, took_money + m
end

for _, want in ipairs(ask.wants) do
  local r, t, m = want[1], want[2], want[3]
  local over_r = ask.rpm >= 0 and math.max(0, requests + took_requests + r - ask.rpm) or 0
  local over_t = ask.tpm >= 0 and math.max(0, tokens + took_tokens + t - ask.tpm) or 0
  local verdict, seconds = GRANTED, 0
  if over_r > 0 or over_t > 0 then
    verdict, seconds = over_r > 0 and NO_REQUESTS or NO_TOKENS, room_in(over_r, over_t)
  elseif pays and (spent >= ask.budget or spent + held + took_money + m > ask.budget) then
    verdict = NO_MONEY
  else
    take(r, t, m)
  end
  all = all and verdict == GRANTED
  table.insert(answer, verdict)
  table.insert(answer, seconds)
end

-- the advance: of what is left, a small part, so that others are not refused what nobody uses ------------------------

if all and ask.ahead > 0 then
  local ahead, part = ask.ahead, 8 * live
  if ask.rpm >= 0 then ahead = math.min(ahead, (ask.rpm - requests - took_requests) / part) end
  if ask.tpm >= 0 and ask.each[1] > 0 then
    ahead = math.min(ahead, (ask.tpm - tokens - took_tokens) / part / ask.each[1])
  end
  if pays and ask.each[2] > 0 then
    ahead = math.min(ahead, (ask.budget - spent - held - took_money) / part / ask.each[2])
  end
  ahead = math.max(0, math.floor(ahead))
  take(ahead, ahead * ask.each[1], ahead * ask.each[2])
  answer[7] = ahead
end

if #ask.used > 0 or took_requests > 0 or took_tokens > 0 then
  redis.call('ZADD', in_use, now, ask.share)
end
if counts then
  add(now, took_requests, took_tokens)
  redis.call('HSET', minute, 'r', requests, 't', tokens, 'o', oldest, 'e', epoch, 'p:' .. ask.me, ask.turn)
  redis.call('EXPIRE', minute, KEEP + 10)
end
if pays then
  redis.call('HSET', purse, 'spent', spent, 'h:' .. ask.me, ask.held + took_money)
  redis.call('EXPIRE', purse, 86400)
end
answer[4], answer[5], answer[6] = requests, tokens, spent
return answer
