"""Reading vendor JSON leniently, and writing ours: values, counts and odd Unicode."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec

from llmcore.errors import MalformedResponseError

Json: TypeAlias = Any

_json_decoder = msgspec.json.Decoder()
_json_encoder = msgspec.json.Encoder()


def loads(data: bytes | bytearray | memoryview | str) -> Json:
    """JSON text to values. NaN, huge exponents and lone surrogates pass; anything else odd is MalformedResponseError."""
    try:
        return _json_decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        text = data if isinstance(data, str) else bytes(data).decode("utf-8-sig")
        return json.loads(text)
    except UnicodeDecodeError as exc:
        raise MalformedResponseError(f"the body is not UTF-8 (byte {exc.start})", phase="parse") from None
    except RecursionError:
        raise MalformedResponseError("the JSON is nested too deeply", phase="parse") from None
    except ValueError as exc:
        raise MalformedResponseError(f"the body is not JSON: {exc}", phase="parse") from None


def dumps(value: Json) -> bytes:
    """Values to compact JSON, the same bytes for the same value."""
    return _json_encoder.encode(value)


def as_dict(value: Json) -> dict[str, Any]:
    """`value` if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def as_list(value: Json) -> list[Any]:
    return value if isinstance(value, list) else []


def as_str(value: Json) -> str | None:
    """Non-empty text, or None."""
    return value if isinstance(value, str) and value else None


def as_count(value: Json) -> int | None:
    """A count of tokens: an int >= 0. Whole floats and digits pass; anything else is unknown, never 0."""
    if type(value) is int:
        return value if 0 <= value < 10**15 else None
    if isinstance(value, float):
        return int(value) if 0 <= value < 1e15 and value.is_integer() else None
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return as_count(int(value[:18]))
    return None


def is_object(text: str) -> bool:
    """Whether `text` is one whole JSON object, as the arguments of a call that was not cut are."""
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def parse_object(body: bytes) -> dict[str, Any]:
    """A 2xx body that must be a JSON object. Raises MalformedResponseError."""
    if not body or body.isspace():
        raise MalformedResponseError("the body is empty", phase="parse")
    value = loads(body)
    if not isinstance(value, dict):
        raise MalformedResponseError(
            f"a JSON {type(value).__name__} where an object was expected", phase="parse"
        )
    return value


def merged(body: dict[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """`body` with the caller's `extra` fields laid over it (nested objects one level deep)."""
    for key, value in extra.items():
        old = body.get(key)
        body[key] = {**old, **value} if isinstance(old, dict) and isinstance(value, Mapping) else value
    return body


class SurrogateJoiner:
    r"""Text deltas without lone surrogates: a pair split over two deltas ("\ud83d" then "\ude00") is joined."""

    __slots__ = ("_high",)

    def __init__(self) -> None:
        self._high = ""

    def push(self, text: str) -> str:
        if not self._high and text.isascii():
            return text
        text = self._high + text
        self._high = ""
        if text and "\ud800" <= text[-1] <= "\udbff":
            text, self._high = text[:-1], text[-1]
        return join_surrogates(text)

    def flush(self) -> str:
        left, self._high = self._high, ""
        return "\ufffd" if left else ""


def join_surrogates(text: str) -> str:
    """Surrogate pairs joined, lone surrogates replaced by U+FFFD."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
