"""One streamed answer as `chat.completion.chunk` events, written anew from our events.

What every chunk has in common is made once for each stream, so that a piece of text costs one JSON string.
"""

from __future__ import annotations

from itertools import groupby
from operator import attrgetter
from typing import Any

from llmcore.errors import StreamInterruptedError
from llmcore.gateway.mirror.base import Asked, Failure
from llmcore.gateway.mirror.block_stream import TAKEN_BACK, OpenCall
from llmcore.gateway.mirror.errors import fault_of, openai_object
from llmcore.gateway.mirror.openai_chat_encode import (
    NOTES,
    add_fields,
    finish_word,
    is_marked,
    is_sealed,
    rare_fields,
    sealed,
    signature_of,
    usage_of,
)
from llmcore.gateway.mirror.sse import DONE, KEEP_ALIVE, data, dumps
from llmcore.types import (
    Event,
    Finished,
    Part,
    PartDelta,
    Refusal,
    Restarted,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
)

_INDEX = attrgetter("index")
_ROLE = b'{"role":"assistant","content":"","refusal":null}'
_SILENT = b'{"role":"assistant","content":null,"refusal":null}'
"""Before anything but text: its content is null until there is some, as in a whole answer."""


class ChatEventEncoder:
    """One answer. The first chunk says the role; `[DONE]` comes after the finish reason, never after an error."""

    __slots__ = (
        *("_asked", "_begun", "_calls", "_created", "_current", "_head", "_id", "_images", "_notes"),
        *("_order", "_refused", "_spoken", "_tail", "_text_head", "_text_tail", "_thought", "_visible"),
        "_waiting",
    )

    def __init__(self, asked: Asked, answer_id: str, created: int) -> None:
        self._asked = asked
        self._id = answer_id
        self._created = created
        self._begun = self._visible = self._spoken = self._refused = False
        self._thought: list[str] = []
        self._order = self._images = 0
        self._calls: dict[int, OpenCall] = {}
        self._current = -1
        self._waiting: list[ToolCallDelta] = []
        self._notes: dict[str, Any] = {}
        self._prepare(asked.request.model or "")

    def _prepare(self, model: str) -> None:
        """What stands before and behind the delta in every chunk."""
        common = dumps(
            {
                "id": self._id,
                "object": "chat.completion.chunk",
                "created": self._created,
                "model": model,
                "system_fingerprint": None,
            }
        )
        usage = b',"usage":null' if self._asked.include_usage else b""
        self._head = b'data: %b,"choices":[{"index":0,"delta":' % common[:-1]
        self._tail = b',"logprobs":null,"finish_reason":null}]%b}\n\n' % usage
        self._text_head = self._head + b'{"content":'
        self._text_tail = b"}" + self._tail

    # --------------------------------------------------------------------------------------------- the contract

    def feed(self, event: Event, /) -> bytes:
        if type(event) is TextDelta:
            if not event.text or event.signature is not None:
                return self._marked(event)
            piece = self._text_head + dumps(event.text) + self._text_tail
            if self._spoken and not self._thought:
                return piece
            self._spoken = True
            return self._first(_ROLE) + self._thought_ended() + piece
        return self._feed_other(event)

    def keep_alive(self) -> bytes:
        return KEEP_ALIVE

    def fail(self, error: Failure, /, *, request_id: str) -> bytes:
        return data({"error": openai_object(fault_of(error))})

    # ------------------------------------------------------------------------------------------------ the events

    def _feed_other(self, event: Event) -> bytes:
        match event:
            case ThinkingDelta():
                return self._think(event)
            case ToolCallDelta():
                return self._first() + self._thought_ended() + self._call(event)
            case PartDelta():
                return self._part(event.part)
            case Finished():
                return self._finish(event)
            case Restarted():
                return self._restart(event)
            case _:
                return b""

    def _first(self, role: bytes = _SILENT) -> bytes:
        """Before the first thing that is seen: the chunk that says the role."""
        self._visible = True
        return self._begin(role)

    def _begin(self, role: bytes = _SILENT) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        return self._chunk(role)

    def _chunk(self, delta: bytes) -> bytes:
        return self._head + delta + self._tail

    def _delta(self, delta: dict[str, Any]) -> bytes:
        return self._head + dumps(delta) + self._tail

    def _marked(self, event: TextDelta) -> bytes:
        """A text with its vendor's mark, which goes beside it."""
        out = self.feed(TextDelta(event.text)) if event.text else b""
        return out + self._entry(Text("", event.signature, event.origin)) if is_marked(event) else out

    def _entry(self, part: Thinking | Text) -> bytes:
        entry = sealed(part, self._order)
        self._order += 1
        return self._begin() + self._delta({"reasoning_details": [entry]})

    def _think(self, event: ThinkingDelta) -> bytes:
        """The text at once; where its vendor sealed the block, the block whole after it."""
        out = b""
        if event.text:
            self._thought.append(event.text)
            out = self._first() + self._delta({"reasoning_content": event.text})
        if event.signature is None and event.raw is None and not event.redacted and event.origin is None:
            return out
        block = Thinking("".join(self._thought), event.signature, event.redacted, event.raw, event.origin)
        self._thought = []
        if not is_sealed(block):
            return out
        return out + self._entry(block)

    def _thought_ended(self) -> bytes:
        """A block of reasoning that nobody sealed ends with what follows it."""
        self._thought = []
        return b""

    def _call(self, event: ToolCallDelta) -> bytes:
        """Clients take a call for whole where the next one begins: of calls that are written side by side all but the first
        wait for the end.
        """
        current = self._calls.get(self._current)
        if event.index != self._current and current is not None and (self._waiting or not current.is_whole):
            self._waiting.append(event)
            self._calls.setdefault(event.index, OpenCall())
            return b""
        return self._write_call(event)

    def _write_call(self, event: ToolCallDelta) -> bytes:
        self._current = event.index
        self._calls.setdefault(event.index, OpenCall()).take(event)
        if event.id is None and event.name is None and event.signature is None:
            told = dumps(event.arguments)
            return self._chunk(
                b'{"tool_calls":[{"index":%d,"function":{"arguments":%b}}]}' % (event.index, told)
            )
        call: dict[str, Any] = {"index": event.index}
        if event.id is not None:
            call |= {"id": event.id, "type": "function"}
        named = {} if event.name is None else {"name": event.name}
        call["function"] = {**named, "arguments": event.arguments}
        if event.signature is not None:
            call["extra_content"] = signature_of(event.signature, event.origin)
        return self._delta({"tool_calls": [call]})

    def _part(self, part: Part) -> bytes:
        match part:
            case Text():
                return self.feed(TextDelta(part.text, part.signature, part.origin))
            case Thinking():
                return self._think(
                    ThinkingDelta(part.text, part.signature, part.redacted, part.raw, part.origin)
                )
            case ToolCall():
                index = max(self._calls, default=-1) + 1
                call = ToolCallDelta(index, part.id, part.name, part.arguments, part.signature, part.origin)
                return self._feed_other(call)
            case Refusal():
                self._refused = True
                delta: dict[str, Any] = {"refusal": part.text}
            case _:
                delta = self._rare(rare_fields(part, self._id, self._created))
        return self._first() + self._thought_ended() + self._delta(delta) if delta else b""

    def _rare(self, delta: dict[str, Any]) -> dict[str, Any]:
        """As clients put deltas together: entries of a list by their `index`, so that notes, which have none, come once."""
        if self._spoken and "audio" in delta:  # its transcript was the text
            delta["audio"].pop("transcript", None)
        for image in delta.get("images", ()):
            image["index"] = self._images
            self._images += 1
        if not NOTES.isdisjoint(delta):
            add_fields(self._notes, delta)
            return {}
        return delta

    def _restart(self, event: Restarted) -> bytes:
        """Silent while nothing was seen. Raises StreamInterruptedError where text would have to be taken back."""
        if self._visible:
            raise StreamInterruptedError(
                TAKEN_BACK, provider=event.provider, model=event.model, phase="stream"
            )
        self._notes = {}
        if event.model is not None:
            self._prepare(event.model)
        return b""

    # --------------------------------------------------------------------------------------------------- the end

    def _finish(self, event: Finished) -> bytes:
        begun = self._begin() + self._left()
        if event.model is not None and event.model != self._asked.request.model:
            self._prepare(event.model)
        word = finish_word(event.finish_reason, refused=self._refused, called=bool(self._calls))
        tail = self._tail.replace(b'"finish_reason":null', b'"finish_reason":%b' % dumps(word), 1)
        return begun + self._head + b"{}" + tail + self._usage(event) + DONE

    def _left(self) -> bytes:
        """What waited for the end: calls, one after the other, and the notes."""
        out = self._call_ended()
        waiting, self._waiting = sorted(self._waiting, key=_INDEX), []
        for _, events in groupby(waiting, key=_INDEX):
            out += b"".join(map(self._write_call, events)) + self._call_ended()
        return out + self._delta(self._notes) if self._notes else out

    def _call_ended(self) -> bytes:
        """A call that was given no arguments has {}, as OpenAI says it: "" is no JSON."""
        call = self._calls.get(self._current)
        if call is None or call.pieces:
            return b""
        return self._write_call(ToolCallDelta(self._current, arguments="{}"))

    def _usage(self, event: Finished) -> bytes:
        """The chunk with the tokens, where they were asked for and are known."""
        usage = usage_of(event.usage) if self._asked.include_usage else None
        if usage is None:
            return b""
        before = self._head.partition(b',"choices":')[0]
        return before + b',"choices":[],"usage":%b}\n\n' % dumps(usage)
