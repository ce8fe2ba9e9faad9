"""The entrance: slots in the order of coming, keys that fail alone, and nothing that leaks."""

from __future__ import annotations

from random import Random
from typing import Any, Literal

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmcore.clock import SystemClock
from llmcore.config import FallbackConfig, Routing
from llmcore.errors import (
    AuthenticationError,
    NoUsableKeyError,
    OverloadedError,
    PermissionDeniedError,
    PoolTimeout,
    ProviderError,
    QuotaExhaustedError,
    RateLimitError,
    ServerError,
)
from llmcore.manager.entrance import Entrance, Pass
from llmcore.manager.manager import ProviderManager
from llmcore.provider import LlmProvider, Seat
from llmcore.testing import Answer, Fail, ScriptedProvider, run_simulated

BACKENDS = st.sampled_from(["asyncio", "trio"])
Backend = Literal["asyncio", "trio"]
OF_THE_KEY = [AuthenticationError, PermissionDeniedError, QuotaExhaustedError]


def entrance(
    *weights: float,
    told: list[Any] | None = None,
    max_queue: int = 1000,
    patience: float = 10.0,
    **routing: Any,
) -> Entrance:
    seats = [
        Seat(f"k{place}" if len(weights) > 1 else None, weight, ScriptedProvider("p"))
        for place, weight in enumerate(weights or (1.0,))
    ]
    events: list[Any] = [] if told is None else told
    return Entrance(
        "p",
        seats,
        Routing(**routing),
        SystemClock(),
        Random(0),
        max_queue=max_queue,
        pace=True,
        patience=patience,
        told=lambda event, **facts: events.append((event, facts)),
    )


class Keyed(ScriptedProvider):
    """A provider with several keys, each following a script of its own."""

    def __init__(self, **scripts: list[Any]) -> None:
        super().__init__("keyed")
        self.parts = {name: ScriptedProvider("keyed", script) for name, script in scripts.items()}

    @property
    def seats(self) -> tuple[Seat, ...]:
        found: list[tuple[str, LlmProvider]] = [*self.parts.items()]
        return tuple(Seat(name, 1.0, part) for name, part in found)


# ------------------------------------------------------------------------------------- keys in a call


@pytest.mark.parametrize("cls", [*OF_THE_KEY, RateLimitError])
def test_a_key_that_is_refused_makes_room_for_the_next_without_a_retry(cls: type[ProviderError]) -> None:
    async def main() -> None:
        keyed = Keyed(one=[Fail(cls("no"))], two=[Answer("yes")])
        manager = ProviderManager([keyed], FallbackConfig(max_retries=0))
        answers = [await manager.generate("x") for _ in range(4)]
        assert [answer.text for answer in answers] == ["yes"] * 4
        both = next(answer for answer in answers if len(answer.attempts) > 1)
        assert [(one.key, one.why) for one in both.attempts] == [("one", "first"), ("two", "key")]
        if cls is not RateLimitError:
            assert len(keyed.parts["one"].requests) == 1
        assert anyio.current_time() == 0.0

    run_simulated(main)


def test_all_keys_refused_is_an_error_of_its_own() -> None:
    async def main() -> None:
        keyed = Keyed(one=[Fail(AuthenticationError("no"))], two=[Fail(AuthenticationError("no"))])
        manager = ProviderManager([keyed], FallbackConfig(max_retries=0))
        with pytest.raises(ProviderError) as caught:
            await manager.generate("x")
        assert {attempt.key for attempt in caught.value.attempts} == {"one", "two"}
        with pytest.raises(NoUsableKeyError) as dead:
            await manager.generate("x")
        assert dead.value.attempts == ()
        assert dead.value.retry_after == pytest.approx(900.0)
        manager.reset("keyed")
        with pytest.raises(ProviderError):
            await manager.generate("x")
        assert len(keyed.parts["one"].requests) == 2

    run_simulated(main)


def test_faults_of_the_provider_do_not_change_the_key() -> None:
    async def main() -> None:
        keyed = Keyed(one=[Fail(ServerError("down")), Answer()], two=[Answer()])
        manager = ProviderManager([keyed], FallbackConfig(max_retries=0))
        with pytest.raises(ServerError):
            await manager.generate("x")

    run_simulated(main)


# ----------------------------------------------------------------------------------------- keys alone


