"""What chat completions can say: requests, answers and events for the laws of that mirror."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from llmcore.types import (
    EFFORTS,
    Audio,
    Event,
    File,
    Finished,
    GenerationRequest,
    GenerationResponse,
    Image,
    JsonSchema,
    Message,
    Opaque,
    Part,
    PartDelta,
    Reasoning,
    Refusal,
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
from llmcore.wire.openai import FEATURES, OpenAIWire

WIRE = OpenAIWire(
    features=FEATURES | {"files", "file_urls", "audio", "refusal", "tool_images", "assistant_images"}
)
HOSTILE = [
    "\n\ndata: [DONE]\n\n",
    "event: error\ndata: {}\n\n",
    "\r\n\r\n",
    "\u2028",
    '"}}\n\n',
    "\x00",
    "\ufeff",
]

texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20) | st.sampled_from(HOSTILE)
words = st.text("abcdefghij_", min_size=1, max_size=8)
urls = words.map("https://example.org/{}.png".format)
blobs = st.binary(min_size=1, max_size=12)
numbers = st.integers(-(2**53), 2**53)
arguments = st.dictionaries(words, texts | numbers | st.none(), max_size=3).map(json.dumps)
schemas = st.dictionaries(words, st.just({"type": "string"}), max_size=2).map(
    lambda members: {"type": "object", "properties": members}
)
counts = st.integers(0, 10**6)
details = st.sampled_from(["auto", "low", "high", "original", None])
images = st.builds(Image, url=urls | st.just("data:image/png;base64,iVBORw0KGgo="), detail=details)
shown = st.builds(Image, url=urls | st.just("data:image/png;base64,iVBORw0KGgo="))
media_types = st.sampled_from(["application/pdf", "text/plain;charset=utf-8"])
files = (
    st.builds(File, data=blobs, media_type=media_types, filename=words)
    | st.builds(File, url=urls, filename=words)
    | st.builds(File, file_id=words)
)
sounds = st.builds(Audio, blobs, st.sampled_from(["audio/wav", "audio/mpeg"]))


def opaque_sound(value: dict[str, Any]) -> Opaque:
    return Opaque({"audio": value}, "openai")


# ------------------------------------------------------------------------------------------------------ requests


@st.composite
def calls(draw: st.DrawFn, *, signed: bool = False) -> tuple[ToolCall, ...]:
    found = []
    for name in draw(st.lists(words, max_size=3, unique=True)):
        mark = draw(st.none() | words) if signed else None
        found.append(ToolCall(name, draw(words), draw(arguments), mark, "openai" if mark else None))
    return tuple(found)


@st.composite
def thoughts(draw: st.DrawFn) -> Thinking:
    """Reasoning as it goes back: in its field, as details, or as a block of the content."""
    text = draw(texts)
    raw: Any = draw(
        st.sampled_from(
            [
                *("reasoning_content", "reasoning", "reasoning_text", "thinking"),
                [{"type": "reasoning.text", "text": text}],
                {"type": "reasoning", "summary": [{"text": text}]},
            ]
        )
    )
    return Thinking(text, raw=raw, origin="openai")


@st.composite
def answers(draw: st.DrawFn) -> tuple[Message, ...]:
    """A turn of the assistant, with the results of its calls."""
    asked = draw(calls(signed=True))
    parts: list[Part] = [*draw(st.lists(thoughts(), max_size=1))] if asked else []
    parts += draw(st.lists(texts.map(Text), max_size=1))
    parts += draw(st.lists(texts.map(Refusal), max_size=1))
    parts += draw(st.lists(words.map(lambda word: opaque_sound({"id": word})), max_size=1))
    parts += draw(st.lists(images, max_size=2))
    told = [Message("tool", (ToolResult(call.id, draw(texts | st.just("") | results)),)) for call in asked]
    return Message("assistant", (*parts, *asked), draw(st.none() | words)), *told


results = st.tuples(texts.map(Text), images | files)
mixed = st.tuples(images | files | sounds, texts.map(Text), texts.map(Text))


@st.composite
def conversations(draw: st.DrawFn) -> tuple[Message, ...]:
    names = st.none() | words
    found = [Message("system", (Text(text),), draw(names)) for text in draw(st.lists(texts, max_size=1))]
    for _ in range(draw(st.integers(0, 2))):
        found.append(Message("user", draw(texts.map(Text) | mixed), draw(names)))
        found.extend(draw(answers()))
    return (*found, Message("user", (Text(draw(texts)),)))


extras = st.fixed_dictionaries(
    {},
    optional={
        "logit_bias": st.just({"50256": -100}),
        "frequency_penalty": st.sampled_from([-2, 0.5]),
        "service_tier": st.just("flex"),
        "store": st.just(True),
        "verbosity": st.just("low"),
        "prediction": st.just({"type": "content", "content": "x"}),
        "top_k": st.integers(1, 99),
    },
)


@st.composite
def requests(draw: st.DrawFn) -> GenerationRequest:
    names = draw(st.lists(words, max_size=3, unique=True))
    strict: st.SearchStrategy[bool | None] = st.none() | st.booleans()
    tools = tuple(Tool(name, draw(st.just("") | texts), draw(schemas), draw(strict)) for name in names)
    choices = st.sampled_from([None, "auto", "none", "required", *names])
    messages = draw(conversations())
    answer: Any = draw(
        st.none() | st.just("json") | st.builds(JsonSchema, schemas, words, st.none() | texts, st.booleans())
    )
    if answer == "json":
        messages = (*messages, Message.user("json"))
    return GenerationRequest(
        messages,
        draw(st.none() | words),
        tools,
        draw(choices) if tools else None,
        draw(strict) if tools else None,
        draw(st.none() | st.floats(0, 2)),
        draw(st.none() | st.floats(0, 1)),
        draw(st.none() | st.integers(1, 10**6)),
        tuple(draw(st.lists(texts, max_size=4))),
        draw(st.none() | numbers),
        answer,
        draw(st.none() | st.builds(Reasoning, st.sampled_from(EFFORTS))),
        extra=draw(extras),
    )


# ------------------------------------------------------------------------------------------- answers and events

plain = texts.map(lambda text: Thinking(text, raw="reasoning_content", origin="openai"))
notes = st.sampled_from(
    [
        Opaque(
            {"annotations": [{"type": "url_citation", "url_citation": {"url": "https://example.org"}}]},
            "openai",
        ),
        Opaque({"citations": ["https://example.org/1"]}, "openai"),
    ]
)
spoken = words.map(lambda word: opaque_sound({"id": word, "data": "AAAA"}))


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    """Figures that a vendor could have counted: a part is no larger than its whole."""
    read, written = draw(st.none() | counts), draw(st.none() | counts)
    inside = st.none() | st.integers(0, read or 0)
    return Usage(read, written, draw(inside), draw(inside), draw(st.none() | st.integers(0, written or 0)))


@st.composite
def endings(draw: st.DrawFn, *, called: bool, refused: bool) -> tuple[Any, str]:
    """Our finish reason and the dialect's own word for it, as an answer with such parts may end."""
    cut = st.sampled_from([("length", "length"), ("content_filter", "content_filter")])
    if refused:
        return draw(cut | st.just(("refusal", "stop")))
    return draw(cut | st.just(("tool_calls", "tool_calls") if called else ("stop", "stop")))


