"""Faults 55 and 56: half-broken and wholly broken providers, in simulated time."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import anyio
import pytest

from llmcore.config import BreakerConfig, BudgetConfig
from llmcore.errors import ProviderError, ServerError
from llmcore.testing import Answer, Fail, Outcome
from llmcore.types import GenerationResponse
from tests.faults.timed import DOWN, Backend, Timed, alternating, ask, failed, good, over, run, traffic

COVERED = (55, 56)

# ---------------------------------------------------------------------------------------- every second one fails


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_55_below_the_threshold_the_breaker_stays_closed(backend: Backend) -> None:
    """A half is less than the share that opens it, and there are never three failures in a row."""
    half, spare = Timed("half", alternating()), Timed("spare", lambda _: Answer())

    async def main() -> None:
        manager = over(half, spare, breaker=BreakerConfig(failure_rate=0.51), max_retries=0)
        results = await traffic(manager, 200, 0.1)
        assert failed(results) == 0
        assert (len(half.asked), len(spare.asked)) == (200, 100)
        assert all(call.result.attempts[0].provider == "half" for call in results)
        assert manager.stats().children[0].state == "ok"

    run(main, backend)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_55_at_the_threshold_it_opens_after_as_many_calls_as_it_says(backend: Backend) -> None:
    half, spare = Timed("half", alternating()), Timed("spare", lambda _: Answer())

    async def main() -> None:
        breaker = BreakerConfig(failure_rate=0.5, min_calls=10, open_time=20.0)
        manager = over(half, spare, breaker=breaker, max_retries=0)
        results = await traffic(manager, 100, 0.1)
        assert failed(results) == 0
        assert len(half.asked) == 10
        assert manager.stats().children[0].state == "open"
        await anyio.sleep(20.0)
        await traffic(manager, 10, 0.1)
        assert len(half.asked) > 10

    run(main, backend)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_55_alone_it_answers_every_call_and_is_asked_twice_at_most(backend: Backend) -> None:
    half = Timed("half", alternating())

    async def main() -> None:
        manager = over(half)
        results = [await ask(manager) for _ in range(300)]
        assert all(isinstance(result, GenerationResponse) and len(result.attempts) <= 2 for result in results)
        assert len(half.asked) < 2 * 300

    run(main, backend)


@pytest.mark.parametrize("candidates", [1, 3])
@pytest.mark.parametrize("every", [0.02, 1.0])
def test_55_what_always_fails_is_asked_more_often_only_as_the_budget_allows(
    candidates: int, every: float
) -> None:
    """The storm bound: attempts beyond the first of each call <= capacity / cost + trickle x time / cost + 1."""
    providers = [Timed(f"p{number}", lambda _: Fail(DOWN)) for number in range(candidates)]
    budget = BudgetConfig()

    async def main() -> None:
        manager = over(*providers, breaker=BreakerConfig(enabled=False))
        began = anyio.current_time()
        results = await traffic(manager, 500, every)
        assert failed(results) == 500
        paid = sum(len(provider.asked) for provider in providers) - 500
        seconds = anyio.current_time() - began
        assert paid <= (budget.capacity + budget.per_second * seconds) / budget.cost + 1
        errors = [call.result for call in results if isinstance(call.result, ProviderError)]
        spent = [error for error in errors if error.budget_exhausted]
        assert len(spent) > (300 if every < 1 else 100)
        assert all(isinstance(error, ServerError) for error in spent if len(error.attempts) == 1)

    run(main)


# ------------------------------------------------------------------------------------------- everything is down

OUTAGE = 600.0
OPENINGS = 8
"""Of 20, 40, 80 and then 120 s each (less the jitter) in ten minutes: seven, and one that has begun."""
PANICS = 16
"""Attempts of the panic rule: four at once, then after 0.5, 1, 2, ... 64 s, then each two minutes; some wait for a call."""


def outage(start: float, *, delay: float = 0.0) -> Callable[[float], Outcome]:
    return lambda now: Fail(DOWN, delay) if start <= now < start + OUTAGE else Answer()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("delay", [0.0, 0.7])
def test_56_ten_minutes_down_and_then_up_again(backend: Backend, delay: float) -> None:
    breaker = BreakerConfig()

    async def main() -> None:
        start = anyio.current_time()
        providers = [Timed(name, outage(start, delay=delay)) for name in ("a", "b", "c")]
        manager = over(*providers)
        results = await traffic(manager, round((OUTAGE + 300) / 0.5), 0.5)
        for provider in providers:
            check_probes(provider, start, breaker)
        back = good(results)
        assert start + OUTAGE <= back[0] <= start + OUTAGE + breaker.max_open_time * 1.1
        assert failed([call for call in results if call.began > back[0] + 1.0]) == 0
        state = [child.state for child in manager.stats().children if child.state != "open"]
        assert "ok" in state

    def check_probes(provider: Timed, start: float, breaker: BreakerConfig) -> None:
        """A few failures to learn of it, then one at a time: a probe in each opening, and the panic rule's growing pauses."""
        late = [
            (when, count)
            for when, count in zip(provider.asked, provider.at_once, strict=True)
            if start + 5 < when < start + OUTAGE
        ]
        assert provider.asked_between(start, start + 5) <= 3 * breaker.failures
        assert 2 <= len(late) <= OPENINGS + PANICS
        assert all(count == 1 for _, count in late), "never a herd"

    run(main, backend)


def test_56_a_thousand_calls_at_the_moment_of_recovery_are_no_herd() -> None:
    """Of all that come at once when an opening has ended, one goes to each provider."""

    async def main() -> None:
        start = anyio.current_time()
        providers = [
            Timed(name, lambda now: Fail(DOWN) if now < start + 60 else Answer(delay=2.0))
            for name in ("a", "b")
        ]
        manager = over(*providers)
        await traffic(manager, 120, 0.5)
        await anyio.sleep(180)
        before = [len(provider.asked) for provider in providers]
        async with anyio.create_task_group() as tasks:
            for _ in range(1000):
                tasks.start_soon(ask, manager)
        for provider, known in zip(providers, before, strict=True):
            at = provider.asked[known]
            assert provider.asked_between(at, at + 1.9) == 1

    run(main)


def test_56_a_sole_provider_is_asked_all_the_same() -> None:
    """Nobody else could answer, so its breaker does not keep calls from it; the budget keeps repeats from it."""

    async def main() -> None:
        start = anyio.current_time()
        provider = Timed("a", outage(start))
        manager = over(provider)
        results = await traffic(manager, 700, 1.0)
        back = good(results)
        assert start + OUTAGE <= back[0] <= start + OUTAGE + 2.0
        assert provider.asked_between(start, start + OUTAGE) <= OUTAGE * 1.2 + 12

    run(main)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("share", [0.2, 0.3, 0.5])
def test_55_two_that_fail_now_and_then_answer_about_what_one_alone_would(
    backend: Backend, share: float
) -> None:
    """Breakers open on bad luck, too; where all are open, attempts that succeed bring them back at once."""

    async def answered(count: int) -> int:
        dice = Random(7)
        providers = [
            Timed(f"p{number}", lambda _: Fail(DOWN) if dice.random() < share else Answer())
            for number in range(count)
        ]
        results = await traffic(over(*providers), 400, 0.05)
        return len(good(results))

    async def main() -> None:
        alone, both = await answered(1), await answered(2)
        assert both >= 0.9 * alone

    run(main, backend)
