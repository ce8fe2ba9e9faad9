"""A table of strict upstreams: 95 % of what they allow with under 1 % of refusals, and which few cases fall short of it.

Announced limits are measured from the first second. What is not announced is learned from refusals, so the first minutes
(LEARNING) are left out. Demand is half as much again as what is allowed.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.pacing import Bucket, Dialect, Traffic, Window

BUCKETS = [(1, 1), (1, 10), (2, 2), (5, 1), (10, 1), (10, 3), (10, 10), (10, 100), (50, 5), (50, 50), (200, 1), (200, 20), (200, 100)]  # fmt: skip
"""Rate per second, burst."""
LATENCIES = [(0.05, 0.05), (0.3, 0.8), (1.0, 5.0)]
LEARNING = {1: 300.0, 2: 300.0, 5: 120.0, 10: 120.0, 50: 60.0, 200: 60.0}
"""Seconds, by rate."""


def seconds(rate: float) -> float:
    return 600.0 if rate <= 2 else 300.0 if rate <= 10 else 60.0


def run(
    rate: int, burst: float, latency: tuple[float, float], dialect: Dialect = "openai", **how: Any
) -> Traffic:
    return Traffic(
        Bucket(rate, size=burst, window_s=1.0, dialect=dialect),
        how.pop("demand", 1.5) * rate,
        **{"seconds": seconds(rate), "latency": latency, "travel": (0.01, 0.01), **how},
    )


@pytest.mark.parametrize("as_of", ["request", "answer"])
@pytest.mark.parametrize("latency", LATENCIES, ids=str)
@pytest.mark.parametrize(("rate", "burst"), BUCKETS)
def test_an_announced_bucket(rate: int, burst: float, latency: tuple[float, float], as_of: str) -> None:
    """The first seconds included, in which a bucket of one refuses before it has told its rate."""
    found = run(rate, burst, latency, as_of=as_of)
    assert found.throughput >= 0.95
    assert found.refusals < (0.013 if burst == 1 else 0.01)


@pytest.mark.parametrize("latency", LATENCIES, ids=str)
@pytest.mark.parametrize(("rate", "burst"), [(1, 1), (1, 10), (10, 1), (10, 10), (50, 5)])
@pytest.mark.parametrize("dialect", ["anthropic", "generic", "next", "bare"])
def test_an_announced_bucket_whose_resets_say_little(
    rate: int, burst: float, latency: tuple[float, float], dialect: Dialect
) -> None:
    """Whole seconds, the next request only, nothing: what is left tells the refill; where it is always 0, refusals do."""
    lead = 300.0 if burst == 1 else 60.0
    found = run(rate, burst, latency, dialect, lead=lead)
    assert found.throughput >= 0.95
    assert found.refusals < 0.01


@pytest.mark.parametrize("latency", LATENCIES, ids=str)
@pytest.mark.parametrize(("rate", "burst"), [(1, 3), (10, 1), (10, 10), (50, 50)])
@pytest.mark.parametrize(
    "how",
    [{"refusals_tell": False}, {"hints": False}, {"hints": "whole"}, {"demand": 5.0}, {"demand": 1.05}],
    ids=str,
)
def test_an_announced_bucket_with_other_refusals_and_demands(
    rate: int, burst: float, latency: tuple[float, float], how: dict[str, Any]
) -> None:
    """The first seconds of a flood are over before the first news is here."""
    found = run(rate, burst, latency, lead=10.0 if how == {"demand": 5.0} else 0.0, **how)
    assert found.throughput >= (0.93 if "refusals_tell" in how or "demand" in how else 0.95)
    assert found.refusals < 0.01


@pytest.mark.parametrize("latency", LATENCIES, ids=str)
@pytest.mark.parametrize("rate", [1, 10, 100])
@pytest.mark.parametrize("window_s", [1.0, 10.0])
def test_an_announced_window(window_s: float, rate: int, latency: tuple[float, float]) -> None:
    upstream = Window(rate * window_s, window_s=window_s, begun=0.3 * window_s)
    found = Traffic(
        upstream, 1.5 * rate, seconds=299.6 if window_s == 1 else 296.9, latency=latency, travel=(0.01, 0.01)
    )
    assert found.throughput >= 0.94
    assert found.refusals < 0.03


@pytest.mark.parametrize("latency", LATENCIES, ids=str)
@pytest.mark.parametrize(("rate", "burst"), BUCKETS)
@pytest.mark.parametrize("hints", [True, False], ids=["retry-after", "no retry-after"])
def test_a_bucket_that_is_not_announced(
    rate: int, burst: float, latency: tuple[float, float], hints: bool
) -> None:
    found = run(rate, burst, latency, headers=False, hints=hints, lead=LEARNING[rate])
    assert found.throughput >= (0.93 if (rate, burst) == (200, 1) else 0.95)
    assert found.refusals < 0.01


@pytest.mark.parametrize("latency", LATENCIES, ids=str)
@pytest.mark.parametrize(("rate", "burst"), BUCKETS)
def test_a_bucket_that_is_not_announced_and_asks_for_whole_seconds(
    rate: int, burst: float, latency: tuple[float, float]
) -> None:
    """Each refusal costs up to a second, in which a small bucket runs over."""
    found = run(rate, burst, latency, headers=False, hints="whole", lead=LEARNING[rate])
    assert found.throughput >= (0.80 if burst <= 1 else 0.93)
    assert found.refusals < 0.01


@pytest.mark.parametrize("headers", [True, False], ids=["announced", "not announced"])
@pytest.mark.parametrize("latency", LATENCIES, ids=str)
@pytest.mark.parametrize(("rate", "burst"), [(1, 3), (10, 10), (50, 50)])
def test_two_that_share_a_bucket(
    rate: int, burst: float, latency: tuple[float, float], headers: bool
) -> None:
    """Neither knows of the other. A bucket of 1 could be shared by turns only, and is not in the table."""
    found = run(rate, burst, latency, headers=headers, lead=120.0, pacers=2)
    assert found.throughput >= 0.95
    assert found.refusals < 0.05
