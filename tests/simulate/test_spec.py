"""Scenarios in TOML: what is read, and a complaint with its path for everything that cannot be."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmcore.errors import ConfigurationError
from llmcore.loader.text import Notes
from llmcore.simulate.profile import Scenario
from llmcore.simulate.shapes import Constant, LogNormal, Measured, Mixture, Slow, Uniform
from llmcore.simulate.spec import read_scenario
from llmcore.simulate.traffic import Traffic
from llmcore.simulate.values import in_seconds, shape
from llmcore.simulate.ways import WAYS

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "simulate.toml"
MINIMAL = '[[providers]]\nname = "a"\n'


def read(text: Any, **more: Any) -> Scenario:
    return read_scenario(text, **{"environ": {}, "kinds": ("openai", "ollama"), **more})


def complaints(text: str, **more: Any) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        read(text, **more)
    return caught.value.complaints


def test_the_example_can_be_read() -> None:
    scenario = read(EXAMPLE)
    assert (scenario.duration, scenario.step, scenario.seed) == (86_400.0, 900.0, 1)
    primary, secondary = scenario.profiles
    assert isinstance(primary.first_token, Slow)
    assert primary.outages[0].way.after == 0.2
    assert primary.errors[1][1].retry_after == 2.0
    assert secondary.limits is not None
    assert [setup.name for setup in scenario.setups] == ["one provider", "defaults", "fast"]
    assert scenario.setups[2].fallback.hedge_after == 3.0
    assert list(scenario.setups[0].routings) == ["primary", "secondary"]


def test_a_name_is_all_that_a_provider_needs() -> None:
    scenario = read(MINIMAL)
    assert (scenario.duration, scenario.traffic) == (86_400.0, Traffic())
    assert [setup.name for setup in scenario.setups] == ["defaults"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("1h30m", 5400), ("250ms", 0.25), ("7d", 604_800), ("1.5h", 5400), ("1m 5s", 65)]
    + [(text, None) for text in ("", "h", "5", "5x", "5s!", "s5", "5 s 4 q", "-5s")],
)
def test_durations_have_units(text: str, seconds: float | None) -> None:
    assert in_seconds(text) == seconds


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (2, Constant(2.0)),
        ({"constant": 2}, Constant(2.0)),
        ({"uniform": [1, 2]}, Uniform(1.0, 2.0)),
        ({"median": 1, "p95": 3}, LogNormal(1.0, 3.0)),
        ({"measured": [3, 1]}, Measured([1.0, 3.0])),
        (
            {"median": 1, "p95": 3, "slow": {"share": 0.02, "times": 10}},
            Slow(LogNormal(1.0, 3.0), 0.02, 10.0),
        ),
        (
            {"mixture": [{"share": 0.9, "median": 1, "p95": 2}, {"share": 0.1, "constant": 9}]},
            Mixture(((0.9, LogNormal(1.0, 2.0)), (0.1, Constant(9.0)))),
        ),
    ],
)
def test_shapes(value: Any, found: Any) -> None:
    from llmcore.loader.rules import number

    notes = Notes()
    assert shape(number())(value, "x", notes) == found
    assert not notes.errors


BAD: tuple[tuple[str, str], ...] = (
    ("first_token = -1", "providers[0].first_token: must be a number of at least 0"),
    ('first_token = "soon"', "is no duration"),
    ("first_token = true", "must be a distribution"),
    ("first_token = { median = 1 }", "median and p95 belong together"),
    ("first_token = { median = 2, p95 = 1 }", "p95 must be at least median"),
    ("first_token = { uniform = [2, 1] }", "the lowest stands above the highest"),
    ("first_token = { uniform = [1] }", "must be [lowest, highest]"),
    ("first_token = { median = 1, p95 = 2, constant = 3 }", "must be one distribution"),
    ("first_token = { mean = 1 }", "did you mean 'median'?"),
    ("first_token = { mixture = [{ constant = 1 }] }", "first_token.mixture[0]: has no share"),
    ("first_token = { constant = 1, slow = { share = 0.1 } }", "needs both"),
    ("speed = 0", "must be a number above 0"),
    ("errors = { Bug = 0.1 }", "is no way to fail"),
    ("errors = { ServerErorr = 0.1 }", "did you mean 'ServerError'?"),
    ("errors = { ServerError = 0.6, RateLimitError = 0.6 }", "add up to more than 1"),
    ("errors = { ServerError = { after = 1 } }", "has no rate"),
    ('outages = [{ until = "1h", fails = "503" }]', "has no 'from'"),
    ('outages = [{ from = "2h", until = "1h", fails = "503" }]', "ends before it begins"),
    ('outages = [{ from = 0, fails = "418" }]', "is no way to fail"),
    ("outages = { from = 0 }", "must be a list of tables"),
    ("slowdowns = [{ from = 0 }]", "has no 'times'"),
    ('limits = { rpm = 60, kind = "leaky" }', "unknown kind of limit 'leaky'"),
    ('when_full = "panic"', "unknown answer 'panic'"),
    ("ttft = 1", "did you mean 'first_token'?"),
    ("price = { output = 1 }", "has no 'input'"),
)


@pytest.mark.parametrize(("line", "complaint"), BAD)
def test_every_mistake_is_told_with_its_path(line: str, complaint: str) -> None:
    told = complaints(MINIMAL + line + "\n")
    assert any(complaint in one and one.startswith("providers[0]") for one in told), told


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("duration = 5", "providers: there are none"),
        (MINIMAL + MINIMAL, "providers[1].name: 'a' is the name of another provider too"),
        ("[[providers]]\nspeed = 5", "providers[0]: has no name"),
        ("provider = 5\n" + MINIMAL, "did you mean 'providers'?"),
        (MINIMAL + "[traffic]\nhours = [1, 2]", "traffic.hours: must be a list of 24"),
        (MINIMAL + f"[traffic]\nhours = {[0] * 24}", "traffic.hours: are all 0"),
        (MINIMAL + "[traffic]\nrate = 0", "traffic.rate: must be a number above 0"),
        (MINIMAL + "[traffic]\nstreams = 2", "traffic.streams: must be a number from 0 to 1"),
        (MINIMAL + "[traffic]\nbursts = [{ from = 1, times = 3 }]", "traffic.bursts[0]: has no 'until'"),
        (MINIMAL + 'log = "none.jsonl"', "unknown key"),
        ('log = "none.jsonl"\n' + MINIMAL, "log: none.jsonl cannot be read"),
        (
            MINIMAL + '[[configs]]\nname = "x"\nfallback = { strategi = "latency" }',
            "configs[0]: llm.fallback.strategi: unknown key; did you mean 'strategy'?",
        ),
        (
            MINIMAL + '[[configs]]\nname = "x"\nproviders = { b = { rpm = 1 } }',
            "there is no provider named 'b'",
        ),
        (MINIMAL + '[[configs]]\nname = "x"\n[[configs]]\nname = "x"', "the name 'x' is given twice"),
        (MINIMAL + '[[configs]]\nfile = "none.toml"', "there is no such file"),
    ],
)
def test_mistakes_elsewhere(text: str, complaint: str) -> None:
    assert any(complaint in one for one in complaints(text)), complaints(text)


def test_all_complaints_come_at_once() -> None:
    assert len(complaints('duration = "x"\n[[providers]]\nname = "a"\nspeed = 0\n[traffic]\nrate = 0')) == 3


def test_a_configuration_file_needs_no_keys_and_no_addresses(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(
        '[[llm.providers]]\nname = "a"\nprovider = "openai"\napi_key = "${NOT_SET}"\ntext_model = "m"\nrpm = 60\n'
        "prices = { m = { input = 1 } }\n[llm.fallback]\nmax_retries = 5\n[llm.timeouts]\nfirst_token = 7\n"
    )
    (tmp_path / "scenario.toml").write_text(
        MINIMAL + '[[configs]]\nfile = "mine.toml"\nfallback = { patience = 3 }\n'
    )
    setup = read(tmp_path / "scenario.toml").setups[0]
    assert (setup.name, setup.fallback.max_retries, setup.fallback.patience) == ("mine", 5, 3.0)
    assert (setup.routings["a"].rpm, setup.timeouts["a"].first_token) == (60, 7.0)
    assert setup.prices["a"].input == 1
    extra = read(MINIMAL, configs=(tmp_path / "mine.toml",)).setups
    assert [one.name for one in extra] == ["mine"]


def test_every_provider_of_a_configuration_needs_a_profile(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('[[llm.providers]]\nname = "b"\nprovider = "ollama"\ntext_model = "m"\n')
    assert any(
        "there is no profile for its provider 'b'" in one for one in complaints(MINIMAL, configs=(file,))
    )


def test_routing_may_be_said_beside_the_fallback() -> None:
    text = (
        MINIMAL
        + '[[providers]]\nname = "b"\n[[configs]]\nname = "x"\nproviders = { b = { priority = 1 }, a = { enabled = false } }'
    )
    assert {name: routing.priority for name, routing in read(text).setups[0].routings.items()} == {"b": 1}


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text() | st.integers(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "name",
                        "providers",
                        "traffic",
                        "rate",
                        "errors",
                        "first_token",
                        "outages",
                        "configs",
                        "x",
                    ]
                ),
                inner,
            )
        ),
    )
)
def test_nothing_but_complaints_comes_of_any_tree(tree: Any) -> None:
    value = (
        tree
        if isinstance(tree, dict)
        else {"providers": [{"name": "a", "first_token": tree, "errors": tree}]}
    )
    with suppress(ConfigurationError):
        read(value)


def test_ways_have_names_that_people_know() -> None:
    assert {"refused", "silent", "503", "429", "ServerError", "RateLimitError"} <= set(WAYS)
