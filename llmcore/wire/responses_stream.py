"""Streams of the OpenAI Responses dialect: named events to ours. The terminator is the event with the final object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmcore.types import Event, GenerationRequest, Usage
from llmcore.wire.base import StreamDecoder
from llmcore.wire.framing import ServerSentEvents
from llmcore.wire.read import as_dict, as_list, loads
from llmcore.wire.responses_decode import Kind, Output
from llmcore.wire.responses_end import usage_of

if TYPE_CHECKING:
    from llmcore.wire.responses import ResponsesWire

_PARTS: dict[str, tuple[str, Kind, str, str]] = {
    "output_text": ("message", "text", "content_index", "text"),
    "refusal": ("message", "refusal", "content_index", "refusal"),
    "reasoning_summary_text": ("reasoning", "summary", "summary_index", "text"),
    "reasoning_text": ("reasoning", "reasoning", "content_index", "text"),
    "function_call_arguments": ("function_call", "arguments", "", "arguments"),
}
"""What comes in pieces: the type of item, the kind of piece, the field that numbers it, the field of the whole."""

MAX_EVENT = 16 * 1024 * 1024
"""The last event repeats the whole answer, with the images and search results that hosted tools gave."""

_ENDS = {f"response.{word}": word for word in ("completed", "incomplete", "failed", "cancelled")} | {
    "response.done": "completed"
}


class ResponsesDecoder(StreamDecoder):
    """One stream. Events without a meaning for us (progress of hosted tools, paddings) are passed over."""

    def __init__(self, wire: ResponsesWire, request: GenerationRequest) -> None:
        super().__init__(wire, request, ServerSentEvents(MAX_EVENT))
        self._responses = wire
        self._output = Output(wire.origin)
        self._head: dict[str, Any] = {}

    @property
    def usage(self) -> Usage:
        return usage_of(self._head.get("usage"))

    def on_message(self, name: str, data: bytes, events: list[Event]) -> None:
        if not (data := data.strip()):
            return
        if data == b"[DONE]":
            self.on_end(events)
            return
        event = as_dict(loads(data))
        type_ = event.get("type")
        if not isinstance(type_, str):
            self.wire.raise_error_in(event)
            type_ = name
        stem, _, last = type_.removeprefix("response.").rpartition(".")
        if last == "delta" and stem in _PARTS:
            self._on_delta(stem, event, events)
        elif last == "done" and stem in _PARTS:
            self._on_part_done(stem, event, events)
        else:
            self._on_other(type_, event, events)

    def _on_delta(self, stem: str, event: dict[str, Any], events: list[Event]) -> None:
        piece = event.get("delta")
        if isinstance(piece, str):
            item_type, kind, index, _ = _PARTS[stem]
            self._output.of(event, item_type, events).add(kind, _number(event.get(index)), piece, events)

    def _on_part_done(self, stem: str, event: dict[str, Any], events: list[Event]) -> None:
        item_type, kind, index, field = _PARTS[stem]
        whole = event.get(field)
        if isinstance(whole, str):
            self._output.of(event, item_type, events).add_part(kind, _number(event.get(index)), whole, events)

    def _on_other(self, type_: str, event: dict[str, Any], events: list[Event]) -> None:
        if type_ == "response.output_item.added":
            self._output.begin(event, events)
        elif type_ == "response.output_item.done":
            self._output.end(event, events)
        elif type_ == "error":
            raise self.wire.error_in(event)
        elif type_ in _ENDS:
            self._on_terminator(_ENDS[type_], as_dict(event.get("response")), events)
        elif isinstance(event.get("response"), dict):
            self._head = event["response"]

    def _on_terminator(self, status: str, response: dict[str, Any], events: list[Event]) -> None:
        final = {
            **self._head,
            "status": status,
            **{key: value for key, value in response.items() if value is not None},
        }
        if final["status"] not in _ENDS.values():
            final["status"] = status
        if final["status"] != "failed":
            events.extend(self._output.complete(as_list(response.get("output"))))
        self._head = final
        self._end(events, self._responses.finished(final, self._output))


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0
