"""Messages by the official anthropic SDK, over every simulated dialect."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import pytest
from anthropic.types import TextBlock, ToolUseBlock
from pydantic import BaseModel

from tests.gateway.sdk.served import Served
from tests.gateway.sdk.test_openai_chat import PIXEL

WEATHER: Any = {
    "name": "weather",
    "description": "The weather of a city",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
}


class Person(BaseModel):
    name: str
    age: int


def user(content: Any) -> Any:
    return {"role": "user", "content": content}


def text_of(message: Any) -> str:
    return "".join(block.text for block in message.content if isinstance(block, TextBlock))


def test_create(claude: anthropic.Anthropic, gateway: Served, dialect: str, model: str) -> None:
    answer = claude.messages.create(
        model=model, max_tokens=50, system="Be brief.", messages=[user("say: hello there")]
    )
    assert (answer.type, answer.role, answer.stop_reason) == ("message", "assistant", "end_turn")
    assert text_of(answer) == "hello there"
    counts = gateway.last.counts
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (counts.input, counts.output)
    understood = gateway.last.understood
    assert understood is not None
    assert understood.dialect == dialect
    assert understood.max_tokens == 50


def test_create_as_a_stream_of_events(claude: anthropic.Anthropic, model: str) -> None:
    said, kinds = "", []
    for event in claude.messages.create(model=model, max_tokens=50, messages=[user("count: 5")], stream=True):
        kinds.append(event.type)
        if event.type == "content_block_delta" and event.delta.type == "text_delta":
            said += event.delta.text
    assert said == "word1 word2 word3 word4 word5"
    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]


def test_the_stream_helper(claude: anthropic.Anthropic, gateway: Served, model: str) -> None:
    with claude.messages.stream(model=model, max_tokens=100, messages=[user("count: 20")]) as stream:
        said = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert said == text_of(final) == " ".join(f"word{n}" for n in range(1, 21))
    assert final.stop_reason == "end_turn"
    assert final.usage.output_tokens == gateway.last.counts.output


def test_with_streaming_response(claude: anthropic.Anthropic, model: str, dialect: str) -> None:
    with claude.messages.with_streaming_response.create(
        model=model, max_tokens=50, messages=[user("say: hello")], stream=True
    ) as raw:
        assert raw.headers["x-llmcore-provider"] == dialect
        lines = [line for line in raw.iter_lines() if line.startswith("event: ")]
    assert lines[0] == "event: message_start"
    assert lines[-1] == "event: message_stop"


def test_with_raw_response(claude: anthropic.Anthropic, model: str, dialect: str) -> None:
    raw = claude.messages.with_raw_response.create(model=model, max_tokens=50, messages=[user("say: hello")])
    assert raw.headers["x-llmcore-provider"] == dialect
    assert text_of(raw.parse()) == "hello"


def test_tools_there_and_back(claude: anthropic.Anthropic, gateway: Served, model: str) -> None:
    messages = [user('call weather with {"city": "Oslo"}')]
    asked = claude.messages.create(model=model, max_tokens=200, messages=messages, tools=[WEATHER])
    assert asked.stop_reason == "tool_use"
    (call,) = [block for block in asked.content if isinstance(block, ToolUseBlock)]
    assert (call.name, call.input) == ("weather", {"city": "Oslo"})
    messages += [
        {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in asked.content]},
        user([{"type": "tool_result", "tool_use_id": call.id, "content": "rain"}]),
    ]
    told = claude.messages.create(model=model, max_tokens=200, messages=messages, tools=[WEATHER])
    assert text_of(told) == "The tool weather says: rain"
    understood = gateway.last.understood
    assert understood is not None
    assert [turn.role for turn in understood.turns] == ["user", "assistant", "tool"]


def test_tools_in_a_stream(claude: anthropic.Anthropic, model: str) -> None:
    with claude.messages.stream(
        model=model, max_tokens=200, messages=[user("weather twice")], tools=[WEATHER]
    ) as stream:
        final = stream.get_final_message()
    calls = [block for block in final.content if isinstance(block, ToolUseBlock)]
    assert final.stop_reason == "tool_use"
    assert [call.name for call in calls] == ["weather", "weather"]
    assert len({call.id for call in calls}) == 2
    assert all(isinstance(call.input, dict) and call.input["city"] for call in calls)


def test_images(claude: anthropic.Anthropic, model: str) -> None:
    data = PIXEL.partition(",")[2]
    source = {"type": "base64", "media_type": "image/png", "data": data}
    answer = claude.messages.create(
        model=model,
        max_tokens=300,
        messages=[user([{"type": "image", "source": source}, {"type": "text", "text": "describe:"}])],
    )
    assert json.loads(text_of(answer))["images"] == 1


def test_parse(claude: anthropic.Anthropic, model: str) -> None:
    answer = claude.messages.parse(
        model=model, max_tokens=200, messages=[user("Who is it?")], output_format=Person
    )
    assert isinstance(answer.parsed_output, Person)


def test_length(claude: anthropic.Anthropic, model: str) -> None:
    answer = claude.messages.create(model=model, max_tokens=16, messages=[user("count: 50")])
    assert answer.stop_reason == "max_tokens"


def test_count_tokens(claude: anthropic.Anthropic, model: str) -> None:
    short = claude.messages.count_tokens(model=model, messages=[user("hello")])
    long = claude.messages.count_tokens(model=model, messages=[user("hello " * 100)], system="Be brief.")
    assert 0 < short.input_tokens < long.input_tokens


@pytest.mark.anyio
async def test_async(aclaude: anthropic.AsyncAnthropic, model: str) -> None:
    answer = await aclaude.messages.create(model=model, max_tokens=50, messages=[user("say: hello")])
    assert text_of(answer) == "hello"
    async with aclaude.messages.stream(model=model, max_tokens=50, messages=[user("say: a b c")]) as stream:
        said = "".join([text async for text in stream.text_stream])
        final = await stream.get_final_message()
    assert said == text_of(final) == "a b c"
    count = await aclaude.messages.count_tokens(model=model, messages=[user("hello")])
    assert count.input_tokens > 0
