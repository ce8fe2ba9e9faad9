"""Strict reading of the small JSON bodies of `/api`: unknown fields are complaints, each with the nearest known name."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from llmcore.gateway.errors import BadRequest, NotFound
from llmcore.gateway.mirror import read
from llmcore.gateway.store import UNSET, Unset

MAX_NAME = 200
MOST = 1000


def known(body: Mapping[str, Any], names: tuple[str, ...]) -> None:
    """Raises BadRequest for a field that is none of `names`."""
    for name in body:
        if name not in names:
            near = get_close_matches(name, names, n=1)
            all_of_them = f"known are {', '.join(names)}" if names else "none is known here"
            hint = f"did you mean {near[0]!r}?" if near else all_of_them
            raise BadRequest(f"{name[:60]}: unknown field; {hint}", param=name[:60])


def text(body: Mapping[str, Any], name: str, *, longest: int = MAX_NAME) -> str | None:
    """A non-empty line of text; None where it is absent or null."""
    value = read.string(body, name)
    if value is None:
        return None
    if not value.strip() or len(value) > longest or not value.isprintable():
        raise BadRequest(f"{name}: must be 1 to {longest} printable characters in one line", param=name)
    return value


def required(body: Mapping[str, Any], name: str, *, longest: int = MAX_NAME) -> str:
    value = text(body, name, longest=longest)
    if value is None:
        raise BadRequest(f"{name}: is missing", param=name, code="missing_required_parameter")
    return value


def word(body: Mapping[str, Any], name: str, words: tuple[str, ...]) -> str | None:
    """One of `words`; None where it is absent or null."""
    value = read.string(body, name)
    if value is not None and value not in words:
        raise BadRequest(f"{name}: must be one of {', '.join(words)}", param=name)
    return value


def texts(body: Mapping[str, Any], name: str, *, most: int = MOST) -> tuple[str, ...] | None:
    """A list of lines of text; None where it is absent or null."""
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, list) or len(value) > most:
        raise BadRequest(f"{name}: must be a list of at most {most} texts", param=name)
    return tuple(required({name: one}, name) for one in value)


def maybe(body: Mapping[str, Any], name: str, value: Any) -> Any:
    """`value`, but UNSET where the field is not in the body at all (null is a value)."""
    return value if name in body else UNSET


def given(value: Any) -> bool:
    return not isinstance(value, Unset)


def whole(query: Mapping[str, str], name: str, default: int, *, low: int, high: int) -> int:
    """A number of a query string."""
    said = query.get(name)
    if said is None:
        return default
    if not said.isascii() or not said.isdigit() or not low <= int(said[:9]) <= high or len(said) > 9:
        raise BadRequest(f"{name}: must be a whole number from {low} to {high}", param=name)
    return int(said)


def flag(query: Mapping[str, str], name: str) -> bool:
    """Yes or no in a query string; no where it is absent."""
    said = query.get(name, "0")
    if said not in {"0", "1", "false", "true"}:
        raise BadRequest(f"{name}: must be 1 or 0", param=name)
    return said in {"1", "true"}


def found(value: Any, what: str) -> Any:
    """`value`, or NotFound where there is none: the same words for what is not there and what is another's."""
    if value is None or value is False:
        raise NotFound(f"there is no such {what}")
    return value
