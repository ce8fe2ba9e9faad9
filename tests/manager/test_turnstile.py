"""The turnstile: slots, a fair queue, keys and pace; in simulated time, on both event loops."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from llmcore.clock import Clock, SystemClock
from llmcore.config import Routing
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
from llmcore.manager.keys import MAX_FAMILIES, RETRY_KEY, RETRY_PERMISSION
from llmcore.manager.turnstile import Pass, Turnstile
from llmcore.provider import Seat
from llmcore.testing import FakeClock, ScriptedProvider, run_simulated
from llmcore.types import Limit, RateLimits

BACKENDS = ["asyncio", "trio"]
both_loops = pytest.mark.parametrize("backend", BACKENDS)
FAMILY = "gpt-4o"


class Announcing(ScriptedProvider):
    """A provider that hands on limits when the test says so."""

    def __init__(self) -> None:
        super().__init__("p")
        self.listeners: list[Callable[[str | None, RateLimits], None]] = []

    def listen(self, told: Callable[[str | None, RateLimits], None]) -> None:
        self.listeners.append(told)

    def announce(self, model: str | None, limit: Limit) -> None:
        for told in self.listeners:
            told(model, RateLimits(requests=limit))


class Told:
    """What the turnstile has told, event by event."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, event: str, **facts: Any) -> None:
        self.events.append((event, facts))

    def names(self) -> list[str]:
        return [event for event, _ in self.events]


def seats(*weights: float) -> list[Seat]:
    return [Seat(f"k{index}", weight, Announcing()) for index, weight in enumerate(weights)]


ONE_KEY = (Seat(None, 1.0, ScriptedProvider("p")),)


def make(
    at: Sequence[Seat] = ONE_KEY,
    *,
    slots: int | None = None,
    rpm: int | None = None,
    clock: Clock | None = None,
    max_queue: int = 1000,
    pace: bool = True,
    patience: float = 10.0,
    seed: int = 0,
    told: Callable[..., None] | None = None,
) -> Turnstile:
    return Turnstile(
        "p",
        at,
        Routing(max_in_flight=slots, rpm=rpm),
        clock or SystemClock(),
        Random(seed),
        max_queue=max_queue,
        pace=pace,
        patience=patience,
        told=told or Told(),
    )


def entered(turnstile: Turnstile, now: float = 0.0, family: str = FAMILY, avoid: Any = frozenset()) -> Pass:
    passed = turnstile.try_enter(family, 0, now, avoid)
    assert passed is not None
    return passed


def once(turnstile: Turnstile, error: ProviderError | None, now: float, family: str = FAMILY) -> str | None:
    """One attempt that ends so; the key it was made with."""
    passed = entered(turnstile, now, family)
    turnstile.learn(passed, error)
    turnstile.leave(passed)
    return passed.key


def simulated(backend: str, main: Callable[[], Awaitable[None]]) -> None:
    run_simulated(main, backend=backend)  # type: ignore[arg-type]  # a parameter of pytest is only a str


# ------------------------------------------------------------------------------------------------- slots


def test_a_pass_says_what_it_is_for_and_is_given_back_once() -> None:
    turnstile = make(slots=1, clock=FakeClock())
    passed = turnstile.try_enter(FAMILY, 7, 0.0)
    assert passed is not None
    assert (passed.seat, passed.family, passed.tokens, passed.key) == (ONE_KEY[0], FAMILY, 7, None)
    assert turnstile.in_flight == 1
    assert not turnstile.has_room
    assert turnstile.try_enter(FAMILY, 0, 0.0) is None
    turnstile.leave(passed, 9)
    turnstile.leave(passed, 9)
    assert turnstile.in_flight == 0
    assert turnstile.has_room


@both_loops
def test_first_come_first_served(backend: str) -> None:
    async def main() -> None:
        turnstile, order = make(slots=2), []

        async def call(number: int) -> None:
            await anyio.sleep(number / 1000)
            passed = await turnstile.enter(FAMILY, 0, float("inf"))
            order.append(number)
            assert turnstile.in_flight <= 2
            await anyio.sleep(1 / (1 + number % 3))
            turnstile.leave(passed)

        async with anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(call, number)
        assert order == list(range(20))
        assert (turnstile.in_flight, turnstile.waiting) == (0, 0)

    simulated(backend, main)


