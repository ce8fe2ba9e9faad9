"""Canary keys: secrets that must show nowhere, in no form; and every way to look at what was reached."""

from __future__ import annotations

import base64
import json
import re
import traceback
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

import rich.pretty
import rich.traceback

CANARIES = (
    "kanarie/0123+4567=zyxwvu",
    "second-kanarie.89ab/cdef",
    "hidden-header+kanarie/77",
    "c00kie-kanarie-5150",
    "spare-kanarie-in-environ-3141",
)
KEY, SECOND, HEADER, COOKIE, SPARE = CANARIES
HEADERS = {"X-Proxy-Token": HEADER, "Cookie": f"session={COOKIE}; theme=dark"}


def forms(secret: str) -> set[str]:
    """The secret as it is, URL-encoded, in JSON, and in Base64 at each of the three places of a longer text."""
    raw = secret.encode()
    found = {secret, quote(secret, safe=""), quote(secret), quote_plus(secret), json.dumps(secret)[1:-1]}
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for before, start in ((0, 0), (1, 2), (2, 3)):
            whole = encode(bytes(before) + raw).decode()
            found.add(whole[start : (before + len(raw)) * 8 // 6])
    return found


PATTERN = re.compile("|".join(sorted(map(re.escape, {form for one in CANARIES for form in forms(one)}))))


def leaks(text: str) -> list[str]:
    """Where a canary shows, with what stands before it."""
    return [text[max(0, found.start() - 160) : found.end() + 10] for found in PATTERN.finditer(text)]


def tracebacks(error: BaseException, *, by_rich: bool = True) -> Iterator[str]:
    """The error as anybody might print it: with its chain, with all locals, as rich finds them."""
    yield "".join(traceback.format_exception(error))
    yield "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format(chain=True))
    if not by_rich:
        return
    trace = rich.traceback.Traceback.extract(
        type(error),
        error,
        error.__traceback__,
        show_locals=True,
        locals_max_length=10**6,
        locals_max_string=10**6,
    )
    for stack in trace.stacks:
        yield repr(stack.exc_value)
        for frame in stack.frames:
            yield "\n".join(f"{name} = {node!s}" for name, node in (frame.locals or {}).items())


def views(thing: object) -> Iterator[str]:
    """A value as `repr`, `str`, f-strings and rich show it."""
    yield repr(thing)
    yield str(thing)
    yield rich.pretty.pretty_repr(thing, max_width=4000)


def inside(thing: object, seen: set[int] | None = None, depth: int = 6) -> Iterator[object]:
    """The value and all objects of ours that hang on it, each once."""
    seen = set() if seen is None else seen
    if id(thing) in seen or depth < 0 or isinstance(thing, (str, bytes, int, float, type(None), type)):
        return
    seen.add(id(thing))
    if type(thing).__module__.startswith("llmcore") and type(thing).__name__ not in {"Secret", "Redactor"}:
        yield thing
    for child in _children(thing):
        yield from inside(child, seen, depth - 1)


def _children(thing: object) -> Iterable[object]:
    if isinstance(thing, Mapping):
        return list(thing.values())
    if isinstance(thing, (list, tuple, set, frozenset)):
        return list(thing)
    if not type(thing).__module__.startswith("llmcore"):
        return ()
    names = [*getattr(thing, "__dict__", ())]
    for cls in type(thing).__mro__:
        slots = cls.__dict__.get("__slots__", ())
        names += [slots] if isinstance(slots, str) else slots
    return [getattr(thing, name, None) for name in names]


def errors_of(error: BaseException) -> Iterator[BaseException]:
    """The error, those it came from, and those it holds."""
    todo: list[BaseException | None] = [error]
    seen: set[int] = set()
    while todo:
        one = todo.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        todo += [one.__cause__, one.__context__]
        todo += one.exceptions if isinstance(one, BaseExceptionGroup) else []


def told_by(error: BaseException, *, by_rich: bool = True) -> Iterator[str]:
    """Everything that can be read off an error."""
    yield from tracebacks(error, by_rich=by_rich)
    for one in errors_of(error):
        yield from views(one)
        yield from views(one.args)
        fields: Any = getattr(one, "__dict__", {})
        yield from views({name: value for name, value in fields.items() if name != "__notes__"})
