"""The laws of calls, attempts, time and selection (resilience, invariants 1 to 15, 30, 33, 34, 48), in simulated time."""

from __future__ import annotations

import contextlib
import time
from functools import partial
from random import Random
from typing import Any

import anyio
import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmcore.config import FallbackConfig, Routing, Timeouts
from llmcore.errors import AllProvidersFailed, ProviderError, RateLimitError, ServerError, TotalTimeout
from llmcore.manager import ProviderManager
from llmcore.manager.plan import BASE_S, THROTTLED_BASE_S
from llmcore.testing import Answer, Fail, Hang, run_simulated
from llmcore.types import Attempt, GenerationRequest, GenerationResponse, ProviderStats
from tests.manager.strategies import Made, Recorder, configs, deadlines, recorders, scripts

BACKENDS = st.sampled_from(["asyncio", "trio"])
OPERATIONS = st.sampled_from(["generate", "stream", "embed"])


@attrs.define
class Run:
    """One call and everything that can be seen of it."""

    config: FallbackConfig
    log: list[Made]
    result: Any
    error: ProviderError | None
    began: float
    ended: float
    limit: float
    manager: ProviderManager
    providers: list[Recorder]

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        source = self.result if self.error is None else self.error
        return tuple(source.attempts)


async def ask(manager: ProviderManager, operation: str, deadline: float | None) -> Any:
    if operation == "embed":
        from llmcore.types import EmbeddingRequest

        return await manager.embed(EmbeddingRequest("x", deadline=deadline))
    request = GenerationRequest("x", deadline=deadline)
    if operation == "generate":
        return await manager.generate(request)
    return await manager.stream(request).collect()


async def one_call(
    config: FallbackConfig, scripts_: list[Any], operation: str, deadline: float | None, seed: int
) -> Run:
    log: list[Made] = []
    providers = recorders(scripts_, log)
    manager = ProviderManager(providers, config, random=Random(seed))
    began = anyio.current_time()
    result, failure = None, None
    try:
        result = await ask(manager, operation, deadline)
    except ProviderError as error:
        failure = error
    limit = 600.0 if deadline is None else deadline
    return Run(config, log, result, failure, began, anyio.current_time(), limit, manager, providers)


runs = {
    "config": configs,
    "scripts_": st.lists(scripts, min_size=1, max_size=4),
    "operation": OPERATIONS,
    "deadline": deadlines,
    "seed": st.integers(0, 5),
    "backend": BACKENDS,
}


def law(check: Any, patience: float = 10.0) -> Any:
    """A test that draws a call, runs it in simulated time on one of the loops, and looks at what happened."""

    @given(**runs)  # type: ignore[arg-type]
    def test(
        config: Any, scripts_: Any, operation: str, deadline: float | None, seed: int, backend: str
    ) -> None:
        config = attrs.evolve(config, patience=patience)
        check(run_simulated(one_call, config, scripts_, operation, deadline, seed, backend=backend))

    test.__doc__ = check.__doc__
    return test


law_of_one_lane = partial(law, patience=0.0)  # nobody is asked beside; where somebody is: test_side_by_side


def candidates(run: Run) -> int:
    return len(run.providers) if run.config.enabled else 1


def allowed(run: Run) -> tuple[int, int]:
    """(attempts in all, attempts on one candidate)"""
    config = run.config
    retries = (1 if config.max_retries is None else config.max_retries) if config.enabled else 0
    return config.max_attempts or min(12, candidates(run) * (1 + retries)), 1 + retries


@law
def test_1_attempts_are_bounded(run: Run) -> None:
    total, each = allowed(run)
    assert len(run.log) <= total
    for provider in run.providers:
        assert len(provider.requests) <= each


@law
def test_2_a_call_with_a_candidate_and_time_makes_an_attempt(run: Run) -> None:
    assert run.log or run.limit == 0


@law
def test_3_a_call_has_exactly_one_outcome(run: Run) -> None:
    assert (run.result is None) != (run.error is None)