@both_loops
def test_nobody_overtakes_on_the_fast_path(backend: str) -> None:
    async def main() -> None:
        turnstile = make(slots=1)
        first = entered(turnstile)
        async with anyio.create_task_group() as group:
            got: list[Pass] = []

            async def wait() -> None:
                got.append(await turnstile.enter(FAMILY, 0, float("inf")))

            group.start_soon(wait)
            await anyio.sleep(1)
            assert turnstile.waiting == 1
            turnstile.leave(first)
            assert turnstile.try_enter(FAMILY, 0, anyio.current_time()) is None, "the slot is the waiter's"
        turnstile.leave(got[0])
        assert turnstile.has_room

    simulated(backend, main)


@both_loops
@pytest.mark.parametrize("cancel_first", [True, False])
def test_a_waiter_that_is_cancelled_loses_nothing(cancel_first: bool, backend: str) -> None:
    """Before it is served, and in the tick in which it is."""

    async def main() -> None:
        turnstile = make(slots=1)
        first = entered(turnstile)
        served = []

        async def wait(name: str, scope: anyio.CancelScope) -> None:
            with scope:
                passed = await turnstile.enter(FAMILY, 0, float("inf"))
                served.append(name)
                turnstile.leave(passed)

        scopes = [anyio.CancelScope() for _ in "abcd"]
        async with anyio.create_task_group() as group:
            for name, scope in zip("abcd", scopes, strict=True):
                group.start_soon(wait, name, scope)
                await anyio.sleep(0.1)
            scopes[0].cancel()
            await anyio.sleep(0.1)
            assert turnstile.waiting == 3
            if cancel_first:
                scopes[1].cancel()
            turnstile.leave(first)  # b has the slot from now on
            assert turnstile.in_flight == 1
            scopes[1].cancel()
        assert served == (["c", "d"] if cancel_first else ["b", "c", "d"])
        assert (turnstile.in_flight, turnstile.waiting) == (0, 0)

    simulated(backend, main)


@both_loops
def test_who_waits_too_long_gets_pool_timeout(backend: str) -> None:
    async def main() -> None:
        turnstile = make(slots=1, patience=3.0)
        entered(turnstile)
        began = anyio.current_time()
        with pytest.raises(PoolTimeout) as caught:
            await turnstile.enter(FAMILY, 0, float("inf"))
        assert anyio.current_time() - began == pytest.approx(3.0, abs=0.01)
        assert caught.value.provider == "p"
        assert caught.value.failover
        assert not caught.value.health
        with pytest.raises(PoolTimeout):
            await turnstile.enter(FAMILY, 0, anyio.current_time() + 1.0)
        assert anyio.current_time() - began == pytest.approx(4.0, abs=0.02)
        assert turnstile.waiting == 0

    simulated(backend, main)


@both_loops
def test_the_queue_is_bounded_and_says_so_once(backend: str) -> None:
    async def main() -> None:
        told = Told()
        turnstile = make(slots=1, max_queue=4, told=told)
        held = entered(turnstile)

        async def call() -> None:
            turnstile.leave(await turnstile.enter(FAMILY, 0, float("inf")))

        for _ in range(2):
            async with anyio.create_task_group() as group:
                for _ in range(4):
                    group.start_soon(call)
                await anyio.sleep(1)
                for _ in range(3):
                    began = anyio.current_time()
                    with pytest.raises(PoolTimeout):
                        await turnstile.enter(FAMILY, 0, float("inf"))
                    assert anyio.current_time() == began
                turnstile.leave(held)
            held = entered(turnstile, anyio.current_time())
        assert told.names() == ["llm.queue_full", "llm.queue_full"]

    simulated(backend, main)


@both_loops
def test_of_several_families_the_longest_waiting_goes_first(backend: str) -> None:
    async def main() -> None:
        turnstile, order = make(slots=1), []
        held = entered(turnstile)

        async def call(name: str) -> None:
            passed = await turnstile.enter(name, 0, float("inf"))
            order.append(name)
            turnstile.leave(passed)

        async with anyio.create_task_group() as group:
            for name in "bacab":
                group.start_soon(call, name)
                await anyio.sleep(0.1)
            turnstile.leave(held)
        assert order == list("bacab")

    simulated(backend, main)


# -------------------------------------------------------------------------------------------------- pace


@both_loops
def test_the_pace_is_waited_for_in_order(backend: str) -> None:
    async def main() -> None:
        turnstile, order = make(rpm=60, patience=100.0), []
        began = anyio.current_time()

        async def call(number: int) -> None:
            await anyio.sleep(number / 1000)
            passed = await turnstile.enter(FAMILY, 0, float("inf"))
            order.append((number, anyio.current_time() - began))
            turnstile.leave(passed)

        async with anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(call, number)
        assert [number for number, _ in order] == list(range(20))
        assert [at for _, at in order] == pytest.approx([0] * 6 + list(range(1, 15)), abs=0.1)
        assert (turnstile.in_flight, turnstile.waiting) == (0, 0)

    simulated(backend, main)


