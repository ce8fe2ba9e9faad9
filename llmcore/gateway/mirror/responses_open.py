"""A message or a reasoning item of a Responses stream while it is written."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from attrs import define, field

from llmcore.gateway.mirror import responses_encode as form

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
