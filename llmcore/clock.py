"""Time and sleep as values to hand in: monotonic only, so that a stepping wall clock changes nothing."""

from __future__ import annotations

import time
from asyncio import get_running_loop
from typing import Protocol

import anyio


class Clock(Protocol):
    """Where the manager and the leaves read time."""

    def now(self) -> float:
        """Monotonic seconds."""
        ...

    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The event loop's own clock, so that a loop with simulated time simulates ours too."""

    def now(self) -> float:
        try:
            return get_running_loop().time()  # as anyio.current_time, at a fifth of its cost
        except RuntimeError:  # another loop than asyncio's
            return anyio.current_time()

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)


def wall_clock() -> float:
    """Seconds since the epoch; only to read a vendor's absolute dates where it sends no Date header."""
    return time.time()
