"""ProviderManager: many providers as one. The one loop is in call; what it decides by is in plan, order and candidates.

Rules: one deadline over all attempts; a stream is committed at its first visible delta; the happy failover does not
sleep; an error is read by its facts, never by its text; cancellation passes through and leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Iterable, Iterator, Sequence
from copy import copy
from random import Random
from typing import Any, TypeVar
from weakref import WeakSet

import anyio
from attrs import evolve, frozen

from llmcore.check import as_embedding_request, as_generation_request
from llmcore.clock import Alarming, Clock, SystemClock
from llmcore.config import FallbackConfig, Timeouts
from llmcore.errors import AllProvidersFailed, ConfigurationError, ProviderError, StreamInterruptedError
from llmcore.group import Group
from llmcore.manager.budget import Budget
from llmcore.manager.call import CLEANUP_S, Call
from llmcore.manager.explain import Explanation, explained
from llmcore.manager.fleet import Asked, Fleet
from llmcore.manager.guard import Guard, Line, Visit
from llmcore.manager.lane import Won
from llmcore.manager.ledger import Ledger
from llmcore.manager.log import note
from llmcore.manager.models import Choice
from llmcore.manager.sticky import Sticky
from llmcore.manager.stream import ManagedStream
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
    RequestWarning,
    Usage,
)

R = TypeVar("R", GenerationResponse, EmbeddingResponse)
Q = TypeVar("Q", GenerationRequest, EmbeddingRequest)

DRAIN_S = 30.0
ADVISED = "advised_against"
EMBEDDING_PATIENCE = 3.0  # times patience: a batch shows nothing before it is whole


@frozen
class Rebuilt:
    """What a new configuration amounts to; providers that did not change are the same objects as before.

    settle: told whether it was taken (True) or turned out not to work, and then nothing of it is kept.
    """

    providers: Sequence[LlmProvider]
    fallback: FallbackConfig
    timeouts: Timeouts
    settle: Callable[[bool], None] = lambda _taken: None


Rebuild = Callable[[Any], Awaitable[Rebuilt]]


class ProviderManager:
    """An LlmProvider over many: chooses, retries, fails over, and says on every response who was tried.

    clock and random are taken from outside, so that tests own time and chance. rebuild: how `reload` turns a
    configuration into providers; `llmcore.create_manager` hands it in.
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
        rebuild: Rebuild | None = None,
    ) -> None:
        self._name = name
        self.clock: Clock = clock or SystemClock()
        self.random: Random = random or Random()  # noqa: S311 - jitter, not secrets
        self.meter: Meter = Meter()
        self.ledger: Ledger = Ledger()
        self._set_alarm = self.clock.alarm if isinstance(self.clock, Alarming) else None
        self._sticky = Sticky()
        self._rebuild = rebuild
        self._reloading = anyio.Lock()
        self._retired: list[LlmProvider] = []
        self._leaving: list[Fleet] = []
        self._closed = False
        self._sharing: WeakSet[ProviderManager] = WeakSet()
        self.fleet: Fleet = self._assembled(
            Rebuilt(providers, fallback or FallbackConfig(), timeouts or Timeouts()), ()
        )
        self.budget: Budget = Budget(self.fleet.fallback.budget)

    @property
    def name(self) -> str:
        return self._name

    @property
    def provider_type(self) -> str:
        return "manager"

    @property
    def providers(self) -> tuple[LlmProvider, ...]:
        """The providers in configured order."""
        return tuple(guard.provider for guard in self.fleet.guards)

    def __repr__(self) -> str:
        fleet = self.fleet
        return f"<ProviderManager {self._name}: {fleet.fallback.strategy} over {', '.join(fleet.names)}>"

    # ------------------------------------------------------------------------------- the contract

    async def generate(self, request: GenerationInput, /) -> GenerationResponse:
        """One whole answer from the first provider that gives one. Raises ProviderError or AllProvidersFailed."""
        self._check_open()
        asked = as_generation_request(request)
        fallback = self.fleet.fallback
        if fallback.generate_by_stream:
            follows = "restart" if fallback.mid_stream == "fail" else fallback.mid_stream
            try:
                return await EventStream(ManagedStream(self, asked, follows)).collect()
            except StreamInterruptedError as error:
                error.visible_output, error.failover = False, True  # nobody has seen anything of it
                raise
        return await self._whole(asked, _generate)

    def stream(self, request: GenerationInput, /) -> EventStream:
        """One answer while it is written; other providers may step in until its first visible delta.

        After it, `mid_stream` of the fallback configuration decides.
        """
        self._check_open()
        return EventStream(ManagedStream(self, as_generation_request(request)))

    async def embed(self, request: EmbeddingInput, /) -> EmbeddingResponse:
        """One vector per text, all by the same provider. Raises ProviderError or AllProvidersFailed."""
        self._check_open()
        return await self._whole(as_embedding_request(request), _embed)

    async def list_models(self) -> Sequence[ModelInfo]:
        """The models of every provider that answers. Raises AllProvidersFailed where none does."""
        self._check_open()
        fleet = self.fleet
        guards = fleet.guards
        found: list[Sequence[ModelInfo]] = [()] * len(guards)
        failures: list[ProviderError] = []

        async def ask(index: int) -> None:
            guard = guards[index]
            try:
                models = await guard.list_models()
            except ProviderError as error:
                failures.append(error)
                note("llm.models_failed", provider=guard.name, outcome=error.outcome, status=error.status)
            else:
                found[index] = tuple(evolve(model, provider=model.provider or guard.name) for model in models)

        async with anyio.create_task_group() as group:
            for index in range(len(guards)):
                group.start_soon(ask, index)
        fleet.selective = fleet.selective or any(guard.selective for guard in guards)
        if len(failures) == len(guards):
            raise AllProvidersFailed("no provider lists its models", failures, provider=self._name)
        return tuple(model for models in found for model in models)

    def stats(self) -> ProviderStats:
        """The calls made here, and every provider's own figures as `children`."""
        state = "closed" if self._closed else "ok"
        children = tuple(guard.stats() for guard in self.fleet.guards)
        return self.meter.stats(self._name, state=state, children=children)

    async def aclose(self) -> None:
        """Close every provider and take no call any more. Calls that are under way end with an error; none begins anew."""
        for one in (self, *self._sharing):
            one._closed = True
        for fleet in (self.fleet, *self._leaving):
            fleet.close()
        retired, self._retired = self._retired, []
        for provider in (*retired, *self.providers):
            await provider.aclose()

    # ----------------------------------------------------------------------------- what operators do

    def explain(self, request: GenerationInput | EmbeddingRequest, /) -> Explanation:
        """Who would be asked for this request, in which order, who not and why. Sends nothing, changes nothing."""
        asked = request if isinstance(request, EmbeddingRequest) else as_generation_request(request)
        return explained(self, asked)

    def isolate(self, provider: str, model: str | None = None) -> None:
        """Ask this provider (or only this model of it) no more, until `reset`. Raises ConfigurationError."""
        self._guard(provider).isolate(model)

    def reset(self, provider: str, model: str | None = None) -> None:
        """Forget every failure of this provider: breakers closed, keys usable. Raises ConfigurationError."""
        self._guard(provider).reset(model)

    def advise(self, provider: str, until: float, *, model: str | None = None, reason: str = ADVISED) -> None:
        """Ask this provider (its default model's family, or that of `model`) after all others until then, by `clock`.

        It ends early when the provider answers, and keeps nobody from being asked where there is no other. reason: a word
        for programs, shown by `explain` and on `skipped`. Raises ConfigurationError for a provider that is not there.
        """
        self._guard(provider).advise(model, until, reason)

    def stays(self, session: Hashable) -> str | None:
        """The provider that a session (`metadata["session"]`) stays with; None for one that is new or forgotten."""
        return self._sticky.get(session)

    def stay(self, session: Hashable, provider: str) -> None:
        """Ask `provider` first for this session from now on; `on_stay` is not called. A name that nobody has means nothing."""
        self._sticky.keep(session, provider)

    def on_stay(self, told: Callable[[Hashable, str], None] | None) -> None:
        """Call `told(session, provider)` with who has answered each call that names a session; it must not block or raise."""
        self._sticky.told = told

    def sharing(self) -> ProviderManager:
        """The same providers and all that is known of them, with a retry budget of its own. Reloads and closing count there too."""
        other = copy(self)
        other.budget = Budget(self.fleet.fallback.budget)
        self._sharing.add(other)
        return other

    async def reload(self, source: object, /, *, drain: float = DRAIN_S) -> None:
        """Swap to another configuration (path, TOML text, mapping or LlmConfig) at once; calls that run go on as they began.

        Providers that did not change keep their connections, breakers and limits. Returns when the calls of the old
        configuration have ended, or after `drain` seconds; then what is not used any more is closed. Raises
        ConfigurationError with every complaint; nothing has changed then.
        """
        if self._rebuild is None:
            raise ConfigurationError(
                "this manager was made by hand; only one made from a configuration can reload"
            )
        async with self._reloading:
            self._check_reloadable()
            rebuilt = await self._rebuild(source)
            old = self.fleet
            try:
                self._check_reloadable()
                new = self._assembled(rebuilt, old.guards)
            except ConfigurationError:
                rebuilt.settle(False)
                raise
            rebuilt.settle(True)
            for one in (self, *self._sharing):
                one.fleet = new
                if new.fallback.budget != old.fallback.budget:
                    one.budget = Budget(new.fallback.budget)
            kept = {id(provider) for provider in rebuilt.providers}
            gone = [guard.provider for guard in old.guards if id(guard.provider) not in kept]
            self._retired += gone
            leaving = self._leaving = [fleet for fleet in (*self._leaving, old) if fleet.busy]
            note("llm.reloaded", providers=len(new.names), gone=len(gone) or None)
        with anyio.move_on_after(drain):
            for fleet in leaving:  # also those before the last: what is gone now may still serve their calls
                await fleet.drained()
        with anyio.CancelScope(shield=True), anyio.move_on_after(CLEANUP_S):
            for provider in gone:
                if provider in self._retired:
                    self._retired.remove(provider)
                    await provider.aclose()

    # ------------------------------------------------------------------------ what calls share

    def ranked(self, fleet: Fleet, ranked: Iterable[Choice], session: Hashable | None) -> Iterable[Choice]:
        """The candidates in the order of asking; a session's own provider first."""
        name = None if session is None else self._sticky.get(session)
        return ranked if name is None else _first(fleet.names, name, ranked)

    def patience(self, fleet: Fleet, request: Asked, line: Line | None) -> float | None:
        """Seconds that a candidate may show nothing before another one is asked beside it; None where that is off."""
        fallback = fleet.fallback
        if isinstance(request, EmbeddingRequest):
            floor = EMBEDDING_PATIENCE * fallback.patience
        else:
            floor = fallback.reasoning_patience if _reasons(request) else fallback.patience
        if not floor:
            return None
        usual = None if line is None else line.pulse.p95()
        return floor if usual is None else max(floor, 3 * usual)

    def alarm(self, group: Group | None, seconds: float, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback` after `seconds`; what is returned stops that."""
        if self._set_alarm is not None and (stop := self._set_alarm(seconds, callback)) is not None:
            return stop
        assert group is not None
        scope = anyio.CancelScope()

        async def wait() -> None:
            with scope:
                await self.clock.sleep(seconds)
                callback()

        group.start_soon(wait)
        return scope.cancel

    def refusal(self) -> ProviderError:
        """What a call ends with that finds the manager closed."""
        error = ProviderError("the manager is closed", provider=self._name, phase="encode")
        error.failover = True  # to others, where this one stands among them
        return error

    def answered(self, call: Call[Q, Any], won: Won[Any], usage: Usage, now: float) -> None:
        """A call has its answer."""
        fleet = call.fleet
        self.meter.succeeded(now - call.began, usage)
        fleet.answered(usage.output_tokens)
        call.settle(won, now)
        if call.session is not None:
            self._stick(fleet, call.session, won, embedding=isinstance(call.request, EmbeddingRequest))

    # ---------------------------------------------------------------------------------- in here

    def _check_open(self) -> None:
        if self._closed:
            raise self.refusal()

    def _check_reloadable(self) -> None:
        if self._closed:
            raise ConfigurationError("this manager is closed; make another one")

    async def _whole(self, request: Q, ask: Callable[[Visit, Q], Awaitable[R]]) -> R:
        fleet = self.fleet
        fleet.enter()
        self.meter.started()
        call: Call[Q, R] | None = None
        try:
            call = Call(self, fleet, request, ask)
            return self._settled(call, await call.run())
        except ProviderError as error:
            self.meter.failed(error)
            raise
        except BaseException as exc:
            self.meter.broke_off(exc)
            raise
        finally:
            fleet.leave()
            if call is not None:
                self.ledger.add(call.trail.attempts)

    def _settled(self, call: Call[Q, R], won: Won[R]) -> R:
        now = self.clock.now()
        response: R = won.result
        won.visit.end(None, now, response.usage.total_tokens)
        call.trail.succeeded(won.entry, response.attempts, now)
        self.answered(call, won, response.usage, now)
        attempts, skipped = call.trail.attempts, (*call.trail.skipped, *response.skipped)
        flags: tuple[RequestWarning, ...] = call.flags(won)
        if flags:
            response = evolve(response, warnings=(*response.warnings, *flags))
        if attempts is response.attempts and not skipped:
            return response
        return evolve(response, attempts=attempts, skipped=skipped)

    def _stick(self, fleet: Fleet, session: Hashable, won: Won[Any], *, embedding: bool) -> None:
        """Keep a session where it is, unless its provider is gone or left alone by its breaker."""
        kept = self._sticky.get(session)
        if kept is not None and kept in fleet.names and kept != won.candidate.guard.name:
            line = fleet.guards[fleet.names.index(kept)].line(won.candidate.choice.model, embedding=embedding)
            if line.breaker.state == "closed":
                return
        self._sticky.stayed(session, won.candidate.guard.name)

    def _assembled(self, rebuilt: Rebuilt, old: Sequence[Guard]) -> Fleet:
        """A fleet in which unchanged providers keep their guards."""
        fallback, timeouts = rebuilt.fallback, rebuilt.timeouts
        kept = {id(guard.provider): guard for guard in old if guard.suits(fallback, timeouts.pool)}
        guards = [
            kept.get(id(provider))
            or Guard(provider, self.clock, self.random, fallback=fallback, pool_timeout=timeouts.pool)
            for provider in rebuilt.providers
        ]
        return Fleet(guards, fallback, timeouts, self.random)

    def _guard(self, name: str) -> Guard:
        fleet = self.fleet
        if name not in fleet.names:
            raise ConfigurationError(f"there is no provider {name!r}; there are {', '.join(fleet.names)}")
        return fleet.guards[fleet.names.index(name)]


def _generate(visit: Visit, request: GenerationRequest) -> Awaitable[GenerationResponse]:
    return visit.provider.generate(request)


def _embed(visit: Visit, request: EmbeddingRequest) -> Awaitable[EmbeddingResponse]:
    return visit.provider.embed(request)


def _first(names: Sequence[str], name: str, ranked: Iterable[Choice]) -> Iterator[Choice]:
    """The same choices, with those of provider `name` before the others."""
    rest: list[Choice] = []
    for choice in ranked:
        if names[choice.index] == name:
            yield choice
        else:
            rest.append(choice)
    yield from rest


def _reasons(request: GenerationRequest) -> bool:
    reasoning = request.reasoning
    return reasoning is not None and reasoning.effort != "none" and reasoning.budget_tokens != 0
