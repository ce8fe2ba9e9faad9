"""Tool calls out of stream fragments, as the many imitators of the OpenAI dialect cut them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from attrs import define, field

from llmcore.types import Event, ToolCallDelta
from llmcore.wire.openai_decode import called, known_id, signature_of
from llmcore.wire.read import is_object, join_surrogates


@define
class _Call:
    """One call so far. It is held back until id, name and the first of its arguments are known."""

    index: int
    id: str | None
    name: str = ""
    pieces: list[str] | None = None
    signature: str | None = None
    shown: bool = False

    def add_name(self, name: str) -> None:
        """A name may come in pieces, or whole with every fragment."""
        if name != self.name:
            self.name += name

    def add(self, told: str) -> None:
        if self.pieces is None:
            self.pieces = []
        self.pieces.append(told)

    def is_whole(self) -> bool:
        """Whether its arguments are complete JSON already."""
        try:
            json.loads("".join(self.pieces or ()))
        except (ValueError, RecursionError):
            return False
        return True


@define
class CallAssembler:
    """Fragments in, events out; every call gets one index, its id and name with its first event.

    Fragments belong to a call by their `index`, by their id where they have none, else to the last call. A second
    name with another id, or after whole arguments, begins a new call under the same index.
    """

    origin: str
    _calls: list[_Call] = field(factory=list, init=False)
    _by_index: dict[int | str, _Call] = field(factory=dict, init=False)
    _by_id: dict[str, _Call] = field(factory=dict, init=False)

    def __bool__(self) -> bool:
        return bool(self._calls)

    @property
    def cut(self) -> bool:
        """Whether the arguments of some call are not whole; for an answer that does not say that it is."""
        return not all(is_object("".join(call.pieces or ())) for call in self._calls)

    def push(self, fragment: Mapping[str, Any], events: list[Event]) -> None:
        if not self._went_on(fragment, events):
            self._push(fragment, events)

    def _went_on(self, fragment: Mapping[str, Any], events: list[Event]) -> bool:
        """The straight path: more arguments for a call that is shown already, and nothing else."""
        index, function = fragment.get("index"), fragment.get("function")
        if type(index) is not int or type(function) is not dict or function.get("name"):
            return False
        call, told = self._by_index.get(index), function.get("arguments")
        if call is None or not call.shown or type(told) is not str or fragment.get("id"):
            return False
        if told:
            told = join_surrogates(told)
            call.add(told)
            events.append(ToolCallDelta(call.index, None, None, told))
        return True

    def _push(self, fragment: Mapping[str, Any], events: list[Event]) -> None:
        call_id = known_id(fragment.get("id"))
        name, told = called(fragment)
        call = self._find(fragment.get("index"), call_id, name)
        if call is None:
            if not (call_id or name or told):
                return
            call = self._new(fragment.get("index"), call_id, events)
        self._grow(call, call_id, name, told, fragment)
        if call.shown:
            if told:
                events.append(ToolCallDelta(call.index, arguments=told))
        elif call.id and call.name and told:
            self._show(call, events)

    def finish(self, events: list[Event]) -> None:
        """Show what is still held back, under an id of ours where none came; a call without arguments has {}."""
        self._show_held(events)
        for call in self._calls:
            if call.pieces is None:
                call.pieces = ["{}"]
                events.append(ToolCallDelta(call.index, arguments="{}"))

    def _show_held(self, events: list[Event]) -> None:
        for call in self._calls:
            if not call.shown:
                self._show(call, events)

    def _find(self, index: object, call_id: str | None, name: str | None) -> _Call | None:
        if index is None:
            if call_id is not None and (known := self._by_id.get(call_id)):
                return known
            last = self._calls[-1] if self._calls else None
            return None if last is None or (name and (call_id or last.pieces)) else last
        call = self._by_index.get(_key(index))
        if call is None or not name:
            return call
        if call_id is not None:
            return call if call.id in {None, call_id} else None
        return None if call.pieces and call.is_whole() else call

    def _new(self, index: object, call_id: str | None, events: list[Event]) -> _Call:
        self._show_held(events)
        call = _Call(len(self._calls), call_id)
        self._calls.append(call)
        if index is not None:
            self._by_index[_key(index)] = call
        return call

    def _grow(
        self,
        call: _Call,
        call_id: str | None,
        name: str | None,
        told: str | None,
        fragment: Mapping[str, Any],
    ) -> None:
        if call_id is not None:
            call.id = call.id or call_id
            self._by_id[call_id] = call
        if name and not call.shown:
            call.add_name(name)
        if told is not None:
            call.add(told)
        if "extra_content" in fragment:
            call.signature = call.signature or signature_of(fragment)

    def _show(self, call: _Call, events: list[Event]) -> None:
        call.shown = True
        events.append(
            ToolCallDelta(
                call.index,
                call.id or f"call_{call.index}",
                call.name,
                "".join(call.pieces or ()),
                call.signature,
                self.origin if call.signature else None,
            )
        )


def _key(index: object) -> int | str:
    return index if isinstance(index, int) else str(index)
