"""Corners where several things of the manager meet: lanes, the budget, keys and queues."""

from __future__ import annotations

from contextlib import suppress
from random import Random
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmcore.config import BreakerConfig, FallbackConfig, MidStream, Routing, Timeouts
from llmcore.errors import (
    AllProvidersFailed,
    OverloadedError,
    PoolTimeout,
    ProviderError,
    RateLimitError,
    ServerError,
)
from llmcore.manager.manager import ProviderManager
from llmcore.testing import Answer, Fail, Hang, Outcome, ScriptedProvider, run_simulated
from llmcore.types import (
    GenerationRequest,
    GenerationResponse,
    Usage,
)
from tests.manager.corners import (
    BACKENDS,
    NO_TRICKLE,
    Backend,
    both,
    idle,
    read,
)
from tests.manager.strategies import Made, recorders, scripts
from tests.manager.test_entrance import Keyed, entrance

# ----------------------------------------------------------------------------------------- side by side


@both
def test_a_lane_that_is_beaten_before_it_began_sends_nothing(backend: Backend) -> None:
    """The alarm has rung, but before the new lane's first step the first answer is there."""

    async def main() -> None:
        ring: list[Any] = []

        class Ringing(ScriptedProvider):
            async def generate(self, request: Any, /) -> GenerationResponse:
                answer = await super().generate(request)
                ring.pop()()
                return answer

        one, two = Ringing("a"), ScriptedProvider("b", [Hang()])
        manager = ProviderManager([one, two])

        def alarm(_group: Any, _seconds: float, callback: Any) -> Any:
            ring.append(callback)
            return lambda: None

        manager.alarm = alarm  # type: ignore[method-assign,assignment]  # the clock's part, played by hand
        answer = await manager.generate("x")
        assert answer.provider == "a"
        assert anyio.current_time() == pytest.approx(0.0, abs=0.01)
        assert not two.requests
        assert manager.budget.counts.taken == manager.budget.counts.refunded == 1
        assert idle(manager)

    run_simulated(main, backend=backend)


@both
def test_a_lane_given_up_in_a_queue_gets_its_money_back(backend: Backend) -> None:
    async def main() -> None:
        slow = ScriptedProvider("a", [Answer("slow", delay=15.0)])
        full = ScriptedProvider("b", [Hang()], routing=Routing(max_in_flight=1))
        manager = ProviderManager([slow, full], FallbackConfig(budget=NO_TRICKLE))
        guard = manager.fleet.guards[1]
        real = guard.entrance.__class__.has_room
        async with anyio.create_task_group() as group:
            group.start_soon(manager.generate, GenerationRequest("y", providers=("b",), deadline=100.0))
            await anyio.sleep(0.1)
            guard.entrance.__class__.has_room = property(lambda _self: True)  # type: ignore[assignment,method-assign]  # a race: the slot was free a moment ago
            try:
                answer = await manager.generate("x")
            finally:
                guard.entrance.__class__.has_room = real  # type: ignore[method-assign]  # as it was
            group.cancel_scope.cancel()
        assert answer.text == "slow"
        assert len(full.requests) == 1
        assert manager.budget.counts.taken == manager.budget.counts.refunded == 1
        assert idle(manager)

    run_simulated(main, backend=backend)


@both
def test_the_older_of_two_silent_attempts_makes_room_not_the_older_lane(backend: Backend) -> None:
    async def main() -> None:
        a = ScriptedProvider("a", [Fail(ServerError("down"), delay=25.0)])
        b, c = ScriptedProvider("b", [Hang()]), ScriptedProvider("c", [Answer("c", delay=14.0)])
        d = ScriptedProvider("d", [Hang()])
        manager = ProviderManager([a, b, c, d], FallbackConfig(max_retries=0, max_attempts=4))
        answer = await manager.generate("x")
        assert answer.text == "c"
        assert idle(manager)

    run_simulated(main, backend=backend)


@both
def test_the_loser_of_a_dead_heat_is_counted_with_its_tokens(backend: Backend) -> None:
    async def main() -> None:
        one = ScriptedProvider("a", [Answer("one", delay=2.0, usage=Usage(5, 7))])
        two = ScriptedProvider("b", [Answer("two", delay=1.0, usage=Usage(5, 7))])
        manager = ProviderManager([one, two], FallbackConfig(hedge_after=1.0))
        await manager.generate("x")
        finished = [one.stats(), two.stats()]
        total = manager.ledger.total()
        assert (total.successes, total.cancelled) == (1, 1)
        assert total.input_tokens == 5 * sum(stats.successes for stats in finished)
        assert idle(manager)

    run_simulated(main, backend=backend)


def test_embeddings_are_not_asked_for_twice_because_they_take_long() -> None:
    async def main() -> None:
        slow, other = ScriptedProvider("a", [Answer(delay=25.0)]), ScriptedProvider("b")
        manager = ProviderManager([slow, other])
        assert (await manager.embed(["long"] * 100)).provider == "a"
        assert not other.requests

    run_simulated(main)


