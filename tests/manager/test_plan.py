"""The plan by itself: no event loop, no clock, only setbacks in and steps out."""

from __future__ import annotations

import itertools
from random import Random
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmcore import errors
from llmcore.manager.plan import Plan, Policy, Setback, Step, backoff, retry_wait
from tests.manager.strategies import CLASSES, waits

policies = st.builds(
    Policy,
    retries=st.integers(0, 4),
    max_attempts=st.integers(1, 12),
    base=st.none() | st.floats(0, 5),
    cap=st.floats(0, 20),
    max_retry_after=st.sampled_from([3.0, 60.0]),
    after_send=st.booleans(),
)
setbacks = st.builds(
    lambda cls, wait, remaining: Setback(cls("x", retry_after=wait), remaining),
    st.sampled_from(CLASSES),
    waits,
    st.sampled_from([0.0, 0.5, 10.0, 600.0]),
)


class Field:
    """Candidates that are all ready, and a purse."""

    def __init__(self, candidates: int, tokens: int = 1000, keys: int = 1) -> None:
        self.left = list(range(candidates))
        self.tokens = tokens
        self.keys = keys - 1

    def pick(self) -> Step | None:
        return Step(self.left.pop(0)) if self.left else None

    def pick_now(self) -> Step | None:
        return self.pick()

    def any_ready(self) -> bool:
        return bool(self.left)

    def other_key(self, target: int, /) -> bool:
        self.keys -= 1
        return self.keys >= 0

    def admits(self, target: int, /) -> bool:
        return True

    def pay(self) -> bool:
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True

    def credit(self, target: int, /) -> Literal["free", "later", "none"]:
        return "none"

    def put_back(self, target: int, /) -> None:
        self.left.insert(0, target)

    def refund(self) -> None:
        self.tokens += 1


def steps(
    candidates: int,
    policy: Policy,
    script: list[Setback],
    seed: int = 0,
    *,
    tokens: int = 1000,
    keys: int = 1,
) -> list[tuple[Step, Setback | None]]:
    found: list[tuple[Step, Setback | None]] = []
    running = Plan(policy, Random(seed), Field(candidates, tokens, keys))
    step = running.first()
    for setback in script:
        if step is None:
            break
        found.append((step, setback))
        if not setback.sent:
            running.unsent(step)
        step = running.after(step, setback)
    if step is not None:
        found.append((step, None))
    return found


@given(
    candidates=st.integers(1, 5),
    policy=policies,
    script=st.lists(setbacks, max_size=20),
    seed=st.integers(0, 9),
)
def test_a_plan_keeps_its_bounds(candidates: int, policy: Policy, script: list[Setback], seed: int) -> None:
    made = steps(candidates, policy, script, seed)
    targets = [step.target for step, _ in made]
    assert len(made) <= policy.max_attempts
    for target in set(targets):
        assert targets.count(target) <= 1 + policy.retries
        block = [place for place, one in enumerate(targets) if one == target]
        assert block == list(range(block[0], block[-1] + 1)), "left, and asked again"
    for (_, setback), (following, _) in itertools.pairwise(made):
        assert setback is not None
        assert setback.error.retryable or setback.error.failover
        if following.retry:
            assert following.wait < setback.remaining
            assert following.wait >= (setback.error.retry_after or 0.0)


@given(done=st.integers(0, 80), base=st.floats(0, 100), cap=st.floats(0, 100), seed=st.integers(0, 9))
def test_full_jitter_stays_in_its_range(done: int, base: float, cap: float, seed: int) -> None:
    wait = backoff(errors.ServerError("x"), done, Policy(base=base, cap=cap), Random(seed))
    assert 0 <= wait <= min(cap, base * 2.0 ** min(done, 60))