@both_loops
def test_what_the_pace_cannot_meet_in_time_is_refused_at_once(backend: str) -> None:
    async def main() -> None:
        turnstile = make(patience=10.0)
        now = anyio.current_time()
        once(turnstile, RateLimitError("slow", retry_after=30.0), now)
        for ends in (float("inf"), now + 5):
            with pytest.raises(RateLimitError) as caught:
                await turnstile.enter(FAMILY, 0, ends)
            assert caught.value.retry_after == pytest.approx(30.0)
            assert caught.value.provider == "p"
        assert anyio.current_time() == now
        assert turnstile.ready_at(FAMILY, now) == pytest.approx(now + 30.0)
        await anyio.sleep(25)
        turnstile.leave(await turnstile.enter(FAMILY, 0, float("inf")))
        assert anyio.current_time() - now == pytest.approx(30.0, abs=0.01)

    simulated(backend, main)


@both_loops
def test_nobody_overtakes_whoever_waits_for_the_pace(backend: str) -> None:
    async def main() -> None:
        turnstile = make()
        once(turnstile, RateLimitError("slow", retry_after=5.0), anyio.current_time())

        async def overtake() -> None:
            await anyio.sleep(5.0001)  # the rest is over, and the waiter's own alarm a moment away
            assert turnstile.waiting == 1
            assert turnstile.try_enter(FAMILY, 0, anyio.current_time()) is None

        async with anyio.create_task_group() as group:
            group.start_soon(overtake)
            await anyio.sleep(4.9995)
            turnstile.leave(await turnstile.enter(FAMILY, 0, float("inf")))

    simulated(backend, main)


@both_loops
def test_those_ahead_in_the_queue_count(backend: str) -> None:
    async def main() -> None:
        turnstile = make(rpm=60, patience=5.0)
        outcomes: Counter[str] = Counter()

        waits: list[float | None] = []

        async def call() -> None:
            try:
                turnstile.leave(await turnstile.enter(FAMILY, 0, float("inf")))
                outcomes["in"] += 1
            except RateLimitError as error:
                waits.append(error.retry_after)
                outcomes["at once" if anyio.current_time() == began else "later"] += 1

        began = anyio.current_time()
        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(call)
        assert outcomes["in"] in {10, 11}
        assert outcomes["in"] + outcomes["at once"] == 20
        assert all(wait is not None and wait > 4.0 for wait in waits)

    simulated(backend, main)


@both_loops
def test_one_family_that_waits_for_its_pace_keeps_no_other_from_a_slot(backend: str) -> None:
    async def main() -> None:
        turnstile = make(slots=2)
        now = anyio.current_time()
        once(turnstile, RateLimitError("slow", retry_after=5.0), now, "a")
        async with anyio.create_task_group() as group:

            async def slow() -> None:
                turnstile.leave(await turnstile.enter("a", 0, float("inf")))
                assert anyio.current_time() - now == pytest.approx(5.0, abs=0.01)

            group.start_soon(slow)
            await anyio.sleep(1)
            turnstile.leave(await turnstile.enter("b", 0, float("inf")))
            assert anyio.current_time() - now == pytest.approx(1.0, abs=0.01)

    simulated(backend, main)


@both_loops
def test_a_longer_rest_sends_waiters_away_and_a_success_lets_them_in(backend: str) -> None:
    async def main() -> None:
        turnstile = make(patience=10.0)
        now = anyio.current_time()
        once(turnstile, RateLimitError("slow", retry_after=5.0), now)
        outcomes: list[tuple[str, float]] = []

        async def call() -> None:
            try:
                turnstile.leave(await turnstile.enter(FAMILY, 0, float("inf")))
                outcomes.append(("in", anyio.current_time() - now))
            except RateLimitError:
                outcomes.append(("limited", anyio.current_time() - now))

        early = make(patience=10.0)
        probe = entered(early, now)
        early.learn(entered(early, now), RateLimitError("slow", retry_after=5.0))
        async with anyio.create_task_group() as group:
            group.start_soon(call)
            await anyio.sleep(1)
            state = turnstile._keys.family(FAMILY, now).desks[0].pacer
            state.refused(60.0, anyio.current_time())
            turnstile.reset()
        assert [how for how, _ in outcomes] == ["in"], "a reset wakes them"
        assert outcomes[0][1] == pytest.approx(1.0, abs=0.01)
        early.learn(probe, None)
        assert early.ready_at(FAMILY, now) == pytest.approx(now, abs=1.1), "sent in the tick of the refusal"

        later = make(patience=10.0)
        first, second = entered(later, now), entered(later, now)
        later.learn(first, RateLimitError("slow", retry_after=3.0))
        outcomes.clear()
        async with anyio.create_task_group() as group:

            async def wait() -> None:
                with pytest.raises(RateLimitError):
                    await later.enter(FAMILY, 0, float("inf"))
                outcomes.append(("limited", anyio.current_time()))

            group.start_soon(wait)
            await anyio.sleep(1)
            later.learn(second, RateLimitError("slow", retry_after=100.0))
        assert outcomes[0][1] - now == pytest.approx(2.0, abs=0.1), "at once, not after its patience"

    simulated(backend, main)


