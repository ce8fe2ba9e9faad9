"""A manager that is closed: calls under way end, and nobody is asked any more, whatever they were waiting for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmcore.config import FallbackConfig, MidStream, Routing
from llmcore.errors import (
    ConfigurationError,
    ProviderError,
    RateLimitError,
    ServerError,
    StreamInterruptedError,
)
from llmcore.manager.manager import ProviderManager, Rebuilt
from llmcore.testing import Answer, Fail, Hang, Outcome, ScriptedProvider, run_simulated
from llmcore.types import EmbeddingRequest, GenerationRequest
from tests.manager.corners import BACKENDS, Backend, both, by_hand, idle
from tests.manager.strategies import Made, recorders, scripts

CLOSED_AT = 1.0


class Lingering(ScriptedProvider):
    """Takes its time to close, as one does whose sockets must go first."""

    async def aclose(self) -> None:
        await anyio.sleep(0.5)
        await super().aclose()


def later(seconds: float) -> Fail:
    return Fail(RateLimitError("later", status=429, retry_after=seconds))


OPERATIONS: dict[str, Callable[[ProviderManager], Awaitable[Any]]] = {
    "generate": lambda manager: manager.generate(GenerationRequest("x", deadline=30.0)),
    "stream": lambda manager: manager.stream(GenerationRequest("x", deadline=30.0)).collect(),
    "embed": lambda manager: manager.embed(EmbeddingRequest("x", deadline=30.0)),
}


async def ended(
    call: Callable[[], Awaitable[Any]], close: Callable[[], Awaitable[None]]
) -> tuple[float, ProviderError]:
    """When and how `call` fails, where `close` is awaited at CLOSED_AT."""
    began, ends = anyio.current_time(), []

    async def ask() -> None:
        with pytest.raises(ProviderError) as caught:
            await call()
        ends.append((anyio.current_time() - began, caught.value))

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await anyio.sleep(CLOSED_AT)
        await close()
    (end,) = ends
    return end


@both
@pytest.mark.parametrize("operation", list(OPERATIONS))
def test_a_call_that_waits_for_its_next_attempt_does_not_turn_to_another_provider(
    operation: str, backend: Backend
) -> None:
    async def main() -> None:
        a, b = Lingering("a", [later(2.5), Answer("late")]), ScriptedProvider("b")
        manager = ProviderManager([a, b], FallbackConfig(prefer_failover_after=3.0))
        after, error = await ended(lambda: OPERATIONS[operation](manager), manager.aclose)
        assert after == pytest.approx(CLOSED_AT)
        assert "later" in str(error)
        assert (len(a.requests), len(b.requests)) == (1, 0)
        assert idle(manager)

    run_simulated(main, backend=backend)


@both
def test_a_call_with_a_budget_of_its_own_ends_with_the_manager(backend: Backend) -> None:
    async def main() -> None:
        a = Lingering("a", [later(2.5), Answer("late")])
        manager = ProviderManager([a])
        other = manager.sharing()
        after, error = await ended(lambda: other.generate("x"), manager.aclose)
        assert after == pytest.approx(CLOSED_AT)
        assert "later" in str(error)
        assert len(a.requests) == 1

    run_simulated(main, backend=backend)


@both
@pytest.mark.parametrize("operation", list(OPERATIONS))
def test_a_call_that_waits_for_a_slot_ends_and_asks_nobody(operation: str, backend: Backend) -> None:
    async def main() -> None:
        a = Lingering("a", [Hang()], routing=Routing(max_in_flight=1))
        b = Lingering("b", [Hang()], routing=Routing(max_in_flight=1))
        manager = ProviderManager([a, b], FallbackConfig(patience=0.0))
        async with anyio.create_task_group() as group:

            async def hold() -> None:
                await manager.generate("x")

            group.start_soon(hold)
            group.start_soon(hold)
            await anyio.lowlevel.checkpoint()
            after, error = await ended(lambda: OPERATIONS[operation](manager), manager.aclose)
            group.cancel_scope.cancel()
        assert after == pytest.approx(CLOSED_AT)
        assert "closed" in str(error)
        assert (len(a.requests), len(b.requests)) == (1, 1)
        assert idle(manager)

    run_simulated(main, backend=backend)


@both
@pytest.mark.parametrize("fallback", [FallbackConfig(patience=2.0), FallbackConfig(hedge_after=2.0)])
def test_nobody_is_asked_beside_a_silent_one(fallback: FallbackConfig, backend: Backend) -> None:
    async def main() -> None:
        a, b = ScriptedProvider("a", [Hang()]), ScriptedProvider("b")
        manager = ProviderManager([a, b], fallback)
        await ended(lambda: manager.generate(GenerationRequest("x", deadline=5.0)), manager.aclose)
        assert (len(a.requests), len(b.requests)) == (1, 0)
        assert idle(manager)

    run_simulated(main, backend=backend)


@both
def test_nobody_goes_on_with_a_stream_that_breaks(backend: Backend) -> None:
    async def main() -> None:
        a = ScriptedProvider("a", [Fail(ServerError("cut"), words=2, delay=2.0)])
        b = ScriptedProvider("b")
        manager = ProviderManager([a, b], FallbackConfig(mid_stream="restart"))
        _, error = await ended(lambda: manager.stream("x").collect(), manager.aclose)
        assert isinstance(error, StreamInterruptedError)
        assert (len(a.requests), len(b.requests)) == (1, 0)
        assert idle(manager)

    run_simulated(main, backend=backend)


@both
@pytest.mark.parametrize("how", ["fails", "is cancelled"])
def test_a_stream_that_was_closed_while_it_opened_is_counted_once(how: str, backend: Backend) -> None:
    async def main() -> None:
        provider = ScriptedProvider("a", [Fail(ServerError("down"), delay=3.0)])
        manager = ProviderManager([provider], FallbackConfig(max_retries=0))
        stream = manager.stream("x")
        async with anyio.create_task_group() as group:

            async def opening() -> None:
                with suppress(ProviderError):
                    await stream.open()

            group.start_soon(opening)
            await anyio.sleep(1.0)
            await stream.aclose()
            if how == "is cancelled":
                group.cancel_scope.cancel()
        stats = manager.stats()
        assert (stats.requests, stats.failures, stats.cancelled, stats.in_flight) == (1, 0, 1, 0)
        assert len(manager.ledger.attempts) == 1
        other = manager.stream("x")
        async with anyio.create_task_group() as group:
            group.start_soon(_read, other)
            await anyio.sleep(1.0)
            assert manager.fleet.busy  # or else a reload would close what it reads from
            group.cancel_scope.cancel()
        assert idle(manager)

    run_simulated(main, backend=backend)


async def _read(stream: Any) -> None:
    async with stream as events:
        async for _ in events:
            pass


def test_a_manager_that_is_closed_says_so() -> None:
    async def main() -> None:
        a = ScriptedProvider("a")
        manager = ProviderManager([a])
        late = manager.stream("x")
        await manager.aclose()
        for operation in OPERATIONS.values():
            with pytest.raises(ProviderError, match="closed"):
                await operation(manager)
        with pytest.raises(ProviderError, match="closed"):
            await late.collect()
        assert not a.requests
        assert idle(manager)

    run_simulated(main)


def test_a_manager_that_is_closed_while_it_reloads_stays_closed_and_keeps_nothing() -> None:
    async def main() -> None:
        settled: list[bool] = []
        new = ScriptedProvider("new")

        async def rebuild(_: object) -> Rebuilt:
            await anyio.sleep(2 * CLOSED_AT)
            return by_hand(new, settle=settled.append)

        manager = ProviderManager([ScriptedProvider("a")], rebuild=rebuild)
        async with anyio.create_task_group() as group:

            async def reload() -> None:
                with pytest.raises(ConfigurationError, match="closed"):
                    await manager.reload({})

            group.start_soon(reload)
            await anyio.sleep(CLOSED_AT)
            await manager.aclose()
        assert settled == [False]
        assert [provider.name for provider in manager.providers] == ["a"]

    run_simulated(main)


@given(
    scripts_=st.lists(scripts, min_size=1, max_size=3),
    limits=st.lists(st.none() | st.just(1), min_size=3, max_size=3),
    moment=st.sampled_from([0.05, 0.3, 0.75, 1.25, 3.2, 7.5, 21.0]),
    hedge=st.none() | st.just(0.3),
    mid_stream=st.sampled_from(["fail", "restart", "continue", "splice"]),
    operation=st.sampled_from(list(OPERATIONS)),
    backend=BACKENDS,
)
def test_nobody_is_asked_after_the_end_and_nothing_stays_held(
    scripts_: list[list[Outcome]],
    limits: list[int | None],
    moment: float,
    hedge: float | None,
    mid_stream: MidStream,
    operation: str,
    backend: Backend,
) -> None:
    async def main() -> None:
        log: list[Made] = []
        providers = recorders(scripts_, log, limits[: len(scripts_)])
        fallback = FallbackConfig(max_retries=3, hedge_after=hedge, patience=1.0, mid_stream=mid_stream)
        manager = ProviderManager(providers, fallback)
        ends: list[float] = []

        async def ask() -> None:
            with suppress(ProviderError):
                await OPERATIONS[operation](manager)
            ends.append(anyio.current_time())

        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(ask)
            await anyio.sleep(moment)
            await manager.aclose()
        assert all(made.start <= moment for made in log)
        latest = max((made.end or 0.0 for made in log), default=0.0)
        assert all(end <= max(moment, latest) for end in ends)
        assert idle(manager)

    run_simulated(main, backend=backend)
