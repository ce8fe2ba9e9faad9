"""How many connections a transport may hold and for how long, and the gate that keeps the number."""

from __future__ import annotations

from collections import deque

import anyio
from attrs import frozen

from llmcore.errors import PoolTimeout


@frozen
class Limits:
    """max_open: calls at the same time. idle_s: seconds that an idle connection is kept.

    max_idle: connections kept per origin (httpx; the fast transport keeps all of them for idle_s).
    """

    max_open: int = 1000
    max_idle: int = 100
    idle_s: float = 5.0


class Gate:
    """Lets `max_open` calls in; those that wait come in by turn. One event loop only."""

    def __init__(self, max_open: int) -> None:
        self._max_open = max_open
        self._free = max_open
        self._queue: deque[anyio.Event] = deque()

    def entered(self) -> bool:
        """Go in at once, if there is a place. Nobody overtakes: a place that falls free goes to the one who waits longest."""
        if not self._free:
            return False
        self._free -= 1
        return True

    async def enter(self, timeout: float) -> None:
        """Raises PoolTimeout after `timeout` seconds in which no call ended."""
        if self.entered():
            return
        turn = anyio.Event()
        self._queue.append(turn)
        try:
            with anyio.move_on_after(timeout):
                await turn.wait()
        except BaseException:
            self._give_up(turn)
            raise
        if not turn.is_set():
            self._give_up(turn)
            raise PoolTimeout(
                f"{self._max_open} calls are under way and none ended within {timeout:g} s", phase="connect"
            )

    def leave(self) -> None:
        if self._queue:
            self._queue.popleft().set()
        else:
            self._free += 1

    def dismiss(self) -> None:
        """Let everybody in who waits; they find that it is over."""
        while self._queue:
            self._queue.popleft().set()

    def _give_up(self, turn: anyio.Event) -> None:
        if turn.is_set():
            self.leave()
        else:
            self._queue.remove(turn)
