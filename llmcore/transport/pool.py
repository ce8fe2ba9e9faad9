"""The idle connections of one event loop: freshest first, each kept for a few seconds, none that the server spoiled."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from weakref import WeakSet

import anyio

from llmcore.transport.connection import Connection
from llmcore.transport.ending import Keeper, closed_by_us
from llmcore.transport.limits import Gate, Limits


class Pool:
    """From the first call on its loop to `aclose`, or to the end of the loop. shut: it is over, and keeps nothing more."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limits: Limits) -> None:
        self.loop: asyncio.AbstractEventLoop = loop
        self.gate: Gate = Gate(limits.max_open)
        self._idle_s = limits.idle_s
        self._idle: dict[str, list[Connection]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.shut: bool = False
        self._connections: WeakSet[Connection] = WeakSet()
        self._dials: set[anyio.CancelScope] = set()
        self._keeper = Keeper(self._end)

    async def dial(self, connecting: Awaitable[Connection]) -> Connection:
        """What `connecting` gives. Raises what it raises, and ConnectionReset where the pool is closed meanwhile."""
        with anyio.CancelScope() as scope:
            self._dials.add(scope)
            try:
                connection = await connecting
            finally:
                self._dials.discard(scope)
            self._connections.add(connection)
            if not self.shut:
                return connection
            connection.shut()
        raise closed_by_us("connect")

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
        if self.shut or not connection.rested():
            connection.abort()
            return
        connection.idle_since = self.loop.time()
        self._idle.setdefault(key, []).append(connection)
        if self._timer is None:
            self._timer = self.loop.call_later(self._idle_s, self._sweep)

    async def aclose(self) -> None:
        """Close every connection, and wait until their sockets are gone. What is under way ends with ConnectionReset."""
        await self._end()
        await self._keeper.aclose()

    def end(self) -> None:
        """Close every connection at once."""
        self.shut = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._idle.clear()
        self.gate.dismiss()
        for scope in self._dials:
            scope.cancel()
        for connection in list(self._connections):
            connection.shut()

    def release(self) -> None:
        """Close every socket although the loop is closed."""
        self.shut = True
        self._timer = None
        self._idle.clear()
        for connection in list(self._connections):
            connection.release()

    async def _end(self) -> None:
        self.end()
        for connection in list(self._connections):
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