def taken(gate: Entrance, now: float = 0.0, avoid: frozenset[str | None] = frozenset()) -> Pass:
    passed = gate.try_enter("m", 0, now, avoid)
    assert passed is not None
    return passed


def test_keys_share_by_weight_and_weight_0_is_a_last_resort() -> None:
    async def main() -> None:
        gate = entrance(3.0, 1.0, 0.0)
        passes = [taken(gate) for _ in range(400)]
        keys = [passed.key for passed in passes]
        assert (keys.count("k0"), keys.count("k1"), keys.count("k2")) == (300, 100, 0)
        for place in (0, 1):
            gate.learn(
                next(one for one in passes if one.key == f"k{place}"),
                AuthenticationError("no"),
                anyio.current_time(),
            )
        assert taken(gate).key == "k2"

    run_simulated(main)


@pytest.mark.parametrize("cls", OF_THE_KEY)
def test_a_refused_key_is_left_out_alone_told_once_and_tried_again(cls: type[ProviderError]) -> None:
    async def main() -> None:
        told: list[Any] = []
        gate = entrance(1.0, 1.0, told=told)
        passed = taken(gate)
        gate.learn(passed, cls("no"), anyio.current_time())
        gate.learn(passed, cls("no"), anyio.current_time())
        assert {taken(gate).key for _ in range(10)} == {"k1"}
        assert not gate.other_key("m", frozenset({"k1"}), 0.0)
        await anyio.sleep(901.0)
        assert {taken(gate, 901.0).key for _ in range(10)} == {"k0", "k1"}
        if cls is not PermissionDeniedError:
            assert [event for event, _ in told] == ["llm.key_disabled"]
            gate.learn(passed, None, anyio.current_time())
            assert [event for event, _ in told] == ["llm.key_disabled", "llm.key_back"]

    run_simulated(main)


@pytest.mark.parametrize("cls", OF_THE_KEY)
def test_a_second_call_says_that_every_key_was_refused_and_not_that_there_is_a_pace(
    cls: type[ProviderError],
) -> None:
    async def main() -> None:
        keyed = Keyed(one=[Fail(cls("no"))], two=[Fail(cls("no"))])
        manager = ProviderManager([keyed], FallbackConfig(max_retries=0))
        with pytest.raises(ProviderError):
            await manager.generate("x")
        for _ in range(2):
            with pytest.raises(NoUsableKeyError, match="every key has been refused") as dead:
                await manager.generate("x")
            wait = 300.0 if cls is PermissionDeniedError else 900.0
            assert dead.value.retry_after == pytest.approx(wait)
            assert dead.value.attempts == ()

    run_simulated(main)


def test_a_refusal_holds_for_its_family_and_a_rest_is_no_refusal() -> None:
    async def main() -> None:
        gate = entrance(1.0, 1.0)
        one, two = taken(gate), taken(gate)
        gate.learn(one, PermissionDeniedError("no"), 0.0)
        gate.learn(two, RateLimitError("slow", retry_after=400.0), 0.0)
        assert gate.ready_at("m", 0.0) == 300.0
        assert not gate.all_disabled(0.0)
        with pytest.raises(RateLimitError):
            await gate.enter("m", 0, 10.0)
        gate.learn(two, PermissionDeniedError("no"), 0.0)
        assert (gate.all_disabled(0.0, "m"), gate.all_disabled(0.0, "other")) == (True, False)
        with pytest.raises(NoUsableKeyError) as dead:
            await gate.enter("m", 0, 10.0)
        assert dead.value.retry_after == pytest.approx(300.0)
        assert (await gate.enter("other", 0, 10.0)).key in {"k0", "k1"}
        assert not gate.all_disabled(301.0)
        gate.reset()
        assert not gate.all_disabled(0.0)

    run_simulated(main)


def test_a_rate_limit_rests_its_key_and_an_overload_rests_all_for_the_family() -> None:
    async def main() -> None:
        gate = entrance(1.0, 1.0)
        passed = taken(gate)
        gate.learn(passed, RateLimitError("slow", retry_after=30.0), anyio.current_time())
        gate.learn(passed, RateLimitError("slow", retry_after=5.0), anyio.current_time())
        assert gate.ready_at("m", 0.0) == 0.0
        assert {taken(gate).key for _ in range(6)} == {"k1"}
        gate.learn(passed, OverloadedError("full", retry_after=20.0), anyio.current_time())
        assert gate.ready_at("m", 0.0) == 20.0
        assert gate.ready_at("other", 0.0) == 0.0

    run_simulated(main)


