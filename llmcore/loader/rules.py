"""Readers of single values: each returns the value, or notes a complaint with its path and returns BAD."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from llmcore.loader.text import Filled, Notes, key_path, near, plain
from llmcore.secret import Secret, redact

BAD: Any = object()
Reader: TypeAlias = Callable[[Any, str, Notes], Any]

LOCAL_HOSTS = ("localhost", "127.", "::1", "host.docker.internal")

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "a true/false"),
    ((int, float), "a number"),
    (str, "text"),
    ((list, tuple), "a list"),
    (Mapping, "a table"),
)


def shown(value: Any) -> str:
    """What was found, for a complaint: never what a variable held, nothing that looks like a key."""
    if isinstance(value, Filled):
        return f"text (from {value.written[:40]!r})"
    if isinstance(value, str):
        return f"the text {redact(value[:40])!r}"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return f"{value}"[:40]
    return kind_of(value)


def kind_of(value: Any) -> str:
    return next((name for types, name in _KINDS if isinstance(value, types)), f"a {type(value).__name__}")


# --------------------------------------------------------------------------------------------- one value


def boolean(value: Any, path: str, notes: Notes) -> Any:
    if isinstance(value, bool):
        return value
    notes.error(path, f"must be true or false, not {shown(value)}")
    return BAD


def integer(low: int | None = None) -> Reader:
    """A whole number from `low` on; text and booleans are none."""

    def read(value: Any, path: str, notes: Notes) -> Any:
        if isinstance(value, bool) or not isinstance(value, int):
            hint = "; write it without quotes" if isinstance(value, str) and _is_number(value) else ""
            notes.error(path, f"must be a whole number, not {shown(value)}{hint}")
        elif low is not None and value < low:
            notes.error(path, f"must be at least {low}, not {shown(value)}")
        else:
            return value
        return BAD

    return read


def number(low: float = 0.0, high: float = math.inf, *, above: bool = False) -> Reader:
    """A finite number between `low` (`above`: not `low` itself) and `high`."""
    if high == math.inf:
        bounds = f"{'above' if above else 'of at least'} {low:g}"
    else:
        bounds = f"{'above' if above else 'from'} {low:g} {'and at most' if above else 'to'} {high:g}"

    def read(value: Any, path: str, notes: Notes) -> Any:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            hint = "; write it without quotes" if isinstance(value, str) and _is_number(value) else ""
            notes.error(path, f"must be a number, not {shown(value)}{hint}")
        elif not math.isfinite(value) or not low <= value <= high or (above and value == low):
            notes.error(path, f"must be a number {bounds}, not {shown(value)}")
        else:
            return float(value)
        return BAD

    return read


def plain_text(value: Any, path: str, notes: Notes) -> Any:
    """Non-empty text without control characters."""
    if not isinstance(value, str):
        notes.error(path, f"must be text, not {shown(value)}; put it in quotes")
    elif not value.strip():
        notes.error(path, "is empty; give a value or leave the key out")
    elif not value.isprintable():
        notes.error(path, "holds a line break or another control character; take it out")
    else:
        return str(value)
    return BAD


def api_key(value: Any, path: str, notes: Notes) -> Any:
    """A key; nothing of it is ever shown."""
    if isinstance(value, Secret):
        return value
    if not isinstance(value, str):
        notes.error(path, f'must be text, not {kind_of(value)}; write api_key = "${{VARIABLE}}"')
    elif not value.strip():
        notes.error(path, "is empty; leave it out to use the vendor's own variable")
    elif not value.isascii() or not value.isprintable() or " " in value:
        notes.error(path, "holds a line break, a space or another character that no key has; copy it again")
    else:
        if not isinstance(value, Filled):
            notes.warn(path, 'the key stands in clear; better put it into a variable and write "${VARIABLE}"')
        return Secret(str(value))
    return BAD


def provider_name(value: Any, path: str, notes: Notes) -> Any:
    """A provider's name; "/" divides provider from model in requests."""
    value = plain_text(value, path, notes)
    if value is not BAD and "/" in value:
        notes.error(
            path, f'{value!r} holds a "/", which divides provider and model in requests; choose another'
        )
        return BAD
    return value


def choice(what: str, options: Collection[str]) -> Reader:
    """One of `options`."""

    def read(value: Any, path: str, notes: Notes) -> Any:
        if not isinstance(value, str):
            notes.error(path, f"must be text, not {shown(value)}; known are {', '.join(options)}")
        elif value in options:
            return str(value)
        else:
            said = value.written if isinstance(value, Filled) else redact(value[:40])
            notes.error(path, f"unknown {what} {said!r}; {near(value, options)}")
        return BAD

    return read


