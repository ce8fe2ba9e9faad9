"""Whole runs: the same bytes for the same seed, accounts that agree on both sides, the figures of a report."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from decimal import Decimal

import pytest
from attrs import evolve

from llmcore.meter import quantile
from llmcore.simulate import read_scenario, simulate
from llmcore.simulate.profile import Scenario
from llmcore.simulate.report import as_json, report
from llmcore.simulate.run import Run
from llmcore.simulate.tally import Seen, figures

TEXT = """
name = "rough"
duration = "30m"
step = "5m"
seed = 11
[traffic]
rate = 1
streams = 0.5
deadline = 30
sessions = 20
[[providers]]
name = "a"
first_token = { median = 0.5, p95 = 1.5, slow = { share = 0.03, times = 30 } }
errors = { ServerError = 0.05, cut = 0.01, "429" = { rate = 0.01, retry_after = 1 } }
outages = [{ from = "10m", until = "14m", fails = "503", cuts = true }]
price = { input = 1, output = 2 }
[[providers]]
name = "b"
errors = { silent = 0.01 }
limits = { rpm = 60 }
capacity = 20
price = { input = 2, output = 4 }
[[configs]]
name = "plain"
[[configs]]
name = "busy"
fallback = { strategy = "latency", hedge_after = 2, mid_stream = "restart", generate_by_stream = true }
"""


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return read_scenario(TEXT, environ={}, kinds=())


@pytest.fixture(scope="module")
def runs(scenario: Scenario) -> list[Run]:
    return [simulate(scenario, setup, keep=True) for setup in scenario.setups]


def test_the_same_seed_gives_the_same_bytes_in_another_process(scenario: Scenario, runs: list[Run]) -> None:
    script = (
        "import sys; from llmcore.simulate import read_scenario, simulate; from llmcore.simulate.report import *\n"
        "s = read_scenario(sys.stdin.read(), environ={}, kinds=())\n"
        "print(as_json(report(s, [simulate(s, one) for one in s.setups])), end='')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], input=TEXT, capture_output=True, text=True, check=True, timeout=120,
        env={"PYTHONHASHSEED": "123"},
    )  # fmt: skip
    assert done.stdout == as_json(report(scenario, runs))


def test_another_seed_gives_others(scenario: Scenario, runs: list[Run]) -> None:
    other = evolve(scenario, seed=12)
    assert (
        report(other, [simulate(other, other.setups[0])])["configs"][0]
        != report(scenario, runs)["configs"][0]
    )


def test_the_accounts_of_both_sides_agree(runs: list[Run]) -> None:
    for run in runs:
        made = [attempt for _, attempts in run.attempts for attempt in attempts]
        by_provider = Counter(attempt.provider for attempt in made)
        assert by_provider == {name: load.asked for name, load in run.loads.items()}
        good = Counter(attempt.provider for attempt in made if attempt.outcome == "success")
        assert good == {name: load.served for name, load in run.loads.items()}
        for name, load in run.loads.items():
            assert load.in_flight == 0
            assert load.asked == sum(load.outcomes.values())
            measured = [a.usage for a in made if a.provider == name and a.outcome == "success"]
            assert sum(usage.output_tokens or 0 for usage in measured) <= load.output_tokens
            cost = (
                (Decimal(load.input_tokens) + 2 * load.output_tokens) * (1 if name == "a" else 2) / 1_000_000
            )
            assert load.cost_usd == cost


def test_every_call_is_seen_once_and_the_failures_add_up(scenario: Scenario, runs: list[Run]) -> None:
    for run, config in zip(runs, report(scenario, runs)["configs"], strict=True):
        assert len(run.calls) == config["calls"] == len(run.attempts)
        assert config["succeeded"] + sum(config["failures"].values()) == config["calls"]
        assert sum(config["over_time"]["calls"]) == config["calls"]
        for one in config["providers"]:
            assert one["asked"] == one["served"] + one["left"] + sum(one["failures"].values())
            assert sum(config["over_time"]["providers"][one["name"]]["asked"]) == one["asked"]
        assert config["attempts"] == sum(config["attempts_by_why"].values())
        good = sorted(call.seconds for call in run.calls if call.good)
        assert config["latency_s"]["p99"] == round(quantile(good, 0.99) or 0, 6)


def test_an_outage_opens_the_breaker_and_is_seen_when_it_was(scenario: Scenario, runs: list[Run]) -> None:
    found = report(scenario, runs)
    plain = found["configs"][0]
    assert plain["breaker_openings"]["a"] >= 1
    opened = plain["over_time"]["providers"]["a"]["breaker_openings"]
    assert opened[2] == sum(opened)
    assert plain["over_time"]["at_s"] == [0.0, 300.0, 600.0, 900.0, 1200.0, 1500.0]
    assert {"provider": "a", "from_s": 600.0, "until_s": 840.0, "what": "503"} in found["windows"]
    assert found["configs"][1]["hedges"] > 0


def test_both_loops_come_to_figures_alike(scenario: Scenario) -> None:
    short = evolve(scenario, duration=120.0)
    one, other = (simulate(short, short.setups[0], backend=loop) for loop in ("asyncio", "trio"))
    assert [call.at for call in one.calls] == [call.at for call in other.calls]
    assert [call.seconds for call in one.calls] == pytest.approx(
        [call.seconds for call in other.calls], abs=1e-6
    )


def test_configurations_meet_the_same_luck(scenario: Scenario) -> None:
    calm = evolve(scenario, profiles=tuple(evolve(one, errors=(), outages=()) for one in scenario.profiles))
    patient, other = (
        calm.setups[0],
        evolve(calm.setups[0], fallback=evolve(calm.setups[0].fallback, max_retries=0)),
    )
    one, two = simulate(calm, patient), simulate(calm, other)
    assert [call.seconds for call in one.calls] == [call.seconds for call in two.calls]


def test_progress_is_told_and_rises(scenario: Scenario) -> None:
    told: list[float] = []
    simulate(evolve(scenario, duration=300.0), scenario.setups[0], tick=told.append)
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert len(told) > 50


def test_figures_of_nothing_are_unknown() -> None:
    found = figures([])
    assert (found.availability, found.amplification, found.latency.p99) == (None, None, None)


def test_first_tokens_are_of_streams_that_succeeded() -> None:
    calls = [Seen(0, 5, "success", 1.0), Seen(0, 6, "success"), Seen(0, 7, "ServerError", 3.0)]
    found = figures(calls)
    assert (found.first_token.p99, found.latency.p99, found.failures) == (1.0, 6, {"ServerError": 1})


def test_a_report_is_json_without_infinities(scenario: Scenario, runs: list[Run]) -> None:
    text = as_json(report(scenario, runs))
    json.loads(text, parse_constant=lambda constant: pytest.fail(constant))


def test_requests_that_come_after_the_end_count_in_the_last_step() -> None:
    late = read_scenario(
        'duration = 20\nstep = 5\n[[providers]]\nname = "a"\nerrors = { "429" = { rate = 0.9, retry_after = 3 } }\n',
        environ={}, kinds=(),
    )  # fmt: skip
    run = simulate(late, late.setups[0])
    assert max(run.loads["a"].asked_by_step) >= 4, "some come after it"
    series = report(late, [run])["configs"][0]["over_time"]["providers"]["a"]
    assert (len(series["asked"]), sum(series["asked"])) == (4, run.loads["a"].asked)
    assert sum(series["refused_429"]) == run.loads["a"].refused
