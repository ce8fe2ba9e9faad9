"""Anthropic Messages, what comes down in a stream: named events, `message_start` to `message_stop`, as ours.

Blocks are shown while they are written, but for those that only Anthropic understands, which come whole at their end.
Events, blocks and deltas of unknown types are passed over or kept raw; `ping` says nothing.
"""

from __future__ import annotations

from typing import Any

from attrs import define, evolve, field

from llmcore.errors import MalformedResponseError, StreamInterruptedError
from llmcore.types import (
    Event,
    Finished,
    GenerationRequest,
    Opaque,
    PartDelta,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    Usage,
)
from llmcore.wire.anthropic_decode import (
    arguments_of,
    caller_of,
    finish_of,
    refusal_of,
    usage_of,
    words_of,
)
from llmcore.wire.base import StreamDecoder, Wire
from llmcore.wire.framing import ServerSentEvents
from llmcore.wire.read import Json, SurrogateJoiner, as_dict, as_list, as_str, is_object, loads
from llmcore.wire.structured import AnswerEvents

_SHOWN = ("text", "thinking")
"""Blocks that end where another begins, also where nobody says so; calls may be written side by side."""

MAX_EVENT = 16 * 1024 * 1024
"""One event may hold a whole fetched document."""


@define
class _Block:
    """A block that is still being written. `call` is the number of the tool call that it is."""

    kind: str
    raw: dict[str, Any]
    call: int = 0
    signature: str | None = None
    pieces: list[str] = field(factory=list)
    joiner: SurrogateJoiner = field(factory=SurrogateJoiner)


