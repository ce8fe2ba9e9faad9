"""One transport on more than one event loop."""

from __future__ import annotations

import asyncio
import gc
import ssl
import threading
from collections.abc import Iterator
from typing import Any

import anyio
import pytest
import trustme

from llmcore.errors import ConnectionReset, ProviderError
from llmcore.transport.base import Reply, Transport
from llmcore.transport.fast import FastTransport
from llmcore.transport.httpx_transport import HttpxTransport
from tests.transport.conftest import QUICK, SETUPS, call
from tests.transport.faults import CHUNKED, GUARD, OK, FaultServer, Peer, answering


@pytest.mark.parametrize("setup", SETUPS)
def test_second_loop_has_connections_of_its_own(setup: str) -> None:
    backend, kind = SETUPS[setup]
    transport = kind()
    with FaultServer(answering(OK)) as server:
        for number in (1, 2):
            _run(backend, _twice, transport, server.url)
            assert server.connections == number
    assert len(server.requests) == 4


async def _twice(transport: Transport, url: str) -> None:
    for _ in range(2):
        assert await (await transport.open(call(url), QUICK)).read(100) == b"hi"
    await transport.aclose()


@pytest.mark.parametrize("setup", SETUPS)
def test_a_loop_that_ends_closes_its_connections(setup: str, uncollected: None) -> None:
    backend, kind = SETUPS[setup]
    transport = kind()

    async def once(url: str) -> None:
        assert await (await transport.open(call(url), QUICK)).read(100) == b"hi"

    with FaultServer(_answering_until_gone) as server:
        for number in (1, 2, 3):
            server.gone.clear()
            _run(backend, once, server.url)
            assert server.gone.wait(GUARD)
            assert server.connections == number
        _run(backend, transport.aclose)


@pytest.mark.parametrize("then", ["aclose", "use"])
@pytest.mark.parametrize("where", ["idle", "in use"])
@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("kind", [FastTransport, HttpxTransport])
def test_what_a_loop_left_that_was_closed_by_hand_is_closed_later(
    kind: type[FastTransport | HttpxTransport], secure: bool, where: str, then: str, uncollected: None
) -> None:
    """No loop is left that could close the sockets, and nothing is said of resources that were not closed."""
    authority = trustme.CA()
    trusted = ssl.create_default_context()
    authority.configure_trust(trusted)
    certified = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(certified)
    transport = kind(tls=trusted)

    async def once(url: str) -> Reply:
        reply = await transport.open(call(url), QUICK)
        if where == "idle":
            assert await reply.read(100) == b"hi"
        return reply

    async def script(peer: Peer) -> None:
        await peer.answer(OK if where == "idle" or peer.number > 1 else CHUNKED)
        await peer.gone()

    with FaultServer(script, tls=certified if secure else None) as server:
        loop = asyncio.new_event_loop()
        reply = loop.run_until_complete(once(server.url))
        loop.close()
        assert not server.gone.is_set()
        if then == "use":
            asyncio.run(_used_again(transport, server))
        else:
            asyncio.run(transport.aclose())
        assert server.gone.wait(GUARD)
        asyncio.run(transport.aclose())
        del reply
        gc.collect()


async def _used_again(transport: Transport, server: FaultServer) -> None:
    """The connection of this loop is still open when that of the other one is gone."""
    reply = await transport.open(call(server.url), QUICK)
    assert await server.left()
    await reply.aclose()


def test_closing_reaches_the_loops_of_other_threads() -> None:
    transport = FastTransport()
    begun = threading.Event()
    caught: list[ProviderError] = []

    async def reading(url: str) -> None:
        reply = await transport.open(call(url), QUICK)
        begun.set()
        try:
            await reply.read(100)
        except ProviderError as error:
            caught.append(error)

    async def script(peer: Peer) -> None:
        await peer.answer(CHUNKED)
        await peer.gone()

    with FaultServer(script) as server:
        thread = threading.Thread(target=lambda: asyncio.run(reading(server.url)), daemon=True)
        thread.start()
        assert begun.wait(GUARD)
        asyncio.run(transport.aclose())
        assert server.gone.wait(GUARD)
        thread.join(GUARD)
    assert [type(error) for error in caught] == [ConnectionReset]


async def _answering_until_gone(peer: Peer) -> None:
    await peer.answer()
    await peer.gone()


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Without the garbage collector, which would close what was left open."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()
    gc.collect()


def _run(backend: Any, *args: Any) -> None:
    name, options = backend if isinstance(backend, tuple) else (backend, {})
    anyio.run(*args, backend=name, backend_options=options)
