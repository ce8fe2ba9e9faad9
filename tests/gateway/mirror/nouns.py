"""What the laws of the mirrors are asked about: messages, answers and events of every kind that a wire can carry."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import msgspec
from hypothesis import strategies as st

from llmcore.provider import Fold
from llmcore.types import (
    CachePoint,
    Event,
    File,
    Finished,
    GenerationResponse,
    Image,
    JsonSchema,
    Message,
    Part,
    PartDelta,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolResult,
    Usage,
)

HOSTILE = [
    "\n\ndata: [DONE]\n\n",
    "event: message_stop\ndata: {}\n\n",
    "\r\n\r\n",
    "\u2028",
    '"}}\n\n',
    "\x00",
]
"""Texts that would end an event or a stream, were they written as they are (threat T22)."""

texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20) | st.sampled_from(HOSTILE)
spoken = texts.filter(lambda text: bool(text.strip()))
words = st.text("abcdefghij_", min_size=1, max_size=8)
urls = words.map(lambda word: f"https://example.org/{word}.png")
blobs = st.binary(min_size=1, max_size=12)
images = st.builds(Image, url=urls) | st.builds(
    Image, data=blobs, media_type=st.sampled_from(["image/png", "image/jpeg"])
)
pdfs = st.builds(
    File,
    data=blobs.map(lambda data: b"%PDF" + data),
    media_type=st.just("application/pdf"),
    filename=words.map(lambda word: f"{word}.pdf"),
)
values = st.recursive(
    texts | st.integers(-(2**53), 2**53) | st.booleans() | st.none(), st.lists, max_leaves=4
)
arguments = st.dictionaries(words, values, max_size=3).map(
    lambda value: json.dumps(value, separators=(",", ":"), ensure_ascii=False)
)
schemas = st.dictionaries(words, st.just({"type": "string"}), max_size=2).map(
    lambda members: {"type": "object", "properties": members}
)
formats = st.none() | st.builds(JsonSchema, schemas)
counts = st.integers(0, 10**6)
points = st.builds(CachePoint, st.none() | st.sampled_from(["5m", "1h"]))


@st.composite
def tools(draw: st.DrawFn, strict: st.SearchStrategy[bool | None]) -> tuple[Tool, ...]:
    names = draw(st.lists(words, max_size=3, unique=True))
    return tuple(Tool(name, draw(st.just("") | spoken), draw(schemas), draw(strict)) for name in names)


@st.composite
def calls(
    draw: st.DrawFn, ids: st.SearchStrategy[str] = words, seals: st.SearchStrategy[str] | None = None
) -> tuple[ToolCall, ...]:
    """seals: the marks that Gemini sets on its calls; None for plain ones."""
    names = draw(st.lists(ids, max_size=3, unique=True))
    if seals is None:
        return tuple(ToolCall(name, draw(words), draw(arguments)) for name in names)
    return tuple(ToolCall(name, draw(words), draw(arguments), draw(seals), "gemini") for name in names)


@st.composite
def kept(draw: st.DrawFn, messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """The same conversation with cache marks behind some of its parts; reasoning can have none."""
    found = []
    for message in messages:
        parts: list[Part] = []
        for part in message.parts:
            parts.append(part)
            if type(part) is not Thinking and draw(st.booleans()):
                parts.append(draw(points))
        found.append(Message(message.role, parts))
    return tuple(found)


@st.composite
def conversations(
    draw: st.DrawFn,
    thoughts: st.SearchStrategy[Thinking],
    inputs: st.SearchStrategy[Part],
    results: st.SearchStrategy[Any],
    *,
    joined: bool,
) -> tuple[Message, ...]:
    """User and assistant in turn, results behind calls. joined: whether text parts beside each other are one."""
    found: list[Message] = []
    for turn in range(draw(st.integers(0, 2))):
        found.append(draw(users(inputs)))
        parts: list[Part] = list(draw(st.lists(thoughts, max_size=1)))
        parts += draw(st.lists(spoken.map(Text), min_size=1, max_size=1 if joined else 2))
        asked = draw(calls(words.map(f"{{}}{turn}".format)))
        found.append(Message("assistant", (*parts, *asked)))
        if asked:
            told = tuple(ToolResult(call.id, draw(results)) for call in asked)
            found.append(Message("tool", told))
    return (*found, draw(users(inputs)))


@st.composite
def users(draw: st.DrawFn, inputs: st.SearchStrategy[Part]) -> Message:
    others = tuple(draw(st.lists(inputs, max_size=2)))
    said = Text(draw(spoken))
    return Message("user", (*others, said))


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    """Figures that a vendor could have counted: parts are no larger than their wholes."""
    cached, written, fresh = draw(counts), draw(counts), draw(counts)
    output = draw(counts)
    return Usage(fresh + cached + written, output, cached, written, draw(st.none() | st.integers(0, output)))


def cut(draw: st.DrawFn, text: str) -> list[str]:
    places = sorted(draw(st.lists(st.integers(0, len(text)), max_size=3)))
    return [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]


@st.composite
def streamed(draw: st.DrawFn, response: GenerationResponse) -> list[Event]:
    """The events of an answer whose calls come last, its texts cut anywhere, its calls mixed."""
    events: list[Event] = []
    for part in response.message.parts:
        match part:
            case Text():
                events += [TextDelta(piece) for piece in cut(draw, part.text)]
                if part.signature is not None:
                    events.append(TextDelta("", part.signature, part.origin))
            case Thinking():
                events += [ThinkingDelta(piece) for piece in cut(draw, part.text) if not part.redacted]
                seal = ThinkingDelta("", part.signature, part.redacted, part.raw, part.origin)
                events += [seal] if seal != ThinkingDelta("") else []
            case ToolCall():
                pass
            case _:
                events.append(PartDelta(part))
    events += draw(fragments(response.tool_calls))
    reason, raw = response.finish_reason, response.raw_finish_reason
    end = Finished(
        reason, raw, response.usage, response.model, id=response.id, stop_sequence=response.stop_sequence
    )
    return [*events, end]


@st.composite
def fragments(draw: st.DrawFn, asked: tuple[ToolCall, ...]) -> list[Event]:
    """Calls as they are streamed: they begin in order, and are written one after the other or side by side."""
    waiting: list[list[Event]] = []
    for index, call in enumerate(asked):
        begin = ToolCallDelta(index, call.id, call.name, "", call.signature, call.origin)
        rest = [ToolCallDelta(index, arguments=piece) for piece in cut(draw, call.arguments)]
        waiting.append([begin, *rest])
    events: list[Event] = []
    begun = 0
    while any(waiting):
        places = [place for place, queue in enumerate(waiting) if queue and place <= begun]
        place = draw(st.sampled_from(places))
        events.append(waiting[place].pop(0))
        begun = max(begun, place + 1)
    return events


def fold(events: Iterable[Event]) -> GenerationResponse:
    folding = Fold()
    for event in events:
        folding.add(event)
    return folding.response()


def body_of(data: bytes | None) -> dict[str, Any]:
    """A body as the gateway's own parser reads it."""
    value: dict[str, Any] = json.loads(data or b"")
    return value


def through_json(value: object) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))
