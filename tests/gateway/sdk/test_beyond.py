"""Beyond the main calls: reasoning, rich schemas, readers who leave, what nobody can honour, many at a time."""

from __future__ import annotations

import json
import time
from enum import Enum
from typing import Any, Literal

import anthropic
import anyio
import openai
import pytest
from pydantic import BaseModel, Field

from tests.gateway.sdk.served import KINDS, Served
from tests.gateway.sdk.test_openai_chat import WEATHER

HELLO: Any = [{"role": "user", "content": "say: hello"}]


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Item(BaseModel):
    name: str = Field(description="what it is called")
    colour: Colour
    price: float | None


class Order(BaseModel):
    kind: Literal["order"]
    items: list[Item]
    note: str | None


# ----------------------------------------------------------------------------------------------- reasoning


def test_reasoning_of_a_chat(client: openai.OpenAI, gateway: Served, model: str) -> None:
    answer = client.chat.completions.create(model=model, messages=HELLO, reasoning_effort="high")
    assert answer.choices[0].message.content == "hello"
    understood = gateway.last.understood
    assert understood is not None
    assert understood.thinking or understood.effort == "high"


def test_reasoning_of_a_response(client: openai.OpenAI, model: str, dialect: str) -> None:
    with client.responses.stream(
        model=model, input="say: hello", reasoning={"effort": "medium", "summary": "auto"}
    ) as stream:
        for _ in stream:
            pass
        final = stream.get_final_response()
    assert final.output_text == "hello"
    kinds = [item.type for item in final.output]
    assert kinds.count("message") == 1
    assert set(kinds) <= {"reasoning", "message"}
    assert (kinds[0] == "reasoning") is (dialect in {"responses", "gemini", "ollama", "cohere"})


def test_thinking_there_and_back(claude: anthropic.Anthropic, model: str, dialect: str) -> None:
    thinking: Any = {"type": "enabled", "budget_tokens": 1024}
    with claude.messages.stream(model=model, max_tokens=2048, messages=HELLO, thinking=thinking) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_message()
    blocks = [block.type for block in final.content]
    shown = dialect in {"anthropic", "gemini", "ollama", "cohere"}  # the others keep it to themselves
    assert (blocks[0] == "thinking") is shown
    assert ("thinking" in kinds) is shown
    assert blocks.count("text") == 1
    again: Any = [
        *HELLO,
        {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in final.content]},
        {"role": "user", "content": "say: again"},
    ]
    told = claude.messages.create(model=model, max_tokens=2048, messages=again, thinking=thinking)
    assert [block.text for block in told.content if block.type == "text"] == ["again"]


# ------------------------------------------------------------------------------------------------- schemas


def test_a_rich_schema_by_every_wire(client: openai.OpenAI, claude: anthropic.Anthropic, model: str) -> None:
    asked: Any = [{"role": "user", "content": "What was ordered?"}]
    chat = client.chat.completions.parse(model=model, messages=asked, response_format=Order)
    assert isinstance(chat.choices[0].message.parsed, Order)
    response = client.responses.parse(model=model, input="What was ordered?", text_format=Order)
    assert isinstance(response.output_parsed, Order)
    message = claude.messages.parse(model=model, max_tokens=500, messages=asked, output_format=Order)
    assert isinstance(message.parsed_output, Order)


def test_any_json(client: openai.OpenAI, model: str) -> None:
    answer = client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": "Answer as JSON."}],
        response_format={"type": "json_object"},
    )
    assert isinstance(json.loads(answer.choices[0].message.content or ""), dict)


# --------------------------------------------------------------------------------------------------- tools


def test_results_of_two_calls_at_once(client: openai.OpenAI, model: str) -> None:
    messages: list[Any] = [{"role": "user", "content": "weather twice"}]
    asked = client.chat.completions.create(model=model, messages=messages, tools=[WEATHER])
    calls = asked.choices[0].message.tool_calls or []
    messages.append(asked.choices[0].message.model_dump(exclude_none=True))
    messages += [
        {"role": "tool", "tool_call_id": call.id, "content": f"result {at}"} for at, call in enumerate(calls)
    ]
    told = client.chat.completions.create(model=model, messages=messages, tools=[WEATHER])
    assert told.choices[0].message.content == (
        "The tool weather says: result 0 The tool weather says: result 1"
    )


