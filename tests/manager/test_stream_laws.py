"""The laws of streams and of cancellation in the manager (resilience, invariants 36 to 40 and 42 to 44), in simulated time."""

from __future__ import annotations

from random import Random
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmcore.config import FallbackConfig, Routing, Timeouts
from llmcore.errors import ProviderError, ServerError, StreamInterruptedError, TotalTimeout
from llmcore.manager import ProviderManager
from llmcore.testing import Answer, Fail, Hang, run_simulated
from llmcore.types import Event, Finished, GenerationRequest, TextDelta
from tests.manager.strategies import Made, Recorder, configs, failures, recorders, scripts

BACKENDS = st.sampled_from(["asyncio", "trio"])
late_failures = st.builds(
    lambda fail, words: Fail(fail.error, fail.delay, words), failures(), st.integers(0, 3)
)
stream_scripts = st.lists(
    st.lists(
        st.one_of(
            late_failures, st.just(Answer("one two three", gap=0.2)), st.builds(Hang, st.integers(0, 2))
        ),
        min_size=1,
        max_size=3,
    ),
    min_size=1,
    max_size=3,
)


async def read(
    manager: ProviderManager, deadline: float | None = 50.0
) -> tuple[list[Event], ProviderError | None]:
    events: list[Event] = []
    try:
        async with manager.stream(GenerationRequest("x", deadline=deadline)) as stream:
            async for event in stream:
                events.append(event)  # noqa: PERF401 - the events before an error count
    except ProviderError as error:
        return events, error
    return events, None


@given(config=configs, scripts_=stream_scripts, seed=st.integers(0, 3), backend=BACKENDS)
def test_36_to_38_one_provider_after_the_first_delta_and_one_end(
    config: Any, scripts_: Any, seed: int, backend: str
) -> None:
    async def main() -> None:
        log: list[Made] = []
        providers = recorders(scripts_, log)
        manager = ProviderManager(providers, config, random=Random(seed))
        events, error = await read(manager)
        ends = [event for event in events if isinstance(event, Finished)]
        assert len(ends) == (0 if error else 1)
        if ends:
            assert events[-1] is ends[0]
            assert ends[0].usage.input_tokens == 1
        deltas = [event.text for event in events if isinstance(event, TextDelta)]
        if deltas:
            last = log[-1]
            said = (
                "one two three"
                if isinstance(last.outcome, Answer)
                else " ".join(["w"] * getattr(last.outcome, "words", 0))
            )
            assert said.startswith("".join(deltas)), (
                "what is read comes from the last attempt alone, from its beginning"
            )
            assert all(not getattr(made.outcome, "words", 0) for made in log[:-1]), (
                "a failover after something was visible"
            )
        if error is not None and deltas:
            assert isinstance(error, (StreamInterruptedError, TotalTimeout))
        if not error:
            assert "".join(deltas) == "one two three"
        assert all(provider.open_streams == 0 for provider in providers)
        assert manager.stats().in_flight == 0

    run_simulated(main, backend=backend)


@given(words=st.integers(1, 3), backend=BACKENDS)
def test_37_an_interruption_says_who_and_what_came(words: int, backend: str) -> None:
    async def main() -> None:
        log: list[Made] = []
        providers = recorders([[Fail(ServerError("cut"), words=words)], [Answer("never")]], log)
        events, error = await read(ProviderManager(providers))
        assert isinstance(error, StreamInterruptedError)
        assert error.visible_output
        assert isinstance(error.__cause__, ServerError)
        assert [attempt.outcome for attempt in error.attempts] == ["StreamInterruptedError"]
        assert len(events) == words
        assert [made.name for made in log] == ["p0"]

    run_simulated(main, backend=backend)


@given(script=scripts, at=st.integers(0, 4), backend=BACKENDS)
def test_40_leaving_a_stream_anywhere_frees_its_slot(script: Any, at: int, backend: str) -> None:
    async def main() -> None:
        provider = Recorder("a", [*script, Answer("a b c")], [], routing=Routing(max_in_flight=1))
        manager = ProviderManager([provider], FallbackConfig(max_retries=4, max_attempts=9), random=Random(2))
        try:
            async with manager.stream("x") as stream:
                for _ in range(at):
                    await anext(stream)
        except (ProviderError, StopAsyncIteration):
            pass
        assert provider.open_streams == 0
        (guard,) = manager.fleet.guards
        assert guard.in_flight == 0
        provider._script = [Answer("again")]
        manager.reset("a")
        with anyio.fail_after(1):
            assert (await manager.generate("y")).text == "again"

    run_simulated(main, backend=backend)


