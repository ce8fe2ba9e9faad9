"""The OpenAI dialect, downwards: whole answers, usage, embeddings and model lists, whatever is odd in them."""

from __future__ import annotations

import base64
import json
from array import array
from decimal import Decimal
from typing import Any

import pytest

from llmcore.errors import (
    GenerationFailedError,
    InvalidRequestError,
    MalformedResponseError,
    OverloadedError,
    RateLimitError,
    ServerError,
)
from llmcore.types import (
    EmbeddingRequest,
    GenerationRequest,
    GenerationResponse,
    Image,
    JsonSchema,
    ModelInfo,
    Opaque,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from llmcore.wire.openai import OpenAIWire
from llmcore.wire.structured import ANSWER_TOOL

WIRE = OpenAIWire()
ASK = GenerationRequest("?", model="m")
SCHEMA = JsonSchema({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]})


def answer(message: Any, finish: Any = "stop", **fields: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return {"id": "r1", "object": "chat.completion", "model": "gpt-x", "choices": [choice], **fields}


def read(value: Any, wire: OpenAIWire = WIRE, request: GenerationRequest = ASK) -> GenerationResponse:
    return wire.decode_generate(json.dumps(value).encode(), request)


def parts(message: Any, **fields: Any) -> tuple[Any, ...]:
    return read(answer(message, **fields)).message.parts


def test_a_plain_answer() -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
    value = answer({"role": "assistant", "content": "Hello"}, usage=usage)
    response = read(value)
    assert (response.text, response.finish_reason, response.raw_finish_reason) == ("Hello", "stop", "stop")
    assert (response.id, response.model, response.raw) == ("r1", "gpt-x", value)
    assert response.usage == Usage(5, 2)
    assert response.usage.raw == usage


@pytest.mark.parametrize("content", [None, "", []])
def test_content_that_is_empty(content: Any) -> None:
    assert parts({"content": content}) == ()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], (Text("ab"),)),
        (["a", "b"], (Text("ab"),)),
        ([{"text": "a"}, {"type": "output_text", "text": "b"}, 3], (Text("ab"),)),
        ({"n": 1}, (Text('{"n":1}'),)),
        (
            [
                {"type": "thinking", "thinking": [{"type": "text", "text": "h"}]},
                {"type": "thinking", "thinking": "m"},
                {"type": "text", "text": "a"},
            ],
            (Thinking("hm", raw="thinking", origin="openai"), Text("a")),
        ),
        ([{"type": "refusal", "refusal": "no"}], (Refusal("no"),)),
        ([{"type": "image_url", "image_url": "https://x"}], (Image(url="https://x"),)),
        (
            [{"type": "text", "text": "a"}, {"type": "reference", "reference_ids": [1]}],
            (Text("a"), Opaque({"type": "reference", "reference_ids": [1]}, "openai")),
        ),
    ],
)
def test_content_as_a_list_or_object(content: Any, told: Any) -> None:
    assert parts({"content": content}) == told


def test_a_reasoning_block_keeps_its_seal() -> None:
    block = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm", "signature": "s"}]}
    assert parts({"content": [block, {"type": "text", "text": "a"}]}) == (
        Thinking("hm", raw=block, origin="openai"),
        Text("a"),
    )


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning", "reasoning_text"])
def test_reasoning_beside_the_content(field: str) -> None:
    assert parts({"content": "a", field: "hm"}) == (Thinking("hm", raw=field, origin="openai"), Text("a"))


def test_reasoning_said_twice_counts_once() -> None:
    message = {"content": "a", "reasoning": "hm", "reasoning_content": "hm"}
    assert read(answer(message)).thinking == "hm"


def test_details_are_kept_whole() -> None:
    details = [{"type": "reasoning.text", "text": "hm", "signature": "s", "index": 0}]
    message = {"content": "a", "reasoning": "hm", "reasoning_details": details}
    assert parts(message)[0] == Thinking("hm", raw=details, origin="openai")
    assert parts({"content": "a", "reasoning_details": details})[0].text == "hm"


def test_sealed_details_are_redacted() -> None:
    details = [{"type": "reasoning.encrypted", "data": "zz", "index": 0}]
    thought = parts({"content": "a", "reasoning_details": details})[0]
    assert (thought.text, thought.redacted, thought.raw) == ("", True, details)


def test_refusals() -> None:
    response = read(answer({"content": None, "refusal": "I will not."}))
    assert (response.refusal, response.finish_reason, response.text) == ("I will not.", "refusal", "")
    assert read(answer({"content": "x", "refusal": ""})).finish_reason == "stop"


