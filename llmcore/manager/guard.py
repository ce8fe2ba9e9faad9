"""Guard: one provider behind its gates. What surrounds one attempt is a `Visit`, held until the answer, or stream, ends."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from random import Random
from typing import Protocol, runtime_checkable

from attrs import evolve, frozen

from llmcore.clock import Clock
from llmcore.config import FallbackConfig, Routing
from llmcore.errors import (
    AuthenticationError,
    ModelNotFoundError,
    OverloadedError,
    PermissionDeniedError,
    ProviderError,
    QuotaExhaustedError,
)
from llmcore.manager.breaker import Breaker, Permit
from llmcore.manager.entrance import Entrance, Pass
from llmcore.manager.log import note
from llmcore.manager.pulse import Pulse
from llmcore.manager.standing import Standing
from llmcore.pace import family
from llmcore.provider import LlmProvider, Priced, Seat, Seated
from llmcore.types import ModelInfo, ProviderStats, Usage

MAX_LINES = 1024
QUARTER = 900.0
FIVE_MINUTES = 300.0
ABOVE_USUAL = 1.1  # so that a percentile that wavers still hedges no more than its share


@runtime_checkable
class Routed(Protocol):
    """A provider that says how it wants to be chosen."""

    @property
    def routing(self) -> Routing: ...


class Line:
    """One provider's model family: its breaker, its pulse, and until when it is asked only if nobody else can be."""

    __slots__ = ("aside_until", "aside_why", "breaker", "family", "pulse", "standing")

    def __init__(self, name: str, breaker: Breaker) -> None:
        self.family: str = name
        self.breaker: Breaker = breaker
        self.pulse: Pulse = Pulse()
        self.standing: Standing = Standing()
        self.aside_until: float = 0.0
        self.aside_why: str = ""


@frozen
class Readiness:
    """Whether a candidate may be asked. at: the instant from which (inf: not by itself); reason and detail where that is
    not now; aside: it may, but rather somebody else.
    """

    at: float = 0.0
    reason: str = ""
    detail: str = ""
    aside: bool = False


READY = Readiness()


