"""Streams in the OpenAI dialect: `chat.completion.chunk` objects to events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from llmcore.errors import MalformedResponseError, StreamInterruptedError
from llmcore.types import (
    Event,
    Finished,
    GenerationRequest,
    Opaque,
    PartDelta,
    Refusal,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    Usage,
)
from llmcore.wire.base import StreamDecoder
from llmcore.wire.framing import ServerSentEvents
from llmcore.wire.openai_calls import CallAssembler
from llmcore.wire.openai_decode import (
    NOTES,
    block_part,
    failed,
    finish_of,
    image_of,
    our_finish,
    reasoning_text,
)
from llmcore.wire.openai_pieces import Details, joined_sound
from llmcore.wire.read import Json, SurrogateJoiner, as_dict, as_list, as_str, join_surrogates, loads
from llmcore.wire.structured import AnswerEvents

if TYPE_CHECKING:
    from llmcore.wire.openai import OpenAIWire

MAX_EVENT = 16 * 1024 * 1024
"""One event may hold a whole picture."""

MAX_UNFIT = 5
"""After so many chunks that did not fit `_Plain`, the vendor's have another form, and it is tried no more."""

_COMMON = frozenset(
    {"role", "content", "reasoning", "reasoning_content", "reasoning_text", "reasoning_details", "tool_calls"}
)
_PLAIN_KEYS = frozenset(
    {"id", "object", "created", "model", "choices", "usage", "system_fingerprint", "service_tier", "provider"}
)


class _Delta(msgspec.Struct, forbid_unknown_fields=True):
    """Text, and beside it only fields that say nothing."""

    content: str
    role: Any = None
    name: Any = None
    refusal: None = None
    tool_calls: None = None
    function_call: None = None
    audio: None = None
    images: None = None
    annotations: None = None
    reasoning: Literal[""] | None = None
    reasoning_content: Literal[""] | None = None
    reasoning_text: Literal[""] | None = None
    reasoning_details: None = None


class _Choice(msgspec.Struct):
    delta: _Delta
    index: Literal[0] | None = None
    finish_reason: Literal[""] | None = None
    finish_details: None = None
    usage: None = None


class _Plain(msgspec.Struct):
    """A chunk that holds a piece of text and nothing else, as nearly every chunk does."""

    choices: tuple[_Choice]
    usage: None = None
    error: None = None
    annotations: None = None
    citations: None = None
    search_results: None = None
    x_groq: None = None


_decode = msgspec.json.Decoder().decode
_decode_plain = msgspec.json.Decoder(_Plain).decode


