"""Shared limits without any Redis to share them through: nothing waits, nothing is told of the address, parts are given out."""

from __future__ import annotations

import time

import pytest

from llmcore.errors import ConfigurationError
from llmcore.gateway.access.limits import Want
from llmcore.gateway.access.part_shares import PartShares
from llmcore.gateway.access.principal import Limits
from llmcore.gateway.access.redis_shares import RedisShares
from llmcore.gateway.errors import TooMany
from llmcore.gateway.redis_link import LinkState
from llmcore.secret import Secret

CANARY = "canary-in-the-address-of-redis"

pytest.importorskip("redis")
pytestmark = pytest.mark.anyio


def _url(port: int) -> Secret:
    return Secret(f"redis://:{CANARY}@127.0.0.1:{port}/0")


async def test_a_redis_that_never_answers_is_left_alone(silent: int) -> None:
    told: list[LinkState] = []
    async with RedisShares(_url(silent), time.monotonic, time.time, told=told.append) as shares:
        assert not shares.shared
        assert shares.state.why in {"TimeoutError", "ConnectionError"}
        limits = Limits(rpm=3, tpm=100, budget_micros=1000)
        for _ in range(3):
            hold = await shares.reserve("key", limits, Want(1, 10, 10), 0)
            await shares.settle(hold, 5, 5)
        with pytest.raises(TooMany, match="3 requests"):
            await shares.reserve("key", limits, Want(1, 10, 10), 0)
        assert CANARY not in repr(shares.state)
        assert [state.up for state in told] == [False]


async def test_a_port_where_nobody_listens() -> None:
    async with RedisShares(_url(1), time.monotonic, time.time) as shares:
        assert shares.state.why == "ConnectionError"
        await shares.reserve("key", Limits(rpm=1), Want(), 0)


async def test_workers_that_start_without_it_give_out_a_part_each() -> None:
    async with RedisShares(_url(1), time.monotonic, time.time, parts=4) as shares:
        assert shares.state.processes == 4
        for _ in range(2):
            await shares.reserve("key", Limits(rpm=8), Want(), 0)
        with pytest.raises(TooMany, match="8 requests"):
            await shares.reserve("key", Limits(rpm=8), Want(), 0)


@pytest.mark.parametrize("url", [f"http://:{CANARY}@host", f"{CANARY}", f"redis://:{CANARY}@host:notaport/0"])
def test_an_address_that_is_none_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"gateway\.redis_url") as caught:
        RedisShares(Secret(url), time.monotonic, time.time)
    assert CANARY not in str(caught.value)
    assert caught.value.__cause__ is None


class Time:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def _granted(shares: PartShares, limits: Limits, want: Want, spent: int = 0) -> int:
    for count in range(1000):
        try:
            await shares.reserve("key", limits, want, spent)
        except TooMany:
            return count
    raise AssertionError("there is no end")


@pytest.mark.parametrize(
    ("limits", "parts", "expected"),
    [
        (Limits(rpm=100), 4, 25),
        (Limits(rpm=2), 4, 1),
        (Limits(tpm=1000), 2, 5),
        (Limits(budget_micros=1000), 2, 5),
        (Limits(rpm=100, tpm=1000, budget_micros=300), 1, 3),
    ],
)
async def test_each_process_gives_out_its_part(limits: Limits, parts: int, expected: int) -> None:
    now = Time()
    shares = PartShares(now, lambda: 1_795_000_000.0, parts)
    assert await _granted(shares, limits, Want(1, 100, 100)) == expected
    now.now += 59
    assert await _granted(shares, limits, Want(1, 100, 100)) == 0
    now.now += 4
    assert await _granted(shares, limits, Want(1, 100, 100)) == (expected if not limits.budget_micros else 0)


async def test_money_that_the_store_says_was_spent_makes_the_parts_smaller() -> None:
    shares = PartShares(Time(), lambda: 1_795_000_000.0, 2)
    limits = Limits(budget_micros=1000)
    hold = await shares.reserve("key", limits, Want(1, 1, 400), 0)
    await shares.settle(hold, 1, 400)
    assert await _granted(shares, limits, Want(1, 1, 50), 800) == 2  # half of what is left


async def test_a_call_larger_than_a_part_is_let_in_alone() -> None:
    shares = PartShares(Time(), lambda: 1_795_000_000.0, 4)
    assert await _granted(shares, Limits(tpm=1000), Want(1, 900)) == 1
