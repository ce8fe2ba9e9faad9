"""Answers as chat completions: the message, its finish reason, usage. What is unknown is left out, never 0.

Source: OpenAI's API reference (`CreateChatCompletionResponse`). Reasoning is said as `reasoning_content`, images as
`images`, as its imitators do; reasoning that its vendor sealed also as one entry of `reasoning_details`, which a client
sends back untouched, so that it reaches that vendor again.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Any

from llmcore.gateway.mirror.base import Asked
from llmcore.gateway.mirror.marks import mark_of
from llmcore.gateway.mirror.openai_turns import ORIGIN, SEALED
from llmcore.types import (
    Audio,
    FinishReason,
    GenerationResponse,
    Image,
    Message,
    Opaque,
    Part,
    Refusal,
    Text,
    TextDelta,
    Thinking,
    ToolCall,
    Usage,
)

NOTES = frozenset({"annotations", "citations", "search_results"})
"""Notes about an answer that the dialect has a field for."""

_CITATION = "url_citation"

_FINISH: dict[FinishReason, str] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "pause": "length",
    "error": "length",
    "cancelled": "length",
}
"""The dialect's words. An answer that was not ended by the model is one that was cut."""


def chat_completion(
    response: GenerationResponse, asked: Asked, answer_id: str, created: int
) -> dict[str, Any]:
    """A whole answer. answer_id: ours. created: UTC seconds since the epoch."""
    parts = response.message.parts
    refused = False
    if len(parts) == 1 and type(parts[0]) is Text and parts[0].signature is None:
        message: dict[str, Any] = {"role": "assistant", "content": parts[0].text, "refusal": None}
    else:
        message = message_of(response.message, answer_id, created)
        refused = message["refusal"] is not None
    finish = finish_word(response.finish_reason, refused=refused, called="tool_calls" in message)
    body: dict[str, Any] = {
        "id": answer_id,
        "object": "chat.completion",
        "created": created,
        "model": response.model or asked.request.model or "",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish}],
        "system_fingerprint": None,
    }
    if (usage := usage_of(response.usage)) is not None:
        body["usage"] = usage
    return body


def message_of(answer: Message, answer_id: str, created: int) -> dict[str, Any]:
    """The assistant's message with every part that has a form here."""
    out: dict[str, Any] = {"role": "assistant", "content": None, "refusal": None}
    thoughts: list[Thinking] = []
    marked: Text | None = None
    for part in answer.parts:
        if isinstance(part, Text):
            out["content"] = (out["content"] or "") + part.text
            marked = part if is_marked(part) else marked
        elif isinstance(part, Refusal):
            out["refusal"] = (out["refusal"] or "") + part.text
        elif isinstance(part, Thinking):
            thoughts.append(part)
        elif isinstance(part, ToolCall):
            out.setdefault("tool_calls", []).append(call_of(part))
        else:
            add_fields(out, rare_fields(part, answer_id, created))
    _add_thoughts(out, thoughts, marked)
    return out


def add_fields(out: dict[str, Any], fields: Mapping[str, Any]) -> None:
    """Lists grow; of anything else the last one counts."""
    for name, value in fields.items():
        known = out.get(name)
        out[name] = [*known, *value] if isinstance(known, list) and isinstance(value, list) else value


def rare_fields(part: Part, answer_id: str, created: int) -> dict[str, Any]:
    """The fields of a message or delta that hold a picture, sound or notes; {} for what has no form here."""
    if isinstance(part, Image):
        return {"images": [{"type": "image_url", "image_url": {"url": _address(part)}}]}
    if isinstance(
        part, Audio
    ):  # it expires at once: nobody keeps it, so it cannot be named in a later request
        sound = {"id": f"audio-{answer_id}", "data": b64encode(part.data).decode(), "transcript": ""}
        return {"audio": {**sound, "expires_at": created}}
    if isinstance(part, Opaque) and isinstance(part.raw, Mapping):
        spoken = part.raw.get("audio")
        if isinstance(spoken, Mapping):
            return {"audio": dict(spoken)}
        if NOTES.issuperset(part.raw):
            return {
                name: _notes(value) if name == "annotations" else value for name, value in part.raw.items()
            }
    return {}


