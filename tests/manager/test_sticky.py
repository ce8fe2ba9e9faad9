"""Sessions beside a plain reference model: a list in the order of last use."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmcore.manager.sticky import CAPACITY, Sticky

SESSIONS = st.sampled_from("stuvwxyz")
NAMES = st.sampled_from(["a", "b", "c"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("get"), SESSIONS),
        st.tuples(st.just("keep"), SESSIONS, NAMES),
        st.tuples(st.just("drop"), NAMES),
    ),
    max_size=60,
)


@given(capacity=st.integers(1, 6), steps=STEPS)
def test_it_remembers_what_was_used_last(capacity: int, steps: list[tuple[str, ...]]) -> None:
    sticky, model = Sticky(capacity), list[tuple[str, str]]()
    for what, *given_ in steps:
        if what == "drop":
            sticky.drop(given_[0])
            model = [entry for entry in model if entry[1] != given_[0]]
            continue
        session = given_[0]
        known = dict(model).get(session)
        if what == "keep":
            sticky.keep(session, known := given_[1])
        else:
            assert sticky.get(session) == known
        model = [entry for entry in model if entry[0] != session]
        if known is not None:
            model = [*model, (session, known)][-capacity:]
        assert len(sticky) == len(model)
    assert {session: sticky.get(session) for session in "stuvwxyz"} == dict.fromkeys("stuvwxyz") | dict(model)


@pytest.mark.parametrize("session", ["s", ("user", 7), 7])
def test_any_hashable_is_a_session(session: object) -> None:
    sticky = Sticky()
    assert sticky.get(session) is None
    sticky.keep(session, "a")
    assert sticky.get(session) == "a"


def test_memory_is_bounded() -> None:
    sticky = Sticky()
    for session in range(3 * CAPACITY):
        sticky.keep(session, "a")
    assert len(sticky) == CAPACITY
    assert sticky.get(2 * CAPACITY) == "a"
    assert sticky.get(2 * CAPACITY - 1) is None


@pytest.mark.parametrize("keeps", [True, False])
def test_looking_and_keeping_are_both_use(keeps: bool) -> None:
    sticky = Sticky(2)
    sticky.keep("old", "a")
    sticky.keep("new", "b")
    if keeps:
        sticky.keep("old", "a")
    else:
        sticky.get("old")
    sticky.keep("newer", "c")
    assert (sticky.get("old"), sticky.get("new"), sticky.get("newer")) == ("a", None, "c")
