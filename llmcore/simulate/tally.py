"""Pure: what callers saw, call by call, and the figures that it adds up to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from attrs import frozen

from llmcore.meter import quantile
from llmcore.types import Attempt

QUANTILES: tuple[tuple[str, float], ...] = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))


@frozen
class Seen:
    """One call as its caller saw it. first_s: to the first visible word, of streams only; whys: why each attempt was made."""

    at: float
    seconds: float
    outcome: str
    first_s: float | None = None
    whys: tuple[str, ...] = ()
    waited_s: float = 0.0

    @property
    def good(self) -> bool:
        return self.outcome == "success"


def seen(at: float, seconds: float, outcome: str, first_s: float | None, attempts: Sequence[Attempt]) -> Seen:
    whys = tuple(attempt.why for attempt in attempts)
    return Seen(at, seconds, outcome, first_s, whys, sum(attempt.wait_s for attempt in attempts))


@frozen
class Quantiles:
    """Nearest-rank quantiles in seconds; None of nothing."""

    p50: float | None = None
    p95: float | None = None
    p99: float | None = None


@frozen
class Figures:
    """Figures over some calls. latency: of the calls that succeeded, to their end; first_token: of their streams.

    amplification: attempts per call.
    """

    calls: int
    succeeded: int
    attempts: int
    latency: Quantiles
    first_token: Quantiles
    failures: dict[str, int]
    whys: dict[str, int]

    @property
    def availability(self) -> float | None:
        return self.succeeded / self.calls if self.calls else None

    @property
    def amplification(self) -> float | None:
        return self.attempts / self.calls if self.calls else None


def figures(calls: Iterable[Seen]) -> Figures:
    """The figures over all of them."""
    calls = list(calls)
    good = [call for call in calls if call.good]
    failures = Counter(call.outcome for call in calls if not call.good)
    whys = Counter(why for call in calls for why in call.whys)
    return Figures(
        len(calls),
        len(good),
        sum(len(call.whys) for call in calls),
        quantiles([call.seconds for call in good]),
        quantiles([call.first_s for call in good if call.first_s is not None]),
        {name: failures[name] for name in sorted(failures)},
        {name: whys[name] for name in sorted(whys)},
    )


def quantiles(values: Iterable[float]) -> Quantiles:
    ordered = sorted(values)
    return Quantiles(*(quantile(ordered, q) for _, q in QUANTILES))


def by_step(calls: Iterable[Seen], step: float, steps: int) -> list[Figures]:
    """The figures of every step, by the moment at which calls began."""
    found: list[list[Seen]] = [[] for _ in range(steps)]
    for call in calls:
        found[min(int(call.at // step), steps - 1)].append(call)
    return [figures(group) for group in found]
