"""One connection per slot, the freshest used first: what makes httpx cheap where many calls run at the same time.

httpx's own pool looks at every connection at every step; a stack looks at one.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import anyio
import httpx
from anyio.lowlevel import current_token
from attrs import define, field

from llmcore.transport.ending import Keeper, closed_by_us, over, release
from llmcore.transport.limits import Gate, Limits
from llmcore.transport.outgoing import Origin

CLEANUP_S = 2.0

Connect = Callable[[Origin], httpx.AsyncBaseTransport]


class Stream(Protocol):
    """What is used of httpcore's AsyncNetworkStream: one TCP connection."""

    async def aclose(self) -> None: ...

    def get_extra_info(self, info: str) -> Any: ...


@define(eq=False)
class Stacks:
    """The slots of one event loop, from its first call to `aclose`, or to the end of the loop."""

    gate: Gate
    idle: defaultdict[Origin, deque[Slot]] = field(factory=lambda: defaultdict(deque))
    busy: set[Slot] = field(factory=set)
    closed: bool = False

    async def end(self) -> None:
        """Close every connection at once. What is under way ends with ConnectionReset."""
        self.closed = True
        self.gate.dismiss()
        for slot in self.busy:
            slot.shut = True
            slot.opening.cancel()
        for slot in self._all():
            await _close(slot)

    def release(self) -> None:
        """Close every socket although the loop is closed."""
        self.closed = True
        for slot in self._all():
            release(getattr(getattr(slot.stream, "_stream", None), "_transport", None))

    def _all(self) -> list[Slot]:
        idle = [slot for stack in self.idle.values() for slot in stack]
        self.idle.clear()
        return [*self.busy, *idle]


@define(eq=False)
class Slot:
    """One httpx transport that holds at most one connection.

    stream: the TCP connection, known as soon as it stands. reused: it was still open when the slot was taken.
    """

    home: Stacks
    origin: Origin
    transport: httpx.AsyncBaseTransport
    stream: Stream | None = None
    idle_since: float = 0.0
    reused: bool = False
    opening: anyio.CancelScope = field(factory=anyio.CancelScope)
    shut: bool = False

    def alive(self) -> bool:
        """Whether the connection is open and silent; a server that closed it or goes on talking has made it readable."""
        if self.stream is None:
            return False
        sock = self.stream.get_extra_info("socket")
        if sock is None or sock.fileno() < 0:
            return False
        return not self.stream.get_extra_info("is_readable") and not _overfed(self.transport)

    async def watch(self, event: str, info: Mapping[str, Any]) -> None:
        """Told by httpcore's `trace` extension what happens to the connection."""
        if event == "connection.connect_tcp.complete":
            self.stream = info["return_value"]


class Slots:
    """The stacks of every event loop that uses them; each loop has its own connections."""

    def __init__(self, connect: Connect, limits: Limits, now: Callable[[], float]) -> None:
        self._connect = connect
        self._limits = limits
        self._now = now
        self._homes: dict[object, tuple[Stacks, Keeper]] = {}

    async def take(self, origin: Origin, timeout: float) -> Slot:
        """The freshest open connection to `origin`, or a slot that will make one. Raises PoolTimeout, ConnectionReset."""
        home = self._home()
        await home.gate.enter(timeout)
        stack = home.idle[origin]
        try:
            if home.closed:  # while it waited
                raise closed_by_us("connect")
            slot = await self._fresh(stack) or Slot(home, origin, self._connect(origin))
            slot.opening = anyio.CancelScope()
            home.busy.add(slot)
            return slot
        except BaseException:
            home.gate.leave()
            raise

    async def _fresh(self, stack: deque[Slot]) -> Slot | None:
        """The slot used last of those that are still good; the others are closed."""
        while stack and stack[0].idle_since + self._limits.idle_s < self._now():
            await _close(stack.popleft())
        while stack:
            slot = stack.pop()
            if slot.alive():
                slot.reused = True
                return slot
            await _close(slot)
        return None

    async def give(self, slot: Slot) -> None:
        """Back on the stack: the answer was read to its end."""
        slot.home.busy.discard(slot)
        stack = slot.home.idle[slot.origin]
        slot.idle_since = self._now()
        stack.append(slot)
        slot.home.gate.leave()
        if slot.home.closed or len(stack) > self._limits.max_idle:
            await _close(stack.popleft())

    async def drop(self, slot: Slot) -> None:
        """Away with it and its connection."""
        slot.home.busy.discard(slot)
        try:
            await _close(slot)
        finally:
            slot.home.gate.leave()

    async def renew(self, slot: Slot) -> None:
        """The same place in the count with a new connection."""
        await _close(slot)
        slot.transport, slot.stream, slot.reused = self._connect(slot.origin), None, False

    async def aclose(self) -> None:
        """Close every connection of this loop and of those that are closed. A later call starts afresh.

        Those of loops in other threads close when idle, or with their loop.
        """
        self._release()
        home, keeper = self._homes.pop(_loop(), (None, None))
        if home is not None and keeper is not None:
            await home.end()
            await keeper.aclose()

    def _home(self) -> Stacks:
        loop = _loop()
        home, _ = self._homes.get(loop, (None, None))
        if home is None or home.closed:
            self._release()
            home = Stacks(Gate(self._limits.max_open))
            self._homes[loop] = home, Keeper(home.end)
        return home

    def _release(self) -> None:
        """Let go of what belongs to loops that are over."""
        for loop, (home, _) in list(self._homes.items()):
            if over(loop):
                home.release()
            if over(loop) or home.closed:
                self._homes.pop(loop, None)


def _loop() -> object:
    """The running event loop; under trio, the token of its run."""
    token: object = current_token()
    return getattr(token, "native_token", token)


async def _close(slot: Slot) -> None:
    """Also the stream beneath: httpcore forgets a connection whose TLS handshake is cancelled."""
    with anyio.move_on_after(CLEANUP_S, shield=True):
        try:
            await slot.transport.aclose()
        finally:
            if slot.stream is not None:
                await slot.stream.aclose()


def _overfed(transport: httpx.AsyncBaseTransport) -> bool:
    """Whether bytes beyond the last answer have been read already; they would pass for the next answer.

    httpcore keeps them where no public name leads; where these names are gone, nothing is known.
    """
    for connection in getattr(getattr(transport, "_pool", None), "connections", ()):
        parser = getattr(getattr(connection, "_connection", None), "_h11_state", None)
        if parser is not None and parser.trailing_data[0]:
            return True
    return False
