"""Strict readers for clients' JSON: the value, None where it is absent or null, or BadRequest with the path of the fault.

`at` is the path of the object that is read ("messages[2]"); "" is the body itself.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn, TypeVar

from llmcore.check import check_schema
from llmcore.errors import InvalidRequestError
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


def _within(value: float, param: str, low: float | None, high: float | None) -> None:
    if (low is None or value >= low) and (high is None or value <= high):
        return
    if low is not None and high is not None:
        bound = f"from {low:,} to {high:,}"
    else:
        bound = f"at least {low:,}" if low is not None else f"at most {high:,}"
    fail(param, f"must be {bound}, not {str(value)[:40]}", code="invalid_value")


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


def a_list(value: object, param: str, *, most: int | None = None) -> list[Any]:
    """A list of at most `most` items."""
    if type(value) is not list:
        wrong(value, param, "a list")
    if most is not None and len(value) > most:
        fail(param, f"holds {len(value)} items; at most {most} are taken", code="array_above_max_length")
    return value


def a_boolean(value: object, param: str) -> bool:
    if type(value) is not bool:
        wrong(value, param, "true or false")
    return value


def an_integer(value: object, param: str, *, low: int | None = None, high: int | None = None) -> int:
    if type(value) is float:
        fail(param, f"must be a whole number, not {value}", code="invalid_type")
    if type(value) is not int:
        wrong(value, param, "a whole number")
    _within(value, param, low, high)
    return value


def a_number(value: object, param: str, *, low: float | None = None, high: float | None = None) -> float:
    """A number as it was written: an int stays one."""
    if type(value) is not float and type(value) is not int:
        wrong(value, param, "a number")
    _within(value, param, low, high)
    return value


def a_word(value: object, param: str, words: Iterable[Word]) -> Word:
    """One of the given words."""
    said = a_string(value, param)
    found = next((known for known in words if known == said), None)
    return not_one_of(said, param, words) if found is None else found


def some_strings(value: object, param: str, *, most: int | None = None) -> tuple[str, ...]:
    """A string as a list of one, or a list of strings."""
    if type(value) is str:
        return (value,)
    if type(value) is not list:
        wrong(value, param, "a string or a list of strings")
    found = a_list(value, param, most=most)
    return tuple(a_string(item, f"{param}[{index}]") for index, item in enumerate(found))


# ------------------------------------------------------------------------------------------ members that may be


def string(body: Mapping[str, Any], key: str, at: str = "") -> str | None:
    value = body.get(key)
    return None if value is None else a_string(value, path(at, key))


def boolean(body: Mapping[str, Any], key: str, at: str = "") -> bool | None:
    value = body.get(key)
    return None if value is None else a_boolean(value, path(at, key))


def integer(
    body: Mapping[str, Any], key: str, at: str = "", *, low: int | None = None, high: int | None = None
) -> int | None:
    value = body.get(key)
    return None if value is None else an_integer(value, path(at, key), low=low, high=high)


def number(
    body: Mapping[str, Any], key: str, at: str = "", *, low: float | None = None, high: float | None = None
) -> float | None:
    value = body.get(key)
    return None if value is None else a_number(value, path(at, key), low=low, high=high)


def obj(body: Mapping[str, Any], key: str, at: str = "") -> dict[str, Any] | None:
    value = body.get(key)
    return None if value is None else an_object(value, path(at, key))


def items(body: Mapping[str, Any], key: str, at: str = "", *, most: int | None = None) -> list[Any] | None:
    value = body.get(key)
    return None if value is None else a_list(value, path(at, key), most=most)


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
    value = body.get(key)
    return None if value is None else some_strings(value, path(at, key), most=most)


def word(body: Mapping[str, Any], key: str, words: Iterable[Word], at: str = "") -> Word | None:
    value = body.get(key)
    return None if value is None else a_word(value, path(at, key), words)


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


def schema(value: dict[str, Any], param: str, *, top: str | None = None) -> dict[str, Any]:
    """A JSON schema that can be one; top: the type that it must have. Raises BadRequest with the path of the fault in it."""
    try:
        check_schema(value, param, top=top)
    except InvalidRequestError as exc:
        where, _, sentence = exc.message.partition(": ")
        fail(where, sentence, code="invalid_schema")
    return value


# ---------------------------------------------------------------------------------------------- bytes in text


def from_base64(text: str, param: str) -> bytes:
    """Strict base64 to bytes."""
    try:
        return b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        fail(param, "is not valid base64", code="invalid_base64")


def data_uri(uri: str, param: str) -> tuple[str, bytes]:
    """`data:<media type>;base64,<data>` to media type (with its parameters) and bytes."""
    head, comma, data = uri.partition(",")
    if not comma or not head.startswith("data:") or not head.endswith(";base64"):
        fail(param, "a data URI must have the form data:<media type>;base64,<data>", code="invalid_value")
    return head[5:-7], from_base64(data, param)
