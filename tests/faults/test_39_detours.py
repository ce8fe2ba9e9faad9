"""Faults 39 to 41: redirects, interim answers, and HTTP/2 where nobody speaks it."""

from __future__ import annotations

import pytest
import trustme

from llmcore.config import TransportChoice
from llmcore.errors import (
    ConfigurationError,
    ConnectionReset,
    EndpointError,
    FirstTokenTimeout,
    MalformedResponseError,
    StreamInterruptedError,
)
from tests.faults.conftest import Ask, Make, failure, generate, read, rfh, stream
from tests.faults.raw import (
    GOOD,
    STREAM,
    WHOLE,
    Server,
    cutting,
    either,
    event,
    healthy,
    http,
    serving,
    streamed,
)
from tests.faults.tls import server_tls, trusting
from tests.transport.faults import Peer, chunk

pytestmark = pytest.mark.anyio

COVERED = (39, 40, 41)

# ----------------------------------------------------------------------------------------------- redirects

STATUSES = [300, 301, 302, 303, 304, 307, 308]


@pytest.mark.parametrize("status", STATUSES)
async def test_39_to_another_host(make: Make, ask: Ask, status: int) -> None:
    with Server(healthy()) as target:
        location = f"http://localhost:{target.port}/v1/chat/completions?key=query-secret"
        with Server(serving(http(b"", status, location=location))) as server:
            error = await failure(ask(make(server)))
    assert type(error) is EndpointError
    assert isinstance(error, ConfigurationError)
    assert (rfh(error), error.status, error.phase) == ("F", status, "headers")
    assert "http://localhost" in error.message
    assert "query-secret" not in f"{error!r} {error.complaints}"
    assert (len(server.requests), target.connections) == (1, 0)


@pytest.mark.parametrize(
    ("status", "words"), [(304, "304 (Not Modified)"), (300, "300 without saying where to go")]
)
async def test_39_to_nowhere(make: Make, ask: Ask, status: int, words: str) -> None:
    with Server(serving(http(b"", status))) as server:
        error = await failure(ask(make(server)))
    assert type(error) is EndpointError
    assert (rfh(error), error.status, len(server.requests)) == ("F", status, 1)
    assert words in error.message
    assert "redirect" not in error.message


TARGETS = {
    "same host": "/v1/elsewhere?key=query-secret",
    "itself": "/v1/chat/completions",
    "metadata": "http://169.254.169.254/latest/meta-data/",
    "no scheme": "//169.254.169.254/",
    "a file": "file:///etc/passwd",
    "script": "javascript:alert(1)",
    "no address": "http://[",
    "with a password": "http://user:query-secret@127.0.0.1:1/",
    "empty": "",
}


@pytest.mark.parametrize("target", TARGETS)
async def test_39_to_anywhere(make: Make, ask: Ask, target: str) -> None:
    with Server(serving(http(b"", 307, location=TARGETS[target]))) as server:
        error = await failure(ask(make(server)))
    assert type(error) is EndpointError
    assert rfh(error) == "F"
    assert "query-secret" not in f"{error!r} {error.complaints}"
    assert (len(server.requests), server.connections) == (1, 1)


async def test_39_without_a_location(make: Make, ask: Ask) -> None:
    with Server(serving(http(b"", 302))) as server:
        error = await failure(ask(make(server)))
    assert type(error) is EndpointError
    assert len(server.requests) == 1


async def test_39_down_to_plain_http(
    make: Make, ask: Ask, choice: TransportChoice, authority: trustme.CA
) -> None:
    with Server(healthy()) as plain:
        moved = http(b"", 301, location=plain.base_url)
        certificate = authority.issue_cert("127.0.0.1")
        with Server(serving(moved), tls=server_tls(certificate)) as server:
            error = await failure(ask(make(server, transport=trusting(choice, authority))))
    assert type(error) is EndpointError
    assert (len(server.requests), plain.connections) == (1, 0)


async def test_39_a_loop(make: Make, ask: Ask) -> None:
    """Two servers that point at each other: one request in all."""
    places: list[str] = []

    def moved(request: bytes) -> bytes:
        return http(b"", 302, location=places[0])

    with Server(serving(moved)) as first, Server(serving(moved)) as second:
        places.append(second.base_url)
        error = await failure(ask(make(first)))
    assert type(error) is EndpointError
    assert (len(first.requests), second.connections) == (1, 0)


async def test_39_other_calls(make: Make) -> None:
    """Lists of models and embeddings are not led astray either."""
    with Server(healthy()) as target, Server(serving(http(b"", 302, location=target.base_url))) as server:
        provider = make(server)
        for work in (provider.list_models(), provider.embed("hi")):
            assert type(await failure(work)) is EndpointError
    assert (len(server.requests), target.connections) == (2, 0)


async def test_39_what_looks_like_one_on_success_is_not_followed(make: Make) -> None:
    """`location`, `refresh` and `alt-svc` beside an answer lead nowhere."""
    with Server(healthy()) as target:
        place = f"127.0.0.1:{target.port}"
        answer = http(
            GOOD.partition(b"\r\n\r\n")[2],
            location=target.base_url,
            refresh=f"0; url={target.base_url}",
            alt_svc=f'h2="{place}"; ma=60, http/1.1="{place}"',
        )
        with Server(serving(answer)) as server:
            provider = make(server)
            for _ in range(2):
                assert (await generate(provider)).text == "hello"
    assert (len(server.requests), target.connections) == (2, 0)


