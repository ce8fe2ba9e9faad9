"""The fault suite: whatever breaks, every transport says the same."""

from __future__ import annotations

import asyncio
import gc
import gzip
import sys
import threading
import traceback
import zlib
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from ssl import PROTOCOL_TLS_SERVER, SSLContext, create_default_context

import anyio
import anyio.to_thread
import pytest
import trustme

from llmcore.config import Timeouts
from llmcore.errors import (
    ConnectionRefused,
    ConnectionReset,
    ConnectTimeout,
    DNSError,
    EndpointError,
    MalformedResponseError,
    PoolTimeout,
    ProviderError,
    TLSError,
)
from llmcore.transport.base import Call, Reply
from llmcore.transport.incoming import PIECE
from llmcore.transport.limits import Limits
from tests.transport.conftest import QUICK, Make, Send, call
from tests.transport.faults import (
    CHUNKED,
    GUARD,
    OK,
    Blackhole,
    FaultServer,
    Peer,
    Script,
    answering,
    answering_once,
    chunk,
)

pytestmark = pytest.mark.anyio

LIMIT = 1 << 20
PATIENT = Timeouts(connect=60.0)


@pytest.fixture(autouse=True)
async def guarded(anyio_backend: object) -> None:
    """Async, so that every test here runs on the loop of its setup."""


async def failure(send: Send, url: str, body: bytes = b"{}") -> ProviderError:
    """What sending to `url` and reading the whole answer raises; it must name no secret."""

    async def whole() -> None:
        await (await send(url, body=body)).read(LIMIT)

    with anyio.fail_after(GUARD), pytest.raises(ProviderError) as caught:
        await whole()
    assert "secret" not in f"{caught.value} {caught.value!r}"
    return caught.value


# ------------------------------------------------------------------------------------------------ connecting


async def test_refused(send: Send) -> None:
    with FaultServer(answering(OK)) as server:
        url = server.url
    error = await failure(send, url)
    assert type(error) is ConnectionRefused
    assert error.phase == "connect"


async def test_no_such_host(send: Send) -> None:
    error = await failure(send, "http://nosuchhost.invalid/?key=query-secret")
    assert type(error) is DNSError
    assert error.phase == "connect"


async def test_syn_dropped(send: Send) -> None:
    with Blackhole() as hole:
        if not hole.works:
            pytest.skip("this kernel accepts connections beyond a full queue")
        error = await failure(send, hole.url)
    assert type(error) is ConnectTimeout
    assert error.phase == "connect"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def server_tls(certificate: trustme.LeafCert) -> SSLContext:
    context = SSLContext(PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def trusting(authority: trustme.CA) -> SSLContext:
    context = create_default_context()
    authority.configure_trust(context)
    return context


async def test_tls_works(make: Make, authority: trustme.CA) -> None:
    transport = make(tls=trusting(authority))
    with FaultServer(answering(OK), tls=server_tls(authority.issue_cert("127.0.0.1"))) as server:
        for _ in range(2):
            reply = await transport.open(call(server.url), QUICK)
            assert await reply.read(LIMIT) == b"hi"
        assert server.connections == 1


async def test_tls_unknown_authority(send: Send, authority: trustme.CA) -> None:
    with FaultServer(answering(OK), tls=server_tls(authority.issue_cert("127.0.0.1"))) as server:
        error = await failure(send, server.url)
    assert type(error) is TLSError
    assert error.phase == "connect"
    assert not server.requests


@pytest.mark.parametrize("fault", ["wrong host", "expired"])
async def test_tls_bad_certificate(make: Make, authority: trustme.CA, fault: str) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    certificate = (
        authority.issue_cert("elsewhere.example")
        if fault == "wrong host"
        else authority.issue_cert("127.0.0.1", not_after=yesterday)
    )
    transport = make(tls=trusting(authority))
    with FaultServer(answering(OK), tls=server_tls(certificate)) as server:
        error = await failure(lambda url, body: transport.open(call(url, body), QUICK), server.url)
    assert type(error) is TLSError


@pytest.mark.parametrize("fault", ["cut", "reset", "plain"])
async def test_tls_handshake_fails(send: Send, fault: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.read(5)
        if fault == "reset":
            peer.reset()
        elif fault == "plain":
            await peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with FaultServer(script) as server:
        error = await failure(send, server.url.replace("http:", "https:"))
    assert type(error) is TLSError


async def test_tls_handshake_stalls(send: Send) -> None:
    with FaultServer(Peer.gone) as server:
        error = await failure(send, server.url.replace("http:", "https:"))
    assert type(error) is ConnectTimeout


async def test_every_place_taken(make: Make) -> None:
    transport = make(limits=Limits(max_open=1))

    async def script(peer: Peer) -> None:
        await peer.answer(CHUNKED + chunk(b"hello") if peer.number == 1 else OK)
        await peer.gone()

    with FaultServer(script) as server:
        first = await transport.open(call(server.url), QUICK)
        with anyio.fail_after(GUARD), pytest.raises(PoolTimeout):
            await transport.open(call(server.url), QUICK)
        await first.aclose()
        second = await transport.open(call(server.url), QUICK)
        assert await second.read(LIMIT) == b"hi"


async def test_waiting_for_a_place(make: Make) -> None:
    transport = make(limits=Limits(max_open=2))
    answers: list[bytes] = []

    async def one(url: str) -> None:
        reply = await transport.open(call(url), QUICK)
        answers.append(await reply.read(LIMIT))

    with FaultServer(answering(OK)) as server:
        async with anyio.create_task_group() as tasks:
            for _ in range(12):
                tasks.start_soon(one, server.url)
        assert answers == [b"hi"] * 12
        assert server.connections <= 2


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits how long a write may stall")
async def test_server_that_takes_nothing(send: Send) -> None:
    async def script(peer: Peer) -> None:
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a read transport has it
        await peer.told()

    with FaultServer(script) as server:
        error = await failure(send, server.url, body=b"x" * (32 << 20))
    assert type(error) is ConnectionReset


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "ftp://127.0.0.1/?key=query-secret",
        "http:///?key=query-secret",
        "http://127.0.0.1:99999/?key=query-secret",
        "http://127.0.0.1:1/a b?key=query-secret",
        "http://127.0.0.1:1/\r\nx-evil: 1?key=query-secret",
        "http://me:password-secret@127.0.0.1:1/",
        "http://[::1/?key=query-secret",
    ],
)
async def test_address_that_is_none(send: Send, url: str) -> None:
    assert type(await failure(send, url)) is EndpointError


