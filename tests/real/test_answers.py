"""What a real model says through llmcore: whole, streamed, in JSON, as tool calls, in any script; embeddings and models."""

from __future__ import annotations

import json
import re
from math import fsum

import pytest
from attrs import evolve, frozen

from llmcore.config import LlmConfig, ProviderConfig
from llmcore.provider import is_model_available
from llmcore.providers.base import HttpProvider
from llmcore.sync import open_sync
from llmcore.types import (
    EmbeddingRequest,
    Finished,
    GenerationRequest,
    GenerationResponse,
    Message,
    TextDelta,
    Tool,
    ToolCallDelta,
)
from tests.real.engine import MODEL, UNSET, real_python

if real_python() is None:
    pytest.skip(UNSET, allow_module_level=True)

pytestmark = [pytest.mark.real, pytest.mark.anyio]

LIGHT = Tool(
    "light",
    "Switch the light.",
    {"type": "object", "properties": {"on": {"type": "boolean"}}, "required": ["on"]},
)
END, FIRST_BYTE = 2, 3  # tokens of weights.py: the end of an answer, and byte 0
# Random weights choose neither a tool nor an end by themselves.
CALL, CALL_AND_END = [["<tool_call>", 60]], [["<tool_call>", 60], [END, 90]]
GREEDY = GenerationRequest(
    (Message.system("be brief"), Message.user("why is the sky blue")), temperature=0.0, max_tokens=40
)


@frozen
class Lamp:
    """What the model is made to describe."""

    colour: str
    level: int
    lit: bool


async def both_ways(
    provider: HttpProvider, request: GenerationRequest
) -> tuple[GenerationResponse, GenerationResponse]:
    """The same request whole and streamed."""
    return await provider.generate(request), await provider.stream(request).collect()


async def test_generate(provider: HttpProvider) -> None:
    answer = await provider.generate(GenerationRequest("why is the sky blue", max_tokens=12))
    assert answer.text.strip()
    assert answer.text == answer.message.text
    assert (answer.finish_reason, answer.raw_finish_reason) == ("length", "length")
    assert (answer.model, answer.provider) == (MODEL, "real")
    assert answer.usage.output_tokens == 12
    assert (answer.usage.input_tokens or 0) > 5
    assert [attempt.outcome for attempt in answer.attempts] == ["success"]
    assert not answer.warnings


async def test_a_stream_says_the_same_as_the_whole_answer(provider: HttpProvider) -> None:
    whole, streamed = await both_ways(provider, GREEDY)
    assert streamed.text == whole.text
    assert streamed.finish_reason == whole.finish_reason == "length"
    assert streamed.usage.input_tokens == whole.usage.input_tokens
    assert streamed.usage.output_tokens == whole.usage.output_tokens == 40
    assert streamed.model == whole.model == MODEL
    assert streamed.id


async def test_a_stream_comes_piece_by_piece_and_ends_once(provider: HttpProvider) -> None:
    async with provider.stream(GREEDY) as stream:
        events = [event async for event in stream]
    assert sum(isinstance(event, TextDelta) for event in events) > 20
    assert [event for event in events if isinstance(event, Finished)] == events[-1:]


async def test_one_token(provider: HttpProvider) -> None:
    for answer in await both_ways(provider, evolve(GREEDY, max_tokens=1)):
        assert answer.finish_reason == "length"
        assert answer.usage.output_tokens == 1
        assert len(answer.text.split()) <= 1


async def test_a_stop_word_ends_the_answer(provider: HttpProvider) -> None:
    request = GenerationRequest("hello", stop=("sky", "sea", "the"), max_tokens=3000, seed=7)
    for answer in await both_ways(provider, request):
        assert answer.finish_reason == "stop"
        assert not re.search("sky|sea|the", answer.text)


async def test_the_same_seed_says_the_same(provider: HttpProvider) -> None:
    request = GenerationRequest("hello", seed=11, max_tokens=20, extra={"cache_prompt": False})
    first, second = await both_ways(provider, request)
    other = await provider.generate(evolve(request, seed=12))
    assert first.text == second.text != other.text


async def test_the_whole_conversation_is_read(provider: HttpProvider) -> None:
    talk = (
        Message.user("a quiet river"),
        Message.assistant("the sea finds every stone"),
        Message.user("and then"),
    )
    short = await provider.generate(GenerationRequest(talk[-1:], max_tokens=1))
    long = await provider.generate(GenerationRequest(talk, max_tokens=1))
    assert (long.usage.input_tokens or 0) > (short.usage.input_tokens or 0) + 10


async def test_letters_that_take_several_tokens_arrive_whole(provider: HttpProvider) -> None:
    """The model must spell in bytes, none of which is a letter; the biases bar overlong forms, which the grammar lets pass."""
    extra = {
        "grammar": 'root ::= ("κόσμος" | "мир" | "世界" | "🙂"){12}',
        "logit_bias": [[FIRST_BYTE + 0xE0, -100], [FIRST_BYTE + 0xF0, -100]],
    }
    for answer in await both_ways(provider, GenerationRequest("hello", max_tokens=900, extra=extra)):
        assert re.fullmatch("(κόσμος|мир|世界|🙂){12}", answer.text)
        assert answer.finish_reason == "stop"


