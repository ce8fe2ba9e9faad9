"""Real limits: token buckets for requests and for tokens, and what the vendor's headers say of them."""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

from llmcore.sim.dialects.base import Dialect
from llmcore.sim.script import Limits
from llmcore.sim.values import ApiError


@frozen
class _Level:
    """How full a bucket was at a time."""

    left: float
    at: float


class _Bucket:
    """Fills evenly, `size` in a window; may go below zero by what one answer takes."""

    def __init__(self, size: int, window_s: float, now: Callable[[], float]) -> None:
        self.size = size
        self._rate = size / window_s
        self._now = now
        self._level = _Level(size, now())

    def left(self) -> float:
        now = self._now()
        filled = self._level.left + (now - self._level.at) * self._rate
        self._level = _Level(min(float(self.size), filled), now)
        return self._level.left

    def take(self, amount: float) -> None:
        self._level = _Level(self.left() - amount, self._level.at)

    def wait_for(self, amount: float) -> float:
        """Seconds until there is so much, or the bucket is full; 0 if there is now."""
        return max(min(amount, self.size) - self.left(), 0.0) / self._rate

    def full_in(self) -> float:
        return (self.size - self.left()) / self._rate


class Gate:
    """Lets requests through as the limits allow."""

    def __init__(self, limits: Limits | None, now: Callable[[], float]) -> None:
        self._buckets: dict[str, _Bucket] = {}
        if limits is not None and limits.requests:
            self._buckets["requests"] = _Bucket(limits.requests, limits.window_s, now)
        if limits is not None and limits.tokens:
            self._buckets["tokens"] = _Bucket(limits.tokens, limits.window_s, now)

    @property
    def is_open(self) -> bool:
        """Whether there are no limits at all."""
        return not self._buckets

    def refusal(self, tokens: int) -> ApiError | None:
        """Take one request and its tokens; or say with 429 when there will be room, and take nothing."""
        wants = {"requests": 1, "tokens": tokens}
        waits = {kind: bucket.wait_for(wants[kind]) for kind, bucket in self._buckets.items()}
        kind, wait = max(waits.items(), key=lambda item: item[1], default=("", 0.0))
        if wait > 0:
            return ApiError(
                "rate_limit", f"Rate limit reached for {kind}.", retry_after=round(wait + 0.0005, 3)
            )
        for kind, bucket in self._buckets.items():
            bucket.take(wants[kind])
        return None

    def headers(self, dialect: Dialect) -> tuple[tuple[str, str], ...]:
        """The vendor's rate-limit headers."""
        return tuple(
            header
            for kind, bucket in self._buckets.items()
            for header in dialect.limits(kind, bucket.size, max(int(bucket.left()), 0), bucket.full_in())
        )
