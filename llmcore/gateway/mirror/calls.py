"""A tool call of a stream that is being written, for wires in which a call is a block with a beginning and an end."""

from __future__ import annotations

from attrs import define, field

from llmcore.gateway.mirror.marks import Mark
from llmcore.types import ToolCall, ToolCallDelta

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