class OpenAIStreamDecoder(StreamDecoder):
    """One streamed answer. Only choice 0 is read; `message` beside a `delta` (Perplexity, Writer) is passed over."""

    def __init__(self, wire: OpenAIWire, request: GenerationRequest, answer: AnswerEvents | None) -> None:
        super().__init__(wire, request, ServerSentEvents(MAX_EVENT))
        self._wire = wire
        self._answer = answer
        self._id: str | None = None
        self._model: str | None = None
        self._usage: Json = None
        self._raw_finish: str | None = None
        self._begun = False
        self._plain = False
        self._unfit = 0
        self._refused = False
        self._thought = False
        self._field: str | None = None
        self._details = Details()
        self._calls = CallAssembler(wire.origin)
        self._notes: dict[str, Any] = {}
        self._sound: dict[str, Any] = {}
        self._odd_text: SurrogateJoiner | None = None
        self._odd_thought = SurrogateJoiner()

    @property
    def usage(self) -> Usage:
        return self._wire.usage(self._usage)

    def feed(self, chunk: bytes) -> list[Event]:
        return self._shown(super().feed(chunk))

    def finish(self) -> list[Event]:
        return self._shown(super().finish())

    def _shown(self, events: list[Event]) -> list[Event]:
        """The events with the answer tool's arguments as text, where the answer was asked for by a tool."""
        if self._answer is None:
            return events
        return [shown for event in events for shown in self._answer.push(event)]

    # ------------------------------------------------------------------------------------------ messages

    def on_message(self, name: str, data: bytes, events: list[Event]) -> None:
        if self._plain and name != "error":
            try:
                text = _decode_plain(data).choices[0].delta.content
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                text = ""
                self._unfit += 1
            if text:
                events.append(TextDelta(text))
                return
        try:
            chunk = _decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            if (stripped := data.strip()) in (b"", b"[DONE]"):
                if stripped:
                    self._close(events)
                return
            chunk = loads(data)
            self._odd_text = self._odd_text or SurrogateJoiner()
            self._plain = False
        self._take(name, chunk, events)

    def on_end(self, events: list[Event]) -> None:
        """Without `[DONE]` the answer is whole only where its finish reason was seen."""
        if self._raw_finish is None:
            super().on_end(events)
        self._close(events)

    def _take(self, name: str, chunk: Json, events: list[Event]) -> None:
        if isinstance(chunk, list) and chunk:
            chunk = chunk[0]
        if not isinstance(chunk, dict):
            return
        if name == "error":
            raise self._wire.error_in(chunk)
        if "error" in chunk:
            self._wire.raise_error_in(chunk)
        if self._id is None or self._model is None:
            self._id = self._id or as_str(chunk.get("id"))
            self._model = self._model or as_str(chunk.get("model"))
        if chunk.get("usage") or not _PLAIN_KEYS.issuperset(chunk):
            self._take_beside(chunk)
        before = len(events)
        for choice in as_list(chunk.get("choices")):
            if isinstance(choice, dict) and choice.get("index") in (0, None):
                self._take_choice(choice, events)
        if self._raw_finish is not None:
            self._conclude(said=len(events) > before, counted=bool(chunk.get("usage")))

    def _conclude(self, *, said: bool, counted: bool) -> None:
        """A finish reason is the end where nothing was said with it, or usage came: some repeat it with every piece."""
        self._plain = False
        self.concluded: bool = counted or not said

    def _take_beside(self, chunk: dict[str, Any]) -> None:
        """What stands beside the choices: usage, notes, and Groq's word that it stopped early."""
        self._note_usage(self._wire.usage_in(chunk))
        if cut := as_dict(chunk.get("x_groq")).get("error"):
            raise StreamInterruptedError(f"the provider cut the answer: {cut}", phase="stream")
        for note in NOTES:
            if found := chunk.get(note):
                self._notes[note] = found

    def _note_usage(self, usage: Json) -> None:
        """The last one that says something holds; some send an object full of nulls first."""
        if isinstance(usage, dict) and any(value is not None for value in usage.values()):
            self._usage = usage

    def _take_choice(self, choice: dict[str, Any], events: list[Event]) -> None:
        self._begun = True
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            delta = as_dict(choice.get("message"))
        if delta:
            self._take_delta(delta, events)
        if "usage" in choice:
            self._note_usage(choice["usage"])
        if choice.get("finish_reason") is None and "finish_details" not in choice:
            return
        if raw := finish_of(choice):
            self._raw_finish = raw
            if failure := self._wire.failures.get(raw):
                raise failed(failure, raw)

    # --------------------------------------------------------------------------------------------- deltas

    def _take_delta(self, delta: dict[str, Any], events: list[Event]) -> None:
        field, thought = reasoning_text(delta)
        if found := delta.get("reasoning_details"):
            thought = self._details.add(found, thought) if isinstance(found, list) else thought
        if thought:
            self._think(thought, field, events)
        content = delta.get("content")
        if isinstance(content, str):
            if content:
                self._say(content, events)
        elif content is not None:
            self._take_content(content, events)
        if calls := delta.get("tool_calls"):
            self._seal(events)
            for call in as_list(calls):
                if isinstance(call, dict):
                    self._calls.push(call, events)
        if not _COMMON.issuperset(delta):
            self._take_rare(delta, events)

    def _think(self, text: str, field: str | None, events: list[Event]) -> None:
        self._plain = False
        self._thought = True
        self._field = field or self._field
        if self._odd_text is not None:
            text = self._odd_thought.push(text)
        if text:
            events.append(ThinkingDelta(text))

    def _say(self, text: str, events: list[Event]) -> None:
        self._seal(events)
        if self._odd_text is None:
            self._plain = self._unfit < MAX_UNFIT
        else:
            text = self._odd_text.push(text)
        if text:
            events.append(TextDelta(text))

    def _seal(self, events: list[Event]) -> None:
        """End a block of reasoning, with what marks it as this vendor's own."""
        if self._field is None and not self._details:
            return
        raw = self._details.taken() or self._field
        events.append(
            ThinkingDelta(
                self._odd_thought.flush(), redacted=not self._thought, raw=raw, origin=self._wire.origin
            )
        )
        self._field = None

    def _take_content(self, content: Json, events: list[Event]) -> None:
        """Content as a list of blocks (Mistral, Databricks)."""
        for block in content if isinstance(content, list) else [content]:
            part = block_part(self._wire, block)
            if type(part) is Text:
                self._say(part.text, events)
            elif type(part) is Thinking and isinstance(part.raw, str):
                self._think(part.text, part.raw, events)
            elif type(part) is Thinking:
                events.append(ThinkingDelta(part.text, raw=part.raw, origin=part.origin))
            elif type(part) is Refusal:
                self._refuse(part.text, events)
            elif part is not None:
                self._seal(events)
                events.append(PartDelta(part))

    def _take_rare(self, delta: dict[str, Any], events: list[Event]) -> None:
        if refusal := as_str(delta.get("refusal")):
            self._refuse(refusal, events)
        for item in as_list(delta.get("images")):
            if (image := image_of(item)) is not None:
                self._seal(events)
                events.append(PartDelta(image))
        legacy = (
            {} if delta.get("tool_calls") else as_dict(delta.get("function_call"))
        )  # some servers send both
        if legacy.get("name") or (legacy.get("arguments") and self._calls):
            self._seal(events)
            self._calls.push({"index": "function_call", "id": "call_0", "function": legacy}, events)
        if sound := as_dict(delta.get("audio")):
            self._hear(sound, events)
        for note in NOTES:
            if found := as_list(delta.get(note)):
                self._notes[note] = [*as_list(self._notes.get(note)), *found]

    def _refuse(self, text: str, events: list[Event]) -> None:
        self._seal(events)
        self._refused = True
        self._plain = False
        events.append(PartDelta(Refusal(join_surrogates(text))))

    def _hear(self, sound: Mapping[str, Any], events: list[Event]) -> None:
        """A spoken answer: its transcript is the text, its pieces of sound are joined at the end."""
        if said := as_str(sound.get("transcript")):
            self._say(said, events)
        for key, value in sound.items():
            if key in ("data", "transcript"):
                self._sound.setdefault(key, []).append(as_str(value) or "")
            elif value:
                self._sound[key] = value

    # ---------------------------------------------------------------------------------------------- the end

    def _close(self, events: list[Event]) -> None:
        if not self._begun:
            raise MalformedResponseError("the stream held no answer", phase="stream")
        if self._raw_finish is None and self._calls.cut:
            raise StreamInterruptedError(
                "the stream ended inside the arguments of a tool call", phase="stream"
            )
        self._seal(events)
        if self._odd_text is not None and (left := self._odd_text.flush()):
            events.append(TextDelta(left))
        self._calls.finish(events)
        if sound := joined_sound(self._sound):
            events.append(PartDelta(Opaque({"audio": sound}, self._wire.origin)))
        if self._notes:
            events.append(PartDelta(Opaque(self._notes, self._wire.origin)))
        self._end(
            events,
            Finished(
                our_finish(self._raw_finish, calls=bool(self._calls), refused=self._refused),
                self._raw_finish,
                self._wire.usage(self._usage),
                self._model,
                id=self._id,
            ),
        )