@pytest.mark.parametrize(
    ("error", "first_left"),
    [
        (errors.RateLimitError("x", retry_after=3.5), True),
        (errors.RateLimitError("x", retry_after=3.0), False),
        (errors.RateLimitError("x", retry_after=0.5), False),
        (errors.RateLimitError("x"), False),
        (errors.OverloadedError("x"), True),
        (errors.ServerError("x"), False),
    ],
)
def test_who_waits_long_is_left_first_where_another_candidate_is_ready(
    error: errors.ProviderError, first_left: bool
) -> None:
    made = steps(2, Policy(retries=1), [Setback(error, 600.0)])
    assert (made[1][0].target == 1) is first_left
    alone = steps(1, Policy(retries=1), [Setback(error, 600.0)])
    assert alone[1][0].retry == 1


def test_a_failover_does_not_wait() -> None:
    made = steps(
        3,
        Policy(retries=0),
        [Setback(errors.ServerError("x"), 600.0), Setback(errors.OverloadedError("x"), 600.0)],
    )
    assert [(step.target, step.wait) for step, _ in made] == [(0, 0.0), (1, 0.0), (2, 0.0)]


@pytest.mark.parametrize(
    "cls", [errors.OverloadedError, errors.MalformedResponseError, errors.GenerationFailedError]
)
def test_some_classes_are_retried_once_at_most(cls: type[errors.ProviderError]) -> None:
    assert len(steps(1, Policy(retries=4), [Setback(cls("x"), 600.0)] * 5)) == 2


def test_a_wait_beyond_the_cap_or_the_deadline_is_not_begun() -> None:
    error = errors.RateLimitError("x", retry_after=30.0)
    assert retry_wait(Setback(error, 600.0), 0, Policy(max_retry_after=20.0), Random(0)) is None
    assert retry_wait(Setback(error, 29.0), 0, Policy(), Random(0)) is None
    wait = retry_wait(Setback(error, 600.0), 0, Policy(), Random(0))
    assert wait is not None
    assert 30.0 <= wait <= 31.0


def test_what_may_have_been_billed_is_repeated_only_if_wanted() -> None:
    error = errors.ConnectionReset("x")
    assert len(steps(2, Policy(after_send=False), [Setback(error, 600.0)] * 3)) == 1
    assert len(steps(2, Policy(after_send=True), [Setback(error, 600.0)] * 3)) > 1


@pytest.mark.parametrize("cls", CLASSES)
def test_20_an_empty_purse_ends_what_must_be_paid_with_the_first_error(
    cls: type[errors.ProviderError],
) -> None:
    error = cls("x")
    made = steps(3, Policy(retries=2), [Setback(error, 600.0)] * 9, tokens=0)
    assert not any(step.paid for step, _ in made)
    assert error.budget_exhausted is (
        ((error.retryable or error.failover) and error.health) or error.retryable
    )
    if error.health:
        assert len(made) == 1


def test_faults_that_say_nothing_of_health_go_over_for_free() -> None:
    made = steps(3, Policy(retries=0), [Setback(errors.AuthenticationError("x"), 600.0)] * 3, tokens=0)
    assert [step.target for step, _ in made] == [0, 1, 2]


def test_another_key_is_neither_a_retry_nor_paid_for() -> None:
    made = steps(1, Policy(retries=0), [Setback(errors.RateLimitError("x"), 600.0)] * 3, tokens=0, keys=3)
    assert [(step.target, step.why, step.wait) for step, _ in made] == [
        (0, "first", 0.0),
        (0, "key", 0.0),
        (0, "key", 0.0),
    ]


def test_what_was_never_sent_is_no_attempt() -> None:
    unsent = Setback(errors.PoolTimeout("busy"), 600.0, sent=False)
    made = steps(3, Policy(retries=0, max_attempts=1), [unsent, unsent])
    assert [step.target for step, _ in made] == [0, 1, 2]


def test_beside_a_running_attempt_nobody_is_asked_twice() -> None:
    running = Plan(Policy(retries=3), Random(0), Field(3))
    first = running.first()
    beside = running.beside("patience")
    assert first is not None
    assert beside is not None
    assert (beside.target, beside.why, beside.paid) == (1, "patience", True)
    after = running.after(beside, Setback(errors.ServerError("x"), 600.0))
    assert after is not None
    assert after.target == 2
    assert running.after(after, Setback(errors.ServerError("x"), 600.0)) is None
    assert running.beside("patience") is None