async def test_json_of_a_class(provider: HttpProvider) -> None:
    schema = {
        "type": "object",
        "properties": {
            "colour": {"enum": ["red", "blue"]},
            "level": {"type": "integer", "minimum": 0, "maximum": 99},
            "lit": {"type": "boolean"},
        },
        "required": ["colour", "level", "lit"],
        "additionalProperties": False,
    }
    for answer in await both_ways(
        provider, GenerationRequest("a lamp", response_format=schema, max_tokens=900)
    ):
        lamp = answer.parsed(Lamp)
        assert lamp.colour in {"red", "blue"}
        assert 0 <= lamp.level <= 99
        assert answer.finish_reason == "stop"


async def test_any_json_object(provider: HttpProvider) -> None:
    grammar_can_end = {"logit_bias": [["}", 60]]}
    request = GenerationRequest("a lamp", response_format="json", max_tokens=900, extra=grammar_can_end)
    for answer in await both_ways(provider, request):
        assert isinstance(json.loads(answer.text), dict)


async def test_a_tool_call_and_its_result(provider: HttpProvider) -> None:
    request = GenerationRequest(
        "it is dark",
        tools=(LIGHT,),
        tool_choice="required",
        parallel_tool_calls=False,
        max_tokens=900,
        extra={"logit_bias": CALL_AND_END},
    )
    for answer in await both_ways(provider, request):
        (call,) = answer.tool_calls
        assert call.name == "light"
        assert call.id
        assert isinstance(call.input["on"], bool)
        assert (answer.finish_reason, answer.raw_finish_reason) == ("tool_calls", "tool_calls")
        talk = (*request.messages, answer.message, Message.tool(call.id, "the light is on", name="light"))
        after = await provider.generate(GenerationRequest(talk, tools=(LIGHT,), max_tokens=5))
        assert after.text.strip()


async def test_many_tool_calls_cut_by_the_limit(provider: HttpProvider) -> None:
    request = GenerationRequest(
        "it is dark",
        tools=(LIGHT,),
        tool_choice="required",
        parallel_tool_calls=True,
        max_tokens=200,
        extra={"logit_bias": CALL},
    )
    for answer in await both_ways(provider, request):
        assert len(answer.tool_calls) > 1
        assert len({call.id for call in answer.tool_calls}) == len(answer.tool_calls)
        assert all(call.name == "light" for call in answer.tool_calls[:-1])
        assert all(isinstance(call.input["on"], bool) for call in answer.tool_calls[:-1])
        assert answer.raw_finish_reason == "length"
        assert answer.finish_reason == "length"


async def test_fragments_of_a_tool_call_carry_its_name_once(provider: HttpProvider) -> None:
    request = GenerationRequest(
        "it is dark",
        tools=(LIGHT,),
        tool_choice="required",
        parallel_tool_calls=False,
        max_tokens=900,
        extra={"logit_bias": CALL_AND_END},
    )
    async with provider.stream(request) as stream:
        fragments = [event async for event in stream if isinstance(event, ToolCallDelta)]
    assert len(fragments) > 3
    assert [fragment.name for fragment in fragments if fragment.name] == ["light"]
    assert fragments[0].name == "light"


async def test_embeddings_keep_their_order(provider: HttpProvider) -> None:
    texts = ["the sky", "a quiet road", "why does the old clock stop"]
    together = await provider.embed(texts)
    assert together.model == MODEL
    assert (together.usage.input_tokens or 0) > 0
    assert len(together.vectors) == 3
    for text, vector in zip(texts, together.vectors, strict=True):
        (alone,) = (await provider.embed(text)).vectors
        assert len(vector) == 64
        assert fsum(value * value for value in vector) == pytest.approx(1.0, rel=1e-3)
        assert list(vector) == pytest.approx(list(alone), abs=1e-3)


async def test_many_embeddings(provider: HttpProvider) -> None:
    texts = [f"the river number {number}" for number in range(300)]
    answer = await provider.embed(EmbeddingRequest(texts))
    assert len({tuple(vector) for vector in answer.vectors}) == len(texts)


async def test_models(provider: HttpProvider) -> None:
    models = await provider.list_models()
    assert [model.id for model in models] == [MODEL]
    assert await is_model_available(provider, MODEL)
    assert not await is_model_available(provider, "another")


async def test_another_model_is_answered_by_the_one_that_is_loaded_and_says_so(
    provider: HttpProvider,
) -> None:
    """llama.cpp with one model ignores the name that was asked for; the response names who really answered."""
    for answer in await both_ways(provider, evolve(GREEDY, model="another-model", max_tokens=3)):
        assert answer.model == MODEL


async def test_the_figures_add_up(provider: HttpProvider) -> None:
    answers = [await provider.generate(evolve(GREEDY, max_tokens=5)) for _ in range(3)]
    stats = provider.stats()
    assert (stats.requests, stats.successes, stats.failures, stats.in_flight) == (3, 3, 0, 0)
    assert stats.output_tokens == 15
    assert stats.input_tokens == sum(answer.usage.input_tokens or 0 for answer in answers)


def test_from_ordinary_code(config: ProviderConfig) -> None:
    with open_sync(LlmConfig((config,), prices="own")) as llm:
        whole = llm.generate(GREEDY)
        with llm.stream(GREEDY) as events:
            assert "".join(events.texts()) == whole.text
        assert len(llm.embed("the sky").vectors) == 1
