"""A stream towards a client whose connection is full: what is sent, in which order, and for how long it is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from llmcore.gateway.http import ClientGone
from llmcore.gateway.presence import Stream

pytestmark = pytest.mark.anyio

COMMENT = b": there\n\n"
HEAD = [(b"x", b"y")]


class Pipe:
    """Notes what is sent; while it is full, whoever sends waits, as uvicorn has it."""

    def __init__(self, *, full: bool = False) -> None:
        self.sent: list[Any] = []
        self.room = asyncio.Event()
        if not full:
            self.room.set()

    async def send(self, message: Any) -> None:
        await self.room.wait()
        self.sent.append(message)

    @property
    def said(self) -> list[object]:
        """Bodies, and for each head its status."""
        return [one["body"] if "body" in one else one["status"] for one in self.sent]


def stream(pipe: Pipe, *, every: float = 60.0, idle_write: float = 60.0, longest: float = 60.0) -> Stream:
    return Stream(pipe.send, COMMENT, every=every, idle_write=idle_write, longest=longest)


async def until(true: Callable[[], bool]) -> None:
    with anyio.fail_after(5):
        while not true():  # noqa: ASYNC110 - what is waited for has no event
            await anyio.sleep(0.005)


async def test_the_last_bytes_are_given_up_where_nobody_takes_them() -> None:
    pipe = Pipe()
    out = stream(pipe, idle_write=0.05)
    await out.start(HEAD)
    await out.write(b"one")
    pipe.room.clear()
    tasks = asyncio.all_tasks()
    with anyio.fail_after(5), pytest.raises(ClientGone):
        await out.end(b"two")
    assert pipe.said == [200, b"one"]
    assert asyncio.all_tasks() == tasks


async def test_the_last_bytes_wait_for_a_client_that_is_slow() -> None:
    pipe = Pipe()
    out = stream(pipe)
    await out.start(HEAD)
    pipe.room.clear()
    ending = asyncio.create_task(out.end(b"last"))
    await anyio.sleep(0.05)
    assert not ending.done()
    pipe.room.set()
    await ending
    assert pipe.said == [200, b"last"]


@pytest.mark.parametrize("piece", [b"", b"oops"])
async def test_a_head_that_waits_to_be_sent_comes_before_the_end(piece: bytes) -> None:
    pipe = Pipe(full=True)
    out = stream(pipe, every=0.01)
    out.expect(lambda: HEAD)
    await until(lambda: out.began)
    ending = asyncio.create_task(out.end(piece))
    await anyio.sleep(0.05)
    pipe.room.set()
    await ending
    assert pipe.said == [200, piece]
    assert pipe.sent[0]["headers"] == HEAD


async def test_pieces_follow_a_head_that_waits_to_be_sent() -> None:
    pipe = Pipe(full=True)
    out = stream(pipe, every=0.01)
    out.expect(lambda: HEAD)
    await until(lambda: out.began)
    writing = asyncio.create_task(out.write(b"one"))
    await anyio.sleep(0.05)
    pipe.room.set()
    await writing
    await out.end(b"two")
    assert pipe.said == [200, COMMENT, b"one", b"two"]


async def test_a_stream_that_is_closed_before_the_silence_is_long_sends_nothing() -> None:
    pipe = Pipe()
    out = stream(pipe, every=0.01)
    out.expect(lambda: HEAD)
    await out.aclose()
    await anyio.sleep(0.05)
    assert not out.began
    assert not pipe.sent


async def test_one_head_whoever_is_first() -> None:
    for moment in range(8):
        pipe = Pipe()
        out = stream(pipe, every=0.01)
        out.expect(lambda: HEAD)
        await anyio.sleep(0.008 + 0.0005 * moment)
        if not out.began:
            await out.start(HEAD)
        await out.write(b"one")
        await out.end(b"two")
        assert [one for one in pipe.said if one != COMMENT] == [200, b"one", b"two"]
        assert pipe.said[0] == 200
        assert pipe.said[-1] == b"two"
