"""One provider's entrance for now: slots, and the rest that a vendor asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

import anyio

from llmcore.clock import Clock
from llmcore.config import Routing
from llmcore.errors import OverloadedError, PoolTimeout, ProviderError, RateLimitError
from llmcore.provider import Seat


def family(model: str | None) -> str:
    """The family of a model."""
    return model or ""


class Pass:
    """One admitted attempt."""

    __slots__ = ("family", "key", "seat", "tokens")

    def __init__(self, seat: Seat, name: str) -> None:
        self.seat = seat
        self.family = name
        self.tokens = 0
        self.key = seat.name


class Turnstile:
    """Slots and rests of one provider."""

    def __init__(
        self,
        name: str,
        seats: Sequence[Seat],
        routing: Routing,
        clock: Clock,
        random: Random,
        *,
        max_queue: int,
        pace: bool,
        patience: float,
        told: Callable[..., None],
    ) -> None:
        self.name = name
        self.seats = seats
        self.clock = clock
        self.patience = patience
        limit = routing.max_in_flight
        self.slots = None if limit is None else anyio.Semaphore(limit, max_value=limit, fast_acquire=True)
        self.in_flight = 0
        self.waiting = 0
        self.rests = 0.0

    @property
    def has_room(self) -> bool:
        return self.slots is None or self.slots.value > 0

    def try_enter(
        self, name: str, tokens: int, now: float, avoid: frozenset[str | None] = frozenset()
    ) -> Pass | None:
        if self.slots is not None:
            try:
                self.slots.acquire_nowait()
            except anyio.WouldBlock:
                return None
        self.in_flight += 1
        return Pass(self.seats[0], name)

    async def enter(
        self, name: str, tokens: int, ends: float, avoid: frozenset[str | None] = frozenset()
    ) -> Pass:
        assert self.slots is not None
        with anyio.move_on_after(self.patience):
            await self.slots.acquire()
            self.in_flight += 1
            return Pass(self.seats[0], name)
        raise PoolTimeout("all slots were busy", provider=self.name, phase="connect")

    def leave(self, passed: Pass, used_tokens: int | None = None) -> None:
        self.in_flight -= 1
        if self.slots is not None:
            self.slots.release()

    def learn(self, passed: Pass, error: ProviderError | None) -> None:
        if error is None:
            self.rests = 0.0
        elif isinstance(error, (RateLimitError, OverloadedError)) and error.retry_after is not None:
            self.rests = max(self.rests, self.clock.now() + error.retry_after)

    def other_key(self, name: str, excluded: frozenset[str | None], now: float) -> bool:
        return False

    def ready_at(self, name: str, now: float) -> float:
        return max(now, self.rests)

    def reset(self) -> None:
        self.rests = 0.0
