"""ProviderManager: many providers as one. Here is the one loop; what it decides by is in plan, order and models.

Rules: one deadline over all attempts; a stream is committed at its first visible delta; the happy failover does not
sleep; an error is read by its facts, never by its text; cancellation passes through and leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Sequence
from random import Random
from typing import TypeVar

import anyio
from attrs import evolve

from llmcore.check import as_embedding_request, as_generation_request
from llmcore.clock import Clock, SystemClock
from llmcore.config import FallbackConfig, Timeouts
from llmcore.errors import AllProvidersFailed, ConfigurationError, ProviderError, RateLimitError, TotalTimeout
from llmcore.manager.guard import Guard
from llmcore.manager.log import note
from llmcore.manager.models import Choice, choices
from llmcore.manager.order import order_for
from llmcore.manager.plan import Policy, Setback, Step, plan
from llmcore.manager.stream import ManagedStream
from llmcore.manager.trail import Trail
from llmcore.meter import Meter
from llmcore.provider import EventStream, LlmProvider
from llmcore.types import (
    EmbeddingInput,
    EmbeddingRequest,
    EmbeddingResponse,
    GenerationInput,
    GenerationRequest,
    GenerationResponse,
    ModelInfo,
    ProviderStats,
)

T = TypeVar("T")
R = TypeVar("R", GenerationResponse, EmbeddingResponse)
Q = TypeVar("Q", GenerationRequest, EmbeddingRequest)

MAX_ATTEMPTS = 12
MAX_REMEMBERED = 1024


class ProviderManager:
    """An LlmProvider over many: chooses, retries, fails over, and says on every response who was tried.

    clock and random are taken from outside, so that tests own time and chance.
    """

    def __init__(
        self,
        providers: Sequence[LlmProvider],
        fallback: FallbackConfig | None = None,
        *,
        name: str = "manager",
        timeouts: Timeouts | None = None,
        clock: Clock | None = None,
        random: Random | None = None,
    ) -> None:
        if not providers:
            raise ConfigurationError("providers: a manager needs at least one")
        names = [provider.name for provider in providers]
        if doubles := sorted({name for name in names if names.count(name) > 1}):
            raise ConfigurationError(*(f"providers: the name {name!r} is given twice" for name in doubles))
        self._name = name
        self._names = names
        self._fallback = fallback or FallbackConfig()
        self._timeouts = timeouts or Timeouts()
        self.clock: Clock = clock or SystemClock()
        self._random = random or Random()  # noqa: S311 - jitter, not secrets
        self._guards = [
            Guard(provider, self.clock, pool_timeout=self._timeouts.pool) for provider in providers
        ]
        self._order = order_for(self._fallback.strategy, names, self._known(self._fallback.fallbacks))
        self._arranged: dict[str | None, tuple[Choice, ...]] = {}
        self.meter: Meter = Meter()

    @property
    def name(self) -> str:
        return self._name

    @property
    def provider_type(self) -> str:
        return "manager"

    @property
    def providers(self) -> tuple[LlmProvider, ...]:
        """The providers in configured order."""
        return tuple(guard.provider for guard in self._guards)

    def __repr__(self) -> str:
        return f"<ProviderManager {self._name}: {self._fallback.strategy} over {', '.join(self._names)}>"

    async def generate(self, request: GenerationInput, /) -> GenerationResponse:
        """One whole answer from the first provider that gives one. Raises ProviderError or AllProvidersFailed."""
        asked = as_generation_request(request)
        return await self._whole(asked, lambda guard, named: guard.generate(named))

    def stream(self, request: GenerationInput, /) -> EventStream:
        """One answer while it is written; other providers may step in until its first visible delta."""
        return EventStream(ManagedStream(self, as_generation_request(request)))

    async def embed(self, request: EmbeddingInput, /) -> EmbeddingResponse:
        """One vector per text, all by the same provider. Raises ProviderError or AllProvidersFailed."""
        asked = as_embedding_request(request)
        return await self._whole(asked, lambda guard, named: guard.embed(named))

    async def list_models(self) -> Sequence[ModelInfo]:
        """The models of every provider that answers. Raises AllProvidersFailed where none does."""
        found: list[Sequence[ModelInfo]] = [()] * len(self._guards)
        failures: list[ProviderError] = []

        async def ask(index: int) -> None:
            guard = self._guards[index]
            try:
                models = await guard.list_models()
            except ProviderError as error:
                failures.append(error)
                note("llm.models_failed", provider=guard.name, outcome=error.outcome, status=error.status)
            else:
                found[index] = tuple(evolve(model, provider=model.provider or guard.name) for model in models)

        async with anyio.create_task_group() as group:
            for index in range(len(self._guards)):
                group.start_soon(ask, index)
        if len(failures) == len(self._guards):
            raise AllProvidersFailed("no provider lists its models", failures, provider=self._name)
        return tuple(model for models in found for model in models)

    def stats(self) -> ProviderStats:
        """The calls made here, and every provider's own figures as `children`."""
        return self.meter.stats(self._name, children=tuple(guard.stats() for guard in self._guards))

    async def aclose(self) -> None:
        for guard in self._guards:
            await guard.aclose()

    # -------------------------------------------------------------------------------------- the one loop

    async def call(
        self, request: Q, trail: Trail, attempt: Callable[[Guard, Q], Awaitable[T]], ends: float
    ) -> T:
        """`attempt` on one candidate after the other, as the plan says, until one succeeds. Notes all on `trail`."""
        chosen = self._candidates(request.model)
        steps = plan(
            range(len(chosen)),
            self._policy(len(chosen)),
            self._random,
            lambda left: self._pick(chosen, left, ends),
        )
        step = next(steps, None)
        while step is not None:
            if step.wait:
                await self.clock.sleep(step.wait)
            choice = chosen[step.target]
            guard = self._guards[choice.index]
            now = self.clock.now()
            trail.begin(guard.name, choice.model, now, step.wait)
            try:
                return await attempt(guard, _named(request, choice.model, ends - now))
            except ProviderError as error:
                now = self.clock.now()
                trail.failed(error, now)
                step = self._after(steps, step, Setback(error, ends - now), guard.name)
        raise trail.final(self._name) if trail.errors else self._all_resting(chosen)

    def _after(
        self, steps: Generator[Step, Setback, None], step: Step, setback: Setback, name: str
    ) -> Step | None:
        """The next step after a setback, told to whoever listens."""
        error = setback.error
        try:
            following = steps.send(setback)
        except StopIteration:
            note("llm.failed", provider=name, outcome=error.outcome, status=error.status)
            return None
        if error.maybe_billed:
            self.meter.maybe_charged_twice()
        what = "llm.retry" if following.target == step.target else "llm.failover"
        note(what, provider=name, outcome=error.outcome, status=error.status, wait_s=following.wait or None)
        return following

    def limit(self, deadline: float | None) -> float:
        """Seconds that a call may take, all attempts and waits included."""
        return self._timeouts.total if deadline is None else min(deadline, self._timeouts.total)

    def too_late(self, trail: Trail, limit: float) -> TotalTimeout:
        """The deadline has cut the call short."""
        error = TotalTimeout(f"no answer within {limit:g} s", provider=self._name)
        error.attempts = trail.cut(error.outcome, self.clock.now())
        return error

    async def _whole(self, request: Q, attempt: Callable[[Guard, Q], Awaitable[R]]) -> R:
        began = self.clock.now()
        limit = self.limit(request.deadline)
        trail = Trail(began)
        self.meter.started()
        try:
            with anyio.move_on_after(limit):
                response = await self.call(request, trail, attempt, began + limit)
                return self._answered(response, trail)
            raise self.too_late(trail, limit)
        except ProviderError as error:
            self.meter.failed(error)
            raise
        except BaseException as exc:
            self.meter.broke_off(exc)
            raise

    def _answered(self, response: R, trail: Trail) -> R:
        now = self.clock.now()
        self.meter.succeeded(now - trail.began, response.usage)
        attempts = trail.succeeded(response.attempts, now)
        return response if attempts is response.attempts else evolve(response, attempts=attempts)

    # ---------------------------------------------------------------------------------- who, and how often

    def _candidates(self, model: str | None) -> Sequence[Choice]:
        arranged = self._arranged.get(model)
        if arranged is None:
            arranged = self._order.arrange(
                choices(model, self._names, [guard.routing for guard in self._guards])
            )
            if len(self._arranged) < MAX_REMEMBERED:
                self._arranged[model] = arranged
        ranked = self._order(arranged)
        return ranked if self._fallback.enabled else ranked[:1]

    def _policy(self, candidates: int) -> Policy:
        fallback = self._fallback
        attempts = fallback.max_attempts or min(MAX_ATTEMPTS, candidates * (1 + fallback.retries))
        base = None if fallback.retry_delay_ms is None else fallback.retry_delay_ms / 1000
        return Policy(
            fallback.retries,
            attempts,
            base,
            fallback.max_delay_ms / 1000,
            fallback.max_retry_after,
            fallback.prefer_failover_after,
            fallback.retry_after_send,
        )

    def _pick(self, chosen: Sequence[Choice], left: list[int], ends: float) -> Step | None:
        """The first that may be asked now, rather one with a free slot; else whoever's rest ends first, if in time."""
        now = self.clock.now()
        ready: int | None = None
        for target in left:
            guard = self._guards[chosen[target].index]
            if guard.rests_until <= now:
                if guard.has_room:
                    return Step(target)
                ready = target if ready is None else ready
        if ready is not None:
            return Step(ready)
        soonest = min(left, key=lambda target: self._guards[chosen[target].index].rests_until)
        wait = self._guards[chosen[soonest].index].rests_until - now
        return Step(soonest, wait) if wait < min(self._fallback.max_retry_after, ends - now) else None

    def _all_resting(self, chosen: Sequence[Choice]) -> AllProvidersFailed:
        now = self.clock.now()
        errors = [
            RateLimitError(
                "not asked: it wants to be left alone for now",
                provider=self._guards[choice.index].name,
                model=choice.model,
                retry_after=max(0.0, self._guards[choice.index].rests_until - now),
            )
            for choice in chosen
        ]
        soonest = min(error.retry_after or 0.0 for error in errors)
        return AllProvidersFailed(
            "no provider may be asked yet", errors, provider=self._name, retry_after=soonest
        )

    def _known(self, fallbacks: Sequence[str]) -> Sequence[str]:
        if unknown := [name for name in fallbacks if name not in self._names]:
            raise ConfigurationError(
                *(f"fallback.fallbacks: there is no provider {name!r}" for name in unknown)
            )
        return fallbacks


def _named(request: Q, model: str | None, remaining: float) -> Q:
    """The request as this candidate shall get it: its own name for the model, and what is left of the deadline."""
    if request.deadline is not None:
        return evolve(request, model=model, deadline=remaining)
    return request if request.model == model else evolve(request, model=model)
