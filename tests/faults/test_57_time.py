"""Faults 57 and 62: a provider that turns slow, and clocks that jump; in simulated time."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from email.utils import formatdate
from random import Random
from typing import Any

import anyio
import httpx
import pytest

from llmcore import create_provider
from llmcore.config import ProviderConfig
from llmcore.errors import TotalTimeout
from llmcore.manager import ProviderManager
from llmcore.testing import Answer, Fail, Outcome, SimulatedLoop, run_simulated
from llmcore.types import GenerationResponse
from tests.faults.conftest import entry
from tests.faults.raw import completion
from tests.faults.timed import DOWN, Backend, Result, Timed, alternating, ask, over, run, traffic

COVERED = (57, 62)

# ------------------------------------------------------------------------------------------------ a slow spell


def speed(start: float, *spells: tuple[float, float], usual: float) -> Callable[[float], Outcome]:
    """Answers after `usual` seconds; from each of `spells` (begin, seconds) on, after that long."""

    def plan(now: float) -> Outcome:
        delay = usual
        for begin, seconds in spells:
            if now - start >= begin:
                delay = seconds
        return Answer(delay=delay)

    return plan


@pytest.mark.parametrize("seed", range(2))
def test_57_the_latency_strategy_leaves_a_slow_provider_and_comes_back(seed: int) -> None:
    async def main() -> None:
        start = anyio.current_time()
        fast = Timed("fast", speed(start, (100.0, 30.0), (400.0, 1.0), usual=1.0))
        steady = Timed("steady", speed(start, usual=2.0))
        manager = over(fast, steady, strategy="latency", seed=seed, patience=0.0)
        calls = await traffic(manager, 1600, 0.5)
        begun = [(call.began - start, first(call.result)) for call in calls]
        before = shares(begun, 20, 100)
        during = shares(begun, 110, 400)
        after = shares(begun, 500, 800)
        assert before["fast"] > 0.7
        assert during["fast"] < 0.1
        assert after["fast"] > 0.7
        assert fast.asked_between(start + 100, start + 112) <= 20

    run(main)


def first(result: Result) -> str:
    assert isinstance(result, GenerationResponse)
    return result.attempts[0].provider


def shares(begun: list[tuple[float, str]], start: float, end: float) -> dict[str, float]:
    """Who was asked first by the calls of a time, as shares."""
    names = Counter(name for when, name in begun if start <= when < end)
    return {name: names[name] / names.total() for name in ("fast", "steady")}


def test_57_meanwhile_patience_has_somebody_else_asked() -> None:
    """With the default strategy too, a provider that turns from 1 s to 30 s costs a caller seconds, not half a minute."""

    async def main() -> None:
        start = anyio.current_time()
        slow = Timed("slow", speed(start, (10.0, 30.0), usual=1.0))
        spare = Timed("spare", lambda _: Answer(delay=1.0))
        manager = over(slow, spare)
        await anyio.sleep(15)
        began = anyio.current_time()
        result = await ask(manager)
        assert isinstance(result, GenerationResponse)
        assert result.provider == "spare"
        assert anyio.current_time() - began == pytest.approx(11.0, abs=0.5)
        assert [attempt.outcome for attempt in result.attempts] == ["cancelled", "success"]

    run(main)


# --------------------------------------------------------------------------------------------- clocks that jump


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("step", [-3600.0, 3600.0])
def test_62_a_step_of_the_wall_clock_changes_nothing(
    backend: Backend, step: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same outage with and without NTP steps gives the same attempts at the same instants."""
    real = time.time

    async def story(jumps: bool) -> list[Any]:
        start = anyio.current_time()
        monkeypatch.setattr(time, "time", real)
        provider, spare = (
            Timed("a", lambda now: Fail(DOWN) if now - start < 30 else Answer()),
            Timed("b", alternating()),
        )
        manager = over(provider, spare)
        told: list[Any] = []
        for turn in range(80):
            if jumps and turn in (5, 20, 40):
                monkeypatch.setattr(time, "time", lambda turn=turn: real() + step * (turn % 3 - 1))
            result = await ask(manager)
            told.append(
                (round(anyio.current_time() - start, 9), [(a.provider, a.outcome) for a in result.attempts])
            )
            await anyio.sleep(1.0)
        return told

    stories: list[list[Any]] = []

    async def main(jumps: bool) -> None:
        stories.append(await story(jumps))

    for jumps in (False, True):
        run_simulated(main, jumps, backend=backend)
    assert stories[0] == stories[1]


def test_62_an_hour_of_sleep_ends_what_was_under_way_and_nothing_else() -> None:
    """Where the monotonic clock goes on during a suspend, calls under way are late; the next ones are as usual."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimulatedLoop)
        start = loop.time()
        slow = [1000.0]

        def plan(now: float) -> Outcome:
            return Fail(DOWN) if now - start < 5 else Answer(delay=slow[0])

        manager = over(Timed("a", plan), Timed("b", plan), patience=0.0)
        await traffic(manager, 10, 0.5)
        assert {child.state for child in manager.stats().children} == {"open"}
        results: list[Result] = []
        async with anyio.create_task_group() as tasks:

            async def one() -> None:
                results.append(await ask(manager))

            await anyio.sleep(30)
            tasks.start_soon(one)
            await anyio.sleep(10)
            loop.offset += 3600.0
            slow[0] = 1.0
        assert len(results) == 1
        assert isinstance(results[0], TotalTimeout)
        assert isinstance(await ask(manager), GenerationResponse)
        stats = manager.stats()
        assert stats.requests == stats.successes + stats.failures
        assert (stats.in_flight, stats.cancelled) == (0, 0)

    run(main)


@pytest.mark.parametrize("skew", [-3600.0, 0.0, 3600.0])
def test_62_a_vendors_date_is_read_by_the_vendors_clock(skew: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a minute from the server's now, whatever our own clock says."""
    now = 1_790_000_000.0
    monkeypatch.setattr(time, "time", lambda: now + skew)
    headers = {"date": formatdate(now, usegmt=True), "retry-after": formatdate(now + 30, usegmt=True)}
    answers = [httpx.Response(429, headers=headers), httpx.Response(200, content=completion())]
    config = ProviderConfig(**entry("http://p.test/v1", "openai_compatible", "httpx"))

    async def main() -> None:
        leaf = create_provider(config, transport=httpx.MockTransport(lambda _: answers.pop(0)), environ={})
        manager = ProviderManager([leaf], random=Random(1))
        began = anyio.current_time()
        result = await ask(manager)
        assert isinstance(result, GenerationResponse), result
        assert 30.0 <= anyio.current_time() - began <= 31.0

    run(main)
    assert answers == []
