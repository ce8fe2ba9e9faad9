"""Strict readers for clients' JSON: the value, None where it is absent or null, or BadRequest with the path of the fault.

`at` is the path of the object that is read ("messages[2]"); "" is the body itself.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn, TypeVar

from llmcore.gateway.errors import BadRequest

MAX_MESSAGES = 10_000
MAX_TOOLS = 512

Word = TypeVar("Word", bound=str)

_KINDS = {
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "a list",
    dict: "an object",
    type(None): "null",
}


def path(at: str, key: str | int) -> str:
    """The path of a member: `tools[0].function`, `messages[2]`."""
    if isinstance(key, int):
        return f"{at}[{key}]"
    return f"{at}.{key}" if at else key


def kind_of(value: object) -> str:
    """What a JSON value is, in words."""
    return _KINDS.get(type(value), type(value).__name__)


def fail(param: str, sentence: str, *, code: str | None = None) -> NoReturn:
    """Raise BadRequest for the field at `param`; the sentence follows its name ("must be ...")."""
    raise BadRequest(f"{param}: {sentence}", param=param or None, code=code)


def missing(param: str, sentence: str = "is required and missing") -> NoReturn:
    fail(param, sentence, code="missing_required_parameter")


def wrong(value: object, param: str, expected: str) -> NoReturn:
    """Raise BadRequest for a value of a wrong type."""
    fail(param, f"must be {expected}, not {kind_of(value)}", code="invalid_type")


# --------------------------------------------------------------------------------------------- single values


def a_string(value: object, param: str) -> str:
    if type(value) is not str:
        wrong(value, param, "a string")
    return value


def an_object(value: object, param: str) -> dict[str, Any]:
    if type(value) is not dict:
        wrong(value, param, "an object")
    return value


def a_list(value: object, param: str, expected: str = "a list") -> list[Any]:
    if type(value) is not list:
        wrong(value, param, expected)
    return value


# ------------------------------------------------------------------------------------------ members that may be


def string(body: Mapping[str, Any], key: str, at: str = "") -> str | None:
    value = body.get(key)
    if value is not None and type(value) is not str:
        wrong(value, path(at, key), "a string")
    return value


def boolean(body: Mapping[str, Any], key: str, at: str = "") -> bool | None:
    value = body.get(key)
    if value is not None and type(value) is not bool:
        wrong(value, path(at, key), "true or false")
    return value


def integer(
    body: Mapping[str, Any], key: str, at: str = "", *, low: int | None = None, high: int | None = None
) -> int | None:
    value = body.get(key)
    if value is None:
        return None
    if type(value) is not int:
        wrong(value, path(at, key), "a whole number")
    _within(value, path(at, key), low, high)
    return value


def number(
    body: Mapping[str, Any], key: str, at: str = "", *, low: float | None = None, high: float | None = None
) -> float | None:
    """A number as it was written: an int stays one."""
    value = body.get(key)
    if value is None:
        return None
    if type(value) is not float and type(value) is not int:
        wrong(value, path(at, key), "a number")
    _within(value, path(at, key), low, high)
    return value


def _within(value: float, param: str, low: float | None, high: float | None) -> None:
    if (low is None or value >= low) and (high is None or value <= high):
        return
    bound = (
        f"from {low:g} to {high:g}"
        if low is not None and high is not None
        else (f"at least {low:g}" if low is not None else f"at most {high:g}")
    )
    fail(param, f"must be {bound}, not {str(value)[:40]}", code="invalid_value")


def obj(body: Mapping[str, Any], key: str, at: str = "") -> dict[str, Any] | None:
    value = body.get(key)
    if value is not None and type(value) is not dict:
        wrong(value, path(at, key), "an object")
    return value


def items(body: Mapping[str, Any], key: str, at: str = "", *, most: int | None = None) -> list[Any] | None:
    """A list of at most `most` items."""
    value = body.get(key)
    if value is None:
        return None
    if type(value) is not list:
        wrong(value, path(at, key), "a list")
    if most is not None and len(value) > most:
        fail(
            path(at, key),
            f"holds {len(value)} items; at most {most} are taken",
            code="array_above_max_length",
        )
    return value


def objects(
    body: Mapping[str, Any], key: str, at: str = "", *, most: int | None = None
) -> Iterable[tuple[str, dict[str, Any]]]:
    """The objects of a list, each with its path; nothing where the list is absent."""
    for index, item in enumerate(items(body, key, at, most=most) or ()):
        where = f"{path(at, key)}[{index}]"
        yield where, an_object(item, where)


def strings(
    body: Mapping[str, Any], key: str, at: str = "", *, most: int | None = None
) -> tuple[str, ...] | None:
    """A string as a list of one, or a list of strings."""
    value = body.get(key)
    if value is None:
        return None
    if type(value) is str:
        return (value,)
    if type(value) is not list:
        wrong(value, path(at, key), "a string or a list of strings")
    found = items(body, key, at, most=most) or []
    return tuple(a_string(item, f"{path(at, key)}[{index}]") for index, item in enumerate(found))


def word(body: Mapping[str, Any], key: str, words: Iterable[Word], at: str = "") -> Word | None:
    """One of the given words."""
    value = string(body, key, at)
    if value is None:
        return None
    for known in words:
        if value == known:
            return known
    return not_one_of(value, path(at, key), words)


def not_one_of(value: str, param: str, words: Iterable[str]) -> NoReturn:
    fail(param, f"{value[:80]!r} is not one of {', '.join(words)}", code="invalid_value")


# ---------------------------------------------------------------------------------------- members that must be


def need_string(body: Mapping[str, Any], key: str, at: str = "") -> str:
    value = body.get(key)
    if type(value) is not str:
        _absent_or_wrong(value, path(at, key), "a string")
    return value


def need_obj(body: Mapping[str, Any], key: str, at: str = "") -> dict[str, Any]:
    value = body.get(key)
    if type(value) is not dict:
        _absent_or_wrong(value, path(at, key), "an object")
    return value


def need_integer(body: Mapping[str, Any], key: str, at: str = "", *, low: int | None = None) -> int:
    value = integer(body, key, at, low=low)
    if value is None:
        missing(path(at, key))
    return value


def need_items(body: Mapping[str, Any], key: str, at: str = "", *, most: int | None = None) -> list[Any]:
    value = items(body, key, at, most=most)
    if value is None:
        missing(path(at, key))
    return value


def _absent_or_wrong(value: object, param: str, expected: str) -> NoReturn:
    if value is None:
        missing(param)
    wrong(value, param, expected)


# ---------------------------------------------------------------------------------------------- bytes in text


def from_base64(text: str, param: str) -> bytes:
    """Strict base64 to bytes."""
    try:
        return b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        fail(param, "is not valid base64", code="invalid_base64")


def data_uri(uri: str, param: str) -> tuple[str, bytes]:
    """`data:<media type>;base64,<data>` to media type and bytes."""
    head, comma, data = uri.partition(",")
    media_type, *marks = head[5:].split(";")
    if not head.startswith("data:") or not comma or "base64" not in marks:
        fail(param, "a data URI must have the form data:<media type>;base64,<data>", code="invalid_value")
    return media_type, from_base64(data, param)
