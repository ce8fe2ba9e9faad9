"""The output of the OpenAI Responses dialect to events: one mechanism for whole answers and for streams.

Law: the final form of an item brings only what its deltas did not, so a stream that lost some of them, or sent none,
ends with the same parts as the whole answer. Source: the OpenAI OpenAPI specification 2.3 (`Response`, `OutputItem`).
"""

from __future__ import annotations

import json
from typing import Any, Literal, TypeAlias

from llmcore.errors import MalformedResponseError
from llmcore.types import (
    Event,
    Opaque,
    PartDelta,
    Refusal,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
)
from llmcore.wire.openai_decode import json_text
from llmcore.wire.read import Json, SurrogateJoiner, as_dict, as_list, as_str, dumps, join_surrogates

Kind: TypeAlias = Literal["text", "refusal", "summary", "reasoning", "arguments"]

_BETWEEN_THOUGHTS = "\n\n"
_SAID = {"output_text", "text", None}


class Item:
    """One output item while it is written.

    latest: the newest form of it that the vendor showed.
    """

    def __init__(self, latest: dict[str, Any], call: int, origin: str) -> None:
        latest = _sendable(latest)
        self.latest: dict[str, Any] = latest
        self.type: str = as_str(latest.get("type")) or ""
        self.id: str | None = as_str(latest.get("id"))
        self.closed: bool = False
        self._overtaken = False
        self._call = call
        self._origin = origin
        self._opened = False
        self._sent: dict[Kind, list[str]] = {}
        self._parts: set[tuple[Kind, int]] = set()
        self._joiner = SurrogateJoiner()
        self._thoughts: Kind | None = None

    @property
    def refused(self) -> bool:
        return "refusal" in self._sent

    def overtake(self) -> None:
        """Another item begins: if this one is not done, a seal will no longer reach the words that came of it."""
        self._overtaken = bool(self._sent) and not self.closed

    def open(self, events: list[Event], *, nameless: bool = False) -> None:
        """Say id and name of a function call, once, as soon as the name is known."""
        name = as_str(self.latest.get("name"))
        if self._opened or not (name or nameless):
            return
        self._opened = True
        call_id = as_str(self.latest.get("call_id")) or as_str(self.latest.get("id")) or f"call_{self._call}"
        held = "".join(self._sent.get("arguments", ()))
        events.append(ToolCallDelta(self._call, call_id, name or "", held))

    def add(self, kind: Kind, part: int, piece: str, events: list[Event]) -> None:
        """A delta: `part` is its content or summary index."""
        if piece and not self.closed:
            self._send(kind, part, self._joiner.push(piece), events)

    def add_part(self, kind: Kind, part: int, whole: str, events: list[Event]) -> None:
        """A part that is done; it counts where not one delta of it came."""
        if (kind, part) not in self._parts:
            self.add(kind, part, whole, events)

    def close(self, final: dict[str, Any], events: list[Event]) -> None:
        """The item is done: bring what is missing, and the seal that goes back with it."""
        if self.closed:
            return
        self.latest = _sendable(final) or self.latest
        if self.type == "message":
            self._close_message(events)
        elif self.type == "reasoning":
            self._close_reasoning(events)
        elif self.type == "function_call":
            self._close_call(events)
        else:
            events.append(PartDelta(Opaque(self.latest, self._origin)))
        self.closed = True

    def _send(self, kind: Kind, part: int, piece: str, events: list[Event]) -> None:
        if kind in {"summary", "reasoning"}:
            self._thoughts = self._thoughts or kind
            if kind != self._thoughts:
                return
            if self._parts and (kind, part) not in self._parts:
                piece = _BETWEEN_THOUGHTS + piece
        self._parts.add((kind, part))
        self._emit(kind, piece, events)

    def _emit(self, kind: Kind, piece: str, events: list[Event]) -> None:
        if not piece:
            return
        self._sent.setdefault(kind, []).append(piece)
        if kind == "text":
            events.append(TextDelta(piece))
        elif kind == "refusal":
            events.append(PartDelta(Refusal(piece)))
        elif kind != "arguments":
            events.append(ThinkingDelta(piece))
        elif self._opened:
            events.append(ToolCallDelta(self._call, arguments=piece))
        else:
            self.open(events)

    def _bring(self, kind: Kind, whole: str, events: list[Event]) -> None:
        """What `whole` has beyond what was sent; where it differs from it, what was sent stands."""
        sent, whole = "".join(self._sent.get(kind, ())), join_surrogates(whole)
        if whole.startswith(sent):
            self._emit(kind, whole[len(sent) :], events)
        else:
            self._emit(kind, self._joiner.flush(), events)

    def _close_message(self, events: list[Event]) -> None:
        parts = contents(self.latest.get("content"))
        said = (part.get("text") for part in parts if as_str(part.get("type")) in _SAID)
        self._bring("text", "".join(as_str(text) or "" for text in said), events)
        self._bring("refusal", "".join(as_str(part.get("refusal")) or "" for part in parts), events)
        if (phase := as_str(self.latest.get("phase"))) and {*self._sent} == {"text"} and not self._overtaken:
            events.append(TextDelta("", phase, self._origin))
        if notes := [note for part in parts for note in as_list(part.get("annotations"))]:
            events.append(PartDelta(Opaque({"annotations": notes}, self._origin)))

    def _close_reasoning(self, events: list[Event]) -> None:
        thoughts = {
            "summary": _texts(self.latest.get("summary")),
            "reasoning": _texts(self.latest.get("content")),
        }
        kind: Kind = self._thoughts or ("reasoning" if thoughts["reasoning"] else "summary")
        self._bring(kind, _BETWEEN_THOUGHTS.join(thoughts[kind]), events)
        sealed = as_str(self.latest.get("encrypted_content"))
        shown = kind in self._sent
        withheld = sealed is not None and (self._overtaken or not shown)
        if self._overtaken and shown and sealed is None:
            return
        events.append(ThinkingDelta("", sealed, withheld, self.latest, self._origin))

    def _close_call(self, events: list[Event]) -> None:
        self.open(events, nameless=True)
        arguments = self.latest.get("arguments")
        if isinstance(arguments, (dict, list)):
            arguments = json_text(arguments)
        if not isinstance(arguments, str):
            arguments = "" if "arguments" in self._sent else "{}"
        self._bring("arguments", arguments, events)


