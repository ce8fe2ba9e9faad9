"""The budget beside a plain ledger: invariants 16 to 19, and what it lets through in a storm."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from llmcore.config import BudgetConfig
from llmcore.manager.budget import Budget, Counts

SMALL = BudgetConfig(capacity=20.0, cost=5.0, per_success=1.0, per_second=0.5)
gaps = st.floats(0.0, 30.0)


class Ledger:
    """The reference: every movement with its time, and the bucket recomputed from the first one for each question."""

    def __init__(self, config: BudgetConfig) -> None:
        self.config = config
        self.moves: list[tuple[float, float]] = []

    def tokens(self, now: float) -> float:
        level, at = self.config.capacity, 0.0
        for time, amount in (*self.moves, (now, 0.0)):
            level = min(level + (time - at) * self.config.per_second, self.config.capacity)
            level = min(level + amount, self.config.capacity)
            at = time
        return level


class BudgetMachine(RuleBasedStateMachine):
    """Any interleaving of takes, refunds, deposits and waits leaves the budget as the ledger says."""

    @initialize(
        capacity=st.sampled_from([0.0, 4.0, 10.0, 25.0]),
        cost=st.sampled_from([1.0, 5.0, 10.0]),
        per_success=st.sampled_from([0.0, 0.25, 1.0]),
        per_second=st.sampled_from([0.0, 0.5, 2.0]),
    )
    def begin(self, capacity: float, cost: float, per_success: float, per_second: float) -> None:
        self.config = BudgetConfig(True, capacity, cost, per_success, per_second)
        self.budget = Budget(self.config)
        self.ledger = Ledger(self.config)
        self.now = 0.0
        self.taken = self.refunded = self.earned = 0

    @rule(quarters=st.integers(0, 60))  # of seconds, so that the arithmetic is exact and equality means equal
    def wait(self, quarters: int) -> None:
        self.now += quarters / 4

    @rule()
    def take(self) -> None:
        affordable = self.ledger.tokens(self.now) >= self.config.cost
        assert self.budget.exhausted(self.now) is not affordable
        assert self.budget.take(self.now) is affordable
        if affordable:
            self.ledger.moves.append((self.now, -self.config.cost))
            self.taken += 1

    @precondition(lambda self: self.taken > self.refunded)
    @rule()
    def refund(self) -> None:
        self.budget.refund(self.now)
        self.ledger.moves.append((self.now, self.config.cost))
        self.refunded += 1

    @rule()
    def earn(self) -> None:
        self.budget.earn(self.now)
        self.ledger.moves.append((self.now, self.config.per_success))
        self.earned += 1

    @invariant()
    def agrees_with_the_ledger(self) -> None:
        assert self.budget.tokens(self.now) == self.ledger.tokens(self.now)
        assert self.budget.tokens(self.now + 3.5) == self.ledger.tokens(self.now + 3.5)

    @invariant()
    def stays_within_its_bounds(self) -> None:
        """Invariant 16."""
        assert 0.0 <= self.budget.tokens(self.now) <= self.config.capacity

    @invariant()
    def conserves(self) -> None:
        """Invariant 19: taken = refunded + spent, and spent is never negative."""
        assert self.budget.counts == Counts(self.taken, self.refunded, self.earned)
        assert self.taken - self.refunded >= 0


TestBudgetMachine = BudgetMachine.TestCase


@given(steps=st.lists(st.tuples(gaps, st.sampled_from(["take", "refund", "earn"])), max_size=80))
def test_16_tokens_stay_within_bounds_at_any_times(steps: list[tuple[float, str]]) -> None:
    budget, now = Budget(SMALL), 0.0
    for gap, step in steps:
        now += gap
        if step == "take":
            budget.take(now)
        elif step == "earn":
            budget.earn(now)
        elif budget.taken > budget.refunded:
            budget.refund(now)
        assert 0.0 <= budget.tokens(now) <= SMALL.capacity


@given(start=st.floats(0, 1e6), gaps=st.lists(st.floats(0, 20), min_size=1, max_size=400))
def test_17_a_storm_pays_for_no_more_than_eleven_attempts_and_one_in_five_seconds(
    start: float, gaps: list[float]
) -> None:
    """From any window's start: a wholly failing backend earns and refunds nothing; callers try without end."""
    budget, now = Budget(BudgetConfig()), start
    times: list[float] = []
    for gap in gaps:
        now += gap
        while budget.take(now):
            times.append(now)
    for first in range(len(times)):
        for last in range(first, len(times)):
            assert last - first + 1 <= 11 + 0.2 * (times[last] - times[first])


