"""A vendor's limits as it enforces them: never more than allowed, and everything that is allowed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmcore.simulate.limits import Bucket, Upstream, Window
from llmcore.simulate.profile import UpstreamLimits

GAPS = st.lists(st.floats(0.0, 20.0), min_size=1, max_size=200)


@given(GAPS, st.floats(1.0, 600.0), st.floats(1.0, 100.0))
def test_in_any_span_a_bucket_lets_through_its_size_and_what_was_filled(
    gaps: list[float], per_minute: float, size: float
) -> None:
    bucket, now = Bucket(per_minute, size, 0.0), 0.0
    passed: list[float] = []
    for gap in gaps:
        now += gap
        if not bucket.wait_for(1.0, now):
            bucket.take(1.0, now)
            passed.append(now)
    for first, start in enumerate(passed):
        for last in range(first, len(passed)):
            assert last - first + 1 <= size + (passed[last] - start) * per_minute / 60 + 1e-6


@given(GAPS, st.integers(1, 20))
def test_a_window_lets_through_its_size_in_every_minute(gaps: list[float], size: int) -> None:
    window, now = Window(float(size), 0.0), 0.0
    minutes: dict[int, int] = {}
    for gap in gaps:
        now += gap
        if not window.wait_for(1.0, now):
            window.take(1.0, now)
            minutes[int(now // 60)] = minutes.get(int(now // 60), 0) + 1
    assert all(count <= size for count in minutes.values())


@given(st.sampled_from(["bucket", "window"]), st.floats(1.0, 50.0), st.integers(1, 30))
def test_who_waits_as_long_as_told_is_let_in(kind: str, now: float, taken: int) -> None:
    upstream = Upstream(UpstreamLimits(rpm=10, tpm=1000, kind=kind, burst=60.0), 0.0)  # type: ignore[arg-type]  # drawn
    for _ in range(taken):
        upstream.admit(90.0, now)
    wait = upstream.admit(90.0, now)
    if wait:
        assert upstream.admit(90.0, now + wait * 0.9) > 0
        assert upstream.admit(90.0, now + wait) == 0


def test_a_refusal_takes_nothing_from_the_other_limit() -> None:
    upstream = Upstream(UpstreamLimits(rpm=60, tpm=100, burst=60.0), 0.0)
    assert upstream.admit(100.0, 0.0) == 0
    assert upstream.admit(100.0, 0.0) == pytest.approx(60.0)
    told = upstream.told(0.0)
    assert told.requests is not None
    assert told.requests.remaining == 59


def test_what_a_bucket_tells_gives_its_rate_away() -> None:
    bucket = Bucket(600.0, 10.0, 0.0)
    for _ in range(4):
        bucket.take(1.0, 0.0)
    told = bucket.told(0.0)
    assert (told.limit, told.remaining, told.resets_s) == pytest.approx((10.0, 6.0, 0.4))


def test_more_than_the_whole_bucket_passes_when_it_is_full() -> None:
    bucket = Bucket(60.0, 10.0, 0.0)
    assert bucket.wait_for(50.0, 0.0) == 0
    bucket.take(50.0, 0.0)
    assert bucket.wait_for(1.0, 0.0) == pytest.approx(41.0)
