"""The one JSON writer: no text ends an event, and nothing that a vendor may have sent stops it."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from llmcore.gateway.mirror.sse import data, dumps, event

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(anything)
def test_whatever_is_said_is_one_event(value: object) -> None:
    written = data(value)
    assert written.startswith(b"data: ")
    assert written.endswith(b"\n\n")
    assert b"\n" not in written[:-2]
    assert b"\r" not in written
    assert json.loads(written[6:]) == value


def test_names_stand_before_the_data() -> None:
    assert event("ping", {"a": 1}) == b'event: ping\ndata: {"a":1}\n\n'


def test_lone_surrogates_and_huge_numbers_are_kept() -> None:
    assert json.loads(dumps({"a": "\ud83d", "b": 2**70})) == {"a": "\ud83d", "b": 2**70}
