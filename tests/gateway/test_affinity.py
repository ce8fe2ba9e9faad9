"""Sessions without any Redis to share them through: nobody waits, what moved is kept for later within a bound."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from llmcore.gateway.affinity import CAPACITY, Affinity
from llmcore.gateway.redis_link import LinkLost, LinkState, RedisLink
from llmcore.secret import Secret

CANARY = "canary-in-the-address-of-redis"

pytest.importorskip("redis")
pytestmark = pytest.mark.anyio


@asynccontextmanager
async def affinity(port: int, heard: list[tuple[str, str]]) -> AsyncIterator[tuple[Affinity, RedisLink]]:
    link = RedisLink(Secret(f"redis://:{CANARY}@127.0.0.1:{port}/0"), time.time)
    yield Affinity(link, lambda session, name: heard.append((session, name)), time.monotonic), link
    await link.aclose()


async def test_a_call_waits_only_a_moment_for_a_redis_that_has_just_frozen(silent: int) -> None:
    heard: list[tuple[str, str]] = []
    async with affinity(silent, heard) as (one, link):
        link.state = LinkState(up=True, since=0.0)  # it has answered until now
        async with anyio.create_task_group() as group:
            group.start_soon(one.run)
            with anyio.fail_after(10):
                async with anyio.create_task_group() as calls:
                    for number in range(50):
                        calls.start_soon(one.learn, f"session {number}")
                while one.state.shared:  # noqa: ASYNC110 - its state is what is awaited
                    await anyio.sleep(0.01)
            await one.learn("session 1")
            group.cancel_scope.cancel()
        assert heard == []
        assert one.state.why == "TimeoutError"
        assert CANARY not in repr(one.state)


async def test_before_redis_has_answered_once_nobody_asks_it(silent: int) -> None:
    async with affinity(silent, []) as (one, _):
        await one.learn("s")  # nothing runs that could answer: waiting would be for nothing
        assert (one.state.shared, one.state.why) == (False, "not asked yet")


async def test_what_moves_meanwhile_is_told_later_within_a_bound(silent: int) -> None:
    async with affinity(silent, []) as (one, _):
        for number in range(CAPACITY + 10):
            one.stayed(f"session {number}", "a")
        one.stayed(("no text", 1), "a")
        with pytest.raises(LinkLost):
            await one.exchange()
        assert len(one) == CAPACITY


async def test_a_call_that_is_given_up_while_it_waits_leaves_nothing_behind(silent: int) -> None:
    async with affinity(silent, []) as (one, link):
        link.state = LinkState(up=True, since=0.0)
        with anyio.move_on_after(0.001) as scope:
            await one.learn("s")
        assert scope.cancelled_caught
        with pytest.raises(LinkLost):
            await one.exchange()
        assert len(one) == 0
