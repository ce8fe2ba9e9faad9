"""Chat completions by the official openai SDK, over every simulated dialect."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from tests.gateway.sdk.served import Served

WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
        "strict": True,
    },
}
PIXEL = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


class Person(BaseModel):
    name: str
    age: int


def user(text: str) -> Any:
    return {"role": "user", "content": text}


def test_create(client: openai.OpenAI, gateway: Served, dialect: str, model: str) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model=model,
        messages=[{"role": "system", "content": "Be brief."}, user("say: hello there")],
        max_completion_tokens=50,
        temperature=0.5,
    )
    answer = raw.parse()
    (choice,) = answer.choices
    assert (choice.message.role, choice.message.content, choice.finish_reason) == (
        "assistant",
        "hello there",
        "stop",
    )
    assert answer.object == "chat.completion"
    assert answer.model == "sim-model"
    counts = gateway.last.counts
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (counts.input, counts.output)
    understood = gateway.last.understood
    assert understood is not None
    assert understood.dialect == dialect
    assert [turn.role for turn in understood.turns] == ["system", "user"]
    assert understood.max_tokens == 50
    if dialect == "anthropic":  # its newest version refuses temperatures
        assert "temperature" in raw.headers["x-llmcore-warnings"]
    else:
        assert understood.temperature == pytest.approx(0.5)
        assert "x-llmcore-warnings" not in raw.headers


def test_stream(client: openai.OpenAI, gateway: Served, model: str) -> None:
    chunks = list(
        client.chat.completions.create(
            model=model,
            messages=[user("count: 20")],
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    said = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert said == " ".join(f"word{n}" for n in range(1, 21))
    assert [c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason] == [
        "stop"
    ]
    assert len({c.id for c in chunks}) == 1
    assert [c.usage is not None for c in chunks] == [False] * (len(chunks) - 1) + [True]
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == gateway.last.counts.output


def test_stream_without_usage(client: openai.OpenAI, model: str) -> None:
    with client.chat.completions.create(model=model, messages=[user("say: a b c")], stream=True) as chunks:
        found = list(chunks)
    assert all(chunk.usage is None for chunk in found)
    assert all(chunk.choices for chunk in found)


def test_with_streaming_response(client: openai.OpenAI, model: str, dialect: str) -> None:
    with client.chat.completions.with_streaming_response.create(
        model=model, messages=[user("say: hello")], stream=True
    ) as raw:
        assert raw.headers["content-type"].startswith("text/event-stream")
        assert raw.headers["x-llmcore-provider"] == dialect
        lines = [line for line in raw.iter_lines() if line]
    assert lines[-1] == "data: [DONE]"
    assert "".join(
        json.loads(line.removeprefix("data: "))["choices"][0]["delta"].get("content") or ""
        for line in lines[:-1]
    ) == "hello"  # fmt: skip


def test_with_streaming_response_of_a_whole_answer(client: openai.OpenAI, model: str) -> None:
    with client.chat.completions.with_streaming_response.create(
        model=model, messages=[user("say: hello")]
    ) as raw:
        answer = raw.parse()
    assert answer.choices[0].message.content == "hello"


def test_with_raw_response(client: openai.OpenAI, model: str, dialect: str) -> None:
    raw = client.chat.completions.with_raw_response.create(model=model, messages=[user("say: hello")])
    assert raw.headers["x-llmcore-provider"] == dialect
    assert raw.headers["x-llmcore-attempts"] == "1"
    assert raw.request_id == raw.headers["x-request-id"]
    assert raw.parse().choices[0].message.content == "hello"


def test_the_stream_helper(client: openai.OpenAI, model: str) -> None:
    with client.chat.completions.stream(model=model, messages=[user("count: 5")]) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_completion()
    assert kinds.count("content.delta") >= 2
    assert kinds[-1] == "content.done"
    assert final.choices[0].message.content == "word1 word2 word3 word4 word5"


def test_tools_there_and_back(client: openai.OpenAI, gateway: Served, model: str) -> None:
    messages: list[Any] = [user('call weather with {"city": "Oslo"}')]
    asked = client.chat.completions.create(model=model, messages=messages, tools=[WEATHER])
    (choice,) = asked.choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls is not None
    (call,) = choice.message.tool_calls
    assert call.type == "function"
    assert (call.function.name, json.loads(call.function.arguments)) == ("weather", {"city": "Oslo"})
    messages += [
        choice.message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": "rain"},
    ]
    told = client.chat.completions.create(model=model, messages=messages, tools=[WEATHER])
    assert told.choices[0].message.content == "The tool weather says: rain"
    assert told.choices[0].finish_reason == "stop"
    understood = gateway.last.understood
    assert understood is not None
    assert [turn.role for turn in understood.turns] == ["user", "assistant", "tool"]


def test_two_tool_calls_in_a_stream(client: openai.OpenAI, model: str) -> None:
    calls: dict[int, dict[str, str]] = {}
    finish = None
    for chunk in client.chat.completions.create(
        model=model, messages=[user("weather twice")], tools=[WEATHER], stream=True
    ):
        (choice,) = chunk.choices
        finish = choice.finish_reason or finish
        for delta in choice.delta.tool_calls or ():
            call = calls.setdefault(delta.index, {"id": "", "name": "", "arguments": ""})
            assert delta.function is not None
            call["id"] += delta.id or ""
            call["name"] += delta.function.name or ""
            call["arguments"] += delta.function.arguments or ""
    assert finish == "tool_calls"
    assert sorted(calls) == [0, 1]
    assert [call["name"] for call in calls.values()] == ["weather", "weather"]
    assert len({call["id"] for call in calls.values()}) == 2
    assert all(isinstance(json.loads(call["arguments"])["city"], str) for call in calls.values())


def test_tools_in_the_stream_helper(client: openai.OpenAI, model: str) -> None:
    with client.chat.completions.stream(
        model=model, messages=[user('call weather with {"city": "Oslo"}')], tools=[WEATHER]
    ) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_completion()
    assert "tool_calls.function.arguments.done" in kinds
    calls = final.choices[0].message.tool_calls
    assert calls is not None
    assert calls[0].function.parsed_arguments == {"city": "Oslo"}
    assert final.choices[0].message.content is None


def test_a_tool_that_must_be_called(client: openai.OpenAI, model: str, dialect: str) -> None:
    def ask() -> Any:
        return client.chat.completions.create(
            model=model,
            messages=[user("hello")],
            tools=[WEATHER],
            tool_choice={"type": "function", "function": {"name": "weather"}},
        )

    if dialect == "ollama":  # it cannot be made to
        with pytest.raises(openai.BadRequestError) as caught:
            ask()
        assert caught.value.code == "unsupported_feature"
        return
    assert ask().choices[0].message.tool_calls is not None


def test_parse(client: openai.OpenAI, model: str) -> None:
    answer = client.chat.completions.parse(model=model, messages=[user("Who is it?")], response_format=Person)
    parsed = answer.choices[0].message.parsed
    assert isinstance(parsed, Person)


def test_parse_in_a_stream(client: openai.OpenAI, model: str) -> None:
    with client.chat.completions.stream(
        model=model, messages=[user("Who is it?")], response_format=Person
    ) as stream:
        for _ in stream:
            pass
        final = stream.get_final_completion()
    assert isinstance(final.choices[0].message.parsed, Person)


def test_parse_of_tool_arguments(client: openai.OpenAI, model: str) -> None:
    answer = client.chat.completions.parse(
        model=model,
        messages=[user('call Person with {"name": "Ada", "age": 36}')],
        tools=[openai.pydantic_function_tool(Person)],
    )
    calls = answer.choices[0].message.tool_calls
    assert calls is not None
    assert calls[0].function.parsed_arguments == Person(name="Ada", age=36)


def test_images(client: openai.OpenAI, gateway: Served, model: str) -> None:
    content: Any = [
        {"type": "text", "text": "describe:"},
        {"type": "image_url", "image_url": {"url": PIXEL}},
    ]
    answer = client.chat.completions.create(model=model, messages=[{"role": "user", "content": content}])
    assert json.loads(answer.choices[0].message.content or "")["images"] == 1


def test_length(client: openai.OpenAI, model: str) -> None:
    answer = client.chat.completions.create(model=model, messages=[user("count: 50")], max_tokens=16)
    assert answer.choices[0].finish_reason == "length"


@pytest.mark.anyio
async def test_async_create_and_stream(aclient: openai.AsyncOpenAI, model: str) -> None:
    answer = await aclient.chat.completions.create(model=model, messages=[user("say: hello")])
    assert answer.choices[0].message.content == "hello"
    said = ""
    async for chunk in await aclient.chat.completions.create(
        model=model, messages=[user("say: a b c")], stream=True
    ):
        said += chunk.choices[0].delta.content or ""
    assert said == "a b c"
    async with aclient.chat.completions.stream(model=model, messages=[user("say: d e f")]) as stream:
        final = await stream.get_final_completion()
    assert final.choices[0].message.content == "d e f"


@pytest.mark.anyio
async def test_async_parse_and_streaming_response(aclient: openai.AsyncOpenAI, model: str) -> None:
    answer = await aclient.chat.completions.parse(
        model=model, messages=[user("Who?")], response_format=Person
    )
    assert isinstance(answer.choices[0].message.parsed, Person)
    async with aclient.chat.completions.with_streaming_response.create(
        model=model, messages=[user("say: hello")], stream=True
    ) as raw:
        lines = [line async for line in raw.iter_lines() if line]
    assert lines[-1] == "data: [DONE]"
