"""Patience and hedging: a second candidate beside a silent one; the first that shows something wins, the other is given up."""

from __future__ import annotations

from random import Random
from typing import Any, Literal

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmcore.config import BudgetConfig, FallbackConfig, Timeouts
from llmcore.errors import (
    InvalidRequestError,
    ProviderError,
    ServerError,
    StreamInterruptedError,
    TotalTimeout,
)
from llmcore.manager.manager import ProviderManager
from llmcore.testing import Answer, Fail, Hang, Outcome, ScriptedProvider, run_simulated
from llmcore.types import GenerationRequest, GenerationResponse
from tests.manager.strategies import Made, recorders, scripts

BACKENDS = st.sampled_from(["asyncio", "trio"])


async def ask(manager: ProviderManager, operation: str, request: Any = "x") -> GenerationResponse:
    if operation == "stream":
        return await manager.stream(request).collect()
    return await manager.generate(request)


def providers(*scripts_: list[Outcome]) -> list[ScriptedProvider]:
    return [ScriptedProvider(chr(97 + place), script) for place, script in enumerate(scripts_)]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("operation", ["generate", "stream"])
def test_a_silent_provider_costs_the_patience_and_is_asked_once(operation: str, backend: str) -> None:
    async def main() -> None:
        silent, good = providers([Hang()], [Answer("here", delay=0.5)])
        manager = ProviderManager([silent, good])
        answer = await ask(manager, operation)
        assert answer.text == "here"
        assert anyio.current_time() == pytest.approx(10.5, abs=0.01)
        first, second = answer.attempts
        assert (first.provider, first.outcome, first.why) == ("a", "cancelled", "first")
        assert first.duration_s == pytest.approx(10.5, abs=0.01)
        assert (second.provider, second.outcome, second.why) == ("b", "success", "patience")
        assert second.started_s == pytest.approx(10.0, abs=0.01)
        assert len(silent.requests) == 1
        assert silent.open_streams == good.open_streams == 0
        assert silent.stats().cancelled == 1
        assert manager.ledger.total().attempts == 2
        assert all(guard.in_flight == 0 for guard in manager.fleet.guards)
        assert manager.budget.tokens(anyio.current_time()) == 100.0  # paid, and given back by its success

    run_simulated(main, backend=backend)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_slow_thinker_is_not_thrown_away(backend: str) -> None:
    async def main() -> None:
        slow, slower = providers([Answer("thought", delay=14.0)], [Answer("late", delay=9.0)])
        manager = ProviderManager([slow, slower])
        answer = await manager.stream("x").collect()
        assert answer.text == "thought"
        assert [attempt.outcome for attempt in answer.attempts] == ["success", "cancelled"]
        assert slower.stats().cancelled == 1

    run_simulated(main, backend=backend)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_who_is_silent_again_and_again_is_left_alone(backend: Literal["asyncio", "trio"]) -> None:
    async def main() -> None:
        silent, good = providers([Hang()], [Answer("here")])
        manager = ProviderManager([silent, good])
        for _ in range(10):
            assert (await manager.stream("x").collect()).text == "here"
        assert len(silent.requests) <= 4
        assert anyio.current_time() < 45.0
        assert manager.fleet.guards[0].line(None).breaker.state == "open"
        assert silent.open_streams == 0

    run_simulated(main, backend=backend)


def test_requests_that_ask_for_reasoning_wait_longer() -> None:
    async def main() -> None:
        thinker, other = providers([Answer("deep", delay=50.0)], [Answer("shallow")])
        manager = ProviderManager([thinker, other])
        answer = await manager.stream(GenerationRequest("x", reasoning="high")).collect()
        assert answer.text == "deep"
        assert not other.requests
        answer = await manager.stream(GenerationRequest("x", reasoning="none")).collect()
        assert answer.text == "shallow"

    run_simulated(main)


def test_the_usual_time_to_the_first_token_stretches_the_patience() -> None:
    async def main() -> None:
        usual: list[Outcome] = [Answer("slow", delay=6.0)] * 30
        slow, other = providers([*usual, Answer("slower", delay=17.0)], [Answer("other")])
        manager = ProviderManager([slow, other])
        for _ in range(30):
            assert (await manager.stream("x").collect()).text == "slow"
        assert manager.explain("x").patience_s == pytest.approx(18.0, abs=0.01)
        assert (await manager.stream("x").collect()).text == "slower"
        assert not other.requests

    run_simulated(main)


def test_of_two_silent_providers_the_older_makes_room_for_a_third() -> None:
    async def main() -> None:
        one, two, three = providers([Hang()], [Hang()], [Answer("third")])
        manager = ProviderManager([one, two, three])
        answer = await manager.generate("x")
        assert answer.text == "third"
        assert anyio.current_time() == pytest.approx(20.0, abs=0.01)
        assert [attempt.outcome for attempt in answer.attempts] == ["cancelled", "cancelled", "success"]

    run_simulated(main)


