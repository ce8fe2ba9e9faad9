"""Sessions through a real Redis server: what one process has found, the other goes by."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import anyio
import pytest

from llmcore.gateway.affinity import Affinity
from llmcore.gateway.redis_link import LinkLost, RedisLink
from llmcore.secret import Secret
from tests.services import redis_server

pytestmark = pytest.mark.anyio


class Process:
    """One that speaks only when it is told to; `at` is its clock."""

    def __init__(self, url: str, most: int) -> None:
        self.at = 0.0
        self.link = RedisLink(Secret(url), time.time)
        self.hears: dict[str, str] = {}
        self.affinity = Affinity(self.link, self.hears.__setitem__, lambda: self.at, most=most)

    async def ask(self, session: str) -> str | None:
        """What it knows of the session after asking."""
        self.at += 10.0  # what it has heard before is old by now
        async with anyio.create_task_group() as group:
            group.start_soon(self.affinity.learn, session)
            await anyio.lowlevel.checkpoint()
            await self.affinity.exchange()
        return self.hears.get(session)

    async def tell(self, session: str, name: str) -> None:
        self.affinity.stayed(session, name)
        await self.affinity.exchange()


Processes = Callable[..., Process]


@pytest.fixture
async def process(redis: redis_server.Server) -> AsyncIterator[Processes]:
    async with AsyncExitStack() as stack:

        def made(most: int = 100) -> Process:
            one = Process(redis.url, most)
            stack.push_async_callback(one.link.aclose)
            return one

        yield made


async def test_a_session_stays_in_every_process(process: Processes) -> None:
    one, other = process(), process()
    await other.link.command("PING")
    assert await other.ask("s") is None
    await one.tell("s", "a")
    assert await other.ask("s") == "a"
    await one.tell("s", "b")
    assert await other.ask("s") == "b"
    assert await other.ask("another") is None


async def test_of_two_that_begin_one_session_the_faster_one_is_followed(process: Processes) -> None:
    one, other = process(), process()
    await one.tell("s", "a")
    await other.tell("s", "b")
    assert other.hears == {"s": "a"}
    await other.tell("s", "b")  # now it knows of the other, and moves nevertheless
    assert other.hears == {"s": "b"}
    await one.tell("s", "c")  # this one does not know yet
    assert one.hears == {"s": "b"}


async def test_a_redis_that_was_emptied_hears_it_again(
    process: Processes, redis: redis_server.Server
) -> None:
    one, other = process(), process()
    await one.tell("s", "a")
    assert redis.say("FLUSHALL") == "+OK"
    assert await one.ask("s") == "a"
    await one.tell("s", "a")
    await other.link.command("PING")
    assert await other.ask("s") == "a"


async def test_a_redis_that_is_killed_loses_nobody_who_moved_meanwhile(
    process: Processes, redis: redis_server.Server
) -> None:
    one, other = process(), process()
    await one.tell("s", "a")
    redis.kill()
    one.affinity.stayed("s", "b")
    with pytest.raises(LinkLost):
        await one.affinity.exchange()
    assert not one.affinity.state.shared
    redis.start()
    await one.affinity.exchange()
    assert one.affinity.state.shared
    await other.link.command("PING")
    assert await other.ask("s") == "b"


async def test_redis_holds_no_text_and_no_more_sessions_than_it_may(
    process: Processes, redis: redis_server.Server
) -> None:
    one = process(most=5)
    for number in range(12):
        await one.tell(f"a secret name {number}", "a")
    assert redis.say("HLEN", "llmcore:sessions:names") == ":5"
    assert redis.say("ZCARD", "llmcore:sessions:used") == ":5"
    for key in ("names", "used"):
        assert int(redis.say("PTTL", f"llmcore:sessions:{key}")[1:]) > 0
    names = await one.link.command("HKEYS", "llmcore:sessions:names")
    assert not any(b"secret" in name for name in names)
    other = process()
    await other.link.command("PING")
    assert await other.ask("a secret name 11") == "a"
    assert await other.ask("a secret name 1") is None


async def test_many_at_once_and_odd_texts(process: Processes) -> None:
    one, other = process(most=10_000), process(most=10_000)
    sessions = [f"s{number}" for number in range(950)] + ["", "\ud800", "ü" * 5000]
    for session in sessions:
        one.affinity.stayed(session, "ä provider")
    while len(one.affinity):
        await one.affinity.exchange()
    await other.link.command("PING")
    for session in sessions[::100] + sessions[-3:]:
        assert await other.ask(session) == "ä provider"