def test_limits_that_are_announced_reach_the_pace_of_that_key_and_family() -> None:
    clock = FakeClock()
    at = seats(1.0, 1.0)
    turnstile = make(at, clock=clock)
    held = entered(turnstile)
    for index, seat in enumerate(at):
        assert isinstance(seat.provider, Announcing)
        seat.provider.announce("gpt-4o-2024-08-06", Limit(100, 0 if index == 0 else 80, 60.0))
    assert {entered(turnstile).key for _ in range(20)} == {"k1"}
    assert {entered(turnstile, family="other").key for _ in range(20)} == {"k0", "k1"}
    turnstile.leave(held)
    assert make(at, clock=clock, pace=False).ready_at(FAMILY, 0.0) == 0.0


def test_a_provider_does_not_keep_an_old_turnstile_alive() -> None:
    at = seats(1.0)
    make(at)
    gc.collect()
    assert isinstance(at[0].provider, Announcing)
    at[0].provider.announce(FAMILY, Limit(100, 0, 60.0))


# -------------------------------------------------------------------------------------------------- keys


@pytest.mark.parametrize(
    "error", [AuthenticationError("no"), QuotaExhaustedError("no"), PermissionDeniedError("no")]
)
def test_a_refused_key_is_disabled_and_only_that_one(error: ProviderError) -> None:
    told = Told()
    turnstile = make(seats(1.0, 1.0, 1.0), clock=FakeClock(), told=told)
    burnt = once(turnstile, error, 0.0)
    assert {once(turnstile, None, 1.0) for _ in range(50)} == {"k0", "k1", "k2"} - {burnt}
    assert told.names() == ["llm.key_disabled"]
    assert told.events[0][1]["key"] == burnt
    assert told.events[0][1]["outcome"] == error.outcome
    states = {name: state for name, state, _, _ in turnstile.key_states(1.0)}
    assert states == {key: "disabled" if key == burnt else "ok" for key in ("k0", "k1", "k2")}


def test_a_key_without_permission_is_disabled_for_that_family_only() -> None:
    clock = FakeClock()
    turnstile = make(seats(1.0, 1.0), clock=clock)
    burnt = once(turnstile, PermissionDeniedError("no"), 0.0)
    assert {once(turnstile, None, 1.0) for _ in range(30)} == {"k0", "k1"} - {burnt}
    assert {once(turnstile, None, 1.0, "other") for _ in range(30)} == {"k0", "k1"}
    assert {once(turnstile, None, RETRY_PERMISSION + 1) for _ in range(30)} == {"k0", "k1"}


def test_a_disabled_key_comes_back_by_one_trial() -> None:
    clock, told = FakeClock(), Told()
    turnstile = make(seats(1.0, 0.0), clock=clock, told=told)
    assert once(turnstile, AuthenticationError("no"), 0.0) == "k0"
    assert once(turnstile, None, RETRY_KEY - 1) == "k1"
    clock.advance(RETRY_KEY)
    trial = entered(turnstile, RETRY_KEY)
    assert trial.key == "k0"
    assert {entered(turnstile, RETRY_KEY).key for _ in range(10)} == {"k1"}, "one trial at a time"
    turnstile.learn(trial, AuthenticationError("still"))
    turnstile.leave(trial)
    assert entered(turnstile, RETRY_KEY + 1).key == "k1"
    assert told.names() == ["llm.key_disabled"], "nothing has changed"
    clock.advance(RETRY_KEY)
    undecided = entered(turnstile, 2 * RETRY_KEY)
    assert undecided.key == "k0"
    turnstile.learn(undecided, ServerError("says nothing of the key"))
    turnstile.leave(undecided)
    assert once(turnstile, None, 2 * RETRY_KEY) == "k0"
    assert told.names() == ["llm.key_disabled", "llm.key_back"]
    assert {entered(turnstile, 2 * RETRY_KEY).key for _ in range(10)} == {"k0"}


