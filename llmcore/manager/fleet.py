"""One configuration, live: its guards, who is asked in which order, and the policies. A call keeps the fleet it began with."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from random import Random

import anyio

from llmcore.clock import Clock
from llmcore.config import FallbackConfig, Timeouts
from llmcore.errors import ConfigurationError, InvalidRequestError
from llmcore.manager.guard import Guard
from llmcore.manager.models import Choice, choices
from llmcore.manager.order import Order, order_for
from llmcore.manager.plan import Policy
from llmcore.types import EmbeddingRequest, GenerationRequest, Usage

MAX_ATTEMPTS = 12
MAX_REMEMBERED = 1024
USUAL_OUTPUT = 256.0

Asked = GenerationRequest | EmbeddingRequest


class Fleet:
    """The guards of one configuration. Raises ConfigurationError where they cannot work together."""

    def __init__(
        self, guards: Sequence[Guard], fallback: FallbackConfig, timeouts: Timeouts, random: Random
    ) -> None:
        names = [guard.name for guard in guards]
        if not guards:
            raise ConfigurationError("providers: a manager needs at least one")
        if doubles := sorted({name for name in names if names.count(name) > 1}):
            raise ConfigurationError(*(f"providers: the name {name!r} is given twice" for name in doubles))
        if unknown := [name for name in fallback.fallbacks if name not in names]:
            raise ConfigurationError(
                *(f"fallback.fallbacks: there is no provider {name!r}" for name in unknown)
            )
        self.guards: tuple[Guard, ...] = tuple(guards)
        self.names: list[str] = names
        self.fallback: FallbackConfig = fallback
        self.timeouts: Timeouts = timeouts
        self.mean_output: float = USUAL_OUTPUT
        self.selective: bool = any(guard.selective for guard in guards)
        self.order: Order = order_for(
            fallback.strategy,
            names,
            fallback.fallbacks,
            random=random,
            weights=[guard.routing.weight for guard in guards],
            priorities=[guard.routing.priority for guard in guards],
        )
        self._arranged: dict[tuple[str | None, tuple[str, ...]], tuple[Choice, ...]] = {}
        self._policies: dict[int, Policy] = {}
        self.closed: bool = False
        self._calls = 0
        self._drained: anyio.Event | None = None
        self._resting: set[anyio.CancelScope] = set()

    @property
    def busy(self) -> bool:
        """Whether calls that began with this fleet still run."""
        return self._calls > 0

    def arranged(self, model: str | None, only: tuple[str, ...]) -> tuple[Choice, ...]:
        """Who may answer for `model`, arranged for the order. Raises InvalidRequestError for names that nobody has."""
        found = self._arranged.get((model, only))
        if found is None:
            if unknown := [name for name in only if name not in self.names]:
                known = ", ".join(self.names)
                raise InvalidRequestError(
                    f"providers: there is no provider {unknown[0]!r}; there are {known}"
                )
            meant = choices(model, self.names, [guard.routing for guard in self.guards])
            if only:
                meant = [choice for choice in meant if self.names[choice.index] in only]
                if not meant:
                    raise InvalidRequestError(
                        f"providers: none of {', '.join(only)} answers for the model {model!r}"
                    )
            found = self.order.arrange(meant)
            if len(self._arranged) < MAX_REMEMBERED:
                self._arranged[model, only] = found
        return found

    def policy(self, candidates: int) -> Policy:
        """The limits of a call that may choose among so many."""
        made = self._policies.get(candidates)
        if made is None:
            fallback = self.fallback
            keys = sum(guard.entrance.keys - 1 for guard in self.guards)  # another key is no retry
            attempts = fallback.max_attempts or min(MAX_ATTEMPTS, candidates * (1 + fallback.retries) + keys)
            made = self._policies[candidates] = Policy(
                fallback.retries,
                attempts,
                None if fallback.retry_delay_ms is None else fallback.retry_delay_ms / 1000,
                fallback.max_delay_ms / 1000,
                fallback.max_retry_after,
                fallback.prefer_failover_after,
                fallback.retry_after_send,
                fallback.allow_policy_fallback,
            )
        return made

    def answered(self, output_tokens: int | None) -> None:
        """Learn how long answers usually are, for the strategy that compares prices."""
        if output_tokens is not None:
            self.mean_output += 0.05 * (output_tokens - self.mean_output)

    def enter(self) -> None:
        """A call begins."""
        self._calls += 1

    def leave(self) -> None:
        """A call ends."""
        self._calls -= 1
        if self._calls == 0 and self._drained is not None:
            self._drained.set()

    async def drained(self) -> None:
        """Wait until no call of this fleet runs any more; any number may wait."""
        if self._calls:
            self._drained = self._drained or anyio.Event()
            await self._drained.wait()

    async def rest(self, clock: Clock, seconds: float) -> bool:
        """Sleep between two attempts; whether anything may follow."""
        if self.closed:
            return False
        with anyio.CancelScope() as scope:
            self._resting.add(scope)
            try:
                await clock.sleep(seconds)
            finally:
                self._resting.discard(scope)
        return not self.closed

    def close(self) -> None:
        """Calls make no further attempt; whoever waits for one ends."""
        self.closed = True
        for scope in tuple(self._resting):
            scope.cancel()
        for guard in self.guards:
            guard.entrance.close()


class View:
    """What an order may ask about a candidate, at one moment and for one request."""

    __slots__ = ("_embedding", "_fleet", "_input", "_now", "_output")

    def __init__(self, fleet: Fleet, now: float, request: Asked) -> None:
        self._fleet = fleet
        self._now = now
        self._embedding = isinstance(request, EmbeddingRequest)
        self._output = 0 if isinstance(request, EmbeddingRequest) else request.max_tokens
        self._input = 0

    def load(self, choice: Choice) -> float:
        """Calls in flight as a share of the limit, or their number where there is none."""
        guard = self._fleet.guards[choice.index]
        busy = guard.entrance.in_flight + guard.entrance.waiting
        limit = guard.routing.max_in_flight
        return busy / limit if limit else float(busy)

    def delay(self, choice: Choice) -> float | None:
        """Peak-EWMA of the seconds to the first token or answer."""
        line = self._fleet.guards[choice.index].line(choice.model, embedding=self._embedding)
        return line.pulse.delay(self._now)

    def price(self, choice: Choice) -> Decimal | None:
        """Dollars for a thousand tokens in and the expected number out; None where the price is not known."""
        output = round(self._fleet.mean_output) if self._output is None else self._output
        return self._fleet.guards[choice.index].cost(choice.model, Usage(1000, output))