@pytest.mark.parametrize(
    ("name", "value"), [("x-a", "a\r\nx-evil: secret"), ("x-a", "secret\0"), ("x-ä", "v"), ("x", "ä")]
)
async def test_header_that_is_none(make: Make, name: str, value: str) -> None:
    transport = make()
    with pytest.raises(EndpointError) as caught:
        await transport.open(Call("POST", "http://127.0.0.1:1/", {name: value}, b""), QUICK)
    assert "secret" not in str(caught.value)


# --------------------------------------------------------------------------- before the answer has its headers


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize("fault", ["rst", "fin"])
async def test_fresh_connection_dies_unanswered(make: Make, fault: str, method: str) -> None:
    transport = make()

    async def send(url: str, body: bytes) -> Reply:
        return await transport.open(Call(method, url, {}, body if method == "POST" else None), QUICK)

    async def script(peer: Peer) -> None:
        await peer.request()
        if fault == "rst":
            peer.reset()

    with FaultServer(script) as server:
        error = await failure(send, server.url)
    assert type(error) is ConnectionReset
    assert error.phase == "headers"
    assert len(server.requests) == 1


def dying(fault: str, deaths: set[int]) -> Script:
    """Answers, but dies on the requests numbered in `deaths`."""

    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            if len(peer.server.requests) in deaths:
                if fault == "rst":
                    peer.reset()
                return
            await peer.send(OK)

    return script


@pytest.mark.parametrize("fault", ["rst", "fin"])
async def test_kept_connection_dies_unanswered(send: Send, fault: str) -> None:
    with FaultServer(dying(fault, {2})) as server:
        for _ in range(2):
            reply = await send(server.url, body=b'{"a":1}')
            assert await reply.read(LIMIT) == b"hi"
    assert len(server.requests) == 3
    assert server.requests[1] == server.requests[2]
    assert server.connections == 2


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize("fault", ["rst", "fin"])
async def test_replay_dies_too(make: Make, fault: str, method: str) -> None:
    transport = make()

    async def send(url: str, body: bytes = b"{}") -> Reply:
        return await transport.open(Call(method, url, {}, body if method == "POST" else None), QUICK)

    with FaultServer(dying(fault, {2, 3})) as server:
        await (await send(server.url)).read(LIMIT)
        error = await failure(send, server.url)
    assert type(error) is ConnectionReset
    assert len(server.requests) == 3


