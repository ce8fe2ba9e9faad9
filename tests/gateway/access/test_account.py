"""What one process knows of one key: its own part, also while several calls ask Redis at once."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmcore.gateway.access.account import GRANTED, Account, Answer, Verdict
from llmcore.gateway.access.limits import Hold, Want
from llmcore.gateway.access.principal import Limits
from llmcore.gateway.access.used import LATE_S
from llmcore.gateway.errors import TooMany

NOW = 1000
WALL = 1_795_000_000.0


def account(limits: Limits) -> Account:
    made = Account("key", "me")
    made.meet(limits, "", 0)
    return made


@given(st.integers(1, 50), st.integers(1, 4), st.lists(st.integers(1, 3), max_size=60))
def test_calls_that_ask_at_once_never_ask_for_more_than_the_part(
    rpm: int, processes: int, wants: list[int]
) -> None:
    """Also where Redis, which has not heard of the others yet, grants them all."""
    one, asked = account(Limits(rpm=rpm)), []
    for requests in wants:
        with suppress(TooMany):
            one.check(Want(requests), NOW, processes, WALL)
            one.ask(Want(requests), 1)
            asked.append(Want(requests))
    question = one.question(asked, 0.0, 1, settled=False)
    for want in asked:
        one.ask(want, -1)
    verdicts = tuple(Verdict(GRANTED, NOW) for _ in asked)
    one.answered(question, Answer(NOW, 0, 0, 0, 0, verdicts), 0.0)
    part = max(1, rpm // processes)
    assert one.minute.requests <= max(part, max(wants, default=0))


def test_what_was_asked_and_refused_is_free_again() -> None:
    one = account(Limits(rpm=4, tpm=100))
    one.check(Want(1, 50), NOW, 2, WALL)
    one.ask(Want(1, 50), 1)
    with pytest.raises(TooMany, match="tokens"):
        one.check(Want(1, 10), NOW, 2, WALL)
    one.ask(Want(1, 50), -1)
    one.check(Want(1, 50), NOW, 2, WALL)


def test_money_that_is_being_asked_for_is_not_asked_for_twice() -> None:
    one = Account("key", "me")
    one.meet(Limits(budget_micros=1000), "all", 0)
    one.check(Want(1, 0, 300), NOW, 2, WALL)
    one.ask(Want(1, 0, 300), 1)
    with pytest.raises(TooMany, match="budget"):
        one.check(Want(1, 0, 300), NOW, 2, WALL)


def test_each_question_has_the_number_by_which_a_redis_of_before_is_known() -> None:
    one = account(Limits(rpm=10))
    first = one.question([Want()], 0.0, 1, settled=True)
    assert (first.turn, first.heard) == (1, 0)
    one.answered(first, Answer(NOW, 1, 0, 0, 0, (Verdict(GRANTED, NOW),)), 0.0)
    one.failed(one.question([], 0.0, 1, settled=True), 0.0)
    third = one.question([], 0.0, 1, settled=True)
    assert (third.turn, third.heard) == (3, 1)
    one.forgotten()
    fourth = one.question([], 0.0, 2, settled=True)
    assert (fourth.heard, fourth.used) == (0, ((NOW, 1, 0),))


def spent_alone(now: float) -> Account:
    one = Account("key", "me")
    one.meet(Limits(budget_micros=1000), "all", 0)
    one.alone(Want(1, 0, 300), NOW, 2, WALL)
    one.settle(Hold("key", NOW, Want(1, 0, 300), "all"), 0, 250, shared=False, now=now)
    return one


def test_money_paid_alone_is_held_until_others_know_it_from_the_store() -> None:
    one = spent_alone(10.0)
    question = one.question([], 11.0, 1, settled=False)
    assert (question.floor, question.held, question.paid) == (250, 250, 0)
    assert not one.purse.all_known(10.0 + LATE_S - 0.1)
    assert one.purse.all_known(10.0 + LATE_S)
    later = one.question([], 10.0 + LATE_S, 1, settled=True)
    assert (later.floor, later.held) == (250, 0)


def test_what_a_redis_says_that_has_not_heard_of_all_makes_no_new_part() -> None:
    one = spent_alone(10.0)
    for settled, now, left in ((False, 11.0, 250), (True, 11.0, 125), (True, 10.0 + LATE_S, 375)):
        one.purse.all_known(now)
        question = one.question([], 11.0, 1, settled=settled)
        one.answered(question, Answer(NOW, 0, 0, 250, 0, ()), 11.0)
        one.check(Want(1, 0, left), NOW, 2, WALL)
        with pytest.raises(TooMany, match="budget"):
            one.check(Want(1, 0, left + 1), NOW, 2, WALL)


def test_where_others_are_never_told_nothing_is_kept_for_them() -> None:
    one = Account("key", "")
    one.meet(Limits(budget_micros=1000), "all", 0)
    one.alone(Want(1, 0, 300), NOW, 2, WALL)
    one.settle(Hold("key", NOW, Want(1, 0, 300), "all"), 0, 250, shared=False)
    assert one.purse.all_held == 0
    assert one.purse.known == 250
