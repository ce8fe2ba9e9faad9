"""Items of a Responses stream while they are written, and the writer of its numbered events."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from attrs import define, field

from llmcore.gateway.mirror import responses_encode as form
from llmcore.gateway.mirror import sse
from llmcore.gateway.mirror.block_stream import BlockStream
from llmcore.gateway.mirror.marks import Mark

Kind: TypeAlias = Literal["output_text", "refusal", "reasoning"]


@define
class OpenItem:
    """A message or a reasoning item that is being written. done: its finished content parts; phase: OpenAI's mark."""

    place: int
    id: str
    kind: Kind
    pieces: list[str] = field(factory=list)
    done: list[dict[str, Any]] = field(factory=list)
    notes: list[Any] = field(factory=list)
    phase: str | None = None

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def where(self) -> dict[str, Any]:
        """How events name the part that is being written."""
        index = "summary_index" if self.kind == "reasoning" else "content_index"
        return {"item_id": self.id, "output_index": self.place, index: len(self.done)}

    def part(self) -> dict[str, Any]:
        """The part that is being written, as it stands."""
        if self.kind == "reasoning":
            return form.summary_part(self.text)
        if self.kind == "refusal":
            return form.refusal_part(self.text)
        return {**form.text_part(self.text), "annotations": self.notes}


class ItemWriter(BlockStream):
    """Events with their numbers, and the places of items in the output."""

    __slots__ = ("_id", "_output", "_sequence")

    def __init__(self, id_: str) -> None:
        super().__init__()
        self._id = id_
        self._sequence = 0
        self._output: list[dict[str, Any] | None] = []

    def _emit(self, event: str, /, **fields: Any) -> None:
        number, self._sequence = self._sequence, self._sequence + 1
        self._out.append(sse.event(event, {"type": event, "sequence_number": number, **fields}))

    def _ended(self) -> list[dict[str, Any]]:
        """The items that are finished, in the order in which they began."""
        return [item for item in self._output if item is not None]

    def _place_beside(self) -> int:
        self._output.append(None)
        return len(self._output) - 1

    def _name(self, kind: str, place: int) -> str:
        return f"{kind}_{self._id.removeprefix('resp_')}_{place}"

    def _end_item(self, place: int, item: dict[str, Any]) -> None:
        self._output[place] = item
        self._emit("response.output_item.done", output_index=place, item=item)

    def _whole_item(self, place: int, item: dict[str, Any]) -> None:
        """An item that comes in one piece."""
        self._emit("response.output_item.added", output_index=place, item=item)
        self._end_item(place, item)

    def _add_mark(self, mark: Mark, place: int) -> None:
        """Another vendor's mark, as an item of its own."""
        self._whole_item(place, form.mark_item(self._name("rs", place), mark))
