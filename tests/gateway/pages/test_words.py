"""Names of programs in words of people: none is left out, none shows raw."""

from __future__ import annotations

import inspect
import re
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmcore import errors
from llmcore.gateway.pages import lines, words
from llmcore.types.responses import Why

FAILURES = [
    name
    for name, one in inspect.getmembers(errors, inspect.isclass)
    if issubclass(one, errors.ProviderError) and one is not errors.ProviderError
]


@pytest.mark.parametrize("name", [*FAILURES, "success", "cancelled"])
def test_every_outcome_has_words(name: str) -> None:
    assert name in words.OUTCOMES


@pytest.mark.parametrize("name", get_args(Why))
def test_every_reason_has_words(name: str) -> None:
    assert name in words.REASONS


@given(st.text(max_size=50))
def test_what_is_unknown_shows_as_words_too(name: str) -> None:
    assert words.outcome(name) or not name
    assert isinstance(words.reason(name), str)
    assert words.provider(name)


def test_a_strange_class_is_taken_apart() -> None:
    assert words.outcome("VeryOddError") == "very odd"
    assert words.outcome(None) == "unknown"
    assert words.outcome("ServerError (status 503)") == "the provider had a fault (status 503)"


def test_own_providers_are_called_so() -> None:
    assert words.provider("own-ollama") == "ollama (own)"
    assert words.provider("primary") == "primary"


@pytest.mark.parametrize(
    ("breaker", "state", "rate", "word", "mood"),
    [
        ("closed", "ok", None, "ready", ""),
        ("closed", "ok", 1.0, "working", "good"),
        ("closed", "ok", 0.9, "fails at times", "warn"),
        ("closed", "ok", 0.0, "failing", "bad"),
        ("open", "open", 1.0, "paused", "bad"),
        ("half_open", "half_open", 0.0, "being tried again", "warn"),
        ("half_open, open", "open", 0.0, "being tried again", "warn"),
        ("isolated", "isolated", 1.0, "switched off", "warn"),
        ("closed", "no_key", 1.0, "no key", "warn"),
    ],
)
def test_states(breaker: str, state: str, rate: float | None, word: str, mood: str) -> None:
    told = words.state({"breaker": breaker, "state": state, "success_rate": rate})
    assert (told.word, told.mood) == (word, mood)
    assert "breaker" not in told.said


NUMBER = re.compile(r"-?[\d.]+")
VALUES = st.lists(st.none() | st.floats(0, 1e6), max_size=lines.WIDTH)


@given(VALUES)
def test_a_line_stays_in_its_frame(values: list[float | None]) -> None:
    drawn = lines.line(values)
    known = [value for value in values if value is not None]
    assert (drawn.low, drawn.high) == ((min(known), max(known)) if known else (None, None))
    assert bool(drawn.path) == bool(known)
    numbers = [float(found) for found in NUMBER.findall(drawn.path)]
    for x, y in zip(numbers[::2], numbers[1::2], strict=True):
        assert 0 <= x <= lines.WIDTH + 0.1
        assert 0 <= y <= lines.HEIGHT
    gaps = sum(one is not None and (at == 0 or values[at - 1] is None) for at, one in enumerate(values))
    assert drawn.path.count("M") == gaps


COUNTS = st.lists(
    st.integers(0, 10**6).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))), max_size=60
)


@given(COUNTS)
def test_bars_stand_on_the_ground(minutes: list[tuple[int, int]]) -> None:
    drawn: Any = lines.bars([n for n, _ in minutes], [failed for _, failed in minutes])
    assert len(drawn) == sum(n > 0 for n, _ in minutes)
    for bar in drawn:
        assert 0 < bar.height <= lines.HEIGHT
        assert 0 <= bar.bad <= bar.height + 0.1
        assert abs(bar.y + bar.height - lines.HEIGHT) < 0.2
        assert abs(bar.bad_y + bar.bad - lines.HEIGHT) < 0.2
        assert bar.x + bar.width <= lines.WIDTH
