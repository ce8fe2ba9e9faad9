"""Requests as people write them with the official openai SDK: every parameter is honoured by a dialect or told of, never lost."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from tests.gateway.sdk.served import KINDS, Served
from tests.gateway.sdk.test_openai_chat import WEATHER

HELLO: Any = [{"role": "user", "content": "say: hello"}]
ALL = frozenset(KINDS)
CHATTY = frozenset({"openai"})
"""Those who take every field of a chat completion."""

OPENAIS = CHATTY | {"responses"}

HONOURED: list[tuple[str, dict[str, Any], frozenset[str]]] = [
    ("n", {"n": 1}, ALL),
    ("user", {"user": "u-1"}, ALL),
    ("metadata", {"metadata": {"topic": "greeting"}}, ALL),
    ("store", {"store": False}, ALL),
    ("store", {"store": True, "metadata": {"topic": "greeting"}}, OPENAIS),
    ("metadata", {"store": True, "metadata": {"topic": "greeting"}}, OPENAIS),
    ("response_format", {"response_format": {"type": "text"}}, ALL),
    ("tools", {"tools": []}, ALL),
    ("tool_choice", {"tools": [WEATHER], "tool_choice": "none"}, ALL),
    ("parallel_tool_calls", {"tools": [WEATHER], "parallel_tool_calls": False}, ALL - {"gemini", "ollama", "cohere"}),
    ("max_completion_tokens", {"max_completion_tokens": 77}, ALL),
    ("max_tokens", {"max_tokens": 1}, ALL - {"responses"}),
    ("stop", {"stop": "bye"}, ALL - {"responses"}),
    ("stop", {"stop": ["bye", "then"]}, ALL - {"responses"}),
    ("seed", {"seed": 7}, ALL - {"responses", "anthropic"}),
    ("logprobs", {"logprobs": False}, ALL),
    ("logprobs", {"logprobs": True, "top_logprobs": 2}, frozenset()),
    ("modalities", {"modalities": ["text"]}, ALL),
    ("modalities", {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}}, CHATTY),
    ("reasoning", {"reasoning_effort": "low"}, ALL - {"cohere"}),
    ("reasoning", {"reasoning_effort": "none"}, ALL),
    ("service_tier", {"service_tier": "auto"}, ALL),
    ("service_tier", {"service_tier": "flex"}, OPENAIS),
    ("frequency_penalty", {"frequency_penalty": 0.5}, CHATTY | {"cohere", "ollama"}),
    ("logit_bias", {"logit_bias": {"50256": -100}}, CHATTY),
    ("verbosity", {"verbosity": "low"}, OPENAIS),
    ("prediction", {"prediction": {"type": "content", "content": "hello"}}, CHATTY),
    ("web_search_options", {"web_search_options": {}}, CHATTY),
    ("prompt_cache_key", {"prompt_cache_key": "k"}, OPENAIS),
    ("prompt_cache_options", {"prompt_cache_options": {"mode": "explicit"}}, OPENAIS),
    ("safety_identifier", {"safety_identifier": "s"}, OPENAIS),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "fields", "honoured"), HONOURED, ids=[json.dumps(row[1])[:40] for row in HONOURED]
)
def test_every_parameter_of_a_chat(
    client: openai.OpenAI, dialect: str, model: str, name: str, fields: dict[str, Any], honoured: frozenset[str]
) -> None:  # fmt: skip
    raw = client.chat.completions.with_raw_response.create(model=model, messages=HELLO, **fields)
    said = raw.parse().choices[0].message.content
    assert said is not None
    assert "hello".startswith(said)
    told = [one.partition(":")[0] for one in raw.headers.get("x-llmcore-warnings", "").split("; ")]
    assert any(one.removeprefix("extra.").startswith(name) for one in told) is (dialect not in honoured)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"n": 2}, "n"),
    ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools[0].type"),
    ({"tools": [WEATHER, WEATHER]}, "tools[1].function.name"),
    ({"tool_choice": {"type": "function", "function": {"name": "auto"}}}, "tool_choice.function.name"),
    ({"functions": [{"name": "f"}]}, "functions"),
    ({"extra_body": {"api_base": "https://example.org"}}, "api_base"),
    ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
    ({"reasoning_effort": "enormous"}, "reasoning_effort"),
    ({"messages": []}, "messages"),
    ({"messages": [{"role": "function", "name": "f", "content": "x"}]}, "messages[0].role"),
    ({"messages": [{"role": "user", "content": [{"type": "video"}]}]}, "messages[0].content[0].type"),
    ({"messages": [{"role": "user"}]}, "messages[0].content"),
]


@pytest.mark.parametrize(("fields", "param"), REFUSED, ids=[row[1] for row in REFUSED])
def test_what_is_not_taken_is_refused_with_its_path(
    client: openai.OpenAI, gateway: Served, fields: dict[str, Any], param: str
) -> None:
    gateway.sim.reset()
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError) as caught:
            client.chat.completions.create(
                **{"model": "openai/sim-model", "messages": HELLO, "stream": stream, **fields}
            )
        assert caught.value.param == param
        assert caught.value.message
    assert not gateway.sim.requests


# ------------------------------------------------------------------------------------------------ conversations

CALLED: Any = {
    "role": "assistant",
    "content": None,
    "tool_calls": [
        {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
    ],
}
BROKEN: Any = {
    "role": "assistant",
    "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{bad"}}],
}
AGAIN: Any = {"role": "user", "content": "say: again"}
CONVERSATIONS: dict[str, tuple[list[Any], str]] = {
    "all roles": (
        [
            {"role": "developer", "content": "Be brief."},
            {"role": "system", "content": [{"type": "text", "text": "Be"}, {"type": "text", "text": " kind."}]},
            {"role": "user", "content": "say: hello", "name": "bob"},
            {"role": "assistant", "content": "hello"},
            AGAIN,
        ],
        "again",
    ),
    "text in parts": ([{"role": "user", "content": [{"type": "text", "text": "say: "}, {"type": "text", "text": "again"}]}], "again"),
    "an empty system prompt": ([{"role": "system", "content": ""}, AGAIN], "again"),
    "a system prompt alone": ([{"role": "system", "content": "say: again"}], "again"),
    "an empty answer": ([*HELLO, {"role": "assistant", "content": None}, AGAIN], ""),
    "a refusal": ([*HELLO, {"role": "assistant", "content": None, "refusal": "no"}, AGAIN], "again"),
    "a result in parts": (
        [*HELLO, CALLED, {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "rain"}]}],
        "The tool weather says: rain",
    ),
    "an empty result": ([*HELLO, CALLED, {"role": "tool", "tool_call_id": "c1", "content": ""}], "The tool weather says: "),
    "broken arguments": ([*HELLO, BROKEN, {"role": "tool", "tool_call_id": "c1", "content": "no"}, AGAIN], "again"),
    "hostile text": ([{"role": "user", "content": "say: \u65e5\u672c \U0001f600 \n\ndata: [DONE]\n\n"}], "\u65e5\u672c \U0001f600 \n\ndata: [DONE]"),
}  # fmt: skip


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_conversations(client: openai.OpenAI, model: str, name: str) -> None:
    messages, said = CONVERSATIONS[name]
    answer = client.chat.completions.create(model=model, messages=messages, tools=[WEATHER])
    told = answer.choices[0].message.content or ""
    assert told.rstrip() == said.rstrip() or (said == "" and told)
    streamed = client.chat.completions.create(model=model, messages=messages, tools=[WEATHER], stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in streamed) == told


@pytest.mark.parametrize(
    ("part", "taken"),
    [
        (
            {"type": "input_audio", "input_audio": {"data": "UklGRiQAAABXQVZF", "format": "wav"}},
            frozenset({"openai", "gemini"}),
        ),
        (
            {
                "type": "file",
                "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0xLjQK"},
            },
            ALL - {"ollama", "cohere"},
        ),
        ({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}, ALL - {"ollama"}),
    ],
    ids=["audio", "file", "address"],
)
def test_media_are_taken_or_refused_clearly(
    client: openai.OpenAI, dialect: str, model: str, part: Any, taken: frozenset[str]
) -> None:
    messages: Any = [{"role": "user", "content": [{"type": "text", "text": "describe:"}, part]}]
    if dialect in taken:
        answer = client.chat.completions.create(model=model, messages=messages)
        assert json.loads(answer.choices[0].message.content or "")["dialect"] == dialect
        return
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=model, messages=messages)
    assert "providers:" not in caught.value.message


def test_files_that_lie_with_the_vendor_need_a_key_of_ones_own(client: openai.OpenAI, model: str) -> None:
    messages: Any = [{"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}]
    with pytest.raises(openai.PermissionDeniedError):
        client.chat.completions.create(model=model, messages=messages)


class Person(BaseModel):
    name: str
    age: int


def test_an_answer_that_was_cut_cannot_be_parsed(client: openai.OpenAI, dialect: str, model: str) -> None:
    if dialect == "responses":  # which writes no fewer than 16 tokens
        return
    with pytest.raises(openai.LengthFinishReasonError):
        client.chat.completions.parse(model=model, messages=HELLO, response_format=Person, max_tokens=1)


def test_the_stream_helper_with_usage(client: openai.OpenAI, model: str) -> None:
    with client.chat.completions.stream(
        model=model,
        messages=[{"role": "user", "content": "weather twice"}],
        tools=[WEATHER],
        stream_options={"include_usage": True, "include_obfuscation": False},
    ) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert {"chunk", "tool_calls.function.arguments.delta", "tool_calls.function.arguments.done"} <= kinds
    assert len(final.choices[0].message.tool_calls or ()) == 2
    assert final.usage is not None


# ----------------------------------------------------------------------------------------------------- the rest


@pytest.mark.parametrize(
    ("given", "param"),
    [([1, 2], "input[0]"), ([[1, 2]], "input[0]"), ("", "input"), ([], "input"), (["a", ""], "input[1]")],
)
def test_embeddings_of_what_is_no_text(client: openai.OpenAI, given: Any, param: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.embeddings.create(model="openai/sim-embed", input=given)
    assert caught.value.param == param


def test_addresses_that_are_not_served(client: openai.OpenAI) -> None:
    for ask in (
        lambda: client.files.list(),
        lambda: client.moderations.create(input="x"),
        lambda: client.completions.create(model="openai/sim-model", prompt="x"),
        lambda: client.responses.retrieve("resp_1"),
    ):
        with pytest.raises(openai.NotFoundError):
            ask()


# ---------------------------------------------------------------------------------------------------- responses

TOOL: Any = {"type": "function", "strict": True, **{k: v for k, v in WEATHER["function"].items() if k != "strict"}}  # fmt: skip
RESPONSES_HONOURED: list[tuple[str, dict[str, Any], frozenset[str]]] = [
    ("store", {"store": False}, ALL),
    ("store", {"store": True}, frozenset()),
    ("background", {"background": False}, ALL),
    ("truncation", {"truncation": "auto"}, frozenset()),
    ("include", {"include": ["reasoning.encrypted_content"]}, ALL),
    ("include", {"include": ["message.output_text.logprobs"]}, frozenset()),
    ("metadata", {"metadata": {"topic": "greeting"}}, ALL),
    ("max_tokens", {"max_output_tokens": 20}, ALL),
    ("reasoning", {"reasoning": {"effort": "none"}}, ALL),
    ("reasoning.summary", {"reasoning": {"effort": "low", "summary": "auto"}}, frozenset()),
    ("verbosity", {"text": {"verbosity": "low"}}, OPENAIS),
    ("service_tier", {"service_tier": "flex"}, OPENAIS),
    ("prompt_cache_key", {"prompt_cache_key": "k"}, OPENAIS),
    ("safety_identifier", {"safety_identifier": "s"}, OPENAIS),
    ("top_logprobs", {"top_logprobs": 2}, frozenset()),
    ("tools", {"tools": [{"type": "function", "name": "f"}]}, ALL),
    ("parallel_tool_calls", {"tools": [TOOL], "parallel_tool_calls": False}, ALL - {"gemini", "ollama", "cohere"}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "fields", "honoured"), RESPONSES_HONOURED, ids=[json.dumps(row[1])[:40] for row in RESPONSES_HONOURED])  # fmt: skip
def test_every_parameter_of_a_response(
    client: openai.OpenAI, dialect: str, model: str, name: str, fields: dict[str, Any], honoured: frozenset[str]
) -> None:  # fmt: skip
    raw = client.responses.with_raw_response.create(model=model, input="say: hello", **fields)
    assert raw.parse().output_text == "hello"
    told = [one.partition(":")[0] for one in raw.headers.get("x-llmcore-warnings", "").split("; ")]
    assert any(one.removeprefix("extra.").startswith(name) for one in told) is (dialect not in honoured)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"background": True}, "background"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [{"type": "custom", "name": "x"}]}, "tools[0].type"),
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": [{"type": "item_reference", "id": "i"}]}, "input[0]"),
        ({"input": [{"type": "function_call_output", "call_id": "c", "output": "x"}]}, "input[0].call_id"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_a_response_cannot_have_is_refused_with_its_path(
    client: openai.OpenAI, fields: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(**{"model": "openai/sim-model", "input": "say: hello", **fields})
    assert caught.value.param == param


def test_a_whole_output_goes_back_as_input(client: openai.OpenAI, model: str) -> None:
    items: list[Any] = [{"role": "user", "content": "weather twice"}]
    asked = client.responses.create(model=model, input=items, tools=[TOOL], reasoning={"effort": "low"})
    items += asked.output
    results: Any = ["rain", [{"type": "input_text", "text": "sun"}]]
    for item in asked.output:
        if item.type == "function_call":
            items.append({"type": "function_call_output", "call_id": item.call_id, "output": results.pop(0)})
    told = client.responses.create(model=model, input=items, tools=[TOOL], reasoning={"effort": "low"})
    assert told.output_text == "The tool weather says: rain The tool weather says: sun"
    items += [*told.output, {"role": "user", "content": "say: thanks"}]
    assert client.responses.create(model=model, input=items, tools=[TOOL]).output_text == "thanks"


def test_tools_of_a_response_are_parsed(client: openai.OpenAI, model: str) -> None:
    tool = openai.pydantic_function_tool(Person)
    answer = client.responses.parse(
        model=model, input='call Person with {"name": "Ada", "age": 36}', tools=[tool]
    )
    (call,) = [item for item in answer.output if item.type == "function_call"]
    assert call.parsed_arguments == Person(name="Ada", age=36)
