"""EventStream and the fold of its events."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Sequence

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmcore.errors import ServerError
from llmcore.provider import EventStream, Fold, LlmProvider, events_of, is_model_available
from llmcore.testing import ScriptedProvider
from llmcore.types import (
    Event,
    Finished,
    GenerationResponse,
    Image,
    Message,
    Opaque,
    Part,
    PartDelta,
    Refusal,
    Restarted,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
)

words = st.text(min_size=1, max_size=5)
parts = st.lists(
    st.one_of(
        st.builds(Text, words),
        st.builds(Text, words, words, words),
        st.builds(Thinking, words, words, origin=words),
        st.builds(Refusal, words),
        st.builds(Opaque, words, words),
        st.just(Image(url="https://example.org/a.png")),
    ),
    max_size=6,
)


def normal(parts_: Sequence[Part]) -> tuple[Part, ...]:
    """Neighbouring plain texts as one, neighbouring refusals as one: what a stream cannot tell apart."""
    out: list[Part] = []
    for part in parts_:
        last = out[-1] if out else None
        if (
            isinstance(part, Text)
            and part.signature is None
            and isinstance(last, Text)
            and last.signature is None
        ):
            out[-1] = Text(last.text + part.text)
        elif (
            isinstance(part, Text)
            and part.signature is not None
            and isinstance(last, Text)
            and last.signature is None
        ):
            out[-1] = Text(last.text + part.text, part.signature, part.origin)
        elif isinstance(part, Refusal) and isinstance(last, Refusal):
            out[-1] = Refusal(last.text + part.text)
        else:
            out.append(part)
    return tuple(out)


@given(parts=parts, calls=st.integers(0, 3))
def test_folding_the_events_of_a_response_gives_it_back(parts: list[Part], calls: int) -> None:
    made = (*normal(parts), *(ToolCall(f"id{index}", "f", '{"a":1}') for index in range(calls)))
    response = GenerationResponse(Message("assistant", made), "stop", "end", Usage(1, 2), "m", "p", "i", "r")
    fold = Fold()
    for event in events_of(response):
        fold.add(event)
    assert fold.response() == response


@given(st.lists(st.tuples(st.integers(0, 2), words), max_size=20))
def test_arguments_are_concatenated_per_call_in_order_of_appearance(fragments: list[tuple[int, str]]) -> None:
    fold = Fold()
    expected: dict[int, str] = {}
    for index, piece in fragments:
        fold.add(ToolCallDelta(index, f"id{index}", "f", piece))
        expected[index] = expected.get(index, "") + piece
    calls = fold.message().tool_calls
    assert [(call.id, call.arguments) for call in calls] == [
        (f"id{index}", text) for index, text in expected.items()
    ]


def test_a_restart_voids_what_came_before() -> None:
    fold = Fold()
    for event in (
        TextDelta("lost"),
        ThinkingDelta("lost"),
        Restarted("b"),
        TextDelta("kept"),
        Finished("stop"),
    ):
        fold.add(event)
    assert fold.response().text == "kept"


class Source:
    """Events from a list; an exception in it is raised."""

    def __init__(self, *items: Event | Exception) -> None:
        self.items = list(items)
        self.closed = 0

    async def open(self) -> None:
        await anyio.lowlevel.checkpoint()

    async def next(self) -> Event:
        if not self.items:
            raise StopAsyncIteration
        item = self.items.pop(0)
        if isinstance(item, Exception):
            raise item
        return item

    async def aclose(self) -> None:
        self.closed += 1


@pytest.mark.anyio
async def test_a_stream_closes_once_whatever_happens() -> None:
    whole = Source(TextDelta("a"), Finished("stop"), TextDelta("never"))
    async with EventStream(whole) as stream:
        assert [type(event) for event in [one async for one in stream]] == [TextDelta, Finished]
    assert whole.closed == 1

    left = Source(TextDelta("a"), TextDelta("b"))
    async with EventStream(left) as stream:
        async for _ in stream:
            break
    assert left.closed == 1
    with pytest.raises(StopAsyncIteration):
        await anext(stream)

    broken = Source(TextDelta("a"), ServerError("cut"))
    with pytest.raises(ServerError):
        await EventStream(broken).collect()
    assert broken.closed == 1


@pytest.mark.anyio
async def test_only_the_texts() -> None:
    stream = EventStream(
        Source(ThinkingDelta("t"), TextDelta("a"), PartDelta(Refusal("r")), TextDelta("b"), Finished())
    )
    assert [text async for text in stream.texts()] == ["a", "b"]


@pytest.mark.anyio
@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # trio's word on dropped generators
async def test_a_dropped_stream_is_told_of() -> None:
    stream = await EventStream(Source(TextDelta("a"))).open()
    with warnings.catch_warnings(record=True) as told:  # trio tells of its own beside
        warnings.simplefilter("always")
        del stream
        gc.collect()
    assert any(issubclass(one.category, ResourceWarning) and "async with" in str(one.message) for one in told)


@pytest.mark.anyio
async def test_whether_a_model_is_available() -> None:
    provider: LlmProvider = ScriptedProvider("a", models=["m"])
    assert await is_model_available(provider, "m")
    assert not await is_model_available(provider, "n")
    assert isinstance(provider, LlmProvider)
    assert not isinstance(object(), LlmProvider)