async def _cancelled_at(
    step: int, operation: str, script: Any
) -> tuple[bool, ProviderManager, list[Recorder], float]:
    """Run a call and cancel it at the `step`-th checkpoint of a task beside it."""
    log: list[Made] = []
    providers = recorders([script, [Answer("b c d", delay=0.2, gap=0.1)]], log, [1, 1])
    manager = ProviderManager(providers, FallbackConfig(retry_delay_ms=100), random=Random(3))
    finished = False

    async def call() -> None:
        nonlocal finished
        if operation == "generate":
            await manager.generate("x")
        elif operation == "embed":
            await manager.embed("x")
        else:
            async with manager.stream("x") as stream:
                async for _ in stream:
                    pass
        finished = True

    async with anyio.create_task_group() as group:
        group.start_soon(call)
        for _ in range(step // 2):
            await anyio.lowlevel.checkpoint()
        if step % 2:
            await anyio.sleep(0.05 * (step // 2))
        group.cancel_scope.cancel()
    return finished, manager, providers, anyio.current_time()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("operation", ["generate", "stream", "embed"])
@pytest.mark.parametrize(
    "script",
    [
        [Answer("a b", delay=0.3, gap=0.1)],
        [Fail(ServerError("down"), delay=0.1)],
        [Hang()],
        [Fail(ServerError("down")), Answer("late", delay=0.4)],
    ],
    ids=["answer", "fail", "hang", "retry"],
)
def test_42_cancelling_at_any_point_leaves_nothing_behind(operation: str, script: Any, backend: str) -> None:
    outcomes = set()
    for step in range(50):
        finished, manager, providers, _ = run_simulated(
            _cancelled_at, step, operation, list(script), backend=backend
        )
        outcomes.add(finished)
        stats = manager.stats()
        for one in (stats, *stats.children):
            assert one.in_flight == 0, (step, one)
            assert one.requests == one.successes + one.failures + one.cancelled
        assert all(guard.in_flight == 0 and guard.entrance.has_room for guard in manager.fleet.guards), step
        assert all(provider.open_streams == 0 for provider in providers), step
        assert stats.failures == 0, "a cancellation is no failure"
    assert False in outcomes, "no step hit a running call"


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_43_cancelling_one_call_does_not_touch_another(backend: str) -> None:
    async def main(step: int) -> None:
        provider = Recorder("a", [Answer("a b c", delay=0.3, gap=0.1)], [], routing=Routing(max_in_flight=2))
        manager = ProviderManager([provider])
        texts: list[str] = []

        async def other() -> None:
            texts.append((await manager.stream("x").collect()).text)

        async with anyio.create_task_group() as group:
            group.start_soon(other)
            with anyio.move_on_after(0.02 * step):
                await manager.stream("y").collect()
        assert texts == ["a b c"]
        assert manager.stats().in_flight == 0

    for step in range(30):
        run_simulated(main, step, backend=backend)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_44_our_limit_is_a_timeout_and_the_outer_one_a_cancellation(backend: str) -> None:
    async def main(ours: float, outer: float) -> str:
        manager = ProviderManager([Recorder("a", [Hang()], [])])
        with anyio.move_on_after(outer) as scope:
            try:
                await manager.generate(GenerationRequest("x", deadline=ours))
            except TotalTimeout:
                return "timeout"
        return "cancelled" if scope.cancelled_caught else "?"

    assert run_simulated(main, 1.0, 2.0, backend=backend) == "timeout"
    assert run_simulated(main, 2.0, 1.0, backend=backend) == "cancelled"
    assert run_simulated(main, 1.0, 1.0, backend=backend) in {"cancelled", "timeout"}


def test_a_slot_that_never_comes_free_is_a_pool_timeout_of_ours() -> None:
    async def main() -> None:
        provider = Recorder("a", [Hang()], [], routing=Routing(max_in_flight=1))
        manager = ProviderManager([provider], timeouts=Timeouts(pool=3.0))
        async with anyio.create_task_group() as group:
            group.start_soon(manager.generate, "first")
            await anyio.sleep(0.1)
            with pytest.raises(ProviderError) as caught:
                await manager.generate("second")
            assert type(caught.value).__name__ == "PoolTimeout"
            group.cancel_scope.cancel()
        assert len(provider.requests) == 1

    run_simulated(main)


def test_slots_are_given_in_the_order_of_asking() -> None:
    async def main() -> None:
        log: list[Made] = []
        provider = Recorder("a", [Answer(delay=1.0)], log, routing=Routing(max_in_flight=1))
        manager = ProviderManager([provider], timeouts=Timeouts(pool=100.0))

        async def client(number: int) -> None:
            await anyio.sleep(0.01 * number)
            await manager.generate(f"call {number}")

        async with anyio.create_task_group() as group:
            for number in (4, 2, 0, 1, 3):
                group.start_soon(client, number)
        assert [made.request.messages[0].text for made in log] == [f"call {number}" for number in range(5)]  # type: ignore[union-attr]

    run_simulated(main)
