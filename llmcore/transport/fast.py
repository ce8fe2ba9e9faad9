"""The fast transport: aiohttp, for asyncio. docs/transport.md says why it is this one."""

from __future__ import annotations

import asyncio
import functools
import io
import socket
import ssl
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import aiohttp
from aiohttp.abc import ResolveResult
from aiohttp.client import ClientTimeout
from aiohttp.client_middlewares import ClientHandlerType
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import Connection
from aiohttp.tracing import Trace
from attrs import define, frozen
from yarl import URL

from llmcore.config import Timeouts
from llmcore.transport.base import Call, Reply, refuse_if_blocked
from llmcore.transport.fast_errors import died_unanswered, translated
from llmcore.transport.incoming import MAX_HEADERS, BodyReply, joined_headers
from llmcore.transport.limits import Gate, Limits
from llmcore.transport.outgoing import Origin, bare, headers_of, origin_of
from llmcore.transport.tls import system_tls

MAX_LINE = 64 * 1024
LARGE = 256 * 1024

# aiohttp adds none of these by itself: every transport sends the same headers.
_OURS = ("user-agent", "accept", "accept-encoding", "content-type")


class FastTransport:
    """One aiohttp session for each event loop that uses it, made when first needed.

    tls: trust settings of one's own instead of the system's.
    """

    def __init__(self, *, tls: ssl.SSLContext | None = None, limits: Limits | None = None) -> None:
        self._tls = tls
        self._limits = limits or Limits()
        self._homes: dict[tuple[asyncio.AbstractEventLoop, float], _Home] = {}

    async def open(self, call: Call, timeouts: Timeouts) -> Reply:
        origin = origin_of(call.url)
        headers = headers_of(call)
        refuse_if_blocked()
        home = self._home(timeouts.write)
        await home.gate.enter(timeouts.pool)
        try:
            response = await self._answer(home, call, headers, origin, timeouts.connect)
        except BaseException as exc:  # noqa: BLE001 - raised again, without the libraries' frames
            home.gate.leave()
            raise bare(exc) from exc.__cause__
        body = _Body(response, origin, home.gate)
        try:
            return BodyReply(response.status, joined_headers(response.raw_headers), body)
        except BaseException:
            await body.aclose(whole=False)
            raise

    async def aclose(self) -> None:
        while self._homes:
            (loop, _), home = self._homes.popitem()
            if loop is asyncio.get_running_loop():
                await home.session.close()

    async def _answer(
        self, home: _Home, call: Call, headers: dict[str, str], origin: Origin, connect: float
    ) -> aiohttp.ClientResponse:
        """One exchange, and a second one where a kept connection turns out dead before any byte of an answer."""
        dial = _Dial()
        _dial.set(dial)
        try:
            return await self._exchange(home, call, headers, origin, connect)
        except (aiohttp.ClientError, OSError) as exc:
            if dial.sockets or not died_unanswered(exc):
                error = translated(exc, origin, "headers")
                raise error from error.__cause__
        try:
            return await self._exchange(home, call, headers, origin, connect)
        except (aiohttp.ClientError, OSError) as exc:
            error = translated(exc, origin, "headers")
            raise error from error.__cause__

    async def _exchange(
        self, home: _Home, call: Call, headers: dict[str, str], origin: Origin, connect: float
    ) -> aiohttp.ClientResponse:
        try:
            return await home.session.request(
                call.method,
                _url(call.url),
                data=_payload(call.body),
                headers=headers,
                allow_redirects=False,
                timeout=_timeout(connect),
                ssl=(self._tls or system_tls()) if origin.scheme == "https" else True,
                middlewares=None if call.method == "POST" else (_once,),
            )
        except _Died as died:
            raise died.error from died.error.__cause__

    def _home(self, write: float) -> _Home:
        key = (asyncio.get_running_loop(), write)
        home = self._homes.get(key)
        if home is None:
            self._homes = {key: home for key, home in self._homes.items() if not key[0].is_closed()}
            home = self._homes[key] = _Home(self._session(write), Gate(self._limits.max_open))
        return home

    def _session(self, write: float) -> aiohttp.ClientSession:
        connector = _Connector(
            limit=0,
            resolver=_Resolver(),
            keepalive_timeout=self._limits.idle_s,
            socket_factory=functools.partial(_socket, write=write),
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_OURS,
            auto_decompress=False,
            max_line_size=MAX_LINE,
            max_field_size=MAX_LINE,
            max_headers=MAX_HEADERS,
        )