def url(value: Any, path: str, notes: Notes) -> Any:
    """An http or https address without user, query and fragment."""
    value = plain_text(value, path, notes)
    if value is BAD:
        return BAD
    fault = _url_fault(value)
    if fault is not None:
        notes.error(path, fault)
        return BAD
    parts = urlsplit(value)
    if parts.scheme == "http" and not (parts.hostname or "").startswith(LOCAL_HOSTS):
        notes.warn(path, "http sends keys and prompts unencrypted; use https")
    return value


def _url_fault(value: str) -> str | None:
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError as exc:
        return f"is no URL ({exc}); write it like https://api.example.com/v1"
    if parts.scheme not in {"http", "https"}:
        start = "begins with no" if "://" not in value else "must begin with"
        return f"{start} http:// or https://; write it like https://api.example.com/v1"
    if not parts.hostname or any(char in value for char in ' \\"<>'):
        return "names no valid host; write it like https://api.example.com/v1"
    if parts.username is not None or parts.password is not None:
        return "holds a user or password; use api_key or headers for credentials"
    if parts.query or parts.fragment:
        return "holds a query or fragment; give the address alone (api_version has its own key)"
    return None


def header_value(value: Any, path: str, notes: Notes) -> Any:
    """A header's value; the value itself is never shown, it may be a credential."""
    header = path.rpartition(".")[2].strip('"')
    if not _HEADER_NAME.fullmatch(header):
        notes.error(path, "is no valid name of a header")
    elif not isinstance(value, str):
        notes.error(path, f"must be text, not {kind_of(value)}; put it in quotes")
    elif not value.isascii() or not all(char.isprintable() or char == "\t" for char in value):
        notes.error(path, "holds a line break or another character that no header may hold; take it out")
    else:
        return str(value)
    return BAD


# ------------------------------------------------------------------------------------------- many values


def words(value: Any, path: str, notes: Notes) -> Any:
    """A list of texts."""
    if not isinstance(value, (list, tuple)):
        notes.error(path, f"must be a list of texts, not {shown(value)}; put it in brackets")
        return BAD
    items = tuple(plain_text(item, f"{path}[{index}]", notes) for index, item in enumerate(value))
    return tuple(item for item in items if item is not BAD)


def choices(what: str, options: Collection[str]) -> Reader:
    """A list of some of `options`, as a set."""
    one = choice(what, options)

    def read(value: Any, path: str, notes: Notes) -> Any:
        if not isinstance(value, (list, tuple)):
            notes.error(path, f"must be a list of texts, not {shown(value)}; put it in brackets")
            return BAD
        items = [one(item, f"{path}[{index}]", notes) for index, item in enumerate(value)]
        return BAD if any(item is BAD for item in items) else frozenset(items)

    return read


def mapping(reader: Reader, example: str) -> Reader:
    """A table with free keys whose values `reader` reads."""

    def read(value: Any, path: str, notes: Notes) -> Any:
        if not isinstance(value, Mapping):
            notes.error(path, f"must be a table, not {shown(value)}; write {example}")
            return BAD
        pairs = {str(key): reader(item, key_path(path, str(key)), notes) for key, item in value.items()}
        if "" in pairs:
            notes.error(path, "has an empty key; give it a name")
        return BAD if any(item is BAD for item in pairs.values()) else pairs

    return read


def anything(value: Any, path: str, notes: Notes) -> Any:
    """A table of any content, as it is."""
    if isinstance(value, Mapping):
        return plain(value)
    notes.error(path, f"must be a table, not {shown(value)}; write {{ field = value }}")
    return BAD


def table(
    value: Any, path: str, notes: Notes, readers: Mapping[str, Reader], others: Mapping[str, str]
) -> dict[str, Any] | None:
    """The known keys of a table with their good values; unknown keys are complaints. None where it is no table.

    others: words that people use for a key, to the key.
    """
    if not isinstance(value, Mapping):
        notes.error(path, f"must be a table, not {shown(value)}; write [{path}] above its keys")
        return None
    good: dict[str, Any] = {}
    for key, item in value.items():
        reader = readers.get(key)
        if reader is None:
            where, meant = key_path(path, str(key)), others.get(str(key).lower())
            hint = f"did you mean {meant!r}?" if meant else near(str(key), readers)
            notes.error(where, f"unknown key; {hint}")
        elif (read := reader(item, key_path(path, key), notes)) is not BAD:
            good[key] = read
    return good


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True