async def test_kept_connection_was_closed_meanwhile(send: Send) -> None:
    async def script(peer: Peer) -> None:
        await peer.answer()
        peer.writer.close()
        await peer.writer.wait_closed()
        peer.server.gone.set()

    with FaultServer(script) as server:
        for _ in range(3):
            server.gone.clear()
            assert await (await send(server.url)).read(LIMIT) == b"hi"
            assert await server.left()
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    "start", [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nx-a: b\r\n", b"SSH-2.0-x\r\n"]
)
async def test_closed_inside_the_head(send: Send, start: bytes) -> None:
    with FaultServer(answering_once(start)) as server:
        error = await failure(send, server.url)
    assert isinstance(error, (ConnectionReset, MalformedResponseError))
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "head",
    [
        b"hello\r\n\r\n",
        b"<html><body>hi</body></html>\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx y: z\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: \x00\x01\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nhi!",
        b"HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\nhi!",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"x-%d: y\r\n" % i for i in range(10_000)) + b"\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 1_000_000 + b"\r\n\r\n",
    ],
    ids=lambda head: head[:40],
)
async def test_head_that_is_no_http(send: Send, head: bytes) -> None:
    with FaultServer(answering_once(head)) as server:
        error = await failure(send, server.url)
    assert type(error) is MalformedResponseError
    assert len(server.requests) == 1


async def test_informational_answers_are_skipped(send: Send) -> None:
    early = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" * 20
    with FaultServer(answering(early + OK)) as server:
        for _ in range(2):
            assert await (await send(server.url)).read(LIMIT) == b"hi"
    assert server.connections == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirect_is_handed_up(send: Send, status: int) -> None:
    with FaultServer(answering(OK)) as target:
        head = f"HTTP/1.1 {status} Moved\r\nlocation: {target.url}\r\ncontent-length: 0\r\n\r\n"
        with FaultServer(answering(head.encode())) as server:
            reply = await send(server.url)
            assert reply.status == status
            assert reply.headers["location"] == target.url
            assert await reply.read(LIMIT) == b""
    assert len(server.requests) == 1
    assert target.connections == 0


# ----------------------------------------------------------------------------------------- inside the body


CUT = {
    "content-length": b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\nhello",
    "chunk": CHUNKED + b"a\r\nhello",
    "no last chunk": CHUNKED + chunk(b"hello"),
}


async def collect(reply: Reply, into: bytearray, server: FaultServer) -> None:
    async for piece in reply.chunks():
        into += piece
        server.tell()


