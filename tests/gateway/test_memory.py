"""Values of a slow source: asked once, kept for a time, and kept on where the source is away."""

from __future__ import annotations

import anyio
import pytest

from llmcore.gateway.errors import Unavailable
from llmcore.gateway.memory import Memory
from llmcore.gateway.own import OwnProviders
from llmcore.testing import ScriptedProvider

pytestmark = pytest.mark.anyio


class Source:
    def __init__(self) -> None:
        self.asked = 0
        self.away = False
        self.wait = 0.0

    async def load(self) -> int:
        self.asked += 1
        number = self.asked
        if self.wait:
            await anyio.sleep(self.wait)
        if self.away:
            raise Unavailable("away")
        return number


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_it_is_asked_again_after_a_time() -> None:
    source, clock = Source(), Clock()
    memory: Memory[str, int] = Memory(ttl=10.0, now=clock)
    assert [await memory.get("k", source.load) for _ in range(3)] == [1, 1, 1]
    clock.now = 10.0
    assert await memory.get("k", source.load) == 2
    assert await memory.get("other", source.load) == 3


async def test_many_ask_once() -> None:
    source, clock = Source(), Clock()
    source.wait = 0.01
    memory: Memory[str, int] = Memory(ttl=10.0, now=clock)
    found: list[int] = []

    async def ask() -> None:
        found.append(await memory.get("k", source.load))

    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(ask)
    assert found == [1] * 20


async def test_the_next_one_asks_where_the_first_was_cancelled() -> None:
    source, clock = Source(), Clock()
    source.wait = 0.05
    memory: Memory[str, int] = Memory(ttl=10.0, now=clock)
    found: list[int] = []

    async def ask() -> None:
        found.append(await memory.get("k", source.load))

    async with anyio.create_task_group() as group:
        with anyio.CancelScope() as first:
            group.start_soon(ask)
            async with anyio.create_task_group() as inner:
                inner.start_soon(memory.get, "other", source.load)
                await anyio.sleep(0.01)
                first.cancel()
    assert found == [1]


async def test_a_source_that_is_away_leaves_what_it_said_for_a_while() -> None:
    source, clock = Source(), Clock()
    memory: Memory[str, int] = Memory(ttl=1.0, now=clock, stale=100.0)
    assert await memory.get("k", source.load) == 1
    source.away = True
    for now in (2.0, 50.0, 99.0):
        clock.now = now
        assert await memory.get("k", source.load) == 1
    clock.now = 102.0
    with pytest.raises(Unavailable):
        await memory.get("k", source.load)
    with pytest.raises(Unavailable):
        await memory.get("never seen", source.load)


async def test_what_is_forgotten_while_it_is_asked_is_not_kept() -> None:
    source, clock = Source(), Clock()
    source.wait = 0.02
    memory: Memory[str, int] = Memory(ttl=10.0, now=clock)
    async with anyio.create_task_group() as group:
        group.start_soon(memory.get, "k", source.load)
        await anyio.sleep(0.01)
        memory.forget()
    assert await memory.get("k", source.load) == 2


async def test_who_asks_after_it_was_forgotten_does_not_get_what_was_asked_before() -> None:
    source, clock = Source(), Clock()
    source.wait = 0.02
    memory: Memory[str, int] = Memory(ttl=10.0, now=clock)
    found: list[int] = []

    async def ask() -> None:
        found.append(await memory.get("k", source.load))

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await anyio.sleep(0.01)
        memory.forget()
        assert await memory.get("k", source.load) == 2
    assert found == [1]
    assert await memory.get("k", source.load) == 2


async def test_what_is_used_is_renewed_beside_the_calls() -> None:
    source, clock = Source(), Clock()
    memory: Memory[str, int] = Memory(ttl=10.0, now=clock)
    async with anyio.create_task_group() as group:
        group.start_soon(memory.keep_fresh)
        await anyio.wait_all_tasks_blocked()
        assert await memory.get("k", source.load) == 1
        clock.now = 4.0
        assert await memory.get("k", source.load) == 1
        await anyio.wait_all_tasks_blocked()
        assert source.asked == 1  # in the first half of its time nobody asks
        clock.now = 6.0
        source.wait = 0.01
        for _ in range(3):
            assert await memory.get("k", source.load) == 1  # at once, while it is asked for
        await anyio.sleep(0.05)
        assert source.asked == 2
        clock.now = 15.9
        assert await memory.get("k", source.load) == 2  # its time runs from when the source was asked
        group.cancel_scope.cancel()


async def test_what_was_not_used_for_its_time_is_not_believed() -> None:
    source, clock = Source(), Clock()
    memory: Memory[str, int] = Memory(ttl=10.0, now=clock)
    async with anyio.create_task_group() as group:
        group.start_soon(memory.keep_fresh)
        await anyio.wait_all_tasks_blocked()
        assert await memory.get("k", source.load) == 1
        clock.now = 10.0
        assert await memory.get("k", source.load) == 2
        group.cancel_scope.cancel()


