"""Corners of what people ask, of managers in managers, and of reloads."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmcore.config import FallbackConfig, MidStream, Routing
from llmcore.errors import (
    ConfigurationError,
    ConnectionReset,
    ProviderError,
    RateLimitError,
    ServerError,
)
from llmcore.manager.manager import ProviderManager
from llmcore.testing import Answer, Fail, Outcome, ScriptedProvider, run_simulated
from llmcore.types import (
    EmbeddingRequest,
    Finished,
    GenerationRequest,
    TextDelta,
)
from tests.manager.corners import (
    BACKENDS,
    END,
    Backend,
    Parts,
    both,
    by_hand,
    idle,
    read,
    reloading,
    text_of,
)
from tests.manager.strategies import Made, recorders, scripts
from tests.manager.test_entrance import Keyed

# -------------------------------------------------------------------------------------- people and limits


@pytest.mark.parametrize("session", [["a", 1], {"k": 1}, ("a", ["b"]), 7, "s"])
def test_anything_may_be_a_session(session: object) -> None:
    async def main() -> None:
        providers = [ScriptedProvider(name) for name in "abc"]
        manager = ProviderManager(providers, FallbackConfig(strategy="round_robin"))
        request = GenerationRequest("x", metadata={"session": session})
        assert manager.explain(request).order[0] == "a"
        assert {(await manager.generate(request)).provider for _ in range(6)} == {"a"}

    run_simulated(main)


def test_isolated_means_any_model_also_one_never_asked_for() -> None:
    async def main() -> None:
        a, b = ScriptedProvider("a"), ScriptedProvider("b")
        manager = ProviderManager([a, b])
        manager.isolate("a")
        assert (await manager.generate(GenerationRequest("x", model="brand-new"))).provider == "b"
        manager.reset("a")
        assert (await manager.generate(GenerationRequest("x", model="newer"))).provider == "a"

    run_simulated(main)


@both
@pytest.mark.parametrize("operation", ["generate", "stream", "embed"])
def test_a_deadline_of_nothing_ends_at_once_and_leaves_nothing(operation: str, backend: Backend) -> None:
    async def main() -> None:
        for count in (1, 2):
            providers = [ScriptedProvider(name, [Answer(delay=1.0)]) for name in "ab"[:count]]
            manager = ProviderManager(providers)
            request = GenerationRequest("x", deadline=0.0)
            asked: dict[str, Any] = {
                "embed": lambda one=manager: one.embed(EmbeddingRequest("x", deadline=0.0)),
                "stream": lambda one=manager, x=request: one.stream(x).collect(),
                "generate": lambda one=manager, x=request: one.generate(x),
            }
            with pytest.raises(ProviderError):
                await asked[operation]()
            assert anyio.current_time() == 0.0
            assert idle(manager)
            assert manager.explain(GenerationRequest("x", deadline=0.0)).deadline_s == 0.0

    run_simulated(main, backend=backend)


@given(
    scripts_=st.lists(scripts, min_size=1, max_size=3),
    most=st.integers(1, 4),
    hedge=st.none() | st.just(0.3),
    mid_stream=st.sampled_from(["fail", "restart", "continue", "splice"]),
    backend=BACKENDS,
)
def test_max_attempts_is_a_hard_cap_whatever_asks_for_more(
    scripts_: list[list[Outcome]], most: int, hedge: float | None, mid_stream: MidStream, backend: Backend
) -> None:
    async def main() -> None:
        log: list[Made] = []
        cut: list[Outcome] = [Fail(ServerError("cut"), words=2)]
        plain = recorders([*scripts_, cut, cut], log)
        keyed = Keyed(one=[Fail(RateLimitError("x"))], two=[Fail(RateLimitError("x"))], three=cut)
        manager = ProviderManager(
            [keyed, *plain],
            FallbackConfig(max_attempts=most, hedge_after=hedge, patience=1.0, mid_stream=mid_stream),
        )
        events, error = await read(manager, GenerationRequest("x", deadline=200.0))
        asked = len(log) + sum(len(part.requests) for part in keyed.parts.values())
        assert asked <= most
        end = error if error is not None else events[-1]
        assert isinstance(end, (ProviderError, Finished))
        assert len(end.attempts) == asked
        assert idle(manager)

    run_simulated(main, backend=backend)


# ------------------------------------------------------------------------------------ managers in managers


def test_who_was_passed_over_inside_a_manager_of_managers_is_told() -> None:
    async def main() -> None:
        inner = ProviderManager([ScriptedProvider("a"), ScriptedProvider("b")], name="inner")
        inner.isolate("a")
        outer = ProviderManager([ScriptedProvider("z", [Fail(ServerError("down"))]), inner])
        answer = await outer.generate("x")
        assert answer.provider == "b"
        assert {skip.provider for skip in answer.skipped} == {"a"}
        assert [one.provider for one in answer.attempts] == ["z", "z", "b"]
        end = (await read(outer))[0][-1]
        assert isinstance(end, Finished)
        assert "a" in {skip.provider for skip in end.skipped}

    run_simulated(main)


def test_a_restart_inside_a_manager_of_managers_is_known_outside() -> None:
    async def main() -> None:
        cut = ConnectionReset("cut")
        one, two = Parts("a", [TextDelta("old "), cut]), Parts("b", [TextDelta("new "), cut])
        inner = ProviderManager([one, two], FallbackConfig(mid_stream="restart"), name="inner")
        last = Parts("z", [TextDelta("new and all"), END])
        outer = ProviderManager([inner, last], FallbackConfig(mid_stream="splice"))
        events, error = await read(outer)
        assert error is None
        assert text_of(events) == "new and all"

    run_simulated(main)


# ------------------------------------------------------------------------------------------------ reload


@both
def test_a_provider_kept_once_is_not_closed_under_a_call_of_an_older_configuration(backend: Backend) -> None:
    async def main() -> None:
        a, b, c = ScriptedProvider("a"), ScriptedProvider("b", [Answer(delay=5.0)]), ScriptedProvider("c")
        manager = reloading(a, b)
        async with anyio.create_task_group() as group:
            group.start_soon(manager.generate, GenerationRequest("x", providers=("b",)))
            await anyio.sleep(0.1)
            group.start_soon(manager.reload, by_hand(b))
            await anyio.sleep(0.1)
            group.start_soon(manager.reload, by_hand(c))
            await anyio.sleep(1.0)
            assert manager.providers == (c,)
            assert not b.closed
        assert a.closed
        assert b.closed
        assert anyio.current_time() == pytest.approx(5.0, abs=0.01)

    run_simulated(main, backend=backend)


@both
def test_a_call_in_a_queue_ends_as_it_began_while_the_configuration_changes(backend: Backend) -> None:
    async def main() -> None:
        a = ScriptedProvider("a", [Answer(delay=2.0)], routing=Routing(max_in_flight=1))
        manager = reloading(a)
        answers: list[str | None] = []

        async def call() -> None:
            answers.append((await manager.generate("x")).provider)

        async with anyio.create_task_group() as group:
            group.start_soon(call)
            group.start_soon(call)
            await anyio.sleep(0.5)
            with anyio.move_on_after(0.5):
                await manager.reload(by_hand(ScriptedProvider("b")))  # given up while it drains
            assert (await manager.generate("x")).provider == "b"
        assert answers == ["a", "a"]
        assert not a.closed
        await manager.aclose()
        assert a.closed

    run_simulated(main, backend=backend)


@both
def test_a_call_that_waits_for_its_next_attempt_does_not_outlive_its_manager(backend: Backend) -> None:
    async def main() -> None:
        a = ScriptedProvider(
            "a", [Fail(RateLimitError("later", status=429, retry_after=20.0)), Answer("late")]
        )
        manager = ProviderManager([a])
        began, failed = anyio.current_time(), []

        async def call() -> None:
            with pytest.raises(ProviderError) as caught:
                await manager.generate("x")
            failed.append((anyio.current_time() - began, caught.value))

        async with anyio.create_task_group() as group:
            group.start_soon(call)
            await anyio.sleep(1.0)
            assert len(a.requests) == 1
            await manager.aclose()
        ((after, error),) = failed
        assert after == pytest.approx(1.0)
        assert "later" in str(error)
        assert len(a.requests) == 1
        assert manager.stats().in_flight == 0

    run_simulated(main, backend=backend)


def test_a_configuration_that_cannot_work_is_settled_as_not_taken() -> None:
    async def main() -> None:
        told: list[bool] = []
        a = ScriptedProvider("a")
        manager = reloading(a)
        with pytest.raises(ConfigurationError):
            await manager.reload(by_hand(settle=told.append))
        await manager.reload(by_hand(ScriptedProvider("b"), settle=told.append))
        assert told == [False, True]

    run_simulated(main)
