"""Anthropic Messages, downwards: whole answers and streams give the same, whatever is odd in them."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmcore.errors import (
    MalformedResponseError,
    OverloadedError,
    ProviderError,
    RateLimitError,
    StreamInterruptedError,
)
from llmcore.provider import Fold
from llmcore.types import (
    Event,
    Finished,
    GenerationRequest,
    GenerationResponse,
    JsonSchema,
    Opaque,
    PartDelta,
    Refusal,
    Text,
    TextDelta,
    Thinking,
    Tool,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from llmcore.wire.anthropic import AnthropicWire
from llmcore.wire.base import Pending
from llmcore.wire.structured import ANSWER_TOOL

WIRE = AnthropicWire()
ASK = GenerationRequest("?", model="m")
SEARCH = {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "llamas"}}
FOUND = {"type": "web_search_tool_result", "tool_use_id": "s1", "content": [{"type": "web_search_result"}]}
CALL = {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Oslo"}}
USAGE = {
    "input_tokens": 10,
    "cache_read_input_tokens": 5,
    "cache_creation_input_tokens": 2,
    "output_tokens": 7,
}


def message(*content: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-x",
        "content": list(content),
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": USAGE,
        **fields,
    }


def whole(value: Any, request: GenerationRequest = ASK, wire: AnthropicWire = WIRE) -> GenerationResponse:
    response = wire.decode_generate(json.dumps(value).encode(), request)
    assert not isinstance(response, Pending)
    return response


def sse(*values: dict[str, Any]) -> bytes:
    return b"".join(f"event: {value['type']}\ndata: {json.dumps(value)}\n\n".encode() for value in values)


def pieces(text: str, seed: int = 0) -> list[str]:
    rng = random.Random(seed)
    cuts = sorted(rng.sample(range(len(text) + 1), min(3, len(text) + 1)))
    return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]


def as_stream(value: dict[str, Any]) -> list[dict[str, Any]]:
    """A whole message as Anthropic would stream it."""
    start = {**value, "content": [], "stop_reason": None, "usage": {**USAGE, "output_tokens": 1}}
    events: list[dict[str, Any]] = [{"type": "message_start", "message": start}, {"type": "ping"}]
    for index, block in enumerate(value["content"]):
        first, deltas = _opened(block)
        events.append({"type": "content_block_start", "index": index, "content_block": first})
        events.extend({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas)
        events.append({"type": "content_block_stop", "index": index})
    end = {key: value.get(key) for key in ("stop_reason", "stop_sequence", "stop_details")}
    events.append({"type": "message_delta", "delta": end, "usage": value["usage"]})
    return [*events, {"type": "message_stop"}]


def _opened(block: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    match block["type"]:
        case "text":
            texts = [{"type": "text_delta", "text": piece} for piece in pieces(block["text"])]
            cites = [
                {"type": "citations_delta", "citation": citation} for citation in block.get("citations", ())
            ]
            return {"type": "text", "text": ""}, [*texts, *cites]
        case "thinking":
            deltas = [{"type": "thinking_delta", "thinking": piece} for piece in pieces(block["thinking"])]
            if block["signature"]:
                deltas.append({"type": "signature_delta", "signature": block["signature"]})
            return {"type": "thinking", "thinking": "", "signature": ""}, deltas
        case "tool_use" | "server_tool_use":
            text = json.dumps(block["input"], separators=(",", ":")) if block["input"] else ""
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in ("", *pieces(text))]
            return {**block, "input": {}}, deltas
    return block, []


def read(chunks: list[bytes], request: GenerationRequest = ASK) -> tuple[list[Event], ProviderError | None]:
    decoder = WIRE.event_decoder(request)
    events: list[Event] = []
    for chunk in chunks:
        events += decoder.feed(chunk)
    events += decoder.finish()
    return events, decoder.error


def folded(
    *values: dict[str, Any], request: GenerationRequest = ASK
) -> tuple[GenerationResponse, ProviderError | None]:
    events, error = read([sse(*values)], request)
    fold = Fold()
    for event in events:
        fold.add(event)
    return fold.response(), error


# ------------------------------------------------------------------------------------------ whole and stream

PARTS: list[tuple[str, dict[str, Any], tuple[Any, ...], str]] = [
    ("text", message({"type": "text", "text": "Hello"}), (Text("Hello"),), "stop"),
    ("nothing", message(), (), "stop"),
    ("empty text", message({"type": "text", "text": ""}), (), "stop"),
    (
        "texts with citations",
        message(
            {"type": "text", "text": "It is "},
            {"type": "text", "text": "blue", "citations": [{"type": "char_location"}]},
            {"type": "text", "text": "."},
        ),
        (Text("It is blue."),),
        "stop",
    ),
    (
        "thinking",
        message(
            {"type": "thinking", "thinking": "hm", "signature": "sig"},
            {"type": "thinking", "thinking": "", "signature": "only"},
            {"type": "redacted_thinking", "data": "sealed"},
            {"type": "text", "text": "So"},
        ),
        (
            Thinking("hm", "sig", origin="anthropic"),
            Thinking("", "only", origin="anthropic"),
            Thinking("", "sealed", redacted=True, origin="anthropic"),
            Text("So"),
        ),
        "stop",
    ),
    (
        "unsigned thinking runs on, up to a sealed one",
        message(
            {"type": "thinking", "thinking": "a", "signature": ""},
            {"type": "text", "text": ""},
            {"type": "thinking", "thinking": "b", "signature": ""},
            {"type": "redacted_thinking", "data": None},
            {"type": "thinking", "thinking": "c", "signature": ""},
        ),
        (Thinking("ab"), Thinking(redacted=True, origin="anthropic"), Thinking("c")),
        "stop",
    ),
    (
        "calls between texts",
        message(
            {"type": "text", "text": "Let me see"},
            CALL,
            {"type": "tool_use", "id": "t2", "name": "now", "input": {}},
            {"type": "text", "text": "Wait"},
            stop_reason="tool_use",
        ),
        (
            Text("Let me see"),
            ToolCall("t1", "weather", '{"city":"Oslo"}'),
            ToolCall("t2", "now", "{}"),
            Text("Wait"),
        ),
        "tool_calls",
    ),
    (
        "call without an id",
        message({**CALL, "id": None}, {**CALL, "id": ""}),
        (ToolCall("call_0", "weather", '{"city":"Oslo"}'), ToolCall("call_1", "weather", '{"city":"Oslo"}')),
        "tool_calls",
    ),
    (
        "hosted tools",
        message({"type": "text", "text": "a"}, SEARCH, FOUND, {"type": "text", "text": "b"}),
        (Text("a"), Opaque(SEARCH, "anthropic"), Opaque(FOUND, "anthropic"), Text("b")),
        "stop",
    ),
    (
        "a call by code",
        message({**CALL, "caller": {"type": "code_execution", "tool_id": "s1"}}),
        (
            ToolCall(
                "t1",
                "weather",
                '{"city":"Oslo"}',
                '{"type":"code_execution","tool_id":"s1"}',
                "anthropic",
            ),
        ),
        "tool_calls",
    ),
    (
        "a call by the model itself",
        message({**CALL, "caller": {"type": "direct"}}),
        (ToolCall("t1", "weather", '{"city":"Oslo"}'),),
        "tool_calls",
    ),
    (
        "refusal",
        message(stop_reason="refusal", stop_details={"category": "bio", "explanation": "Not this."}),
        (Refusal("Not this."),),
        "refusal",
    ),
    (
        "refusal with a category only",
        message({"type": "text", "text": "We"}, stop_reason="refusal", stop_details={"category": "cyber"}),
        (Text("We"), Refusal("cyber")),
        "refusal",
    ),
    ("refusal without a word", message(stop_reason="refusal", stop_details=None), (), "refusal"),
]


@pytest.mark.parametrize(("value", "parts", "finish"), [p[1:] for p in PARTS], ids=[p[0] for p in PARTS])
def test_parts_and_their_order_whole_and_streamed(
    value: dict[str, Any], parts: tuple[Any, ...], finish: str
) -> None:
    answer = whole(value)
    assert answer.message.parts == parts
    assert answer.finish_reason == finish
    assert (answer.id, answer.model, answer.raw) == ("msg_1", "claude-x", value)
    streamed, error = folded(*as_stream(value))
    assert error is None
    assert streamed == answer


FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "pause_turn": "pause",
    "refusal": "refusal",
    "something_new": "unknown",
    None: "unknown",
}


def test_the_stop_sequence_is_kept() -> None:
    value = message({"type": "text", "text": "a"}, stop_reason="stop_sequence", stop_sequence=" b")
    for answer in (whole(value), folded(*as_stream(value))[0]):
        assert answer.stop_sequence == " b"
    assert whole(message({"type": "text", "text": "a"})).stop_sequence is None


@pytest.mark.parametrize(("reason", "finish"), FINISH.items())
def test_finish_reasons(reason: str | None, finish: str) -> None:
    value = message({"type": "text", "text": "a"}, stop_reason=reason)
    for answer in (whole(value), folded(*as_stream(value))[0]):
        assert (answer.finish_reason, answer.raw_finish_reason) == (finish, reason)


def test_blocks_of_other_types_are_kept_whole_with_all_their_deltas() -> None:
    events = as_stream(message())
    events[2:2] = [
        {"type": "content_block_start", "index": 0, "content_block": {"type": "compaction", "content": None}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "compaction_delta", "content": "ab"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "compaction_delta", "content": "cd"}},
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "citations_delta", "citation": {"n": 1}},
        },
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": {**SEARCH, "input": {}}},
        {
            "type": "content_block_delta",
            "index": 1,
            "delta": {"type": "input_json_delta", "partial_json": '{"q'},
        },
        {"type": "content_block_stop", "index": 1},
    ]
    answer, error = folded(*events)
    assert error is None
    assert [part.raw for part in answer.message.parts if isinstance(part, Opaque)] == [
        {"type": "compaction", "content": "abcd", "citations": [{"n": 1}]},
        {**SEARCH, "input": '{"q'},
    ]


def test_an_input_in_the_start_of_a_block_counts_where_no_delta_comes() -> None:
    events = as_stream(message())
    events[2:2] = [
        {"type": "content_block_start", "index": 0, "content_block": CALL},
        {"type": "content_block_stop", "index": 0},
    ]
    assert folded(*events)[0].tool_calls == (ToolCall("t1", "weather", '{"city":"Oslo"}'),)


def test_a_message_start_may_hold_the_whole_message() -> None:
    value = message({"type": "text", "text": "Hi"}, CALL, stop_reason="tool_use")
    answer, error = folded({"type": "message_start", "message": value}, {"type": "message_stop"})
    assert error is None
    assert answer == whole(value)


def test_deltas_without_a_start_and_blocks_without_an_end_are_read() -> None:
    answer, error = folded(
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Hi"}},
        {
            "type": "content_block_delta",
            "index": 2,
            "delta": {"type": "input_json_delta", "partial_json": "{"},
        },
        {"type": "content_block_start", "index": 3, "content_block": CALL},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}},
        {"type": "message_stop"},
    )
    assert error is None
    assert answer.message.parts == (
        Thinking("hm"),
        Text("Hi"),
        ToolCall("t1", "weather", '{"city":"Oslo"}'),
    )


def test_text_and_signature_in_the_start_of_a_block_count() -> None:
    answer, _ = folded(
        {
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "thinking", "thinking": "h", "signature": "s"},
        },
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "m"}},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": "H"}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "i"}},
        {"type": "message_stop"},
    )
    assert answer.message.parts == (Thinking("hm", "s", origin="anthropic"), Text("Hi"))


def test_calls_may_be_written_side_by_side() -> None:
    def piece(index: int, text: str) -> dict[str, Any]:
        delta = {"type": "input_json_delta", "partial_json": text}
        return {"type": "content_block_delta", "index": index, "delta": delta}

    answer, error = folded(
        {"type": "content_block_start", "index": 0, "content_block": {**CALL, "input": {}}},
        {"type": "content_block_start", "index": 1, "content_block": {**CALL, "id": "t2", "input": {}}},
        piece(0, '{"a":'),
        piece(1, '{"b":'),
        piece(0, "1}"),
        piece(1, "2}"),
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}},
    )
    assert error is None
    assert [(call.id, call.arguments) for call in answer.tool_calls] == [("t1", '{"a":1}'), ("t2", '{"b":2}')]


@pytest.mark.parametrize("piece", [None, '{"city": '])
@pytest.mark.parametrize("closed", [True, False])
def test_an_end_without_a_reason_inside_a_calls_input_is_a_cut(piece: str | None, closed: bool) -> None:
    events: list[dict[str, Any]] = [
        {"type": "content_block_start", "index": 0, "content_block": {**CALL, "input": {}}}
    ]
    if piece is not None:
        delta = {"type": "input_json_delta", "partial_json": piece}
        events.append({"type": "content_block_delta", "index": 0, "delta": delta})
    if closed:
        events.append({"type": "content_block_stop", "index": 0})
    found, error = read([sse(*events, {"type": "message_stop"})])
    if closed and piece is None:  # the vendor says that the input is empty
        assert error is None
    else:
        assert isinstance(error, StreamInterruptedError)
        assert not any(isinstance(event, Finished) for event in found)


@pytest.mark.parametrize("start", [CALL, {**CALL, "input": {}}])
def test_an_end_without_a_reason_after_a_whole_input_ends_it(start: dict[str, Any]) -> None:
    delta = {"type": "input_json_delta", "partial_json": '{"city":"Oslo"}'}
    pieces: list[dict[str, Any]] = (
        [] if start["input"] else [{"type": "content_block_delta", "index": 0, "delta": delta}]
    )
    opened = {"type": "content_block_start", "index": 0, "content_block": start}
    answer, error = folded(opened, *pieces, {"type": "message_stop"})
    assert error is None
    assert answer.tool_calls == (ToolCall("t1", "weather", '{"city":"Oslo"}'),)


def test_unknown_events_and_deltas_are_passed_over() -> None:
    events = as_stream(message({"type": "text", "text": "Hi"}, CALL))
    odd = [
        {"type": "something_new", "index": 0},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "new_delta", "text": "x"}},
        {"type": "content_block_delta", "index": 9, "delta": {"type": "new_delta"}},
        {"type": "content_block_delta", "index": 0, "delta": None},
        {"type": "content_block_stop", "index": 7},
        {"type": "ping"},
    ]
    assert folded(*events[:3], *odd, *events[3:]) == folded(*events)


def test_events_need_no_names_and_a_done_line_says_nothing() -> None:
    events = as_stream(message({"type": "text", "text": "Hi"}))
    bare = b"".join(f"data: {json.dumps(value)}\n\n".encode() for value in events[:-1])
    assert read([bare + b"data: [DONE]\n\n"]) == read([sse(*events)])


def test_an_event_without_a_type_is_known_by_its_name() -> None:
    body = sse(*as_stream(message({"type": "text", "text": "Hi"}))).replace(b'"type": "message_stop"', b"")
    events, error = read([body])
    assert error is None
    assert isinstance(events[-1], Finished)


def test_a_plain_answer_where_a_stream_was_asked_for() -> None:
    value = message({"type": "text", "text": "Hi"}, CALL)
    events, error = read([json.dumps(value).encode()])
    fold = Fold()
    for event in events:
        fold.add(event)
    assert error is None
    assert fold.response() == whole(value)


def test_halves_of_a_character_in_two_deltas_are_joined() -> None:
    events = as_stream(message())
    events[2:2] = [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a\ud83d"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "\ude00b\ud83d"}},
    ]
    answer, error = folded(*events)
    assert error is None
    assert answer.text == "a\U0001f600b\ufffd"
    assert whole(message({"type": "text", "text": "\ud83d\ude00\ud83d"})).text == "\U0001f600\ufffd"


def test_arguments_with_half_a_character_stay_json() -> None:
    (call,) = whole(message({**CALL, "input": {"a": "\ud83d"}})).tool_calls
    assert call.input == {"a": "\ud83d"}


@pytest.mark.parametrize(
    ("given_input", "arguments"), [(None, "{}"), ("", "{}"), ('{"a": 1', '{"a": 1'), ({}, "{}")]
)
def test_odd_inputs_of_calls(given_input: Any, arguments: str) -> None:
    assert whole(message({**CALL, "input": given_input})).tool_calls[0].arguments == arguments


# ---------------------------------------------------------------------------------------------------- usage


def test_input_is_all_that_was_read_and_streams_replace() -> None:
    usage = {**USAGE, "output_tokens_details": {"thinking_tokens": 4}}
    value = message({"type": "text", "text": "a"}, usage=usage)
    for answer in (whole(value), folded(*as_stream(value))[0]):
        assert answer.usage == Usage(17, 7, 5, 2, 4)
        assert answer.usage.raw == usage


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (None, Usage()),
        ("many", Usage()),
        ({}, Usage()),
        ({"output_tokens": 3}, Usage(None, 3)),
        ({"input_tokens": 1.0, "output_tokens": "3"}, Usage(1, 3)),
        ({"input_tokens": -1, "output_tokens": True}, Usage()),
        ({"input_tokens": 0, "output_tokens": 0}, Usage(0, 0)),
        ({"input_tokens": 1, "cache_read_input_tokens": None, "output_tokens": 2}, Usage(1, 2)),
        (
            {"input_tokens": 1, "output_tokens": 2, "output_tokens_details": {"thinking_tokens": 3}},
            Usage(1, 2),
        ),
        ({"input_tokens": 1, "output_tokens_details": None}, Usage(1)),
    ],
)
def test_odd_usage(usage: Any, expected: Usage) -> None:
    assert whole(message(usage=usage)).usage == expected


def test_a_delta_that_knows_less_takes_nothing_away() -> None:
    events = as_stream(message(usage={"input_tokens": None, "output_tokens": 9}))
    assert folded(*events)[0].usage == Usage(17, 9, 5, 2)


# ------------------------------------------------------------------------------------------ errors in a 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"[]",
        b"3",
        b"null",
        b"<html>",
        b"{",
        b"{}",
        b'{"id":"x"}',
        b'{"content":null}',
        b"\xff\xfe",
    ],
)
def test_what_is_no_message_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedResponseError):
        WIRE.decode_generate(body, ASK)


def test_a_message_without_content_is_one_all_the_same() -> None:
    assert whole({"type": "message", "content": None, "stop_reason": "end_turn"}).message.parts == ()


def test_an_error_in_a_200_is_that_error() -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    with pytest.raises(OverloadedError) as caught:
        whole(error)
    assert caught.value.status == 529


def test_an_error_in_a_stream_comes_after_what_was_said() -> None:
    start = as_stream(message({"type": "text", "text": "Hi"}))[:5]
    error = {
        "type": "error",
        "error": {"type": "rate_limit_error", "message": "Slow down", "details": None},
        "request_id": "req_1",
    }
    events, raised = read([sse(*start, error, *as_stream(message()))])
    assert "".join(event.text for event in events if isinstance(event, TextDelta)).startswith("H")
    assert isinstance(raised, RateLimitError)
    assert (raised.status, raised.type, raised.request_id) == (429, "rate_limit_error", "req_1")


def test_an_error_body_where_a_stream_was_asked_for() -> None:
    body = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    events, raised = read([json.dumps(body).encode()])
    assert events == []
    assert isinstance(raised, OverloadedError)


# ------------------------------------------------------------------------------------- splits and truncation

FULL = sse(
    *as_stream(
        message(
            {"type": "thinking", "thinking": "hmm…", "signature": "sig"},
            {"type": "text", "text": "Grüße \U0001f600"},
            SEARCH,
            FOUND,
            CALL,
            stop_reason="tool_use",
        )
    )
)


@settings(max_examples=max(60, settings().max_examples))
@given(st.lists(st.integers(0, len(FULL)), max_size=20))
def test_any_split_gives_the_same(cuts: list[int]) -> None:
    cuts = sorted(cuts)
    chunks = [FULL[a:b] for a, b in zip([0, *cuts], [*cuts, len(FULL)], strict=True)]
    assert read(chunks) == read([FULL])


def test_byte_by_byte_gives_the_same() -> None:
    assert read([FULL[i : i + 1] for i in range(len(FULL))]) == read([FULL])


def test_a_cut_stream_is_never_whole_before_its_reason_is_known() -> None:
    known = FULL.index(b"event: message_delta")
    for end in range(0, len(FULL), 7):
        events, error = read([FULL[:end]])
        if end < known:
            assert isinstance(error, (StreamInterruptedError, MalformedResponseError))
            assert not any(isinstance(event, Finished) for event in events)
        else:
            assert (error is None) == any(isinstance(event, Finished) for event in events)


def test_only_the_terminator_missing_is_whole() -> None:
    events, error = read([sse(*as_stream(message({"type": "text", "text": "Hi"}))[:-1])])
    assert error is None
    assert isinstance(events[-1], Finished)
    assert events[-1].finish_reason == "stop"


def test_nothing_is_read_after_the_end() -> None:
    decoder = WIRE.event_decoder(ASK)
    decoder.feed(FULL)
    assert decoder.done
    assert decoder.feed(FULL) == []
    assert decoder.finish() == []


# -------------------------------------------------------------------------------------------- any bytes at all

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "type",
                    "content",
                    "index",
                    "delta",
                    "content_block",
                    "message",
                    "usage",
                    "text",
                    "input",
                    "stop_reason",
                    "stop_details",
                    "error",
                    "citation",
                    "caller",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
kinds = st.sampled_from(
    [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
        "error",
        "ping",
        "text",
        "tool_use",
    ]
)


@settings(max_examples=max(80, settings().max_examples))
@given(st.binary(max_size=80) | values.map(lambda value: json.dumps(value).encode()))
def test_any_body_is_an_answer_or_a_provider_error(body: bytes) -> None:
    try:
        assert isinstance(WIRE.decode_generate(body, ASK), GenerationResponse)
    except ProviderError as error:
        assert error.message  # noqa: PT017 - either outcome is right


@settings(max_examples=max(80, settings().max_examples))
@given(st.lists(st.tuples(kinds, values), max_size=6), st.booleans())
def test_any_stream_ends_in_one_way(said: list[tuple[str, Any]], ended: bool) -> None:
    events = [
        {**(value if isinstance(value, dict) else {"delta": value}), "type": kind} for kind, value in said
    ]
    shown, error = read([sse(*events, *([{"type": "message_stop"}] if ended else []))])
    assert (error is None) == (bool(shown) and isinstance(shown[-1], Finished))
    assert sum(isinstance(event, Finished) for event in shown) <= 1


@given(st.binary(max_size=120))
def test_any_bytes_end_in_one_way(body: bytes) -> None:
    events, error = read([body])
    assert (error is None) == any(isinstance(event, Finished) for event in events)


blocks = st.one_of(
    st.builds(lambda text: {"type": "text", "text": text}, st.text(max_size=6)),
    st.builds(
        lambda text, sig: {"type": "thinking", "thinking": text, "signature": sig},
        st.text(max_size=4),
        st.sampled_from(["", "sig"]),
    ),
    st.builds(
        lambda data: {"type": "redacted_thinking", "data": data}, st.text("ab", min_size=1, max_size=3)
    ),
    st.builds(
        lambda value: {**CALL, "input": value},
        st.dictionaries(st.text("ab", max_size=2), st.integers(0, 9), max_size=2),
    ),
    st.just(SEARCH),
    st.just(FOUND),
)


@settings(max_examples=max(80, settings().max_examples))
@given(st.lists(blocks, max_size=6), st.sampled_from(["end_turn", "tool_use", "max_tokens", None]))
def test_a_stream_folds_to_the_whole(content: list[dict[str, Any]], reason: str | None) -> None:
    value = message(*content, stop_reason=reason)
    assert folded(*as_stream(value)) == (whole(value), None)


# ----------------------------------------------------------------------------------- structured, by the tool


def answer_block(value: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": "t9", "name": ANSWER_TOOL, "input": value}


LIST = JsonSchema({"type": "array", "items": {"type": "integer"}})
BY_TOOL = AnthropicWire(structured_output="tool")


def streamed_by_tool(value: dict[str, Any], request: GenerationRequest) -> list[Event]:
    decoder = BY_TOOL.event_decoder(request)
    events = decoder.feed(sse(*as_stream(value)))
    assert decoder.error is None
    return events


@pytest.mark.parametrize(
    ("asked", "content", "text", "finish"),
    [
        ("json", [answer_block({"n": 1})], '{"n":1}', "stop"),
        ("json", [{"type": "text", "text": "Here:"}, answer_block({"n": 1})], '{"n":1}', "stop"),
        ("json", [answer_block({"n": 1}), {"type": "text", "text": "Done."}], '{"n":1}', "stop"),
        ("json", [{"type": "text", "text": '{"n": 2}'}], '{"n": 2}', "tool_calls"),
        (
            "json",
            [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "text", "text": "x"},
                CALL,
                answer_block({}),
            ],
            "{}",
            "tool_calls",
        ),
        ("json", [{"type": "text", "text": "First the weather"}, CALL], "First the weather", "tool_calls"),
        (LIST, [answer_block({"value": [1, 2]})], "[1, 2]", "stop"),
        (LIST, [answer_block({"value": [1]}), FOUND], "[1]", "stop"),
        (LIST, [answer_block({"other": 1})], '{"other":1}', "stop"),
    ],
)
def test_the_answer_tools_arguments_are_the_text(
    asked: Any, content: list[dict[str, Any]], text: str, finish: str
) -> None:
    request = GenerationRequest("?", model="m", response_format=asked, tools=[Tool("weather")])
    value = message(*content, stop_reason="tool_use")
    answer = whole(value, request, BY_TOOL)
    assert answer.text == text
    assert answer.finish_reason == finish
    assert all(call.name != ANSWER_TOOL for call in answer.tool_calls)
    fold = Fold()
    for event in streamed_by_tool(value, request):
        fold.add(event)
    assert fold.response() == answer


def test_the_answer_is_shown_while_it_is_written() -> None:
    request = GenerationRequest("?", model="m", response_format="json")
    events = streamed_by_tool(message(answer_block({"name": "a long enough name"})), request)
    assert sum(isinstance(event, TextDelta) for event in events) > 2
    assert not any(isinstance(event, (ToolCallDelta, PartDelta)) for event in events)


def test_a_native_answer_is_plain_text() -> None:
    request = GenerationRequest("?", model="m", response_format=LIST)
    value = message({"type": "text", "text": "[1]"})
    assert whole(value, request).text == "[1]"
    assert folded(*as_stream(value), request=request)[0] == whole(value, request)