def test_a_success_of_what_was_sent_before_the_refusal_does_not_bring_the_key_back() -> None:
    clock = FakeClock()
    turnstile = make(seats(1.0, 0.0), clock=clock)
    before = entered(turnstile, 0.0)
    clock.advance(1.0)
    once(turnstile, QuotaExhaustedError("spent", retry_after=50.0), 1.0)
    turnstile.learn(before, None)
    assert entered(turnstile, 2.0).key == "k1"
    assert entered(turnstile, 51.0).key == "k0", "the vendor said when"


@both_loops
def test_with_every_key_disabled_nothing_is_sent_and_the_error_says_until_when(backend: str) -> None:
    async def main() -> None:
        turnstile = make(seats(1.0, 1.0, 0.0), slots=1)
        now = anyio.current_time()
        for _ in range(3):
            once(turnstile, AuthenticationError("no"), anyio.current_time())
            await anyio.sleep(100)
        for _ in range(2):
            with pytest.raises(NoUsableKeyError) as caught:
                await turnstile.enter(FAMILY, 0, float("inf"))
            assert caught.value.retry_after == pytest.approx(RETRY_KEY - 300, abs=1)
            assert caught.value.provider == "p"
        assert turnstile.try_enter(FAMILY, 0, anyio.current_time()) is None
        assert not turnstile.has_usable_key(FAMILY, anyio.current_time())
        assert not turnstile.other_key(FAMILY, frozenset(), anyio.current_time())
        assert turnstile.ready_at(FAMILY, anyio.current_time()) == pytest.approx(now + RETRY_KEY, abs=1)
        turnstile.reset()
        once(turnstile, None, anyio.current_time())

    simulated(backend, main)


@both_loops
def test_waiters_learn_at_once_that_no_key_is_left(backend: str) -> None:
    async def main() -> None:
        turnstile = make(seats(1.0, 1.0), slots=2)
        first = entered(turnstile)
        both = [first, entered(turnstile, avoid={first.key})]
        outcomes: list[float] = []

        async def wait() -> None:
            with pytest.raises(NoUsableKeyError):
                await turnstile.enter(FAMILY, 0, float("inf"))
            outcomes.append(anyio.current_time() - began)

        began = anyio.current_time()
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(wait)
            await anyio.sleep(1)
            for passed in both:
                turnstile.learn(passed, AuthenticationError("no"))
            for passed in both:
                turnstile.leave(passed)
        assert outcomes == pytest.approx([1.0] * 3, abs=0.01)

    simulated(backend, main)


@pytest.mark.parametrize(
    "error", [AuthenticationError("no"), QuotaExhaustedError("no"), PermissionDeniedError("")]
)
def test_a_sole_key_is_never_disabled(error: ProviderError) -> None:
    told = Told()
    turnstile = make(clock=FakeClock(), told=told)
    for _ in range(5):
        once(turnstile, error, 0.0)
    assert turnstile.ready_at(FAMILY, 0.0) == 0.0
    assert told.events == []


def test_a_limited_key_rests_and_the_others_go_on() -> None:
    clock = FakeClock()
    turnstile = make(seats(1.0, 1.0), clock=clock)
    limited = once(turnstile, RateLimitError("slow", retry_after=20.0), 0.0)
    other = ({"k0", "k1"} - {limited}).pop()
    assert {once(turnstile, None, 1.0) for _ in range(20)} == {other}
    assert {once(turnstile, None, 1.0, "other") for _ in range(20)} == {"k0", "k1"}
    assert turnstile.other_key(FAMILY, {limited}, 1.0)
    assert not turnstile.other_key(FAMILY, {other}, 1.0)
    assert turnstile.ready_at(FAMILY, 1.0) == 1.0
    assert ("resting", 20.0) in {(state, until) for _, state, _, until in turnstile.key_states(1.0)}
    once(turnstile, RateLimitError("slow", retry_after=50.0), 1.0)
    assert turnstile.try_enter(FAMILY, 0, 2.0) is None
    assert turnstile.ready_at(FAMILY, 2.0) == pytest.approx(20.0)
    assert {once(turnstile, None, 21.0) for _ in range(20)} == {limited}