def test_a_single_key_is_never_disabled() -> None:
    async def main() -> None:
        gate = entrance()
        gate.learn(taken(gate), AuthenticationError("no"), anyio.current_time())
        assert taken(gate).key is None

    run_simulated(main)


# --------------------------------------------------------------------------------------------- queues


@given(
    clients=st.lists(
        st.tuples(st.floats(0, 3), st.floats(0.01, 2), st.none() | st.floats(0.01, 1)),
        min_size=1,
        max_size=30,
    ),
    limit=st.integers(1, 3),
    max_queue=st.integers(0, 5),
    backend=BACKENDS,
)
def test_34_nothing_leaks_and_the_limit_holds(
    clients: list[tuple[float, float, float | None]], limit: int, max_queue: int, backend: Backend
) -> None:
    async def main() -> None:
        gate = entrance(1.0, 1.0, max_in_flight=limit, max_queue=max_queue, patience=1.5)

        async def client(start: float, work: float, gives_up: float | None) -> None:
            await anyio.sleep(start)
            with anyio.move_on_after(float("inf") if gives_up is None else gives_up):
                try:
                    now = anyio.current_time()
                    passed = gate.try_enter("m", 0, now) or await gate.enter("m", 0, now + 100.0)
                except PoolTimeout:
                    return
                try:
                    assert 0 < gate.in_flight <= limit
                    assert gate.waiting <= max_queue
                    await anyio.sleep(work)
                finally:
                    gate.leave(passed, anyio.current_time())
                    gate.leave(passed, anyio.current_time())

        async with anyio.create_task_group() as group:
            for one in clients:
                group.start_soon(client, *one)
        assert (gate.in_flight, gate.waiting) == (0, 0)
        assert gate.has_room

    run_simulated(main, backend=backend)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_who_comes_first_passes_first_also_when_others_leave_the_queue(backend: Backend) -> None:
    async def main() -> None:
        gate = entrance(max_in_flight=1)
        order: list[int] = []

        async def client(number: int) -> None:
            await anyio.sleep(number * 0.01)
            with anyio.move_on_after(0.4 if number % 3 == 1 else 9.0):
                now = anyio.current_time()
                passed = gate.try_enter("m", 0, now) or await gate.enter("m", 0, now + 100.0)
                order.append(number)
                try:
                    await anyio.sleep(0.3)
                finally:
                    gate.leave(passed, anyio.current_time())

        async with anyio.create_task_group() as group:
            for number in range(9):
                group.start_soon(client, number)
        assert order == sorted(order)
        assert {0, 2, 3, 5, 6, 8} <= set(order)
        assert (gate.in_flight, gate.waiting) == (0, 0)

    run_simulated(main, backend=backend)


def test_a_full_queue_turns_away_at_once_and_is_told_once() -> None:
    async def main() -> None:
        told: list[Any] = []
        gate = entrance(max_in_flight=1, max_queue=1, told=told)
        passed = taken(gate)
        async with anyio.create_task_group() as group:
            group.start_soon(gate.enter, "m", 0, 100.0)
            await anyio.sleep(0.1)
            for _ in range(3):
                with pytest.raises(PoolTimeout, match="max_queue"):
                    await gate.enter("m", 0, 100.0)
            assert anyio.current_time() == pytest.approx(0.1)
            gate.leave(passed, anyio.current_time())
        assert [event for event, _ in told] == ["llm.queue_full"]

    run_simulated(main)


def test_a_pace_that_cannot_be_met_in_time_is_said_at_once() -> None:
    async def main() -> None:
        gate = entrance(rpm=2)
        taken(gate)
        with pytest.raises(RateLimitError) as caught:
            await gate.enter("m", 0, anyio.current_time() + 100.0)
        assert anyio.current_time() == 0.0
        assert caught.value.retry_after is not None
        assert caught.value.retry_after > 10.0

    run_simulated(main)


def test_a_call_waits_its_turn_under_a_configured_pace() -> None:
    async def main() -> None:
        provider = ScriptedProvider("a", routing=Routing(rpm=60))
        manager = ProviderManager([provider])
        async with anyio.create_task_group() as group:
            for _ in range(12):
                group.start_soon(manager.generate, "x")
        assert len(provider.requests) == 12
        assert 5.0 <= anyio.current_time() <= 7.0

    run_simulated(main)