async def test_a_renewal_that_fails_leaves_the_value_its_time_and_no_more() -> None:
    source, clock = Source(), Clock()
    memory: Memory[str, int] = Memory(ttl=10.0, now=clock)

    async def broken() -> int:
        source.asked += 1
        raise ZeroDivisionError

    async with anyio.create_task_group() as group:
        group.start_soon(memory.keep_fresh)
        await anyio.wait_all_tasks_blocked()
        assert await memory.get("k", source.load) == 1
        for clock.now in (6.0, 9.9):
            assert await memory.get("k", broken) == 1
            await anyio.wait_all_tasks_blocked()
        assert source.asked == 2  # once; the next one asks when it is over
        clock.now = 10.0
        with pytest.raises(ZeroDivisionError):
            await memory.get("k", broken)
        group.cancel_scope.cancel()


async def test_a_renewal_that_is_overtaken_by_a_change_is_not_kept() -> None:
    source, clock = Source(), Clock()
    memory: Memory[str, int] = Memory(ttl=10.0, now=clock)
    async with anyio.create_task_group() as group:
        group.start_soon(memory.keep_fresh)
        await anyio.wait_all_tasks_blocked()
        assert await memory.get("k", source.load) == 1
        clock.now, source.wait = 6.0, 0.02
        assert await memory.get("k", source.load) == 1
        await anyio.sleep(0.01)
        memory.forget()  # as it does when a key is revoked
        assert await memory.get("k", source.load) == 3
        await anyio.sleep(0.03)
        assert await memory.get("k", source.load) == 3
        group.cancel_scope.cancel()


async def test_a_source_that_hangs_holds_up_nobody_who_was_known_before() -> None:
    source, clock = Source(), Clock()
    memory: Memory[str, int] = Memory(ttl=10.0, now=clock, stale=100.0, patience=0.01)
    async with anyio.create_task_group() as group:
        group.start_soon(memory.keep_fresh)
        await anyio.wait_all_tasks_blocked()
        assert await memory.get("k", source.load) == 1
        source.wait = 3600.0
        for clock.now in (20.0, 29.0, 31.0, 50.0):
            with anyio.fail_after(5):
                assert await memory.get("k", source.load) == 1
        assert source.asked == 2  # it is being asked all the time, once
        with anyio.fail_after(5):
            async with anyio.create_task_group() as many:
                clock.now = 70.0
                for _ in range(20):
                    many.start_soon(memory.get, "k", source.load)
        assert source.asked == 2
        clock.now = 101.0
        with anyio.move_on_after(0.05) as waits:  # by now it is too old to be believed
            await memory.get("k", source.load)
        assert waits.cancelled_caught
        group.cancel_scope.cancel()


async def test_a_source_that_comes_back_is_believed_at_once() -> None:
    clock, answers = Clock(), anyio.Event()
    memory: Memory[str, int] = Memory(ttl=10.0, now=clock, patience=0.01)

    async def slow() -> int:
        await answers.wait()
        return 2

    async def first() -> int:
        return 1

    async with anyio.create_task_group() as group:
        group.start_soon(memory.keep_fresh)
        await anyio.wait_all_tasks_blocked()
        assert await memory.get("k", first) == 1
        clock.now = 20.0
        assert await memory.get("k", slow) == 1
        answers.set()
        await anyio.wait_all_tasks_blocked()
        assert await memory.get("k", slow) == 2
        group.cancel_scope.cancel()


async def test_what_is_overdue_is_what_the_source_says_where_that_answers() -> None:
    source, clock = Source(), Clock()
    memory: Memory[str, int] = Memory(ttl=10.0, now=clock)

    async def broken() -> int:
        raise ZeroDivisionError

    async with anyio.create_task_group() as group:
        group.start_soon(memory.keep_fresh)
        await anyio.wait_all_tasks_blocked()
        assert await memory.get("k", source.load) == 1
        clock.now, source.wait = 20.0, 0.01
        found: list[int] = []

        async def ask() -> None:
            found.append(await memory.get("k", source.load))

        async with anyio.create_task_group() as many:
            for _ in range(5):
                many.start_soon(ask)
        assert (found, source.asked) == ([2] * 5, 2)
        clock.now = 40.0
        with pytest.raises(ZeroDivisionError):
            await memory.get("k", broken)
        group.cancel_scope.cancel()
    clock.now, source.wait = 60.0, 0.0
    assert await memory.get("k", source.load) == 3  # nobody renews any more


async def test_the_oldest_go_first() -> None:
    source, clock = Source(), Clock()
    memory: Memory[int, int] = Memory(ttl=10.0, now=clock, size=2)
    for key in (1, 2, 3):
        await memory.get(key, source.load)
    assert await memory.get(3, source.load) == 3
    assert await memory.get(1, source.load) == 4


async def test_a_replaced_provider_is_closed_after_its_last_call() -> None:
    made: list[ScriptedProvider] = []

    async def make() -> ScriptedProvider:
        made.append(ScriptedProvider("x"))
        return made[-1]

    own = OwnProviders(size=2)
    first = await own.lease("u", 1, make)
    assert (await own.lease("u", 1, make)).provider is first.provider
    second = await own.lease("u", 2, make)
    assert not made[0].closed
    await first.aclose()
    assert not made[0].closed  # the other lease of version 1 still runs
    for user in ("v", "w"):
        await (await own.lease(user, 1, make)).aclose()
    assert not made[1].closed
    await second.aclose()
    assert made[1].closed  # it had to go, and nobody needs it any more
    await own.aclose()
    assert all(provider.closed for provider in made[2:])
