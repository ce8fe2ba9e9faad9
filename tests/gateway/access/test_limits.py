"""The laws of limits: no 60 seconds hold more than allowed; what is held is given back; seats are counted right."""

from __future__ import annotations

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmcore.gateway.access.limits import (
    Hold,
    LocalShares,
    Seats,
    Want,
    out_of_money,
    period_ends,
    period_of,
)
from llmcore.gateway.access.principal import Limits, Principal
from llmcore.gateway.errors import TooMany, Unavailable


class Time:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def tried(shares: LocalShares, limits: Limits, want: Want) -> tuple[Hold | None, TooMany | None]:
    try:
        return await shares.reserve("k", limits, want, 0), None
    except TooMany as error:
        return None, error


steps = st.lists(
    st.tuples(st.floats(0, 40), st.integers(0, 40), st.integers(0, 60), st.booleans()), max_size=60
)


@given(st.integers(1, 10), st.integers(1, 200), steps)
def test_no_sixty_seconds_hold_more_than_allowed(
    rpm: int, tpm: int, moves: list[tuple[float, int, int, bool]]
) -> None:
    async def main() -> None:
        time = Time()
        shares, limits = LocalShares(time, time), Limits(rpm=rpm, tpm=tpm)
        let_in: list[tuple[float, int]] = []
        for pause, tokens, taken, settles in moves:
            time.now += pause
            hold, error = await tried(shares, limits, Want(1, tokens))
            if hold is None:
                assert error is not None
                assert error.retry_after is not None
                assert 0 <= error.retry_after <= 61
                continue
            let_in.append((time.now, hold.want.tokens))
            if settles and taken <= hold.want.tokens:
                await shares.settle(hold, taken, None)
                let_in[-1] = (time.now, taken)
        for start, _ in let_in:
            inside = [tokens for at, tokens in let_in if start <= at < start + 60]
            assert len(inside) <= rpm
            assert sum(inside) <= tpm

    anyio.run(main)


@given(st.integers(1, 5), st.lists(st.floats(0, 30), max_size=30))
def test_who_waits_as_long_as_said_is_let_in(rpm: int, pauses: list[float]) -> None:
    async def main() -> None:
        time = Time()
        shares, limits = LocalShares(time, time), Limits(rpm=rpm)
        for pause in pauses:
            time.now += pause
            try:
                await shares.reserve("k", limits, Want(), 0)
            except TooMany as error:
                time.now += error.retry_after or 0.0
                await shares.reserve("k", limits, Want(), 0)

    anyio.run(main)


@given(st.integers(0, 1000), st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)), max_size=40))
def test_money_is_never_promised_twice(budget: int, calls: list[tuple[int, int]]) -> None:
    async def main() -> None:
        time = Time()
        shares, limits = LocalShares(time, time), Limits(budget_micros=budget)
        spent = 0
        for estimate, cost in calls:
            hold, error = await tried(shares, limits, Want(1, 0, estimate))
            if hold is None:
                assert error is not None
                assert error.code == "insufficient_quota"
                assert spent + estimate > budget or spent >= budget
                continue
            assert spent + estimate <= budget
            await shares.settle(hold, None, cost)
            spent += cost

    anyio.run(main)


async def _twice_at_once() -> None:
    time = Time()
    shares, limits = LocalShares(time, time), Limits(budget_micros=100)
    await shares.reserve("k", limits, Want(1, 0, 60), 0)
    with pytest.raises(TooMany):
        await shares.reserve("k", limits, Want(1, 0, 60), 0)


def test_what_is_held_counts_before_it_is_paid() -> None:
    anyio.run(_twice_at_once)


def test_a_new_period_has_a_new_budget() -> None:
    async def main() -> None:
        time = Time()
        time.now = 0.0
        shares, limits = LocalShares(time, time), Limits(budget_micros=100, period="day")
        hold = await shares.reserve("k", limits, Want(1, 0, 100), 0)
        time.now = 86400.0
        await shares.reserve("k", limits, Want(1, 0, 100), 0)
        await shares.settle(hold, None, 100)  # of yesterday: today pays nothing
        with pytest.raises(TooMany) as caught:
            await shares.reserve("k", limits, Want(1, 0, 100), 0)
        assert caught.value.retry_after == 86400.0

    anyio.run(main)


def test_what_others_spent_counts() -> None:
    async def main() -> None:
        time = Time()
        shares, limits = LocalShares(time, time), Limits(budget_micros=100)
        await shares.reserve("k", limits, Want(1, 0, 10), 0)
        with pytest.raises(TooMany):
            await shares.reserve("k", limits, Want(1, 0, 10), 95)

    anyio.run(main)


@given(st.floats(0, 4e9))
def test_periods_end_where_the_next_begins(wall: float) -> None:
    for period in ("day", "week", "month"):
        left = period_ends(period, wall)
        assert left is not None
        assert left > 0
        assert period_of(period, wall + left + 0.001) != period_of(period, wall)
        assert period_of(period, wall + left / 2) == period_of(period, wall)
    assert period_ends("total", wall) is None


def test_seats_are_given_back() -> None:
    seats = Seats(3, 2)
    alice = Principal("alice", "", "user", "key", "k1", limits=Limits(concurrent=1))
    other = Principal("alice", "", "user", "key", "k2")
    bob = Principal("bob", "", "user", "key", "k3")
    seats.take(alice)
    with pytest.raises(TooMany):
        seats.take(alice)
    seats.take(other)
    with pytest.raises(TooMany):
        seats.take(other)
    seats.take(bob)
    with pytest.raises(Unavailable):
        seats.take(bob)
    for principal in (alice, other, bob):
        seats.give(principal)
    assert seats.running == 0
    seats.take(alice)


@pytest.mark.parametrize(
    ("micros", "shown"),
    [
        (0, "$0.00"),
        (20, "$0.00002"),
        (1_500_000, "$1.50"),
        (1_234_500, "$1.2345"),
        (12_345_000_000, "$12,345.00"),
    ],
)
def test_a_budget_is_told_as_it_is(micros: int, shown: str) -> None:
    told = out_of_money(Limits(budget_micros=micros, period="day"), 0.0)
    assert f"the budget of this key, {shown} per day, does not cover" in str(told)
