"""Time and sleep as values to hand in: monotonic only, so that a stepping wall clock changes nothing."""

from __future__ import annotations

import time
from asyncio import AbstractEventLoop, BaseEventLoop, get_running_loop
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import anyio

from llmcore.alarms import Alarms


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

    __slots__ = ("_alarms", "_loop", "_read")

    def __init__(self) -> None:
        self._alarms: Alarms | None = None
        self._loop: AbstractEventLoop | None = None
        self._read: Callable[[], float] = time.monotonic

    def now(self) -> float:
        try:
            loop = get_running_loop()
        except RuntimeError:  # another loop than asyncio's
            return anyio.current_time()  # which costs five times as much
        if loop is not self._loop:
            self._loop, self._read = loop, _reading(loop)
        return self._read()

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)

    def alarm(self, seconds: float, callback: Callable[[], None]) -> Callable[[], None] | None:
        try:
            loop = get_running_loop()
        except RuntimeError:  # another loop than asyncio's
            return None
        alarms = self._alarms
        if alarms is None or alarms.loop is not loop:
            alarms = self._alarms = Alarms(loop)
        return alarms.set(seconds, callback)


def _reading(loop: AbstractEventLoop) -> Callable[[], float]:
    """What tells the loop's time: the system's clock where the loop goes by that, since uvloop's own tells whole
    milliseconds, and stands still while a callback runs.
    """
    usual = type(loop).__module__ == "uvloop" or getattr(type(loop), "time", None) is BaseEventLoop.time
    return time.monotonic if usual else loop.time


def on_loop(clock: Clock, instant: float) -> float:
    """An instant of `clock` on the event loop's own clock, by which scopes have their deadlines."""
    if type(clock) is SystemClock:
        return instant
    return anyio.current_time() + instant - clock.now()


def wall_clock() -> float:
    """Seconds since the epoch; only to read a vendor's absolute dates where it sends no Date header."""
    return time.time()
