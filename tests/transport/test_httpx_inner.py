"""HttpxTransport over transports that others made: mock, respx, in-process ASGI."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator, Callable, MutableMapping
from typing import Any

import anyio
import httpx
import pytest
import respx

from llmcore.errors import (
    ConnectionRefused,
    ConnectionReset,
    ConnectTimeout,
    EndpointError,
    InterChunkTimeout,
    MalformedResponseError,
    PoolTimeout,
    ProviderError,
    ReadTimeout,
)
from llmcore.transport.base import Call, real_requests_blocked
from llmcore.transport.httpx_transport import HttpxTransport
from tests.transport.conftest import QUICK

pytestmark = pytest.mark.anyio

URL = "https://api.example/v1/chat?key=query-secret"
CALL = Call("POST", URL, {"authorization": "Bearer header-secret"}, b'{"a":1}')
LIMIT = 1 << 20


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def mocked(answer: httpx.Response | Exception) -> HttpxTransport:
    def handler(request: httpx.Request) -> httpx.Response:
        assert request.content == b'{"a":1}'
        assert request.headers["authorization"] == "Bearer header-secret"
        if isinstance(answer, Exception):
            raise answer
        return answer

    return HttpxTransport(httpx.MockTransport(handler))


async def test_mock_transport() -> None:
    transport = mocked(httpx.Response(201, json={"b": 2}, headers={"X-Own": "1"}))
    with real_requests_blocked():
        reply = await transport.open(CALL, QUICK)
    assert reply.status == 201
    assert reply.headers["x-own"] == "1"
    assert await reply.read(LIMIT) == b'{"b":2}'
    await reply.aclose()
    await transport.aclose()


async def test_mocked_gzip_is_decompressed_once() -> None:
    packed = httpx.Response(200, content=gzip.compress(b"hello"), headers={"content-encoding": "gzip"})
    assert await (await mocked(packed).open(CALL, QUICK)).read(LIMIT) == b"hello"


class Endless(httpx.AsyncByteStream):
    def __init__(self) -> None:
        self.closed = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            yield b"data: 1\n\n"

    async def aclose(self) -> None:
        self.closed += 1


async def test_mocked_stream_left_early_is_closed() -> None:
    stream = Endless()
    reply = await mocked(httpx.Response(200, stream=stream)).open(CALL, QUICK)
    async for piece in reply.chunks():
        assert piece == b"data: 1\n\n"
        break
    for _ in range(2):
        await reply.aclose()
    assert stream.closed == 1


async def test_mocked_stream_that_was_read_on_the_way() -> None:
    class Reading(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            async def body() -> AsyncIterator[bytes]:
                yield gzip.compress(b"hello")

            response = httpx.Response(200, content=body(), headers={"content-encoding": "gzip"})
            await response.aread()
            return response

    assert await (await HttpxTransport(Reading()).open(CALL, QUICK)).read(LIMIT) == b"hello"


@pytest.mark.parametrize(
    ("raised", "expected", "phase"),
    [
        (httpx.ConnectTimeout(URL), ConnectTimeout, "connect"),
        (httpx.PoolTimeout(URL), PoolTimeout, "connect"),
        (httpx.ReadTimeout(URL), ReadTimeout, "headers"),
        (httpx.WriteTimeout(URL), ConnectionReset, "headers"),
        (httpx.ConnectError(URL), ConnectionRefused, "connect"),
        (httpx.ProxyError(URL), ConnectionRefused, "connect"),
        (httpx.ReadError(URL), ConnectionReset, "headers"),
        (httpx.WriteError(URL), ConnectionReset, "headers"),
        (
            httpx.RemoteProtocolError("Server disconnected without sending a response."),
            ConnectionReset,
            "headers",
        ),
        (httpx.RemoteProtocolError("illegal header line"), MalformedResponseError, "headers"),
        (httpx.DecodingError(URL), MalformedResponseError, "headers"),
        (httpx.LocalProtocolError(URL), EndpointError, "connect"),
        (httpx.UnsupportedProtocol(URL), EndpointError, "connect"),
        (httpx.InvalidURL(URL), EndpointError, "connect"),
        (OSError(URL), ConnectionReset, "headers"),
    ],
)
async def test_what_a_mock_raises(raised: Exception, expected: type[ProviderError], phase: str) -> None:
    call = Call("POST", URL.replace("https:", "http:"), CALL.headers, CALL.body)
    with pytest.raises(ProviderError) as caught:
        await mocked(raised).open(call, QUICK)
    assert type(caught.value) is expected
    assert caught.value.phase == phase
    assert "secret" not in f"{caught.value} {caught.value!r}"


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (httpx.ReadTimeout("silence"), InterChunkTimeout),
        (httpx.ReadError("cut"), ConnectionReset),
        (
            httpx.RemoteProtocolError("peer closed connection without sending complete message body"),
            ConnectionReset,
        ),
        (httpx.RemoteProtocolError("bad chunk"), MalformedResponseError),
    ],
)
async def test_what_a_mocked_body_raises(raised: Exception, expected: type[ProviderError]) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"hello"
        raise raised

    reply = await mocked(httpx.Response(200, content=body())).open(CALL, QUICK)
    pieces = aiter(reply.chunks())
    assert await anext(pieces) == b"hello"
    with pytest.raises(ProviderError) as caught:
        await anext(pieces)
    assert type(caught.value) is expected
    assert caught.value.phase == "stream"


async def test_respx_as_transport() -> None:
    router = respx.Router()
    router.post("https://api.example/v1/chat").respond(200, json={"b": 2})
    reply = await HttpxTransport(httpx.MockTransport(router.async_handler)).open(CALL, QUICK)
    assert await reply.read(LIMIT) == b'{"b":2}'


@respx.mock
async def test_respx_over_the_transport_of_our_own() -> None:
    route = respx.post("https://api.example/v1/chat").respond(200, json={"b": 2})
    transport = HttpxTransport()
    reply = await transport.open(CALL, QUICK)
    assert await reply.read(LIMIT) == b'{"b":2}'
    assert route.calls.last.request.content == b'{"a":1}'
    await transport.aclose()


async def test_asgi_application() -> None:
    async def application(
        scope: MutableMapping[str, Any], receive: Callable[[], Any], send: Callable[[dict[str, Any]], Any]
    ) -> None:
        message = await receive()
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"X-Path", scope["raw_path"])]}
        )
        await send({"type": "http.response.body", "body": message["body"]})

    transport = HttpxTransport(httpx.ASGITransport(application))
    reply = await transport.open(CALL, QUICK)
    assert reply.headers["x-path"] == "/v1/chat"
    assert await reply.read(LIMIT) == b'{"a":1}'


async def test_a_stock_transport_given_by_hand_is_a_real_one() -> None:
    transport = HttpxTransport(httpx.AsyncHTTPTransport())
    with real_requests_blocked(), pytest.raises(Exception, match="real requests are blocked"):
        await transport.open(CALL, QUICK)
    await transport.aclose()


async def test_cancelled_inside_a_mock() -> None:
    async def handler(request: httpx.Request) -> httpx.Response:
        await anyio.sleep_forever()
        return httpx.Response(200)

    with anyio.move_on_after(0.05) as scope:
        await HttpxTransport(httpx.MockTransport(handler)).open(CALL, QUICK)
    assert scope.cancelled_caught