class _Connector(aiohttp.TCPConnector):
    """Drops a kept connection on which the server went on talking: what it said would pass for the next answer."""

    async def connect(self, req: ClientRequest, traces: list[Trace], timeout: ClientTimeout) -> Connection:
        while True:
            connection = await super().connect(req, traces, timeout)
            if connection.protocol is None or not connection.protocol.should_close:
                return connection
            connection.close()


class _Resolver(aiohttp.ThreadedResolver):
    """The system's resolver; a name without any address is an error, at which aiohttp would stumble."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await super().resolve(host, port, family)
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "no address")
        return found


class _Died(Exception):
    """A dead connection under another name, at which aiohttp does not repeat what it takes for safe to repeat."""

    def __init__(self, error: aiohttp.ClientError) -> None:
        self.error = error


async def _once(request: ClientRequest, handler: ClientHandlerType) -> aiohttp.ClientResponse:
    try:
        return await handler(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as exc:
        raise _Died(exc) from exc


@frozen
class _Home:
    """What serves one event loop."""

    session: aiohttp.ClientSession
    gate: Gate


@define
class _Dial:
    """How many sockets were made for one call: none means that it went out over a kept connection."""

    sockets: int = 0


_dial: ContextVar[_Dial] = ContextVar("llmcore_dial")


def _socket(address: tuple[Any, ...], *, write: float) -> socket.socket:
    """A socket that gives up where the other side takes nothing for `write` seconds (Linux; elsewhere no limit)."""
    family, kind, protocol, *_ = address
    _dial.get().sockets += 1
    made = socket.socket(family, kind, protocol)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, max(1, round(write * 1000)))
    return made


def _payload(body: bytes | None) -> bytes | io.BytesIO | None:
    """A large body goes out piece by piece, so that the loop is not held up."""
    return body if body is None or len(body) <= LARGE else io.BytesIO(body)


@functools.lru_cache(maxsize=256)
def _url(url: str) -> URL:
    return URL(url, encoded=True)


@functools.lru_cache(maxsize=32)
def _timeout(connect: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, connect=connect)


def _heeded(closed: asyncio.Future[None]) -> None:
    """Take note of how a connection ended, so that asyncio does not complain that nobody did."""
    if not closed.cancelled():
        closed.exception()


class _Body:
    """The raw bytes of one response.

    aiohttp wakes no reader where chunked framing breaks after the headers: it closes the connection and says nothing.
    So the end of the connection is listened to here.
    """

    def __init__(self, response: aiohttp.ClientResponse, origin: Origin, gate: Gate) -> None:
        self._response = response
        self._origin = origin
        self._gate = gate
        protocol = None if response.connection is None else response.connection.protocol
        self._closed = None if protocol is None else protocol.closed
        if self._closed is not None:
            self._closed.add_done_callback(_heeded)
            self._closed.add_done_callback(self._lost)
        elif protocol is not None:
            self._broke()

    async def next(self) -> bytes | None:
        content = self._response.content
        try:
            return await content.readany() or None
        except (aiohttp.ClientError, OSError) as exc:
            if unread := _unread(content):
                return unread
            error = translated(exc, self._origin, "stream")
            raise error from error.__cause__

    async def aclose(self, *, whole: bool) -> None:
        self._gate.leave()
        if self._closed is not None:
            self._closed.remove_done_callback(self._lost)
        if whole:
            self._response.release()
        else:
            self._response.close()

    def _lost(self, closed: asyncio.Future[None]) -> None:
        if not closed.cancelled():
            closed.exception()
            self._broke()

    def _broke(self) -> None:
        content = self._response.content
        if content.exception() is None and not content.is_eof():
            content.set_exception(aiohttp.ClientPayloadError("broken framing"))


def _unread(content: aiohttp.StreamReader) -> bytes:
    """What had arrived before the connection broke; aiohttp keeps it where no public name leads."""
    take: Callable[[int], bytes] | None = getattr(content, "_read_nowait", None)
    return b"" if take is None else take(-1)