def test_patience_can_be_turned_off_and_needs_somebody_else() -> None:
    async def main() -> None:
        slow, other = providers([Answer("slow", delay=40.0)], [Answer("other")])
        manager = ProviderManager([slow, other], FallbackConfig(patience=0))
        assert (await manager.generate("x")).text == "slow"
        alone = ProviderManager(providers([Answer("alone", delay=40.0)]))
        assert (await alone.generate("x")).text == "alone"

    run_simulated(main)


def test_an_empty_purse_starts_nobody_beside() -> None:
    async def main() -> None:
        slow, other = providers([Answer("slow", delay=40.0)], [Answer("other")])
        poor = BudgetConfig(capacity=5.0, per_second=0.0)
        manager = ProviderManager([slow, other], FallbackConfig(budget=poor))
        assert (await manager.generate("x")).text == "slow"
        assert not other.requests

    run_simulated(main)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("operation", ["generate", "stream", "embed"])
def test_a_hedge_is_asked_after_its_delay(operation: str, backend: str) -> None:
    async def main() -> None:
        slow, fast = providers([Answer("slow", delay=5.0)], [Answer("fast", delay=0.2)])
        manager = ProviderManager([slow, fast], FallbackConfig(hedge_after=1.0))
        if operation == "embed":
            assert (await manager.embed("x")).provider == "b"
        else:
            answer = await ask(manager, operation)
            assert [attempt.why for attempt in answer.attempts] == ["first", "hedge"]
        assert anyio.current_time() == pytest.approx(1.2, abs=0.01)

    run_simulated(main, backend=backend)


def test_at_most_one_hedge_and_no_retry_beside_it() -> None:
    async def main() -> None:
        one, two, three = providers(
            [Answer("one", delay=8.0)], [Fail(ServerError("down"), delay=1.0)], [Answer("three")]
        )
        manager = ProviderManager([one, two, three], FallbackConfig(hedge_after=1.0, max_retries=3))
        answer = await manager.generate("x")
        assert answer.text == "one"
        assert [attempt.provider for attempt in answer.attempts] == ["a", "b"]
        assert not three.requests

    run_simulated(main)


def test_when_the_first_fails_the_one_beside_it_goes_on_alone() -> None:
    async def main() -> None:
        one, two = providers([Fail(ServerError("down"), delay=12.0)], [Answer("two", delay=5.0)])
        manager = ProviderManager([one, two], FallbackConfig(max_retries=3))
        answer = await manager.generate("x")
        assert answer.text == "two"
        assert [attempt.outcome for attempt in answer.attempts] == ["ServerError", "success"]

    run_simulated(main)


def test_when_the_one_beside_fails_the_next_is_asked() -> None:
    async def main() -> None:
        one, two, three = providers([Hang()], [Fail(ServerError("down"))], [Answer("three")])
        manager = ProviderManager([one, two, three])
        answer = await manager.generate("x")
        assert answer.text == "three"
        assert anyio.current_time() == pytest.approx(10.0, abs=0.01)

    run_simulated(main)


def test_a_fatal_error_starts_nobody_else() -> None:
    async def main() -> None:
        one, two, three = providers(
            [Answer("one", delay=15.0)], [Fail(InvalidRequestError("no"), delay=1.0)], [Answer("three")]
        )
        manager = ProviderManager([one, two, three])
        assert (await manager.generate("x")).text == "one"
        assert not three.requests

    run_simulated(main)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_deadline_ends_both(backend: str) -> None:
    async def main() -> None:
        one, two = providers([Hang()], [Hang()])
        manager = ProviderManager([one, two])
        with pytest.raises(TotalTimeout) as caught:
            await manager.stream(GenerationRequest("x", deadline=15.0)).collect()
        assert anyio.current_time() == pytest.approx(15.0, abs=0.01)
        assert [attempt.outcome for attempt in caught.value.attempts] == ["TotalTimeout", "TotalTimeout"]
        assert one.open_streams == two.open_streams == 0
        assert all(guard.in_flight == 0 for guard in manager.fleet.guards)

    run_simulated(main, backend=backend)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_leaving_cancels_both(backend: str) -> None:
    async def main() -> None:
        one, two = providers([Hang()], [Hang()])
        manager = ProviderManager([one, two])
        with anyio.move_on_after(12.0) as scope:
            await manager.generate("x")
        assert scope.cancelled_caught
        assert anyio.current_time() == pytest.approx(12.0, abs=0.01)
        stats = manager.stats()
        assert (stats.cancelled, stats.in_flight) == (1, 0)
        assert one.stats().cancelled == two.stats().cancelled == 1
        assert [attempt.outcome for attempt in manager.ledger.attempts] == ["cancelled", "cancelled"]

    run_simulated(main, backend=backend)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_tie_has_one_winner_and_leaves_nothing_open(backend: str) -> None:
    async def main() -> None:
        one, two = providers([Answer("one", delay=2.0)], [Answer("two", delay=1.0)])
        manager = ProviderManager([one, two], FallbackConfig(hedge_after=1.0))
        answer = await manager.stream("x").collect()
        assert answer.text in {"one", "two"}
        assert sorted(attempt.outcome for attempt in answer.attempts) == ["cancelled", "success"]
        assert one.open_streams == two.open_streams == 0
        assert all(guard.in_flight == 0 for guard in manager.fleet.guards)

    run_simulated(main, backend=backend)


