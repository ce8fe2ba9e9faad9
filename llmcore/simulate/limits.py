"""Pure: a vendor's rate limits as it enforces them, and what its headers say of them."""

from __future__ import annotations

from typing import Protocol

from llmcore.simulate.profile import UpstreamLimits
from llmcore.types import Limit, RateLimits

MINUTE_S = 60.0
_ROUNDING = 1e-9


class Store(Protocol):
    """What is left of one limit. All times are seconds on one clock."""

    def wait_for(self, amount: float, now: float) -> float:
        """Seconds until so much may be taken; 0 if now."""
        ...

    def take(self, amount: float, now: float) -> None: ...

    def told(self, now: float) -> Limit: ...


class Bucket:
    """Fills evenly by `per_minute`, holds `size`. Law: in any span of s seconds at most size + s x rate is let through."""

    def __init__(self, per_minute: float, size: float, now: float) -> None:
        self._rate = per_minute / MINUTE_S
        self._size = size
        self._left = size
        self._at = now

    def wait_for(self, amount: float, now: float) -> float:
        missing = min(amount, self._size) - self._filled(now)
        return missing / self._rate if missing > _ROUNDING else 0.0

    def take(self, amount: float, now: float) -> None:
        self._left = self._filled(now) - amount

    def told(self, now: float) -> Limit:
        left = self._filled(now)
        return Limit(self._size, max(0.0, left // 1.0), (self._size - left) / self._rate)

    def _filled(self, now: float) -> float:
        self._left = min(self._size, self._left + (now - self._at) * self._rate)
        self._at = now
        return self._left


class Window:
    """`size` anew at the start of every minute."""

    def __init__(self, per_minute: float, now: float) -> None:
        self._size = per_minute
        self._origin = now
        self._minute = 0
        self._left = per_minute

    def wait_for(self, amount: float, now: float) -> float:
        self._turn(now)
        return 0.0 if min(amount, self._size) <= self._left + _ROUNDING else self._rest(now)

    def take(self, amount: float, now: float) -> None:
        self._turn(now)
        self._left -= amount

    def told(self, now: float) -> Limit:
        self._turn(now)
        return Limit(self._size, max(0.0, self._left // 1.0), self._rest(now))

    def _turn(self, now: float) -> None:
        minute = int((now - self._origin) // MINUTE_S)
        if minute != self._minute:
            self._minute, self._left = minute, self._size

    def _rest(self, now: float) -> float:
        return self._origin + (self._minute + 1) * MINUTE_S - now


class Upstream:
    """All limits of one vendor: requests and tokens."""

    def __init__(self, limits: UpstreamLimits, now: float) -> None:
        self._requests = _store(limits, limits.rpm, now)
        self._tokens = _store(limits, limits.tpm, now)

    def admit(self, tokens: float, now: float) -> float:
        """0 and everything taken; or the seconds until there is room, and nothing taken."""
        wants = [
            (store, amount)
            for store, amount in ((self._requests, 1.0), (self._tokens, tokens))
            if store is not None
        ]
        wait = max((store.wait_for(amount, now) for store, amount in wants), default=0.0)
        if not wait:
            for store, amount in wants:
                store.take(amount, now)
        return wait

    def told(self, now: float) -> RateLimits:
        """The state, as headers tell it."""
        return RateLimits(
            None if self._requests is None else self._requests.told(now),
            None if self._tokens is None else self._tokens.told(now),
        )


def _store(limits: UpstreamLimits, per_minute: float | None, now: float) -> Store | None:
    if per_minute is None:
        return None
    if limits.kind == "window":
        return Window(per_minute, now)
    return Bucket(per_minute, max(1.0, per_minute * limits.burst / MINUTE_S), now)
