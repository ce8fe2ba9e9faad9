"""Gemini response objects to events. One `Reader` serves whole answers and streams, so that both give the same."""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from typing import Any

from llmcore.errors import ContentFilterError
from llmcore.types import (
    Audio,
    Event,
    File,
    Finished,
    FinishReason,
    Image,
    Opaque,
    Part,
    PartDelta,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    Usage,
)
from llmcore.wire.gemini_args import PartialCall, json_text
from llmcore.wire.read import SurrogateJoiner, as_count, as_dict, as_list, as_str, join_surrogates

_FILTERED = (
    "SAFETY RECITATION BLOCKLIST PROHIBITED_CONTENT SPII IMAGE_SAFETY IMAGE_PROHIBITED_CONTENT IMAGE_RECITATION "
    "MODEL_ARMOR LANGUAGE"
)
_FAILED = (
    "MALFORMED_FUNCTION_CALL UNEXPECTED_TOOL_CALL TOO_MANY_TOOL_CALLS MISSING_THOUGHT_SIGNATURE "
    "MALFORMED_RESPONSE"
)
FINISH_REASONS: dict[str, FinishReason] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "CONTINUATION": "pause",
    **dict.fromkeys(_FILTERED.split(), "content_filter"),
    **dict.fromkeys(_FAILED.split(), "error"),
    # `$alt=json;enum-encoding=int` sends numbers; only those that mean the same on both of Google's platforms
    "1": "stop",
    "2": "length",
    **dict.fromkeys("34678", "content_filter"),
}


class Reader:
    """Takes the response objects of one answer in order; `finish` is the raw finish reason once one was seen."""

    def __init__(self, origin: str) -> None:
        self.finish: str | None = None
        self.answered: bool = False
        self._origin = origin
        self._id: str | None = None
        self._model: str | None = None
        self._usage: dict[str, Any] = {}
        self._index: Any = None
        self._calls = 0
        self._joiner = SurrogateJoiner()
        self._thinking = False
        self._open: PartialCall | None = None

    @property
    def usage(self) -> Usage:
        """What has been counted so far; each object repeats the count."""
        return usage_of(self._usage)

    def take(self, value: Mapping[str, Any], events: list[Event]) -> None:
        """One response object. Raises ContentFilterError where it says that the prompt was blocked."""
        self._id = self._id or _clean(as_str(value.get("responseId")))
        self._model = _clean(as_str(value.get("modelVersion"))) or self._model
        usage = as_dict(value.get("usageMetadata"))
        if any(as_count(figure) is not None for figure in usage.values()):
            self._usage = usage
        candidates = [item for item in as_list(value.get("candidates")) if isinstance(item, dict)]
        if not candidates:
            _raise_if_blocked(as_dict(value.get("promptFeedback")))
            return
        self._take_candidate(candidates, events)

    def end(self, events: list[Event]) -> Finished:
        """The answer is whole: what was held back, and then its end."""
        self._close_call(events)
        self._flush_text(events)
        reason = FINISH_REASONS.get(self.finish or "", "unknown")
        if reason == "stop" and self._calls:
            reason = "tool_calls"
        return Finished(reason, self.finish, self.usage, self._model, id=self._id)

    def _take_candidate(self, candidates: list[dict[str, Any]], events: list[Event]) -> None:
        """The first candidate of the answer, by its index; others (candidateCount > 1) are passed over."""
        if not self.answered:
            self.answered = True
            self._index = candidates[0].get("index") or 0
        for candidate in candidates:
            if (candidate.get("index") or 0) != self._index:
                continue
            for part in as_list(as_dict(candidate.get("content")).get("parts")):
                if isinstance(part, dict):
                    self._take_part(part, events)
            reason = candidate.get("finishReason")
            if reason is not None and isinstance(reason, (str, int)) and reason != "":
                self.finish = _clean(str(reason))
            return

    def _take_part(self, part: dict[str, Any], events: list[Event]) -> None:
        if isinstance(text := part.get("text"), str):
            self._text(part, text, events)
        elif isinstance(call := part.get("functionCall"), dict):
            self._flush_text(events)
            self._call(part, call, events)
        elif isinstance(blob := part.get("inlineData"), dict) and part.get("thought") is not True:
            self._flush_text(events)
            self._blob(part, blob, events)
        elif part.keys() <= {"thoughtSignature", "thought"}:
            self._text(part, "", events)
        elif any(value is not None for value in part.values()):
            self._flush_text(events)
            events.append(PartDelta(Opaque(part, self._origin)))

    def _text(self, part: dict[str, Any], text: str, events: list[Event]) -> None:
        thinking = part.get("thought") is True
        if thinking is not self._thinking:
            self._flush_text(events)
            self._thinking = thinking
        text = self._joiner.push(text)
        signature = _signature(part)
        if signature:
            text += self._joiner.flush()
        if text or signature:
            events.append(self._delta(text, signature))

    def _flush_text(self, events: list[Event]) -> None:
        if left := self._joiner.flush():
            events.append(self._delta(left, None))

    def _delta(self, text: str, signature: str | None) -> Event:
        origin = self._origin if signature else None
        if self._thinking:
            return ThinkingDelta(text, signature, origin=origin)
        return TextDelta(text, signature, origin)

    def _call(self, part: dict[str, Any], call: dict[str, Any], events: list[Event]) -> None:
        """A call comes whole, or (enterprise platform) in parts that are put together before they are shown."""
        if self._open is not None and not self._open.goes_on(call):
            self._close_call(events)
        if self._open is None:
            self._open = PartialCall()
        self._open.add(call, _signature(part))
        if call.get("willContinue") is not True:
            self._close_call(events)

    def _close_call(self, events: list[Event]) -> None:
        if (call := self._open) is None:
            return
        self._open = None
        index = self._calls
        self._calls += 1
        events.append(
            ToolCallDelta(
                index,
                _clean(call.id) or f"call_{index}",
                _clean(call.name) or "",
                json_text(call.args),
                call.signature,
                self._origin if call.signature else None,
            )
        )

    def _blob(self, part: dict[str, Any], blob: dict[str, Any], events: list[Event]) -> None:
        media = media_part(blob)
        if media is None:
            events.append(PartDelta(Opaque(part, self._origin)))
            return
        events.append(PartDelta(media))
        if signature := _signature(part):
            events.append(PartDelta(Opaque({"thoughtSignature": signature}, self._origin)))


