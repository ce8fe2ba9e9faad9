"""Embeddings, models and responses by the official openai SDK, over the simulated dialects."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from openai.types.responses import ResponseFunctionToolCall
from pydantic import BaseModel

from tests.gateway.sdk.served import KINDS, Served
from tests.gateway.sdk.test_openai_chat import PIXEL

EMBEDDING = [name for name in KINDS if name != "anthropic"]
WEATHER: Any = {
    "type": "function",
    "name": "weather",
    "description": "The weather of a city",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}


class Person(BaseModel):
    name: str
    age: int


# ------------------------------------------------------------------------------------------------ embeddings


@pytest.mark.parametrize("name", EMBEDDING)
def test_embeddings_as_floats_and_base64_are_the_same(
    client: openai.OpenAI, gateway: Served, name: str
) -> None:
    model, texts = f"{name}/sim-embed", ["one", "two", "three"]
    packed = client.embeddings.create(model=model, input=texts)  # base64 on the wire, by the SDK's own choice
    floats = client.embeddings.create(model=model, input=texts, encoding_format="float")
    raw = client.embeddings.with_raw_response.create(model=model, input=texts, encoding_format="base64")
    assert isinstance(json.loads(raw.content)["data"][0]["embedding"], str)
    assert [one.index for one in packed.data] == [0, 1, 2]
    assert all(len(one.embedding) > 1 for one in floats.data)
    for one, other in zip(packed.data, floats.data, strict=True):
        assert list(one.embedding) == pytest.approx(other.embedding, abs=1e-6)
    assert floats.data[0].embedding != floats.data[1].embedding
    counted = None if name == "gemini" else gateway.last.counts.input  # it does not count
    assert (floats.usage.prompt_tokens, floats.usage.total_tokens) == (counted, counted)


def test_a_single_text(client: openai.OpenAI) -> None:
    answer = client.embeddings.create(model="openai/sim-embed", input="one", dimensions=8)
    (one,) = answer.data
    assert len(one.embedding) == 8


def test_embeddings_where_there_are_none(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError):
        client.embeddings.create(model="anthropic/sim-model", input="one")


@pytest.mark.anyio
async def test_async_embeddings(aclient: openai.AsyncOpenAI) -> None:
    answer = await aclient.embeddings.create(model="gemini/sim-embed", input=["one", "two"])
    assert len(answer.data) == 2


# ---------------------------------------------------------------------------------------------------- models


def test_models(client: openai.OpenAI) -> None:
    models = list(client.models.list())
    names = [model.id for model in models]
    assert {"smart", "sim-model", "sim-embed"} <= set(names)
    assert len(names) == len(set(names))
    assert all(model.object == "model" and model.owned_by for model in models)


@pytest.mark.parametrize("name", ["smart", "sim-model", "openai/sim-model"])
def test_one_model(client: openai.OpenAI, name: str) -> None:
    assert client.models.retrieve(name).id in {name, "sim-model"}


def test_a_model_by_our_own_name_for_it(client: openai.OpenAI, gateway: Served) -> None:
    answer = client.chat.completions.create(model="smart", messages=[{"role": "user", "content": "say: yes"}])
    assert answer.choices[0].message.content == "yes"
    assert gateway.last.place == "openai"


@pytest.mark.anyio
async def test_async_models(aclient: openai.AsyncOpenAI) -> None:
    assert "smart" in [model.id async for model in aclient.models.list()]


# ------------------------------------------------------------------------------------------------- responses


def test_responses(client: openai.OpenAI, gateway: Served, model: str) -> None:
    answer = client.responses.create(
        model=model, instructions="Be brief.", input="say: hello there", max_output_tokens=50
    )
    assert (answer.status, answer.output_text, answer.error) == ("completed", "hello there", None)
    assert answer.instructions == "Be brief."
    assert answer.usage is not None
    counts = gateway.last.counts
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (counts.input, counts.output)


def test_responses_of_items(client: openai.OpenAI, model: str) -> None:
    items: Any = [
        {"role": "user", "content": "say: one"},
        {"role": "assistant", "content": "one"},
        {"role": "user", "content": [{"type": "input_text", "text": "say: two"}]},
    ]
    assert client.responses.create(model=model, input=items).output_text == "two"


def test_responses_of_system_messages_alone(client: openai.OpenAI, model: str) -> None:
    raw = client.responses.with_raw_response.create(
        model=model, input=[{"role": "developer", "content": "say: hello"}]
    )
    assert raw.parse().output_text == "hello"
    assert raw.headers["x-llmcore-warnings"].startswith("input: ")


def test_responses_images(client: openai.OpenAI, model: str) -> None:
    items: Any = [
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "describe:"},
                {"type": "input_image", "image_url": PIXEL, "detail": "auto"},
            ],
        }
    ]
    answer = client.responses.create(model=model, input=items)
    assert json.loads(answer.output_text)["images"] == 1


def test_responses_stream(client: openai.OpenAI, model: str) -> None:
    said, kinds, numbers, final = "", [], [], None
    for event in client.responses.create(model=model, input="count: 10", stream=True):
        kinds.append(event.type)
        numbers.append(event.sequence_number)
        if event.type == "response.output_text.delta":
            said += event.delta
        elif event.type == "response.completed":
            final = event.response
    assert said == " ".join(f"word{n}" for n in range(1, 11))
    assert numbers == list(range(len(numbers)))
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] == "response.completed"
    assert final is not None
    assert final.output_text == said
    assert final.usage is not None


def test_the_responses_stream_helper(client: openai.OpenAI, model: str) -> None:
    with client.responses.stream(model=model, input="say: a b c") as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert "response.output_text.done" in kinds
    assert final.output_text == "a b c"


def test_responses_with_streaming_response(client: openai.OpenAI, model: str, dialect: str) -> None:
    with client.responses.with_streaming_response.create(model=model, input="say: hello") as raw:
        assert raw.headers["x-llmcore-provider"] == dialect
        assert raw.parse().output_text == "hello"


def test_responses_tools_there_and_back(client: openai.OpenAI, model: str) -> None:
    items: list[Any] = [{"role": "user", "content": 'call weather with {"city": "Oslo"}'}]
    asked = client.responses.create(model=model, input=items, tools=[WEATHER])
    calls = [item for item in asked.output if isinstance(item, ResponseFunctionToolCall)]
    (call,) = calls
    assert (call.name, json.loads(call.arguments)) == ("weather", {"city": "Oslo"})
    items += [item.model_dump(exclude_none=True) for item in asked.output]
    items.append({"type": "function_call_output", "call_id": call.call_id, "output": "rain"})
    told = client.responses.create(model=model, input=items, tools=[WEATHER])
    assert told.output_text == "The tool weather says: rain"


def test_responses_tools_in_a_stream(client: openai.OpenAI, model: str) -> None:
    with client.responses.stream(
        model=model, input='call weather with {"city": "Oslo"}', tools=[WEATHER]
    ) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert "response.function_call_arguments.done" in kinds
    (call,) = [item for item in final.output if item.type == "function_call"]
    assert call.parsed_arguments == {"city": "Oslo"}


def test_responses_parse(client: openai.OpenAI, model: str) -> None:
    answer = client.responses.parse(model=model, input="Who is it?", text_format=Person)
    assert isinstance(answer.output_parsed, Person)


def test_responses_parse_in_a_stream(client: openai.OpenAI, model: str) -> None:
    with client.responses.stream(model=model, input="Who is it?", text_format=Person) as stream:
        for _ in stream:
            pass
        final = stream.get_final_response()
    assert isinstance(final.output_parsed, Person)


def test_responses_length(client: openai.OpenAI, model: str) -> None:
    answer = client.responses.create(model=model, input="count: 50", max_output_tokens=16)
    assert answer.status == "incomplete"
    assert answer.incomplete_details is not None
    assert answer.incomplete_details.reason == "max_output_tokens"


def test_responses_input_tokens(client: openai.OpenAI, gateway: Served, model: str) -> None:
    gateway.sim.reset()
    short = client.responses.input_tokens.count(model=model, input="hello")
    long = client.responses.input_tokens.count(
        model=model,
        instructions="Be brief.",
        input=[{"role": "user", "content": "hello " * 100}],
        tools=[WEATHER],
    )
    assert (short.object, short.input_tokens) == ("response.input_tokens", 1)
    assert long.input_tokens > 100
    raw = client.responses.input_tokens.with_raw_response.count(model=model, input="hello")
    assert raw.headers["x-llmcore-estimate"] == "true"
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.input_tokens.count(model=model, previous_response_id="resp_1")
    assert caught.value.param == "previous_response_id"
    assert not gateway.sim.requests


@pytest.mark.anyio
async def test_async_responses(aclient: openai.AsyncOpenAI, model: str) -> None:
    assert (await aclient.responses.create(model=model, input="say: hello")).output_text == "hello"
    async with aclient.responses.stream(model=model, input="say: a b c") as stream:
        final = await stream.get_final_response()
    assert final.output_text == "a b c"
    parsed = await aclient.responses.parse(model=model, input="Who?", text_format=Person)
    assert isinstance(parsed.output_parsed, Person)
