"""The policies together, as a caller meets them: breakers, sole and panic rules, sessions, keys, fits, explain, budget."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Literal

import anyio
import pytest

from llmcore.config import BreakerConfig, BudgetConfig, FallbackConfig, Routing
from llmcore.errors import (
    AllProvidersFailed,
    AuthenticationError,
    ConfigurationError,
    ConnectionRefused,
    ContentFilterError,
    ContextLengthError,
    InvalidRequestError,
    ModelNotFoundError,
    OverloadedError,
    ProviderError,
    RateLimitError,
    ServerError,
    UnsupportedFeatureError,
)
from llmcore.manager.breaker import PANICS
from llmcore.manager.manager import ProviderManager
from llmcore.testing import Answer, Fail, Hang, Outcome, ScriptedProvider, run_simulated
from llmcore.types import GenerationRequest, GenerationResponse, Image, Message, Text, Tool

Backend = Literal["asyncio", "trio"]


class Window(ScriptedProvider):
    """Fails between two instants, and answers otherwise; `times` are those of the attempts."""

    def __init__(self, name: str, start: float, end: float, error: type[ProviderError], **more: Any) -> None:
        super().__init__(name, **more)
        self._down = (start, end)
        self._error = error
        self.times: list[float] = []

    def begin(self, request: Any) -> Outcome:
        now = anyio.current_time()
        self.times.append(now)
        down = self._down[0] <= now < self._down[1]
        self._script = [Fail(self._error("down")) if down else Answer("here", delay=0.05)]
        return super().begin(request)


def simulated(main: Callable[[], Any], backend: Backend = "asyncio") -> None:
    run_simulated(main, backend=backend)


async def names(manager: ProviderManager, count: int, request: Any = "x") -> list[str | None]:
    return [(await manager.generate(request)).provider for _ in range(count)]


# ------------------------------------------------------------------------------- breakers in a call


@pytest.mark.parametrize("cadence", [3.0, 60 / 19, 3.5, 4.0])
@pytest.mark.parametrize("retries", [None, 0, 3])
@pytest.mark.parametrize("error", [ServerError, ConnectionRefused, OverloadedError])
def test_an_outage_of_a_minute_costs_at_most_four_attempts_and_is_over_when_it_is_over(
    error: type[ProviderError], retries: int | None, cadence: float
) -> None:
    async def main() -> None:
        primary = Window("a", 0.0, 60.0, error)
        manager = ProviderManager(
            [primary, ScriptedProvider("b", [Answer("there", delay=0.05)])],
            FallbackConfig(max_retries=retries, retry_delay_ms=1000 if retries else None),
            random=Random(7),
        )
        back = None
        while anyio.current_time() < 90.0:
            answer = await manager.generate("x")
            if answer.provider == "a" and back is None:
                back = anyio.current_time() - 60.0
            await anyio.sleep(cadence)
        assert sum(time < 60.0 for time in primary.times) <= 4
        assert back is not None
        assert 0.0 <= back <= cadence + 0.1

    simulated(main)


def test_two_probes_in_a_row_close_it_and_one_at_a_time_is_let_in() -> None:
    async def main() -> None:
        primary = Window("a", 0.0, 1.0, ServerError)
        manager = ProviderManager([primary, ScriptedProvider("b")], FallbackConfig(max_retries=0))
        await names(manager, 3)
        breaker = manager.fleet.guards[0].line(None).breaker
        assert breaker.state == "open"
        assert await names(manager, 3) == ["b"] * 3
        await anyio.sleep(25.0)
        answers: list[str | None] = []

        async def one() -> None:
            answers.append((await manager.generate("x")).provider)

        async with anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(one)
        assert sorted(str(name) for name in answers) == ["a"] + ["b"] * 9
        assert breaker.state == "half_open"
        assert await names(manager, 2) == ["a", "a"]
        assert breaker.state == "closed"

    simulated(main)


def test_a_sole_candidate_is_never_left_alone_unless_it_is_wanted() -> None:
    async def main() -> None:
        primary = Window("a", 0.0, 1e9, ServerError)
        manager = ProviderManager([primary], FallbackConfig(max_retries=0))
        for _ in range(20):
            with pytest.raises(ServerError):
                await manager.generate("x")
        assert len(primary.times) == 20
        blocking = FallbackConfig(max_retries=0, breaker=BreakerConfig(block_sole=True))
        strict = ProviderManager([Window("a", 0.0, 1e9, ServerError)], blocking)
        outcomes = []
        for _ in range(20):
            with pytest.raises(ProviderError) as caught:
                await strict.generate("x")
            outcomes.append(caught.value.outcome)
        assert outcomes[:3] == ["ServerError"] * 3
        assert "ServerError" not in outcomes[3 + PANICS :]

    simulated(main)


def test_where_all_are_open_attempts_go_out_after_growing_pauses() -> None:
    async def main() -> None:
        both = [Window(name, 0.0, 600.0, ServerError) for name in "ab"]
        manager = ProviderManager(both, FallbackConfig(max_retries=0), random=Random(1))
        failures: list[ProviderError] = []
        while anyio.current_time() < 590.0:
            try:
                await manager.generate("x")
            except ProviderError as error:
                failures.append(error)
            await anyio.sleep(1.0)
        for one in both:
            assert (
                len(one.times) <= 3 + 8 + 16
            )  # its failures, a probe in each opening, panic attempts after growing pauses
        assert any(isinstance(error, AllProvidersFailed) and not error.attempts for error in failures)
        assert all(
            error.retry_after is not None
            for error in failures
            if isinstance(error, AllProvidersFailed) and not error.attempts
        )
        await anyio.sleep(130.0)
        assert (await manager.generate("x")).text == "here"

    simulated(main)


def test_isolated_by_hand_until_reset() -> None:
    async def main() -> None:
        manager = ProviderManager([ScriptedProvider("a"), ScriptedProvider("b")])
        manager.isolate("a")
        assert await names(manager, 2) == ["b", "b"]
        answer = await manager.generate("x")
        assert [(skip.provider, skip.reason) for skip in answer.skipped] == [("a", "isolated")]
        assert manager.stats().children[0].state == "isolated"
        manager.reset("a")
        assert await names(manager, 1) == ["a"]
        with pytest.raises(ConfigurationError, match="there is no provider 'z'"):
            manager.isolate("z")

    simulated(main)


def test_families_of_models_have_breakers_of_their_own() -> None:
    async def main() -> None:
        class One(ScriptedProvider):
            def begin(self, request: Any) -> Outcome:
                self._script = [Fail(ServerError("x")) if request.model == "bad" else Answer()]
                return super().begin(request)

        manager = ProviderManager([One("a"), ScriptedProvider("b")], FallbackConfig(max_retries=0))
        for _ in range(4):
            assert (await manager.generate(GenerationRequest("x", model="bad"))).provider == "b"
        assert (await manager.generate(GenerationRequest("x", model="good"))).provider == "a"

    simulated(main)


# ----------------------------------------------------------------------------- the retry budget


@pytest.mark.parametrize("count", [1, 2])
def test_a_total_outage_costs_few_attempts_more_than_calls(count: int) -> None:
    async def main() -> None:
        down = [Window(f"p{place}", 0.0, 1e9, ServerError) for place in range(count)]
        fallback = FallbackConfig(max_retries=3, breaker=BreakerConfig(enabled=False))
        manager = ProviderManager(down, fallback, random=Random(3))
        spent = False
        calls = attempts = 0
        for _ in range(1000):
            with pytest.raises(ProviderError) as caught:
                await manager.generate("x")
            assert len(caught.value.attempts) <= 12
            spent = spent or caught.value.budget_exhausted
            if spent:
                calls += 1
                attempts += len(caught.value.attempts)
        assert spent
        assert attempts <= 1.1 * calls

    simulated(main)


def test_an_empty_budget_leaves_the_first_error_as_it_is() -> None:
    async def main() -> None:
        poor = BudgetConfig(capacity=5.0)
        both = [ScriptedProvider(name, [Fail(ServerError("down"))]) for name in "ab"]
        manager = ProviderManager(both, FallbackConfig(budget=poor))
        with pytest.raises(ServerError) as caught:
            await manager.generate("x")
        assert caught.value.budget_exhausted
        assert not both[1].requests

    simulated(main)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("silent", [False, True])
def test_a_burst_that_meets_one_dead_provider_is_answered_by_the_next(silent: bool, backend: Backend) -> None:
    async def main() -> None:
        script: list[Outcome] = [Hang()] if silent else [Fail(ServerError("down"), delay=0.05)]
        dead, well = ScriptedProvider("a", script), ScriptedProvider("b", [Answer("ok", delay=1.0, gap=0.1)])
        manager = ProviderManager([dead, well], random=Random(1))
        answered = 0

        async def one() -> None:
            nonlocal answered
            answer = await manager.stream("x").collect()
            answered += answer.text == "ok"

        async with anyio.create_task_group() as group:
            for _ in range(100):
                group.start_soon(one)
        assert answered == 100
        assert anyio.current_time() < (14.0 if silent else 4.0)
        assert all(guard.in_flight == 0 for guard in manager.fleet.guards)

    simulated(main, backend)


def test_17_a_burst_into_a_total_outage_is_not_doubled() -> None:
    async def main() -> None:
        down = [ScriptedProvider(name, [Fail(ServerError("down"), delay=0.05)]) for name in "ab"]
        manager = ProviderManager(down, random=Random(1))
        attempts = 0

        async def one() -> None:
            nonlocal attempts
            with pytest.raises(ProviderError) as caught:
                await manager.generate("x")
            attempts += len(caught.value.attempts)

        async with anyio.create_task_group() as group:
            for _ in range(500):
                group.start_soon(one)
        assert attempts <= 500 + 11

    simulated(main)


# ---------------------------------------------------------------------------------- who may be asked


def test_sessions_stay_with_their_provider_until_its_breaker_opens() -> None:
    async def main() -> None:
        trio = [Window(name, 1e9 if name != "b" else 10.0, 1e9, ServerError) for name in "abc"]
        manager = ProviderManager(trio, FallbackConfig(strategy="round_robin", max_retries=0))
        session = GenerationRequest("x", metadata={"session": "s1"})
        await names(manager, 1)
        assert await names(manager, 4, session) == ["b"] * 4
        await anyio.sleep(11.0)
        moved = await names(manager, 6, session)
        assert moved[-1] in {"a", "c"}
        assert len(set(moved[3:])) == 1

    simulated(main)


def test_a_request_may_narrow_who_answers() -> None:
    async def main() -> None:
        manager = ProviderManager([ScriptedProvider(name) for name in "abc"])
        assert (await manager.generate(GenerationRequest("x", providers=["c", "b"]))).provider == "b"
        assert (await manager.generate(GenerationRequest("x", model="c/m"))).provider == "c"
        with pytest.raises(
            InvalidRequestError, match=r"providers: there is no provider 'z'; there are a, b, c"
        ):
            await manager.generate(GenerationRequest("x", providers=["z"]))
        assert manager.stats().in_flight == 0

    simulated(main)


def asked_for(what: str) -> GenerationRequest:
    if what == "tools":
        return GenerationRequest("x", tools=[Tool("f")])
    if what == "images":
        return GenerationRequest([Message.user(Text("x"), Image(url="https://e.x/i.png"))])
    if what == "schema":
        return GenerationRequest("x", response_format={"type": "object"})
    if what == "window":
        return GenerationRequest("word " * 4000)
    return GenerationRequest("x", max_tokens=9000)


@pytest.mark.parametrize("what", ["tools", "images", "schema", "window", "max_tokens"])
def test_who_cannot_take_a_request_is_passed_over_before_anything_is_sent(what: str) -> None:
    async def main() -> None:
        small = Routing(capabilities=frozenset({"reasoning"}), context_window=2000, max_output_tokens=1000)
        poor, able = ScriptedProvider("a", routing=small), ScriptedProvider("b")
        answer = await ProviderManager([poor, able]).generate(asked_for(what))
        assert answer.provider == "b"
        assert not poor.requests
        assert [skip.provider for skip in answer.skipped] == ["a"]
        assert answer.skipped[0].detail
        with pytest.raises((UnsupportedFeatureError, ContextLengthError)) as caught:
            await ProviderManager([ScriptedProvider("a", routing=small)]).generate(asked_for(what))
        assert caught.value.attempts == ()

    simulated(main)


@pytest.mark.parametrize(
    ("windows", "answers"),
    [
        ((8000, 8000), None),
        ((8000, 4000), None),
        ((8000, 16000), "b"),
        ((8000, None), "b"),
        ((None, 8000), "b"),
    ],
)
def test_too_long_a_prompt_goes_only_where_it_may_fit(
    windows: tuple[int | None, int | None], answers: str | None
) -> None:
    async def main() -> None:
        script: Sequence[Outcome] = [Fail(ContextLengthError("too long"))]
        first = ScriptedProvider("a", script, routing=Routing(context_window=windows[0]))
        second = ScriptedProvider("b", routing=Routing(context_window=windows[1]))
        manager = ProviderManager([first, second])
        if answers is None:
            with pytest.raises(ContextLengthError):
                await manager.generate("x")
            assert not second.requests
        else:
            assert (await manager.generate("x")).provider == answers
        assert len(first.requests) == 1

    simulated(main)


def test_a_refusal_reaches_the_caller_unless_it_may_be_rerouted_and_then_is_flagged() -> None:
    async def main() -> None:
        for refusing in ([Fail(ContentFilterError("no"))], [Answer("I will not", finish_reason="refusal")]):
            first, second = ScriptedProvider("a", refusing), ScriptedProvider("b", [Answer("gladly")])
            manager = ProviderManager([first, second])
            refused: GenerationResponse | None = None
            with contextlib.suppress(ContentFilterError):
                refused = await manager.generate("x")
            assert refused is None or refused.finish_reason == "refusal"
            assert not second.requests
            open_minded = ProviderManager([first, second], FallbackConfig(allow_policy_fallback=True))
            answer = await open_minded.generate("x")
            assert answer.text == "gladly"
            assert [warning.parameter for warning in answer.warnings] == ["allow_policy_fallback"]
            alone = ProviderManager([first], FallbackConfig(allow_policy_fallback=True))
            with contextlib.suppress(ContentFilterError):
                assert (await alone.generate("x")).finish_reason == "refusal"
            assert alone.stats().in_flight == 0

    simulated(main)


@pytest.mark.parametrize("error", [AuthenticationError, ModelNotFoundError])
def test_what_repeating_will_not_mend_is_not_repeated_while_somebody_else_can_answer(
    error: type[ProviderError],
) -> None:
    async def main() -> None:
        broken, good = ScriptedProvider("a", [Fail(error("no"))]), ScriptedProvider("b")
        manager = ProviderManager([broken, good])
        assert await names(manager, 5) == ["b"] * 5
        assert len(broken.requests) == 1
        await anyio.sleep(901.0)
        await names(manager, 1)
        assert len(broken.requests) == 2
        alone = ProviderManager([ScriptedProvider("a", [Fail(error("no"))])])
        for _ in range(3):
            with pytest.raises(error):
                await alone.generate("x")

    simulated(main)


# ---------------------------------------------------------------------------------- waits and tiers


@pytest.mark.parametrize(("wait", "second"), [(2.0, "a"), (3.0, "a"), (4.0, "b"), (100.0, "b")])
def test_a_short_wait_is_waited_out_and_a_long_one_goes_over(wait: float, second: str) -> None:
    async def main() -> None:
        first = ScriptedProvider("a", [Fail(RateLimitError("slow", retry_after=wait)), Answer()])
        manager = ProviderManager([first, ScriptedProvider("b")])
        answer = await manager.generate("x")
        assert answer.provider == second
        assert anyio.current_time() >= (wait if second == "a" else 0.0)
        if second == "b":
            assert (await manager.generate("x")).skipped[0].reason == "resting"

    simulated(main)


def test_tiers_fail_over_in_order() -> None:
    async def main() -> None:
        made = [
            ScriptedProvider(name, [Fail(ServerError("x"))] if down else [Answer()], routing=routing)
            for name, down, routing in (
                ("low", False, Routing(priority=2)),
                ("one", True, Routing(priority=1)),
                ("two", True, Routing(priority=1)),
            )
        ]
        for strategy in ("weighted", "least_busy", "latency", "cost"):
            manager = ProviderManager(
                made, FallbackConfig(strategy=strategy, max_retries=0), random=Random(1)
            )
            answer = await manager.generate("x")
            asked = [attempt.provider for attempt in answer.attempts]
            assert asked[-1] == "low"
            assert sorted(asked[:-1]) == ["one", "two"]

    simulated(main)


def test_explain_says_who_would_be_asked_and_changes_nothing() -> None:
    async def main() -> None:
        made = [
            ScriptedProvider("a"),
            ScriptedProvider("b", routing=Routing(capabilities=frozenset({"images"}))),
        ]
        manager = ProviderManager([*made, ScriptedProvider("c")], FallbackConfig(strategy="round_robin"))
        manager.isolate("c")
        for _ in range(3):
            explanation = manager.explain(GenerationRequest("x", tools=[Tool("f")]))
            assert explanation.order == ("a",)
            reasons = {one.provider: one.reason for one in explanation.candidates}
            assert reasons == {"a": "", "b": "no_tools", "c": "isolated"}
        assert not any(one.requests for one in made)
        assert (await manager.generate("x")).provider == "a"
        assert manager.explain("x").order == ("b", "a")

    simulated(main)