def media_part(blob: Mapping[str, Any]) -> Part | None:
    """`inlineData {mimeType, data}` as an Image, Audio or File; None where the data is no base64."""
    text = blob.get("data")
    kind = _clean(as_str(blob.get("mimeType"))) or "application/octet-stream"
    if not isinstance(text, str):
        return None
    try:
        data = binascii.a2b_base64(text.replace("-", "+").replace("_", "/"))
    except (binascii.Error, ValueError):
        return None
    if kind.startswith("image/"):
        return Image(data=data, media_type=kind)
    if kind.startswith("audio/"):
        return Audio(data, kind)
    return File(data=data, media_type=kind)


def usage_of(raw: Mapping[str, Any]) -> Usage:
    """`usageMetadata`; Gemini counts tool prompts beside the prompt, and thoughts beside the candidates."""
    if not raw:
        return Usage()
    prompt = as_count(raw.get("promptTokenCount"))
    tools = as_count(raw.get("toolUsePromptTokenCount"))
    answer = as_count(raw.get("candidatesTokenCount"))
    thoughts = as_count(raw.get("thoughtsTokenCount"))
    cached = as_count(raw.get("cachedContentTokenCount"))
    read = None if prompt is None else prompt + (tools or 0)
    written = None if answer is None and thoughts is None else (answer or 0) + (thoughts or 0)
    if cached is not None and read is not None and cached > read:
        cached = None
    return Usage(read, written, cached_tokens=cached, reasoning_tokens=thoughts, raw=dict(raw))


def _raise_if_blocked(feedback: Mapping[str, Any]) -> None:
    reason = feedback.get("blockReason")
    if reason is None or reason == "":
        return
    word = _clean(str(reason)) or ""
    why = as_str(feedback.get("blockReasonMessage"))
    raise ContentFilterError(
        f"the prompt was blocked: {word}" + (f" ({_clean(why)})" if why else ""), status=200, code=word[:200]
    )


def _signature(part: Mapping[str, Any]) -> str | None:
    return as_str(part.get("thoughtSignature"))


def _clean(text: str | None) -> str | None:
    return join_surrogates(text) if text else None
