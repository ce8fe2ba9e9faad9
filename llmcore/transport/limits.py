"""How many connections a transport may hold and for how long, and the gate that keeps the number."""

from __future__ import annotations

import anyio
from attrs import frozen

from llmcore.errors import PoolTimeout


@frozen
class Limits:
    """max_open: calls at the same time. idle_s: seconds that an idle connection is kept.

    max_idle: connections kept per origin (httpx; aiohttp keeps all of them for idle_s).
    """

    max_open: int = 1000
    max_idle: int = 100
    idle_s: float = 5.0


class Gate:
    """Lets `max_open` calls in; those that wait come in by turn. One event loop only."""

    def __init__(self, max_open: int) -> None:
        self._max_open = max_open
        self._free = anyio.Semaphore(max_open, fast_acquire=True)

    async def enter(self, timeout: float) -> None:
        """Raises PoolTimeout after `timeout` seconds in which no call ended."""
        try:
            self._free.acquire_nowait()
        except anyio.WouldBlock:
            with anyio.move_on_after(timeout):
                await self._free.acquire()
                return
            raise PoolTimeout(
                f"{self._max_open} calls are under way and none ended within {timeout:g} s", phase="connect"
            ) from None

    def leave(self) -> None:
        self._free.release()
