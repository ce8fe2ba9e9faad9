"""The caller: asks as a user would, obeys Restarted and Continued, and notes what it got."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import anyio
from attrs import define, field

from llmcore.chaos.nouns import Ended, Seen, Traffic, Way
from llmcore.errors import AllProvidersFailed, ProviderError
from llmcore.provider import LlmProvider
from llmcore.types import (
    Attempt,
    Continued,
    Event,
    Finished,
    GenerationRequest,
    GenerationResponse,
    Restarted,
    TextDelta,
    Tool,
    ToolCallDelta,
    Usage,
    is_visible,
)

WEATHER = Tool(
    "weather",
    "The weather of a city",
    {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city"],
    },
)


@define
class Notes:
    """What a reader has at hand while an answer comes."""

    began: float
    text: str = ""
    arguments: str | None = None
    first_s: float | None = None
    pieces: int = 0
    restarts: int = 0
    continued: int = 0
    finished: Finished | None = None
    response: GenerationResponse | None = None
    error: ProviderError | None = None
    crash: BaseException | None = None
    strange: list[str] = field(factory=list)

    def hear(self, event: Event, now: float) -> None:
        """One event, obeyed."""
        if self.finished is not None:
            self.strange.append("something came after the end")
        if is_visible(event):
            self.pieces += 1
            self.first_s = now - self.began if self.first_s is None else self.first_s
        if isinstance(event, TextDelta):
            self.text += event.text
        elif isinstance(event, ToolCallDelta):
            self.arguments = (self.arguments or "") + event.arguments
        elif isinstance(event, Restarted):
            self.text, self.arguments = "", None
            self.restarts += 1
        elif isinstance(event, Continued):
            self.continued += 1
        elif isinstance(event, Finished):
            self.finished = event

    def whole(self, response: GenerationResponse) -> None:
        """An answer in one piece."""
        self.response = response
        self.text = response.text
        self.arguments = response.tool_calls[0].arguments if response.tool_calls else None


def request_of(traffic: Traffic, factor: float) -> GenerationRequest:
    """What a caller asks for."""
    return GenerationRequest(
        traffic.prompt,
        tools=(WEATHER,) if traffic.tool else (),
        deadline=None if traffic.deadline_s is None else traffic.deadline_s * factor,
    )


async def ask(
    manager: LlmProvider,
    traffic: Traffic,
    way: Way,
    *,
    factor: float,
    hang_s: float,
    key: str,
    began_s: float = 0.0,
) -> Seen:
    """One call from its begin to its end, and what became of it; `hang_s` in real seconds."""
    loop = asyncio.get_running_loop()
    notes = Notes(loop.time())
    ended: Ended = "hung"
    limit = hang_s if traffic.cancel_s is None else traffic.cancel_s * factor
    with anyio.move_on_after(limit) as scope:
        ended = await _asked(manager, request_of(traffic, factor), traffic, way, notes)
    if scope.cancelled_caught:
        ended = "hung" if traffic.cancel_s is None else "cancelled"
    return seen(notes, ended, loop.time() - notes.began, began_s=began_s, key=key)


async def _asked(
    manager: LlmProvider, request: GenerationRequest, traffic: Traffic, way: Way, notes: Notes
) -> Ended:
    try:
        if way == "generate":
            notes.whole(await manager.generate(request))
            return "answered"
        return await _read(manager, request, traffic, notes)
    except ProviderError as error:
        notes.error = error
        return "error"
    except Exception as error:  # noqa: BLE001 - whatever else comes out is a finding, and shall be told
        notes.crash = error
        return "crashed"


async def _read(manager: LlmProvider, request: GenerationRequest, traffic: Traffic, notes: Notes) -> Ended:
    loop = asyncio.get_running_loop()
    async with manager.stream(request) as events:
        async for event in events:
            notes.hear(event, loop.time())
            if traffic.leave_after is not None and notes.pieces >= traffic.leave_after:
                return "left"
    if notes.finished is None:
        notes.strange.append("the stream ended without Finished")
    return "answered"


# ------------------------------------------------------------------------------------------ notes to facts


def seen(notes: Notes, ended: Ended, seconds: float, *, began_s: float, key: str) -> Seen:
    """The notes as facts; the error's classes and words instead of the error."""
    last = notes.finished or notes.response
    return Seen(
        ended=ended,
        seconds=seconds,
        began_s=began_s,
        text=notes.text,
        arguments=notes.arguments,
        first_s=notes.first_s,
        finish_reason=None if last is None else last.finish_reason,
        error=None if notes.error is None else type(notes.error).__name__,
        chain=() if notes.error is None else tuple(type(error).__name__ for error in leaves(notes.error)),
        detail=_words(notes),
        provider=None if last is None else last.provider,
        model=None if last is None else last.model,
        usage=_usage(last),
        attempts=_attempts(notes),
        restarts=notes.restarts,
        continued=notes.continued,
        warnings=() if last is None else tuple(str(warning) for warning in last.warnings),
        strange=tuple(notes.strange),
        leaked_key=shows(key, notes),
    )


def _usage(last: Finished | GenerationResponse | None) -> Usage:
    return Usage() if last is None else last.usage


def _attempts(notes: Notes) -> tuple[Attempt, ...]:
    last = notes.finished or notes.response or notes.error
    return () if last is None else last.attempts


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The single errors of a group, else the error and what caused it."""
    if isinstance(error, AllProvidersFailed):
        yield from error.leaves()
        return
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__


def _words(notes: Notes) -> str:
    error = notes.error or notes.crash
    if error is None:
        return ""
    if isinstance(error, AllProvidersFailed):
        return f"{error.message}; {type(error.primary).__name__}: {error.primary.message}"
    words = error.message if isinstance(error, ProviderError) else str(error)
    return f"{type(error).__name__}: {words}"


def shows(key: str, notes: Notes) -> bool:
    """Whether the caller's key can be read in anything that the caller was given."""
    if not key:
        return False
    texts = [notes.text, repr(notes.finished), repr(notes.response)]
    for error in (notes.error, notes.crash):
        if error is not None:
            texts += [f"{leaf} {leaf!r} {getattr(leaf, 'sample', '')}" for leaf in (error, *leaves(error))]
    return any(key in text for text in texts)