def test_errors_of_two_lanes_are_listed_as_they_began() -> None:
    async def main() -> None:
        a = ScriptedProvider("a", [Fail(ServerError("a"), delay=9.0)])
        b = ScriptedProvider("b", [Fail(ServerError("b"), delay=1.0)])
        manager = ProviderManager([a, b], FallbackConfig(hedge_after=1.0, max_retries=0))
        with pytest.raises(AllProvidersFailed) as caught:
            await manager.generate("x")
        assert [error.message for error in caught.value.exceptions] == ["a", "b"]
        assert [one.provider for one in caught.value.attempts] == ["a", "b"]

    run_simulated(main)


# ------------------------------------------------------------------------------------------------ budget


@given(
    scripts_=st.lists(scripts, min_size=1, max_size=4),
    limits=st.lists(st.none() | st.integers(1, 2), min_size=4, max_size=4),
    patience=st.sampled_from([0.0, 1.0]),
    mid_stream=st.sampled_from(["fail", "restart", "continue", "splice"]),
    leaves=st.lists(st.none() | st.sampled_from([0.05, 0.7, 2.5]), min_size=4, max_size=4),
    backend=BACKENDS,
    seed=st.integers(0, 5),
)
def test_19_what_is_not_given_back_was_sent(
    scripts_: list[list[Outcome]],
    limits: list[int | None],
    patience: float,
    mid_stream: MidStream,
    leaves: list[float | None],
    backend: Backend,
    seed: int,
) -> None:
    async def main() -> None:
        log: list[Made] = []
        fallback = FallbackConfig(
            patience=patience, mid_stream=mid_stream, budget=NO_TRICKLE, max_queue=1, retry_delay_ms=100
        )
        made = recorders(scripts_, log, limits[: len(scripts_)])
        manager = ProviderManager(made, fallback, random=Random(seed), timeouts=Timeouts(total=60.0))

        async def call(number: int, patience: float | None) -> None:
            with anyio.move_on_after(float("inf") if patience is None else patience), suppress(ProviderError):
                await (manager.stream("x").collect() if number % 2 else manager.generate("x"))

        async with anyio.create_task_group() as group:
            for number, leave in enumerate(leaves):
                group.start_soon(call, number, leave)
        counts = manager.budget.counts
        repeated = [one for one in manager.ledger.attempts if one.why != "first"]
        assert 0 <= counts.taken - counts.refunded <= len(repeated)
        left = 100.0 - 10.0 * (counts.taken - counts.refunded)
        assert manager.budget.tokens(anyio.current_time()) == pytest.approx(left)
        assert manager.ledger.total().attempts == len(log)
        assert idle(manager)
        assert all(one.open_streams == 0 for one in made)

    run_simulated(main, backend=backend)


def test_streams_that_always_break_late_cannot_draw_on_the_budget_for_ever() -> None:
    async def main() -> None:
        breaking = [ScriptedProvider(name, [Fail(ServerError("cut"), words=2)]) for name in "abc"]
        off = BreakerConfig(enabled=False)
        fallback = FallbackConfig(mid_stream="restart", budget=NO_TRICKLE, breaker=off)
        manager = ProviderManager(breaking, fallback)
        for _ in range(30):
            await read(manager)
        assert sum(len(one.requests) for one in breaking) == 30 + 10

    run_simulated(main)


# -------------------------------------------------------------------------------------------------- keys


@both
def test_keys_that_were_all_limited_are_waited_for_and_used_again(backend: Backend) -> None:
    async def main() -> None:
        slow = [Fail(RateLimitError("slow down", retry_after=1.0)), Answer("yes")]
        keyed = Keyed(one=list(slow), two=list(slow))
        manager = ProviderManager([keyed])
        answer = await manager.generate("x")
        assert answer.text == "yes"
        assert [one.why for one in answer.attempts] == ["first", "key", "retry"]
        assert 1.0 <= anyio.current_time() <= 1.25

    run_simulated(main, backend=backend)


def test_13_an_older_attempt_that_succeeds_does_not_end_a_rest() -> None:
    async def main() -> None:
        script: list[Outcome] = [Answer(delay=5.0), Fail(RateLimitError("wait", retry_after=30.0)), Answer()]
        first = ScriptedProvider("a", script)
        manager = ProviderManager([first, ScriptedProvider("b")], FallbackConfig(patience=0))
        async with anyio.create_task_group() as group:
            group.start_soon(manager.generate, "x")
            await anyio.sleep(1.0)
            assert (await manager.generate("x")).provider == "b"
            await anyio.sleep(6.0)
        assert (await manager.generate("x")).provider == "b"
        await anyio.sleep(30.0)
        assert (await manager.generate("x")).provider == "a"

    run_simulated(main)


# ------------------------------------------------------------------------------------------------ queues