def test_an_overloaded_provider_rests_with_all_its_keys() -> None:
    clock = FakeClock()
    turnstile = make(seats(1.0, 1.0), clock=clock)
    before = entered(turnstile)
    clock.advance(1.0)
    once(turnstile, OverloadedError("busy", retry_after=9.0), 1.0)
    assert turnstile.try_enter(FAMILY, 0, 2.0) is None
    assert turnstile.ready_at(FAMILY, 2.0) == pytest.approx(10.0)
    assert turnstile.try_enter("other", 0, 2.0) is not None
    turnstile.learn(before, None)
    assert turnstile.ready_at(FAMILY, 2.0) == pytest.approx(10.0), "sent before it"
    once(turnstile, OverloadedError("busy"), 10.0)
    assert turnstile.ready_at(FAMILY, 10.0) == 10.0


def test_keys_are_used_by_weight() -> None:
    turnstile = make(seats(1.0, 2.0, 5.0, 0.0), clock=FakeClock(), seed=7)
    draws = 8000
    used = Counter(once(turnstile, None, 0.0) for _ in range(draws))
    assert used["k3"] == 0
    expected = {"k0": draws / 8, "k1": draws / 4, "k2": draws * 5 / 8}
    chi_square = sum((used[key] - often) ** 2 / often for key, often in expected.items())
    assert chi_square < 13.8, "2 degrees of freedom, one in a thousand"


def test_the_same_seed_chooses_the_same_keys() -> None:
    runs = []
    for _ in range(2):
        turnstile = make(seats(1.0, 1.0, 1.0), clock=FakeClock(), seed=3)
        runs.append([once(turnstile, None, 0.0) for _ in range(50)])
    assert runs[0] == runs[1]


@both_loops
def test_a_drained_key_is_the_last_resort_and_no_short_cut(backend: str) -> None:
    async def main() -> None:
        turnstile = make(seats(1.0, 0.0), rpm=10)
        now = anyio.current_time()
        used = []
        for _ in range(3):
            passed = await turnstile.enter(FAMILY, 0, float("inf"))
            used.append(passed.key)
            turnstile.leave(passed)
        assert used == ["k0"] * 3, "a short wait for its pace is no reason"
        assert anyio.current_time() - now == pytest.approx(12.0, abs=0.1)
        turnstile.learn(passed, RateLimitError("slow", retry_after=30.0))
        assert once(turnstile, None, anyio.current_time()) == "k1"

    simulated(backend, main)


def test_keys_with_clearly_more_room_are_preferred() -> None:
    clock = FakeClock()
    at = seats(1.0, 1.0, 1.0)
    turnstile = make(at, clock=clock)
    for seat, left in zip(at, (90, 60, 20), strict=True):
        assert isinstance(seat.provider, Announcing)
        seat.provider.announce(FAMILY, Limit(1000, left * 10, 60.0))
    used = Counter(once(turnstile, None, 0.0) for _ in range(60))
    assert used["k2"] == 0
    assert min(used["k0"], used["k1"]) > 10


def test_keys_that_this_call_has_failed_with_are_avoided_while_there_are_others() -> None:
    turnstile = make(seats(1.0, 1.0, 0.0), clock=FakeClock())
    assert {entered(turnstile, avoid={"k0"}).key for _ in range(20)} == {"k1"}
    assert {entered(turnstile, avoid={"k0", "k1"}).key for _ in range(20)} == {"k2"}
    assert {entered(turnstile, avoid={"k0", "k1", "k2"}).key for _ in range(20)} == {"k0", "k1"}
    assert turnstile.other_key(FAMILY, {"k0", "k1"}, 0.0)
    assert not turnstile.other_key(FAMILY, {"k0", "k1", "k2"}, 0.0)


def test_names_of_models_do_not_fill_the_memory() -> None:
    turnstile = make(clock=FakeClock())
    held = entered(turnstile, family="held")
    for number in range(5 * MAX_FAMILIES):
        once(turnstile, None, 0.0, f"made-up-{number}")
    assert len(turnstile._keys._families) <= MAX_FAMILIES + 1
    for number in range(5 * MAX_FAMILIES):
        once(turnstile, RateLimitError("slow", retry_after=1e6), float(number) * 2e6, f"limited-{number}")
        entered(turnstile, float(number) * 2e6, family=f"in-flight-{number}")
    assert len(turnstile._keys._families) <= MAX_FAMILIES + 1
    turnstile.leave(held)


# ---------------------------------------------------------------------------------- laws, by chance and cancel

