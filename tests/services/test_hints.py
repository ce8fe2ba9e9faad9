"""Hints through a real Redis server."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest

from llmcore.gateway.hints import Hint, Hints
from llmcore.gateway.redis_link import LinkLost, RedisLink
from llmcore.secret import Secret
from tests.services import redis_server

pytestmark = pytest.mark.anyio


class Process:
    def __init__(self, url: str) -> None:
        self.link = RedisLink(Secret(url), time.time)
        self.finds: list[Hint] = []
        self.hears: list[Hint] = []
        self.hints = Hints(self.link, lambda: self.finds, self.hears.append)


@pytest.fixture
async def two(redis: redis_server.Server) -> AsyncIterator[tuple[Process, Process]]:
    one, other = Process(redis.url), Process(redis.url)
    yield one, other
    await one.link.aclose()
    await other.link.aclose()


async def test_what_one_finds_the_other_hears_until_it_is_over(two: tuple[Process, Process]) -> None:
    one, other = two
    one.finds = [Hint('the "first" provider', "gpt-4o", 9.0), Hint("b", "", 500.0)]
    await one.hints.exchange()
    await other.hints.exchange()
    assert {(hint.provider, hint.family) for hint in other.hears} == {
        ('the "first" provider', "gpt-4o"),
        ("b", ""),
    }
    assert all(0 < hint.seconds <= 60 for hint in other.hears)
    await one.hints.exchange()
    assert one.hears == []
    one.finds, other.hears[:] = [], []
    await one.hints.exchange()
    await other.hints.exchange()
    assert other.hears == []


async def test_a_redis_that_is_away_is_said_to_be(
    two: tuple[Process, Process], redis: redis_server.Server
) -> None:
    one, _ = two
    await one.hints.exchange()
    redis.kill()
    with pytest.raises(LinkLost):
        await one.hints.exchange()
    redis.start()
    await one.hints.exchange()
