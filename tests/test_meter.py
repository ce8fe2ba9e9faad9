"""The meter: its counts always add up, its quantiles are nearest-rank."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from llmcore.errors import ServerError
from llmcore.meter import Meter, quantile
from llmcore.types import Usage


@given(st.lists(st.sampled_from(["start", "ok", "fail", "left", "bug"]), max_size=60))
def test_counts_add_up_at_every_moment(steps: list[str]) -> None:
    meter = Meter()
    for step in steps:
        if step == "start":
            meter.started()
        elif meter.in_flight == 0:
            continue
        elif step == "ok":
            meter.succeeded(1.0, Usage(2, 3))
        elif step == "fail":
            meter.failed(ServerError("x"))
        elif step == "left":
            meter.gave_up()
        else:
            meter.broke_off(ValueError("bug"))
        stats = meter.stats("a")
        assert stats.requests == stats.successes + stats.failures + stats.cancelled + stats.in_flight
        assert stats.input_tokens == 2 * stats.successes


@given(st.lists(st.floats(0, 100), min_size=1, max_size=50), st.sampled_from([0.0, 0.5, 0.95, 1.0]))
def test_a_quantile_has_that_share_at_or_below_it(values: list[float], q: float) -> None:
    ordered = sorted(values)
    found = quantile(ordered, q)
    assert found in ordered
    assert sum(value <= found for value in ordered) >= math.ceil(q * len(ordered) - 1e-9)


def test_nothing_measured_is_none() -> None:
    stats = Meter().stats("a")
    assert stats.latency_mean_s is None
    assert stats.cost_usd is None
    assert quantile([], 0.5) is None