OUTCOMES: list[Callable[[], ProviderError | None]] = [
    lambda: None,
    lambda: None,
    lambda: ServerError("x"),
    lambda: RateLimitError("x", retry_after=2.0),
    lambda: RateLimitError("x"),
    lambda: OverloadedError("x", retry_after=1.0),
    lambda: AuthenticationError("x"),
    lambda: QuotaExhaustedError("x", retry_after=3.0),
    lambda: PermissionDeniedError("x"),
]

calls = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.0, 0.01, 0.5, 3.0]),  # after the one before
        st.sampled_from([0.0, 0.1, 1.0, 4.0]),  # how long it takes
        st.integers(0, len(OUTCOMES) - 1),
        st.one_of(st.none(), st.sampled_from([0.0, 0.1, 0.5, 1.0, 2.0, 4.0, 7.0])),  # cancelled after
        st.sampled_from(["a", "a", "b"]),
        st.sampled_from([frozenset(), frozenset(), frozenset({"k0"})]),
    ),
    min_size=1,
    max_size=30,
)


@given(
    calls,
    st.integers(1, 3),
    st.sampled_from([(1.0,), (1.0, 1.0), (1.0, 2.0, 0.0)]),
    st.sampled_from([None, None, 30]),
    st.integers(0, 6),
    st.sampled_from(BACKENDS),
)
def test_34_no_slot_leaks_and_nobody_is_overtaken(
    script: list[Any], slots: int, weights: tuple[float, ...], rpm: int | None, max_queue: int, backend: str
) -> None:
    async def main() -> None:
        turnstile = make(seats(*weights), slots=slots, rpm=rpm, max_queue=max_queue, patience=5.0)
        admitted: dict[Any, list[int]] = {}
        turned_away: list[float | None] = []
        inside = 0

        async def call(
            number: int, takes: float, how: int, limit: float | None, family: str, avoid: Any
        ) -> None:
            nonlocal inside
            began = anyio.current_time()
            with anyio.move_on_after(float("inf") if limit is None else limit):
                try:
                    passed = turnstile.try_enter(family, 10, began, avoid)
                    if passed is None:
                        passed = await turnstile.enter(family, 10, began + 8.0, avoid)
                except (PoolTimeout, RateLimitError, NoUsableKeyError) as error:
                    assert anyio.current_time() - began <= 5.01
                    turned_away.append(error.retry_after)
                    return
                assert anyio.current_time() - began <= 5.01
                admitted.setdefault((family, avoid), []).append(number)
                inside += 1
                assert inside <= slots
                try:
                    await anyio.sleep(takes)
                    turnstile.learn(passed, OUTCOMES[how]())
                finally:
                    inside -= 1
                    turnstile.leave(passed, 12)

        async with anyio.create_task_group() as group:
            for number, (gap, *facts) in enumerate(script):
                await anyio.sleep(gap)
                group.start_soon(call, number, *facts)
                await anyio.sleep(0.001)
                assert turnstile.in_flight <= slots
                assert turnstile.waiting <= max_queue
        assert (turnstile.in_flight, turnstile.waiting) == (0, 0)
        assert all(order == sorted(order) for order in admitted.values())
        assert not turnstile._lanes
        assert all(wait is None or wait > 0 for wait in turned_away)
        for state in turnstile._keys._families.values():
            assert all(desk.pacer.in_flight == 0 for desk in state.desks)
        await anyio.sleep(RETRY_KEY * 2)
        assert entered(turnstile, anyio.current_time()) is not None, "it can always be entered again"

    simulated(backend, main)


