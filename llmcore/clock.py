"""Time and sleep as values to hand in: monotonic only, so that a stepping wall clock changes nothing."""

from __future__ import annotations

import time
from asyncio import AbstractEventLoop, Task, get_running_loop
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import anyio


class Clock(Protocol):
    """Where the manager and the leaves read time."""

    def now(self) -> float:
        """Monotonic seconds."""
        ...

    async def sleep(self, seconds: float) -> None: ...


@runtime_checkable
class Alarming(Protocol):
    """A clock that can also wake somebody up, for less than a task that sleeps."""

    def alarm(self, seconds: float, callback: Callable[[], None]) -> Callable[[], None] | None:
        """Call `callback` after `seconds`, unless what is returned is called before; None where it cannot."""
        ...


class SystemClock:
    """The event loop's own clock, so that a loop with simulated time simulates ours too."""

    def now(self) -> float:
        try:
            return get_running_loop().time()  # as anyio.current_time, at a fifth of its cost
        except RuntimeError:  # another loop than asyncio's
            return anyio.current_time()

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)

    def alarm(self, seconds: float, callback: Callable[[], None]) -> Callable[[], None] | None:
        try:
            return _Alarm(get_running_loop(), seconds, callback).stop
        except RuntimeError:  # another loop than asyncio's
            return None


class _Alarm:
    """A timer whose callback runs inside a task, as whatever asks for the current task needs it; it ends with its first step."""

    __slots__ = ("_callback", "_loop", "_task", "_timer")

    def __init__(self, loop: AbstractEventLoop, seconds: float, callback: Callable[[], None]) -> None:
        self._callback: Callable[[], None] | None = callback
        self._loop = loop
        self._task: Task[None] | None = None
        self._timer = loop.call_later(seconds, self._ring)

    def stop(self) -> None:
        self._callback = None
        self._timer.cancel()

    def _ring(self) -> None:
        self._task = self._loop.create_task(self._call())

    async def _call(self) -> None:
        if self._callback is not None:
            self._callback()


def wall_clock() -> float:
    """Seconds since the epoch; only to read a vendor's absolute dates where it sends no Date header."""
    return time.time()
