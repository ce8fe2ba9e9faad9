"""The pacer against vendors that are strict: what they allow is used, and hardly ever exceeded."""

from __future__ import annotations

import heapq
from random import Random
from typing import Literal

import pytest
from attrs import define
from hypothesis import given
from hypothesis import strategies as st

from llmcore.manager.pace import Configured, Pacer, family
from llmcore.types import Limit, RateLimits


@define
class Vendor:
    """A strict limit of so many a minute, as a bucket of `capacity` or as a fixed window."""

    kind: Literal["bucket", "window"]
    limit: float
    capacity: float
    level: float = 0.0
    at: float = 0.0
    window: int = -1

    def ask(self, now: float) -> tuple[bool, RateLimits]:
        if self.kind == "bucket":
            self.level = min(self.capacity, self.level + (now - self.at) * self.limit / 60)
            self.at = now
            resets = (self.capacity - self.level) / (self.limit / 60)
        else:
            if int(now // 60) != self.window:
                self.window, self.level = int(now // 60), self.limit
            resets = (self.window + 1) * 60 - now
        granted = self.level >= 1
        self.level -= granted
        whole = self.capacity if self.kind == "bucket" else self.limit
        return granted, RateLimits(Limit(whole, int(self.level), resets))


def outcome(
    vendor: Vendor, pacer: Pacer, *, offered: float, latency: float, seconds: float, headers: bool, seed: int
) -> tuple[int, int]:
    """Served and refused, of a crowd that offers `offered` times what is allowed and waits in line."""
    rnd = Random(seed)
    vendor.level = vendor.capacity
    now, queue, next_arrival, rest = 0.0, 0, 0.0, 0.0
    answers: list[tuple[float, int, bool, RateLimits]] = []
    served = refused = 0
    while now < seconds:
        due = [next_arrival, *([answers[0][0]] if answers else [])]
        if queue:
            due.append(max(now + pacer.wait(0, now), rest))
        now = max(now, min(due))
        if answers and answers[0][0] <= now:
            _, _, good, limits = heapq.heappop(answers)
            pacer.settle(0, None, now)
            if headers:
                pacer.observe(limits, now)
            if not good:
                pacer.refused(None if headers else 1.0, now)
                rest = max(rest, now if headers else now + 1.0)
        elif next_arrival <= now:
            queue += 1
            next_arrival += rnd.expovariate(offered * vendor.limit / 60)
        elif queue and now >= rest and pacer.wait(0, now) <= 1e-9:
            queue -= 1
            pacer.take(0, now)
            good, limits = vendor.ask(now)
            served, refused = served + good, refused + (not good)
            heapq.heappush(answers, (now + latency * rnd.uniform(0.7, 1.3), served + refused, good, limits))
        else:
            now += 1e-6
    return served, refused


@pytest.mark.parametrize("latency", [0.2, 1.0, 5.0])
@pytest.mark.parametrize(("limit", "capacity"), [(60, 60), (600, 600), (600, 60), (3000, 3000)])
def test_a_strict_bucket_that_tells_its_level_is_used_up_and_not_exceeded(
    limit: float, capacity: float, latency: float
) -> None:
    served, refused = outcome(
        Vendor("bucket", limit, capacity),
        Pacer(None, None),
        offered=2.0,
        latency=latency,
        seconds=600,
        headers=True,
        seed=1,
    )
    assert served >= 0.95 * limit * 10
    assert refused <= 0.01 * (served + refused)


@pytest.mark.parametrize("limit", [60, 600])
def test_a_strict_window_that_tells_what_is_left(limit: float) -> None:
    served, refused = outcome(
        Vendor("window", limit, limit),
        Pacer(None, None),
        offered=2.0,
        latency=1.0,
        seconds=1200,
        headers=True,
        seed=1,
    )
    assert served >= 0.85 * limit * 20
    assert refused <= 0.02 * (served + refused)


def test_where_nothing_is_told_refusals_teach_the_rate() -> None:
    served, refused = outcome(
        Vendor("bucket", 600, 600),
        Pacer(None, None),
        offered=2.0,
        latency=1.0,
        seconds=3600,
        headers=False,
        seed=1,
    )
    assert served >= 0.95 * 600 * 60
    assert refused <= 0.03 * (served + refused)


@pytest.mark.parametrize(
    ("kind", "capacity"), [("bucket", 600), ("bucket", 60), ("bucket", 10), ("window", 600)]
)
def test_a_configured_limit_is_kept_without_any_news(
    kind: Literal["bucket", "window"], capacity: float
) -> None:
    served, refused = outcome(
        Vendor(kind, 600, capacity),
        Pacer(600, None),
        offered=2.0,
        latency=1.0,
        seconds=1200,
        headers=False,
        seed=1,
    )
    assert served >= 0.95 * 600 * 20
    assert refused <= 0.01 * (served + refused)


@given(
    limit=st.floats(1, 1000),
    steps=st.lists(st.tuples(st.floats(0, 30), st.floats(0.1, 50)), min_size=1, max_size=60),
)
def test_no_minute_ever_holds_more_than_the_limit(limit: float, steps: list[tuple[float, float]]) -> None:
    gauge, now = Configured(limit), 0.0
    sent: list[tuple[float, float]] = []
    for gap, wanted in steps:
        amount = min(wanted, limit)
        now += gap
        now += gauge.wait(amount, now) + 1e-9
        gauge.take(amount, now)
        sent.append((now, amount))
        assert sum(size for at, size in sent if at > now - 59.0) <= limit * 1.000001


def test_idle_until_something_limits_and_never_shorter_than_asked() -> None:
    pacer = Pacer(None, None)
    assert pacer.idle
    pacer.take(0, 1.0)
    pacer.refused(30.0, 1.0)
    assert pacer.idle, "one refused request says nothing of a pace"
    for _ in range(20):
        pacer.take(0, 1.0)
    pacer.refused(30.0, 1.0)
    assert not pacer.idle
    assert pacer.wait(0, 1.0) >= 30.0
    pacer.refused(5.0, 2.0)
    assert pacer.wait(0, 2.0) >= 29.0
    deaf = Pacer(None, None, learn=False)
    deaf.refused(30.0, 1.0)
    deaf.observe(RateLimits(Limit(10, 0, 60)), 1.0)
    assert deaf.idle


def test_room_is_the_share_of_the_tightest_limit() -> None:
    pacer = Pacer(None, None)
    assert pacer.room(0.0) == 1.0
    pacer.observe(RateLimits(Limit(100, 80, 10), Limit(1000, 100, 10)), 0.0)
    assert pacer.room(0.0) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("model", "common"),
    [
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("claude-haiku-4-5-20251001", "claude-haiku-4-5"),
        ("claude-3-5-sonnet-latest", "claude-3-5-sonnet"),
        ("llama3.2:latest", "llama3.2"),
        ("gpt-4o-mini", "gpt-4o-mini"),
        ("gpt-4-0613", "gpt-4"),
        ("latest", "latest"),
        (None, ""),
    ],
)
def test_families(model: str | None, common: str) -> None:
    assert family(model) == common