class KeyRing(RuleBasedStateMachine):
    """Three keys beside a plain model of who is disabled (by whom, until when) and who rests."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.told = Told()
        self.turnstile = make(seats(1.0, 1.0, 0.0), clock=self.clock, told=self.told, pace=False)
        self.held: list[Pass] = []
        self.disabled: dict[str, float] = {}
        self.trials: dict[str, Pass] = {}
        self.rests: dict[str, tuple[float, float]] = {}

    def usable(self) -> set[str]:
        now = self.clock.now()
        return {
            key
            for key in ("k0", "k1", "k2")
            if not (key in self.disabled and (key in self.trials or now < self.disabled[key]))
            and self.rests.get(key, (0.0, 0.0))[0] <= now
        }

    @rule()
    def enter(self) -> None:
        usable = self.usable()
        passed = self.turnstile.try_enter(FAMILY, 0, self.clock.now())
        assert (passed is None) == (not usable)
        if passed is not None and passed.key is not None:
            assert passed.key in (usable - {"k2"} or usable)
            if passed.key in self.disabled:
                self.trials[passed.key] = passed
            self.held.append(passed)

    @precondition(lambda self: bool(self.held))
    @rule(
        data=st.data(), how=st.sampled_from(["success", "refused", "quota", "limited", "cancelled", "server"])
    )
    def end(self, data: st.DataObject, how: str) -> None:
        passed = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
        key, now = passed.key, self.clock.now()
        assert key is not None
        if how == "success":
            self.turnstile.learn(passed, None)
            if passed.sent >= self.rests.get(key, (0.0, -1.0))[1]:
                self.rests.pop(key, None)
            if self.trials.get(key) is passed:
                del self.disabled[key], self.trials[key]
        elif how in {"refused", "quota"}:
            refusal = (
                AuthenticationError("") if how == "refused" else QuotaExhaustedError("", retry_after=40.0)
            )
            self.turnstile.learn(passed, refusal)
            running = key in self.trials
            until = now + (RETRY_KEY if how == "refused" else 40.0)
            self.disabled[key] = until if running else max(until, self.disabled.get(key, 0.0))
            self.trials.pop(key, None)
        elif how == "limited":
            self.turnstile.learn(passed, RateLimitError("", retry_after=15.0))
            self.rests[key] = (max(now + 15.0, self.rests.get(key, (0.0, 0.0))[0]), now)
        elif how == "server":
            self.turnstile.learn(passed, ServerError(""))
        self.turnstile.leave(passed)
        if self.trials.get(key) is passed:
            del self.trials[key]
            self.disabled[key] = now

    @rule(seconds=st.sampled_from([0.5, 5.0, 20.0, 400.0, 1000.0]))
    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule()
    def reset(self) -> None:
        self.turnstile.reset()
        self.disabled.clear()
        self.trials.clear()
        self.rests.clear()

    @invariant()
    def agrees(self) -> None:
        now = self.clock.now()
        assert self.turnstile.in_flight == len(self.held)
        usable = self.usable()
        for excluded in (frozenset[str | None](), frozenset[str | None]({"k0", "k1"})):
            assert self.turnstile.other_key(FAMILY, excluded, now) == bool(usable - excluded)
        assert (self.turnstile.ready_at(FAMILY, now) <= now) == bool(usable)
        states = {name for name, state, _, _ in self.turnstile.key_states(now) if state == "disabled"}
        assert states == set(self.disabled)


TestKeyRing = KeyRing.TestCase


# --------------------------------------------------------------------------------------------- throughput


class Strict:
    """A strict bucket of requests, per key, that announces what is left."""

    def __init__(self, rpm: float) -> None:
        self.size, self.left, self.at = rpm, rpm, anyio.current_time()

    def ask(self) -> tuple[float | None, Limit]:
        now, rate = anyio.current_time(), self.size / 60
        self.left, self.at = min(self.size, self.left + (now - self.at) * rate), now
        refused = None if self.left >= 1 else (1 - self.left) / rate
        self.left -= 1 if refused is None else 0
        return refused, Limit(self.size, int(self.left), (self.size - self.left) / rate)


@both_loops
@pytest.mark.parametrize("limits", [(120,), (60, 300)], ids=str)
def test_strict_buckets_behind_keys_are_used_up_without_refusals(
    limits: tuple[int, ...], backend: str
) -> None:
    async def main() -> None:
        at, random, counts = seats(*(1.0 for _ in limits)), Random(1), Counter[str]()
        turnstile = make(at, patience=1000.0)
        buckets = {seat.name: Strict(rpm) for seat, rpm in zip(at, limits, strict=True)}
        began = anyio.current_time()

        async def call() -> None:
            passed = await turnstile.enter(FAMILY, 0, float("inf"))
            await anyio.sleep(random.uniform(0.03, 0.1))
            refused, limit = buckets[passed.key].ask()
            await anyio.sleep(random.uniform(0.1, 1.0))
            assert isinstance(passed.seat.provider, Announcing)
            passed.seat.provider.announce(FAMILY, limit)
            turnstile.learn(passed, None if refused is None else RateLimitError("", retry_after=refused))
            counts["served" if refused is None else "refused"] += 1
            turnstile.leave(passed)

        async def worker() -> None:
            while anyio.current_time() - began < 600:
                await call()

        async with anyio.create_task_group() as group:
            for _ in range(40):
                group.start_soon(worker)
        assert counts["served"] >= 0.95 * sum(limits) * (1 + 600 / 60)
        assert counts["refused"] < 0.01 * counts["served"]

    simulated(backend, main)
