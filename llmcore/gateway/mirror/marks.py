"""Marks of one vendor carried through the wire of another: what only Gemini can read comes back from an Anthropic client.

A mark (the signature of reasoning, of a text or of a tool call) is put into an opaque string that the served wire hands
back unchanged: the signature of a thinking block, or the sealed content of a reasoning item. It is no secret and not
signed: it says nothing that its sender could not say to the vendor himself. What it may hold is checked when it returns.
"""

from __future__ import annotations

import binascii
import json
from base64 import b64decode, urlsafe_b64encode
from typing import Any, Literal, TypeAlias, get_args

from attrs import evolve, frozen

from llmcore.gateway.mirror import read
from llmcore.gateway.mirror.sse import dumps
from llmcore.types import CachePoint, Part, Text, Thinking, ToolCall

PREFIX = "llmcore1."
MAX_DEPTH = 16

Of: TypeAlias = Literal["thinking", "text", "call"]

_RESERVED = frozenset(
    {"role", "content", "name", "tool_calls", "tool_call_id", "refusal", "audio", "function_call"}
)


@frozen
class Mark:
    """A mark. of: what it belongs to; that of a text or a call stands somewhere behind it. raw: see `Thinking.raw`.
    call: the id of the call that it belongs to.
    """

    of: Of
    origin: str
    signature: str | None = None
    redacted: bool = False
    raw: Any = None
    call: str | None = None

    def __str__(self) -> str:
        """The opaque string: ASCII, safe in any JSON."""
        value = [self.of, self.origin, self.signature, self.redacted, self.raw, self.call]
        return PREFIX + urlsafe_b64encode(dumps(value)).decode()

    def thinking(self, text: str) -> Thinking:
        return Thinking(text, self.signature, self.redacted, self.raw, self.origin)


def mark_of(part: Text | Thinking | ToolCall) -> Mark | None:
    """The mark of a part, or None where it bears none."""
    if part.origin is None:
        return None
    if isinstance(part, Thinking):
        return Mark("thinking", part.origin, part.signature, part.redacted, part.raw)
    if part.signature is None:
        return None
    if isinstance(part, Text):
        return Mark("text", part.origin, part.signature)
    return Mark("call", part.origin, part.signature, call=part.id)


def read_mark(text: str, param: str) -> Mark | None:
    """The mark in an opaque string; None where it is a vendor's own. Raises BadRequest where ours was damaged."""
    if not text.startswith(PREFIX):
        return None
    try:
        value = json.loads(b64decode(text[len(PREFIX) :], altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        value = None
    if not isinstance(value, list) or len(value) != 6 or not _is_sound(*value):
        read.fail(param, "is not as this gateway gave it; send it back unchanged", code="invalid_signature")
    return Mark(*value)


def put(mark: Mark, parts: list[Part], param: str) -> None:
    """Give the text right before it, or the call of its id, its mark back. A mark without a text is one of an empty text."""
    if mark.of == "text":
        spoken = [place for place, part in enumerate(parts) if type(part) is not CachePoint]
        last = parts[spoken[-1]] if spoken else None
        if isinstance(last, Text) and last.signature is None:
            parts[spoken[-1]] = Text(last.text, mark.signature, mark.origin)
        else:
            parts.append(Text("", mark.signature, mark.origin))
        return
    for place, part in enumerate(parts):
        if isinstance(part, ToolCall) and part.id == mark.call:
            parts[place] = evolve(part, signature=mark.signature, origin=mark.origin)
            return
    read.fail(param, "marks a call that is missing before it; send the message back whole")


def _is_sound(of: Any, origin: Any, signature: Any, redacted: Any, raw: Any, call: Any) -> bool:
    return (
        of in get_args(Of)
        and isinstance(origin, str)
        and isinstance(signature, str | None)
        and isinstance(redacted, bool)
        and isinstance(call, str | None)
        and _is_shallow(raw)
        and _is_harmless(raw)
    )


def _is_shallow(value: Any, left: int = MAX_DEPTH) -> bool:
    """Whether it is nested no deeper than any real item of reasoning; a deep one could not be written again."""
    if not isinstance(value, (dict, list)):
        return True
    inner = value.values() if isinstance(value, dict) else value
    return left > 0 and all(_is_shallow(item, left - 1) for item in inner)


def _is_harmless(raw: Any) -> bool:
    """A name that no field of a message has, or blocks of reasoning: nothing else is put back by this way."""
    match raw:
        case None:
            return True
        case str():
            return raw.isidentifier() and raw not in _RESERVED
        case dict():
            return any(word in str(raw.get("type")) for word in ("reasoning", "thinking"))
        case list():
            return all(isinstance(item, dict) and _is_harmless(item) for item in raw)
    return False
