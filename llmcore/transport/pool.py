"""The idle connections of one event loop: freshest first, each kept for a few seconds, none that the server spoiled."""

from __future__ import annotations

import asyncio

from llmcore.transport.connection import Connection
from llmcore.transport.limits import Gate, Limits


class Pool:
    """From the first call on its loop to `aclose`; what is in use then closes when it is given back."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limits: Limits) -> None:
        self.loop: asyncio.AbstractEventLoop = loop
        self.gate: Gate = Gate(limits.max_open)
        self._idle_s = limits.idle_s
        self._idle: dict[str, list[Connection]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def take(self, key: str) -> Connection | None:
        """The freshest open connection to the origin of that key, which is then the caller's."""
        idle = self._idle.get(key)
        oldest = self.loop.time() - self._idle_s
        while idle:
            connection = idle.pop()
            if connection.idle_since >= oldest and connection.silent():
                return connection
            connection.abort()
        return None

    def give(self, key: str, connection: Connection) -> None:
        """Back after an answer that was read to its end. A connection that cannot serve again is closed."""
        if self._closed or not connection.rested():
            connection.abort()
            return
        connection.idle_since = self.loop.time()
        self._idle.setdefault(key, []).append(connection)
        if self._timer is None:
            self._timer = self.loop.call_later(self._idle_s, self._sweep)

    async def aclose(self) -> None:
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        idle = [connection for kept in self._idle.values() for connection in kept]
        self._idle.clear()
        for connection in idle:
            connection.abort()
        for connection in idle:
            await connection.closed()

    def _sweep(self) -> None:
        """Close what has been idle for too long; comes again as long as anything is idle."""
        oldest = self.loop.time() - self._idle_s
        for key, connections in list(self._idle.items()):
            for connection in connections:
                if connection.idle_since <= oldest:
                    connection.abort()
            left = [one for one in connections if one.fault is None]
            if left:
                self._idle[key] = left
            else:
                del self._idle[key]
        first = min((one.idle_since for kept in self._idle.values() for one in kept), default=None)
        self._timer = None
        if first is not None:
            wait = max(0.0, first + self._idle_s - self.loop.time())
            self._timer = self.loop.call_later(wait, self._sweep)
