"""Answers of a slow source, remembered for seconds: asked once for all who wait, asked again before the time of what is in
use is over, and kept on where the source is away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from contextlib import suppress
from math import inf
from typing import Generic, TypeAlias, TypeVar

import anyio
from anyio.abc import TaskGroup

from llmcore.gateway.errors import Unavailable

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


Load: TypeAlias = Callable[[], Awaitable[V]]

RENEWED_AT_ONCE = 2


class _Entry(Generic[V]):
    """asked: when the source last said so; renew: from when on a use has it asked again; until: when it counts no more."""

    __slots__ = ("asked", "renew", "until", "value")

    def __init__(self, value: V, asked: float, renew: float, until: float) -> None:
        self.value = value
        self.asked = asked
        self.renew = renew
        self.until = until


class Memory(Generic[K, V]):
    """Values by key. ttl: seconds that one counts, from when its source was asked; stale: seconds that it goes on to count
    while the source raises `Unavailable`; size: how many are remembered, the oldest go first. now: monotonic seconds.

    While `keep_fresh` runs, a value that is used in the second half of its time is asked for again beside the calls; so only
    the first of them, and the first after a pause, waits for the source: no longer than `patience` (seconds) where there
    is a value of before, which then counts as it does where the source is away.
    """

    def __init__(
        self,
        *,
        ttl: float,
        now: Callable[[], float],
        size: int = 10_000,
        stale: float = 3600.0,
        patience: float = 0.25,
    ) -> None:
        self._ttl = ttl
        self._now = now
        self._size = size
        self._stale = stale
        self._patience = patience
        self._known: dict[K, _Entry[V]] = {}
        self._asking: dict[K, asyncio.Future[V]] = {}
        self._generation = 0
        self._due: asyncio.Queue[tuple[K, Load[V]]] = asyncio.Queue()
        self._renewing = False
        self._group: TaskGroup | None = None

    async def get(self, key: K, load: Load[V]) -> V:
        """The remembered value, or what `load` gives. Raises what `load` raises; errors are not remembered."""
        entry = self._known.get(key)
        if entry is not None:
            now = self._now()
            if now < entry.until:
                if now >= entry.renew and self._renewing:
                    entry.renew = inf
                    self._due.put_nowait((key, load))
                return entry.value
            if self._group is not None and now - entry.asked <= self._stale:
                return await self._overdue(key, load, entry, self._group)
        running = self._asking.get(key)
        if running is None:
            return await self._asked(key, load, entry)
        try:
            return await asyncio.shield(running)
        except _GivenUp:
            return await self.get(key, load)

    async def _overdue(self, key: K, load: Load[V], entry: _Entry[V], group: TaskGroup) -> V:
        """What the source says, if it does so soon; else what it said last, while it is asked beside."""
        if key not in self._asking:
            group.start_soon(self._beside, key, load, entry)
            await asyncio.sleep(0)  # it begins
        running = self._asking.get(key)
        if running is None:  # it has ended already
            return await (
                self._asked(key, load, entry) if self._known.get(key) is entry else self.get(key, load)
            )
        await asyncio.wait([running], timeout=self._patience)
        if not running.done():
            entry.renew, entry.until = inf, self._now() + self._ttl
            return entry.value
        try:
            return running.result()
        except _GivenUp:
            return await self.get(key, load)

    async def _beside(self, key: K, load: Load[V], entry: _Entry[V]) -> None:
        if key not in self._asking:
            with suppress(Exception):  # whoever waits for it meets the error
                await self._asked(key, load, entry)

    async def keep_fresh(self) -> None:
        """Renew what is in use, until cancelled."""
        self._renewing = True
        try:
            async with anyio.create_task_group() as group:
                self._group = group
                for _ in range(RENEWED_AT_ONCE):
                    group.start_soon(self._renew)
        finally:
            self._renewing, self._group = False, None

    async def _renew(self) -> None:
        while True:
            key, load = await self._due.get()
            entry = self._known.get(key)
            if entry is None or key in self._asking:
                continue
            try:
                await self._asked(key, load, entry)
            except Exception:  # noqa: BLE001, S112 - nobody waits for it; the first call after its time meets the error
                continue

    def forget(self, which: Callable[[K, V], bool] | None = None) -> None:
        """Remember nothing of those any more (left out: of any), nor of what is being asked just now."""
        self._generation += 1
        self._asking = {}  # who asks from now on shall not get what was asked before
        if which is None:
            self._known = {}
        else:
            self._known = {key: entry for key, entry in self._known.items() if not which(key, entry.value)}

    async def _asked(self, key: K, load: Load[V], entry: _Entry[V] | None) -> V:
        future: asyncio.Future[V] = asyncio.get_running_loop().create_future()
        self._asking[key] = future
        generation = self._generation
        try:
            fresh = await self._loaded(load, entry)
        except BaseException as exc:
            future.set_exception(exc if isinstance(exc, Exception) else _GivenUp())
            future.exception()  # marks it as seen: perhaps nobody else waits
            raise
        finally:
            if self._asking.get(key) is future:
                del self._asking[key]
        future.set_result(fresh.value)
        if generation == self._generation:
            self._keep(key, fresh)
        return fresh.value

    async def _loaded(self, load: Load[V], entry: _Entry[V] | None) -> _Entry[V]:
        """What the source says; where it cannot be asked, what it said last."""
        asked = self._now()
        try:
            return self._entry(await load(), asked, asked)
        except Unavailable:
            now = self._now()
            if entry is None or now - entry.asked > self._stale:
                raise
            return self._entry(entry.value, entry.asked, now)

    def _entry(self, value: V, asked: float, since: float) -> _Entry[V]:
        return _Entry(value, asked, since + self._ttl / 2, since + self._ttl)

    def _keep(self, key: K, entry: _Entry[V]) -> None:
        if key not in self._known and len(self._known) >= self._size:
            del self._known[next(iter(self._known))]
        self._known[key] = entry


class _GivenUp(Exception):
    """Whoever asked for all was cancelled; the next one asks."""
