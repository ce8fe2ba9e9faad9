"""Anthropic Messages, what comes down: whole messages, and what a block, a stop reason and a usage mean.

A block is kept in the place where it came. Text beside text is one text (an answer with citations comes in many), and
blocks that only Anthropic understands (hosted tools) are kept whole as `Opaque`.
"""

from __future__ import annotations

import json
from typing import Any

from llmcore.errors import MalformedResponseError
from llmcore.types import (
    FinishReason,
    GenerationResponse,
    Message,
    Opaque,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from llmcore.wire.read import Json, as_count, as_dict, as_list, as_str, dumps, join_surrogates

_FINISH: dict[str | None, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "pause_turn": "pause",
    "refusal": "refusal",
}


def decode_message(value: dict[str, Any], origin: str) -> GenerationResponse:
    """A whole message. Raises MalformedResponseError where it is none."""
    content = value.get("content")
    known = (
        value.get("type") == "message" or (content and isinstance(content, list)) or value.get("stop_reason")
    )
    if not known:
        raise MalformedResponseError("the body is no Anthropic message: it has no content", phase="parse")
    parts: list[Part] = []
    calls = 0
    for block in as_list(content):
        if isinstance(block, dict):
            _append(parts, _part(block, calls, origin))
            calls += block.get("type") == "tool_use"
    reason = as_str(value.get("stop_reason"))
    if refusal := refusal_of(reason, value.get("stop_details")):
        parts.append(refusal)
    return GenerationResponse(
        message=Message("assistant", tuple(parts)),
        finish_reason=finish_of(reason, called=calls > 0),
        raw_finish_reason=reason,
        usage=usage_of(value.get("usage")),
        model=as_str(value.get("model")),
        id=as_str(value.get("id")),
        raw=value,
        stop_sequence=as_str(value.get("stop_sequence")),
    )


def usage_of(raw: Json) -> Usage:
    """Tokens; Anthropic's `input_tokens` leaves out what was read from and written to the cache, ours does not."""
    if not isinstance(raw, dict):
        return Usage()
    fresh = as_count(raw.get("input_tokens"))
    cached = as_count(raw.get("cache_read_input_tokens"))
    written = as_count(raw.get("cache_creation_input_tokens"))
    output = as_count(raw.get("output_tokens"))
    reasoning = as_count(as_dict(raw.get("output_tokens_details")).get("thinking_tokens"))
    if reasoning is not None and (output is None or reasoning > output):
        reasoning = None
    whole = None if fresh is None else fresh + (cached or 0) + (written or 0)
    return Usage(whole, output, cached, written, reasoning, raw=raw)


def _part(block: dict[str, Any], index: int, origin: str) -> Part:
    match block.get("type"):
        case "text":
            return Text(words_of(block, "text"))
        case "thinking":
            signature = as_str(block.get("signature"))
            return Thinking(words_of(block, "thinking"), signature, origin=origin if signature else None)
        case "redacted_thinking":
            return Thinking(signature=as_str(block.get("data")), redacted=True, origin=origin)
        case "tool_use":
            caller = caller_of(block)
            return ToolCall(
                as_str(block.get("id")) or f"call_{index}",
                as_str(block.get("name")) or "",
                arguments_of(block.get("input")),
                caller,
                origin if caller else None,
            )
    return Opaque(block, origin)


def _append(parts: list[Part], part: Part) -> None:
    """Add a part as a stream's fold would: running on with an open part of its kind, empty ones left out."""
    last = parts[-1] if parts else None
    if type(part) is Text and type(last) is Text:
        parts[-1] = Text(last.text + part.text)
    elif type(part) is Thinking and type(last) is Thinking and not (part.redacted or _is_sealed(last)):
        parts[-1] = Thinking(last.text + part.text, part.signature, origin=part.origin)
    elif part not in (Text(""), Thinking()):
        parts.append(part)


def _is_sealed(part: Thinking) -> bool:
    return part.redacted or part.signature is not None


def words_of(block: dict[str, Any], key: str) -> str:
    value = block.get(key)
    return join_surrogates(value) if isinstance(value, str) else ""


def arguments_of(value: Json) -> str:
    """A tool's input as JSON text; some who speak this dialect send it as text already."""
    if isinstance(value, str):
        return value or "{}"
    return "{}" if value is None else _json(value)


def _json(value: Json) -> str:
    """Compact JSON; lone surrogates, which UTF-8 cannot hold, stay escaped."""
    try:
        return dumps(value).decode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"))


def caller_of(block: dict[str, Any]) -> str | None:
    """Who called, where it was not the model itself but code of its own; must go back with the call."""
    caller = block.get("caller")
    if not isinstance(caller, dict) or caller.get("type") == "direct":
        return None
    return _json(caller)


def finish_of(reason: str | None, *, called: bool) -> FinishReason:
    finish = _FINISH.get(reason, "unknown")
    return "tool_calls" if finish == "stop" and called else finish


def refusal_of(reason: str | None, details: Json) -> Refusal | None:
    """Why the answer was refused: `stop_details.explanation`, else its category."""
    details = as_dict(details)
    words = as_str(details.get("explanation")) or as_str(details.get("category"))
    return Refusal(words) if reason == "refusal" and words else None