def call(arguments: Any = "{}", **fields: Any) -> dict[str, Any]:
    return {"id": "c1", "type": "function", "function": {"name": "f", "arguments": arguments}, **fields}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ('{"a": 1}', '{"a": 1}'),
        ("", ""),
        (None, "{}"),
        ({"a": [1, 2]}, '{"a":[1,2]}'),
        ('{"a": ', '{"a": '),
        ({"a": "\ud83d"}, '{"a": "\\ud83d"}'),
    ],
)
def test_arguments(arguments: Any, told: str) -> None:
    response = read(answer({"content": None, "tool_calls": [call(arguments)]}, "tool_calls"))
    assert response.tool_calls == (ToolCall("c1", "f", told),)


def test_broken_arguments_surface_without_a_crash() -> None:
    (found,) = read(answer({"tool_calls": [call("{nope")]})).tool_calls
    assert found.parse_error is not None


@pytest.mark.parametrize("finish", ["tool_calls", "stop", None, "function_call", "tool_use"])
def test_calls_make_the_finish_tool_calls(finish: Any) -> None:
    response = read(answer({"tool_calls": [call()]}, finish))
    assert (response.finish_reason, response.raw_finish_reason) == ("tool_calls", finish)


def test_a_cut_call_stays_cut() -> None:
    assert read(answer({"tool_calls": [call('{"a')]}, "length")).finish_reason == "length"


@pytest.mark.parametrize("odd", [None, "", "null"])
def test_missing_ids(odd: Any) -> None:
    calls = [call(id=odd), call(id=odd), call(id=7)]
    assert [c.id for c in read(answer({"tool_calls": calls})).tool_calls] == ["call_0", "call_1", "7"]


def test_calls_of_odd_shapes() -> None:
    custom = {"id": "c", "type": "custom", "custom": {"name": "sql", "input": "SELECT 1"}}
    flat = {"id": "d", "name": "g", "arguments": {"a": 1}}
    signed = call(extra_content={"google": {"thought_signature": "sig"}})
    found = read(answer({"tool_calls": [custom, flat, signed, "noise"]})).tool_calls
    assert found == (
        ToolCall("c", "sql", '{"input":"SELECT 1"}'),
        ToolCall("d", "g", '{"a":1}'),
        ToolCall("c1", "f", "{}", "sig", "openai"),
    )


def test_the_function_call_of_old() -> None:
    message = {"content": None, "function_call": {"name": "f", "arguments": '{"a":1}'}}
    response = read(answer(message, "function_call"))
    assert response.tool_calls == (ToolCall("call_0", "f", '{"a":1}'),)
    assert response.finish_reason == "tool_calls"
    assert read(answer({"content": "x", "function_call": {"name": "", "arguments": ""}})).tool_calls == ()


def test_pictures_sound_and_citations() -> None:
    message = {
        "content": "so",
        "images": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}, 3],
        "annotations": [{"type": "url_citation"}],
        "audio": {"id": "", "data": "", "transcript": ""},
    }
    assert parts(message) == (
        Text("so"),
        Image(url="data:image/png;base64,AA=="),
        Opaque({"annotations": [{"type": "url_citation"}]}, "openai"),
    )
    value = answer({"content": "so"}, citations=["https://x"], search_results=[])
    assert read(value).message.parts[1] == Opaque({"citations": ["https://x"]}, "openai")


def test_a_spoken_answer() -> None:
    sound = {"id": "a1", "data": "AA==", "transcript": "hello", "expires_at": 3}
    assert parts({"content": None, "audio": sound}) == (Text("hello"), Opaque({"audio": sound}, "openai"))


@pytest.mark.parametrize(
    ("raw", "ours"),
    [
        ("stop", "stop"),
        ("eos", "stop"),
        ("length", "length"),
        ("model_length", "length"),
        ("MAX_TOKENS", "length"),
        ("content_filter", "content_filter"),
        ("error", "error"),
        ("abort", "cancelled"),
        ("something_new", "unknown"),
        ("", "unknown"),
        (None, "unknown"),
        (3, "unknown"),
    ],
)
def test_finish_reasons(raw: Any, ours: str) -> None:
    response = read(answer({"content": "x"}, raw))
    assert response.finish_reason == ours
    assert response.raw_finish_reason == (raw if isinstance(raw, str) and raw else None)


def test_a_finish_that_means_failure() -> None:
    wire = OpenAIWire(failures={"overrun": OverloadedError})
    with pytest.raises(OverloadedError, match="overrun"):
        read(answer({"content": "x"}, "overrun"), wire)


def test_early_vision_models_wrap_their_finish() -> None:
    choice = {"index": 0, "message": {"content": "x"}, "finish_details": {"type": "max_tokens"}}
    assert read({"choices": [choice]}).finish_reason == "length"


def test_a_filtered_answer_without_a_message() -> None:
    response = read({"choices": [{"index": 0, "finish_reason": "content_filter"}]})
    assert (response.finish_reason, response.message.parts) == ("content_filter", ())


