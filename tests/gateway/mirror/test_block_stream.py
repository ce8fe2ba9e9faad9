"""What holds for every stream of blocks, of Anthropic's wire and of Responses: beginning anew, going on, failing, calls."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmcore import errors
from llmcore.errors import ProviderError, StreamInterruptedError
from llmcore.gateway.mirror.anthropic import AnthropicMirror
from llmcore.gateway.mirror.base import Asked, EventEncoder
from llmcore.gateway.mirror.responses import ResponsesMirror
from llmcore.types import (
    Continued,
    Event,
    Finished,
    GenerationRequest,
    PartDelta,
    Refusal,
    Restarted,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
)
from llmcore.wire.anthropic import AnthropicWire
from llmcore.wire.responses import ResponsesWire
from tests.gateway.mirror import nouns
from tests.gateway.mirror.laws import Pair, messages_of

ASK = GenerationRequest("?", model="m", max_tokens=9)
PAIRS = [Pair(AnthropicMirror(), AnthropicWire(), ASK), Pair(ResponsesMirror(), ResponsesWire(), ASK)]
NOT_SAID = {"anthropic": errors.ContentFilterError, "responses": errors.ModelNotFoundError}
"""The class for which an error inside of a stream has no word of its own."""


@pytest.fixture(params=PAIRS, ids=lambda pair: pair.mirror.name)
def pair(request: pytest.FixtureRequest) -> Pair:
    found: Pair = request.param
    return found


@pytest.fixture
def encoder(pair: Pair) -> EventEncoder:
    return pair.mirror.event_encoder(Asked(ASK), id="x", created=7)


def test_starting_anew_is_silent_while_nothing_was_sent(pair: Pair, encoder: EventEncoder) -> None:
    assert encoder.feed(Restarted("b")) == b""
    assert encoder.feed(TextDelta("x")) == pair.stream([TextDelta("x")]).replace(b"_1", b"_x")


@pytest.mark.parametrize(
    "first", [TextDelta("x"), ThinkingDelta("x"), ToolCallDelta(0, "a", "f"), PartDelta(Refusal("x"))]
)
def test_what_was_sent_cannot_be_taken_back(pair: Pair, encoder: EventEncoder, first: Event) -> None:
    encoder.feed(first)
    with pytest.raises(StreamInterruptedError) as caught:
        encoder.feed(Restarted("b"))
    said = [message["type"] for message in messages_of(encoder.fail(caught.value, request_id="r"))]
    assert said == {"anthropic": ["error"], "responses": ["error", "response.failed"]}[pair.mirror.name]


def test_going_on_is_silent(pair: Pair, encoder: EventEncoder) -> None:
    begun = encoder.feed(TextDelta("a"))
    assert encoder.feed(Continued("b")) == b""
    (delta,) = messages_of(encoder.feed(TextDelta("c")))
    assert delta["type"] == messages_of(begun)[-1]["type"]


@pytest.mark.parametrize(
    "error",
    [
        errors.RateLimitError("slow down", retry_after=3),
        errors.OverloadedError("busy"),
        errors.ContextLengthError("prompt is too long: 9 > 8"),
        errors.QuotaExhaustedError("no money"),
        errors.ModelNotFoundError("which?"),
        errors.ContentFilterError("policy"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_failure_in_a_stream_is_the_same_failure_for_our_client(
    pair: Pair, encoder: EventEncoder, error: ProviderError
) -> None:
    if type(error) is NOT_SAID[pair.mirror.name]:
        return
    _, found = pair.read(encoder.feed(TextDelta("a")) + encoder.fail(error, request_id="r1"))
    assert type(found) is type(error)


def test_silence_is_filled_with_what_our_client_passes_over(pair: Pair, encoder: EventEncoder) -> None:
    body = encoder.keep_alive() + encoder.feed(TextDelta("a")) + encoder.keep_alive()
    events, error = pair.read(body + encoder.feed(Finished("stop")))
    assert error is None
    assert nouns.fold(events).text == "a"


# -------------------------------------------------------------------------------------------------------- calls


def calls_of(pair: Pair, *events: Event) -> tuple[ToolCall, ...]:
    """What our client makes of them."""
    found, error = pair.read(pair.stream([*events, Finished("tool_calls")]))
    assert error is None
    return nouns.fold(found).tool_calls


def test_calls_side_by_side_are_told_apart(pair: Pair) -> None:
    events: list[Event] = [
        ToolCallDelta(0, "a", "f", '{"x":'),
        ToolCallDelta(1, "b", "g", '{"y":'),
        ToolCallDelta(0, arguments="1}"),
        ToolCallDelta(1, arguments="2}"),
    ]
    assert calls_of(pair, *events) == (ToolCall("a", "f", '{"x":1}'), ToolCall("b", "g", '{"y":2}'))


def test_a_call_begins_when_its_name_is_known(pair: Pair) -> None:
    late: list[Event] = [ToolCallDelta(0, "a", None, '{"x"'), ToolCallDelta(0, None, "f", ":1}")]
    assert calls_of(pair, *late) == (ToolCall("a", "f", '{"x":1}'),)
    assert pair.stream(late[:1]) == pair.stream([ToolCallDelta(0, "a")])


def test_a_fragment_behind_the_end_of_its_call_is_dropped(pair: Pair) -> None:
    events: list[Event] = [
        ToolCallDelta(0, "a", "f", "{}"),
        TextDelta("then"),
        ToolCallDelta(0, arguments="late"),
    ]
    assert calls_of(pair, *events) == (ToolCall("a", "f", "{}"),)


EVENTS = st.lists(
    st.sampled_from(
        [
            *(TextDelta("a"), TextDelta(""), ThinkingDelta("b"), PartDelta(Refusal("r"))),
            *(ToolCallDelta(0, "a", "f", "{}"), ToolCallDelta(1, "b", "g", '{"x":'), ToolCallDelta(1, arguments="1}")),
        ]
    ),
    max_size=8,
)  # fmt: skip
NAMES: dict[str, tuple[str, str, str]] = {
    "anthropic": ("content_block_start", "content_block_stop", "index"),
    "responses": ("response.output_item.added", "response.output_item.done", "output_index"),
}


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.mirror.name)
@given(events=EVENTS)
def test_blocks_are_begun_once_and_ended_once_whatever_comes(pair: Pair, events: list[Event]) -> None:
    begin, end, index = NAMES[pair.mirror.name]
    found = messages_of(pair.stream([*events, Finished("stop")]))
    begun = [message[index] for message in found if message["type"] == begin]
    assert begun == list(range(len(begun)))
    assert sorted(message[index] for message in found if message["type"] == end) == begun


def test_parts_that_come_whole_are_said_as_their_deltas(pair: Pair) -> None:
    whole: list[Event] = [
        PartDelta(Thinking("hm", "sig", origin="gemini")),
        PartDelta(Text("a")),
        ToolCallDelta(0, "c0", "f", "{}"),
        PartDelta(ToolCall("c1", "g", '{"x":1}')),
        Finished("tool_calls"),
    ]
    pieces: list[Event] = [
        ThinkingDelta("hm", "sig", origin="gemini"),
        TextDelta("a"),
        ToolCallDelta(0, "c0", "f", "{}"),
        ToolCallDelta(1, "c1", "g", '{"x":1}'),
        Finished("tool_calls"),
    ]
    assert pair.stream(whole) == pair.stream(pieces)
