"""Faults 1 to 6: connecting, and connections that die before an answer."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import trustme

from llmcore.config import TransportChoice
from llmcore.errors import ConnectionRefused, ConnectionReset, ConnectTimeout, DNSError, TLSError
from tests.faults.conftest import Ask, Make, failure, outcomes, rfh
from tests.faults.raw import KEY, Server, cutting, healthy
from tests.faults.tls import server_tls, trusting
from tests.transport.faults import Blackhole, Peer

pytestmark = pytest.mark.anyio

COVERED = (1, 2, 3, 4, 5, 6)


async def test_00_nothing_is_wrong(make: Make, ask: Ask) -> None:
    """The control: what every other test here breaks."""
    with Server(healthy()) as server:
        provider = make(server)
        for _ in range(3):
            assert (await ask(provider)).text == "hello"
    assert (len(server.requests), server.connections) == (3, 1)
    assert provider.stats().successes == 3
    assert all(KEY.encode() in request for request in server.requests)


async def test_01_refused(make: Make, ask: Ask) -> None:
    with Server(healthy()) as server:
        address = server.base_url
    provider = make(address)
    error = await failure(ask(provider))
    assert type(error) is ConnectionRefused
    assert (rfh(error), error.phase, error.visible_output) == ("RFH", "connect", False)
    assert provider.stats().failures == 1


# -------------------------------------------------------------------------------------------------- names


async def test_02_no_such_name(make: Make, ask: Ask) -> None:
    error = await failure(ask(make("http://nosuchhost.invalid/v1")))
    assert type(error) is DNSError
    assert (rfh(error), error.phase) == ("RFH", "connect")


@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".example"])
async def test_02_what_can_be_no_name(make: Make, ask: Ask, host: str) -> None:
    error = await failure(ask(make(f"http://{host}/v1")))
    assert error.phase == "connect"
    assert "F" in rfh(error)


@pytest.mark.parametrize("answer", ["no data", "nothing", "fails"])
async def test_02_name_without_an_address(
    make: Make, ask: Ask, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    """A name that exists and has no address: the resolver says so, or (a broken one) gives an empty list."""

    def resolve(*args: Any, **options: Any) -> list[Any]:
        if answer == "nothing":
            return []
        code = socket.EAI_NODATA if answer == "no data" else socket.EAI_FAIL
        raise socket.gaierror(code, "said the resolver")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    error = await failure(ask(make("http://empty.example/v1")))
    assert type(error) is DNSError
    assert (rfh(error), error.phase) == ("RFH", "connect")


# ---------------------------------------------------------------------------------------------- blackhole


async def test_03_syn_dropped(make: Make, ask: Ask, hole: Blackhole) -> None:
    error = await failure(ask(make(f"{hole.url}v1", connect=0.1)))
    assert type(error) is ConnectTimeout
    assert (rfh(error), error.phase) == ("RFH", "connect")


# ---------------------------------------------------------------------------------------------------- TLS


async def test_04_trusted(make: Make, ask: Ask, choice: TransportChoice, authority: trustme.CA) -> None:
    """The control: the same server with a good certificate."""
    with Server(healthy(), tls=server_tls(authority.issue_cert("127.0.0.1"))) as server:
        assert (await ask(make(server, transport=trusting(choice, authority)))).text == "hello"


@pytest.mark.parametrize("fault", ["expired", "not yet valid", "wrong host"])
async def test_04_bad_certificate(
    make: Make, ask: Ask, choice: TransportChoice, authority: trustme.CA, fault: str
) -> None:
    now = datetime.now(UTC)
    certificate = {
        "expired": lambda: authority.issue_cert("127.0.0.1", not_after=now - timedelta(days=1)),
        "not yet valid": lambda: authority.issue_cert("127.0.0.1", not_before=now + timedelta(days=1)),
        "wrong host": lambda: authority.issue_cert("elsewhere.example"),
    }[fault]()
    with Server(healthy(), tls=server_tls(certificate)) as server:
        error = await failure(ask(make(server, transport=trusting(choice, authority))))
    assert type(error) is TLSError
    assert (rfh(error), error.phase) == ("FH", "connect")
    assert "certificate" in error.message
    assert not server.requests


async def test_04_self_signed(make: Make, ask: Ask, authority: trustme.CA) -> None:
    """Nobody whom the machine trusts has signed it."""
    with Server(healthy(), tls=server_tls(authority.issue_cert("127.0.0.1"))) as server:
        error = await failure(ask(make(server)))
    assert type(error) is TLSError
    assert (rfh(error), error.phase) == ("FH", "connect")
    assert not server.requests


@pytest.mark.parametrize("fault", ["cut", "reset", "plain"])
async def test_04_handshake_fails(make: Make, ask: Ask, fault: str) -> None:
    heard: list[bytes] = []

    async def script(peer: Peer) -> None:
        heard.append(await peer.reader.read(65536))
        if fault == "reset":
            peer.reset()
        elif fault == "plain":
            await peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with Server(script) as server:
        error = await failure(ask(make(server.base_url.replace("http:", "https:"))))
    assert type(error) is TLSError
    assert rfh(error) == "FH"
    assert KEY.encode() not in b"".join(heard)


# -------------------------------------------------------------------------- connections that die unanswered


@pytest.mark.parametrize("reset", [True, False], ids=["rst", "fin"])
async def test_05_fresh_connection_dies(make: Make, ask: Ask, reset: bool) -> None:
    with Server(cutting(b"", reset=reset)) as server:
        provider = make(server)
        error = await failure(ask(provider))
    assert type(error) is ConnectionReset
    assert (rfh(error), error.phase) == ("RFH", "headers")
    assert len(server.requests) == 1


@pytest.mark.parametrize("reset", [True, False], ids=["rst", "fin"])
async def test_06_kept_connection_dies_and_the_request_is_replayed(make: Make, ask: Ask, reset: bool) -> None:
    with Server(cutting(b"", reset=reset, after={2})) as server:
        provider = make(server)
        await ask(provider)
        response = await ask(provider)
    assert response.text == "hello"
    assert outcomes(response) == [("p1", "success")]
    assert (len(server.requests), server.connections) == (3, 2)
    assert server.requests[1] == server.requests[2]
    stats = provider.stats()
    assert (stats.requests, stats.successes, stats.failures) == (2, 2, 0)


@pytest.mark.parametrize("reset", [True, False], ids=["rst", "fin"])
async def test_06_the_replay_dies_too(make: Make, ask: Ask, reset: bool) -> None:
    """One replay and no more."""
    with Server(cutting(b"", reset=reset, after={2, 3, 4})) as server:
        provider = make(server)
        await ask(provider)
        error = await failure(ask(provider))
    assert type(error) is ConnectionReset
    assert (rfh(error), error.phase) == ("RFH", "headers")
    assert len(server.requests) == 3
    assert outcomes(error) == [("p1", "ConnectionReset")]