def test_of_several_choices_number_0_counts() -> None:
    choices = [
        {"index": 1, "message": {"content": "b"}, "finish_reason": "stop"},
        {"index": 0, "message": {"content": "a"}, "finish_reason": "stop"},
    ]
    assert read({"choices": choices}).text == "a"
    assert read({"choices": [{"message": {"content": "c"}}]}).text == "c"


def test_lone_surrogates_become_readable() -> None:
    body = b'{"choices":[{"message":{"content":"a\\ud83d b"}}]}'
    assert WIRE.decode_generate(body, ASK).text == "a\ufffd b"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"  ",
        b"<html>",
        b"[]",
        b"null",
        b"{}",
        b'{"choices":[]}',
        b'{"choices":null}',
        b'{"choices":{}}',
        b'{"choices":[null]}',
        b'{"choices":[{}]}',
        b'{"choices":[{"message":"x"}]}',
    ],
)
def test_what_is_no_answer(body: bytes) -> None:
    with pytest.raises(MalformedResponseError):
        WIRE.decode_generate(body, ASK)


@pytest.mark.parametrize(
    ("error", "cls"),
    [
        ({"error": {"message": "slow", "code": 429}}, RateLimitError),
        ({"error": {"message": "busy", "code": "502"}, "choices": []}, ServerError),
        ({"error": "broken"}, ServerError),
        ({"error": {"message": "bad", "type": "invalid_request_error"}}, InvalidRequestError),
    ],
)
def test_an_error_inside_a_200(error: Any, cls: type[Exception]) -> None:
    with pytest.raises(cls):
        read(error)


# -------------------------------------------------------------------------------------- structured output


def test_an_answer_by_prompt_is_checked_and_cleaned() -> None:
    wire, request = OpenAIWire(structured="prompt"), GenerationRequest("?", response_format=SCHEMA)
    assert read(answer({"content": 'Sure:\n```json\n{"n": 1}\n```'}), wire, request).text == '{"n": 1}'
    with pytest.raises(GenerationFailedError):
        read(answer({"content": '{"n": "x"}'}), wire, request)
    assert read(answer({"content": "as it is"}), wire).text == "as it is"


def test_an_answer_by_tool_becomes_text() -> None:
    wire, request = OpenAIWire(structured="tool"), GenerationRequest("?", response_format=SCHEMA)
    told = {"id": "c", "function": {"name": ANSWER_TOOL, "arguments": '{"n":1}'}}
    response = read(answer({"tool_calls": [told]}, "tool_calls"), wire, request)
    assert (response.text, response.tool_calls, response.finish_reason) == ('{"n":1}', (), "stop")


# --------------------------------------------------------------------------------------------------- usage


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (None, Usage()),
        ([], Usage()),
        ({}, Usage()),
        ({"prompt_tokens": 5, "completion_tokens": 2}, Usage(5, 2)),
        ({"prompt_tokens": 0, "completion_tokens": 0}, Usage(0, 0)),
        ({"prompt_tokens": 5.0, "completion_tokens": "2"}, Usage(5, 2)),
        ({"prompt_tokens": -1, "completion_tokens": None}, Usage()),
        ({"prompt_tokens": True, "completion_tokens": []}, Usage()),
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 5,
                "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
                "completion_tokens_details": {"reasoning_tokens": 3},
            },
            Usage(9, 5, 4, 2, 3),
        ),
        (
            {"prompt_tokens": 9, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 10}},
            Usage(9, 5),
        ),
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 5,
                "completion_tokens_details": {"reasoning_tokens": 6},
            },
            Usage(9, 5),
        ),
        ({"prompt_tokens": 9, "completion_tokens": 5, "prompt_cache_hit_tokens": 4}, Usage(9, 5, 4)),
        ({"prompt_tokens": 9, "completion_tokens": 5, "num_cached_tokens": 4}, Usage(9, 5, 4)),
        ({"prompt_tokens": 9, "completion_tokens": 5, "cached_tokens": 4}, Usage(9, 5, 4)),
        (
            {"prompt_tokens": 9, "completion_tokens": 5, "prompt_token_details": {"cached_tokens": 4}},
            Usage(9, 5, 4),
        ),
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 5,
                "cache_read_input_tokens": 4,
                "cache_creation_input_tokens": 1,
            },
            Usage(9, 5, 4, 1),
        ),
        ({"prompt_tokens": 9, "completion_tokens": 5, "reasoning_tokens": 4}, Usage(9, 5, None, None, 4)),
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 5,
                "total_tokens": 20,
                "completion_tokens_details": {"reasoning_tokens": 6},
            },
            Usage(9, 11, None, None, 6),
        ),
    ],
)
def test_usage(raw: Any, told: Usage) -> None:
    found = read(answer({"content": "x"}, usage=raw)).usage
    assert (found.input_tokens, found.output_tokens) == (told.input_tokens, told.output_tokens)
    assert (found.cached_tokens, found.cache_write_tokens) == (told.cached_tokens, told.cache_write_tokens)
    assert found.reasoning_tokens == told.reasoning_tokens


