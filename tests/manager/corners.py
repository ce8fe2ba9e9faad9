"""What the tests of the manager's corners share: events by the piece, a reader, and whether anything is still held."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import anyio
import pytest
from hypothesis import strategies as st

from llmcore.config import BudgetConfig, FallbackConfig, Timeouts
from llmcore.errors import (
    ProviderError,
)
from llmcore.manager.manager import ProviderManager, Rebuilt
from llmcore.provider import EventStream
from llmcore.testing import ScriptedProvider
from llmcore.types import (
    Event,
    Finished,
    Restarted,
    TextDelta,
    Usage,
)

Backend = Literal["asyncio", "trio"]
BACKENDS = st.sampled_from(["asyncio", "trio"])
both = pytest.mark.parametrize("backend", ["asyncio", "trio"])
NO_TRICKLE = BudgetConfig(per_second=0.0, per_success=0.0)


def held(manager: ProviderManager) -> list[Any]:
    """What is held at a manager's gates: nothing, when no call runs."""
    found: list[Any] = []
    for guard in manager.fleet.guards:
        found += [guard.in_flight, guard.entrance.waiting]
        for line in guard.lines.values():
            found += [line.breaker.probing, len(line.pulse._waiting)]
    return found


def idle(manager: ProviderManager) -> bool:
    return not any(held(manager)) and manager.stats().in_flight == 0 and not manager.fleet.busy


class Parts(ScriptedProvider):
    """Streams the given events, one list for each attempt; an error in it is raised."""

    def __init__(self, name: str, *plays: Sequence[Event | ProviderError], **more: Any) -> None:
        super().__init__(name, **more)
        self.plays = list(plays)

    def stream(self, request: Any, /) -> EventStream:
        self.requests.append(request)
        return EventStream(_Parts(self, self.plays.pop(0) if len(self.plays) > 1 else self.plays[0]))


class _Parts:
    def __init__(self, provider: Parts, play: Sequence[Event | ProviderError]) -> None:
        self._provider = provider
        self._left = list(play)
        self._open = False

    async def open(self) -> None:
        self._open = True
        self._provider.open_streams += 1
        await anyio.lowlevel.checkpoint()

    async def next(self) -> Event:
        await anyio.lowlevel.checkpoint()
        event = self._left.pop(0)
        if isinstance(event, ProviderError):
            raise event
        return event

    async def aclose(self) -> None:
        self._provider.open_streams -= self._open
        self._open = False


async def read(manager: ProviderManager, request: Any = "x") -> tuple[list[Event], ProviderError | None]:
    events: list[Event] = []
    try:
        async with manager.stream(request) as stream:
            async for event in stream:
                events.append(event)  # noqa: PERF401 - what came before an error is kept
    except ProviderError as error:
        return events, error
    return events, None


def text_of(events: list[Event]) -> str:
    text = ""
    for event in events:
        if isinstance(event, TextDelta):
            text += event.text
        elif isinstance(event, Restarted):
            text = ""
    return text


END = Finished("stop", usage=Usage(1, 1))


def by_hand(*providers: ScriptedProvider, **more: Any) -> Rebuilt:
    return Rebuilt(providers, FallbackConfig(), Timeouts(), **more)


def reloading(*providers: ScriptedProvider) -> ProviderManager:
    async def rebuild(source: Rebuilt) -> Rebuilt:
        await anyio.lowlevel.checkpoint()
        return source

    return ProviderManager(providers, rebuild=rebuild)
