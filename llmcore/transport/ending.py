"""How connections end that nobody gives back: at `aclose`, at the end of their event loop, and after it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress

from llmcore.errors import ConnectionReset, MalformedResponseError, Phase, ProviderError


def closed_by_us(phase: Phase) -> ConnectionReset:
    """What a call ends with whose transport is closed meanwhile. Nobody is to blame, and asking again is of no use."""
    error = ConnectionReset("closed by aclose", phase=phase)
    error.retryable = error.failover = error.health = False
    return error


def cut_short(error: ConnectionReset) -> ProviderError:
    """What it means to whoever reads a whole body that the connection ended inside it."""
    return MalformedResponseError(error.message, phase="stream") if error.retryable else error


class Keeper:
    """Awaits `close` at the end of the running event loop, unless `aclose` was called before.

    Every loop that is run to its end (asyncio.run, uvloop.run, trio.run, anyio.run) ends the asynchronous generators
    that are left on it; this is one of them.
    """

    def __init__(self, close: Callable[[], Awaitable[None]]) -> None:
        self._close = close
        self._ended = False
        self._kept = self._keep()
        with suppress(StopIteration):
            anext(self._kept).__await__().send(None)

    async def aclose(self) -> None:
        if not self._ended:
            await self._kept.aclose()

    async def _keep(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            self._ended = True
            await self._close()


def over(loop: object) -> bool:
    """Whether this event loop (asyncio's, or a trio token) is closed, so that it can close no socket any more."""
    return isinstance(loop, asyncio.AbstractEventLoop) and loop.is_closed()


def release(transport: object) -> None:
    """Close the socket under an asyncio transport whose loop was closed without being run to its end.

    asyncio does that by a callback on the loop, which no public name reaches; where its name is another, the garbage
    collector closes the socket. uvloop closes its sockets with itself.
    """
    beneath = getattr(getattr(transport, "_ssl_protocol", None), "_transport", transport)
    lost = getattr(beneath, "_call_connection_lost", None)
    if lost is not None:
        with suppress(RuntimeError):  # whoever waits on that loop cannot be told
            lost(None)
