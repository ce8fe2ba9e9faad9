"""Whether a JSON schema can be held strictly by every vendor: Anthropic's wire has no word for it, OpenAI's needs one.

Source: the guide to structured outputs of the OpenAI API: the top is an object, every object is closed and requires all
of its properties, and some keywords are refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_REFUSED = frozenset(
    {
        "allOf",
        "oneOf",
        "not",
        "if",
        "then",
        "else",
        "dependentRequired",
        "dependentSchemas",
        "patternProperties",
    }
)
_SAYS = frozenset({"type", "anyOf", "$ref", "enum", "const"})


def can_be_strict(schema: Any) -> bool:
    """A schema that was read from JSON; `read.schema` looks whether it is one at all."""
    return isinstance(schema, dict) and schema.get("type") == "object" and _is_strict(schema)


def _is_strict(schema: Any) -> bool:
    if not isinstance(schema, dict) or not _REFUSED.isdisjoint(schema) or _SAYS.isdisjoint(schema):
        return False
    kinds = schema.get("type")
    if kinds == "object" or (isinstance(kinds, list) and "object" in kinds) or "properties" in schema:
        required, properties = schema.get("required", []), schema.get("properties", {})
        if schema.get("additionalProperties") is not False or not isinstance(properties, dict):
            return False
        if not isinstance(required, list) or any(name not in required for name in properties):
            return False
    return all(map(_is_strict, _inner(schema)))


def _inner(schema: dict[str, Any]) -> Iterable[Any]:
    """The schemas directly inside of it."""
    for key in ("properties", "$defs", "definitions"):
        members = schema.get(key)
        yield from members.values() if isinstance(members, dict) else ()
    for key in ("anyOf", "prefixItems"):
        members = schema.get(key)
        yield from members if isinstance(members, list) else ()
    if "items" in schema:
        yield schema["items"]
