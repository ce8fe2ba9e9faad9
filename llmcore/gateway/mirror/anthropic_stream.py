"""Anthropic Messages from the server's side: the events of a stream, `message_start` to `message_stop`.

Which events are written when, `block_stream.BlockStream` says. `message_start` must bear two numbers that nobody knows
yet: they are 0 there, and the true ones come with `message_delta` (where the input was never counted, it is left out).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llmcore.gateway.mirror.anthropic_blocks import ORIGIN
from llmcore.gateway.mirror.anthropic_encode import (
    Block,
    call_block,
    fresh_tokens,
    redacted_block,
    signature_of,
    stop_details,
    stop_reason,
    stop_sequence,
    usage_of,
)
from llmcore.gateway.mirror.base import Failure
from llmcore.gateway.mirror.block_stream import BlockStream, OpenCall
from llmcore.gateway.mirror.errors import anthropic_error
from llmcore.gateway.mirror.marks import Mark
from llmcore.gateway.mirror.sse import dumps, event
from llmcore.types import (
    NO_USAGE,
    Event,
    Finished,
    Opaque,
    Part,
    Refusal,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCall,
)

PING = b'event: ping\ndata: {"type":"ping"}\n\n'
_STOPPED = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
_DELTA = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{"type":"%b","%b":'
)
_END = b"}}\n\n"


class AnthropicEvents(BlockStream):
    """One stream. stops: the request's stop sequences."""

    __slots__ = ("_id", "_model", "_next", "_open", "_refusal", "_started", "_stops", "_text")

    def __init__(self, id_: str, model: str, stops: Sequence[str] = ()) -> None:
        super().__init__()
        self._id = id_
        self._model = model
        self._stops = stops
        self._started = False
        self._next = 0
        self._open: int | None = None
        self._text = b""
        self._refusal: list[str] = []

    def feed(self, event: Event, /) -> bytes:
        """Raises StreamInterruptedError where what was sent would have to be taken back."""
        if type(event) is TextDelta and self._text and event.signature is None:
            return self._text + dumps(event.text) + _END if event.text else b""
        return self._written(event)

    def keep_alive(self) -> bytes:
        return PING

    def fail(self, error: Failure, /, *, request_id: str) -> bytes:
        return event("error", anthropic_error(error, request_id=request_id).body)

    # ---------------------------------------------------------------------------------------- the whole message

    def _has_begun(self) -> bool:
        return bool(self._next or self._refusal)

    def _start(self) -> None:
        if self._started:
            return
        self._started = True
        message: dict[str, Any] = {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage_of(NO_USAGE),
        }
        self._emit("message_start", message=message)

    def _finish(self, end: Finished) -> None:
        self._end_shown()
        self._end_calls(whole_only=False)
        refusal = "".join(self._refusal) or None
        reason = stop_reason(
            end.finish_reason, end.raw_finish_reason, called=bool(self._calls), refused=refusal is not None
        )
        delta = {
            "stop_reason": reason,
            "stop_sequence": stop_sequence(reason, end.stop_sequence, self._stops),
            "stop_details": stop_details(reason, refusal),
        }
        usage = usage_of(end.usage)
        if fresh_tokens(end.usage) is None:
            del usage["input_tokens"]
        self._emit("message_delta", delta=delta, usage=usage)
        self._out.append(_STOPPED)

    def _emit(self, name: str, **fields: Any) -> None:
        self._out.append(event(name, {"type": name, **fields}))

    # ---------------------------------------------------------------------------------------------- its blocks

    def _open_block(self, block: Block) -> int:
        """A new block; what came before it ends."""
        self._end_shown()
        self._end_calls(whole_only=True)
        return self._open_beside(block)

    def _open_beside(self, block: Block) -> int:
        place, self._next = self._next, self._next + 1
        self._emit("content_block_start", index=place, content_block=block)
        return place

    def _grow(self, place: int, kind: bytes, key: bytes, text: str) -> None:
        self._out.append(_DELTA % (place, kind, key) + dumps(text) + _END)

    def _whole(self, block: Block) -> None:
        """A block that comes in one piece."""
        self._emit("content_block_stop", index=self._open_block(block))

    def _end_shown(self) -> None:
        """Text and thinking end where anything else begins."""
        if self._open is not None:
            self._emit("content_block_stop", index=self._open)
            self._open, self._text = None, b""

    def _add_text(self, delta: TextDelta) -> None:
        if delta.text:
            if not self._text:
                self._open = self._open_block({"type": "text", "text": ""})
                self._text = _DELTA % (self._open, b"text_delta", b"text")
            self._out.append(self._text + dumps(delta.text) + _END)
        if delta.signature is not None and delta.origin is not None:
            self._whole(redacted_block(Mark("text", delta.origin, delta.signature)))

    def _add_thinking(self, delta: ThinkingDelta) -> None:
        part = Thinking(delta.text, delta.signature, delta.redacted, delta.raw, delta.origin)
        signature = signature_of(part)
        if delta.redacted:
            if signature is not None:
                self._whole(redacted_block(signature))
            return
        if self._open is None or self._text:
            if not delta.text and signature is None:
                return
            self._open = self._open_block({"type": "thinking", "thinking": "", "signature": ""})
        if delta.text:
            self._grow(self._open, b"thinking_delta", b"thinking", delta.text)
        if signature is not None:
            self._grow(self._open, b"signature_delta", b"signature", signature)
        if signature is not None or delta.raw is not None:
            self._end_shown()

    def _add_part(self, part: Part) -> None:
        match part:
            case Refusal():
                self._refusal.append(part.text)
            case Opaque(raw=dict() as raw, origin="anthropic"):
                self._whole(raw)

    # ----------------------------------------------------------------------------------------------- its calls

    def _begin_call(self, call: ToolCall) -> int:
        return self._open_block(call_block(call))

    def _grow_call(self, place: int, arguments: str) -> None:
        self._grow(place, b"input_json_delta", b"partial_json", arguments)

    def _end_call(self, call: OpenCall, index: int, place: int) -> None:
        self._emit("content_block_stop", index=place)
        if call.origin != ORIGIN and (mark := call.mark(index)) is not None:
            self._emit("content_block_stop", index=self._open_beside(redacted_block(mark)))
