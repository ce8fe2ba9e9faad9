"""Anthropic's answers and streams: exact forms, endings, unknown figures, failures, and the official client's eyes."""

from __future__ import annotations

from typing import Any

import anthropic
import httpx2
import pytest

from llmcore.gateway.errors import Unavailable
from llmcore.gateway.mirror.anthropic import AnthropicMirror
from llmcore.gateway.mirror.anthropic_stream import AnthropicEvents
from llmcore.gateway.mirror.base import Asked
from llmcore.provider import events_of
from llmcore.types import (
    Event,
    Finished,
    FinishReason,
    GenerationRequest,
    GenerationResponse,
    Image,
    Message,
    Part,
    Refusal,
    Text,
    TextDelta,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from tests.gateway.mirror import nouns
from tests.gateway.mirror.laws import messages_of

MIRROR = AnthropicMirror()
ASKED = Asked(GenerationRequest("?", model="asked"))


def encoded(*parts: Part, finish: FinishReason = "stop", **fields: Any) -> dict[str, Any]:
    response = GenerationResponse(Message("assistant", parts), finish, **fields)
    found: dict[str, Any] = nouns.through_json(MIRROR.encode_response(response, ASKED, id="x", created=0))
    return found


def encoder() -> AnthropicEvents:
    return MIRROR.event_encoder(ASKED, id="x", created=0)


def streamed(*events: Event) -> list[dict[str, Any]]:
    feeding = encoder()
    return messages_of(b"".join(map(feeding.feed, events)))


def kinds(messages: list[dict[str, Any]]) -> list[str]:
    return [f"{message['type']} {message.get('index', '')}".strip() for message in messages]


def test_a_plain_answer() -> None:
    usage = Usage(input_tokens=10, output_tokens=3, cached_tokens=4)
    assert encoded(Text("Hi"), usage=usage, model="m") == {
        "id": "msg_x",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [{"type": "text", "text": "Hi"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "stop_details": None,
        "usage": {
            "input_tokens": 6,
            "cache_creation_input_tokens": None,
            "cache_read_input_tokens": 4,
            "output_tokens": 3,
        },
    }


def test_unknown_figures_are_null_but_where_the_wire_demands_a_number() -> None:
    assert encoded(Text("Hi"))["usage"] == {
        "input_tokens": 0,
        "cache_creation_input_tokens": None,
        "cache_read_input_tokens": None,
        "output_tokens": 0,
    }


def test_the_model_is_the_one_asked_for_where_nobody_said_another() -> None:
    assert encoded(Text("Hi"))["model"] == "asked"


@pytest.mark.parametrize(
    ("finish", "raw", "said"),
    [
        ("stop", "stop", "end_turn"),
        ("stop", "stop_sequence", "stop_sequence"),
        ("length", "length", "max_tokens"),
        ("length", "model_context_window_exceeded", "model_context_window_exceeded"),
        ("tool_calls", "tool_calls", "tool_use"),
        ("content_filter", "SAFETY", "refusal"),
        ("pause", None, "pause_turn"),
        ("error", None, "max_tokens"),
        ("unknown", None, "end_turn"),
    ],
)
def test_every_ending_has_a_word(finish: FinishReason, raw: str | None, said: str) -> None:
    assert encoded(Text("Hi"), finish=finish, raw_finish_reason=raw)["stop_reason"] == said


@pytest.mark.parametrize(
    ("raw", "told", "stops", "said"),
    [
        ("stop_sequence", " two", (" two", "x"), ("stop_sequence", " two")),
        ("stop_sequence", None, ("x",), ("stop_sequence", "x")),
        ("STOP_SEQUENCE", None, ("x",), ("stop_sequence", "x")),
        ("STOP_SEQUENCE", None, ("x", "y"), ("stop_sequence", None)),
        ("end_turn", None, ("x",), ("end_turn", None)),
    ],
)
def test_the_stop_sequence_is_told_where_it_is_known(
    raw: str, told: str | None, stops: tuple[str, ...], said: tuple[str, str | None]
) -> None:
    asked = Asked(GenerationRequest("?", model="asked", stop=stops))
    response = GenerationResponse(Message.assistant("Hi"), "stop", raw_finish_reason=raw, stop_sequence=told)
    value = MIRROR.encode_response(response, asked, id="x", created=0)
    assert (value["stop_reason"], value["stop_sequence"]) == said
    feeding = MIRROR.event_encoder(asked, id="x", created=0)
    end = messages_of(b"".join(map(feeding.feed, events_of(response))))[-2]["delta"]
    assert (end["stop_reason"], end["stop_sequence"]) == said


def test_an_unknown_ending_with_a_call_is_one_to_be_answered() -> None:
    assert encoded(ToolCall("t", "f"), finish="unknown")["stop_reason"] == "tool_use"


def test_a_refusal_is_told_beside_the_reason() -> None:
    value = encoded(Refusal("I will not."), finish="stop")
    assert (value["content"], value["stop_reason"]) == ([], "refusal")
    assert value["stop_details"]["explanation"] == "I will not."


def test_a_refusal_by_category_keeps_it() -> None:
    details = encoded(Refusal("cyber"), finish="refusal")["stop_details"]
    assert details == {"type": "refusal", "category": "cyber", "explanation": None}


def test_arguments_that_are_no_object_come_back_as_they_were() -> None:
    value = encoded(ToolCall("t", "f", "[1"), finish="tool_calls")
    assert value["content"][0]["input"] == {"INVALID_JSON": "[1"}
    turns = [{"role": "user", "content": "?"}, {"role": "assistant", "content": value["content"]}]
    request = MIRROR.decode_request({"model": "m", "max_tokens": 9, "messages": turns}).request
    assert request.messages[1].parts == (ToolCall("t", "f", "[1"),)


def test_what_the_wire_cannot_hold_is_left_out() -> None:
    assert encoded(Image(data=b"x", media_type="image/png"), Text("Hi"))["content"] == [
        {"type": "text", "text": "Hi"}
    ]


# ------------------------------------------------------------------------------------------------------ streams


def test_a_stream_of_text() -> None:
    usage = Usage(input_tokens=10, output_tokens=3, cached_tokens=4)
    found = streamed(TextDelta("Hel"), TextDelta("lo"), TextDelta(""), Finished("stop", "stop", usage))
    assert kinds(found) == [
        "message_start",
        "content_block_start 0",
        "content_block_delta 0",
        "content_block_delta 0",
        "content_block_stop 0",
        "message_delta",
        "message_stop",
    ]
    assert found[0]["message"]["usage"] == {
        "input_tokens": 0,
        "cache_creation_input_tokens": None,
        "cache_read_input_tokens": None,
        "output_tokens": 0,
    }
    assert found[-2]["usage"]["input_tokens"] == 6
    assert found[-2]["usage"]["output_tokens"] == 3


def test_input_that_nobody_counted_is_left_out_of_the_end() -> None:
    assert "input_tokens" not in streamed(TextDelta("x"), Finished("stop"))[-2]["usage"]


def test_calls_that_are_written_one_after_the_other_are_blocks_one_after_the_other() -> None:
    events: list[Event] = [
        ToolCallDelta(0, "a", "f", '{"x":'),
        ToolCallDelta(0, arguments="1}"),
        ToolCallDelta(1, "b", "g", "{}"),
        Finished("tool_calls"),
    ]
    assert kinds(streamed(*events))[1:-2] == [
        "content_block_start 0",
        "content_block_delta 0",
        "content_block_delta 0",
        "content_block_stop 0",
        "content_block_start 1",
        "content_block_delta 1",
        "content_block_stop 1",
    ]


def test_calls_that_are_written_side_by_side_stay_open_until_they_are_whole() -> None:
    events: list[Event] = [
        ToolCallDelta(0, "a", "f", '{"x":'),
        ToolCallDelta(1, "b", "g", '{"y":'),
        ToolCallDelta(0, arguments="1}"),
        ToolCallDelta(1, arguments="2}"),
        Finished("tool_calls"),
    ]
    assert kinds(streamed(*events))[1:-2] == [
        "content_block_start 0",
        "content_block_delta 0",
        "content_block_start 1",
        "content_block_delta 1",
        "content_block_delta 0",
        "content_block_delta 1",
        "content_block_stop 0",
        "content_block_stop 1",
    ]


def test_a_call_without_a_name_is_said_at_the_end() -> None:
    assert "content_block_start 0" in kinds(streamed(ToolCallDelta(0, "a"), Finished("tool_calls")))


# ------------------------------------------------------------------------------------------- the official client


def client(body: bytes) -> anthropic.Anthropic:
    headers = {"content-type": "text/event-stream"}
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, headers=headers, content=body))
    return anthropic.Anthropic(
        api_key="k", base_url="http://gateway", http_client=httpx2.Client(transport=transport), max_retries=0
    )


def test_the_official_client_folds_a_stream_to_the_message() -> None:
    feeding = encoder()
    events: list[Event] = [
        ThinkingDelta("hm"),
        ThinkingDelta("", "sig", origin="anthropic"),
        TextDelta("Hel"),
        TextDelta("lo"),
        ToolCallDelta(0, "a", "f", '{"x":1}'),
        ToolCallDelta(1, "b", "g", "{}"),
        Finished("tool_calls", "tool_use", Usage(10, 5, 4, 1)),
    ]
    body = feeding.keep_alive() + b"".join(map(feeding.feed, events))
    with (
        client(body) as sdk,
        sdk.messages.stream(model="m", max_tokens=9, messages=[{"role": "user", "content": "?"}]) as stream,
    ):
        message = stream.get_final_message()
    content = [block.model_dump(exclude_none=True) for block in message.content]
    assert [block["type"] for block in content] == ["thinking", "text", "tool_use", "tool_use"]
    assert (content[0]["signature"], content[1]["text"], content[2]["input"]) == ("sig", "Hello", {"x": 1})
    assert message.stop_reason == "tool_use"
    assert (message.usage.input_tokens, message.usage.output_tokens) == (5, 5)


def test_the_official_client_raises_what_a_stream_ends_with() -> None:
    feeding = encoder()
    body = feeding.feed(TextDelta("Hel")) + feeding.fail(Unavailable("full"), request_id="r")
    with (
        client(body) as sdk,
        pytest.raises(anthropic.APIStatusError, match="full"),
        sdk.messages.stream(model="m", max_tokens=9, messages=[{"role": "user", "content": "?"}]) as stream,
    ):
        stream.get_final_message()
