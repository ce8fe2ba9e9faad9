"""The whole manager beside a plain model: any interleaving of calls, outcomes, cancellations, waits and hands on the switches."""

from __future__ import annotations

from copy import copy
from random import Random
from typing import Any, Literal

import anyio
import pytest
from anyio.abc import TaskGroup
from attrs import define, field
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from llmcore import errors
from llmcore.config import BreakerConfig, BudgetConfig, FallbackConfig, Routing, Timeouts
from llmcore.errors import ProviderError
from llmcore.manager import ProviderManager
from llmcore.meter import Meter
from llmcore.provider import EventStream, LlmProvider
from llmcore.testing import Fail, ScriptedProvider, run_simulated
from llmcore.types import (
    Event,
    Finished,
    GenerationRequest,
    GenerationResponse,
    Message,
    ProviderStats,
    TextDelta,
    Usage,
)
from tests.manager.asking import Asking
from tests.manager.reference import Reference, small, widest
from tests.manager.stage import Backend, Stage
from tests.manager.strategies import CLASSES

TICK = 1 / 4096  # before every rule, so that hardly two things fall on the same instant
TOTAL = 40.0


class Even(Random):
    """Chance as the model takes it."""

    def uniform(self, a: float, b: float) -> float:
        return a + widest(b - a)


@define(eq=False)
class Attempted:
    """An attempt as the double saw it. It goes on when told what comes of it."""

    call: int
    target: int
    at: float
    told: anyio.Event = field(factory=anyio.Event)
    verdict: ProviderError | None = None
    ended: bool = False

    async def wait(self) -> None:
        try:
            await self.told.wait()
        except BaseException:
            self.ended = True
            raise
        self.told = anyio.Event()
        if self.verdict is not None:
            self.ended = True
            raise self.verdict


class Puppet:
    """A provider whose every answer is told by the machine."""

    provider_type: str = "puppet"

    def __init__(self, target: int, log: list[Attempted]) -> None:
        self.target = target
        self.name: str = f"p{target}"
        self.routing: Routing = Routing(priority=target)
        self._log = log
        self._meter = Meter()

    def begin(self, request: Any) -> Attempted:
        attempt = Attempted(int(request.messages[0].text), self.target, anyio.current_time())
        self._log.append(attempt)
        return attempt

    async def embed(self, request: Any, /) -> Any:
        raise NotImplementedError

    async def generate(self, request: Any, /) -> GenerationResponse:
        attempt = self.begin(request)
        await attempt.wait()
        attempt.ended = True
        return GenerationResponse(Message.assistant("ok"), "stop", usage=Usage(1, 1), provider=self.name)

    def stream(self, request: Any, /) -> EventStream:
        return EventStream(_Told(self, request))

    def stats(self) -> ProviderStats:
        return self._meter.stats(self.name)

    async def list_models(self) -> Any:
        return ()

    async def aclose(self) -> None:
        return None


class _Told:
    """One stream of a puppet: a word, then the end, each when it is told."""

    def __init__(self, puppet: Puppet, request: GenerationRequest) -> None:
        self._puppet = puppet
        self._request = request
        self._said = False

    async def open(self) -> None:
        self._attempt = self._puppet.begin(self._request)
        assert self._request.deadline is not None
        self._ends = anyio.current_time() + self._request.deadline

    async def next(self) -> Event:
        if not self._said:
            await self._attempt.wait()
            self._said = True
            return TextDelta("word")
        with anyio.move_on_after(self._ends - anyio.current_time()):
            await self._attempt.wait()
            return Finished("stop", None, Usage(1, 1), None, self._puppet.name)
        raise errors.TotalTimeout("the deadline passed")

    async def aclose(self) -> None:
        self._attempt.ended = True


@define(eq=False)
class Client:
    """Whoever made a call, and what came of it."""

    scope: anyio.CancelScope = field(factory=anyio.CancelScope)
    outcome: str | None = None

    async def call(self, manager: ProviderManager, number: int, stream: bool) -> None:
        request = GenerationRequest(str(number))
        with self.scope:
            try:
                if stream:
                    async with manager.stream(request) as events:
                        async for _ in events:
                            pass
                else:
                    await manager.generate(request)
            except ProviderError as error:
                self.outcome = type(error).__name__
            else:
                self.outcome = "success"
        self.outcome = self.outcome or "cancelled"


