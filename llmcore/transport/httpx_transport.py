"""Any httpx transport as ours, always called directly; by itself, one stock httpx transport per connection."""

from __future__ import annotations

import functools
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import suppress

import anyio
import httpx
from attrs import frozen

from llmcore.config import Timeouts
from llmcore.errors import EndpointError, ProviderError
from llmcore.transport.base import Call, Reply, refuse_if_blocked
from llmcore.transport.ending import closed_by_us
from llmcore.transport.httpx_errors import died_unanswered, translated
from llmcore.transport.incoming import BodyReply, joined_headers
from llmcore.transport.limits import Limits
from llmcore.transport.outgoing import Origin, bare, headers_of, origin_of
from llmcore.transport.slots import CLEANUP_S, Slot, Slots
from llmcore.transport.tls import system_tls


class HttpxTransport:
    """Over `inner` if it is given (mock, respx, in-process ASGI, a user's own), else over connections of its own.

    tls: trust settings of one's own instead of the system's. limits and now: of its own connections.
    """

    def __init__(
        self,
        inner: httpx.AsyncBaseTransport | None = None,
        *,
        tls: ssl.SSLContext | None = None,
        limits: Limits | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inner = inner
        self._tls = tls
        self._slots = Slots(self._connect, limits or Limits(), now)

    async def open(self, call: Call, timeouts: Timeouts) -> Reply:
        origin = origin_of(call.url)
        request = _request(call, timeouts)
        if self._inner is None or isinstance(self._inner, httpx.AsyncHTTPTransport):
            refuse_if_blocked()
        if self._inner is None:
            return await self._open_own(origin, request, timeouts)
        return await self._open_inner(self._inner, origin, request)

    async def aclose(self) -> None:
        if self._inner is not None:
            await self._inner.aclose()
        await self._slots.aclose()

    async def _open_inner(
        self, inner: httpx.AsyncBaseTransport, origin: Origin, request: httpx.Request
    ) -> Reply:
        try:
            response = await inner.handle_async_request(request)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as exc:
            error = translated(exc, origin, "headers")
            raise error from error.__cause__
        return await _reply(response, origin, None)

    async def _open_own(self, origin: Origin, request: httpx.Request, timeouts: Timeouts) -> Reply:
        slot = await self._slots.take(origin, timeouts.pool)
        try:
            with slot.opening:
                response = await self._answer(slot, request)
            if slot.shut:
                raise closed_by_us("headers")
        except BaseException as exc:  # noqa: BLE001 - raised again, without the libraries' frames
            await self._slots.drop(slot)
            if slot.shut and isinstance(exc, Exception):
                raise closed_by_us("headers") from None
            raise bare(exc) from exc.__cause__
        return await _reply(response, origin, _Hold(self._slots, slot))

    async def _answer(self, slot: Slot, request: httpx.Request) -> httpx.Response:
        """One exchange, and a second one where a kept connection turns out dead before any answer."""
        if slot.stream is None:
            request.extensions["trace"] = slot.watch
        try:
            return await slot.transport.handle_async_request(request)
        except (httpx.HTTPError, ValueError) as exc:
            if not (slot.reused and died_unanswered(exc)):
                error = translated(exc, slot.origin, "headers")
                raise error from error.__cause__
        await self._slots.renew(slot)
        request.extensions["trace"] = slot.watch
        try:
            return await slot.transport.handle_async_request(request)
        except (httpx.HTTPError, ValueError) as exc:
            error = translated(exc, slot.origin, "headers")
            raise error from error.__cause__

    def _connect(self, origin: Origin) -> httpx.AsyncBaseTransport:
        tls = (self._tls or system_tls()) if origin.scheme == "https" else _no_tls()
        one = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=None)
        return httpx.AsyncHTTPTransport(verify=tls, limits=one, trust_env=False)