@given(calls=st.integers(1, 2000), seconds=st.floats(0, 600))
def test_17_a_storm_of_calls_is_amplified_by_the_budget_only(calls: int, seconds: float) -> None:
    budget = Budget(BudgetConfig())
    paid = sum(budget.take(seconds * call / calls) for call in range(calls))
    assert paid <= 11 + 0.2 * seconds
    assert paid >= min(calls, 10)  # a quiet client's first retries are never refused


@given(steps=st.lists(st.tuples(gaps, st.integers(0, 4)), max_size=60))
def test_18_without_failures_nothing_is_refused(steps: list[tuple[float, int]]) -> None:
    """Hedges that succeed are refunded, first attempts earn: nobody is ever told no, as long as few are under way."""
    budget, now = Budget(SMALL), 0.0
    for gap, hedges in steps:
        now += gap
        assert not budget.exhausted(now)
        assert all(budget.take(now) for _ in range(hedges))
        for _ in range(hedges):
            budget.refund(now)
        budget.earn(now)
        assert budget.tokens(now) == SMALL.capacity


def test_19_a_retry_that_was_never_sent_costs_nothing() -> None:
    budget = Budget(BudgetConfig())
    assert budget.take(1.0)
    assert budget.tokens(1.0) == 90.0
    budget.refund(1.0)
    assert budget.tokens(1.0) == 100.0
    assert budget.counts == Counts(taken=1, refunded=1, earned=0)


def test_a_refund_of_what_was_not_taken_is_an_error() -> None:
    budget = Budget(BudgetConfig())
    with pytest.raises(RuntimeError):
        budget.refund(0.0)
    assert budget.take(0.0)
    budget.refund(0.0)
    with pytest.raises(RuntimeError):
        budget.refund(0.0)
    assert budget.counts == Counts(1, 1, 0)


def test_retries_settle_at_a_tenth_of_successful_traffic() -> None:
    budget = Budget(BudgetConfig(per_second=0.0))
    while budget.take(0.0):
        pass
    retries = 0
    for _ in range(1000):
        budget.earn(0.0)
        retries += budget.take(0.0)
    assert retries == 100


def test_a_quiet_client_has_one_retry_in_five_seconds() -> None:
    budget = Budget(BudgetConfig())
    while budget.take(64.0):
        pass
    assert not budget.take(68.75)
    assert budget.take(69.0)
    assert not budget.take(73.75)


def test_nothing_is_taken_where_it_is_refused() -> None:
    budget = Budget(BudgetConfig(capacity=15.0, per_second=0.0))
    assert [budget.take(0.0) for _ in range(3)] == [True, False, False]
    assert budget.tokens(0.0) == 5.0
    assert budget.counts == Counts(1, 0, 0)


def test_an_earlier_now_adds_nothing_and_does_not_trickle_twice() -> None:
    budget = Budget(SMALL)
    assert all(budget.take(100.0) for _ in range(4))
    assert budget.tokens(90.0) == 0.0
    budget.earn(90.0)
    assert budget.tokens(100.0) == 1.0
    assert budget.tokens(102.0) == 2.0


def test_a_disabled_budget_counts_and_never_refuses() -> None:
    budget = Budget(BudgetConfig(enabled=False, capacity=5.0))
    assert all(budget.take(0.0) for _ in range(50))
    assert not budget.exhausted(0.0)
    budget.refund(0.0)
    budget.earn(0.0)
    assert budget.tokens(0.0) == 5.0
    assert budget.counts == Counts(50, 1, 1)