def _failure(cls: type[ProviderError], wait: float | None) -> ProviderError:
    """An error of that class. The rest that a rate limit asks for is kept by the pace too, which is not in the model."""
    return cls("no", retry_after=None if cls is errors.RateLimitError else wait)


verdicts = st.one_of(
    st.none(),
    st.none(),
    st.builds(
        _failure,
        st.sampled_from(
            [
                *CLASSES,
                errors.ServerError,
                errors.ServerError,
                errors.ConnectionRefused,
                errors.OverloadedError,
                errors.RateLimitError,
            ]
        ),
        st.sampled_from([None, None, 0.0, 0.25, 2.0, 5.0, 30.0, 61.0]),
    ),
)


class ManagerMachine(RuleBasedStateMachine):
    """Invariants 1 to 6, 8, 10 to 12, 16, 18 to 23, 26, 30, 33, 34 and 48, each by being as the model says."""

    stage: Stage | None = None

    @initialize(
        backend=st.sampled_from(["asyncio", "trio"]),
        size=st.integers(1, 3),
        strategy=st.sampled_from(["priority", "round_robin"]),
        retries=st.none() | st.integers(0, 2),
        most=st.none() | st.integers(1, 4),
        mid_stream=st.sampled_from(["fail", "restart"]),
        breaker=st.builds(small, st.integers(1, 3), st.integers(1, 2), st.integers(1, 2)),
        capacity=st.sampled_from([10.0, 20.0, 60.0]),
    )
    def begin(
        self,
        backend: Backend,
        size: int,
        strategy: Literal["priority", "round_robin"],
        retries: int | None,
        most: int | None,
        mid_stream: Literal["fail", "restart"],
        breaker: Any,
        capacity: float,
    ) -> None:
        fallback = FallbackConfig(
            strategy=strategy,
            max_retries=retries,
            max_attempts=most,
            mid_stream=mid_stream,
            breaker=breaker,
            budget=BudgetConfig(True, capacity, 10.0, 1.0, 0.25),
            patience=0,
            reasoning_patience=0,
            pace=False,
        )
        self.log: list[Attempted] = []
        self.clients: list[Client] = []
        self.model = Reference(size, fallback, TOTAL)
        self.stage = Stage(backend)
        self.manager = self.stage.do(self._made(size, fallback))
        self.model.tie = self._tie

    def _made(self, size: int, fallback: FallbackConfig) -> Any:
        async def made(group: TaskGroup) -> ProviderManager:
            puppets: list[LlmProvider] = [Puppet(target, self.log) for target in range(size)]
            return ProviderManager(puppets, fallback, timeouts=Timeouts(total=TOTAL), random=Even())

        return made

    def _tie(self, call: Asking) -> int:
        """Of several that wait for the same instant, whoever was really first goes first."""
        seen = [place for place, one in enumerate(self.log) if one.call == call.number]
        return seen[len(call.attempts)] if len(seen) > len(call.attempts) else 10**6

    def _pass(self, seconds: float) -> None:
        async def sleep(group: TaskGroup) -> None:
            await anyio.sleep(seconds)

        assert self.stage is not None
        self.stage.do(sleep)
        self.model.advance(self.model.now + seconds)

    # ----------------------------------------------------------------------------------------- rules

    @rule(seconds=st.sampled_from([0.0, 0.25, 0.5, 1.0, 2.0, 3.0, 8.0, 20.0, 41.0, 300.0]))
    def wait(self, seconds: float) -> None:
        self._pass(seconds + TICK)

    @rule(stream=st.booleans())
    def call(self, stream: bool) -> None:
        self._pass(TICK)

        async def start(group: TaskGroup) -> None:
            client = Client()
            self.clients.append(client)
            group.start_soon(client.call, self.manager, len(self.clients) - 1, stream)

        assert self.stage is not None
        self.stage.do(start)
        self.model.start(stream=stream)

    @rule(which=st.integers(0, 9), verdict=verdicts)
    def tell(self, which: int, verdict: ProviderError | None) -> None:
        self._pass(TICK)
        running = [one for one in self.log if not one.ended]
        if not running:
            return
        attempt = running[which % len(running)]

        async def tell(group: TaskGroup) -> None:
            attempt.verdict = copy(verdict) if verdict is not None else None
            attempt.told.set()

        call = self.model.calls[attempt.call]
        assert self.stage is not None
        self.stage.do(tell)
        self.model.settle(call, copy(verdict) if verdict is not None else None)

    @rule(calls=st.integers(1, 6), verdict=verdicts)
    def traffic(self, calls: int, verdict: ProviderError | None) -> None:
        """Calls of which every attempt ends the same way."""
        for _ in range(calls):
            self.call(stream=False)
            self.tell(-1, verdict)

    @rule(which=st.integers(0, 9))
    def cancel(self, which: int) -> None:
        self._pass(TICK)
        running = self.model.open()
        if not running:
            return
        call = running[which % len(running)]

        async def leave(group: TaskGroup) -> None:
            self.clients[call.number].scope.cancel()

        assert self.stage is not None
        self.stage.do(leave)
        self.model.cancel(call)

    @precondition(lambda self: self.model.now > 1)
    @rule(which=st.integers(0, 2), isolates=st.sampled_from([True, False, False]))
    def by_hand(self, which: int, isolates: bool) -> None:
        self._pass(TICK)
        target = which % len(self.model.places)

        async def turn(group: TaskGroup) -> None:
            (self.manager.isolate if isolates else self.manager.reset)(f"p{target}")

        assert self.stage is not None
        self.stage.do(turn)
        (self.model.isolate if isolates else self.model.reset)(target)

    # ------------------------------------------------------------------------------------ invariants

    @invariant()
    def the_same_are_asked_at_the_same_times(self) -> None:
        for call in self.model.calls:
            seen = [(one.target, one.at) for one in self.log if one.call == call.number]
            assert seen == call.attempts, f"call {call.number}"

    @invariant()
    def calls_end_alike(self) -> None:
        if self.stage is not None:
            assert [client.outcome for client in self.clients] == [call.outcome for call in self.model.calls]

    @invariant()
    def breakers_are_alike(self) -> None:
        if self.stage is None:
            return
        for guard, place in zip(self.manager.fleet.guards, self.model.places, strict=True):
            breaker = guard.line(None).breaker
            assert breaker.state == place.breaker.state
            assert breaker.probing == place.breaker.held()
            if breaker.state == "open":
                assert breaker.opens_at == place.breaker.due

    @invariant()
    def the_budget_is_alike(self) -> None:
        if self.stage is not None:
            assert self.manager.budget.tokens(self.model.now) == self.model.tokens()

    @invariant()
    def nothing_leaks(self) -> None:
        if self.stage is None:
            return
        for target, guard in enumerate(self.manager.fleet.guards):
            assert guard.in_flight == self.model.in_flight(target)
        stats, outcomes = self.manager.stats(), [call.outcome for call in self.model.calls]
        assert stats.requests == len(outcomes)
        assert stats.in_flight == outcomes.count(None)
        assert stats.successes == outcomes.count("success")
        assert stats.cancelled == outcomes.count("cancelled")
        over = [call for call in self.model.calls if call.outcome is not None]
        assert self.manager.ledger.total().attempts == sum(len(call.attempts) for call in over)

    def teardown(self) -> None:
        if self.stage is not None:
            self.stage.close()
            assert all(guard.in_flight == 0 for guard in self.manager.fleet.guards)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_19_what_was_paid_and_never_sent_is_given_back(backend: Backend) -> None:
    """Of two calls that fail side by side, one has paid for a retry when the other's failure opens the breaker."""

    async def main() -> None:
        down = [Fail(errors.ServerError("down"))]
        fallback = FallbackConfig(
            breaker=BreakerConfig(failures=2), budget=BudgetConfig(per_second=0.0), max_attempts=4
        )
        manager = ProviderManager(
            [ScriptedProvider("a", down), ScriptedProvider("b", down)], fallback, random=Random(1)
        )

        async def call() -> None:
            with pytest.raises(ProviderError):
                await manager.generate("x")

        async with anyio.create_task_group() as group:
            group.start_soon(call)
            group.start_soon(call)
        paid = sum(attempt.why != "first" for attempt in manager.ledger.attempts)
        counts = manager.budget.counts
        assert counts.taken - counts.refunded == paid == 2

    run_simulated(main, backend=backend)


TestManagerMachine = ManagerMachine.TestCase
TestManagerMachine.settings = settings(stateful_step_count=30)
