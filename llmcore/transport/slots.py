"""One connection per slot, the freshest used first: what makes httpx cheap where many calls run at the same time.

httpx's own pool looks at every connection at every step; a stack looks at one.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import anyio
import httpx
from anyio.lowlevel import RunVar
from attrs import define, field

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
    """The slots of one event loop, from its first call to `aclose`."""

    gate: Gate
    idle: defaultdict[Origin, deque[Slot]] = field(factory=lambda: defaultdict(deque))
    closed: bool = False


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
        self._here: RunVar[Stacks] = RunVar("llmcore_slots")

    async def take(self, origin: Origin, timeout: float) -> Slot:
        """The freshest open connection to `origin`, or a slot that will make one. Raises PoolTimeout."""
        home = self._home()
        await home.gate.enter(timeout)
        stack = home.idle[origin]
        try:
            while stack and stack[0].idle_since + self._limits.idle_s < self._now():
                await _close(stack.popleft())
            while stack:
                slot = stack.pop()
                if slot.alive():
                    slot.reused = True
                    return slot
                await _close(slot)
            return Slot(home, origin, self._connect(origin))
        except BaseException:
            home.gate.leave()
            raise

    async def give(self, slot: Slot) -> None:
        """Back on the stack: the answer was read to its end."""
        stack = slot.home.idle[slot.origin]
        slot.idle_since = self._now()
        stack.append(slot)
        slot.home.gate.leave()
        if slot.home.closed or len(stack) > self._limits.max_idle:
            await _close(stack.popleft())

    async def drop(self, slot: Slot) -> None:
        """Away with it and its connection."""
        try:
            await _close(slot)
        finally:
            slot.home.gate.leave()

    async def renew(self, slot: Slot) -> None:
        """The same place in the count with a new connection."""
        await _close(slot)
        slot.transport, slot.stream, slot.reused = self._connect(slot.origin), None, False

    async def aclose(self) -> None:
        """Close what is idle on this loop; what is in use closes when it is given back. A later call starts afresh."""
        home = self._home()
        home.closed = True
        while home.idle:
            _, stack = home.idle.popitem()
            while stack:
                await _close(stack.pop())

    def _home(self) -> Stacks:
        home = self._here.get(None)
        if home is None or home.closed:
            home = Stacks(Gate(self._limits.max_open))
            self._here.set(home)
        return home


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
