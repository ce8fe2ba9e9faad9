"""Answers of a slow source, remembered for seconds: asked once for all who wait, and kept on where the source is away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from llmcore.gateway.errors import Unavailable

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class _Entry(Generic[V]):
    """asked: when the source last said so; until: when it is asked again."""

    __slots__ = ("asked", "until", "value")

    def __init__(self, value: V, asked: float, until: float) -> None:
        self.value = value
        self.asked = asked
        self.until = until


class Memory(Generic[K, V]):
    """Values by key. ttl: seconds that one counts; stale: seconds that it goes on to count while the source raises
    `Unavailable`; size: how many are remembered, the oldest go first. now: monotonic seconds.
    """

    def __init__(
        self, *, ttl: float, now: Callable[[], float], size: int = 10_000, stale: float = 3600.0
    ) -> None:
        self._ttl = ttl
        self._now = now
        self._size = size
        self._stale = stale
        self._known: dict[K, _Entry[V]] = {}
        self._asking: dict[K, asyncio.Future[V]] = {}
        self._generation = 0

    async def get(self, key: K, load: Callable[[], Awaitable[V]]) -> V:
        """The remembered value, or what `load` gives. Raises what `load` raises; errors are not remembered."""
        entry = self._known.get(key)
        if entry is not None and entry.until > self._now():
            return entry.value
        running = self._asking.get(key)
        if running is None:
            return await self._asked(key, load, entry)
        try:
            return await asyncio.shield(running)
        except _GivenUp:
            return await self.get(key, load)

    def forget(self, which: Callable[[K, V], bool] | None = None) -> None:
        """Remember nothing of those any more (left out: of any), nor of what is being asked just now."""
        self._generation += 1
        if which is None:
            self._known = {}
        else:
            self._known = {key: entry for key, entry in self._known.items() if not which(key, entry.value)}

    async def _asked(self, key: K, load: Callable[[], Awaitable[V]], entry: _Entry[V] | None) -> V:
        future: asyncio.Future[V] = asyncio.get_running_loop().create_future()
        self._asking[key] = future
        generation = self._generation
        try:
            value, asked = await self._loaded(load, entry)
        except BaseException as exc:
            future.set_exception(exc if isinstance(exc, Exception) else _GivenUp())
            future.exception()  # marks it as seen: perhaps nobody else waits
            raise
        finally:
            del self._asking[key]
        future.set_result(value)
        if generation == self._generation:
            self._keep(key, _Entry(value, asked, self._now() + self._ttl))
        return value

    async def _loaded(self, load: Callable[[], Awaitable[V]], entry: _Entry[V] | None) -> tuple[V, float]:
        """What the source says and when; where it cannot be asked, what it said last."""
        try:
            return await load(), self._now()
        except Unavailable:
            if entry is None or self._now() - entry.asked > self._stale:
                raise
            return entry.value, entry.asked

    def _keep(self, key: K, entry: _Entry[V]) -> None:
        if key not in self._known and len(self._known) >= self._size:
            del self._known[next(iter(self._known))]
        self._known[key] = entry


class _GivenUp(Exception):
    """Whoever asked for all was cancelled; the next one asks."""
