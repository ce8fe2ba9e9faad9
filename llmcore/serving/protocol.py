"""uvicorn's HTTP/1.1 over llhttp, with limits on headers in size and time (T11), which it has none of, and head and body of
an answer sent at once, which it does in two calls of the system.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, ClassVar

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class _Joining:
    """A transport that holds the head of an answer back until its body is written, or the loop has gone on.

    linger: seconds in which the client must take something of what is unsent when it is closed.
    """

    __slots__ = ("_end", "_head", "_linger", "_loop", "_transport", "is_closing")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, linger: float) -> None:
        self._transport = transport
        self._loop = loop
        self._head = b""
        self._linger = linger
        self._end: asyncio.TimerHandle | None = None
        self.is_closing: Callable[[], bool] = transport.is_closing

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if self._head:
            data, self._head = self._head + data, b""
        elif data.startswith(b"HTTP/1.1 ") and data.endswith(b"\r\n\r\n"):
            self._head = data
            self._loop.call_soon(self._flush)
            return
        self._transport.write(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()
        if self._end is None and (left := self._transport.get_write_buffer_size()):
            self._end = self._loop.call_later(self._linger, self._waited, left)

    def _waited(self, left: int) -> None:
        now = self._transport.get_write_buffer_size()
        if now < left:
            self._end = self._loop.call_later(self._linger, self._waited, now)
        else:
            self._transport.abort()

    def lost(self) -> None:
        """The connection is gone."""
        if self._end is not None:
            self._end.cancel()

    def _flush(self) -> None:
        if self._head:
            head, self._head = self._head, b""
            self._transport.write(head)


class Guarded(HttpToolsProtocol):
    """most: bytes of all headers of a request. seconds: until they must be whole, and until a connection must ask.
    linger: how long a client may take nothing of what was written, once the connection is being closed.
    """

    most: ClassVar[int] = 65536
    seconds: ClassVar[float] = 20.0
    linger: ClassVar[float] = 60.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._received = self._held = 0
        self._in_headers = True
        self._alarm: asyncio.TimerHandle | None = None
        self._joining: _Joining | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        self._joining = _Joining(transport, self.loop, self.linger)
        super().connection_made(self._joining)  # type: ignore[arg-type]  # all of it that uvicorn uses
        self._alarm = self.loop.call_later(self.seconds, self._too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_alarm()
        if self._joining is not None:
            self._joining.lost()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._in_headers:
            self._received += len(data)
        super().data_received(data)
        if self._in_headers and (self._received or self._held):
            self._wait_for_the_rest()

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self._held += len(name) + len(value)
        if self._held > self.most:
            raise httptools.HttpParserError("the headers are too large")

    def on_headers_complete(self) -> None:
        self._in_headers = False
        self._received = self._held = 0
        self._stop_alarm()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_headers = True

    def _wait_for_the_rest(self) -> None:
        """Headers have begun, and are not whole."""
        if self._received > self.most:
            self._give_up(TOO_LARGE)
        elif self._alarm is None:
            self._alarm = self.loop.call_later(self.seconds, self._too_slow)

    def _too_slow(self) -> None:
        self._alarm = None
        if self._in_headers:
            self._give_up(TOO_SLOW if self._received else b"")

    def _give_up(self, last_words: bytes) -> None:
        """Close, unless an answer is still being written."""
        self._stop_alarm()
        answering = self.cycle is not None and not self.cycle.response_complete
        if not answering and not self.transport.is_closing():
            self.transport.write(last_words)
            self.transport.close()

    def _stop_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None


def guarded(most: int, seconds: float, linger: float) -> type[HttpToolsProtocol]:
    """The protocol class with these limits, as uvicorn wants it."""
    return type("GuardedProtocol", (Guarded,), {"most": most, "seconds": seconds, "linger": linger})
