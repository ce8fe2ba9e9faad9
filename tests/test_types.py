"""The nouns: conversions that people may rely on, and what they refuse."""

from __future__ import annotations

import dataclasses
from decimal import Decimal

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmcore.types import (
    File,
    GenerationRequest,
    GenerationResponse,
    Image,
    JsonSchema,
    Message,
    Reasoning,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Usage,
)


@attrs.frozen
class Town:
    name: str
    people: int


@dataclasses.dataclass
class Trip:
    towns: list[Town]
    note: str | None = None


def test_text_becomes_a_user_message() -> None:
    request = GenerationRequest("hi", stop="x", reasoning="low")
    assert request.messages == (Message("user", (Text("hi"),)),)
    assert request.stop == ("x",)
    assert request.reasoning == Reasoning(effort="low")


def test_a_message_shows_its_text_thinking_and_calls() -> None:
    message = Message.assistant(Thinking("hm"), "a", Refusal("no"), "b", ToolCall("1", "f", "{}"))
    assert (message.text, message.thinking) == ("ab", "hm")
    assert [call.name for call in message.tool_calls] == ["f"]
    assert GenerationResponse(message).refusal == "no"


@pytest.mark.parametrize("bad", [b"bytes", {"role": "user"}])
def test_what_is_no_part_is_refused(bad: object) -> None:
    with pytest.raises(TypeError):
        Message("user", bad)  # type: ignore[arg-type]


@pytest.mark.parametrize("make", [lambda: Image(), lambda: Image(url="u", data=b"d"), lambda: File()])
def test_media_come_from_exactly_one_source(make: object) -> None:
    with pytest.raises(ValueError, match="exactly one"):
        make()  # type: ignore[operator]


def test_bytes_do_not_show_in_a_repr() -> None:
    assert "secretpixels" not in repr(Message.user(Image(data=b"secretpixels", media_type="image/png")))


@pytest.mark.parametrize(("arguments", "input_"), [("{}", {}), ("", {}), ("  ", {}), ('{"a": 1}', {"a": 1})])
def test_arguments_of_a_call(arguments: str, input_: dict[str, int]) -> None:
    call = ToolCall("1", "f", arguments)
    assert call.input == input_
    assert call.parse_error is None


@pytest.mark.parametrize("arguments", ["{", "[1]", "null", '"x"', "{'a': 1}"])
def test_arguments_that_are_no_object_are_kept_and_say_so(arguments: str) -> None:
    call = ToolCall("1", "f", arguments)
    assert call.arguments == arguments
    assert call.parse_error
    with pytest.raises(ValueError, match=r"\w"):
        call.input  # noqa: B018 - evaluated for its error


def test_a_tool_result_joins_its_texts() -> None:
    assert ToolResult("1", ("a", "b")[0]).text == "a"
    assert ToolResult("1", [Text("a"), Image(url="u"), Text("b")]).text == "ab"


def test_a_schema_of_a_class_is_closed_and_inlined() -> None:
    schema = JsonSchema.of(Trip)
    assert schema.name == "Trip"
    assert schema.schema["type"] == "object"
    assert schema.schema["required"] == ["towns", "note"]
    assert schema.schema["additionalProperties"] is False
    assert schema.schema["$defs"]["Town"]["required"] == ["name", "people"]
    assert "default" not in schema.schema["properties"]["note"]


def test_a_property_may_be_called_title_or_default() -> None:
    made = attrs.make_class("Odd", {"title": attrs.field(type=str), "default": attrs.field(type=int)})
    assert set(JsonSchema.of(made).schema["properties"]) == {"title", "default"}


def test_a_class_that_has_no_schema_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="no JSON schema"):
        GenerationRequest("x", response_format=type("Plain", (), {"__init__": lambda self, a: None}))


@pytest.mark.parametrize(
    "text", ['{"name": "Ulm", "people": 3}', '```json\n{"name": "Ulm", "people": 3}\n```']
)
def test_parsed_gives_the_class(text: str) -> None:
    assert GenerationResponse(Message.assistant(text)).parsed(Town) == Town("Ulm", 3)


def test_parsed_takes_dataclasses_with_classes_inside() -> None:
    text = '{"towns": [{"name": "Ulm", "people": 3}], "note": null}'
    assert GenerationResponse(Message.assistant(text)).parsed(Trip) == Trip([Town("Ulm", 3)])


@pytest.mark.parametrize("text", ["no json", '{"name": "Ulm"}', '{"name": "Ulm", "people": "many"}', "[]"])
def test_parsed_says_what_does_not_fit(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        GenerationResponse(Message.assistant(text)).parsed(Town)


counts = st.none() | st.integers(0, 10**6)
usages = st.builds(Usage, counts, counts, counts, counts, counts, st.none() | st.decimals(0, 9, places=3))


@given(a=usages, b=usages)
def test_usage_adds_up_and_unknown_is_not_zero(a: Usage, b: Usage) -> None:
    both = a + b
    assert both == b + a
    for name in ("input_tokens", "output_tokens", "cached_tokens", "cost_usd"):
        left, right = getattr(a, name), getattr(b, name)
        expected = None if left is None and right is None else (left or 0) + (right or 0)
        assert getattr(both, name) == expected
    assert (a.total_tokens is None) == (a.input_tokens is None or a.output_tokens is None)


def test_cost_is_exact() -> None:
    assert (Usage(cost_usd=Decimal("0.1")) + Usage(cost_usd=Decimal("0.2"))).cost_usd == Decimal("0.3")
