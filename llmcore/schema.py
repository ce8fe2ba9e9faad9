"""JSON schemas out of classes, closed as strict structured output wants them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec


def closed_schema(target: type[Any]) -> dict[str, Any]:
    """The schema of an attrs class, dataclass, TypedDict or any type that msgspec describes. Raises TypeError.

    Its top is the class itself, not a reference; every object is closed and has all its properties required.
    """
    try:
        (schema,), definitions = msgspec.json.schema_components([target], ref_template="#/$defs/{name}")
    except (TypeError, NameError) as exc:
        msg = f"no JSON schema can be derived from {target!r}: {exc}"
        raise TypeError(msg) from exc
    reference = schema.get("$ref", "")
    name = reference.removeprefix("#/$defs/")
    inline = name in definitions and not _refers_to(definitions, reference)
    whole = dict(definitions.pop(name)) if inline else dict(schema)
    if definitions:
        whole["$defs"] = definitions
    closed: dict[str, Any] = _closed(whole)
    return closed


def _refers_to(node: Any, reference: str) -> bool:
    if isinstance(node, Mapping):
        return node.get("$ref") == reference or any(_refers_to(value, reference) for value in node.values())
    return isinstance(node, (list, tuple)) and any(_refers_to(value, reference) for value in node)


def _closed(node: Any) -> Any:
    """Every object closed and all its properties required, which strict structured output asks for."""
    if isinstance(node, (list, tuple)):
        return [_closed(item) for item in node]
    if not isinstance(node, Mapping):
        return node
    out: dict[str, Any] = {}
    for key, value in node.items():
        if key in {"properties", "$defs"}:
            out[key] = {name: _closed(schema) for name, schema in value.items()}
        elif key in {"enum", "const"}:
            out[key] = value
        elif key not in {"title", "default"}:
            out[key] = _closed(value)
    if out.get("type") == "object" and "properties" in out:
        out["additionalProperties"] = False
        out["required"] = list(out["properties"])
    return out
