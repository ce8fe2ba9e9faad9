"""Pure: counts and timings in, ProviderStats out. Nothing here reads a clock or raises."""

from __future__ import annotations

from collections import deque
from decimal import Decimal

from llmcore.errors import ProviderError
from llmcore.types import ProviderStats, Usage

WINDOW = 512


class Meter:
    """Counts what happens at one place. Law: requests = successes + failures + cancelled + in_flight, at any moment."""

    __slots__ = (
        "_cancelled",
        "_cost",
        "_double",
        "_failures",
        "_first",
        "_in_flight",
        "_input",
        "_last_error",
        "_latency",
        "_output",
        "_requests",
        "_successes",
    )

    def __init__(self) -> None:
        self._requests = self._successes = self._failures = self._cancelled = self._in_flight = 0
        self._input = self._output = self._double = 0
        self._cost: Decimal | None = None
        self._last_error: str | None = None
        self._latency: deque[float] = deque(maxlen=WINDOW)
        self._first: deque[float] = deque(maxlen=WINDOW)

    @property
    def in_flight(self) -> int:
        return self._in_flight

    def started(self) -> None:
        self._requests += 1
        self._in_flight += 1

    def succeeded(self, seconds: float, usage: Usage | None = None) -> None:
        self._in_flight -= 1
        self._successes += 1
        self._latency.append(seconds)
        if usage is not None:
            self._input += usage.input_tokens or 0
            self._output += usage.output_tokens or 0
            if usage.cost_usd is not None:
                self._cost = (self._cost or Decimal(0)) + usage.cost_usd

    def failed(self, error: ProviderError | str) -> None:
        self._in_flight -= 1
        self._failures += 1
        self._last_error = error if isinstance(error, str) else f"{error.outcome}: {error}"

    def gave_up(self) -> None:
        """The caller cancelled, or left a stream before its end."""
        self._in_flight -= 1
        self._cancelled += 1

    def broke_off(self, exc: BaseException) -> None:
        """Ended by something that is no ProviderError: a fault in code counts as failure, a cancellation does not."""
        if isinstance(exc, Exception):
            self.failed(type(exc).__name__)
        else:
            self.gave_up()

    def maybe_charged_twice(self) -> None:
        """An attempt is repeated although the one before it may have been billed."""
        self._double += 1

    def first_token(self, seconds: float) -> None:
        self._first.append(seconds)

    def stats(
        self, name: str, *, state: str = "ok", children: tuple[ProviderStats, ...] = ()
    ) -> ProviderStats:
        latency, first = sorted(self._latency), sorted(self._first)
        return ProviderStats(
            name=name,
            requests=self._requests,
            successes=self._successes,
            failures=self._failures,
            cancelled=self._cancelled,
            in_flight=self._in_flight,
            input_tokens=self._input,
            output_tokens=self._output,
            cost_usd=self._cost,
            latency_mean_s=_mean(latency),
            latency_p50_s=quantile(latency, 0.5),
            latency_p95_s=quantile(latency, 0.95),
            first_token_mean_s=_mean(first),
            first_token_p95_s=quantile(first, 0.95),
            last_error=self._last_error,
            possible_duplicate_charges=self._double,
            state=state,
            children=children,
        )


def quantile(ordered: list[float], q: float) -> float | None:
    """The value at rank ceil(q x n) of an ordered list (nearest-rank definition); None of nothing."""
    if not ordered:
        return None
    rank = -int(-q * len(ordered) // 1)
    return ordered[max(rank, 1) - 1]


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
