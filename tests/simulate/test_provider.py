"""A simulated provider on simulated time, on both loops: times, failures, limits, deadlines, and its accounts."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import anyio
import pytest
from attrs import evolve

from llmcore.config import Timeouts
from llmcore.errors import (
    ConnectionReset,
    ConnectTimeout,
    FirstTokenTimeout,
    OverloadedError,
    ProviderError,
    RateLimitError,
    StreamInterruptedError,
    TotalTimeout,
)
from llmcore.prices import Price
from llmcore.provider import LlmProvider
from llmcore.simulate.profile import Call, Outage, Profile, UpstreamLimits
from llmcore.simulate.provider import CALL, SimulatedProvider
from llmcore.simulate.shapes import Constant, Uniform
from llmcore.simulate.ways import WAYS
from llmcore.testing import run_simulated
from llmcore.types import Finished, GenerationRequest, RateLimits, TextDelta

PLAIN = Profile("p", Constant(1.0), Constant(10.0), price=Price(1, 2))


def ask(number: int = 0, answer: int = 101, deadline: float | None = None) -> GenerationRequest:
    return GenerationRequest("hi", deadline=deadline, metadata={CALL: Call(number, 0.0, 50, answer)})


def failing(word: str) -> Profile:
    return evolve(PLAIN, errors=((1.0, WAYS[word]),))


@pytest.fixture
def simulated(anyio_backend: str) -> Callable[[Callable[[], Awaitable[Any]]], Any]:
    return lambda main: run_simulated(main, backend=anyio_backend)  # type: ignore[arg-type]  # one of the two


Simulated = Callable[[Callable[[], Awaitable[Any]]], Any]


async def failure(work: Awaitable[Any]) -> tuple[ProviderError, float]:
    began = anyio.current_time()
    with pytest.raises(ProviderError) as caught:
        await work
    return caught.value, anyio.current_time() - began


def test_a_whole_answer_takes_its_time_and_tells_its_tokens_and_cost(simulated: Simulated) -> None:
    async def main() -> None:
        provider = SimulatedProvider(PLAIN)
        assert isinstance(provider, LlmProvider)
        began = anyio.current_time()
        answer = await provider.generate(ask())
        assert anyio.current_time() - began == pytest.approx(11.0)
        assert (answer.usage.input_tokens, answer.usage.output_tokens) == (50, 101)
        assert answer.usage.cost_usd == Decimal("0.000252")
        assert len(answer.text) == 4 * 101
        assert answer.attempts[0].duration_s == pytest.approx(11.0)
        load = provider.load
        assert (load.asked, load.served, load.in_flight, load.cost_usd) == (1, 1, 0, Decimal("0.000252"))

    simulated(main)


def test_a_stream_shows_its_first_word_in_time_and_folds_to_the_whole(simulated: Simulated) -> None:
    async def main() -> None:
        provider = SimulatedProvider(PLAIN)
        began, seen = anyio.current_time(), []
        text = ""
        async with provider.stream(ask(answer=301)) as events:
            async for event in events:
                seen.append(anyio.current_time() - began)
                if isinstance(event, TextDelta):
                    text += event.text
                if isinstance(event, Finished):
                    assert event.attempts[0].first_token_s == pytest.approx(1.0)
        assert (seen[0], seen[-1]) == pytest.approx((1.0, 31.0))
        assert all(later - earlier <= 10.001 for earlier, later in itertools.pairwise(seen))
        assert text == (await provider.generate(ask(answer=301))).text

    simulated(main)


@pytest.mark.parametrize(
    ("word", "streaming", "whole", "after"),
    [
        ("503", OverloadedError, OverloadedError, 0.05),
        ("unreachable", ConnectTimeout, ConnectTimeout, 5.0),
        ("silent", FirstTokenTimeout, TotalTimeout, 60.0),
        ("cut", StreamInterruptedError, ConnectionReset, None),
        ("stalled", StreamInterruptedError, TotalTimeout, None),
    ],
)
def test_every_way_to_fail_is_what_a_leaf_would_tell(
    simulated: Simulated, word: str, streaming: type, whole: type, after: float | None
) -> None:
    async def main() -> None:
        provider = SimulatedProvider(failing(word))
        error, seconds = await failure(provider.stream(ask()).collect())
        assert type(error) is streaming
        assert after is None or seconds == pytest.approx(after, abs=0.01)
        assert error.visible_output == (after is None)
        assert (error.partial is not None) == (after is None)
        other, seconds = await failure(provider.generate(ask()))
        assert type(other) is whole
        if whole is TotalTimeout:
            assert seconds == pytest.approx(600.0)
            assert other.failover
        assert [attempt.provider for attempt in error.attempts] == ["p"]
        assert provider.load.in_flight == 0

    simulated(main)


def test_the_deadline_ends_it_and_is_final(simulated: Simulated) -> None:
    async def main() -> None:
        provider = SimulatedProvider(PLAIN)
        for work in (provider.generate(ask(deadline=3.0)), provider.stream(ask(deadline=3.0)).collect()):
            error, seconds = await failure(work)
            assert seconds == pytest.approx(3.0)
            assert (type(error), error.failover) == (TotalTimeout, False)
        assert (provider.load.left, provider.load.failures) == (2, {})

    simulated(main)


def test_who_leaves_is_counted_and_pays_for_what_was_written(simulated: Simulated) -> None:
    async def main() -> None:
        provider = SimulatedProvider(PLAIN)
        with anyio.move_on_after(6.0):
            await provider.generate(ask(0))
        async with provider.stream(ask(1)) as events:
            await anext(events)
        with anyio.move_on_after(0.5):
            await provider.stream(ask(2)).collect()
        load = provider.load
        assert (load.asked, load.left, load.served, load.in_flight) == (3, 3, 0, 0)
        assert (load.input_tokens, load.output_tokens) == (150, 50)

    simulated(main)


@pytest.mark.parametrize(("as_of", "told_of"), [("request", [0.0, 1.0, 0.0]), ("answer", [0.0, 2.0, 2.0])])
def test_limits_refuse_and_are_announced(simulated: Simulated, as_of: Any, told_of: list[float]) -> None:
    async def main() -> None:
        profile = evolve(PLAIN, limits=UpstreamLimits(rpm=60, burst=2.0, as_of=as_of))
        provider, told = SimulatedProvider(profile), list[tuple[str | None, RateLimits]]()
        provider.listen(lambda model, limits: told.append((model, limits)))
        async with anyio.create_task_group() as group:
            group.start_soon(provider.generate, ask(0))
            await anyio.sleep(0.05)
            group.start_soon(provider.generate, ask(1, answer=111))
            await anyio.sleep(0.2)
            error, _ = await failure(provider.generate(ask(2)))
        assert isinstance(error, RateLimitError)
        assert (error.status, error.retry_after) == pytest.approx((429, 0.75))
        remaining = [limits.requests.remaining for _, limits in told if limits.requests]
        assert remaining == told_of, "the refusal tells first, the answers when their heads come"
        assert provider.load.refused == 1

    simulated(main)


@pytest.mark.parametrize(
    ("when_full", "error"), [("503", OverloadedError), ("429", RateLimitError), ("queue", None)]
)
def test_more_than_fit_in_wait_or_are_turned_away(
    simulated: Simulated, when_full: Any, error: type | None
) -> None:
    async def main() -> None:
        provider = SimulatedProvider(evolve(PLAIN, capacity=1, when_full=when_full))
        async with anyio.create_task_group() as group:
            group.start_soon(provider.generate, ask(0))
            await anyio.sleep(1.0)
            if error is not None:
                assert type((await failure(provider.generate(ask(1))))[0]) is error
            else:
                await provider.generate(ask(1))
                assert anyio.current_time() - began == pytest.approx(22.0)
        await provider.generate(ask(2))

    began = 0.0

    async def timed() -> None:
        nonlocal began
        began = anyio.current_time()
        await main()

    simulated(timed)


def test_who_waits_too_long_in_the_vendors_queue_gives_up(simulated: Simulated) -> None:
    async def main() -> None:
        provider = SimulatedProvider(evolve(PLAIN, capacity=1), timeouts=Timeouts(first_token=4.0))
        async with anyio.create_task_group() as group:
            group.start_soon(provider.generate, ask(0))
            await anyio.sleep(1.0)
            error, seconds = await failure(provider.stream(ask(1)).collect())
            assert seconds == pytest.approx(4.0)
            assert type(error) is FirstTokenTimeout
        assert (await provider.generate(ask(2))).finish_reason == "stop"

    simulated(main)


def test_luck_belongs_to_the_call_and_not_to_the_order(simulated: Simulated) -> None:
    async def main() -> None:
        profile = evolve(PLAIN, first_token=Uniform(1.0, 9.0))
        one, other = (SimulatedProvider(profile, seed=5) for _ in range(2))
        forward = [(await one.stream(ask(n)).collect()).attempts[0].first_token_s for n in range(5)]
        again = await one.stream(ask(0)).collect()
        backward = [
            (await other.stream(ask(n)).collect()).attempts[0].first_token_s for n in reversed(range(5))
        ]
        assert forward == pytest.approx(list(reversed(backward)))
        assert again.attempts[0].first_token_s != pytest.approx(forward[0]), (
            "its second request has luck of its own"
        )
        third = SimulatedProvider(profile, seed=6)
        assert (await third.stream(ask(0)).collect()).attempts[0].first_token_s != pytest.approx(forward[0])

    simulated(main)


def test_scenario_time_begins_at_the_origin(simulated: Simulated) -> None:
    async def main() -> None:
        await anyio.sleep(1000.0)
        down = evolve(PLAIN, outages=(Outage(5.0, 10.0, WAYS["500"]),))
        provider = SimulatedProvider(down, origin=anyio.current_time())
        await provider.generate(ask(answer=1))
        await anyio.sleep(5.0)
        await failure(provider.generate(ask(1)))

    simulated(main)


def test_embeddings_models_and_stats(simulated: Simulated) -> None:
    async def main() -> None:
        provider = SimulatedProvider(PLAIN)
        assert len((await provider.embed(["a", "b"])).vectors) == 2
        assert [model.id for model in await provider.list_models()] == ["simulated"]
        stats = provider.stats()
        assert (stats.requests, stats.successes, stats.in_flight) == (1, 1, 0)

    simulated(main)


def test_who_goes_on_writes_only_the_rest(simulated: Simulated) -> None:
    async def main() -> None:
        from llmcore.types import Message

        request = ask(answer=100)
        begun = evolve(request, messages=(*request.messages, Message.assistant("yes " * 60)))
        assert (await SimulatedProvider(PLAIN).generate(begun)).usage.output_tokens == 40

    simulated(main)
