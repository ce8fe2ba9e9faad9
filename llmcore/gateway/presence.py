"""While a model is asked: does the client still listen, does it read, has it heard of us lately? Ends with its block."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from llmcore.gateway.http import ClientGone, RawHeaders, Receive, Send

SOON_S = 0.1
"""A whole answer that comes sooner is not worth a task that watches the client: that costs 15 us, and on a busy core, where
answers take 20 ms, nearly every call would have one. Models take longer; a client that leaves is noticed then."""


class Presence:
    """`async with Presence(receive): ...` cancels its block as soon as the client is gone, and raises ClientGone then.

    after: seconds before anybody looks.
    """

    __slots__ = ("_receive", "_task", "_timer", "_watcher", "gone")

    def __init__(self, receive: Receive, *, after: float = SOON_S) -> None:
        loop = asyncio.get_running_loop()
        self._receive = receive
        self._task = asyncio.current_task(loop)
        self._watcher: asyncio.Task[None] | None = None
        self._timer = loop.call_later(after, self._begin)
        self.gone: bool = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._timer.cancel()
        if self._watcher is not None:
            await _ended(self._watcher)
        if self.gone:
            await self._settle(exc_type)
            raise ClientGone from None

    def _begin(self) -> None:
        self._watcher = asyncio.get_running_loop().create_task(self._watch())

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.gone = True
        if self._task is not None:
            self._task.cancel()

    async def _settle(self, exc_type: type[BaseException] | None) -> None:
        """Take our cancellation back; one from outside stays."""
        if exc_type is None or not issubclass(exc_type, asyncio.CancelledError):
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0)  # where it was to strike next
        if self._task is not None and self._task.uncancel() > 0:
            raise asyncio.CancelledError


class Stream:
    """One answer being written: whole pieces in order, a comment after each `every` seconds of silence.

    Whoever leaves what was sent unread for `idle_write` seconds, or reads for more than `longest`, is cut off.
    """

    __slots__ = (
        "_beat",
        "_comment",
        "_ends",
        "_every",
        "_head",
        "_idle_write",
        "_loop",
        "_send",
        "_task",
        "_ticker",
        "_unsent",
        "_wrote",
        "began",
        "overdue",
        "writing",
    )

    def __init__(
        self, send: Send, comment: bytes, *, every: float, idle_write: float, longest: float
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task(self._loop)
        self._send = send
        self._comment = comment
        self._every = every
        self._idle_write = idle_write
        self._ends = self._loop.time() + longest
        self._wrote = 0
        self._head: Callable[[], RawHeaders] | None = None
        self._unsent: RawHeaders | None = None
        self._beat: asyncio.Task[None] | None = None
        self._ticker: asyncio.TimerHandle | None = None
        self.began: bool = False
        self.writing: bool = False
        self.overdue: bool = False

    def expect(self, head: Callable[[], RawHeaders]) -> None:
        """From here on the silence is counted. Where the first piece is late, `head` is sent before the comment."""
        self._head = head
        self._tick_in(self._every, self._wrote, idle=0.0)

    async def start(self, headers: RawHeaders) -> None:
        """Send the head, once; from here on at the latest the silence is counted."""
        self.began = True
        self._unsent = headers
        await self._send(_start(headers))
        self._unsent = None
        if self._ticker is None:
            self._tick_in(self._every, self._wrote, idle=0.0)

    async def write(self, piece: bytes) -> None:
        """One or more whole events."""
        self._wrote += 1
        self.writing = True
        await self._send({"type": "http.response.body", "body": piece, "more_body": True})
        self.writing = False

    async def end(self, piece: bytes = b"") -> None:
        """The last bytes. Raises ClientGone where the client makes no room for them within `idle_write` seconds."""
        await self.aclose()
        try:
            async with asyncio.timeout(self._idle_write):
                if self._unsent is not None:  # whoever was about to send it was cut off
                    await self._send(_start(self._unsent))
                await self._send({"type": "http.response.body", "body": piece})
        except TimeoutError:
            raise ClientGone from None

    async def aclose(self) -> None:
        """No more comments."""
        if self._ticker is not None:
            self._ticker.cancel()
        if self._beat is not None:
            await _ended(self._beat)

    def _tick_in(self, seconds: float, wrote: int, *, idle: float) -> None:
        self._ticker = self._loop.call_later(seconds, self._tick, wrote, idle + seconds)

    def _tick(self, wrote: int, idle: float) -> None:
        """Nothing was written since the last tick: say so to the client, or give it up where it does not read."""
        quiet = wrote == self._wrote
        if self._loop.time() >= self._ends or (quiet and self.writing and idle >= self._idle_write):
            self.overdue = True
            if self._task is not None:
                self._task.cancel()
            return
        if quiet and not self.writing and (self._beat is None or self._beat.done()):
            self._beat = self._loop.create_task(self._comment_sent())
        self._tick_in(self._every, self._wrote, idle=idle if quiet and self.writing else 0.0)

    async def _comment_sent(self) -> None:
        if not self.began and self._head is not None:
            await self.start(self._head())
        await self._send({"type": "http.response.body", "body": self._comment, "more_body": True})


def _start(headers: RawHeaders) -> dict[str, object]:
    return {"type": "http.response.start", "status": 200, "headers": headers}


async def _ended(task: asyncio.Task[None]) -> None:
    """Cancel `task` and wait for its end; what it raised is nobody's business any more."""
    task.cancel()
    await asyncio.wait((task,))
    if not task.cancelled():
        task.exception()