class Guard:
    """One provider with its entrance (slots, keys, pace) and, per model family, its breaker and pulse."""

    def __init__(
        self,
        provider: LlmProvider,
        clock: Clock,
        random: Random,
        *,
        fallback: FallbackConfig,
        pool_timeout: float = 10.0,
    ) -> None:
        self.provider = provider
        self.name: str = provider.name
        self.routing: Routing = provider.routing if isinstance(provider, Routed) else Routing()
        self.models: dict[str, ModelInfo] = {}
        self._clock = clock
        self._random = random
        self._config = fallback.breaker
        self._made_for = (fallback.breaker, fallback.max_queue, fallback.pace, pool_timeout)
        self._priced = provider if isinstance(provider, Priced) else None
        seats: Sequence[Seat] = provider.seats if isinstance(provider, Seated) else ()
        self.entrance: Entrance = Entrance(
            self.name,
            seats or (Seat(None, 1.0, provider),),
            self.routing,
            clock,
            random,
            max_queue=fallback.max_queue,
            pace=fallback.pace,
            patience=pool_timeout,
            told=self._told,
        )
        self._single_key = len(seats) < 2
        self._lines: dict[str, Line] = {}
        self._isolated = False

    @property
    def lines(self) -> dict[str, Line]:
        """The model families that were asked so far."""
        return self._lines

    @property
    def selective(self) -> bool:
        """Whether it is known of some requests that they cannot be taken here."""
        routing = self.routing
        told = (routing.capabilities, routing.context_window, routing.max_output_tokens)
        return bool(self.models) or any(one is not None for one in told)

    @property
    def in_flight(self) -> int:
        return self.entrance.in_flight

    def __repr__(self) -> str:
        return f"<Guard {self.name}: {self.in_flight} in flight>"

    def suits(self, fallback: FallbackConfig, pool_timeout: float) -> bool:
        """Whether a guard for these policies would be no different."""
        return self._made_for == (fallback.breaker, fallback.max_queue, fallback.pace, pool_timeout)

    def line(self, model: str | None, *, embedding: bool = False) -> Line:
        """What is known of the family of `model`, our name or the vendor's; None is the provider's default."""
        routing = self.routing
        if model is None:
            model = routing.embedding_model if embedding else routing.text_model
        else:
            model = routing.models.get(model, model)
        name = family(model)
        line = self._lines.get(name)
        if line is None:
            if len(self._lines) >= MAX_LINES:  # the least recently made; names come from callers
                self._lines.pop(next(iter(self._lines)))
            breaker = Breaker(
                self._config,
                self._random,
                lambda old, new: self._told(f"llm.breaker_{new}", family=name or None, was=old),
            )
            line = self._lines[name] = Line(name, breaker)
            if self._isolated:
                breaker.isolate()
        return line

    def readiness(self, line: Line, now: float, *, sole: bool) -> Readiness:
        """Whether this line may be asked now. sole: there is nobody else, so its breaker only records."""
        breaker = line.breaker
        if not breaker.admits(now):
            if breaker.state == "isolated":
                return Readiness(float("inf"), "isolated", "isolated by hand")
            if not sole or self._config.block_sole:
                return self._open(breaker, now)
        at = self.entrance.ready_at(line.family, now)
        if at > now:
            if self.entrance.all_disabled(now, line.family):
                return Readiness(at, "no_usable_key", "every key has been refused")
            return Readiness(at, "resting", f"wants to be left alone for {at - now:.3g} s more")
        if line.aside_until > now:
            left = line.aside_until - now
            return Readiness(
                0.0, line.aside_why, f"set aside for {left:.3g} s more ({line.aside_why})", aside=True
            )
        return READY

    async def enter(
        self,
        line: Line,
        now: float,
        ends: float,
        *,
        tokens: int = 0,
        forced: bool = False,
        panic: bool = False,
        avoid: frozenset[str | None] = frozenset(),
    ) -> Visit:
        """Breaker, slot, key and rate, in this order.

        Raises OverloadedError (left alone by its breaker), PoolTimeout, RateLimitError or NoUsableKeyError; then nothing
        was sent.
        """
        breaker = line.breaker
        past = forced and breaker.state != "isolated" and (not panic or breaker.panic(now))
        if not past and not breaker.admits(now):
            raise self._left_alone(breaker, now)
        permit = breaker.enter(now, forced=forced, panic=panic)
        try:
            passed = self.entrance.try_enter(line.family, tokens, now, avoid=avoid)
            if passed is None:
                passed = await self.entrance.enter(line.family, tokens, ends, avoid=avoid)
                now = self._clock.now()
                if breaker.state == "isolated" or not (past or breaker.still_admits(permit)):
                    self.entrance.leave(passed, now)
                    raise self._left_alone(breaker, now)
        except BaseException:
            breaker.release(permit)
            raise
        return Visit(self, line, passed, permit, now)

    def learn(self, line: Line, error: ProviderError | None, now: float) -> None:
        """Faults of the key or the model that repeating will not mend set the line aside for a while; a success ends it."""
        if error is None:
            line.aside_until = 0.0
            return
        seconds = 0.0
        if isinstance(error, ModelNotFoundError) or (
            self._single_key and isinstance(error, PermissionDeniedError)
        ):
            seconds = FIVE_MINUTES
        elif self._single_key and isinstance(error, (AuthenticationError, QuotaExhaustedError)):
            seconds = error.retry_after or QUARTER
        if seconds:
            line.aside_until, line.aside_why = now + seconds, error.outcome

    def advise(self, model: str | None, until: float, reason: str) -> None:
        """Set the model's line aside until then; where our own breaker or a longer rest says more already, that holds."""
        line = self.line(model)
        if line.aside_until < until and line.breaker.state == "closed":
            line.aside_until, line.aside_why = until, reason

    def cost(self, model: str | None, usage: Usage) -> Decimal | None:
        """What `usage` of `model` (our name or the vendor's) would cost; None where nobody knows."""
        if self._priced is None:
            return None
        routing = self.routing
        name = routing.text_model if model is None else routing.models.get(model, model)
        return self._priced.cost(name, usage)

    def info(self, model: str | None, *, embedding: bool = False) -> ModelInfo | None:
        """What the vendor listed of the model, where `list_models` has been asked before."""
        if not self.models:
            return None
        routing = self.routing
        default = routing.embedding_model if embedding else routing.text_model
        name = default if model is None else routing.models.get(model, model)
        return None if name is None else self.models.get(name)

    async def list_models(self) -> Sequence[ModelInfo]:
        """The provider's models; what they say of windows and capabilities is remembered."""
        models = await self.provider.list_models()
        self.models = {model.id: model for model in models}
        return models

    def isolate(self, model: str | None = None) -> None:
        """Let nobody in, until `reset`; to one model's family, or to any."""
        self._isolated = self._isolated or model is None
        for line in self._meant(model):
            line.breaker.isolate()

    def reset(self, model: str | None = None) -> None:
        """Forget every failure: breakers closed, keys usable."""
        self._isolated = self._isolated and model is not None
        for line in self._meant(model):
            line.breaker.reset()
            line.aside_until = 0.0
        self.entrance.reset()

    def stats(self) -> ProviderStats:
        """The provider's figures; `state` is "ok" or the worst of its breakers'."""
        stats = self.provider.stats()
        states = {line.breaker.state for line in self._lines.values()}
        worst = next((state for state in ("isolated", "open", "half_open") if state in states), None)
        return evolve(stats, state=worst) if worst is not None and stats.state == "ok" else stats

    async def aclose(self) -> None:
        await self.provider.aclose()

    def _left_alone(self, breaker: Breaker, now: float) -> OverloadedError:
        at = breaker.opens_at
        wait = None if at == float("inf") else max(0.0, at - now)
        return OverloadedError("left alone by its breaker", provider=self.name, retry_after=wait)

    def _open(self, breaker: Breaker, now: float) -> Readiness:
        if breaker.opens_at > now:
            left = breaker.opens_at - now
            return Readiness(
                breaker.opens_at, "breaker_open", f"failed too often; left alone for {left:.3g} s more"
            )
        return Readiness(float("inf"), "breaker_half_open", "being tried out by another call")

    def _meant(self, model: str | None) -> list[Line]:
        if model is not None:
            return [self.line(model)]
        return [self.line(None), *(line for line in self._lines.values() if line is not self.line(None))]

    def _told(self, event: str, **facts: object) -> None:
        note(event, provider=self.name, **facts)


