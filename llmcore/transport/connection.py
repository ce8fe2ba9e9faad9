"""One HTTP/1.1 connection as an asyncio protocol: one request at a time, its answer read as far as somebody wants it."""

from __future__ import annotations

import asyncio
import select
from typing import Any, Literal, TypeAlias, cast

from llmcore.errors import ConnectionReset, MalformedResponseError, Phase, ProviderError
from llmcore.transport.ending import closed_by_us, release
from llmcore.transport.outgoing import Origin, Outgoing
from llmcore.transport.reader import Reader

HIGH = 256 * 1024  # bytes of an answer that may wait here unread
WRITE_HIGH = 64 * 1024
PIECE = 256 * 1024

Fault: TypeAlias = Literal["closed", "broken", "stalled", "shut"]

_READABLE = getattr(select, "POLLIN", 0)


class Connection(asyncio.Protocol):
    """To one origin, from the time that TCP and TLS stand.

    heard: a byte of the present answer has come. fault: how the connection ended, None while it stands. idle_since: the
    loop's time when the last answer ended. All waiting is on one future, which the callbacks below resolve.
    """

    def __init__(self, origin: Origin, loop: asyncio.AbstractEventLoop) -> None:
        self.origin: Origin = origin
        self.reader: Reader = Reader()
        self.heard: bool = False
        self.fault: Fault | None = None
        self.idle_since: float = 0.0
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._poll: Any = None
        self._asked = False
        self._unsent = False
        self._waiter: asyncio.Future[None] | None = None
        self._want = 0
        self._waiting_bytes = 0
        self._reading_paused = False
        self._write = 0.0
        self._write_timer: asyncio.TimerHandle | None = None
        self._left_to_write = 0
        self._cause: Exception | None = None
        self._closed: asyncio.Future[None] | None = None

    # ------------------------------------------------------------------------------------- what a call does

    async def ask(self, request: Outgoing, write: float, *, kept: bool = False) -> bool:
        """Send the request and wait until the headers of its answer are in. Raises ProviderError; then the socket is closed.

        An answer that comes before the request is wholly sent is taken. write: seconds in which the other side must take
        something of what is sent. kept: it has served before; where it turns out dead before any byte of an answer, that
        is no error but False.
        """
        reader = self.reader
        reader.begin(bodiless=request.bodiless)
        self.heard = False
        self._asked = True
        self._write = write
        try:
            if self._transport is not None and self.fault is None:
                self._transport.write(request.start)
            if request.rest is not None:
                await self._send(request.rest)
            while not reader.head:
                if self.fault is not None:
                    if kept and self.fault == "closed" and not self.heard:
                        return False
                    raise self.error("headers")
                await self._wait(0)
        except BaseException:
            self.abort()
            raise
        if self._write_timer is not None:
            self._stop_timer()
            self._unsent = True
        return True

    async def next(self) -> bytes:
        """What has come of the body, or what comes next; b"" at its end. Raises ProviderError where it is cut or broken."""
        reader = self.reader
        while not reader.pieces:
            if reader.complete:
                return b""
            if self.fault is not None:
                raise self.error("stream")
            await self._wait(1)
        return self.take()

    async def rest(self, limit: int) -> None:
        """Until the body is wholly here, or more than `limit` bytes of it. Raises ProviderError where it is cut or broken."""
        reader = self.reader
        while not reader.complete and self._waiting_bytes <= limit:
            if self.fault is not None:
                raise self.error("stream")
            await self._wait(limit + 1)

    def take(self) -> bytes:
        """What has come of the body and was not taken."""
        self._waiting_bytes = 0
        if self._reading_paused and self.fault is None:
            self._reading_paused = False
            self._tcp().resume_reading()
        return self.reader.take()

    def rested(self) -> bool:
        """The answer was read to its end: whether another request may follow on this connection."""
        self._asked = False
        self._waiting_bytes = 0
        if self.fault is not None or not self.reader.keeps or self._unsent:
            return False
        if self._reading_paused:
            self._reading_paused = False
            self._tcp().resume_reading()
        return True

    def silent(self) -> bool:
        """Whether the server has neither closed nor said anything that the loop did not see yet."""
        if self.fault is not None:
            return False
        if self._poll is None:
            return True
        return not self._poll.poll(0)

    def abort(self) -> None:
        """Close the socket at once."""
        self._end("closed")

    def shut(self) -> None:
        """As `abort`, where the transport is closed; a call that is under way ends with an error that says so."""
        self._end("shut")

    async def closed(self) -> None:
        """Until the socket is gone, after `abort` or `shut`."""
        if self._transport is not None:
            self._closed = self._closed or self._loop.create_future()
            await asyncio.shield(self._closed)

    def release(self) -> None:
        """Close the socket although the loop is closed."""
        transport, self._transport = self._transport, None
        self.fault = self.fault or "shut"
        self._waiter = None
        if transport is not None:
            release(transport)

    def error(self, phase: Phase) -> ProviderError:
        """What `fault` means to a caller; the cause is what the operating system said."""
        if self.fault == "shut":
            return closed_by_us(phase)
        error: ProviderError
        if self.fault == "broken":
            error = MalformedResponseError(f"{self.origin} does not speak proper HTTP", phase=phase)
        elif self.fault == "stalled":
            error = ConnectionReset(f"{self.origin} took nothing for {self._write:g} s", phase=phase)
        else:
            error = ConnectionReset(f"{self.origin} closed the connection", phase=phase)
        error.__cause__ = self._cause
        return error

    # ------------------------------------------------------------------------------- what asyncio tells us

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=WRITE_HIGH)
        sock = transport.get_extra_info("socket")
        if sock is not None and hasattr(select, "poll"):
            self._poll = select.poll()
            self._poll.register(sock.fileno(), _READABLE)

    def data_received(self, data: bytes) -> None:
        if not self._asked or self.fault is not None:
            self._end("closed")
            return
        reader = self.reader
        self.heard = True
        reader.feed(data)
        self._waiting_bytes += len(data)
        if reader.broken:
            self._end("broken")
        elif self._waiter is None:
            if self._waiting_bytes > HIGH and not reader.complete:
                self._reading_paused = True
                self._tcp().pause_reading()
        elif reader.complete or (reader.head and self._waiting_bytes >= self._want):
            self._wake()

    def eof_received(self) -> None:
        self.reader.end()
        self._end("closed")

    def connection_lost(self, exc: Exception | None) -> None:
        if self.fault is None:
            self._cause = exc if isinstance(exc, OSError) else None
            if exc is None:
                self.reader.end()
        self._end("closed")
        self._transport = None
        if self._closed is not None and not self._closed.done():
            self._closed.set_result(None)

    def pause_writing(self) -> None:
        self._left_to_write = self._tcp().get_write_buffer_size()
        self._write_timer = self._loop.call_later(self._write, self._check_writing)

    def resume_writing(self) -> None:
        self._stop_timer()
        self._wake()

    # ---------------------------------------------------------------------------------------------- inside

    async def _send(self, rest: memoryview) -> None:
        """The rest of a large body, piece by piece, so that the loop is not held; until an answer or the end comes."""
        self._unsent = True
        for start in range(0, len(rest), PIECE):
            while self._write_timer is not None and not self.reader.head and self.fault is None:
                await self._wait(0)
            if self.reader.head or self.fault is not None:
                return
            self._tcp().write(rest[start : start + PIECE])
            await asyncio.sleep(0)
        self._unsent = False

    def _wait(self, want: int) -> asyncio.Future[None]:
        """Until the headers and `want` bytes of the answer are in, or it ends, or writing may go on."""
        if self._waiter is not None:
            raise RuntimeError("an answer is read by one task at a time")
        self._want = want
        self._waiter = self._loop.create_future()
        return self._waiter

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _end(self, fault: Fault) -> None:
        if self.fault is None:
            self.fault = fault
            self._stop_timer()
            if self._transport is not None:
                self._transport.abort()
        self._wake()

    def _check_writing(self) -> None:
        """Called `write` seconds after the other side stopped taking, and again as long as it takes a little."""
        left = self._tcp().get_write_buffer_size()
        if left < self._left_to_write:
            self._left_to_write = left
            self._write_timer = self._loop.call_later(self._write, self._check_writing)
        else:
            self._end("stalled")

    def _stop_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _tcp(self) -> asyncio.Transport:
        assert self._transport is not None
        return self._transport
