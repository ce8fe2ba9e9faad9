"""Which schemas are asked for strictly."""

from __future__ import annotations

from typing import Any

import pytest

from llmcore.gateway.mirror.anthropic import AnthropicMirror
from llmcore.gateway.mirror.strict import can_be_strict
from llmcore.types import JsonSchema

TEXT = {"type": "string"}


def an_object(required: list[str] | None = None, **properties: Any) -> dict[str, Any]:
    names = [*properties] if required is None else required
    return {"type": "object", "properties": properties, "required": names, "additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        (an_object(a=TEXT), True),
        (an_object(), True),
        ({"type": "object", "additionalProperties": False}, True),
        (an_object(a={"anyOf": [TEXT, {"type": "null"}]}, b={"enum": ["x"]}, c={"const": 1}), True),
        (
            an_object(a={"type": "array", "items": {"$ref": "#/$defs/T"}})
            | {"$defs": {"T": an_object(b=TEXT)}},
            True,
        ),
        (an_object(a={"type": ["string", "null"]}), True),
        (an_object([], a=TEXT), False),
        ({"type": "object", "properties": {"a": TEXT}, "required": ["a"]}, False),
        (an_object(a=TEXT) | {"additionalProperties": TEXT}, False),
        (an_object(a=an_object([], b=TEXT)), False),
        (an_object(a=TEXT) | {"$defs": {"T": an_object([], b=TEXT)}}, False),
        (an_object(a={"type": "array", "items": an_object([], b=TEXT)}), False),
        (an_object(a={"type": ["object", "null"]}), False),
        (an_object(a={"oneOf": [TEXT]}), False),
        (an_object(a={}), False),
        (an_object(a=True), False),
        (TEXT, False),
        ({"type": "array", "items": TEXT}, False),
        ({}, False),
        (an_object(a=TEXT) | {"required": "a"}, False),
    ],
)
def test_what_can_be_strict(schema: Any, strict: bool) -> None:
    assert can_be_strict(schema) is strict
    given = {"type": "json_schema", "schema": schema}
    body = {
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "?"}],
        "output_config": {"format": given},
    }
    assert AnthropicMirror().decode_request(body).request.response_format == JsonSchema(schema, strict=strict)
