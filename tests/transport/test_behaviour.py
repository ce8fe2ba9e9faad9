"""What every transport does when nothing breaks: connections, promptness, headers, environment."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from llmcore.errors import ConfigurationError
from llmcore.transport.base import Call, real_requests_blocked
from llmcore.transport.limits import Limits
from tests.transport.conftest import QUICK, Make, Send, call
from tests.transport.faults import CHUNKED, GUARD, OK, FaultServer, Peer, answering, chunk

pytestmark = pytest.mark.anyio

LIMIT = 1 << 20
STREAM = CHUNKED + b"".join(chunk(b"data: %d\n\n" % i) for i in range(9)) + b"0\r\n\r\n"


@pytest.fixture(autouse=True)
async def looped(anyio_backend: object) -> None:
    """Async, so that every test here runs on the loop of its setup."""


async def test_every_event_arrives_before_the_next_is_sent(send: Send) -> None:
    async def script(peer: Peer) -> None:
        await peer.answer(CHUNKED)
        for number in range(20):
            await peer.told()
            await peer.send(chunk(b"data: %d\n\n" % number))
        await peer.told()
        await peer.send(b"0\r\n\r\n")
        await peer.gone()

    with FaultServer(script) as server, anyio.fail_after(GUARD):
        reply = await send(server.url)
        server.tell()
        seen = b""
        async for piece in reply.chunks():
            seen += piece
            if seen.endswith(b"\n\n"):
                server.tell()
    assert seen == b"".join(b"data: %d\n\n" % number for number in range(20))


async def test_headers_arrive_before_the_body_is_sent(send: Send) -> None:
    async def script(peer: Peer) -> None:
        await peer.answer(
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nX-Twice: a\r\nx-twice: b\r\nx-odd: caf\xe9\r\n\r\n"
        )
        await peer.told()
        await peer.send(b"hi")

    with FaultServer(script) as server, anyio.fail_after(GUARD):
        reply = await send(server.url)
        assert reply.status == 200
        assert reply.headers["x-twice"] == "a, b"
        assert reply.headers["x-odd"] == "café"
        server.tell()
        assert await reply.read(LIMIT) == b"hi"


async def test_what_is_sent(make: Make) -> None:
    with FaultServer(answering(OK)) as server:
        transport = make()
        await (await transport.open(call(server.url, b'{"a":1}', **{"X-Own": "1"}), QUICK)).read(LIMIT)
        await (await transport.open(Call("GET", server.url, {"user-agent": "mine"}), QUICK)).read(LIMIT)
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    line, *rest = head.split(b"\r\n")
    assert line == b"POST /v1/x?key=query-secret HTTP/1.1"
    assert body == b'{"a":1}'
    headers = {name.lower(): value for name, _, value in (one.partition(b": ") for one in rest)}
    assert headers.pop(b"user-agent").startswith(b"llmcore/")
    assert headers == {
        b"host": b"127.0.0.1:%d" % server.port,
        b"accept-encoding": b"identity",
        b"authorization": b"Bearer header-secret",
        b"content-length": b"7",
        b"x-own": b"1",
    } | ({b"connection": headers[b"connection"]} if b"connection" in headers else {})
    assert server.requests[1].startswith(b"GET ")
    assert b"ser-agent: mine\r\n" in server.requests[1].lower()


@pytest.mark.parametrize("path", ["/a%2Fb/c%20d", "/a:b@c/d;e", "/x?q=a%26b&r=%7Bz%7D", "/%C3%A9?a=b+c"])
async def test_the_path_is_sent_as_it_is_written(send: Send, path: str) -> None:
    with FaultServer(answering(OK)) as server:
        await (await send(f"http://127.0.0.1:{server.port}{path}")).read(LIMIT)
    assert server.requests[0].startswith(f"POST {path} HTTP/1.1\r\n".encode())


@pytest.mark.parametrize("how", ["read", "chunks"])
@pytest.mark.parametrize("answer", [OK, STREAM], ids=["plain", "stream"])
async def test_connection_serves_again_once_the_body_is_read(send: Send, answer: bytes, how: str) -> None:
    with FaultServer(answering(answer)) as server:
        for _ in range(4):
            reply = await send(server.url)
            if how == "read":
                await reply.read(LIMIT)
            else:
                async for _piece in reply.chunks():
                    pass
            await reply.aclose()
            await reply.aclose()
    assert server.connections == 1


@pytest.mark.parametrize("read_something", [True, False])
async def test_connection_left_early_is_closed(send: Send, read_something: bool) -> None:
    async def script(peer: Peer) -> None:
        await peer.answer(CHUNKED + chunk(b"hello") * 3)
        await peer.gone()

    with FaultServer(script) as server:
        reply = await send(server.url)
        if read_something:
            async for _ in reply.chunks():
                break
        await reply.aclose()
        assert await server.left()
        assert [piece async for piece in reply.chunks()] == []


async def test_many_calls_at_once(send: Send) -> None:
    async def one(url: str) -> None:
        for _ in range(4):
            assert await (await send(url)).read(LIMIT) == STREAM_TEXT

    with FaultServer(answering(STREAM)) as server:
        async with anyio.create_task_group() as tasks:
            for _ in range(32):
                tasks.start_soon(one, server.url)
        assert server.connections <= 32
        assert len(server.requests) == 128


STREAM_TEXT = b"".join(b"data: %d\n\n" % i for i in range(9))


async def test_idle_connections_are_not_kept_for_ever(make: Make) -> None:
    transport = make(limits=Limits(idle_s=0.05))
    with FaultServer(answering(OK)) as server:
        await (await transport.open(call(server.url), QUICK)).read(LIMIT)
        await anyio.sleep(0.2)
        await (await transport.open(call(server.url), QUICK)).read(LIMIT)
    assert server.connections == 2


async def test_closing_twice_and_closing_idle_connections(make: Make) -> None:
    transport = make()

    async def script(peer: Peer) -> None:
        await peer.answer()
        await peer.gone()

    with FaultServer(script) as server:
        await (await transport.open(call(server.url), QUICK)).read(LIMIT)
        await transport.aclose()
        await transport.aclose()
        assert await server.left()


async def test_environment_is_not_heeded(send: Send, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password netrc-secret\n")
    netrc.chmod(0o600)
    cookie = b"HTTP/1.1 200 OK\r\nset-cookie: session=1; path=/\r\ncontent-length: 2\r\n\r\nhi"
    with FaultServer(answering(OK)) as proxy, FaultServer(answering(cookie)) as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("NETRC", str(netrc))
        for _ in range(2):
            await (await send(server.url)).read(LIMIT)
    assert proxy.connections == 0
    assert b"cookie" not in server.requests[1].lower()
    assert b"basic" not in server.requests[1].lower()


async def test_blocked(send: Send) -> None:
    with FaultServer(answering(OK)) as server:
        with real_requests_blocked(), pytest.raises(ConfigurationError, match="real requests are blocked"):
            await send(server.url)
        assert server.connections == 0
        assert await (await send(server.url)).read(LIMIT) == b"hi"


async def test_gate_is_free_after_every_end(make: Make) -> None:
    transport = make(limits=Limits(max_open=1))
    with FaultServer(answering(OK)) as server:
        for _ in range(3):
            await (await transport.open(call(server.url), QUICK)).read(LIMIT)
            await (await transport.open(call(server.url), QUICK)).aclose()
            with anyio.CancelScope() as scope:
                scope.cancel()
                await transport.open(call(server.url), QUICK)
            with pytest.raises(Exception, match="cannot be reached"):
                await transport.open(call("http://127.0.0.1:1/"), QUICK)
