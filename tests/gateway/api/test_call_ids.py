"""Ids that no vendor gave are unlike those of other answers, and Gemini is not sent them back."""

from __future__ import annotations

import json

from llmcore.gateway.api.call_ids import distinct, distinct_answer, distinct_event
from llmcore.types import (
    GenerationRequest,
    GenerationResponse,
    Message,
    Text,
    TextDelta,
    ToolCall,
    ToolCallDelta,
)
from llmcore.wire.gemini import GeminiWire


def test_only_ids_of_ours_are_changed() -> None:
    assert distinct("call_0") != distinct("call_0")
    assert distinct("call_0").startswith("call_0_")
    for id_ in ("call_abc", "toolu_1", "call_", "call_0x", "call_0_12345678", ""):
        assert distinct(id_) == id_


def test_whole_answers() -> None:
    calls = (ToolCall("call_0", "f"), ToolCall("call_1", "f"), ToolCall("toolu_1", "g"))
    answer = GenerationResponse(Message("assistant", (Text("x"), *calls)), "tool_calls")
    first, second = distinct_answer(answer), distinct_answer(answer)
    ids = [call.id for one in (first, second) for call in one.tool_calls]
    assert len(set(ids)) == 5
    assert ids.count("toolu_1") == 2
    assert (first.text, [call.name for call in first.tool_calls]) == ("x", ["f", "f", "g"])
    plain = GenerationResponse(Message("assistant", (Text("x"), calls[2])))
    assert distinct_answer(plain) is plain


def test_events() -> None:
    named = distinct_event(ToolCallDelta(1, "call_1", "f", "{"))
    assert isinstance(named, ToolCallDelta)
    assert named == ToolCallDelta(1, named.id, "f", "{")
    assert named.id not in {None, "call_1"}
    for event in (ToolCallDelta(1, arguments="}"), TextDelta("call_0"), ToolCallDelta(0, "toolu_1", "f")):
        assert distinct_event(event) == event


def test_gemini_is_not_sent_what_it_did_not_give() -> None:
    id_ = distinct("call_0")
    messages = [Message.user("q"), Message.assistant(ToolCall(id_, "f")), Message.tool(id_, "x")]
    encoded = GeminiWire().encode_generate(GenerationRequest(messages, "m"), stream=False)
    contents = json.loads(encoded.http.body or b"")["contents"]
    assert contents[1]["parts"] == [{"functionCall": {"name": "f", "args": {}}}]
    assert contents[2]["parts"] == [{"functionResponse": {"name": "f", "response": {"result": "x"}}}]
