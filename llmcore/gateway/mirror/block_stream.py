"""Streams of blocks, each with a beginning and an end, as the wires of Anthropic and of Responses have them.

A block ends where another begins. A tool call alone may stay open beside others until its arguments are whole, since
some vendors write calls side by side.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from attrs import define, field

from llmcore.errors import StreamInterruptedError
from llmcore.gateway.mirror.marks import Mark
from llmcore.types import (
    Event,
    Finished,
    Part,
    PartDelta,
    Restarted,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
)

TAKEN_BACK = (
    "Another provider began the answer anew, and this wire has no way to take back what was sent. Ask again, or have "
    'mid_stream set to "splice" or "continue".'
)


@define
class OpenCall:
    """One call. place: the number of its block or item, None before it has begun; ended: whether it has been closed."""

    id: str | None = None
    name: str | None = None
    place: int | None = None
    ended: bool = False
    signature: str | None = None
    origin: str | None = None
    pieces: list[str] = field(factory=list)

    def take(self, delta: ToolCallDelta) -> None:
        """Remember a fragment; of id, name and mark the first one counts."""
        self.id = self.id or delta.id
        self.name = self.name or delta.name
        if self.signature is None and delta.signature is not None:
            self.signature, self.origin = delta.signature, delta.origin
        if delta.arguments:
            self.pieces.append(delta.arguments)

    @property
    def arguments(self) -> str:
        return "".join(self.pieces)

    @property
    def is_whole(self) -> bool:
        """Whether the arguments are one object, to which nothing can be added: then the call may be closed."""
        return bool(self.pieces) and self.name is not None and self.call(0).parse_error is None

    def call(self, index: int) -> ToolCall:
        return ToolCall(
            self.id or f"call_{index}", self.name or "", self.arguments, self.signature, self.origin
        )

    def mark(self, index: int) -> Mark | None:
        """The mark that another vendor set on it."""
        if self.signature is None or self.origin is None:
            return None
        return Mark("call", self.origin, self.signature, call=self.id or f"call_{index}")


class BlockStream(ABC):
    """What is common to the streams of blocks: which event goes where, and when a call begins, grows and ends.

    Its heirs say how: each method writes its events to `_out`.
    """

    __slots__ = ("_calls", "_out")

    def __init__(self) -> None:
        self._calls: dict[int, OpenCall] = {}
        self._out: list[bytes] = []

    def _written(self, event: Event) -> bytes:
        """The bytes for one event. Raises StreamInterruptedError where what was sent would have to be taken back."""
        if isinstance(event, Restarted):
            if self._has_begun():
                raise StreamInterruptedError(TAKEN_BACK, provider=event.provider, phase="stream")
        else:
            self._start()
            self._add(event)
        return self._taken()

    def _taken(self) -> bytes:
        out, self._out = b"".join(self._out), []
        return out

    def _add(self, event: Event) -> None:
        match event:
            case TextDelta():
                self._add_text(event)
            case ThinkingDelta():
                self._add_thinking(event)
            case ToolCallDelta():
                self._add_call(event)
            case PartDelta():
                self._add_whole(event.part)
            case Finished():
                self._finish(event)

    def _add_whole(self, part: Part) -> None:
        """What other providers give in pieces is said as one piece."""
        match part:
            case Text():
                self._add_text(TextDelta(part.text, part.signature, part.origin))
            case Thinking():
                self._add_thinking(
                    ThinkingDelta(part.text, part.signature, part.redacted, part.raw, part.origin)
                )
            case ToolCall():
                index = max(self._calls, default=-1) + 1
                self._add_call(
                    ToolCallDelta(index, part.id, part.name, part.arguments, part.signature, part.origin)
                )
            case _:
                self._add_part(part)

    def _add_call(self, delta: ToolCallDelta) -> None:
        call = self._calls.setdefault(delta.index, OpenCall())
        place = call.place
        call.take(delta)
        if call.ended or call.name is None:
            return
        if place is None:
            self._begin(call, delta.index)
        elif delta.arguments:
            self._grow_call(place, delta.arguments)

    def _begin(self, call: OpenCall, index: int) -> int:
        call.place = place = self._begin_call(call.call(index))
        if call.pieces:
            self._grow_call(place, call.arguments)
        return place

    def _end_calls(self, *, whole_only: bool) -> None:
        """End the calls that are open. whole_only: but those to which something may still be added."""
        for index, call in self._calls.items():
            if call.ended or (whole_only and not (call.place is not None and call.is_whole)):
                continue
            call.ended = True
            self._end_call(call, index, self._begin(call, index) if call.place is None else call.place)

    @abstractmethod
    def _has_begun(self) -> bool:
        """Whether a client has seen a piece of the answer."""

    @abstractmethod
    def _start(self) -> None:
        """The events before the first block, once."""

    @abstractmethod
    def _add_text(self, delta: TextDelta) -> None: ...

    @abstractmethod
    def _add_thinking(self, delta: ThinkingDelta) -> None: ...

    @abstractmethod
    def _add_part(self, part: Part) -> None: ...

    @abstractmethod
    def _begin_call(self, call: ToolCall) -> int:
        """A block for the call, without its arguments. Returns its place."""

    @abstractmethod
    def _grow_call(self, place: int, arguments: str) -> None: ...

    @abstractmethod
    def _end_call(self, call: OpenCall, index: int, place: int) -> None: ...

    @abstractmethod
    def _finish(self, end: Finished) -> None: ...
