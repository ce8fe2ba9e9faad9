"""Limits counted in Redis, for several processes and machines together; counted here while Redis is away.

Each reservation is one script, so that no two processes can both take the last place. Time is Redis's own. The laws are
those of `limits`: any 60 seconds hold at most `rpm` requests and `tpm` tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from types import TracebackType
from typing import Any, Self

import redis.asyncio as redis
from redis.exceptions import RedisError

from llmcore.gateway.access.limits import (
    Hold,
    LocalShares,
    Want,
    out_of_minute,
    out_of_money,
    period_ends,
    period_of,
)
from llmcore.gateway.access.principal import Limits
from llmcore.secret import Secret

ANSWER_S = 0.25
CONNECT_S = 0.5
AWAY_S = 3.0
"""After a failure Redis is left alone for so long."""

_RESERVE = """
local now = tonumber(redis.call('TIME')[1])
local rpm, tpm, requests, tokens = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local budget, micros, spent = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local taken, used, by = 0, 0, {}
if rpm >= 0 or tpm >= 0 then
  local flat = redis.call('HGETALL', KEYS[1])
  for i = 1, #flat, 2 do
    local second = tonumber(string.sub(flat[i], 2))
    if second + 61 <= now then
      redis.call('HDEL', KEYS[1], flat[i])
    elseif string.sub(flat[i], 1, 1) == 'r' then
      taken = taken + tonumber(flat[i + 1])
    else
      used = used + tonumber(flat[i + 1])
    end
    by[flat[i]] = tonumber(flat[i + 1])
  end
  local over_r, over_t = 0, 0
  if rpm >= 0 then over_r = math.max(0, taken + requests - rpm) end
  if tpm >= 0 then over_t = math.max(0, used + tokens - tpm) end
  if over_r > 0 or over_t > 0 then
    local kind = over_r > 0 and 1 or 2
    for second = now - 60, now do
      over_r = over_r - (by['r' .. second] or 0)
      over_t = over_t - (by['t' .. second] or 0)
      if over_r <= 0 and over_t <= 0 then return {kind, second + 61 - now} end
    end
    return {kind, 61}
  end
end
if budget >= 0 then
  local hour = math.floor(now / 3600)
  local known = math.max(spent, tonumber(redis.call('HGET', KEYS[2], 'spent') or '0'))
  local held = 0
  for back = 0, 2 do
    held = held + tonumber(redis.call('HGET', KEYS[2], 'h' .. (hour - back)) or '0')
  end
  if known >= budget or known + held + micros > budget then return {3, 0} end
  redis.call('HSET', KEYS[2], 'spent', known)
  redis.call('HINCRBY', KEYS[2], 'h' .. hour, micros)
  redis.call('EXPIRE', KEYS[2], tonumber(ARGV[8]))
end
if rpm >= 0 or tpm >= 0 then
  redis.call('HINCRBY', KEYS[1], 'r' .. now, requests)
  redis.call('HINCRBY', KEYS[1], 't' .. now, tokens)
  redis.call('EXPIRE', KEYS[1], 130)
end
return {0, now}
"""

_SETTLE = """
local now, slot = tonumber(redis.call('TIME')[1]), tonumber(ARGV[1])
if tonumber(ARGV[2]) ~= 0 and slot + 61 > now and redis.call('HEXISTS', KEYS[1], 't' .. slot) == 1 then
  redis.call('HINCRBY', KEYS[1], 't' .. slot, tonumber(ARGV[2]))
end
if redis.call('EXISTS', KEYS[2]) == 1 then
  redis.call('HINCRBY', KEYS[2], 'h' .. math.floor(slot / 3600), -tonumber(ARGV[3]))
  redis.call('HINCRBY', KEYS[2], 'spent', tonumber(ARGV[4]))
end
return 0
"""


class RedisShares:
    """Use in `async with`. local: counts while Redis does not answer. wall: epoch seconds, which decide the period."""

    def __init__(
        self,
        url: Secret,
        local: LocalShares,
        wall: Callable[[], float],
        now: Callable[[], float] | None = None,
    ) -> None:
        self._local = local
        self._wall = wall
        self._now = now or wall
        self._away_until = 0.0
        self._client: Any = redis.from_url(
            url.reveal(),
            socket_timeout=ANSWER_S,
            socket_connect_timeout=CONNECT_S,
            max_connections=64,
            health_check_interval=0,
        )
        self._reserve: Any = self._client.register_script(_RESERVE)
        self._settle: Any = self._client.register_script(_SETTLE)

    async def __aenter__(self) -> Self:
        try:
            await self._client.ping()
        except (RedisError, OSError):
            self._fails()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._client.aclose()

    @property
    def shared(self) -> bool:
        return self._now() >= self._away_until

    async def reserve(self, share: str, limits: Limits, want: Want, spent: int, /) -> Hold:
        if not self.shared:
            return await self._local.reserve(share, limits, want, spent)
        wall = self._wall()
        if limits.tpm is not None and want.tokens > limits.tpm:
            want = Want(want.requests, limits.tpm, want.micros)
        period = "" if limits.budget_micros is None else period_of(limits.period, wall)
        lasts = round((period_ends(limits.period, wall) or 366 * 86400) + 7200)
        numbers = (_or_none(limits.rpm), _or_none(limits.tpm), want.requests, want.tokens)
        money = (_or_none(limits.budget_micros), want.micros, spent, lasts)
        try:
            verdict, number = await self._reserve(keys=_keys(share, period), args=(*numbers, *money))
        except (RedisError, OSError):
            self._fails()
            return await self._local.reserve(share, limits, want, spent)
        if verdict == 3:
            raise out_of_money(limits, wall)
        if verdict:
            raise out_of_minute(limits, verdict == 1, float(number))
        return Hold(share, int(number), want, period, shared=True)

    async def settle(self, hold: Hold, tokens: int | None, micros: int | None, /) -> None:
        if not hold.shared:
            await self._local.settle(hold, tokens, micros)
            return
        delta = 0 if tokens is None else tokens - hold.want.tokens
        paid = hold.want.micros if micros is None else micros
        keys = _keys(hold.share, hold.period)
        try:
            await self._settle(keys=keys, args=(hold.slot, delta, hold.want.micros, paid))
        except (RedisError, OSError):
            self._fails()

    def _fails(self) -> None:
        self._away_until = self._now() + AWAY_S


def _keys(share: str, period: str) -> tuple[str, str]:
    """Braces keep both on one node of a cluster; the whole share is hashed, never cut."""
    name = "{" + sha256(share.encode()).hexdigest()[:40] + "}"
    return f"llmcore:minute:{name}", f"llmcore:money:{name}:{period}"


def _or_none(limit: int | None) -> int:
    return -1 if limit is None else limit