def _notes(notes: Any) -> Any:
    """Annotations; what Responses say of an address beside its type stands in an object of that name here."""
    return [_note(note) for note in notes] if isinstance(notes, list) else notes


def _note(note: Any) -> Any:
    if not isinstance(note, dict) or note.get("type") != _CITATION or "url" not in note:
        return note
    return {"type": _CITATION, _CITATION: {key: value for key, value in note.items() if key != "type"}}


def has_form(part: Part) -> bool:
    """Whether one of the rarer parts has a field: pictures, sound, and notes that the dialect knows."""
    return isinstance(part, (Image, Audio)) or bool(rare_fields(part, "", 0))


def _address(image: Image) -> str:
    if image.data is None:
        return image.url or ""
    return f"data:{image.media_type or 'image/png'};base64,{b64encode(image.data).decode()}"


def call_of(call: ToolCall) -> dict[str, Any]:
    out: dict[str, Any] = {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments or "{}"},
    }
    if call.signature is not None:
        out["extra_content"] = signature_of(call.signature, call.origin)
    return out


def signature_of(signature: str, origin: str | None) -> dict[str, Any]:
    """A call's opaque mark, in the words of Google's own door; whose it is stands beside it where that is not us."""
    found: dict[str, Any] = {"google": {"thought_signature": signature}}
    if origin not in (None, ORIGIN):
        found["origin"] = origin
    return found


# ---------------------------------------------------------------------------------------------------- reasoning


def is_sealed(part: Thinking) -> bool:
    """Whether plain text would lose what its vendor wants back: a mark, a block, or another vendor's name."""
    if part.origin is None:
        return False
    return part.origin != ORIGIN or part.signature is not None or not isinstance(part.raw, str)


def is_marked(part: Text | TextDelta) -> bool:
    """Whether a text bears its vendor's mark."""
    return part.signature is not None and part.origin is not None


def sealed(part: Thinking | Text, index: int) -> dict[str, Any]:
    """One entry of `reasoning_details`. Text of reasoning is called `thinking`: under `text` readers would show it again."""
    entry: dict[str, Any] = {"type": SEALED, "index": index}
    if isinstance(part, Thinking):
        entry["thinking"] = part.text
    if (mark := mark_of(part)) is not None:
        entry["data"] = str(mark)
    return entry


def _add_thoughts(out: dict[str, Any], thoughts: list[Thinking], marked: Text | None) -> None:
    if text := "".join(part.text for part in thoughts):
        out["reasoning_content"] = text
    if marked is not None or any(map(is_sealed, thoughts)):
        parts: list[Thinking | Text] = [*thoughts] if marked is None else [*thoughts, marked]
        out["reasoning_details"] = [sealed(part, index) for index, part in enumerate(parts)]


# ---------------------------------------------------------------------------------------- finish reason and usage


def finish_word(reason: FinishReason, *, refused: bool, called: bool) -> str:
    """The dialect's word; a refusal without words of its own is a content filter to the client."""
    if reason == "refusal":
        return "stop" if refused else "content_filter"
    return _FINISH.get(reason) or ("tool_calls" if called else "stop")


def usage_of(usage: Usage) -> dict[str, Any] | None:
    """Tokens as far as they are known; None where nothing is."""
    read, written = usage.input_tokens, usage.output_tokens
    out: dict[str, Any] = {}
    if read is not None:
        out["prompt_tokens"] = read
    if written is not None:
        out["completion_tokens"] = written
        if read is not None:
            out["total_tokens"] = read + written
    details: dict[str, int] = {}
    if usage.cached_tokens is not None:
        details["cached_tokens"] = usage.cached_tokens
    if usage.cache_write_tokens is not None:
        details["cache_write_tokens"] = usage.cache_write_tokens
    if details:
        out["prompt_tokens_details"] = details
    if usage.reasoning_tokens is not None:
        out["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning_tokens}
    return out or None
