"""The protocol by itself: what it makes of asyncio's callbacks, with a transport that only takes notes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest

from llmcore.errors import ConnectionReset, MalformedResponseError
from llmcore.transport.base import Call
from llmcore.transport.connection import Connection
from llmcore.transport.outgoing import LARGE, Origin, Outgoing, Route
from tests.transport.faults import OK

URL = "http://a.example/"


class Notes:
    """A transport. left: the sizes of its write buffer, as it is asked for them."""

    def __init__(self, left: Sequence[int] = ()) -> None:
        self.sent = b""
        self.aborted = 0
        self.left = list(left)

    def get_extra_info(self, name: str) -> None:
        return None

    def set_write_buffer_limits(self, high: int) -> None:
        assert high > 0

    def get_write_buffer_size(self) -> int:
        return self.left.pop(0)

    def write(self, data: bytes) -> None:
        self.sent += data

    def abort(self) -> None:
        self.aborted += 1


def request(body: bytes = b"{}") -> Outgoing:
    return Route(URL).outgoing(Call("POST", URL, {}, body))


def connected(notes: Notes) -> Connection:
    connection = Connection(Origin("http", "a.example", 80), asyncio.get_running_loop())
    connection.connection_made(cast(asyncio.BaseTransport, notes))
    return connection


def run(test: Any) -> None:
    asyncio.run(test())


def test_one_write_for_head_and_body() -> None:
    async def test() -> None:
        notes = Notes()
        connection = connected(notes)
        asking = asyncio.create_task(connection.ask(request(), 1.0))
        await asyncio.sleep(0)
        assert notes.sent == request().start
        connection.data_received(OK)
        await asking
        assert connection.reader.complete
        assert connection.take() == b"hi"
        assert connection.rested()
        assert not notes.aborted

    run(test)


def test_as_long_as_a_little_is_taken_writing_goes_on() -> None:
    async def test() -> None:
        notes = Notes([300, 200, 100, 100])
        connection = connected(notes)
        asking = asyncio.create_task(connection.ask(request(), 0.01))
        await asyncio.sleep(0)
        connection.pause_writing()
        with pytest.raises(ConnectionReset, match="took nothing"):
            await asking
        assert notes.left == []
        assert notes.aborted == 1

    run(test)


def test_writing_goes_on_in_time() -> None:
    async def test() -> None:
        notes = Notes([300])
        connection = connected(notes)
        asking = asyncio.create_task(connection.ask(request(), 0.01))
        await asyncio.sleep(0)
        connection.pause_writing()
        connection.resume_writing()
        await asyncio.sleep(0.03)
        assert not asking.done()
        connection.data_received(OK)
        await asking
        assert connection.rested()

    run(test)


@pytest.mark.parametrize("size", [10, LARGE + 1])
def test_an_answer_ends_the_wait_for_writing_but_the_connection_serves_no_more(size: int) -> None:
    async def test() -> None:
        notes = Notes([300])
        connection = connected(notes)
        asking = asyncio.create_task(connection.ask(request(b"x" * size), 0.01))
        await asyncio.sleep(0)
        connection.pause_writing()
        connection.data_received(OK)
        await asking
        await asyncio.sleep(0.03)
        assert connection.take() == b"hi"
        assert not connection.rested()

    run(test)


@pytest.mark.parametrize("end", ["lost", "eof", "bytes"])
def test_whatever_comes_while_idle_ends_it(end: str) -> None:
    async def test() -> None:
        notes = Notes()
        connection = connected(notes)
        if end == "lost":
            connection.connection_lost(None)
        elif end == "eof":
            connection.eof_received()
        else:
            connection.data_received(OK)
        assert connection.fault == "closed"
        assert not connection.silent()
        assert notes.aborted == 1
        assert not await connection.ask(request(), 1.0, kept=True)
        assert notes.sent == b""

    run(test)


def test_what_the_system_says_is_the_cause() -> None:
    async def test() -> None:
        connection = connected(Notes())
        asking = asyncio.create_task(connection.ask(request(), 1.0))
        await asyncio.sleep(0)
        connection.connection_lost(ConnectionResetError(104, "reset"))
        with pytest.raises(ConnectionReset) as caught:
            await asking
        assert isinstance(caught.value.__cause__, ConnectionResetError)

    run(test)


def test_nothing_is_read_after_the_end() -> None:
    async def test() -> None:
        notes = Notes()
        connection = connected(notes)
        asking = asyncio.create_task(connection.ask(request(), 1.0))
        await asyncio.sleep(0)
        connection.data_received(b"no HTTP\r\n")
        connection.data_received(OK)
        connection.connection_lost(None)
        with pytest.raises(MalformedResponseError):
            await asking
        assert notes.aborted == 1

    run(test)
