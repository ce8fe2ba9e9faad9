"""Structured output without a native form: the answer tool, the prompt, and the check of what comes back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmcore.errors import GenerationFailedError
from llmcore.types import GenerationRequest, GenerationResponse, JsonSchema, Message, Text, Thinking, ToolCall
from llmcore.wire.structured import ANSWER_TOOL, as_tool, from_tool, json_in, mismatch, validated, with_prompt

CITY = JsonSchema(
    {
        "type": "object",
        "properties": {"name": {"type": "string"}, "people": {"type": "integer"}},
        "required": ["name"],
        "additionalProperties": False,
    }
)
LIST = JsonSchema({"type": "array", "items": {"type": "integer"}})


def answer(*parts: Any, finish: Any = "stop") -> GenerationResponse:
    return GenerationResponse(Message("assistant", parts), finish)


def test_the_answer_tool_becomes_text() -> None:
    response = from_tool(
        answer(
            Thinking("hm"), Text("prose"), ToolCall("1", ANSWER_TOOL, '{"name":"Ulm"}'), finish="tool_calls"
        ),
        CITY,
    )
    assert response.text == '{"name":"Ulm"}'
    assert response.thinking == "hm"
    assert response.finish_reason == "stop"
    assert response.tool_calls == ()


def test_an_answer_that_is_no_object_rides_in_an_envelope() -> None:
    tool = as_tool(LIST)
    assert tool.parameters["type"] == "object"
    response = from_tool(answer(ToolCall("1", tool.name, '{"value": [1, 2]}'), finish="tool_calls"), LIST)
    assert json.loads(response.text) == [1, 2]


def test_other_calls_stay_calls() -> None:
    response = answer(ToolCall("1", "other", "{}"), finish="tool_calls")
    assert from_tool(response, CITY) is response


def test_the_prompt_holds_the_schema_and_keeps_the_system_text() -> None:
    asked = with_prompt(
        GenerationRequest([Message.system("Be kind."), Message.user("x")], response_format=CITY)
    )
    assert asked.response_format is None
    assert asked.messages[0].text.startswith("Be kind.")
    assert '"people"' in asked.messages[0].text
    assert with_prompt(GenerationRequest("x", response_format="json")).messages[0].role == "system"


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "Ulm"}',
        '```json\n{"name": "Ulm"}\n```',
        'Here it is: {"name": "Ulm"} - enjoy',
        ' \n{"name": "Ulm"}',
    ],
)
def test_the_json_is_found(text: str) -> None:
    assert json.loads(json_in(text)) == {"name": "Ulm"}
    assert json.loads(validated(answer(Text(text)), CITY).text) == {"name": "Ulm"}


@pytest.mark.parametrize(
    "text",
    ["no json at all", '{"people": 3}', '{"name": 5}', '{"name": "Ulm", "more": 1}', "[1]", '{"name": "Ulm"'],
)
def test_an_answer_that_does_not_fit_is_a_failed_generation(text: str) -> None:
    with pytest.raises(GenerationFailedError):
        validated(answer(Text(text)), CITY)


def test_an_answer_cut_by_length_is_not_judged() -> None:
    cut = answer(Text('{"name'), finish="length")
    assert validated(cut, CITY) is cut


@pytest.mark.parametrize(
    ("value", "schema", "fits"),
    [
        (1, {"type": "integer"}, True),
        (1.0, {"type": "integer"}, True),
        (1.5, {"type": "integer"}, False),
        (True, {"type": "integer"}, False),
        (True, {"type": ["boolean", "null"]}, True),
        (None, {"anyOf": [{"type": "string"}, {"type": "null"}]}, True),
        (3, {"anyOf": [{"type": "string"}, {"type": "null"}]}, False),
        ("a", {"enum": ["a", "b"]}, True),
        ("c", {"enum": ["a", "b"]}, False),
        (5, {"const": 5}, True),
        ([1, "x"], {"items": {"type": "integer"}}, False),
        ({"a": 1}, {"additionalProperties": {"type": "string"}}, False),
        (
            {"a": {"b": 1}},
            {
                "$ref": "#/$defs/N",
                "$defs": {"N": {"properties": {"a": {"$ref": "#/$defs/N"}, "b": {"type": "string"}}}},
            },
            False,
        ),
        ({}, {"allOf": [{"required": ["x"]}]}, False),
        (1, False, False),
        (1, True, True),
    ],
)
def test_what_fits_a_schema(value: Any, schema: Any, fits: bool) -> None:
    assert (mismatch(value, schema) is None) is fits


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=8,
    )
)
def test_every_value_fits_its_own_description(value: Any) -> None:
    def described(item: Any) -> Any:
        match item:
            case bool():
                return {"type": "boolean"}
            case dict():
                return {
                    "type": "object",
                    "properties": {k: described(v) for k, v in item.items()},
                    "required": list(item),
                    "additionalProperties": False,
                }
            case list():
                return {
                    "type": "array",
                    "items": {"anyOf": [described(member) for member in item]} if item else {},
                }
            case _:
                return {"const": item}

    assert mismatch(value, described(value)) is None
    assert mismatch({"wrapped": value}, {"properties": {"wrapped": False}}) is not None
