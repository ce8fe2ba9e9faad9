"""Law 42 at the leaf: cancelled at every point at which it waits, a call leaves nothing behind."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest

from llmcore.providers import find
from llmcore.providers.base import HttpProvider
from llmcore.testing import run_simulated
from tests.providers.dialects import TEXT, Vendor, dialect_of, made

CALLS: dict[str, Callable[[HttpProvider], Awaitable[Any]]] = {
    "generate": lambda provider: provider.generate("hi"),
    "stream": lambda provider: provider.stream("hi").collect(),
    "embed": lambda provider: provider.embed([str(number) for number in range(300)]),
    "models": lambda provider: provider.list_models(),
}


class Stepping(Vendor):
    """A vendor that waits before, between and after everything; at wait number `at` the call is cancelled."""

    def __init__(self, kind: str, at: int) -> None:
        super().__init__(dialect_of(find(kind)))
        self.at = at
        self.waits = 0
        self.open = 0
        self.scope = anyio.CancelScope()

    async def step(self) -> None:
        self.waits += 1
        if self.waits == self.at:
            self.scope.cancel()
        await anyio.lowlevel.checkpoint()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await self.step()
        response = await super().handle_async_request(request)
        await self.step()
        self.open += 1
        return httpx.Response(
            response.status_code, headers=response.headers, stream=Pieces(self, response.content)
        )


class Pieces(httpx.AsyncByteStream):
    def __init__(self, vendor: Stepping, body: bytes) -> None:
        self._vendor = vendor
        self._body = body
        self._closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = max(1, len(self._body) // 4)
        for at in range(0, len(self._body), size):
            await self._vendor.step()
            yield self._body[at : at + size]
        await self._vendor.step()

    async def aclose(self) -> None:
        if not self._closed:
            self._closed = True
            self._vendor.open -= 1


async def attempt(kind: str, call: str, at: int) -> bool:
    """One call that is cancelled at that wait; whether it was."""
    vendor = Stepping(kind, at)
    provider = made(find(kind), vendor)
    with vendor.scope:
        await CALLS[call](provider)
    cancelled = vendor.scope.cancelled_caught
    stats = provider.stats()
    assert (stats.requests, stats.in_flight, stats.failures) == (1, 0, 0), at
    assert (stats.cancelled, stats.successes) == ((1, 0) if cancelled else (0, 1)), at
    assert vendor.open == 0, at
    vendor.at = 0
    assert (await provider.generate("hi")).text == TEXT
    assert vendor.open == 0
    return cancelled


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize(
    ("kind", "call"),
    [(kind, call) for kind in ("openai", "ollama", "cohere") for call in CALLS]
    + [("replicate", "generate"), ("replicate", "stream"), ("replicate", "models")],
)
def test_42_cancelled_at_every_wait(kind: str, call: str, backend: Any) -> None:
    async def main() -> None:
        at = 1
        while await attempt(kind, call, at):
            at += 1
        assert at > 6

    run_simulated(main, backend=backend)