@both
def test_who_waited_while_the_breaker_opened_goes_elsewhere(backend: Backend) -> None:
    async def main() -> None:
        dying = ScriptedProvider(
            "a", [Fail(ServerError("down"), delay=1.0)], routing=Routing(max_in_flight=3)
        )
        other = ScriptedProvider("b", [Answer()], routing=Routing(max_in_flight=3))
        manager = ProviderManager([dying, other], FallbackConfig(max_retries=0, patience=0))
        answers: list[str | None] = []

        async def call(*only: str) -> None:
            with suppress(ProviderError):
                answers.append((await manager.generate(GenerationRequest("x", providers=only))).provider)

        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(call, "a", "b")
            await anyio.sleep(0.1)
            entrance = manager.fleet.guards[1].entrance
            entrance.in_flight += 3  # b is full as well, so that the next ones queue at a
            for _ in range(6):
                group.start_soon(call, "a", "b")
            await anyio.sleep(0.1)
            entrance.in_flight -= 3
        assert len(dying.requests) == 3
        assert answers == ["b"] * 9
        assert idle(manager)

    run_simulated(main, backend=backend)


def test_a_full_queue_is_told_anew_only_after_it_was_half_empty() -> None:
    async def main() -> None:
        told: list[Any] = []
        gate = entrance(max_in_flight=1, max_queue=4, patience=1000.0, told=told)
        passes = [gate.try_enter("m", 0, 0.0)]

        async def wait() -> None:
            passes.append(await gate.enter("m", 0, 1000.0))

        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(wait)
            for _ in range(10):
                await anyio.sleep(0.1)
                with pytest.raises(PoolTimeout):
                    await gate.enter("m", 0, 1000.0)
                passed = passes.pop()
                assert passed is not None
                gate.leave(passed, anyio.current_time())
                await anyio.sleep(0.1)
                group.start_soon(wait)
            assert [event for event, _ in told] == ["llm.queue_full"]
            for _ in range(5):
                passed = passes.pop()
                assert passed is not None
                gate.leave(passed, anyio.current_time())
                await anyio.sleep(0.1)

    run_simulated(main)


def test_who_waits_behind_others_for_a_pace_is_told_of_the_pace() -> None:
    async def main() -> None:
        gate = entrance(rpm=60, patience=2.5)
        for _ in range(6):
            assert gate.try_enter("m", 0, 0.0) is not None
        found: list[ProviderError] = []

        async def client() -> None:
            try:
                await gate.enter("m", 0, 1000.0)
            except ProviderError as error:
                found.append(error)

        async with anyio.create_task_group() as group:
            for _ in range(8):
                group.start_soon(client)
        assert {type(error) for error in found} == {RateLimitError}
        assert not any("None" in error.message for error in found)
        assert gate.waiting == 0

    run_simulated(main)


def test_who_is_passed_over_for_being_full_is_told() -> None:
    async def main() -> None:
        full = ScriptedProvider("a", [Hang()], routing=Routing(max_in_flight=1))
        manager = ProviderManager([full, ScriptedProvider("b")])
        async with anyio.create_task_group() as group:
            group.start_soon(manager.generate, GenerationRequest("y", providers=("a",)))
            await anyio.sleep(0.1)
            answer = await manager.generate("x")
            group.cancel_scope.cancel()
        assert answer.provider == "b"
        assert [(skip.provider, skip.reason) for skip in answer.skipped] == [("a", "busy")]

    run_simulated(main)


def test_time_in_a_queue_shows_in_the_attempts() -> None:
    async def main() -> None:
        one = ScriptedProvider("a", [Answer(delay=3.0)], routing=Routing(max_in_flight=1))
        manager = ProviderManager([one])
        async with anyio.create_task_group() as group:
            group.start_soon(manager.generate, "x")
            await anyio.sleep(1.0)
            answer = await manager.generate("x")
        (attempt,) = answer.attempts
        assert attempt.started_s == pytest.approx(2.0, abs=0.01)
        assert attempt.duration_s == pytest.approx(3.0, abs=0.01)

    run_simulated(main)


@both
def test_a_probe_that_waits_for_a_slot_is_not_sent_once_another_probe_has_failed(backend: Backend) -> None:
    async def main() -> None:
        provider = ScriptedProvider(
            "a", [Fail(ServerError("down"), delay=1.0)], routing=Routing(max_in_flight=1)
        )
        strict = BreakerConfig(failures=1, probes=2, block_sole=True)
        manager = ProviderManager([provider], FallbackConfig(max_retries=0, breaker=strict))
        with pytest.raises(ServerError):
            await manager.generate("x")
        await anyio.sleep(20.0)
        errors: list[ProviderError] = []

        async def probe() -> None:
            with pytest.raises(ProviderError) as caught:
                await manager.generate("x")
            errors.append(caught.value)

        async with anyio.create_task_group() as group:
            group.start_soon(probe)
            group.start_soon(probe)
        assert [type(error) for error in errors] == [ServerError, OverloadedError]
        assert len(provider.requests) == 2
        assert idle(manager)

    run_simulated(main, backend=backend)
