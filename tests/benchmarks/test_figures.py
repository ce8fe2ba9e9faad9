"""Medians, percentiles and paired ratios."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.figures import difference, percentile, ratio, spread

VALUES = st.lists(st.floats(1e-3, 1e6), min_size=1, max_size=50)
ROUNDS = st.dictionaries(st.integers(0, 9), st.floats(1e-3, 1e6))


@given(VALUES, st.floats(0.001, 1))
def test_a_percentile_is_the_least_value_that_the_share_does_not_exceed(
    values: list[float], share: float
) -> None:
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9
    assert sum(value < found for value in values) < share * len(values)


def test_the_99th_of_a_hundred_is_not_the_worst() -> None:
    assert percentile([*range(1, 101)], 0.99) == 99
    assert percentile([*range(1, 101)], 1) == 100


@given(VALUES)
def test_a_median_lies_in_its_spread(values: list[float]) -> None:
    middle, least, most = spread(values)
    assert least <= middle <= most


@given(ROUNDS, st.floats(0.01, 100))
def test_a_ratio_is_that_of_each_round_and_a_slow_round_falls_out(
    below: dict[int, float], factor: float
) -> None:
    above = {turn: value * factor for turn, value in below.items()}
    found = ratio(above, below)
    assert (found is None) == (not below)
    if found is not None:
        assert found == pytest.approx(factor)


@given(ROUNDS, ROUNDS)
def test_rounds_that_lack_one_of_both_do_not_count(above: dict[int, float], below: dict[int, float]) -> None:
    both = above.keys() & below.keys()
    assert (ratio(above, below) is None) == (not both)
    assert difference(above, below) == difference(
        {turn: above[turn] for turn in both}, {turn: below[turn] for turn in both}
    )
