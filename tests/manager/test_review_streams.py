"""Corners of streams: closed elsewhere, refused, spliced and continued."""

from __future__ import annotations

from contextlib import suppress

import anyio
import pytest

from llmcore.config import FallbackConfig, MidStream, Routing
from llmcore.errors import (
    ConnectionReset,
    ContentFilterError,
    ProviderError,
    ServerError,
    StreamInterruptedError,
)
from llmcore.manager.manager import ProviderManager
from llmcore.provider import EventStream
from llmcore.testing import Answer, Fail, ScriptedProvider, run_simulated
from llmcore.types import (
    Event,
    Finished,
    GenerationRequest,
    Message,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    Usage,
)
from tests.manager.corners import (
    END,
    Backend,
    Parts,
    both,
    idle,
    read,
    text_of,
)

# ----------------------------------------------------------------------------------------------- streams


@both
@pytest.mark.parametrize("policy", ["restart", "continue", "splice"])
def test_a_stream_closed_by_another_task_gives_everything_back(policy: MidStream, backend: Backend) -> None:
    async def main() -> None:
        for moment in (0.5, 1.5, 4.0, 6.0):
            first = ScriptedProvider("a", [Fail(ServerError("cut"), words=2, delay=1.0)])
            second = ScriptedProvider("b", [Answer("w w and more", delay=4.0, gap=1.0)])
            manager = ProviderManager([first, second], FallbackConfig(mid_stream=policy))
            stream = manager.stream("x")

            async def reader(stream: EventStream = stream) -> None:
                with suppress(ProviderError):
                    async for _ in stream:
                        pass

            async with anyio.create_task_group() as group:
                group.start_soon(reader)
                await anyio.sleep(moment)
                await stream.aclose()
            assert first.open_streams == second.open_streams == 0
            assert idle(manager)
            stats = manager.stats()
            assert (stats.requests, stats.cancelled) == (1, 1)
            assert manager.ledger.total().attempts == len(first.requests) + len(second.requests)

    run_simulated(main, backend=backend)


@both
def test_a_stream_closed_while_another_task_opens_it_gives_everything_back(backend: Backend) -> None:
    async def main() -> None:
        slow = ScriptedProvider("a", [Answer("late", delay=3.0)])
        manager = ProviderManager([slow, ScriptedProvider("b")])
        stream = manager.stream("x")
        async with anyio.create_task_group() as group:
            group.start_soon(stream.open)
            await anyio.sleep(1.0)
            await stream.aclose()
        assert slow.open_streams == 0
        assert idle(manager)
        assert manager.stats().cancelled == 1

    run_simulated(main, backend=backend)


@pytest.mark.parametrize("allowed", [False, True])
def test_a_refusal_inside_a_stream_is_rerouted_only_where_that_is_allowed(allowed: bool) -> None:
    async def main() -> None:
        for wrapped in (False, True):
            error: ProviderError = ContentFilterError("no")
            if wrapped:
                error, error.__cause__ = StreamInterruptedError("cut"), error
            first = Parts("a", [TextDelta("I "), error])
            second = Parts("b", [TextDelta("gladly"), END])
            fallback = FallbackConfig(mid_stream="restart", allow_policy_fallback=allowed)
            manager = ProviderManager([first, second], fallback)
            events, error_seen = await read(manager)
            if not allowed:
                assert isinstance(error_seen, StreamInterruptedError)
                assert not second.requests
            else:
                end = events[-1]
                assert isinstance(end, Finished)
                assert [warning.parameter for warning in end.warnings] == ["allow_policy_fallback"]
            (line,) = manager.fleet.guards[0].lines.values()
            for _ in range(3):
                await read(manager)
            assert line.breaker.state == "closed"  # a refusal says nothing of health

    run_simulated(main)


def test_a_stream_that_is_only_a_refusal_is_rerouted_before_anything_is_shown() -> None:
    async def main() -> None:
        refusal = Finished("content_filter", usage=Usage(3, 0))
        first, second = Parts("a", [refusal]), Parts("b", [TextDelta("gladly"), END])
        manager = ProviderManager([first, second], FallbackConfig(allow_policy_fallback=True))
        events, error = await read(manager)
        assert error is None
        assert text_of(events) == "gladly"
        alone = ProviderManager([Parts("a", [refusal])], FallbackConfig(allow_policy_fallback=True))
        events, error = await read(alone)
        assert error is None
        assert isinstance(events[-1], Finished)
        assert events[-1].finish_reason == "content_filter"
        assert idle(manager)
        assert idle(alone)

    run_simulated(main)