class AnthropicDecoder(StreamDecoder):
    """Named events, `message_start` to `message_stop`; numbers of usage replace earlier ones."""

    def __init__(self, wire: Wire, request: GenerationRequest, answer: AnswerEvents | None) -> None:
        super().__init__(wire, request, ServerSentEvents(MAX_EVENT))
        self._answer = answer
        self._blocks: dict[int, _Block] = {}
        self._calls = 0
        self._tools: list[_Block] = []
        self._id: str | None = None
        self._model: str | None = None
        self._reason: str | None = None
        self._details: Json = None
        self._stop: str | None = None
        self._usage: dict[str, Any] = {}

    @property
    def usage(self) -> Usage:
        """What was read; of what was written the first message holds only a placeholder, the last one the figure."""
        usage = usage_of(self._usage or None)
        return evolve(usage, output_tokens=None) if self._reason is None else usage

    def on_message(self, name: str, data: bytes, events: list[Event]) -> None:
        if data.strip() == b"[DONE]":
            return
        value = as_dict(loads(data))
        kind = value.get("type") or name
        if kind == "error" or value.get("error"):
            raise self.wire.error_in(value)
        match kind:
            case "message_start":
                self._start(as_dict(value.get("message")), events)
            case "content_block_start":
                self.concluded: bool = False
                self._open(value.get("index"), as_dict(value.get("content_block")), events)
            case "content_block_delta":
                self._grow(value.get("index"), as_dict(value.get("delta")), events)
            case "content_block_stop":
                self._close(value.get("index"), events)
            case "message_delta":
                self._learn(as_dict(value.get("delta")), value.get("usage"))
                self.concluded = self._reason is not None
            case "message_stop":
                self._complete(events)

    def on_end(self, events: list[Event]) -> None:
        if self._reason is None:
            super().on_end(events)
        self._complete(events)

    def _emit(self, events: list[Event], event: Event) -> None:
        if self._answer is None:
            events.append(event)
        else:
            events.extend(self._answer.push(event))

    # ----------------------------------------------------------------------------------------- the message

    def _start(self, message: dict[str, Any], events: list[Event]) -> None:
        self._id = as_str(message.get("id")) or self._id
        self._model = as_str(message.get("model")) or self._model
        self._learn(message, message.get("usage"))
        for index, block in enumerate(as_list(message.get("content"))):
            self._open(index, as_dict(block), events)
            self._close(index, events)

    def _learn(self, delta: dict[str, Any], usage: Json) -> None:
        self._reason = as_str(delta.get("stop_reason")) or self._reason
        self._details = delta.get("stop_details") or self._details
        self._stop = as_str(delta.get("stop_sequence")) or self._stop
        self._usage.update({key: value for key, value in as_dict(usage).items() if value is not None})

    def _complete(self, events: list[Event]) -> None:
        if self._reason is None and not all(map(_is_whole, self._tools)):
            raise StreamInterruptedError(
                "the stream ended inside the arguments of a tool call", phase="stream"
            )
        for index in tuple(self._blocks):
            self._close(index, events)
        if refusal := refusal_of(self._reason, self._details):
            self._emit(events, PartDelta(refusal))
        self._emit(
            events,
            Finished(
                finish_of(self._reason, called=self._calls > 0),
                self._reason,
                usage_of(self._usage or None),
                self._model,
                id=self._id,
                stop_sequence=self._stop,
            ),
        )
        self.done = True

    # ------------------------------------------------------------------------------------------ its blocks

    def _open(self, index: Json, raw: dict[str, Any], events: list[Event]) -> None:
        for key in [key for key, block in self._blocks.items() if block.kind in _SHOWN or key == _key(index)]:
            self._close(key, events)
        block = self._blocks[_key(index)] = _Block(as_str(raw.get("type")) or "", raw, self._calls)
        match block.kind:
            case "text" | "thinking":
                block.signature = as_str(raw.get("signature"))
                self._write(block, words_of(raw, block.kind), events)
            case "tool_use":
                self._calls += 1
                self._tools.append(block)
                caller = caller_of(raw)
                call = ToolCallDelta(
                    block.call,
                    as_str(raw.get("id")) or f"call_{block.call}",
                    as_str(raw.get("name")) or "",
                    signature=caller,
                    origin=self.wire.dialect if caller else None,
                )
                self._emit(events, call)

    def _grow(self, index: Json, delta: dict[str, Any], events: list[Event]) -> None:
        kind = as_str(delta.get("type")) or ""
        if _key(index) not in self._blocks and kind in {"text_delta", "thinking_delta"}:
            self._open(index, {"type": kind.removesuffix("_delta")}, events)
        block = self._blocks.get(_key(index))
        if block is None:
            return
        match (block.kind, kind):
            case ("text", "text_delta") | ("thinking", "thinking_delta"):
                self._write(block, delta.get(block.kind), events)
            case ("thinking", "signature_delta"):
                block.signature = as_str(delta.get("signature")) or block.signature
            case ("tool_use", "input_json_delta"):
                self._write(block, delta.get("partial_json"), events)
            case ("text" | "thinking" | "redacted_thinking" | "tool_use", _):
                return
            case (_, "input_json_delta"):
                block.pieces.append(as_str(delta.get("partial_json")) or "")
            case _:
                _extend(block.raw, delta)

    def _close(self, index: Json, events: list[Event]) -> None:
        block = self._blocks.pop(_key(index), None)
        if block is None:
            return
        if rest := block.joiner.flush():
            self._write(block, rest, events)
        origin = self.wire.dialect
        match block.kind:
            case "text":
                return
            case "thinking" if block.signature:
                self._emit(events, ThinkingDelta("", block.signature, origin=origin))
            case "thinking":
                return
            case "redacted_thinking":
                data = as_str(block.raw.get("data"))
                self._emit(events, ThinkingDelta("", data, redacted=True, origin=origin))
            case "tool_use":
                if not block.pieces:
                    self._write(block, arguments_of(block.raw.get("input")), events)
            case _:
                self._emit(events, PartDelta(Opaque(_whole(block), origin)))

    def _write(self, block: _Block, piece: Json, events: list[Event]) -> None:
        """One more piece of a block that is shown while it is written."""
        text = block.joiner.push(piece) if isinstance(piece, str) else ""
        if not text:
            return
        if block.kind == "text":
            self._emit(events, TextDelta(text))
        elif block.kind == "thinking":
            self._emit(events, ThinkingDelta(text))
        else:
            block.pieces.append(text)
            self._emit(events, ToolCallDelta(block.call, arguments=text))


def _is_whole(tool: _Block) -> bool:
    """Whether the arguments of a call are complete: those that came in pieces, or those it began with."""
    return is_object("".join(tool.pieces)) if tool.pieces else bool(tool.raw.get("input"))


def _key(index: Json) -> int:
    return index if isinstance(index, int) else 0


def _whole(block: _Block) -> dict[str, Any]:
    """A block of the vendor's own with its input put together; what is no JSON stays text."""
    text = "".join(block.pieces)
    if not text:
        return block.raw
    try:
        return {**block.raw, "input": loads(text)}
    except MalformedResponseError:
        return {**block.raw, "input": text}


def _extend(raw: dict[str, Any], delta: dict[str, Any]) -> None:
    """Lay a delta of an unknown kind into its block: texts run on, a citation joins the others, the rest replaces."""
    for key, value in delta.items():
        old = raw.get(key)
        if key == "citation":
            raw["citations"] = [*as_list(raw.get("citations")), value]
        elif key != "type":
            raw[key] = old + value if isinstance(old, str) and isinstance(value, str) else value
