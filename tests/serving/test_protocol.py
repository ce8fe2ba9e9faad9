"""The HTTP server's edge over real sockets: whole answers in one piece, slow and huge headers cut off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from uvicorn import Config
from uvicorn.server import ServerState

from llmcore.serving.protocol import _Joining, guarded

pytestmark = pytest.mark.anyio

HEAD = b"HTTP/1.1 200 OK\r\nx: y\r\n\r\n"
REQUEST = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Written:
    """A transport that notes what reaches the socket at once."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        self.pieces.append(data)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, name: str) -> str:
        return name


def joining() -> tuple[Any, Written]:
    written = Written()
    return _Joining(written, asyncio.get_running_loop(), 60.0), written  # type: ignore[arg-type]  # a stand-in


async def test_head_and_body_leave_together() -> None:
    transport, written = joining()
    transport.write(HEAD)
    transport.write(b"body")
    transport.write(b"more")
    assert written.pieces == [HEAD + b"body", b"more"]
    await asyncio.sleep(0)
    assert len(written.pieces) == 2
    assert transport.get_extra_info("socket") == "socket"


async def test_a_head_alone_waits_for_the_loop_only() -> None:
    transport, written = joining()
    transport.write(HEAD)
    assert written.pieces == []
    await asyncio.sleep(0)
    assert written.pieces == [HEAD]
    transport.write(b"body")
    assert written.pieces == [HEAD, b"body"]


async def test_what_is_held_leaves_before_it_is_closed() -> None:
    transport, written = joining()
    transport.write(HEAD)
    transport.close()
    assert (written.pieces, transport.is_closing()) == ([HEAD], True)


async def echo(
    scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
) -> None:
    await receive()
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]},
    )
    await send({"type": "http.response.body", "body": b"ok"})


@asynccontextmanager
async def served(*, most: int = 1000, seconds: float = 0.3) -> AsyncIterator[Callable[..., Awaitable[bytes]]]:
    """Ask a server with these limits: the pieces, with a pause before each but the first, and all that it answers."""
    kind = guarded(most, seconds, 60.0)
    config = Config(echo, http=kind, lifespan="off", access_log=False, log_config=None)
    config.load()
    server = await asyncio.get_running_loop().create_server(
        lambda: kind(config=config, server_state=ServerState(), app_state={}), "127.0.0.1", 0
    )

    async def ask(*pieces: bytes, pause: float = 0.05) -> bytes:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(pause)
        answer = await asyncio.wait_for(reader.read(), 5)
        writer.close()
        return answer

    async with server:
        yield ask


async def test_headers_in_pieces_are_waited_for_and_no_longer() -> None:
    async with served() as ask:
        close = b"connection: close\r\n\r\n"
        assert (await ask(REQUEST[:-2], close)).endswith(b"\r\n\r\nok")
        assert (await ask(REQUEST[:10])).startswith(b"HTTP/1.1 408 ")
        assert await ask() == b""  # who never says anything hears nothing


async def test_the_beginning_of_a_second_request_is_not_waited_for_either() -> None:
    async with served() as ask:
        answer = await ask(REQUEST + b"GET / HTTP/1.1\r\nhost: a\r\nx: ", b"y")
        assert b"\r\n\r\nokHTTP/1.1 408 " in answer


async def test_headers_that_do_not_end_are_too_large() -> None:
    async with served() as ask:
        assert b" 431 " in await ask(b"GET / HTTP/1.1\r\nx: ", b"y" * 600, b"y" * 600)


HUGE = 32 * 1024 * 1024  # more than the kernel takes for a client that does not read


async def huge(
    scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
) -> None:
    length = (b"content-length", b"%d" % HUGE)
    await send({"type": "http.response.start", "status": 200, "headers": [length, (b"connection", b"close")]})
    await send({"type": "http.response.body", "body": b"x" * HUGE})


@pytest.mark.parametrize("reads", [False, True])
async def test_what_nobody_reads_is_not_kept_for_ever(reads: bool) -> None:
    kind, state = guarded(1000, 5.0, 60.0 if reads else 0.1), ServerState()
    config = Config(huge, http=kind, lifespan="off", access_log=False, log_config=None)
    config.load()
    server = await asyncio.get_running_loop().create_server(
        lambda: kind(config=config, server_state=state, app_state={}), "127.0.0.1", 0
    )
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(REQUEST)
        async with asyncio.timeout(20):
            while not state.connections:  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0.01)
            if reads:
                answer = await reader.read()
                assert answer.endswith(b"\r\n\r\n" + b"x" * HUGE)
            while state.connections:  # noqa: ASYNC110 - the same
                await asyncio.sleep(0.01)
        writer.close()
