"""A transport as one provider has it: shut for good by `aclose`, whatever else the transport goes on to serve."""

from __future__ import annotations

from collections.abc import Awaitable

from llmcore.config import Timeouts
from llmcore.errors import ProviderError
from llmcore.transport.base import Call, Reply, Transport


def refusal(who: str) -> ProviderError:
    """What a call ends with that is made after `aclose`: nothing was sent, and another provider may serve it."""
    error = ProviderError(f"{who} is closed", phase="encode")
    error.failover = True
    return error


class Door:
    """Lets calls through until it is closed. It closes the transport once."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.shut: bool = False

    def open(self, call: Call, timeouts: Timeouts) -> Awaitable[Reply]:
        """As the transport's. Raises ProviderError where it is shut."""
        if self.shut:
            raise refusal("the provider")
        return self._transport.open(call, timeouts)

    async def aclose(self) -> None:
        if not self.shut:
            self.shut = True
            await self._transport.aclose()