# ------------------------------------------------------------------------------------------------- interim

EARLY = b"HTTP/1.1 103 Early Hints\r\nlink: </x>; rel=preload\r\n\r\n"
INTERIM = {
    "100": b"HTTP/1.1 100 Continue\r\n\r\n",
    "102": b"HTTP/1.1 102 Processing\r\n\r\n",
    "103": EARLY,
    "unknown": b"HTTP/1.1 199 Odd\r\n\r\n",
    "many": EARLY * 500,
    "mixed": (b"HTTP/1.1 100 Continue\r\n\r\n" + EARLY) * 20,
}


@pytest.mark.parametrize("interim", INTERIM)
async def test_40_interim_answers_are_skipped(make: Make, ask: Ask, interim: str) -> None:
    early = INTERIM[interim]
    with Server(serving(either(early + GOOD, early + streamed(WHOLE)))) as server:
        provider = make(server)
        for _ in range(2):
            assert (await ask(provider)).text == "hello"
    assert (len(server.requests), server.connections) == (2, 1)


async def test_40_nothing_but_interim_answers(make: Make) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        try:
            while True:
                await peer.send(EARLY)
        except ConnectionError:
            peer.server.gone.set()

    with Server(script) as server:
        error = await failure(stream(make(server, first_token=0.1)))
        assert await server.closed()
    assert type(error) is FirstTokenTimeout
    assert len(server.requests) <= 1


async def test_40_interim_and_then_nothing(make: Make, ask: Ask) -> None:
    with Server(cutting(EARLY)) as server:
        error = await failure(ask(make(server)))
    assert type(error) is ConnectionReset
    assert (rfh(error), len(server.requests)) == ("RFH", 1)


async def test_40_nobody_waits_for_a_continue(make: Make, ask: Ask) -> None:
    with Server(healthy()) as server:
        await ask(make(server))
    assert b"expect:" not in server.requests[0].lower()


# ------------------------------------------------------------------------------------------------- HTTP/2


async def test_41_http2_is_not_spoken(
    make: Make, ask: Ask, choice: TransportChoice, authority: trustme.CA
) -> None:
    """Neither transport offers it, so no stream is ever refused and no GOAWAY met."""
    chosen: list[str | None] = []

    async def script(peer: Peer) -> None:
        tls = peer.writer.get_extra_info("ssl_object")
        chosen.append(tls.selected_alpn_protocol())
        await healthy()(peer)

    context = server_tls(authority.issue_cert("127.0.0.1"))
    context.set_alpn_protocols(["h2", "http/1.1"])
    with Server(script, tls=context) as server:
        assert (await ask(make(server, transport=trusting(choice, authority)))).text == "hello"
    assert chosen in (["http/1.1"], [None])


async def test_41_no_upgrade_is_asked_for(make: Make, ask: Ask) -> None:
    with Server(healthy()) as server:
        await ask(make(server))
    request = server.requests[0].lower()
    assert request.startswith(b"post /v1/chat/completions http/1.1\r\n")
    assert b"upgrade" not in request


SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
GOAWAY = b"\x00\x00\x08\x07\x00\x00\x00\x00\x00" + b"\x00\x00\x00\x00" + b"\x00\x00\x00\x00"
REFUSED = b"\x00\x00\x04\x03\x00\x00\x00\x00\x01" + b"\x00\x00\x00\x07"


@pytest.mark.parametrize("frames", [SETTINGS + GOAWAY, SETTINGS + REFUSED], ids=["goaway", "refused"])
async def test_41_frames_are_no_answer(make: Make, ask: Ask, frames: bytes) -> None:
    with Server(cutting(frames)) as server:
        error = await failure(ask(make(server)))
    assert isinstance(error, (MalformedResponseError, ConnectionReset))
    assert (rfh(error), error.phase) == ("RFH", "headers")
    assert len(server.requests) == 1


async def test_41_a_forced_upgrade_is_no_answer(make: Make, ask: Ask) -> None:
    switching = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n" + SETTINGS
    with Server(cutting(switching)) as server:
        error = await failure(ask(make(server)))
    assert type(error) is MalformedResponseError
    assert rfh(error) == "RFH"
    assert len(server.requests) == 1


async def test_41_the_farewell_of_http1(make: Make, ask: Ask) -> None:
    """`connection: close` is its GOAWAY: this answer counts, the next one comes over another connection."""
    last = http(GOOD.partition(b"\r\n\r\n")[2], connection="close")
    events = STREAM.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n") + chunk(WHOLE) + b"0\r\n\r\n"
    with Server(serving(either(last, events))) as server:
        provider = make(server)
        for _ in range(3):
            assert (await ask(provider)).text == "hello"
    assert (len(server.requests), server.connections) == (3, 3)


async def test_41_a_farewell_inside_a_stream(make: Make) -> None:
    """As fault 14."""
    shown: list[str] = []
    start = STREAM.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")
    with Server(cutting(start + chunk(event("hello")))) as server:
        error = await failure(read(make(server), shown))
    assert type(error) is StreamInterruptedError
    assert isinstance(error.__cause__, ConnectionReset)
    assert shown == ["hello"]