class Visit:
    """One attempt inside the gates: a slot, a key and the breaker's permit, given back exactly once by `end`."""

    __slots__ = ("_beat", "_guard", "_open", "_permit", "line", "passed", "seat", "started")

    def __init__(self, guard: Guard, line: Line, passed: Pass, permit: Permit, now: float) -> None:
        self._guard = guard
        self._permit = permit
        self._open = True
        self.line: Line = line
        self.passed: Pass = passed
        self.seat: Seat = passed.seat
        self.started: float = now
        self._beat = line.pulse.begun(now)
        line.standing.begun()

    @property
    def provider(self) -> LlmProvider:
        """Whom to ask: the provider with the chosen key."""
        return self.seat.provider

    def first(self, now: float) -> None:
        """Something visible has come."""
        self.line.pulse.first(self._beat, now)
        self.line.standing.good(now)

    def end(self, error: ProviderError | None, now: float, used_tokens: int | None = None) -> None:
        """The attempt has succeeded (None) or failed."""
        if self._open:
            self._open = False
            line, guard = self.line, self._guard
            if error is None:
                line.breaker.succeed(self._permit, now)
                line.pulse.first(self._beat, now)
                line.standing.good(now)
            elif error.health:
                line.breaker.fail(self._permit, now)
                line.standing.bad(now)
            else:
                line.breaker.release(self._permit)
            if error is not None or line.aside_until:
                guard.learn(line, error, now)
            guard.entrance.learn(self.passed, error, now)
            self._leave(now, used_tokens)

    def cancel(self, now: float) -> None:
        """The attempt was given up; it says nothing of the provider."""
        if self._open:
            self._open = False
            self.line.breaker.release(self._permit)
            self._leave(now, None)

    def _leave(self, now: float, used_tokens: int | None) -> None:
        self.line.pulse.ended(self._beat, now)
        self.line.standing.ended()
        self._guard.entrance.leave(self.passed, now, used_tokens)


def hedge_delay(fallback: FallbackConfig, line: Line) -> float | None:
    """Seconds after which a second candidate is asked beside this line; None where not, or where its usual is not known."""
    if fallback.hedge_after != "p95":
        return fallback.hedge_after
    usual = line.pulse.p95()
    return None if usual is None else usual * ABOVE_USUAL