class Output:
    """The output items of one answer, in the order in which they began."""

    def __init__(self, origin: str) -> None:
        self.items: list[Item] = []
        self._origin = origin
        self._calls = 0
        self._by_id: dict[str, Item] = {}
        self._by_index: dict[int, Item] = {}

    @property
    def has_calls(self) -> bool:
        return self._calls > 0

    @property
    def refused(self) -> bool:
        return any(item.refused for item in self.items)

    def begin(self, event: dict[str, Any], events: list[Event]) -> None:
        """`response.output_item.added`. What stands in it comes again later, so only the name is taken now."""
        latest, index = as_dict(event.get("item")), event.get("output_index")
        id_ = as_str(latest.get("id"))
        known = self._find(id_, None if id_ else index, as_str(latest.get("type")))
        if latest and (known is None or known.closed):
            self._new(latest, index, events)

    def end(self, event: dict[str, Any], events: list[Event]) -> None:
        """`response.output_item.done`."""
        final = as_dict(event.get("item"))
        item = self._find(as_str(final.get("id")), event.get("output_index"), as_str(final.get("type")))
        if final:
            (item or self._new(final, event.get("output_index"), events)).close(final, events)

    def of(self, event: dict[str, Any], type_: str, events: list[Event]) -> Item:
        """The item of that type which a delta belongs to: by its id, else its index, else the last one."""
        item = self._find(as_str(event.get("item_id")), event.get("output_index"), type_)
        if item is None and event.get("output_index") is None:
            item = next((one for one in reversed(self.items) if one.type == type_ and not one.closed), None)
        return item or self._new(
            {"type": type_, "id": event.get("item_id")}, event.get("output_index"), events
        )

    def complete(self, finals: list[Any]) -> list[Event]:
        """The final list of items: each closes the one that it is the end of, or is new. It may be empty."""
        events: list[Event] = []
        waiting = list(self.items)
        for final in filter(None, map(as_dict, finals)):
            same = [item for item in waiting if item.type == (as_str(final.get("type")) or "")]
            item = next((one for one in same if one.id and one.id == final.get("id")), None) or next(
                iter(same), None
            )
            if item is None:
                item = self._new(final, None, events)
            else:
                waiting.remove(item)
            item.close(final, events)
        for item in waiting:
            item.close({}, events)
        return events

    def _find(self, id_: str | None, index: Json, type_: str | None) -> Item | None:
        for item in (
            self._by_id.get(id_ or ""),
            self._by_index.get(index) if isinstance(index, int) else None,
        ):
            if item is not None and item.type == type_:
                return item
        return None

    def _new(self, latest: dict[str, Any], index: Json, events: list[Event]) -> Item:
        if self.items:
            self.items[-1].overtake()
        item = Item(latest, self._calls, self._origin)
        self.items.append(item)
        if item.id:
            self._by_id[item.id] = item
        if isinstance(index, int):
            self._by_index[index] = item
        if item.type == "function_call":
            self._calls += 1
            item.open(events)
        return item


def contents(value: Json) -> list[dict[str, Any]]:
    """The content parts of a message; bare text counts as one."""
    if isinstance(value, str):
        return [{"type": "output_text", "text": value}]
    return [{"text": part} if isinstance(part, str) else as_dict(part) for part in as_list(value)]


def _texts(value: Json) -> list[str]:
    return [text for part in contents(value) if (text := as_str(part.get("text")))]


def _sendable(value: dict[str, Any]) -> dict[str, Any]:
    """`value` as it came, but for lone surrogates and endless integers, which could not be sent back."""
    try:
        dumps(value)
    except RecursionError:
        raise MalformedResponseError("the JSON is nested too deeply", phase="parse") from None
    except (UnicodeEncodeError, OverflowError):
        return as_dict(json.loads(join_surrogates(json.dumps(value, ensure_ascii=False)), parse_int=_integer))
    return value


def _integer(text: str) -> int | float:
    return int(text) if len(text) < 19 else float(text)
