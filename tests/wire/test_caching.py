"""Cache marks: Anthropic has a form for them; every other dialect sends what it would without them, and says so."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmcore.check import as_generation_request
from llmcore.errors import InvalidRequestError
from llmcore.types import (
    CachePoint,
    GenerationRequest,
    Image,
    Message,
    Opaque,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from llmcore.wire.anthropic import AnthropicWire
from llmcore.wire.azure import AzureWire
from llmcore.wire.base import Wire
from llmcore.wire.cohere import CohereWire
from llmcore.wire.gemini import GeminiWire
from llmcore.wire.ollama import OllamaWire
from llmcore.wire.openai import OpenAIWire
from llmcore.wire.replicate import ReplicateWire
from llmcore.wire.responses import ResponsesWire

ANTHROPIC = AnthropicWire()
OTHERS = [
    *(OpenAIWire(), ResponsesWire(), AzureWire(), GeminiWire(), OllamaWire(), CohereWire()),
    ReplicateWire(),
]
HOUR = {"type": "ephemeral", "ttl": "1h"}
SHORT = {"type": "ephemeral"}


def sent(wire: Wire, *messages: Message, **fields: Any) -> dict[str, Any]:
    request = as_generation_request(GenerationRequest(messages, model="a/b", **fields))
    body: dict[str, Any] = json.loads(wire.encode_generate(request, stream=False).http.body or b"")
    return body


def warned(wire: Wire, *messages: Message, **fields: Any) -> list[str]:
    request = GenerationRequest(messages, model="a/b", **fields)
    return [one.parameter for one in wire.encode_generate(request, stream=False).warnings]


def test_system_texts_tools_and_turns_are_marked_where_the_point_stands() -> None:
    body = sent(
        ANTHROPIC,
        Message.system("Be brief.", CachePoint("1h")),
        Message.user("a", CachePoint("5m"), "b"),
        tools=[Tool("f"), Tool("g", cache=CachePoint())],
    )
    assert body["system"] == [{"type": "text", "text": "Be brief.", "cache_control": HOUR}]
    assert body["messages"][0]["content"] == [
        {"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "5m"}},
        {"type": "text", "text": "b"},
    ]
    assert [tool.get("cache_control") for tool in body["tools"]] == [None, SHORT]
    assert warned(ANTHROPIC, Message.user("a", CachePoint())) == []


def test_results_of_tools_and_pictures_are_marked() -> None:
    body = sent(
        ANTHROPIC,
        Message.user(Image(data=b"\x89PNG"), CachePoint(), "look"),
        Message.assistant(ToolCall("1", "f"), ToolCall("2", "g")),
        Message("tool", (ToolResult("1", "x"), CachePoint(), ToolResult("2", "y"))),
    )
    picture, _ = body["messages"][0]["content"]
    assert (picture["type"], picture["cache_control"]) == ("image", SHORT)
    results = body["messages"][2]["content"]
    assert [block.get("cache_control") for block in results] == [SHORT, None]


def test_reasoning_cannot_be_marked_so_the_block_before_it_is() -> None:
    thought = Thinking("hm", "c2ln", origin="anthropic")
    said = Message.assistant(Text("so"), thought, CachePoint("1h"))
    blocks = sent(ANTHROPIC, Message.user("?"), said, Message.user("!"))["messages"][1]["content"]
    assert [block.get("cache_control") for block in blocks] == [HOUR, None]
    alone = Message.assistant(thought, CachePoint())
    assert warned(ANTHROPIC, Message.user("?"), alone, Message.user("!")) == ["cache"]


def test_a_vendors_own_block_is_not_written_into() -> None:
    raw = {"type": "server_tool_use", "id": "s"}
    message = Message.assistant("x", Opaque(raw, "anthropic"), CachePoint())
    blocks = sent(ANTHROPIC, Message.user("?"), message, Message.user("!"))["messages"][1]["content"]
    assert blocks[1] == {**raw, "cache_control": SHORT}
    assert raw == {"type": "server_tool_use", "id": "s"}


@pytest.mark.parametrize("wire", OTHERS, ids=lambda wire: type(wire).__name__)
def test_others_send_the_same_as_without_marks_and_say_so_once(wire: Wire) -> None:
    marked = (
        Message.system("Be brief.", CachePoint("1h")),
        Message.user("a", CachePoint()),
        Message.assistant("b", CachePoint()),
        Message.user("c", "d", CachePoint()),
    )
    plain = (
        Message.system("Be brief."),
        Message.user("a"),
        Message.assistant("b"),
        Message.user("c", "d"),
    )
    assert sent(wire, *marked) == sent(wire, *plain)
    assert [one for one in warned(wire, *marked) if one not in warned(wire, *plain)] == ["cache"]


@pytest.mark.parametrize("wire", OTHERS[:-1], ids=lambda wire: type(wire).__name__)
def test_a_marked_tool_alone_is_said_too(wire: Wire) -> None:
    tool = Tool("f", "does", cache=CachePoint())
    assert warned(wire, Message.user("a"), tools=[tool]) == ["cache"]
    assert sent(wire, Message.user("a"), tools=[tool]) == sent(
        wire, Message.user("a"), tools=[Tool("f", "does")]
    )


@pytest.mark.parametrize("role", ["system", "user", "assistant"])
def test_a_point_stands_behind_something(role: Any) -> None:
    messages = [Message.user("a"), Message(role, (CachePoint(), Text("b"))), Message.user("c")]
    with pytest.raises(InvalidRequestError, match=r"messages\[1\]: a CachePoint stands behind"):
        as_generation_request(messages)


def test_a_point_is_no_prompt() -> None:
    with pytest.raises(InvalidRequestError, match="the prompt is empty"):
        as_generation_request(GenerationRequest([Message.user(" ", CachePoint())]))
