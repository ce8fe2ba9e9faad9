"""OpenAI Responses from the server's side: the events of a stream, `response.created` to the final object.

Every item gets an id of ours when it begins and keeps it, since clients refuse an item whose id changes; what a vendor
seals at the end of an item (its own id included) goes into the sealed content. Which events are written when,
`block_stream.BlockStream` says.
"""

from __future__ import annotations

from typing import Any

from attrs import evolve

from llmcore.gateway.mirror import responses_encode as form
from llmcore.gateway.mirror import sse
from llmcore.gateway.mirror.base import Asked, Failure
from llmcore.gateway.mirror.block_stream import OpenCall
from llmcore.gateway.mirror.errors import fault_of
from llmcore.gateway.mirror.marks import Mark, mark_of
from llmcore.gateway.mirror.responses_items import ORIGIN
from llmcore.gateway.mirror.responses_open import ItemWriter, Kind, OpenItem
from llmcore.types import (
    NO_USAGE,
    Event,
    Finished,
    Part,
    Refusal,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCall,
)

_HEAD = (
    b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","item_id":"%b",'
    b'"output_index":%d,"content_index":%d,"logprobs":[],"sequence_number":'
)
_FAILURES = frozenset({"rate_limit_exceeded", "invalid_prompt"})
"""Codes that the error of a failed response may have; every other one is a `server_error`."""


