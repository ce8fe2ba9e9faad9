"""Shapes of distributions: each keeps what its name promises, for any luck."""

from __future__ import annotations

import statistics
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmcore.simulate.shapes import Constant, LogNormal, Measured, Mixture, Shape, Slow, Uniform

LUCK = st.floats(0.0, 1.0, exclude_max=True)


def drawn(shape: Shape, count: int = 20_000) -> list[float]:
    random = Random(1)
    return sorted(shape.at(random.random()) for _ in range(count))


@given(LUCK, st.floats(0.01, 100), st.floats(1.0, 50))
def test_half_of_a_lognormal_are_below_its_median_and_a_twentieth_above_its_p95(
    luck: float, median: float, times: float
) -> None:
    shape = LogNormal(median, median * times)
    value = shape.at(luck)
    assert (value <= median * 1.000001) if luck <= 0.5 else (value >= median * 0.999999)
    assert (value <= shape.p95 * 1.000001) if luck <= 0.95 else (value >= shape.p95 * 0.999999)


@given(LUCK, LUCK)
def test_more_luck_is_never_less(one: float, other: float) -> None:
    low, high = sorted((one, other))
    for shape in (Constant(2.0), Uniform(1.0, 3.0), LogNormal(1.0, 4.0), Measured([3.0, 1.0, 2.0])):
        assert shape.at(low) <= shape.at(high)


def test_a_share_of_the_draws_is_slow() -> None:
    found = drawn(Slow(Constant(1.0), 0.02, 10.0))
    assert set(found) == {1.0, 10.0}
    assert found.count(10.0) / len(found) == pytest.approx(0.02, abs=0.003)


def test_the_slow_ones_are_distributed_like_the_others() -> None:
    found = [value for value in drawn(Slow(Uniform(1.0, 2.0), 0.1, 10.0)) if value >= 10.0]
    assert (min(found), max(found)) == pytest.approx((10.0, 20.0), abs=0.1)
    assert statistics.mean(found) == pytest.approx(15.0, abs=0.3)


def test_a_mixture_draws_each_part_by_its_share() -> None:
    found = drawn(Mixture(((1.0, Constant(1.0)), (2.0, Uniform(5.0, 6.0)), (1.0, Constant(9.0)))))
    assert found.count(1.0) / len(found) == pytest.approx(0.25, abs=0.01)
    assert found.count(9.0) / len(found) == pytest.approx(0.25, abs=0.01)
    middle = [value for value in found if 1.0 < value < 9.0]
    assert statistics.mean(middle) == pytest.approx(5.5, abs=0.02)


@given(st.lists(st.floats(0, 100), min_size=1), LUCK)
def test_what_was_measured_is_never_left(values: list[float], luck: float) -> None:
    assert min(values) <= Measured(values).at(luck) <= max(values)


def test_the_extremes_of_luck_are_values_too() -> None:
    for shape in (
        LogNormal(1.0, 2.0),
        Slow(Uniform(1.0, 2.0), 0.1, 2.0),
        Mixture(((1.0, Constant(1.0)),)),
        Measured([1.0, 2.0]),
    ):
        assert 0 < shape.at(0.0) < 1000
        assert 0 < shape.at(1.0) < 1e4
