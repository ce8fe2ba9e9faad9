"""Faults 35 to 38: more than anybody can hold; everything stops at its cap."""

from __future__ import annotations

import gzip
import itertools
import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from llmcore.config import TransportChoice
from llmcore.errors import MalformedResponseError, ServerError, StreamInterruptedError
from llmcore.wire.base import MAX_BODY
from tests.faults.conftest import PAIR, SETUPS, Ask, Make, failure, generate, read, rfh, stream
from tests.faults.raw import GOOD, STREAM, WHOLE, Server, completion, event, http, serving
from tests.transport.faults import CHUNKED, Peer, Script, chunk

pytestmark = pytest.mark.anyio

COVERED = (35, 36, 37, 38)


@pytest.fixture(params=PAIR)
def setup(request: pytest.FixtureRequest) -> tuple[str, TransportChoice]:
    return SETUPS[request.param]


MIB = 1 << 20
SLACK = 40 * MIB
"""What client and server (they share a process) may hold beside the capped body."""


@contextmanager
def memory_below(limit: int) -> Iterator[None]:
    """At no moment more than `limit` bytes beyond what there was at the start."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < limit


def bomb(filler: bytes, size: int) -> bytes:
    """gzip of at least `size` bytes of `filler`, a thousandth as long, made without ever holding them."""
    squeezer = zlib.compressobj(9, wbits=-15)
    piece = filler * (MIB // len(filler))
    start = squeezer.compress(piece) + squeezer.flush(zlib.Z_FULL_FLUSH)
    again = squeezer.compress(piece) + squeezer.flush(zlib.Z_FULL_FLUSH)
    head = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
    return head + start + again * (size // MIB)


BOMB = bomb(b" ", 10 << 30)


def squeezed(body: bytes, status: int = 200, encoding: str = "gzip", kind: str = "application/json") -> bytes:
    return http(body, status, kind, content_encoding=encoding)


def test_35_the_bomb_is_one() -> None:
    assert len(BOMB) < 20 * MIB
    inflate = zlib.decompressobj(47)
    total = 0
    for place in range(0, len(BOMB), 64):
        total += len(inflate.decompress(BOMB[place : place + 64]))
        if total > 100 * MIB:
            return
    pytest.fail("no bomb")


async def test_35_gzip_bomb(make: Make) -> None:
    with Server(serving(squeezed(BOMB))) as server, memory_below(MAX_BODY + SLACK):
        error = await failure(generate(make(server)))
    assert type(error) is MalformedResponseError
    assert rfh(error) == "RFH"
    assert len(server.requests) == 1


async def test_35_gzip_bomb_in_a_stream(make: Make) -> None:
    with Server(serving(squeezed(BOMB, kind="text/event-stream"))) as server, memory_below(2 * SLACK):
        error = await failure(stream(make(server)))
    assert type(error) is MalformedResponseError
    assert (rfh(error), error.visible_output) == ("RFH", False)


async def test_35_gzip_bomb_in_an_error(make: Make, ask: Ask) -> None:
    """The status says enough; the body is not worth unpacking."""
    with Server(serving(squeezed(BOMB, 500))) as server, memory_below(SLACK):
        error = await failure(ask(make(server)))
    assert type(error) is ServerError
    assert error.status == 500


SMALL = gzip.compress(completion())

UNREADABLE = {
    "gzip twice": squeezed(gzip.compress(SMALL), encoding="gzip, gzip"),
    "gzip in deflate": squeezed(zlib.compress(SMALL), encoding="gzip, deflate"),
    "unknown": squeezed(completion(), encoding="br"),
    "no gzip": squeezed(completion()),
    "deflate garbage": squeezed(b"\xff\xff\xff nothing", encoding="deflate"),
    "truncated gzip": squeezed(SMALL[:-9]),
    "truncated to the head": squeezed(SMALL[:10]),
    "bad checksum": squeezed(SMALL[:-8] + b"\0" * 8),
    "rubbish after it": squeezed(SMALL + b"rubbish"),
}


@pytest.mark.parametrize("fault", UNREADABLE)
async def test_35_compression_that_cannot_be_read(make: Make, fault: str) -> None:
    with Server(serving(UNREADABLE[fault])) as server:
        error = await failure(generate(make(server)))
    assert type(error) is MalformedResponseError
    assert rfh(error) == "RFH"


async def test_35_compressed_events_cut_short(make: Make) -> None:
    squeezer = zlib.compressobj(wbits=31)
    data = squeezer.compress(event("hello")) + squeezer.flush(zlib.Z_SYNC_FLUSH)
    shown: list[str] = []
    with Server(serving(squeezed(data, kind="text/event-stream"))) as server:
        error = await failure(read(make(server), shown))
    assert type(error) is StreamInterruptedError
    assert isinstance(error.__cause__, MalformedResponseError)
    assert shown == ["hello"]


async def test_35_compressed_though_unasked(make: Make) -> None:
    """The control: what is compressed well is read."""
    whole, events = squeezed(SMALL), squeezed(gzip.compress(WHOLE), kind="text/event-stream")
    with Server(serving(whole, events)) as server:
        provider = make(server)
        assert (await generate(provider)).text == "hello"
        assert (await stream(provider)).text == "hello"
    assert all(b"accept-encoding: identity" in request.lower() for request in server.requests)


def flooding(start: bytes, piece: bytes) -> Script:
    """Answers with `start` and then `piece` again and again, until the client has gone."""

    async def script(peer: Peer) -> None:
        await peer.answer(start)
        try:
            while True:
                await peer.send(piece)
        except ConnectionError:
            peer.server.gone.set()

    return script


async def test_36_body_without_end(make: Make) -> None:
    with Server(flooding(CHUNKED, chunk(b" " * MIB))) as server, memory_below(MAX_BODY + SLACK):
        error = await failure(generate(make(server)))
        assert await server.closed()
    assert type(error) is MalformedResponseError
    assert rfh(error) == "RFH"


async def test_36_error_without_end(make: Make, ask: Ask) -> None:
    start = CHUNKED.replace(b"200", b"503")
    with Server(flooding(start, chunk(b" " * MIB))) as server, memory_below(SLACK):
        error = await failure(ask(make(server)))
        assert await server.closed()
    assert error.status == 503


async def test_37_line_without_end(make: Make) -> None:
    with Server(flooding(STREAM + chunk(b"data: "), chunk(b"x" * MIB))) as server, memory_below(3 * SLACK):
        error = await failure(stream(make(server)))
        assert await server.closed()
    assert type(error) is MalformedResponseError
    assert (rfh(error), error.visible_output) == ("RFH", False)


@pytest.mark.parametrize("line", [b"x" * MIB, b"data: " + b"x" * MIB + b"\n"], ids=["one line", "many lines"])
async def test_37_event_without_end_after_something_visible(make: Make, line: bytes) -> None:
    shown: list[str] = []
    start = STREAM + chunk(event("hello") + b"data: ")
    with Server(flooding(start, chunk(line))) as server, memory_below(3 * SLACK):
        error = await failure(read(make(server), shown))
        assert await server.closed()
    assert type(error) is StreamInterruptedError
    assert isinstance(error.__cause__, MalformedResponseError)
    assert error.partial is not None
    assert error.partial.text == "".join(shown) == "hello"


def headed(*lines: bytes) -> bytes:
    return GOOD.replace(b"\r\n\r\n", b"\r\n" + b"\r\n".join(lines) + b"\r\n\r\n", 1)


HEADS = {
    "10 000 headers": headed(*(b"x-%d: y" % number for number in range(10_000))),
    "the same 10 000 times": headed(*itertools.repeat(b"x: y", 10_000)),
    "1 MB": headed(b"x: " + b"y" * 1_000_000),
    "1 MB name": headed(b"y" * 1_000_000 + b": x"),
    "space in a name": headed(b"x y: z"),
    "NUL in a value": headed(b"x: a\x00b"),
    "no colon": headed(b"no colon"),
    "no name": headed(b": value"),
}


@pytest.mark.parametrize("head", HEADS)
async def test_38_headers(make: Make, ask: Ask, head: str) -> None:
    with Server(serving(HEADS[head])) as server:
        error = await failure(ask(make(server)))
    assert type(error) is MalformedResponseError
    assert (rfh(error), error.phase) == ("RFH", "headers")
    assert len(server.requests) == 1


@pytest.mark.parametrize("line", [b"x-a: b\r\n", b"x" * 1000], ids=["many", "one"])
async def test_38_headers_without_end(make: Make, ask: Ask, line: bytes) -> None:
    with Server(flooding(b"HTTP/1.1 200 OK\r\n", line * 100)) as server, memory_below(SLACK):
        error = await failure(ask(make(server)))
        assert await server.closed()
    assert type(error) is MalformedResponseError


@pytest.mark.parametrize("line", [b"x-a: b\r\n", b"x" * 1000], ids=["many", "one"])
async def test_38_trailers_without_end(make: Make, line: bytes) -> None:
    start = CHUNKED + chunk(completion()) + b"0\r\n"
    with Server(flooding(start, line * 100)) as server, memory_below(SLACK):
        error = await failure(generate(make(server)))
        assert await server.closed()
    assert type(error) is MalformedResponseError
