"""Attempt logs: profiles and calls out of them, and the log of a simulation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llmcore.errors import ConfigurationError
from llmcore.simulate.log import MAX_SAMPLES, lines_of, thinned
from llmcore.simulate.profile import Scenario
from llmcore.simulate.run import simulate
from llmcore.simulate.spec import read_scenario
from llmcore.simulate.tally import figures
from llmcore.simulate.traffic import Replay, Traffic

SCENARIO = """
duration = "40m"
[traffic]
rate = 1
streams = 0.6
prompt = { uniform = [100, 900] }
answer = { uniform = [20, 80] }
deadline = 40
sessions = 7
[[providers]]
name = "a"
first_token = { median = 0.5, p95 = 1.5 }
speed = { uniform = [30, 60] }
errors = { ServerError = 0.05 }
[[providers]]
name = "b"
first_token = 0.8
"""


def line(**more: Any) -> str:
    return json.dumps({"call": 1, "at": 10.0, "provider": "a", "outcome": "success", **more})


def of_log(tmp_path: Path, text: str, more: str = "") -> Scenario:
    (tmp_path / "log.jsonl").write_text(text)
    (tmp_path / "s.toml").write_text(f'log = "log.jsonl"\n{more}')
    return read_scenario(tmp_path / "s.toml", environ={}, kinds=())


def test_a_simulation_of_a_simulations_log_looks_alike(tmp_path: Path) -> None:
    scenario = read_scenario(SCENARIO, environ={}, kinds=())
    first = simulate(scenario, scenario.setups[0], keep=True)
    again = of_log(tmp_path, "\n".join(lines_of(first.attempts)))
    assert [profile.name for profile in again.profiles] == ["a", "b"]
    assert again.profiles[0].errors[0][0] == pytest.approx(0.05, abs=0.015)
    second = simulate(again, again.setups[0])
    one, other = figures(first.calls), figures(second.calls)
    assert one.calls == other.calls
    assert [call.at for call in second.calls] == pytest.approx(
        [call.at - first.calls[0].at for call in first.calls], abs=1e-5
    )
    for name in ("p50", "p95"):
        assert getattr(other.latency, name) == pytest.approx(getattr(one.latency, name), rel=0.08)
        assert getattr(other.first_token, name) == pytest.approx(getattr(one.first_token, name), rel=0.12)
    assert second.loads["a"].input_tokens == pytest.approx(first.loads["a"].input_tokens, rel=0.02)


def test_attempts_of_one_call_are_one_call(tmp_path: Path) -> None:
    text = "\n".join((
        line(call="x", at="2026-01-01T00:00:00Z", provider="a", outcome="ServerError"),
        line(call="x", at="2026-01-01T00:00:00Z", provider="b", duration_s=3.0, first_token_s=1.0, usage={"input_tokens": 50, "output_tokens": 21}),
        line(call="y", at="2026-01-01T00:00:05Z", provider="a", duration_s=2.0, session="s", deadline_s=9),
    ))  # fmt: skip
    scenario = of_log(tmp_path, text)
    assert isinstance(scenario.traffic, Replay)
    one, two = scenario.traffic.recorded
    assert (one.at, one.prompt_tokens, one.answer_tokens, one.stream) == (0.0, 50, 21, True)
    assert (two.at, two.stream, two.session, two.deadline) == (5.0, False, "s", 9.0)
    a, b = scenario.profiles
    assert [(rate, way.word) for rate, way in a.errors] == [(0.5, "500")]
    assert (b.first_token.at(0.5), b.speed.at(0.5)) == (1.0, 10.0)


def test_a_scenario_lays_its_own_words_over_the_logs(tmp_path: Path) -> None:
    more = (
        '[traffic]\nrate = 3\n[[providers]]\nname = "a"\noutages = [{ from = 1, until = 2, fails = "503" }]\n'
    )
    scenario = of_log(
        tmp_path,
        line(first_token_s=1.0, duration_s=2.0, usage={"input_tokens": 7, "output_tokens": 11}),
        more,
    )
    assert isinstance(scenario.traffic, Traffic)
    assert (scenario.traffic.rate, scenario.traffic.prompt.at(0.3), scenario.traffic.streams) == (
        3.0,
        7.0,
        1.0,
    )
    assert scenario.profiles[0].first_token.at(0.9) == 1.0
    assert len(scenario.profiles[0].outages) == 1


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "line 1: is no attempt"),
        (line() + "\n[]", "line 2: is no attempt"),
        (json.dumps({"call": 1, "at": 1, "provider": "a"}), "has no 'outcome'"),
        (line(at="yesterday"), "line 1: is no attempt"),
        (line(duration_s="x"), "line 1: is no attempt"),
        ("", "holds no attempts"),
    ],
)
def test_what_is_no_attempt_is_told_with_its_line(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        of_log(tmp_path, text)


def test_traffic_that_is_played_again_takes_no_orders(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="set rate too"):
        of_log(tmp_path, line(), "[traffic]\nstreams = 0.5\n")


def test_samples_are_thinned_evenly() -> None:
    found = thinned([float(number) for number in range(10 * MAX_SAMPLES)])
    assert len(found) == MAX_SAMPLES
    assert (found[0], found[-1]) == (0.0, 10.0 * MAX_SAMPLES - 1)
    assert found[MAX_SAMPLES // 2] == pytest.approx(5.0 * MAX_SAMPLES, rel=0.01)