@given(
    scripts_=st.lists(scripts, min_size=2, max_size=4),
    hedge=st.none() | st.sampled_from([0.2, 1.0, 4.0]),
    patience=st.sampled_from([0.0, 1.0, 3.0, 10.0]),
    retries=st.integers(0, 2),
    attempts=st.none() | st.integers(1, 4),
    deadline=st.none() | st.sampled_from([0.5, 4.0, 30.0]),
    operation=st.sampled_from(["generate", "stream"]),
    backend=BACKENDS,
    seed=st.integers(0, 9),
)
def test_9_at_most_two_overlap_and_all_is_given_back(
    scripts_: list[list[Outcome]],
    hedge: float | None,
    patience: float,
    retries: int,
    attempts: int | None,
    deadline: float | None,
    operation: str,
    backend: str,
    seed: int,
) -> None:
    async def main() -> None:
        log: list[Made] = []
        fallback = FallbackConfig(
            hedge_after=hedge, patience=patience, max_retries=retries, max_attempts=attempts
        )
        made = recorders(scripts_, log)
        manager = ProviderManager(made, fallback, random=Random(seed), timeouts=Timeouts(total=100.0))
        answer: GenerationResponse | None = None
        error: ProviderError | None = None
        try:
            answer = await ask(manager, operation, GenerationRequest("x", deadline=deadline))
        except ProviderError as exc:
            error = exc
        assert (answer is None) is not (error is None)
        assert all(one.end is not None for one in log)
        for one in log:
            running = [two for two in log if two.start < one.start < (two.end or 0.0)]
            assert len(running) <= 1
            assert one.name not in {two.name for two in running}
        limit = attempts or 12
        assert len(log) <= limit
        ended = answer or error
        assert ended is not None
        assert [attempt.provider for attempt in ended.attempts] == [one.name for one in log]
        assert sum(attempt.outcome == "success" for attempt in ended.attempts) == (answer is not None)
        assert all(guard.in_flight == 0 for guard in manager.fleet.guards)
        assert all(one.open_streams == 0 for one in made)
        stats = manager.stats()
        assert (stats.in_flight, stats.requests) == (0, 1)
        assert manager.ledger.total().attempts == len(log)
        budget = manager.budget.tokens(anyio.current_time())
        assert 0 <= budget <= 100

    run_simulated(main, backend=backend)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("by_stream", [False, True])
def test_who_was_beaten_by_time_alone_is_asked_again_where_the_winner_breaks_off(
    backend: Literal["asyncio", "trio"], by_stream: bool
) -> None:
    """The hedge shows something first and is cut; the first, only slow and given up, must not be lost to the call."""

    async def main() -> None:
        breaks = Fail(StreamInterruptedError("cut"), delay=3.0, words=1)
        first, second = providers([Answer("here it is", delay=8.0)], [breaks])
        manager = ProviderManager(
            [first, second],
            FallbackConfig(mid_stream="restart", hedge_after=2.0, generate_by_stream=by_stream),
        )
        answer = await ask(manager, "generate" if by_stream else "stream")
        assert (answer.text, answer.provider) == ("here it is", "a")
        outcomes = [attempt.outcome for attempt in answer.attempts]
        assert outcomes == ["cancelled", "StreamInterruptedError", "success"]
        assert first.open_streams == second.open_streams == 0
        assert all(guard.in_flight == 0 for guard in manager.fleet.guards)

    run_simulated(main, backend=backend)


def test_a_cut_answer_that_nobody_saw_is_worth_a_failover_of_the_manager_around() -> None:
    async def main() -> None:
        cut: list[Outcome] = [Fail(StreamInterruptedError("cut"), words=1)]
        inner = ProviderManager(providers(cut, cut), FallbackConfig(generate_by_stream=True), name="inner")
        spare = ScriptedProvider("spare", [Answer("rescued")])
        outer = ProviderManager([inner, spare])
        assert (await outer.generate("x")).text == "rescued"

    run_simulated(main)