def test_a_tool_that_failed(claude: anthropic.Anthropic, model: str) -> None:
    tool: Any = {"name": "weather", "input_schema": {"type": "object", "properties": {}}}
    messages: list[Any] = [{"role": "user", "content": "weather"}]
    asked = claude.messages.create(model=model, max_tokens=100, messages=messages, tools=[tool])
    (call,) = [block for block in asked.content if block.type == "tool_use"]
    messages += [
        {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in asked.content]},
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": call.id, "content": "no such city", "is_error": True}
            ],
        },
    ]
    told = claude.messages.create(model=model, max_tokens=100, messages=messages, tools=[tool])
    assert "no such city" in "".join(block.text for block in told.content if block.type == "text")


# ------------------------------------------------------------------------------------------ readers who leave


def _settled(gateway: Served) -> bool:
    for _ in range(100):
        if gateway.sim.counters.in_flight == 0:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("dialect", KINDS)
def test_whoever_leaves_a_stream_ends_it_at_the_vendor(
    gateway: Served, client: openai.OpenAI, claude: anthropic.Anthropic, dialect: str
) -> None:
    question: Any = [{"role": "user", "content": "count: 1000"}]
    model = f"{dialect}/trickle-20"
    with client.chat.completions.create(model=model, messages=question, stream=True) as chunks:
        next(iter(chunks))
        assert gateway.sim.counters.in_flight == 1
    assert _settled(gateway)
    with claude.messages.stream(model=model, max_tokens=5000, messages=question) as stream:
        next(iter(stream.text_stream))
    assert _settled(gateway)


@pytest.mark.anyio
async def test_whoever_gives_up_waiting_ends_it_at_the_vendor(
    gateway: Served, aclient: openai.AsyncOpenAI
) -> None:
    with anyio.move_on_after(0.5):
        await aclient.chat.completions.create(model="openai/silent", messages=HELLO)
    assert await anyio.to_thread.run_sync(_settled, gateway)


def test_the_sdks_own_timeout(gateway: Served, client: openai.OpenAI) -> None:
    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=0.5).chat.completions.create(model="openai/silent", messages=HELLO)
    assert _settled(gateway)


# -------------------------------------------------------------------------------------------------- the rest


def test_what_no_one_can_honour_is_refused_or_told(client: openai.OpenAI, dialect: str, model: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=model, messages=HELLO, n=2)
    assert caught.value.param == "n"
    raw = client.chat.completions.with_raw_response.create(model=model, messages=HELLO, seed=7, top_p=0.9)
    assert raw.parse().choices[0].message.content == "hello"
    if dialect == "anthropic":
        assert "seed" in raw.headers["x-llmcore-warnings"]


def test_stop_sequences(claude: anthropic.Anthropic, client: openai.OpenAI, model: str, dialect: str) -> None:
    question: Any = [{"role": "user", "content": "say: one two three"}]
    if dialect == "responses":  # that API has none
        return
    answer = client.chat.completions.create(model=model, messages=question, stop=[" two"])
    assert answer.choices[0].message.content == "one"
    message = claude.messages.create(model=model, max_tokens=50, messages=question, stop_sequences=[" two"])
    assert [block.text for block in message.content if block.type == "text"] == ["one"]


@pytest.mark.anyio
async def test_many_at_a_time_get_their_own_answers(aclient: openai.AsyncOpenAI) -> None:
    said: dict[int, str] = {}

    async def one(number: int) -> None:
        name = list(KINDS)[number % len(KINDS)]
        stream = await aclient.chat.completions.create(
            model=f"{name}/sim-model",
            messages=[{"role": "user", "content": f"say: number {number} of many"}],
            stream=True,
        )
        said[number] = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    async with anyio.create_task_group() as group:
        for number in range(60):
            group.start_soon(one, number)
    assert said == {number: f"number {number} of many" for number in range(60)}