class ResponsesEvents(ItemWriter):
    """One stream."""

    __slots__ = ("_asked", "_begun", "_created", "_head", "_open", "_status")

    def __init__(self, asked: Asked, id_: str, created: int) -> None:
        super().__init__(id_)
        self._asked = asked
        self._created = created
        self._begun = False
        self._head = b""
        self._open: OpenItem | None = None
        self._status: form.Status = "completed"

    def feed(self, event: Event, /) -> bytes:
        """Raises StreamInterruptedError where what was sent would have to be taken back."""
        if type(event) is TextDelta and self._head and event.signature is None:
            return self._grow_text(event.text) if event.text else b""
        return self._written(event)

    def keep_alive(self) -> bytes:
        return sse.KEEP_ALIVE

    def fail(self, error: Failure, /, *, request_id: str) -> bytes:
        """The wire's `error` event, then the response as failed with the items that were finished."""
        self._start()
        fault = fault_of(error)
        self._emit("error", code=fault.code, message=fault.message, param=fault.param)
        body = form.response_object(self._asked, self._id, self._created)
        form.finished(body, "failed", None, self._ended(), NO_USAGE)
        code = fault.code if fault.code in _FAILURES else "server_error"
        body["error"] = {"code": code, "message": fault.message}
        self._emit("response.failed", response=body)
        return self._taken()

    # --------------------------------------------------------------------------------------- the whole response

    def _has_begun(self) -> bool:
        return bool(self._output)

    def _start(self) -> None:
        if self._begun:
            return
        self._begun = True
        body = form.response_object(self._asked, self._id, self._created)
        self._emit("response.created", response=body)
        self._emit("response.in_progress", response=body)

    def _finish(self, end: Finished) -> None:
        status, why = form.ending(end.finish_reason)
        if status == "incomplete":
            self._status = status
        self._end_open()
        self._end_calls(whole_only=False)
        body = form.response_object(self._asked, self._id, self._created, end.model)
        output = self._ended()
        form.finished(body, status, why, output, end.usage)
        name = status if status in {"completed", "failed"} else "incomplete"
        self._emit(f"response.{name}", response=body)

    # ------------------------------------------------------------------------------------------------ its items

    def _place(self) -> int:
        """A place for a new item; what came before it ends."""
        self._end_open()
        self._end_calls(whole_only=True)
        return self._place_beside()

    def _begin_message(self, kind: Kind) -> OpenItem:
        place = self._place()
        self._open = OpenItem(place, self._name("msg", place), kind)
        item = form.message_item(self._open.id, [], status="in_progress")
        self._emit("response.output_item.added", output_index=place, item=item)
        self._begin_content(self._open)
        return self._open

    def _begin_content(self, item: OpenItem) -> None:
        self._emit("response.content_part.added", **item.where, part=item.part())
        if item.kind == "output_text":
            self._head = _HEAD % (item.id.encode(), item.place, len(item.done))

    def _end_content(self, item: OpenItem) -> None:
        self._head = b""
        if item.kind == "output_text":
            self._emit("response.output_text.done", **item.where, text=item.text, logprobs=[])
        else:
            self._emit("response.refusal.done", **item.where, refusal=item.text)
        part = item.part()
        self._emit("response.content_part.done", **item.where, part=part)
        item.done.append(part)
        item.pieces, item.notes = [], []

    def _end_open(self, mark: Mark | None = None) -> None:
        """The message or the reasoning ends."""
        item, self._open = self._open, None
        if item is None:
            return
        if item.kind == "reasoning":
            self._end_reasoning(item, mark)
            return
        self._end_content(item)
        self._end_item(item.place, form.message_item(item.id, item.done, item.phase, self._status))

    # ------------------------------------------------------------------------------------------ words, thoughts

    def _grow_text(self, text: str) -> bytes:
        assert self._open is not None
        self._open.pieces.append(text)
        number, self._sequence = self._sequence, self._sequence + 1
        return b'%b%d,"delta":%b}\n\n' % (self._head, number, sse.dumps(text))

    def _add_text(self, delta: TextDelta) -> None:
        if delta.text:
            if not self._head:
                self._begin_message("output_text")
            self._out.append(self._grow_text(delta.text))
        if delta.signature is None or delta.origin is None:
            return
        if delta.origin != ORIGIN:
            self._add_mark(Mark("text", delta.origin, delta.signature), self._place())
        elif self._head and self._open is not None:
            self._open.phase, self._head = delta.signature, b""

    def _add_thinking(self, delta: ThinkingDelta) -> None:
        mark = mark_of(Thinking("", delta.signature, delta.redacted, delta.raw, delta.origin))
        item = self._open if self._open is not None and self._open.kind == "reasoning" else None
        if delta.redacted or (item is None and not delta.text and mark is not None):
            if mark is not None:
                self._add_mark(mark, self._place())
            return
        if delta.text:
            item = item or self._begin_reasoning()
            item.pieces.append(delta.text)
            self._emit("response.reasoning_summary_text.delta", **item.where, delta=delta.text)
        if item is not None and (mark is not None or delta.raw is not None or delta.signature is not None):
            self._end_open(mark)

    def _begin_reasoning(self) -> OpenItem:
        place = self._place()
        self._open = item = OpenItem(place, self._name("rs", place), "reasoning")
        added = form.reasoning_item(item.id, "", None)
        self._emit("response.output_item.added", output_index=place, item=added)
        self._emit("response.reasoning_summary_part.added", **item.where, part=item.part())
        return item

    def _end_reasoning(self, item: OpenItem, mark: Mark | None) -> None:
        self._emit("response.reasoning_summary_text.done", **item.where, text=item.text)
        self._emit("response.reasoning_summary_part.done", **item.where, part=item.part())
        self._end_item(item.place, form.reasoning_item(item.id, item.text, mark))

    def _add_part(self, part: Part) -> None:
        notes = form.annotations_of(part)
        if isinstance(part, Refusal):
            self._add_refusal(part.text)
        elif notes is not None:
            self._annotate(notes)
        elif (item := form.other_item(part, f"{self._id}_{len(self._output)}")) is not None:
            self._whole_item(self._place(), item)

    def _add_refusal(self, text: str) -> None:
        item = self._open
        if item is None or item.kind == "reasoning" or item.phase is not None:
            item = self._begin_message("refusal")
        elif item.kind == "output_text":
            self._end_content(item)
            item.kind = "refusal"
            self._begin_content(item)
        item.pieces.append(text)
        self._emit("response.refusal.delta", **item.where, delta=text)

    def _annotate(self, notes: list[Any]) -> None:
        """Notes on the words that are being written; others have lost their place."""
        item = self._open
        if item is None or item.kind != "output_text":
            return
        for note in notes:
            index = len(item.notes)
            item.notes.append(note)
            self._emit(
                "response.output_text.annotation.added", **item.where, annotation_index=index, annotation=note
            )

    # ------------------------------------------------------------------------------------------------ its calls

    def _begin_call(self, call: ToolCall) -> int:
        place = self._place()
        item = form.call_item(self._name("fc", place), evolve(call, arguments=""), "in_progress")
        self._emit("response.output_item.added", output_index=place, item=item)
        return place

    def _grow_call(self, place: int, arguments: str) -> None:
        self._emit(
            "response.function_call_arguments.delta",
            item_id=self._name("fc", place),
            output_index=place,
            delta=arguments,
        )

    def _end_call(self, call: OpenCall, index: int, place: int) -> None:
        if not call.pieces:  # "" is no JSON to a client
            call.pieces.append("{}")
            self._grow_call(place, "{}")
        id_, whole = self._name("fc", place), call.call(index)
        self._emit(
            "response.function_call_arguments.done",
            item_id=id_,
            output_index=place,
            name=whole.name,
            arguments=whole.arguments,
        )
        self._end_item(place, form.call_item(id_, whole, self._status))
        if (mark := call.mark(index)) is not None:
            self._add_mark(mark, self._place_beside())
