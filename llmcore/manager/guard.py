"""Guard: one provider behind its gates. What surrounds one attempt is `attempt()`, and stays held until a stream ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol, runtime_checkable

import anyio

from llmcore.clock import Clock
from llmcore.config import Routing
from llmcore.errors import OverloadedError, PoolTimeout, ProviderError, RateLimitError
from llmcore.provider import EventStream, LlmProvider
from llmcore.types import (
    EmbeddingInput,
    EmbeddingResponse,
    Event,
    Finished,
    GenerationInput,
    GenerationResponse,
    ModelInfo,
    ProviderStats,
)


@runtime_checkable
class Routed(Protocol):
    """A provider that says how it wants to be chosen."""

    @property
    def routing(self) -> Routing: ...


class Guard:
    """One provider, a limit on calls in flight, and the rest that a vendor asked for.

    An LlmProvider around an LlmProvider. Slots are given in the order of asking; who waits longer than `pool_timeout`
    gets PoolTimeout.
    """

    def __init__(self, provider: LlmProvider, clock: Clock, *, pool_timeout: float = 10.0) -> None:
        self.provider = provider
        self.routing: Routing = provider.routing if isinstance(provider, Routed) else Routing()
        self._clock = clock
        self._pool_timeout = pool_timeout
        self._in_flight = 0
        limit = self.routing.max_in_flight
        self._slots = None if limit is None else anyio.Semaphore(limit, max_value=limit, fast_acquire=True)
        self._rests_until = 0.0

    @property
    def name(self) -> str:
        return self.provider.name

    @property
    def provider_type(self) -> str:
        return self.provider.provider_type

    @property
    def in_flight(self) -> int:
        return self._in_flight

    @property
    def has_room(self) -> bool:
        return self._slots is None or self._slots.value > 0

    @property
    def rests_until(self) -> float:
        """The instant before which the vendor does not want to be asked; later hints extend it, a success ends it."""
        return self._rests_until

    def __repr__(self) -> str:
        return f"<Guard {self.name}: {self._in_flight} in flight>"

    @asynccontextmanager
    async def attempt(self) -> AsyncIterator[None]:
        """Slot, then the attempt, then what it taught. Raises PoolTimeout where no slot comes free in time."""
        await self.enter()
        try:
            yield
        except ProviderError as error:
            self.learn(error)
            raise
        else:
            self.learn(None)
        finally:
            self.leave()

    async def enter(self) -> None:
        """Take a slot."""
        if self._slots is not None:
            try:
                self._slots.acquire_nowait()
            except anyio.WouldBlock:
                await self._wait_for_slot(self._slots)
        self._in_flight += 1

    def leave(self) -> None:
        """Give the slot back."""
        self._in_flight -= 1
        if self._slots is not None:
            self._slots.release()

    def learn(self, error: ProviderError | None) -> None:
        """What an attempt taught: a wait that the vendor asked for, or (None) that all is well again."""
        if error is None:
            self._rests_until = 0.0
        elif isinstance(error, (RateLimitError, OverloadedError)) and error.retry_after is not None:
            self._rests_until = max(self._rests_until, self._clock.now() + error.retry_after)

    async def generate(self, request: GenerationInput, /) -> GenerationResponse:
        async with self.attempt():
            return await self.provider.generate(request)

    def stream(self, request: GenerationInput, /) -> EventStream:
        return EventStream(_GuardedStream(self, request))

    async def embed(self, request: EmbeddingInput, /) -> EmbeddingResponse:
        async with self.attempt():
            return await self.provider.embed(request)

    async def list_models(self) -> Sequence[ModelInfo]:
        return await self.provider.list_models()

    def stats(self) -> ProviderStats:
        return self.provider.stats()

    async def aclose(self) -> None:
        await self.provider.aclose()

    async def _wait_for_slot(self, slots: anyio.Semaphore) -> None:
        with anyio.move_on_after(self._pool_timeout):
            await slots.acquire()
            return
        limit = self.routing.max_in_flight
        raise PoolTimeout(
            f"all {limit} slots were busy for {self._pool_timeout:g} s; raise max_in_flight or send less",
            provider=self.name,
            phase="connect",
        )


class _GuardedStream:
    """The EventSource that holds the attempt open around the inner stream, from its opening to its close."""

    def __init__(self, guard: Guard, request: GenerationInput) -> None:
        self._guard = guard
        self._request = request
        self._inner: EventStream | None = None
        self._held = False

    async def open(self) -> None:
        await self._guard.enter()
        self._held = True
        self._inner = self._guard.provider.stream(self._request)
        try:
            await self._inner.open()
        except ProviderError as error:
            self._guard.learn(error)
            raise

    async def next(self) -> Event:
        assert self._inner is not None
        try:
            event = await self._inner.__anext__()
        except ProviderError as error:
            self._guard.learn(error)
            raise
        if type(event) is Finished:
            self._guard.learn(None)
        return event

    async def aclose(self) -> None:
        try:
            if self._inner is not None:
                await self._inner.aclose()
        finally:
            if self._held:
                self._held = False
                self._guard.leave()
