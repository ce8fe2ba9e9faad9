"""A stream that breaks after it has shown something: each `mid_stream` policy, and text that comes exactly once."""

from __future__ import annotations

from typing import Literal

import anyio
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from llmcore.config import FallbackConfig, MidStream, Routing
from llmcore.errors import (
    ConnectionReset,
    InvalidRequestError,
    ProviderError,
    ServerError,
    StreamInterruptedError,
    TotalTimeout,
)
from llmcore.manager.manager import ProviderManager
from llmcore.provider import Fold
from llmcore.testing import Answer, Fail, Hang, Outcome, ScriptedProvider, run_simulated
from llmcore.types import Continued, Event, Finished, GenerationRequest, Restarted, TextDelta

BACKENDS = st.sampled_from(["asyncio", "trio"])
PREFILL = Routing(capabilities=frozenset({"prefill"}))


class Reader:
    """A reader who obeys the events: what is on the screen at the end."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.text = ""
        self.error: ProviderError | None = None

    async def read(self, manager: ProviderManager, request: str | GenerationRequest = "x") -> Reader:
        try:
            async with manager.stream(request) as stream:
                async for event in stream:
                    self.events.append(event)
                    if isinstance(event, TextDelta):
                        self.text += event.text
                    elif isinstance(event, Restarted):
                        self.text = ""
        except ProviderError as error:
            self.error = error
        return self

    @property
    def kinds(self) -> set[str]:
        return {type(event).__name__ for event in self.events}


class Continuing(ScriptedProvider):
    """Goes on from the beginning of an answer that the request holds, as a vendor with prefill does."""

    def begin(self, request: object) -> Outcome:
        outcome = super().begin(request)  # type: ignore[arg-type]  # the double takes what it is given
        assert isinstance(request, GenerationRequest)
        last = request.messages[-1]
        if last.role != "assistant":
            return outcome
        said = last.text.replace(" ", "")  # doubles that go on do not say the space before their first word
        if isinstance(outcome, Answer):
            return Answer(rest_of(outcome.text, said), outcome.delay)
        return evolve(outcome, words=max(0, min(outcome.words, len(WHOLE.split()) - len(said))))


WHOLE = "w w w w w w w w w"


def rest_of(text: str, said: str) -> str:
    """What of `text` is left, without its first space."""
    for letter in said:
        text = text.lstrip(" ")
        assert text.startswith(letter)
        text = text[1:]
    return text.removeprefix(" ")


def cut(words: int) -> Fail:
    return Fail(ConnectionReset("cut"), words=words)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_fail_raises_with_what_came_and_asks_nobody(backend: Literal["asyncio", "trio"]) -> None:
    async def main() -> None:
        first, second = ScriptedProvider("a", [cut(3)]), ScriptedProvider("b")
        manager = ProviderManager([first, second])
        reader = await Reader().read(manager)
        assert isinstance(reader.error, StreamInterruptedError)
        assert reader.text == "w w w"
        assert not second.requests
        (attempt,) = reader.error.attempts
        assert (attempt.counted, attempt.usage.output_tokens) == ("estimated", 2)

    run_simulated(main, backend=backend)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_restart_tells_the_reader_to_drop_what_came(backend: Literal["asyncio", "trio"]) -> None:
    async def main() -> None:
        first, second = ScriptedProvider("a", [cut(3)]), ScriptedProvider("b", [Answer("all new")])
        manager = ProviderManager([first, second], FallbackConfig(mid_stream="restart"))
        reader = await Reader().read(manager)
        assert reader.text == "all new"
        assert Restarted("b", None) in reader.events
        end = reader.events[-1]
        assert isinstance(end, Finished)
        assert [(one.provider, one.outcome, one.why) for one in end.attempts] == [
            ("a", "StreamInterruptedError", "first"),
            ("b", "success", "restart"),
        ]
        stats = manager.stats()
        assert (stats.successes, stats.failures, stats.in_flight) == (1, 0, 0)

    run_simulated(main, backend=backend)


def test_continue_goes_on_where_the_target_can_be_given_a_beginning() -> None:
    async def main() -> None:
        first = ScriptedProvider("a", [cut(3)])
        second = Continuing("b", [Answer("w w w and the rest")], routing=PREFILL)
        manager = ProviderManager([first, second], FallbackConfig(mid_stream="continue"))
        reader = await Reader().read(manager)
        assert Continued("b", None) in reader.events
        assert reader.text == "w w wand the rest"
        assert Restarted("b", None) not in reader.events

    run_simulated(main)


def test_continue_begins_anew_where_the_target_cannot_or_will_not() -> None:
    async def main() -> None:
        for script, routing in (
            ([Answer("all new")], Routing()),
            ([Fail(InvalidRequestError("no prefill")), Answer("all new")], PREFILL),
        ):
            first, second = ScriptedProvider("a", [cut(3)]), ScriptedProvider("b", script, routing=routing)
            manager = ProviderManager([first, second], FallbackConfig(mid_stream="continue"))
            reader = await Reader().read(manager)
            assert reader.error is None
            assert reader.text == "all new"
            assert Restarted("b", None) in reader.events

    run_simulated(main)


def test_splice_goes_on_silently_only_where_the_new_answer_repeats_the_old() -> None:
    async def main() -> None:
        first, same = ScriptedProvider("a", [cut(3)]), ScriptedProvider("b", [Answer("w w w and more")])
        reader = await Reader().read(ProviderManager([first, same], FallbackConfig(mid_stream="splice")))
        assert reader.text == "w w w and more"
        assert reader.kinds == {"TextDelta", "Finished"}
        first, other = ScriptedProvider("a", [cut(3)]), ScriptedProvider("b", [Answer("something else")])
        manager = ProviderManager([first, other], FallbackConfig(mid_stream="splice"))
        reader = await Reader().read(manager)
        assert isinstance(reader.error, StreamInterruptedError)
        assert reader.text == "w w w"
        assert other.open_streams == 0
        assert all(guard.in_flight == 0 for guard in manager.fleet.guards)

    run_simulated(main)


def test_where_nobody_can_go_on_the_first_break_is_told_with_every_attempt() -> None:
    async def main() -> None:
        first = ScriptedProvider("a", [cut(2)])
        second = ScriptedProvider("b", [Fail(ServerError("down"))])
        manager = ProviderManager([first, second], FallbackConfig(mid_stream="restart", max_retries=0))
        reader = await Reader().read(manager)
        assert isinstance(reader.error, StreamInterruptedError)
        assert [one.outcome for one in reader.error.attempts] == ["StreamInterruptedError", "ServerError"]
        assert manager.stats().failures == 1

    run_simulated(main)


def test_generate_can_read_a_stream_and_hides_the_break() -> None:
    async def main() -> None:
        first, second = ScriptedProvider("a", [cut(3)]), ScriptedProvider("b", [Answer("whole")])
        manager = ProviderManager([first, second], FallbackConfig(generate_by_stream=True))
        answer = await manager.generate("x")
        assert answer.text == "whole"
        assert [one.outcome for one in answer.attempts] == ["StreamInterruptedError", "success"]

    run_simulated(main)


def test_the_callers_deadline_ends_a_stream_for_good() -> None:
    async def main() -> None:
        first, second = ScriptedProvider("a", [Hang(words=2)]), ScriptedProvider("b")
        manager = ProviderManager([first, second], FallbackConfig(mid_stream="restart"))
        reader = await Reader().read(manager, GenerationRequest("x", deadline=5.0))
        assert isinstance(reader.error, TotalTimeout)
        assert anyio.current_time() == pytest.approx(5.0, abs=0.01)
        assert not second.requests

    run_simulated(main)


@given(
    words=st.lists(st.integers(0, 8), min_size=1, max_size=3),
    policy=st.sampled_from(["fail", "restart", "continue", "splice"]),
    prefill=st.booleans(),
    backend=BACKENDS,
)
def test_whatever_breaks_the_reader_has_each_word_once_or_an_error(
    words: list[int], policy: MidStream, prefill: bool, backend: Literal["asyncio", "trio"]
) -> None:
    whole = WHOLE

    async def main() -> None:
        routing = PREFILL if prefill else Routing()
        breaking = [
            Continuing(f"p{place}", [Fail(ConnectionReset("cut"), words=count)], routing=routing)
            for place, count in enumerate(words)
        ]
        last = Continuing("last", [Answer(whole)], routing=routing)
        manager = ProviderManager(
            [*breaking, last], FallbackConfig(mid_stream=policy, max_retries=0), name="m"
        )
        reader = await Reader().read(manager)
        fold = Fold()
        for event in reader.events:
            fold.add(event)
        assert fold.message().text == reader.text
        if reader.error is None:
            assert reader.text.replace(" ", "") == whole.replace(" ", "")
            assert sum(isinstance(event, Finished) for event in reader.events) == 1
        else:
            assert isinstance(reader.error, StreamInterruptedError)
            assert policy in ("fail", "splice")
            assert whole.startswith(reader.text)
        assert all(one.open_streams == 0 for one in [*breaking, last])
        assert all(guard.in_flight == 0 for guard in manager.fleet.guards)
        assert manager.stats().in_flight == 0

    run_simulated(main, backend=backend)
