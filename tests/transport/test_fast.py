"""What only the fast transport promises, on both loops that it runs on."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from llmcore.config import Timeouts
from llmcore.errors import (
    ConnectionRefused,
    ConnectionReset,
    ConnectTimeout,
    DNSError,
    MalformedResponseError,
)
from llmcore.transport import dial
from llmcore.transport.base import Call, Reply
from llmcore.transport.connection import HIGH
from llmcore.transport.fast import MAX_ROUTES, FastTransport
from llmcore.transport.fast_reply import Flow, Whole
from llmcore.transport.limits import Limits
from llmcore.transport.outgoing import Origin
from tests.transport.conftest import QUICK, call
from tests.transport.faults import (
    CHUNKED,
    GUARD,
    OK,
    Blackhole,
    FaultServer,
    Peer,
    answering,
    answering_once,
    chunk,
)

pytestmark = pytest.mark.anyio

LIMIT = 1 << 20
PATIENT = Timeouts(connect=GUARD, pool=GUARD, write=GUARD)


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return ("asyncio", {"use_uvloop": request.param})


@pytest.fixture
async def fast() -> AsyncIterator[FastTransport]:
    transport = FastTransport()
    yield transport
    await transport.aclose()


# -------------------------------------------------------------------------------------------- kept connections


@pytest.mark.parametrize("start", [b"H", b"HTTP/1.1 200 OK\r\ncontent-le", b"HTTP/1.1 100 Continue\r\n\r\n"])
async def test_no_replay_once_a_byte_has_come(fast: FastTransport, start: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.answer()
        await peer.answer(start)

    with FaultServer(script) as server:
        await (await fast.open(call(server.url), QUICK)).read(LIMIT)
        with pytest.raises(ConnectionReset) as caught:
            await fast.open(call(server.url), QUICK)
    assert caught.value.phase == "headers"
    assert len(server.requests) == 2


async def test_a_kept_connection_that_speaks_unasked_is_closed_at_once(fast: FastTransport) -> None:
    async def script(peer: Peer) -> None:
        await peer.answer()
        await peer.told()
        await peer.send(OK)
        await peer.gone()

    with FaultServer(script) as server:
        await (await fast.open(call(server.url), QUICK)).read(LIMIT)
        server.tell()
        assert await server.left()


async def test_what_the_loop_has_not_seen_yet_is_no_answer_either(fast: FastTransport) -> None:
    """The server speaks unasked while the loop is busy: nothing has told the protocol so far."""

    async def script(peer: Peer) -> None:
        await peer.answer()
        await peer.told()
        await peer.send(OK.replace(b"hi", b"no"))
        peer.server.gone.set()
        await peer.answer()

    with FaultServer(script) as server:
        await (await fast.open(call(server.url), QUICK)).read(LIMIT)
        server.tell()
        assert server.gone.wait(GUARD)
        server.tell()
        assert await (await fast.open(call(server.url), QUICK)).read(LIMIT) == b"hi"
    assert server.connections == 2


async def test_idle_connections_close_by_themselves() -> None:
    transport = FastTransport(limits=Limits(idle_s=0.05))

    async def script(peer: Peer) -> None:
        await peer.answer()
        await peer.gone()

    with FaultServer(script) as server:
        await (await transport.open(call(server.url), QUICK)).read(LIMIT)
        assert await server.left()
    await transport.aclose()


async def test_the_freshest_connection_serves_first(fast: FastTransport) -> None:
    used: list[int] = []

    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            used.append(peer.number)
            await peer.send(CHUNKED + chunk(b"hello"))
            await peer.told()
            await peer.send(b"0\r\n\r\n")

    with FaultServer(script) as server:
        replies = [await fast.open(call(server.url), QUICK) for _ in range(3)]
        for _ in replies:
            server.tell()
        for reply in replies:
            await reply.read(LIMIT)
        for _ in range(3):
            reply = await fast.open(call(server.url), QUICK)
            server.tell()
            await reply.read(LIMIT)
    assert used == [1, 2, 3, 3, 3, 3]


async def test_a_body_that_ends_with_the_connection_ends_it(fast: FastTransport) -> None:
    with FaultServer(answering_once(b"HTTP/1.1 200 OK\r\n\r\nhello")) as server:
        for _ in range(2):
            assert await (await fast.open(call(server.url), QUICK)).read(LIMIT) == b"hello"
    assert server.connections == 2


async def test_answer_to_head(fast: FastTransport) -> None:
    with FaultServer(answering(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n")) as server:
        for _ in range(2):
            reply = await fast.open(Call("HEAD", server.url, {}), QUICK)
            assert reply.headers["content-length"] == "5"
            assert await reply.read(LIMIT) == b""


async def test_more_addresses_than_are_remembered(fast: FastTransport) -> None:
    with FaultServer(answering(OK)) as server:
        for number in range(MAX_ROUTES + 2):
            reply = await fast.open(call(f"{server.url}&n={number}"), QUICK)
            assert await reply.read(LIMIT) == b"hi"
    assert server.connections == 1
    assert len(fast._routes) == 2


# ---------------------------------------------------------------------------------------------------- replies


async def test_an_answer_that_came_whole_holds_no_place() -> None:
    transport = FastTransport(limits=Limits(max_open=1))
    with FaultServer(answering(OK)) as server:
        replies = [await transport.open(call(server.url), QUICK) for _ in range(3)]
        assert {type(reply) for reply in replies} == {Whole}
        assert [await reply.read(LIMIT) for reply in replies] == [b"hi"] * 3
        assert [await reply.read(LIMIT) for reply in replies] == [b""] * 3
    assert server.connections == 1
    await transport.aclose()


async def test_a_whole_answer_is_capped_too(fast: FastTransport) -> None:
    with FaultServer(answering(OK)) as server:
        reply = await fast.open(call(server.url), QUICK)
        with pytest.raises(MalformedResponseError, match="larger than 1 bytes"):
            await reply.read(1)
        assert [piece async for piece in reply.chunks()] == []


@pytest.mark.parametrize("limit", [0, 4])
async def test_an_answer_that_still_comes_is_capped(fast: FastTransport, limit: int) -> None:
    async def script(peer: Peer) -> None:
        await peer.answer(CHUNKED)
        await peer.told()
        await peer.send(chunk(b"h") * 5)
        await peer.gone()

    with FaultServer(script) as server, anyio.fail_after(GUARD):
        reply = await fast.open(call(server.url), QUICK)
        server.tell()
        with pytest.raises(MalformedResponseError, match=f"larger than {limit} bytes"):
            await reply.read(limit)
        assert await server.left()
        assert await reply.read(LIMIT) == b""


async def test_what_arrived_together_is_one_piece(fast: FastTransport) -> None:
    async def script(peer: Peer) -> None:
        await peer.answer(CHUNKED)
        await peer.told()
        await peer.send(chunk(b"one") + chunk(b"two") + b"0\r\n\r\n")
        await peer.gone()

    with FaultServer(script) as server:
        reply = await fast.open(call(server.url), QUICK)
        server.tell()
        assert [piece async for piece in reply.chunks()] == [b"onetwo"]


async def test_byte_by_byte(fast: FastTransport) -> None:
    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            for byte in CHUNKED + chunk(b"hello") + b"0\r\n\r\n":
                await peer.send(bytes([byte]))
                await asyncio.sleep(0)

    with FaultServer(script) as server:
        for _ in range(3):
            assert await (await fast.open(call(server.url), QUICK)).read(LIMIT) == b"hello"
    assert server.connections == 1


async def test_one_reader_at_a_time(fast: FastTransport) -> None:
    """A second one ends the answer, so that neither waits for ever."""

    async def script(peer: Peer) -> None:
        await peer.answer(CHUNKED)
        await peer.gone()

    async def first(reply: Reply) -> None:
        with pytest.raises(MalformedResponseError):
            await reply.read(LIMIT)

    with FaultServer(script) as server, anyio.fail_after(GUARD):
        reply = await fast.open(call(server.url), QUICK)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(first, reply)
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(RuntimeError, match="one task at a time"):
                await anext(reply.chunks())
        assert await server.left()


async def test_nobody_reads_so_nothing_more_is_taken(fast: FastTransport) -> None:
    sent = 0
    total = 64 << 20

    async def script(peer: Peer) -> None:
        nonlocal sent
        await peer.answer(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % total)
        while sent < total:
            await peer.send(b"x" * 65536)
            sent += 65536
        await peer.gone()

    with FaultServer(script) as server, anyio.fail_after(GUARD):
        reply = await fast.open(call(server.url), QUICK)
        assert isinstance(reply, Flow)
        before = -1
        while before != sent or not sent:
            before = sent
            await anyio.sleep(0.1)
        assert sent < total // 2
        assert reply._lease.connection._waiting_bytes < 4 * HIGH
        seen = 0
        async for piece in reply.chunks():
            seen += len(piece)
    assert seen == total


# ---------------------------------------------------------------------------------------------------- sending


@pytest.mark.parametrize("size", [1 << 20, 32 << 20])
async def test_large_request(fast: FastTransport, size: int) -> None:
    body = bytes(range(256)) * (size // 256)
    with FaultServer(answering(OK)) as server:
        for _ in range(2):
            assert await (await fast.open(call(server.url, body), PATIENT)).read(LIMIT) == b"hi"
    assert server.connections == 1
    assert all(request.endswith(b"\r\n\r\n" + body) for request in server.requests)


async def test_an_answer_before_the_request_is_sent(fast: FastTransport) -> None:
    early = b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig"

    async def script(peer: Peer) -> None:
        if peer.number > 1:
            await peer.answer()
            return
        await peer.reader.readuntil(b"\r\n\r\n")
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a read transport has it
        await peer.send(early)
        await peer.told()

    with FaultServer(script) as server, anyio.fail_after(GUARD):
        reply = await fast.open(call(server.url, b"x" * (32 << 20)), PATIENT)
        assert reply.status == 413
        assert await reply.read(LIMIT) == b"big"
        assert await (await fast.open(call(server.url), PATIENT)).read(LIMIT) == b"hi"
    assert server.connections == 2


async def test_server_that_takes_nothing_on_any_system(
    fast: FastTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(socket, "TCP_USER_TIMEOUT", raising=False)

    async def script(peer: Peer) -> None:
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a read transport has it
        await peer.told()

    silence = pytest.raises(ConnectionReset, match=r"took nothing for 0.1 s")
    with FaultServer(script) as server, anyio.fail_after(GUARD), silence as caught:
        await fast.open(call(server.url, b"x" * (32 << 20)), Timeouts(write=0.1))
    assert caught.value.phase == "headers"


async def test_server_that_takes_a_little_now_and_then(fast: FastTransport) -> None:
    """Much longer in all than `write`, which limits only how long nothing at all is taken."""

    async def script(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        for _ in range(16):
            await peer.reader.readexactly(1 << 20)
            await asyncio.sleep(0.05)
        await peer.send(OK)

    with FaultServer(script) as server:
        reply = await fast.open(call(server.url, b"x" * (16 << 20)), Timeouts(write=0.4))
        assert await reply.read(LIMIT) == b"hi"


# ------------------------------------------------------------------------------------------------- connecting


def address_of(url: str) -> dial.Address:
    host, port = url.partition("://")[2].partition("/")[0].split(":")
    return (socket.AF_INET, socket.SOCK_STREAM, 0, "", (host, int(port)))


def named(monkeypatch: pytest.MonkeyPatch, *urls: str) -> Call:
    """A call to a name with the addresses of these servers, in this order."""

    async def resolved(origin: object) -> list[dial.Address]:
        return [address_of(url) for url in urls]

    monkeypatch.setattr(dial, "_resolved", resolved)
    return call("http://name.example/")


DEAD = "http://127.0.0.1:1/"


@pytest.mark.parametrize("dead", [1, 3])
async def test_the_next_address_where_one_refuses(
    fast: FastTransport, monkeypatch: pytest.MonkeyPatch, dead: int
) -> None:
    with FaultServer(answering(OK)) as server:
        asked = named(monkeypatch, *[DEAD] * dead, server.url)
        assert await (await fast.open(asked, PATIENT)).read(LIMIT) == b"hi"


async def test_the_next_address_where_one_is_silent(
    fast: FastTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Blackhole() as hole, FaultServer(answering(OK)) as server:
        if not hole.works:
            pytest.skip("this kernel accepts connections beyond a full queue")
        asked = named(monkeypatch, hole.url, server.url, hole.url)
        assert await (await fast.open(asked, PATIENT)).read(LIMIT) == b"hi"
        assert server.connections == 1


async def test_every_address_refuses(fast: FastTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConnectionRefused) as caught:
        await fast.open(named(monkeypatch, DEAD, DEAD), PATIENT)
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)


@pytest.mark.parametrize("how", ["timeout", "cancelled"])
async def test_no_socket_is_left_of_a_race(
    fast: FastTransport, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    with Blackhole() as hole:
        if not hole.works:
            pytest.skip("this kernel accepts connections beyond a full queue")
        asked = named(monkeypatch, hole.url, hole.url, hole.url)
        if how == "timeout":
            with pytest.raises(ConnectTimeout):
                await fast.open(asked, Timeouts(connect=0.4))
        else:
            with anyio.move_on_after(0.4) as scope:
                await fast.open(asked, PATIENT)
            assert scope.cancelled_caught
    gc.collect()  # a socket left open warns here, and warnings are errors


async def test_a_name_with_no_address(fast: FastTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(*args: Any, **kwargs: Any) -> list[Any]:
        return []

    class Loop:
        getaddrinfo = staticmethod(nothing)

    monkeypatch.setattr(asyncio, "get_running_loop", Loop)
    with pytest.raises(DNSError):
        await dial._resolved(Origin("http", "name.example", 80))


async def test_cancelled_inside_the_handshake(fast: FastTransport) -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.read(5)
        await peer.gone()

    with FaultServer(script) as server:
        with anyio.move_on_after(0.2) as scope:
            await fast.open(call(server.url.replace("http:", "https:")), PATIENT)
        assert scope.cancelled_caught
        assert await server.left()


# ------------------------------------------------------------------------------------------------------ ending


async def test_nothing_shows_a_key(fast: FastTransport) -> None:
    with FaultServer(answering(OK, CHUNKED)) as server:
        replies = [await fast.open(call(server.url, b"body-secret"), QUICK) for _ in range(2)]
        pool = fast._pool()
        things: list[object] = [fast, pool, *replies, *fast._routes.values()]
        things += [one for kept in pool._idle.values() for one in kept]
        assert isinstance(replies[1], Flow)
        things += [replies[1]._lease, replies[1]._lease.connection, replies[1]._lease.connection.reader]
        assert not [thing for thing in things if "secret" in f"{thing!r} {thing}"]
        await replies[1].aclose()
