"""A JSON value that a JSON schema accepts; the same schema always gives the same value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_DEEP = 6

_BY_NAME: dict[str, str] = {
    "city": "Paris",
    "location": "Paris",
    "country": "France",
    "name": "Ada",
    "title": "A short title",
    "currency": "EUR",
    "unit": "celsius",
    "language": "en",
    "email": "ada@example.org",
    "url": "https://example.org/",
}
_BY_FORMAT: dict[str, str] = {
    "date": "2026-11-21",
    "date-time": "2026-11-21T12:00:00Z",
    "time": "12:00:00Z",
    "duration": "PT1H",
    "email": "ada@example.org",
    "hostname": "example.org",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.org/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def instance_of(schema: Any, *, name: str = "value", root: Any = None, depth: int = 0) -> Any:
    """A value for `schema`: const, enum, default, $ref, anyOf/oneOf/allOf, type and its common bounds are read."""
    root = schema if root is None else root
    if not isinstance(schema, Mapping):
        return name
    if isinstance(reference := schema.get("$ref"), str):
        return instance_of(_resolved(reference, root), name=name, root=root, depth=depth + 1)
    if "const" in schema:
        return schema["const"]
    if isinstance(schema.get("enum"), list) and schema["enum"]:
        return schema["enum"][0]
    for key in ("anyOf", "oneOf"):
        if isinstance(schema.get(key), list) and schema[key]:
            return instance_of(_shallowest(schema[key], depth), name=name, root=root, depth=depth + 1)
    if isinstance(schema.get("allOf"), list) and schema["allOf"]:
        return instance_of(_all_of(schema, root), name=name, root=root, depth=depth + 1)
    return _typed(schema, name, root, depth)


def _typed(schema: Mapping[str, Any], name: str, root: Any, depth: int) -> Any:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = "null" if "null" in kind and depth > _DEEP else next((k for k in kind if k != "null"), "null")
    if not isinstance(kind, str):
        kind = "object" if "properties" in schema else "array" if "items" in schema else "string"
    match kind.lower():
        case "object":
            return _object(schema, root, depth)
        case "array":
            size = max(int(schema.get("minItems", 0)), 1 if depth <= _DEEP else 0)
            return [
                instance_of(schema.get("items"), name=name, root=root, depth=depth + 1) for _ in range(size)
            ]
        case "integer" | "number":
            return _number(schema, whole=kind.lower() == "integer")
        case "boolean":
            return True
        case "null":
            return None
        case _:
            return _string(schema, name)


def _object(schema: Mapping[str, Any], root: Any, depth: int) -> dict[str, Any]:
    required = schema.get("required", [])
    properties = schema.get("properties", {})
    wanted = {key: properties.get(key, {}) for key in required}
    if depth <= _DEEP:
        wanted = {**properties, **wanted}
    return {key: instance_of(rule, name=key, root=root, depth=depth + 1) for key, rule in wanted.items()}


def _string(schema: Mapping[str, Any], name: str) -> str:
    text = _BY_FORMAT.get(str(schema.get("format")), _BY_NAME.get(name.lower(), name))
    text = text.ljust(int(schema.get("minLength", 0)), "x")
    return text[: int(schema["maxLength"])] if "maxLength" in schema else text


def _number(schema: Mapping[str, Any], *, whole: bool) -> float | int:
    step = schema.get("multipleOf", 1)
    value = 21 if whole else 21.5
    low, high = schema.get("minimum"), schema.get("maximum")
    if isinstance(above := schema.get("exclusiveMinimum"), (int, float)):
        low = above + step
    if isinstance(below := schema.get("exclusiveMaximum"), (int, float)):
        high = below - step
    if high is not None and value > high:
        value = high
    if low is not None and value < low:
        value = low
    if "multipleOf" in schema and value % step:
        value = value - value % step + (step if low is not None else 0)
    return int(value) if whole else value


def _shallowest(options: list[Any], depth: int) -> Any:
    """The first option; deep down, one that ends there (null or a plain value), so that recursion stops."""
    if depth <= _DEEP:
        return options[0]
    plain = [
        option
        for option in options
        if isinstance(option, Mapping) and "$ref" not in option and "properties" not in option
    ]
    return (plain or options)[0]


def _all_of(schema: Mapping[str, Any], root: Any) -> dict[str, Any]:
    together: dict[str, Any] = {key: value for key, value in schema.items() if key != "allOf"}
    for option in schema["allOf"]:
        rule = _resolved(option["$ref"], root) if isinstance(option, Mapping) and "$ref" in option else option
        for key, value in rule.items() if isinstance(rule, Mapping) else ():
            old = together.get(key)
            if isinstance(old, dict) and isinstance(value, Mapping):
                together[key] = {**old, **value}
            elif isinstance(old, list) and isinstance(value, list):
                together[key] = [*old, *value]
            else:
                together[key] = value
    return together


def _resolved(reference: str, root: Any) -> Any:
    node = root
    for step in reference.removeprefix("#").strip("/").split("/"):
        step = step.replace("~1", "/").replace("~0", "~")  # noqa: PLW2901 - JSON pointer escapes
        node = node.get(step) if isinstance(node, Mapping) else None
    return node
