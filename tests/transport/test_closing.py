"""`aclose` while calls are under way: their sockets close at once, and the calls end with an error that says so."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable

import anyio
import anyio.to_thread
import pytest

from llmcore.config import Timeouts
from llmcore.errors import ConnectionReset, ProviderError
from llmcore.transport.base import Reply, Transport
from llmcore.transport.limits import Limits
from tests.transport.conftest import Make, call
from tests.transport.faults import CHUNKED, GUARD, OK, Blackhole, FaultServer, Peer, answering, chunk

pytestmark = pytest.mark.anyio

PATIENT = Timeouts(connect=60.0, pool=60.0, write=60.0)
LIMIT = 1 << 20


@pytest.fixture(autouse=True)
async def guarded(anyio_backend: object) -> None:
    """Async, so that every test here runs on the loop of its setup."""


class Silent:
    """A script that sends `sent` in answer to a request, and no more. there: it has."""

    def __init__(self, sent: bytes = b"") -> None:
        self.there = threading.Event()
        self._sent = sent

    async def __call__(self, peer: Peer) -> None:
        await peer.request()
        await peer.send(self._sent)
        self.there.set()
        await peer.gone()


async def closed_under(
    transport: Transport, work: Callable[[], Awaitable[object]], there: threading.Event
) -> None:
    """Close the transport while `work` waits; it ends, and says why."""
    caught: list[ProviderError] = []

    async def running() -> None:
        with pytest.raises(ProviderError) as error:
            await work()
        caught.append(error.value)

    with anyio.fail_after(GUARD):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(running)
            assert await anyio.to_thread.run_sync(there.wait, GUARD)
            await transport.aclose()
    assert [(type(error), error.message) for error in caught] == [(ConnectionReset, "closed by aclose")]
    assert (caught[0].retryable, caught[0].failover, caught[0].health) == (False, False, False)


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\n"], ids=["nothing", "half a head"])
async def test_before_the_headers(make: Make, sent: bytes) -> None:
    silent, transport = Silent(sent), make()
    with FaultServer(silent) as server:
        await closed_under(transport, lambda: transport.open(call(server.url), PATIENT), silent.there)
        assert await server.left()


async def read(reply: Reply) -> None:
    await reply.read(LIMIT)


async def iterate(reply: Reply) -> None:
    async for piece in reply.chunks():
        assert piece == b"hello"


@pytest.mark.parametrize("packed", [b"", b"content-encoding: gzip\r\n"], ids=["plain", "gzip"])
@pytest.mark.parametrize("how", [read, iterate])
async def test_inside_the_body(make: Make, how: Callable[[Reply], Awaitable[None]], packed: bytes) -> None:
    head = CHUNKED.replace(b"\r\n\r\n", b"\r\n" + packed + b"\r\n")
    silent, transport = Silent(head + (b"" if packed else chunk(b"hello"))), make()

    async def work() -> None:
        reply = await transport.open(call(server.url), PATIENT)
        try:
            await how(reply)
        finally:
            await reply.aclose()

    with FaultServer(silent) as server:
        await closed_under(transport, work, silent.there)
        assert await server.left()


async def test_a_stream_that_nobody_reads_at_the_moment(make: Make) -> None:
    silent, transport = Silent(CHUNKED + chunk(b"hello")), make()
    with FaultServer(silent) as server:
        reply = await transport.open(call(server.url), PATIENT)
        pieces = aiter(reply.chunks())
        assert await anext(pieces) == b"hello"
        await transport.aclose()
        assert await server.left()
        with pytest.raises(ConnectionReset, match="closed by aclose"):
            await anext(pieces)
        await reply.aclose()


async def test_inside_the_tls_handshake(make: Make) -> None:
    hello, transport = threading.Event(), make()

    async def script(peer: Peer) -> None:
        await peer.reader.read(5)
        hello.set()
        await peer.gone()

    with FaultServer(script) as server:
        url = server.url.replace("http:", "https:")
        await closed_under(transport, lambda: transport.open(call(url), PATIENT), hello)
        assert await server.left()


async def test_while_connecting(make: Make) -> None:
    transport, begun = make(), threading.Event()

    async def work() -> None:
        begun.set()
        await transport.open(call(hole.url), PATIENT)

    with Blackhole() as hole:
        if not hole.works:
            pytest.skip("the machine takes every connection")
        await closed_under(transport, work, begun)


async def test_while_waiting_for_a_place(make: Make) -> None:
    silent, transport = Silent(CHUNKED + chunk(b"hello")), make(limits=Limits(max_open=1))
    with FaultServer(silent) as server:
        reply = await transport.open(call(server.url), PATIENT)
        caught: list[str] = []

        async def wait() -> None:
            with pytest.raises(ConnectionReset) as error:
                await transport.open(call(server.url), PATIENT)
            caught.append(error.value.message)

        with anyio.fail_after(GUARD):
            async with anyio.create_task_group() as tasks:
                for _ in range(3):
                    tasks.start_soon(wait)
                await anyio.wait_all_tasks_blocked()
                await transport.aclose()
        await reply.aclose()
        assert caught == ["closed by aclose"] * 3
        assert server.connections == 1


async def test_closing_twice_at_the_same_time(make: Make) -> None:
    silent, transport = Silent(CHUNKED + chunk(b"hello")), make()
    with FaultServer(silent) as server:
        reply = await transport.open(call(server.url), PATIENT)
        with anyio.fail_after(GUARD):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(transport.aclose)
                tasks.start_soon(transport.aclose)
        await reply.aclose()
        assert await server.left()


async def test_a_closed_transport_starts_afresh(make: Make) -> None:
    transport = make()
    with FaultServer(answering(OK)) as server:
        for number in (1, 2):
            for _ in range(2):
                assert await (await transport.open(call(server.url), PATIENT)).read(LIMIT) == b"hi"
            assert server.connections == number
            await transport.aclose()