@law
def test_4_a_success_is_the_result(run: Run) -> None:
    won = [made for made in run.log if made.how is None]
    assert len(won) <= 1
    if won and not isinstance(run.error, TotalTimeout):
        assert run.result is not None
        assert run.result.provider == won[0].name
        if isinstance(run.result, GenerationResponse):
            assert isinstance(won[0].outcome, Answer)
            assert run.result.text == won[0].outcome.text


@law_of_one_lane
def test_5_nothing_starts_after_the_end(run: Run) -> None:
    for earlier, later in zip(run.log, run.log[1:], strict=False):
        assert earlier.how is not None, "an attempt after a success"
        assert later.start <= run.began + run.limit
    assert all(made.start <= run.ended for made in run.log)


@law_of_one_lane
def test_6_a_fatal_class_ends_the_call(run: Run) -> None:
    for made in run.log[:-1]:
        assert isinstance(made.how, ProviderError)
        assert made.how.retryable or made.how.failover


@law
def test_7_the_same_candidate_gets_the_same_request(run: Run) -> None:
    for provider in run.providers:
        asked = [attrs.evolve(request, deadline=None) for request in provider.requests]
        assert all(request == asked[0] for request in asked)


@law_of_one_lane
def test_8_the_error_lists_the_attempts_in_order(run: Run) -> None:
    assert [attempt.provider for attempt in run.attempts] == [made.name for made in run.log]
    outcomes = [attempt.outcome for attempt in run.attempts]
    for made, outcome in zip(run.log, outcomes, strict=True):
        if made.how is None:
            assert outcome in {"success", "TotalTimeout"}
        elif isinstance(made.how, ProviderError):
            assert outcome in {type(made.how).__name__, "TotalTimeout"}
    if isinstance(run.error, AllProvidersFailed):
        assert [type(error).__name__ for error in run.error.leaves()] == outcomes
    starts = [attempt.started_s for attempt in run.attempts]
    assert starts == pytest.approx([made.start - run.began for made in run.log])


@law_of_one_lane
def test_9_attempts_never_overlap(run: Run) -> None:
    for earlier, later in zip(run.log, run.log[1:], strict=False):
        assert earlier.end is not None
        assert earlier.end <= later.start


@law
def test_10_waits_are_what_the_vendor_asked_or_full_jitter(run: Run) -> None:
    done: dict[str, int] = {}
    for earlier, later in zip(run.log, run.log[1:], strict=False):
        if earlier.name != later.name:
            continue
        error = earlier.how
        assert isinstance(error, ProviderError)
        assert earlier.end is not None
        wait = later.start - earlier.end
        retry = done[later.name] = done.get(later.name, -1) + 1
        if error.retry_after is not None:
            assert error.retry_after - 1e-9 <= wait <= error.retry_after + 1.0 + 1e-9
            assert error.retry_after <= run.config.max_retry_after
        else:
            throttled = type(error).__name__ in {"RateLimitError", "OverloadedError"}
            default = THROTTLED_BASE_S if throttled else BASE_S
            base = default if run.config.retry_delay_ms is None else run.config.retry_delay_ms / 1000
            assert -1e-9 <= wait <= min(20.0, base * 2**retry) + 1e-9


@law
def test_11_no_wait_is_begun_that_ends_past_the_deadline(run: Run) -> None:
    if isinstance(run.error, TotalTimeout):
        running = [made for made in run.log if made.end is None or made.end >= run.began + run.limit - 1e-9]
        assert running or run.limit == 0, "the deadline passed while nothing ran: a wait was begun in vain"


@law
def test_12_a_call_ends_by_its_deadline(run: Run) -> None:
    assert run.ended - run.began <= run.limit + 2.0


@law
def test_30_a_lower_candidate_is_asked_only_after_the_higher_failed(run: Run) -> None:
    if run.config.strategy != "priority":
        return
    asked = [made.name for made in run.log]
    assert asked == sorted(asked)


