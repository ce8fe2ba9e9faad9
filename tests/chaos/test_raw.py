"""Odd addresses: what a client meets there."""

from __future__ import annotations

import asyncio
import json
import ssl
from typing import Any

import pytest

from llmcore.chaos.ground import scaled_rule
from llmcore.chaos.raw import (
    HOST,
    black_hole,
    closed_port,
    ends_with_own_words,
    no_prefill,
    no_tls,
    self_signed,
)
from llmcore.sim import Simulator


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


def test_a_closed_port_refuses() -> None:
    with pytest.raises(ConnectionRefusedError):
        asyncio.run(asyncio.open_connection(HOST, port_of(closed_port())))


def test_a_black_hole_neither_takes_nor_refuses() -> None:
    async def knock() -> None:
        async with black_hole() as url:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.open_connection(HOST, port_of(url)), 0.3)

    asyncio.run(knock())


@pytest.mark.parametrize("place", [self_signed, no_tls])
def test_no_trust_can_be_made(place: Any) -> None:
    async def knock() -> None:
        async with place() as url:
            assert url.startswith("https://")
            with pytest.raises(ssl.SSLError):
                await asyncio.open_connection(HOST, port_of(url), ssl=ssl.create_default_context())

    asyncio.run(knock())


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"messages": [{"role": "user"}, {"role": "assistant"}]}, True),
        ({"contents": [{"role": "model"}]}, True),
        ({"input": [{"role": "user"}, {"role": "assistant", "content": "word1"}]}, True),
        ({"messages": [{"role": "assistant"}, {"role": "user"}]}, False),
        ({"input": "hello"}, False),
        ({}, False),
        ([], False),
    ],
)
def test_what_ends_with_the_models_own_words(body: Any, expected: bool) -> None:
    assert ends_with_own_words(json.dumps(body).encode()) is expected
    assert ends_with_own_words(b"\xff") is False


async def posted(url: str, body: dict[str, Any]) -> tuple[int, bytes]:
    reader, writer = await asyncio.open_connection(HOST, port_of(url))
    data = json.dumps(body).encode()
    head = f"POST /openai/v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {len(data)}\r\n\r\n"
    writer.write(head.encode() + data)
    answer = await reader.read()
    writer.close()
    return int(answer.split(b" ", 2)[1]), answer


def test_a_picky_door_lets_through_what_is_no_prefill() -> None:
    async def ask() -> None:
        async with Simulator() as sim, no_prefill(port_of(sim.url)) as (url, refused):
            turns = [{"role": "user", "content": "say: hello there"}]
            status, answer = await posted(url, {"model": "m", "messages": turns})
            assert (status, refused) == (200, [])
            assert b"hello there" in answer
            turns.append({"role": "assistant", "content": "hello"})
            status, answer = await posted(url, {"model": "m", "messages": turns})
            assert (status, len(refused), sim.counters.requests) == (400, 1, 1)
            assert b"prefill" in answer

    asyncio.run(ask())


def test_only_times_are_scaled() -> None:
    rule = {"first": 2, "status": 429, "retry_after": 2, "tokens_per_second": 10, "from_s": 5.0}
    expected = {"first": 2, "status": 429, "retry_after": 0.2, "tokens_per_second": 100, "from_s": 0.5}
    assert scaled_rule(rule, 0.1) == pytest.approx(expected)
