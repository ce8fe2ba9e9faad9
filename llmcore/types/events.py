"""An answer while it is written."""

from __future__ import annotations

from typing import Any, TypeAlias

from attrs import field, frozen

from llmcore.types.messages import Part
from llmcore.types.responses import NO_USAGE, Attempt, FinishReason, RequestWarning, Skipped, Usage


@frozen
class TextDelta:
    """A piece of the answer's text."""

    text: str
    signature: str | None = None
    origin: str | None = None


@frozen
class ThinkingDelta:
    """A piece of the shown reasoning; a `signature` or `raw` seals the block it belongs to."""

    text: str
    signature: str | None = None
    redacted: bool = False
    raw: Any = field(default=None, repr=False)
    origin: str | None = None


@frozen
class ToolCallDelta:
    """A fragment of the tool call number `index`; `id` and `name` come once, `arguments` are concatenated."""

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""
    signature: str | None = None
    origin: str | None = None


@frozen
class PartDelta:
    """A part that comes whole: a refusal, an image, or a vendor's own block."""

    part: Part


@frozen
class Restarted:
    """Another candidate answers from the beginning: drop everything received so far."""

    provider: str
    model: str | None = None


@frozen
class Continued:
    """The stream broke and another candidate goes on from here: what was received stays, what follows joins it."""

    provider: str
    model: str | None = None


@frozen
class Finished:
    """The end of an answer; comes exactly once, last. stop_sequence: see `GenerationResponse`."""

    finish_reason: FinishReason = "unknown"
    raw_finish_reason: str | None = None
    usage: Usage = NO_USAGE
    model: str | None = None
    provider: str | None = None
    id: str | None = None
    request_id: str | None = None
    attempts: tuple[Attempt, ...] = ()
    warnings: tuple[RequestWarning, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    stop_sequence: str | None = None


Event: TypeAlias = TextDelta | ThinkingDelta | ToolCallDelta | PartDelta | Restarted | Continued | Finished


def is_visible(event: Event) -> bool:
    """Whether a reader sees something of it; the first visible delta commits a stream to its provider."""
    if isinstance(event, (TextDelta, ThinkingDelta)):
        return bool(event.text)
    return isinstance(event, (ToolCallDelta, PartDelta))