def test_usage_in_odd_places() -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 2}
    assert read(answer({"content": "x"}, x_groq={"usage": usage})).usage == Usage(5, 2)
    choice = {"message": {"content": "x"}, "finish_reason": "stop", "usage": usage}
    assert read({"choices": [choice]}).usage == Usage(5, 2)


@pytest.mark.parametrize(
    ("raw", "cost"),
    [
        ({"cost": 0.0125}, "0.0125"),
        ({"cost": {"total_cost": 0.002}}, "0.002"),
        ({"cost_in_usd_ticks": 37756000}, "0.0037756"),
        ({"cost": "NaN"}, None),
        ({"cost": -1}, None),
        ({"cost": "much"}, None),
        ({"cost": True}, None),
        ({}, None),
    ],
)
def test_money(raw: Any, cost: str | None) -> None:
    assert read(answer({"content": "x"}, usage=raw)).usage.cost_usd == (
        None if cost is None else Decimal(cost)
    )


# ------------------------------------------------------------------------------------ embeddings and models


def embedded(value: Any, inputs: int = 1) -> Any:
    return WIRE.decode_embed(json.dumps(value).encode(), EmbeddingRequest(["x"] * inputs))


def test_embeddings_by_their_index() -> None:
    rows = [{"index": 1, "embedding": [3, 4.5]}, {"index": 0, "embedding": [1, 2]}]
    response = embedded({"data": rows, "model": "e", "usage": {"prompt_tokens": 3, "total_tokens": 3}}, 2)
    assert [list(vector) for vector in response.vectors] == [[1.0, 2.0], [3.0, 4.5]]
    assert (response.model, response.usage.input_tokens, "data" in response.raw) == ("e", 3, False)


def test_embeddings_without_an_index_keep_their_order() -> None:
    rows = [{"embedding": [1]}, {"embedding": [2]}]
    assert [list(vector) for vector in embedded({"data": rows}, 2).vectors] == [[1.0], [2.0]]


def test_embeddings_as_base64() -> None:
    told = base64.b64encode(array("f", [0.5, -2.0]).tobytes()).decode()
    assert list(embedded({"data": [{"embedding": told}]}).vectors[0]) == [0.5, -2.0]


def test_embeddings_that_say_the_total_alone() -> None:
    assert embedded({"data": [{"embedding": [1]}], "usage": {"total_tokens": 3}}).usage.input_tokens == 3


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"data": {}},
        {"data": [3]},
        {"data": []},
        {"data": [{"embedding": []}]},
        {"data": [{"embedding": ["x"]}]},
        {"data": [{"embedding": None}]},
        {"data": [{"embedding": "AAA"}]},
        {"data": [{"embedding": [1]}, {"embedding": [1]}]},
        [],
    ],
)
def test_what_holds_no_embeddings(value: Any) -> None:
    with pytest.raises(MalformedResponseError):
        embedded(value)


def test_an_error_in_place_of_embeddings() -> None:
    with pytest.raises(RateLimitError):
        embedded({"error": {"message": "slow", "code": 429}})


def models(value: Any) -> tuple[ModelInfo, ...]:
    return WIRE.decode_models(json.dumps(value).encode()).models


@pytest.mark.parametrize(
    "value",
    [
        {"data": [{"id": "a"}, {"id": "b"}]},
        {"models": [{"name": "a"}, {"model": "b"}]},
        [{"id": "a"}, {"id": "b"}, {}, 3],
        ["a", "b"],
    ],
)
def test_lists_of_models(value: Any) -> None:
    assert [model.id for model in models(value)] == ["a", "b"]


def test_what_models_say_of_themselves() -> None:
    row = {
        "id": "v/m",
        "name": "The Model",
        "created": 7,
        "owned_by": "v",
        "context_length": 1000,
        "top_provider": {"context_length": 900, "max_completion_tokens": 50},
        "supported_parameters": ["tools", 3],
    }
    (found,) = models({"data": [row]})
    assert found == ModelInfo("v/m", None, "The Model", 1000, 50, 7, "v", frozenset({"tools"}))
    assert found.raw == row
    (mistral,) = models([{"id": "m", "name": "m", "capabilities": {"vision": True, "ocr": False}}])
    assert (mistral.display_name, mistral.capabilities) == (None, frozenset({"vision"}))
    assert models([{"id": "m", "meta": {"n_ctx_train": 8}}])[0].context_window == 8


@pytest.mark.parametrize("value", [{}, {"data": 3}, "x", 3, None])
def test_what_is_no_list_of_models(value: Any) -> None:
    with pytest.raises(MalformedResponseError):
        models(value)