def test_splice_hides_thoughts_and_survives_a_second_cut() -> None:
    async def main() -> None:
        cut = ConnectionReset("cut")
        plays: list[list[Event | ProviderError]] = [
            [ThinkingDelta("hm"), TextDelta("one "), TextDelta("two "), cut],
            [ThinkingDelta("well"), TextDelta("one t"), cut],
            [ThinkingDelta("so"), TextDelta("one"), TextDelta(" two three"), END],
        ]
        parts = [Parts(name, play) for name, play in zip("abc", plays, strict=True)]
        manager = ProviderManager(parts, FallbackConfig(mid_stream="splice"))
        events, error = await read(manager)
        assert error is None
        assert text_of(events) == "one two three"
        assert [event.text for event in events if isinstance(event, ThinkingDelta)] == ["hm"]
        assert idle(manager)
        assert all(one.open_streams == 0 for one in parts)

    run_simulated(main)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([ThinkingDelta("hm")], [ThinkingDelta("so"), TextDelta("text")]),
        ([TextDelta("text")], [TextDelta("text")]),
        ([ThinkingDelta("hm"), TextDelta("te")], [TextDelta(""), TextDelta("t"), TextDelta("ext")]),
    ],
)
def test_splice_at_the_edges(before: list[Event], after: list[Event]) -> None:
    async def main() -> None:
        first = Parts("a", [*before, ConnectionReset("cut")])
        manager = ProviderManager([first, Parts("b", [*after, END])], FallbackConfig(mid_stream="splice"))
        events, error = await read(manager)
        assert error is None
        assert text_of(events) == "text"
        assert sum(isinstance(event, ThinkingDelta) for event in events) <= 1
        assert isinstance(events[-1], Finished)

    run_simulated(main)


def test_splice_never_goes_on_after_a_tool_call_has_begun() -> None:
    async def main() -> None:
        first = Parts("a", [TextDelta("t"), ToolCallDelta(0, "i", "f", "{"), ConnectionReset("cut")])
        second = Parts("b", [TextDelta("t"), END])
        events, error = await read(ProviderManager([first, second], FallbackConfig(mid_stream="splice")))
        assert isinstance(error, StreamInterruptedError)
        assert not second.requests
        assert len(events) == 2

    run_simulated(main)


def test_continue_joins_a_beginning_that_the_caller_gave_and_never_sends_an_empty_one() -> None:
    async def main() -> None:
        prefill = Routing(capabilities=frozenset({"prefill"}))
        begun = GenerationRequest([Message.user("x"), Message.assistant("Once ")])
        for said, expected in (("upon", "Once upon"), ("", "Once ")):
            shown: Event = TextDelta(said) if said else ThinkingDelta("hm")
            first = Parts("a", [shown, ConnectionReset("cut")], routing=prefill)
            second = Parts("b", [TextDelta(" a time"), END], routing=prefill)
            manager = ProviderManager([first, second], FallbackConfig(mid_stream="continue"))
            _, error = await read(manager, begun)
            assert error is None
            (asked,) = second.requests
            assert isinstance(asked, GenerationRequest)
            assert [message.role for message in asked.messages] == ["user", "assistant"]
            assert asked.messages[-1].text == expected

    run_simulated(main)


def test_estimates_count_each_attempts_own_text() -> None:
    async def main() -> None:
        cut = ConnectionReset("cut")
        plays: list[list[Event | ProviderError]] = [[TextDelta("x" * 40), cut], [TextDelta("y" * 8), cut]]
        routing = Routing(capabilities=frozenset({"prefill"}))
        manager = ProviderManager(
            [Parts(name, play, routing=routing) for name, play in zip("ab", plays, strict=True)],
            FallbackConfig(mid_stream="continue"),
        )
        _, error = await read(manager)
        assert error is not None
        assert [one.usage.output_tokens for one in error.attempts] == [10, 2]

    run_simulated(main)