@pytest.mark.parametrize("fault", ["fin", "rst"])
@pytest.mark.parametrize("cut", CUT)
async def test_body_cut_short(send: Send, cut: str, fault: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.answer(CUT[cut])
        if fault == "rst":
            await peer.told()
            peer.reset()

    with FaultServer(script) as server:
        server.tell()
        error = await failure(send, server.url)
        assert type(error) is MalformedResponseError
        assert error.phase == "stream"

        reply = await send(server.url)
        seen = bytearray()
        with anyio.fail_after(GUARD), pytest.raises(ConnectionReset) as caught:
            await collect(reply, seen, server)
        assert seen == b"hello"
        assert caught.value.phase == "stream"
        assert caught.value.bytes_received == 5


SMUGGLED = b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nsmuggled"


@pytest.mark.parametrize("extra", [b" and more", SMUGGLED], ids=["text", "an answer"])
@pytest.mark.parametrize("later", [False, True])
async def test_bytes_beyond_the_length(send: Send, extra: bytes, later: bool) -> None:
    """The declared length counts, or the answer is refused; what follows is never taken for the next answer."""

    async def script(peer: Peer) -> None:
        await peer.request()
        if later:
            await peer.send(OK)
            await peer.told()
            await peer.send(extra)
        else:
            await peer.send(OK + extra)
        peer.server.gone.set()
        await peer.request()

    with FaultServer(script) as server:
        for _ in range(3):
            server.gone.clear()
            reply = None
            with suppress(MalformedResponseError):
                reply = await send(server.url)
            if reply is not None:
                assert await reply.read(LIMIT) == b"hi"
            server.tell()
            assert await server.left()
    assert server.connections == 3
    assert len(server.requests) == 3


@pytest.mark.parametrize("extra", [b"\r\n", b"\n"])
async def test_line_end_beyond_the_length(send: Send, extra: bytes) -> None:
    with FaultServer(answering(OK + extra)) as server:
        for _ in range(3):
            assert await (await send(server.url)).read(LIMIT) == b"hi"


async def test_bad_chunk_size(send: Send) -> None:
    async def script(peer: Peer) -> None:
        await peer.answer(CHUNKED + chunk(b"hello") + b"zz\r\nhello\r\n")
        await peer.gone()

    with FaultServer(script) as server:
        error = await failure(send, server.url)
        assert type(error) is MalformedResponseError
        assert await server.left()


async def test_bad_chunk_size_while_the_reader_waits(send: Send) -> None:
    async def script(peer: Peer) -> None:
        await peer.answer(CHUNKED + chunk(b"hello"))
        await peer.told()
        await peer.send(b"zz\r\nhello\r\n")
        await peer.gone()

    with FaultServer(script) as server:
        seen = bytearray()
        reply = await send(server.url)
        with anyio.fail_after(GUARD), pytest.raises(MalformedResponseError) as caught:
            await collect(reply, seen, server)
        assert seen == b"hello"
        assert caught.value.phase == "stream"
        assert await server.left()


async def test_what_came_before_the_cut_is_read_however_late(send: Send) -> None:
    async def script(peer: Peer) -> None:
        await peer.answer(CHUNKED + chunk(b"hello"))
        peer.writer.close()
        await peer.writer.wait_closed()
        peer.server.gone.set()

    with FaultServer(script) as server:
        reply = await send(server.url)
        assert await server.left()
        await anyio.sleep(0.05)
        seen = bytearray()
        with anyio.fail_after(GUARD), pytest.raises(ConnectionReset):
            await collect(reply, seen, server)
    assert seen == b"hello"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 Bearer header-secret\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nBearer header-secret\r\n\r\n",
        CHUNKED + b"Bearer header-secret\r\n",
    ],
)
async def test_broken_http_that_repeats_the_key(send: Send, answer: bytes) -> None:
    """Nothing that the server or the library says of it hangs on the error."""
    with FaultServer(answering_once(answer)) as server:
        error = await failure(send, server.url)
    assert type(error) is MalformedResponseError
    assert "secret" not in "".join(traceback.format_exception(error))
    assert error.__cause__ is None
    assert error.__suppress_context__


@pytest.mark.parametrize("host", ["a..b", ".a", "x" * 64 + ".example"])
async def test_name_that_cannot_be(send: Send, host: str) -> None:
    error = await failure(send, f"http://{host}/")
    assert type(error) is EndpointError
    assert error.phase == "connect"


async def test_body_without_length_ends_with_the_connection(send: Send) -> None:
    with FaultServer(answering_once(b"HTTP/1.1 200 OK\r\n\r\nhello")) as server:
        assert await (await send(server.url)).read(LIMIT) == b"hello"


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
async def test_status_without_body(send: Send, status: bytes) -> None:
    with FaultServer(answering(b"HTTP/1.1 %s\r\n\r\n" % status)) as server:
        for _ in range(2):
            assert await (await send(server.url)).read(LIMIT) == b""
    assert server.connections == 1


async def test_endless_body_stops_at_the_cap(send: Send) -> None:
    async def script(peer: Peer) -> None:
        await peer.answer(CHUNKED)
        try:
            while True:
                await peer.send(chunk(b"x" * 65536))
        except ConnectionError:
            peer.server.gone.set()

    with FaultServer(script) as server:
        error = await failure(send, server.url)
        assert type(error) is MalformedResponseError
        assert await server.left()


# --------------------------------------------------------------------------------------------- compression


def encoded(name: bytes, body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-encoding: %s\r\ncontent-length: %d\r\n\r\n%s" % (
        name,
        len(body),
        body,
    )


def raw_deflate(data: bytes) -> bytes:
    squeezer = zlib.compressobj(wbits=-15)
    return squeezer.compress(data) + squeezer.flush()


@pytest.mark.parametrize(
    ("name", "body"),
    [
        (b"gzip", gzip.compress(b"hello" * 99)),
        (b"x-gzip", gzip.compress(b"hello" * 99)),
        (b"GZIP", gzip.compress(b"hello" * 9) + gzip.compress(b"hello" * 90)),
        (b"deflate", zlib.compress(b"hello" * 99)),
        (b"deflate", raw_deflate(b"hello" * 99)),
        (b"identity", b"hello" * 99),
        (b"identity, gzip", gzip.compress(b"hello" * 99)),
    ],
)
async def test_compressed_unasked(send: Send, name: bytes, body: bytes) -> None:
    with FaultServer(answering(encoded(name, body))) as server:
        for _ in range(2):
            assert await (await send(server.url)).read(LIMIT) == b"hello" * 99
    assert server.connections == 1
    assert b"accept-encoding: identity" in server.requests[0].lower()


