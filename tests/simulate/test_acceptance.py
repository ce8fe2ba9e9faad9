"""What the manager's policies must be worth, measured on simulated days: hedging, the latency strategy, pacing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from llmcore.simulate import read_scenario, simulate
from llmcore.simulate.report import report

# ------------------------------------------------------------------------------------------------ hedging

TAIL = """
duration = "40m"
seed = {seed}
[traffic]
rate = 2
streams = {streams}
answer = {{ uniform = [5, 20] }}
[[providers]]
name = "a"
first_token = {{ median = 0.4, p95 = 0.6, slow = {{ share = 0.02, times = 20 }} }}
speed = 100
[[providers]]
name = "b"
first_token = {{ median = 0.4, p95 = 0.6, slow = {{ share = 0.02, times = 20 }} }}
speed = 100
[[configs]]
name = "plain"
[[configs]]
name = "hedged"
fallback = {{ hedge_after = {after} }}
"""


def compared(text: str) -> list[Mapping[str, Any]]:
    scenario = read_scenario(text, environ={}, kinds=())
    configs: list[Mapping[str, Any]] = report(scenario, [simulate(scenario, one) for one in scenario.setups])[
        "configs"
    ]
    return configs


@pytest.mark.parametrize("streams", [1.0, 0.0])
@pytest.mark.parametrize("seed", [1, 2])
def test_hedging_cuts_the_tail_of_two_in_a_hundred_slow_requests(seed: int, streams: float) -> None:
    plain, hedged = compared(TAIL.format(seed=seed, streams=streams, after=0.8))
    assert plain["latency_s"]["p99"] >= 5 * hedged["latency_s"]["p99"]
    if streams:
        assert plain["first_token_s"]["p99"] >= 5 * hedged["first_token_s"]["p99"]
    assert hedged["attempts"] <= 1.05 * hedged["calls"]
    assert hedged["availability"] == 1.0


def test_hedging_after_the_observed_p95_cuts_it_too() -> None:
    plain, hedged = compared(TAIL.format(seed=1, streams=1.0, after='"p95"'))
    assert plain["latency_s"]["p99"] >= 5 * hedged["latency_s"]["p99"]
    assert hedged["attempts"] <= 1.1 * hedged["calls"]


# ----------------------------------------------------------------------------------------------- latency

DEGRADED = """
duration = "9m"
seed = {seed}
[traffic]
rate = {rate}
streams = {streams}
answer = {{ uniform = [50, 150] }}
[[providers]]
name = "a"
first_token = {{ median = 0.4, p95 = 0.6 }}
slowdowns = [{{ from = "2m", until = "5m", times = {times} }}]
[[providers]]
name = "b"
first_token = {{ median = 0.5, p95 = 0.8 }}
[[providers]]
name = "c"
first_token = {{ median = 0.5, p95 = 0.8 }}
[[configs]]
name = "latency"
fallback = {{ strategy = "latency" }}
"""
START, END = 120.0, 300.0
LEFT = 0.1
"""The share of the traffic below which a provider is left: a try now and then."""


@pytest.mark.parametrize("times", [5, 30])
@pytest.mark.parametrize(
    ("seed", "rate", "streams"), [(1, 2, 1.0), (2, 2, 0.0), (3, 10, 1.0), (4, 10, 0.0), (5, 2, 0.5)]
)
def test_a_degraded_provider_is_left_and_comes_back(
    seed: int, rate: float, streams: float, times: float
) -> None:
    scenario = read_scenario(
        DEGRADED.format(seed=seed, rate=rate, streams=streams, times=times), environ={}, kinds=()
    )
    run = simulate(scenario, scenario.setups[0], keep=True)
    asked = sorted((call.at, attempts[0].provider) for call, attempts in run.attempts)
    before = [name for at, name in asked if at < START]
    within = [name for at, name in asked if START <= at < END]
    assert before.count("a") / len(before) > 0.25, "in use while it is well"
    left = next(place for place in range(len(within)) if within[place : place + 40].count("a") <= LEFT * 40)
    assert within[:left].count("a") <= 20, "of its own requests"
    assert within[left:].count("a") / len(within[left:]) <= LEFT, "and stays left"
    after = [name for at, name in asked if at >= END + 60.0]
    assert after.count("a") / len(after) > 0.25, "a minute later it is in use again"


# ------------------------------------------------------------------------------------------------ pacing

STRICT = """
duration = "5m"
seed = 1
[traffic]
rate = 15
prompt = {{ uniform = [200, 800] }}
answer = {{ uniform = [50, 150] }}
streams = {streams}
deadline = 30
[[providers]]
name = "a"
first_token = {{ median = 0.4, p95 = 0.8 }}
limits = {{ {limits} }}
[[configs]]
name = "paced"
providers = {{ a = {{ {routing} }} }}
"""
ALLOWED = 5 * 600
"""Requests in all; where tokens are limited, so many of the mean size."""


def paced(limits: str, streams: float, routing: str = "") -> tuple[float, float]:
    """The share of the allowed throughput that was let through, and the share of 429s."""
    (config,) = compared(STRICT.format(limits=limits, streams=streams, routing=routing))
    provider = config["providers"][0]
    return (provider["asked"] - provider["refused_429"]) / ALLOWED, config["share_429"]


@pytest.mark.parametrize("streams", [1.0, 0.0])
@pytest.mark.parametrize("as_of", ["answer", "request"])
@pytest.mark.parametrize("limits", ['burst = "60s"', 'burst = "10s"', 'kind = "window"'])
def test_announced_limits_are_used_up_and_kept(limits: str, as_of: str, streams: float) -> None:
    share, refused = paced(f'rpm = 600, {limits}, as_of = "{as_of}"', streams)
    assert share >= 0.95
    assert refused < 0.01


@pytest.mark.parametrize("burst", ["10s", "60s"])
def test_announced_tokens_are_used_up_and_kept(burst: str) -> None:
    share, refused = paced(f'tpm = 360_000, burst = "{burst}"', 1.0)
    assert share >= 0.95
    assert refused < 0.01


@pytest.mark.parametrize("as_of", ["answer", "request"])
@pytest.mark.parametrize("streams", [1.0, 0.0])
def test_an_announced_bucket_of_one_second_is_used_up_too(streams: float, as_of: str) -> None:
    share, refused = paced(f'rpm = 600, burst = "1s", as_of = "{as_of}"', streams)
    assert share >= 0.95
    assert refused < 0.01


@pytest.mark.parametrize("streams", [1.0, 0.0])
@pytest.mark.parametrize("limits", ['burst = "60s"', 'burst = "10s"', 'burst = "1s"', 'kind = "window"'])
def test_configured_limits_are_used_up_and_kept(limits: str, streams: float) -> None:
    share, refused = paced(f"rpm = 600, {limits}, announce = false", streams, "rpm = 600")
    assert share >= 0.95
    assert refused < 0.01


@pytest.mark.parametrize("burst", ["10s", "60s"])
def test_configured_tokens_are_used_up_and_kept(burst: str) -> None:
    share, refused = paced(f'tpm = 360_000, burst = "{burst}", announce = false', 1.0, "tpm = 360_000")
    assert share >= 0.95
    assert refused < 0.01


@pytest.mark.parametrize("burst", ["0.1s", "1s", "10s"])
def test_what_nobody_told_is_learned_from_refusals(burst: str) -> None:
    """The learning included: from the first second on."""
    share, refused = paced(f'rpm = 600, burst = "{burst}", announce = false', 1.0)
    assert share >= 0.95
    assert refused < 0.01


SCATTERED = """
duration = "1h"
[traffic]
rate = 0.3
[[providers]]
name = "a"
errors = { "429" = { rate = 0.005, retry_after = 2 } }
[[configs]]
name = "paced"
"""


def test_a_refusal_now_and_then_teaches_no_pace() -> None:
    (config,) = compared(SCATTERED)
    assert config["availability"] >= 0.99
