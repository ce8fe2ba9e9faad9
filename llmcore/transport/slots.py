"""One connection per slot, the freshest used first: what makes httpx cheap where many calls run at the same time.

httpx's own pool looks at every connection at every step; a stack looks at one.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable

import anyio
import httpx
from anyio.lowlevel import RunVar
from attrs import define, field

from llmcore.transport.limits import Gate, Limits
from llmcore.transport.outgoing import Origin

CLEANUP_S = 2.0

Connect = Callable[[Origin], httpx.AsyncBaseTransport]


@define(eq=False)
class Slot:
    """One httpx transport that holds at most one connection.

    stream: the connection under the last answer, as httpx's `network_stream` extension shows it. reused: it was still
    open when the slot was taken.
    """

    origin: Origin
    transport: httpx.AsyncBaseTransport
    stream: object = None
    idle_since: float = 0.0
    reused: bool = False

    def alive(self) -> bool:
        """Whether the connection is open and silent; a server that closed it has made it readable."""
        info = getattr(self.stream, "get_extra_info", None)
        sock = info("socket") if info else None
        return info is not None and sock is not None and sock.fileno() >= 0 and not info("is_readable")


@define(eq=False)
class _Stacks:
    """The slots of one event loop."""

    gate: Gate
    idle: dict[Origin, deque[Slot]] = field(factory=lambda: defaultdict(deque))


class Slots:
    """The stacks of every event loop that uses them; each loop has its own connections."""

    def __init__(self, connect: Connect, limits: Limits, now: Callable[[], float]) -> None:
        self._connect = connect
        self._limits = limits
        self._now = now
        self._closed = False
        self._here: RunVar[_Stacks] = RunVar("llmcore_slots")

    async def take(self, origin: Origin, timeout: float) -> Slot:
        """The freshest open connection to `origin`, or a slot that will make one. Raises PoolTimeout."""
        stacks = self._stacks()
        await stacks.gate.enter(timeout)
        stack = stacks.idle[origin]
        try:
            await self._close_oldest(stack)
            while stack:
                slot = stack.pop()
                if slot.alive():
                    slot.reused = True
                    return slot
                await _close(slot)
        except BaseException:
            stacks.gate.leave()
            raise
        return Slot(origin, self._connect(origin))

    async def give(self, slot: Slot) -> None:
        """Back on the stack: the answer was read to its end."""
        stacks = self._stacks()
        stack = stacks.idle[slot.origin]
        slot.idle_since = self._now()
        stack.append(slot)
        stacks.gate.leave()
        if self._closed or len(stack) > self._limits.max_idle:
            await _close(stack.popleft())

    async def drop(self, slot: Slot) -> None:
        """Away with it and its connection."""
        try:
            await _close(slot)
        finally:
            self._stacks().gate.leave()

    async def renew(self, slot: Slot) -> None:
        """The same place in the count with a new connection."""
        await _close(slot)
        slot.transport, slot.stream, slot.reused = self._connect(slot.origin), None, False

    async def aclose(self) -> None:
        """Close what is idle here; what is still in use closes when it is dropped."""
        self._closed = True
        idle = self._stacks().idle
        while idle:
            _, stack = idle.popitem()
            while stack:
                await _close(stack.pop())

    async def _close_oldest(self, stack: deque[Slot]) -> None:
        while stack and stack[0].idle_since + self._limits.idle_s < self._now():
            await _close(stack.popleft())

    def _stacks(self) -> _Stacks:
        stacks = self._here.get(None)
        if stacks is None:
            stacks = _Stacks(Gate(self._limits.max_open))
            self._here.set(stacks)
        return stacks


async def _close(slot: Slot) -> None:
    with anyio.move_on_after(CLEANUP_S, shield=True):
        await slot.transport.aclose()
