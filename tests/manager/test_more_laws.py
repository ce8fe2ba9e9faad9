"""Laws that need a look from another side: rests (13), what is held back (41), managers side by side (49)."""

from __future__ import annotations

from random import Random
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmcore.config import FallbackConfig, Routing
from llmcore.errors import OverloadedError, ProviderError, RateLimitError, ServerError
from llmcore.manager import ProviderManager
from llmcore.manager.stream import MAX_HELD_CHARS, MAX_HELD_EVENTS
from llmcore.provider import EventStream
from llmcore.testing import Answer, Fail, Outcome, ScriptedProvider, run_simulated
from llmcore.types import Event, Finished, GenerationRequest, TextDelta, Usage
from tests.manager.stage import Backend
from tests.manager.strategies import Made, Recorder, configs, scripts

BACKENDS = st.sampled_from(["asyncio", "trio"])


@given(
    hints=st.lists(
        st.tuples(
            st.sampled_from([RateLimitError, OverloadedError]),
            st.sampled_from([0.5, 1.0, 2.0, 4.0]),
            st.sampled_from([0.25, 1.0, 3.0, 10.0, 59.0]),
        ),
        min_size=1,
        max_size=6,
    ),
    success=st.none() | st.sampled_from([0.75, 1.5, 3.5]),
    backend=BACKENDS,
)
def test_13_a_later_hint_never_shortens_a_rest_until_a_success(
    hints: list[tuple[type[ProviderError], float, float]], success: float | None, backend: Backend
) -> None:
    """Nor does a success that began before the hint; one that began after it ends the rest."""

    async def main() -> None:
        log: list[Made] = []
        script: list[Outcome] = [Fail(cls("slow", retry_after=wait), delay) for cls, delay, wait in hints]
        if success is not None:
            script.append(Answer(delay=success))
        script.append(Answer())
        manager = ProviderManager([Recorder("a", script, log)], FallbackConfig(max_retries=0, pace=False))
        (guard,) = manager.fleet.guards

        async def call() -> None:
            with pytest.raises(ProviderError):
                await manager.generate("x")

        async def good() -> None:
            assert (await manager.generate("x")).text == "ok"

        async with anyio.create_task_group() as group:
            for _ in hints:
                group.start_soon(call)
                await anyio.lowlevel.checkpoint()
                await anyio.lowlevel.checkpoint()
            if success is not None:
                group.start_soon(good)
            for _ in range(24):
                await anyio.sleep(0.1875)
                now = anyio.current_time()
                told = max((delay + wait for _, delay, wait in hints if delay < now), default=0.0)
                ready = guard.entrance.ready_at("", now)
                assert ready == pytest.approx(max(now, told))
        await anyio.sleep(60.0)
        await good()
        assert guard.entrance.ready_at("", anyio.current_time()) == anyio.current_time()

    run_simulated(main, backend=backend)


class Quiet:
    """A stream of so many events that show nothing, and then a word; `drawn` counts what was read of it."""

    def __init__(self, silent: int) -> None:
        self.silent = silent
        self.drawn = 0

    async def open(self) -> None:
        return None

    async def next(self) -> Event:
        await anyio.lowlevel.checkpoint()
        self.drawn += 1
        if self.drawn <= self.silent:
            return TextDelta("")
        if self.drawn == self.silent + 1:
            return TextDelta("word")
        return Finished("stop", None, Usage(1, 1), None, "quiet")

    async def aclose(self) -> None:
        return None


class QuietProvider(ScriptedProvider):
    def __init__(self, source: Quiet) -> None:
        super().__init__("quiet")
        self._source = source

    def stream(self, request: Any, /) -> EventStream:
        return EventStream(self._source)


@given(silent=st.integers(0, 3 * MAX_HELD_EVENTS), backend=BACKENDS)
def test_41_what_is_held_back_before_the_commit_is_bounded(silent: int, backend: Backend) -> None:
    """However little shows, no more than so many events are kept; each is handed on exactly once and in order."""

    async def main() -> None:
        source = Quiet(silent)
        manager = ProviderManager([QuietProvider(source), ScriptedProvider("other")])
        got: list[Event] = []
        async with manager.stream("x") as events:
            async for event in events:
                got.append(event)
                assert source.drawn - len(got) <= MAX_HELD_EVENTS
        assert len(got) == silent + 2
        assert "".join(event.text for event in got if isinstance(event, TextDelta)) == "word"

    assert (MAX_HELD_EVENTS, MAX_HELD_CHARS) == (64, 256 * 1024)
    run_simulated(main, backend=backend)


def seen(manager: ProviderManager, answers: list[str], now: float) -> Any:
    """All that can be told of a manager's state."""
    stats, counts = manager.stats(), manager.budget.counts
    states = [
        [(name, line.breaker.state, round(line.breaker.opens_at, 6)) for name, line in guard.lines.items()]
        for guard in manager.fleet.guards
    ]
    attempts = [
        (one.provider, one.outcome, one.why, round(one.started_s or 0.0, 6))
        for one in manager.ledger.attempts
    ]
    shown = (stats.requests, stats.successes, stats.failures, stats.in_flight)
    return answers, shown, counts, round(manager.budget.tokens(now), 6), states, attempts


@given(
    config=configs,
    scripts_=st.lists(scripts, min_size=1, max_size=3),
    calls=st.integers(1, 5),
    backend=BACKENDS,
)
def test_49_what_one_manager_does_does_not_touch_another(
    config: FallbackConfig, scripts_: list[Any], calls: int, backend: Backend
) -> None:
    """The same calls give the same to the last figure, whether or not a manager of the same make storms beside."""

    def made(log: list[Made]) -> ProviderManager:
        providers = [
            Recorder(f"p{place}", list(script), log, routing=Routing(priority=place))
            for place, script in enumerate(scripts_)
        ]
        return ProviderManager(providers, config, random=Random(7))

    async def main(disturbed: bool) -> Any:
        quiet, answers = made([]), []
        loud = ProviderManager(
            [ScriptedProvider(f"p{place}", [Fail(ServerError("down"))]) for place in range(len(scripts_))],
            config,
            random=Random(8),
        )
        loud_before = seen(loud, [], 0.0)

        async def storm() -> None:
            loud.isolate("p0")
            for _ in range(20):
                with pytest.raises(ProviderError):
                    await loud.generate(GenerationRequest("x", metadata={"session": "s"}))

        async with anyio.create_task_group() as group:
            if disturbed:
                group.start_soon(storm)
            for _ in range(calls):
                try:
                    answer = await quiet.generate(
                        GenerationRequest("x", deadline=90.0, metadata={"session": "s"})
                    )
                    answers.append(answer.text)
                except ProviderError as error:
                    answers.append(type(error).__name__)
            now = anyio.current_time()
            found = seen(quiet, answers, now)
        if not disturbed:
            assert seen(loud, [], 0.0) == loud_before
        return found

    alone, beside = (run_simulated(main, disturbed, backend=backend) for disturbed in (False, True))
    assert alone == beside
