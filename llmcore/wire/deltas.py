"""Pieces of an answer to events: blocks of thinking are sealed with their origin, tool calls numbered, split surrogates joined."""

from __future__ import annotations

import json

import msgspec

from llmcore.types import Event, Part, PartDelta, TextDelta, ThinkingDelta, ToolCallDelta
from llmcore.wire.read import Json, SurrogateJoiner, as_str, is_object, join_surrogates


class Deltas:
    """Collects the events of one answer, streamed or whole; a decoder takes them with `take`.

    A block of thinking ends with a delta that carries `raw` (the name of the field it came in) and `origin`, so that
    the encoder of the same dialect can put it back into that field, and no other dialect does.
    """

    def __init__(self, origin: str) -> None:
        self.calls: int = 0
        self._origin = origin
        self._events: list[Event] = []
        self._joiner = SurrogateJoiner()
        self._field: str | None = None
        self._arguments: list[list[str]] = []

    @property
    def cut(self) -> bool:
        """Whether the arguments of some call are not whole; for an answer that does not say that it is."""
        return not all(is_object("".join(pieces)) for pieces in self._arguments)

    def take(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    def text(self, piece: Json) -> None:
        if not isinstance(piece, str) or not piece:
            return
        if self._field is not None:
            self.close()
        if joined := self._joiner.push(piece):
            self._events.append(TextDelta(joined))

    def thinking(self, piece: Json, field: str) -> None:
        if not isinstance(piece, str) or not piece:
            return
        if self._field != field:
            self.close()
            self._field = field
        if joined := self._joiner.push(piece):
            self._events.append(ThinkingDelta(joined))

    def close(self) -> None:
        """The block of text or thinking before this point is whole."""
        if piece := self._joiner.flush():
            self._events.append(TextDelta(piece) if self._field is None else ThinkingDelta(piece))
        if self._field is not None:
            self._events.append(ThinkingDelta("", raw=self._field, origin=self._origin))
            self._field = None

    def call(self, id_: Json, name: Json, arguments: Json) -> int:
        """A new tool call, and its index; without an id it becomes `call_<index>`."""
        self.close()
        index = self.calls
        self.calls += 1
        told = arguments_text(arguments)
        self._arguments.append([told])
        self._events.append(ToolCallDelta(index, _clean(id_) or f"call_{index}", _clean(name) or "", told))
        return index

    def arguments(self, index: int, piece: Json) -> None:
        """More of the arguments of call number `index`."""
        if piece:
            told = arguments_text(piece)
            self._arguments[index].append(told)
            self._events.append(ToolCallDelta(index, arguments=told))

    def part(self, part: Part) -> None:
        self.close()
        self._events.append(PartDelta(part))


def arguments_text(value: Json) -> str:
    """Arguments as JSON text: text as it was sent, an object in compact form, nothing as ""."""
    if isinstance(value, str):
        return join_surrogates(value)
    return "" if value is None else compact(value)


def compact(value: Json) -> str:
    """Compact JSON of a decoded value, lone surrogates and huge integers included."""
    try:
        return msgspec.json.encode(value).decode()
    except (UnicodeEncodeError, OverflowError, TypeError, ValueError):
        return json.dumps(value, separators=(",", ":"))


def _clean(value: Json) -> str | None:
    text = as_str(value)
    return None if text is None else join_surrogates(text)
