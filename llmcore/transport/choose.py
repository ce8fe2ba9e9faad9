"""Which transport: a library is imported once the first call needs it, and nothing is opened before."""

from __future__ import annotations

from collections.abc import Awaitable
from importlib.util import find_spec
from typing import TYPE_CHECKING

import sniffio

from llmcore.config import Timeouts, TransportChoice
from llmcore.errors import ConfigurationError
from llmcore.transport.base import Call, Reply, Transport

if TYPE_CHECKING:
    from llmcore.transport.dial import Admit

FAST_LIBRARY = "httptools"


def open_transport(choice: TransportChoice = "auto", admit: Admit | None = None) -> Transport:
    """A transport of that kind. "auto": the fast one under asyncio where it is installed, else httpx.

    admit: asked before each new connection whether its addresses may be dialled; the fast transport alone can ask.
    Raises ConfigurationError where "fast" is asked for and not installed, or "httpx" with `admit`.
    """
    if admit is not None and choice == "httpx":
        raise ConfigurationError(
            'transport: "httpx" cannot check an address when it is dialled; take "auto" or "fast" here'
        )
    if admit is not None:
        return _fast(admit)
    if choice == "httpx":
        return _httpx()
    if choice == "fast":
        return _fast()
    return AutoTransport()


class AutoTransport:
    """Decides at each call, by the event loop that it runs on; what it has made it keeps."""

    def __init__(self) -> None:
        self._made: dict[bool, Transport] = {}
        self._fast_installed = find_spec(FAST_LIBRARY) is not None

    def open(self, call: Call, timeouts: Timeouts) -> Awaitable[Reply]:
        return self._here().open(call, timeouts)

    async def aclose(self) -> None:
        while self._made:
            _, transport = self._made.popitem()
            await transport.aclose()

    def _here(self) -> Transport:
        fast = self._fast_installed and sniffio.current_async_library() == "asyncio"
        transport = self._made.get(fast)
        if transport is None:
            transport = self._made[fast] = _fast() if fast else _httpx()
        return transport


def _httpx() -> Transport:
    from llmcore.transport.httpx_transport import HttpxTransport

    return HttpxTransport()


def _fast(admit: Admit | None = None) -> Transport:
    if find_spec(FAST_LIBRARY) is None:
        raise ConfigurationError('transport = "fast" needs `pip install "llmcore-kit[fast]"`')
    from llmcore.transport.fast import FastTransport

    return FastTransport(admit=admit)
