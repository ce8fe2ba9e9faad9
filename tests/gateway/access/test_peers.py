"""Who shares through one Redis, and from when on it decides by itself: fed with answers, as `alive.lua` gives them."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from llmcore.gateway.access.peers import SETTLED_S, Heard, Peers

EPOCH = 1_795_000_000_000_000
RUN = b"a" * 40


class Case:
    """One process, and a Redis whose clock shows `second`."""

    def __init__(self, least: int = 1) -> None:
        self.peers = Peers("me", least)
        self.second = 1000

    def beat(
        self, *, epoch: int = EPOCH, age: int = 100, run: bytes = RUN, **others: tuple[int, int]
    ) -> Heard:
        """others: by name the seconds since they were heard, and since they had told all (-1: they have not)."""
        rest: list[bytes | int] = [b"me", self.second, self.second]
        for name, (heard, told) in others.items():
            rest += [name.encode(), self.second - heard, self.second - told if told >= 0 else 0]
        return self.peers.heard([self.second, 0, epoch, age, run, [b"key"], *rest], float(self.second))

    @property
    def known(self) -> dict[str, int]:
        found: dict[str, int] = json.loads(self.peers.sign(told=True)[3])
        return found


def test_whoever_has_just_started_may_begin_at_once_where_all_others_have_told() -> None:
    case = Case()
    heard = case.beat(one=(0, 0), other=(4, 4))
    assert (heard.new, heard.back) == (True, True)
    assert case.peers.settled
    assert case.peers.count == 3
    waits = Case()
    waits.beat(one=(0, 0), other=(0, -1))
    assert not waits.peers.settled


def test_whoever_was_cut_off_waits_until_each_other_has_told_after_that() -> None:
    case = Case()
    case.beat(one=(0, 0))
    case.peers.cut_off()
    assert not case.peers.settled
    assert case.peers.sign(told=True)[1] == ""
    case.second += 5
    heard = case.beat(one=(0, 0))
    assert (heard.new, heard.back) == (False, True)
    assert not case.peers.settled, "in the same second: perhaps before it was cut off itself"
    case.second += 1
    assert not case.beat(one=(1, 1)).back
    assert not case.peers.settled
    case.beat(one=(0, 0))
    assert case.peers.settled


def test_a_redis_that_forgot_is_given_some_seconds_and_told_of_the_others() -> None:
    case = Case()
    case.beat(one=(7, 7))
    case.second += 1
    assert case.known == {"one": 7}
    heard = case.beat(epoch=EPOCH + 1, age=0)
    assert heard.new
    assert not case.peers.settled
    case.second += SETTLED_S
    case.beat(epoch=EPOCH + 1, age=SETTLED_S, late=(0, -1))
    assert not case.peers.settled, "one has come whom nobody knew, and has not told yet"
    case.second += 1
    case.beat(epoch=EPOCH + 1, age=SETTLED_S + 1, late=(0, 0))
    assert case.peers.settled


def test_a_redis_that_was_started_again_with_what_it_knew_is_another_one() -> None:
    case = Case()
    case.beat(one=(0, 0))
    case.second += 1
    heard = case.beat(run=b"b" * 40, one=(0, 0))
    assert (heard.new, heard.back) == (False, True)
    assert not case.peers.settled


def test_where_nobody_is_heard_of_there_are_as_many_as_were_said() -> None:
    assert Case(4).peers.count == 4
    case = Case(2)
    case.beat(one=(0, 0), two=(0, 0), three=(0, 0))
    case.peers.cut_off()
    assert case.peers.count == 4, "those who were there"


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 40), st.integers(-1, 40)), max_size=30),
    st.booleans(),
)
def test_it_is_never_settled_before_the_other_has_told_after_the_last_cut(
    steps: list[tuple[bool, int, int]], again: bool
) -> None:
    case = Case()
    case.beat(one=(0, 0))
    came = None
    for cut, heard, told in steps:
        case.second += 1
        if cut:
            case.peers.cut_off()
            came = case.second
        case.beat(epoch=EPOCH + int(again and cut), one=(heard, told))
        if came is not None and case.peers.settled:
            assert told >= 0
            assert case.second - told > came
            came = None
