"""Traffic: as many calls as the rate says, at the times at which it says them."""

from __future__ import annotations

import itertools
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmcore.simulate.profile import Call
from llmcore.simulate.shapes import Constant, Uniform
from llmcore.simulate.traffic import DAY_S, Burst, Replay, Traffic


def times(traffic: Traffic, duration: float) -> list[float]:
    return [call.at for call in traffic.calls(duration, Random(1))]


@settings(max_examples=20)
@given(st.floats(0.1, 5.0), st.floats(1.0, 2000.0))
def test_even_arrivals_are_the_rate_times_the_duration(rate: float, duration: float) -> None:
    found = times(Traffic(rate, arrivals="even"), duration)
    assert abs(len(found) - rate * duration) <= 1.001
    assert all(
        later - earlier == pytest.approx(1 / rate, rel=1e-6) for earlier, later in itertools.pairwise(found)
    )


def test_chance_keeps_the_mean_and_scatters_around_it() -> None:
    found = times(Traffic(2.0), 10_000.0)
    assert len(found) == pytest.approx(20_000, rel=0.03)
    assert found == sorted(found)
    assert found[0] >= 0
    assert found[-1] < 10_000
    by_second = [0] * 10_000
    for at in found:
        by_second[int(at)] += 1
    mean = len(found) / 10_000
    variance = sum((count - mean) ** 2 for count in by_second) / 10_000
    assert variance == pytest.approx(mean, rel=0.1), "a Poisson count varies by its mean"


def test_a_burst_multiplies_the_rate_in_its_window() -> None:
    found = times(Traffic(1.0, bursts=(Burst(100.0, 200.0, 10.0),), arrivals="even"), 300.0)
    inside = sum(100 <= at < 200 for at in found)
    assert (inside, len(found) - inside) == pytest.approx((1000, 200), abs=2)


def test_a_window_without_traffic_has_none() -> None:
    found = times(Traffic(1.0, bursts=(Burst(100.0, 200.0, 0.0),)), 300.0)
    assert not [at for at in found if 100 <= at < 200]
    assert [at for at in found if at > 200]


def test_a_day_has_its_mean_and_its_curve() -> None:
    traffic = Traffic(0.5, hours=(1.0,) * 12 + (3.0,) * 12, arrivals="even")
    found = times(traffic, DAY_S)
    assert len(found) == pytest.approx(0.5 * DAY_S, rel=0.002)
    night, noon = (sum(hour * 3600 <= at < (hour + 1) * 3600 for at in found) for hour in (5, 18))
    assert noon / night == pytest.approx(3.0, rel=0.02)


def test_sizes_streams_and_sessions_are_drawn() -> None:
    traffic = Traffic(1.0, prompt=Uniform(10, 20), answer=Constant(7), streams=0.25, deadline=9.0, sessions=5)
    calls = list(traffic.calls(5000.0, Random(2)))
    assert [call.number for call in calls] == list(range(len(calls)))
    assert {call.answer_tokens for call in calls} == {7}
    assert {call.deadline for call in calls} == {9.0}
    assert {call.session for call in calls} == {f"session-{number}" for number in range(5)}
    assert all(10 <= call.prompt_tokens <= 20 for call in calls)
    assert sum(call.stream for call in calls) / len(calls) == pytest.approx(0.25, abs=0.03)


def test_the_same_chance_gives_the_same_calls() -> None:
    traffic = Traffic(1.0, streams=0.5)
    assert list(traffic.calls(100.0, Random(4))) == list(traffic.calls(100.0, Random(4)))


def test_a_log_is_played_again_up_to_the_end() -> None:
    calls = tuple(Call(0, float(at), 1, 1) for at in range(10))
    found = list(Replay(calls).calls(4.5, Random(0)))
    assert [(call.number, call.at) for call in found] == [(0, 0.0), (1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0)]
