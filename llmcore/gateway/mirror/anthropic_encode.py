"""Anthropic Messages from the server's side: a whole answer to the JSON of a message, and its figures and endings.

Tokens that nobody counted are null, or left out; the wire demands two numbers, `input_tokens` and `output_tokens`: there,
and only there, unknown is 0. What Anthropic's messages cannot hold (pictures, sound, notes of other vendors) is left out.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from llmcore.gateway.mirror.anthropic_blocks import INVALID_JSON, ORIGIN
from llmcore.gateway.mirror.marks import Mark, mark_of
from llmcore.types import (
    FinishReason,
    GenerationResponse,
    Message,
    Opaque,
    Part,
    Text,
    Thinking,
    ToolCall,
    Usage,
)

Block = dict[str, Any]

_CATEGORIES = frozenset({"cyber", "bio", "frontier_llm", "reasoning_extraction", "general_harms"})
_STOP: dict[FinishReason, tuple[str, ...]] = {
    "stop": ("end_turn", "stop_sequence"),
    "length": ("max_tokens", "model_context_window_exceeded"),
    "tool_calls": ("tool_use",),
    "pause": ("pause_turn",),
    "refusal": ("refusal",),
    "content_filter": ("refusal",),
    "error": ("max_tokens",),
    "cancelled": ("max_tokens",),
}
"""The wire's words for an ending; the vendor's own where it is among them, else the first. Errors: it was cut short."""


def message_of(
    response: GenerationResponse,
    *,
    id: str,  # noqa: A002 - the wire's word
    model: str,
    stops: Sequence[str] = (),
) -> dict[str, Any]:
    """The JSON of a whole answer. stops: the request's stop sequences."""
    message = response.message
    reason = stop_reason(
        response.finish_reason,
        response.raw_finish_reason,
        called=bool(message.tool_calls),
        refused=response.refusal is not None,
    )
    return {
        "id": id,
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": blocks_of(message),
        "stop_reason": reason,
        "stop_sequence": stop_sequence(reason, response.stop_sequence, stops),
        "stop_details": stop_details(reason, response.refusal),
        "usage": usage_of(response.usage),
    }


def stop_reason(finish: FinishReason, raw: str | None, *, called: bool, refused: bool) -> str:
    """Why the answer ended: the vendor's own word, in whatever case, where it is one of this wire's too.

    Words of refusal have no place but beside the reason `refusal`.
    """
    if refused and not called:
        return "refusal"
    words = _STOP.get(finish) or (("tool_use",) if called else ("end_turn",))
    word = None if raw is None else raw.lower()
    return word if word in words else words[0]


def stop_sequence(reason: str, told: str | None, asked: Sequence[str]) -> str | None:
    """Which of the texts that were asked for ended the answer: the vendor says it, or there was but one."""
    if reason != "stop_sequence":
        return None
    return asked[0] if told is None and len(asked) == 1 else told


def stop_details(reason: str, refusal: str | None) -> Block | None:
    """Why it was refused, by Anthropic's category where that is all that is known, else in words."""
    if reason != "refusal":
        return None
    if refusal in _CATEGORIES:
        return {"type": "refusal", "category": refusal, "explanation": None}
    return {"type": "refusal", "category": None, "explanation": refusal}


def usage_of(usage: Usage) -> dict[str, Any]:
    """Figures as Anthropic counts them: `input_tokens` is what was neither read from a cache nor written to one."""
    told: dict[str, Any] = {
        "input_tokens": fresh_tokens(usage) or 0,
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "cache_read_input_tokens": usage.cached_tokens,
        "output_tokens": usage.output_tokens or 0,
    }
    if usage.reasoning_tokens is not None:
        told["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    return told


def fresh_tokens(usage: Usage) -> int | None:
    if usage.input_tokens is None:
        return None
    return max(0, usage.input_tokens - (usage.cached_tokens or 0) - (usage.cache_write_tokens or 0))


# --------------------------------------------------------------------------------------------------------- blocks


def blocks_of(message: Message) -> list[Block]:
    return [block for part in message.parts for block in _blocks(part)]


def _blocks(part: Part) -> list[Block]:
    match part:
        case Text():
            text = [{"type": "text", "text": part.text}] if part.text else []
            return [*text, *_marked(mark_of(part))]
        case Thinking():
            return _thinking(part)
        case ToolCall():
            native = part.origin == ORIGIN
            return [_call(part), *([] if native else _marked(mark_of(part)))]
        case Opaque(raw=dict() as raw, origin="anthropic"):
            return [raw]
        case _:
            return []


def has_form(part: Part) -> bool:
    """Whether one of the rarer parts can be said: only Anthropic's own blocks."""
    return isinstance(part, Opaque) and part.origin == ORIGIN and isinstance(part.raw, dict)


def _marked(mark: Mark | None) -> list[Block]:
    return [] if mark is None else [redacted_block(mark)]


def _thinking(part: Thinking) -> list[Block]:
    signature = signature_of(part)
    if part.redacted:
        return [] if signature is None else [redacted_block(signature)]
    if not part.text and signature is None:
        return []
    return [{"type": "thinking", "thinking": part.text, "signature": signature or ""}]


def signature_of(part: Thinking) -> str | None:
    """Anthropic's own signature as it is; a mark of another vendor sealed."""
    if part.origin == ORIGIN:
        return part.signature
    mark = mark_of(part)
    return None if mark is None else str(mark)


def redacted_block(data: Mark | str) -> Block:
    return {"type": "redacted_thinking", "data": str(data)}


def _call(call: ToolCall) -> Block:
    value = {INVALID_JSON: call.arguments} if call.parse_error else call.input
    return {**call_block(call), "input": value}


def call_block(call: ToolCall) -> Block:
    """A call without its input; Anthropic's own mark, who called, is an object in it."""
    block = {"type": "tool_use", "id": call.id, "name": call.name, "input": {}}
    if call.origin == ORIGIN and call.signature is not None:
        block["caller"] = json.loads(call.signature)
    return block