@law
def test_33_a_candidate_that_was_left_is_not_asked_again(run: Run) -> None:
    names = [made.name for made in run.log]
    blocks = [name for place, name in enumerate(names) if place == 0 or names[place - 1] != name]
    assert len(blocks) == len(set(blocks))


@law
def test_34_and_48_nothing_stays_in_flight_and_stats_add_up(run: Run) -> None:
    stats = run.manager.stats()
    for one in (stats, *stats.children):
        assert one.in_flight == 0
        assert one.requests == one.successes + one.failures + one.cancelled + one.in_flight
    assert stats.requests == 1
    assert (stats.successes, stats.failures) == ((1, 0) if run.error is None else (0, 1))
    assert sum(child.requests for child in stats.children) == len(run.log)
    assert all(provider.open_streams == 0 for provider in run.providers)


@given(
    config=configs,
    scripts_=st.lists(scripts, min_size=1, max_size=3),
    jumps=st.integers(-3600, 3600),
    backend=BACKENDS,
)
@settings(max_examples=settings().max_examples // 2)
def test_14_a_jumping_wall_clock_changes_nothing(
    config: Any, scripts_: Any, jumps: int, backend: str
) -> None:
    def seen() -> Any:
        run = run_simulated(one_call, config, scripts_, "generate", 30.0, 1, backend=backend)
        times = [(made.name, made.start - run.began) for made in run.log]
        return times, type(run.error), run.result and run.result.text

    steady = seen()
    with pytest.MonkeyPatch.context() as patch:
        now, steps = time.time(), iter(range(10**9))
        patch.setattr(time, "time", lambda: now + jumps * next(steps))
        jumping = seen()
    assert steady[1:] == jumping[1:]
    assert [name for name, _ in steady[0]] == [name for name, _ in jumping[0]]
    assert [at for _, at in steady[0]] == pytest.approx([at for _, at in jumping[0]])


@given(
    clients=st.lists(
        st.tuples(seconds := st.sampled_from([0.0, 0.3, 1.0]), OPERATIONS), min_size=1, max_size=12
    ),
    limits=st.lists(st.integers(1, 3), min_size=1, max_size=3),
    script=scripts,
    backend=BACKENDS,
)
@settings(max_examples=settings().max_examples // 2)
def test_34_and_48_hold_at_every_moment_of_a_crowd(
    clients: Any, limits: list[int], script: Any, backend: str
) -> None:
    async def main() -> None:
        log: list[Made] = []
        providers = recorders([[*script, Answer(delay=0.5)] for _ in limits], log, list(limits))
        manager = ProviderManager(providers, FallbackConfig(), timeouts=Timeouts(pool=50.0), random=Random(1))

        def check(stats: ProviderStats) -> None:
            assert stats.requests == stats.successes + stats.failures + stats.cancelled + stats.in_flight
            for child in stats.children:
                check(child)

        async def client(delay: float, operation: str) -> None:
            await anyio.sleep(delay)
            with contextlib.suppress(ProviderError):
                await ask(manager, operation, 20.0)

        async def watch() -> None:
            while True:
                check(manager.stats())
                for guard, limit in zip(manager.fleet.guards, limits, strict=True):
                    assert 0 <= guard.in_flight <= limit
                    assert guard.stats().in_flight <= limit
                await anyio.sleep(0.05)

        async with anyio.create_task_group() as watching:
            watching.start_soon(watch)
            async with anyio.create_task_group() as group:
                for delay, operation in clients:
                    group.start_soon(client, delay, operation)
            watching.cancel_scope.cancel()
        check(manager.stats())
        assert all(guard.in_flight == 0 and guard.entrance.has_room for guard in manager.fleet.guards)

    run_simulated(main, backend=backend)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_resting_candidate_is_passed_over_and_waited_for_when_alone(backend: str) -> None:
    async def main() -> None:
        log: list[Made] = []
        limited = Recorder("a", [Fail(RateLimitError("slow", retry_after=10.0)), Answer("a")], log)
        other = Recorder("b", [Answer("b")], log)
        manager = ProviderManager([limited, other], FallbackConfig())
        assert (await manager.generate("x")).text == "b"
        assert (await manager.generate("x")).text == "b"
        assert [made.name for made in log] == ["a", "b", "b"], "a rests, so it is not asked"

        alone = Recorder("c", [Fail(RateLimitError("slow", retry_after=10.0)), Answer("c")], log)
        manager = ProviderManager([alone], FallbackConfig(max_retries=0))
        with pytest.raises(RateLimitError):
            await manager.generate("x")
        began = anyio.current_time()
        response = await manager.generate("x")
        assert response.text == "c"
        assert anyio.current_time() - began == pytest.approx(10.0)
        assert response.attempts[0].wait_s == pytest.approx(10.0)

    run_simulated(main, backend=backend)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_when_all_rest_too_long_the_error_says_until_when(backend: str) -> None:
    async def main() -> None:
        providers = [
            Recorder(name, [Fail(RateLimitError("slow", retry_after=wait))], [])
            for name, wait in (("a", 90.0), ("b", 70.0))
        ]
        manager = ProviderManager(providers, FallbackConfig(max_retries=0))
        with pytest.raises(AllProvidersFailed):
            await manager.generate("x")
        with pytest.raises(AllProvidersFailed) as caught:
            await manager.generate("x")
        assert caught.value.retry_after == pytest.approx(70.0)
        assert caught.value.attempts == ()

    run_simulated(main, backend=backend)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_hanging_provider_costs_the_deadline_and_no_more(backend: str) -> None:
    async def main() -> None:
        manager = ProviderManager([Recorder("a", [Hang()], []), Recorder("b", [Answer()], [])])
        with pytest.raises(TotalTimeout) as caught:
            await manager.generate(GenerationRequest("x", deadline=7.0))
        assert anyio.current_time() - 0.0 >= 7.0
        assert [attempt.outcome for attempt in caught.value.attempts] == ["TotalTimeout"]
        assert manager.stats().in_flight == 0

    run_simulated(main, backend=backend)


def test_a_lone_error_is_itself_and_several_are_a_group() -> None:
    async def main() -> None:
        down = Fail(ServerError("down"))
        with pytest.raises(ServerError) as lone:
            await ProviderManager([Recorder("a", [down], [])], FallbackConfig(max_retries=0)).generate("x")
        assert [attempt.provider for attempt in lone.value.attempts] == ["a"]
        with pytest.raises(AllProvidersFailed) as group:
            await ProviderManager([Recorder("a", [down], []), Recorder("b", [down], [])]).generate("x")
        assert [error.provider for error in group.value.leaves()] == ["a", "a", "b", "b"]

    run_simulated(main)


def test_a_manager_of_managers_counts_every_attempt_once() -> None:
    async def main() -> None:
        down = Fail(ServerError("down"))
        inner = ProviderManager(
            [Recorder("a", [down], []), Recorder("b", [down], [])],
            FallbackConfig(max_retries=0),
            name="inner",
        )
        outer = ProviderManager(
            [inner, Recorder("c", [Answer("c")], [])], FallbackConfig(max_retries=0), name="outer"
        )
        response = await outer.generate("x")
        assert response.text == "c"
        assert [attempt.provider for attempt in response.attempts] == ["a", "b", "c"]

    run_simulated(main)


def test_a_routing_with_a_limit_makes_the_next_candidate_step_in() -> None:
    async def main() -> None:
        log: list[Made] = []
        small = Recorder("a", [Answer("a", delay=5.0)], log, routing=Routing(priority=1, max_in_flight=1))
        large = Recorder("b", [Answer("b", delay=5.0)], log, routing=Routing(priority=2))
        manager = ProviderManager([small, large])
        texts: list[str] = []

        async def client() -> None:
            texts.append((await manager.generate("x")).text)

        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(client)
        assert sorted(texts) == ["a", "b", "b"]

    run_simulated(main)
