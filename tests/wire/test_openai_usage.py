"""Usage of the OpenAI dialect: the short way through the standard fields gives what a look at every name gives."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from llmcore.types import Usage
from llmcore.wire.openai_usage import cost, usage
from llmcore.wire.read import as_count

COUNTS = st.one_of(
    st.integers(-2, 40),
    st.none(),
    st.booleans(),
    st.floats(allow_nan=True),
    st.sampled_from(["12", "", "x", 3.0, 10**15, 10**15 - 1, [], {}]),
)
READ = st.dictionaries(st.sampled_from(["cached_tokens", "cache_write_tokens", "audio_tokens"]), COUNTS)
WRITTEN = st.dictionaries(st.sampled_from(["reasoning_tokens", "audio_tokens"]), COUNTS)
STANDARD: dict[str, st.SearchStrategy[Any]] = {
    "prompt_tokens": COUNTS,
    "completion_tokens": COUNTS,
    "total_tokens": COUNTS,
    "prompt_tokens_details": READ | COUNTS,
    "completion_tokens_details": WRITTEN | COUNTS,
}
ODD: dict[str, st.SearchStrategy[Any]] = {
    "input_tokens": COUNTS,
    "output_tokens": COUNTS,
    "reasoning_tokens": COUNTS,
    "prompt_token_details": READ | COUNTS,
    "prompt_cache_hit_tokens": COUNTS,
    "num_cached_tokens": COUNTS,
    "cached_tokens": COUNTS,
    "cache_read_input_tokens": COUNTS,
    "cache_creation_input_tokens": COUNTS,
    "cost": COUNTS | st.dictionaries(st.just("total_cost"), COUNTS),
    "cost_in_usd_ticks": COUNTS,
    "queue_time": COUNTS,
}
BODIES = st.fixed_dictionaries({}, optional=STANDARD) | st.fixed_dictionaries(
    {}, optional={**STANDARD, **ODD}
)


def _first(*found: tuple[Any, str]) -> int | None:
    """The first count among (object, name) pairs."""
    counts = (as_count(place.get(name)) for place, name in found if isinstance(place, dict))
    return next((count for count in counts if count is not None), None)


def _reference(raw: dict[str, Any]) -> Usage:
    """Every name asked for, in order."""
    read, written = raw.get("prompt_tokens_details"), raw.get("completion_tokens_details")
    prompt = _first((raw, "prompt_tokens"), (raw, "input_tokens"))
    output = _first((raw, "completion_tokens"), (raw, "output_tokens"))
    reasoning = _first((written, "reasoning_tokens"), (raw, "reasoning_tokens"))
    total = as_count(raw.get("total_tokens"))
    if None not in (output, prompt, total) and reasoning and total == prompt + output + reasoning:  # type: ignore[operator]  # none is None
        output += reasoning  # type: ignore[operator]  # as above
    cached = _first(
        (read, "cached_tokens"),
        (raw.get("prompt_token_details"), "cached_tokens"),
        (raw, "prompt_cache_hit_tokens"),
        (raw, "num_cached_tokens"),
        (raw, "cached_tokens"),
        (raw, "cache_read_input_tokens"),
    )
    fresh = _first((read, "cache_write_tokens"), (raw, "cache_creation_input_tokens"))
    parts = ((cached, prompt), (fresh, prompt), (reasoning, output))
    known = [None if None not in (part, whole) and part > whole else part for part, whole in parts]  # type: ignore[operator]  # as above
    return Usage(prompt, output, known[0], known[1], known[2], cost(raw))


@given(BODIES)
def test_usage_is_what_a_look_at_every_name_gives(raw: dict[str, Any]) -> None:
    found = usage(raw)
    assert found == _reference(raw)
    assert found.raw is raw


@given(st.none() | COUNTS | st.lists(COUNTS))
def test_what_is_no_object_says_nothing(raw: Any) -> None:
    if not isinstance(raw, dict):
        assert usage(raw) == Usage()
