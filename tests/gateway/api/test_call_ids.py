"""Ids that no vendor gave are unlike those of other answers, and Gemini is not sent them back."""

from __future__ import annotations

import json
import re

import pytest

from llmcore.gateway.api.call_ids import distinct, distinct_answer, distinct_event
from llmcore.provider import EventStream
from llmcore.testing import ScriptedProvider
from llmcore.types import (
    Event,
    GenerationInput,
    GenerationRequest,
    GenerationResponse,
    Message,
    Text,
    TextDelta,
    ToolCall,
    ToolCallDelta,
)
from llmcore.wire.gemini import GeminiWire
from tests.gateway.standin import client, question, stage


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


class _Calling:
    """What another source says, after a call without an id of the vendor's."""

    def __init__(self, inner: EventStream) -> None:
        self._inner = inner
        self._called = False

    async def open(self) -> None:
        await self._inner.open()

    async def next(self) -> Event:
        if self._called:
            return await anext(self._inner)
        self._called = True
        return ToolCallDelta(0, "call_0", "f", "{}")

    async def aclose(self) -> None:
        await self._inner.aclose()


class Calling(ScriptedProvider):
    def stream(self, request: GenerationInput, /) -> EventStream:
        return EventStream(_Calling(super().stream(request)))


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
async def test_two_answers_have_no_id_in_common(path: str) -> None:
    found: list[str] = []
    async with client(stage(Calling("a"))) as http:
        for stream in (False, True, False, True):
            reply = await http.post(path, json={**question(stream=stream), "max_tokens": 9})
            assert reply.status_code == 200, reply.text
            found += re.findall(r'"id":"(call_[^"]+)"', reply.text)
    assert len(found) == len({*found}) == 4
    assert "call_0" not in found