@functools.cache
def _no_tls() -> ssl.SSLContext:
    """A context that trusts nobody, for connections that never ask it."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _request(call: Call, timeouts: Timeouts) -> httpx.Request:
    """As httpx's client makes it, with a stream in place of its generator, which would be left hanging where a write fails."""
    limits = {"connect": timeouts.connect, "pool": timeouts.pool, "write": timeouts.write, "read": None}
    request = httpx.Request(
        call.method,
        _url(call.url),
        headers=headers_of(call),
        content=call.body,
        extensions={"timeout": limits},
    )
    request.stream = _Upload(call.body or b"")
    return request


class _Upload(httpx.AsyncByteStream, httpx.SyncByteStream):
    """The body of a request, as often as it is asked for."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        return iter((self._body,))

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _Once(self._body)


class _Once:
    __slots__ = ("_left",)

    def __init__(self, body: bytes) -> None:
        self._left: bytes | None = body

    def __aiter__(self) -> _Once:
        return self

    async def __anext__(self) -> bytes:
        body, self._left = self._left, None
        if body is None:
            raise StopAsyncIteration
        return body


@functools.lru_cache(maxsize=256)
def _url(url: str) -> httpx.URL:
    try:
        return httpx.URL(url)
    except httpx.InvalidURL:
        raise EndpointError("the address is no URL", phase="connect") from None


@frozen
class _Hold:
    """The slot that an answer occupies until its body has ended."""

    slots: Slots
    slot: Slot

    async def end(self, *, reusable: bool) -> None:
        await (self.slots.give(self.slot) if reusable else self.slots.drop(self.slot))


async def _reply(response: httpx.Response, origin: Origin, hold: _Hold | None) -> Reply:
    body = _Body(response, origin, hold)
    try:
        return BodyReply(response.status_code, joined_headers(response.headers.raw), body)
    except ProviderError:
        await body.aclose(whole=False)
        raise


class _Body:
    """The raw bytes of one httpx response."""

    def __init__(self, response: httpx.Response, origin: Origin, hold: _Hold | None) -> None:
        self._stream = _stream_of(response)
        self._bytes: AsyncIterator[bytes] | None = None
        self._origin = origin
        self._hold = hold

    async def next(self) -> bytes | None:
        if self._bytes is None:
            self._bytes = aiter(self._stream)
        try:
            return await anext(self._bytes)
        except StopAsyncIteration:
            return None
        except (httpx.HTTPError, OSError) as exc:
            if self._hold is not None and self._hold.slot.shut:
                raise closed_by_us("stream") from None
            error = translated(exc, self._origin, "stream")
            raise error from error.__cause__

    async def aclose(self, *, whole: bool) -> None:
        if whole:
            await self._ended(whole=True)
        else:
            with anyio.move_on_after(CLEANUP_S, shield=True):
                await self._ended(whole=False)

    async def _ended(self, *, whole: bool) -> None:
        reusable = False
        try:
            await self._stream.aclose()
            if not whole and self._bytes is not None:
                await _unwind(self._bytes, ours=self._hold is not None)
            reusable = whole
        finally:
            if self._hold is not None:
                await self._hold.end(reusable=reusable)


def _stream_of(response: httpx.Response) -> httpx.AsyncByteStream:
    """The raw stream; where someone on the way has read a one-time stream, the content that httpx kept of it."""
    stream = response.stream
    if isinstance(stream, httpx.ByteStream) or not response.is_stream_consumed:
        if not isinstance(stream, httpx.AsyncByteStream):
            msg = "the httpx transport answered with a body that only synchronous code can read"
            raise TypeError(msg)
        return stream
    response.headers.pop("content-encoding", None)
    return httpx.ByteStream(response.content)


async def _unwind(pieces: AsyncIterator[bytes], *, ours: bool) -> None:
    """End the generators under a body that was left early, so that none is left to the garbage collector.

    httpx's own are nested, and closing the outer one leaves the inner ones hanging; over a connection that is closed
    already, reading on ends them all at once.
    """
    if ours:
        with suppress(httpx.HTTPError, OSError, StopAsyncIteration):
            while True:
                await anext(pieces)
    elif isinstance(pieces, AsyncGenerator):
        await pieces.aclose()