@st.composite
def responses(draw: st.DrawFn) -> GenerationResponse:
    parts: list[Part] = [*draw(st.lists(plain, max_size=1)), *draw(st.lists(texts.map(Text), max_size=1))]
    refusals = draw(st.lists(texts.map(Refusal), max_size=1))
    asked = draw(calls(signed=True))
    parts += [*refusals, *draw(st.lists(spoken, max_size=1)), *draw(st.lists(shown, max_size=2)), *asked]
    parts += draw(st.lists(notes, max_size=1))
    finish, raw = draw(endings(called=bool(asked), refused=bool(refusals)))
    return GenerationResponse(
        Message("assistant", tuple(parts)), finish, raw, draw(usages()), draw(words), id=draw(words)
    )


@st.composite
def streams(draw: st.DrawFn) -> list[Event]:
    """The events of one answer as the dialect's own decoder gives them: two blocks of reasoning have something between."""
    events: list[Event] = []
    refused, last = False, ""
    for _ in range(draw(st.integers(0, 4))):
        last = draw(st.sampled_from([kind for kind in ("think", "say", "refuse", "show") if kind != last]))
        match last:
            case "think":
                events += map(ThinkingDelta, draw(st.lists(texts, min_size=1, max_size=3)))
                events.append(ThinkingDelta("", raw="reasoning_content", origin="openai"))
            case "say":
                events += map(TextDelta, draw(st.lists(texts, min_size=1, max_size=3)))
            case "refuse":
                refused = True
                events.append(PartDelta(Refusal(draw(texts))))
            case _:
                events.append(PartDelta(draw(shown)))
    asked = draw(calls(signed=True))
    for index, call in enumerate(asked):
        begin = ToolCallDelta(index, call.id, call.name, "{", call.signature, call.origin)
        events += [
            begin,
            *(ToolCallDelta(index, arguments=piece) for piece in draw(st.lists(texts, max_size=3))),
        ]
    events += map(PartDelta, [*draw(st.lists(spoken, max_size=1)), *draw(st.lists(notes, max_size=1))])
    finish, raw = draw(endings(called=bool(asked), refused=refused))
    return [*events, Finished(finish, raw, draw(usages()), draw(words), id=draw(words))]


marks = st.none() | words
origins = st.sampled_from(["anthropic", "gemini", "openrouter", "deepseek", "openai_responses"])
sealed = (
    st.builds(Thinking, texts, words, origin=origins)
    | st.builds(Thinking, signature=words, redacted=st.just(True), origin=origins)
    | st.builds(Thinking, texts, raw=st.just("reasoning_content"), origin=origins)
    | st.builds(Thinking, texts, raw=st.just({"type": "reasoning", "encrypted_content": "x"}), origin=origins)
)


@st.composite
def foreign(draw: st.DrawFn) -> Message:
    """An answer of another vendor, with what only that one can read."""
    origin = draw(origins)
    marked = st.builds(Text, texts, words, st.just(origin))
    parts: list[Part] = [
        *draw(st.lists(sealed, max_size=3)),
        *draw(st.lists(texts.map(Text) | marked, max_size=1)),
    ]
    asked = (
        ToolCall(f"c{n}", name, "{}", draw(marks)) for n, name in enumerate(draw(st.lists(words, max_size=2)))
    )
    parts += [
        ToolCall(c.id, c.name, c.arguments, c.signature, origin if c.signature else None) for c in asked
    ]
    return Message("assistant", tuple(parts))