@pytest.mark.parametrize(
    ("name", "body"),
    [
        (b"br", b"\x0b\x02\x80hello\x03"),
        (b"zstd", b"(\xb5/\xfd"),
        (b"gzip, gzip", gzip.compress(gzip.compress(b"hello"))),
        (b"gzip", b"no gzip at all"),
        (b"deflate", b"\xff\xff no deflate"),
        (b"gzip", gzip.compress(b"hello" * 99)[:-9]),
        (b"gzip", gzip.compress(b"hello" * 99) + b"rubbish"),
    ],
)
async def test_compression_that_cannot_be_read(send: Send, name: bytes, body: bytes) -> None:
    with FaultServer(answering(encoded(name, body))) as server:
        assert type(await failure(send, server.url)) is MalformedResponseError


BOMB = gzip.compress(b"\0" * (8 << 20))


async def test_gzip_bomb(send: Send) -> None:
    with FaultServer(answering(encoded(b"gzip", BOMB))) as server:
        assert type(await failure(send, server.url)) is MalformedResponseError
        reply = await send(server.url)
        largest = total = 0
        async for piece in reply.chunks():
            largest, total = max(largest, len(piece)), total + len(piece)
            if total > 4 * LIMIT:
                break
        await reply.aclose()
    assert largest <= PIECE


# ------------------------------------------------------------------------------------------- cancellation


async def test_cancelled_while_connecting(send: Send) -> None:
    with Blackhole() as hole:
        if not hole.works:
            pytest.skip("this kernel accepts connections beyond a full queue")
        with anyio.fail_after(GUARD), anyio.move_on_after(0.1) as scope:
            await send(hole.url)
    assert scope.cancelled_caught


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\nx-a"], ids=["nothing", "half a head"])
async def test_cancelled_before_the_headers(send: Send, sent: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.answer(sent)
        await peer.gone()

    with FaultServer(script) as server:
        with anyio.move_on_after(0.2) as scope:
            await send(server.url)
        assert scope.cancelled_caught
        assert await server.left()


async def test_cancelled_inside_the_tls_handshake(send: Send) -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.read(5)
        hello.set()
        await peer.gone()

    async def ask(url: str) -> None:
        with scope:
            await send(url, timeouts=PATIENT)

    scope, hello = anyio.CancelScope(), threading.Event()
    gc.disable()  # the socket is to be closed at once, not by the collector
    try:
        with FaultServer(script) as server:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ask, server.url.replace("http:", "https:"))
                assert await anyio.to_thread.run_sync(hello.wait, GUARD)
                scope.cancel()
            assert await server.left()
    finally:
        gc.enable()


async def test_cancelled_between_slow_header_bytes(send: Send) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        with anyio.CancelScope():
            for byte in OK:
                await peer.send(bytes([byte]))
                await asyncio.sleep(0.05)

    with FaultServer(script) as server:
        with anyio.move_on_after(0.3) as scope:
            await send(server.url)
        assert scope.cancelled_caught


@pytest.mark.parametrize("how", ["read", "chunks"])
async def test_cancelled_inside_the_body(send: Send, how: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.answer(CHUNKED + chunk(b"hello"))
        await peer.gone()

    with FaultServer(script) as server:
        reply = await send(server.url)
        with anyio.move_on_after(0.2) as scope:
            if how == "read":
                await reply.read(LIMIT)
            async for piece in reply.chunks():
                assert piece == b"hello"
        assert scope.cancelled_caught
        assert await server.left()


async def test_cancelled_while_sending(make: Make) -> None:
    transport = make()

    async def script(peer: Peer) -> None:
        await peer.told()
        await peer.gone()

    with FaultServer(script) as server:
        with anyio.move_on_after(0.2) as scope:
            await transport.open(call(server.url, b"x" * (32 << 20)), QUICK)
        assert scope.cancelled_caught
        server.tell()
        assert await server.left()


async def test_cancelling_one_call_leaves_the_others(send: Send) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.told()
        await peer.send(OK)

    answers: list[bytes] = []

    async def patient(url: str) -> None:
        answers.append(await (await send(url)).read(LIMIT))

    with FaultServer(script) as server, anyio.fail_after(GUARD):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(patient, server.url)
            with anyio.move_on_after(0.2):
                await send(server.url)
            server.tell()
            server.tell()
    assert answers == [b"hi"]
