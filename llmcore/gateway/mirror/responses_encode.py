"""OpenAI Responses from the server's side: a whole answer to a `Response` object and its output items.

Usage is null where nobody counted. Where one of its figures is known, the wire demands numbers for the others too: there,
and only there, unknown is 0. Pictures come as finished `image_generation_call` items; sound and other vendors' notes
have no form here and are left out. Source: the OpenAI OpenAPI specification 2.3 and SDK 3.52.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from typing import Any, Literal, TypeAlias

from llmcore.gateway.mirror.base import Asked
from llmcore.gateway.mirror.marks import Mark, mark_of
from llmcore.gateway.mirror.responses_items import ORIGIN
from llmcore.types import (
    FinishReason,
    GenerationResponse,
    Image,
    Message,
    Opaque,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    Usage,
)

Json: TypeAlias = dict[str, Any]
Status: TypeAlias = Literal["in_progress", "completed", "incomplete", "failed", "cancelled"]

_ENDINGS: dict[FinishReason, tuple[Status, str | None]] = {
    "length": ("incomplete", "max_output_tokens"),
    "content_filter": ("incomplete", "content_filter"),
    "error": ("failed", None),
    "cancelled": ("cancelled", None),
}
"""Status, and why it is incomplete. Every other ending is a completed answer."""

_FAILED = {"code": "server_error", "message": "The provider ended the answer with an error."}


def whole_response(response: GenerationResponse, asked: Asked, id_: str, created: int) -> Json:
    """The JSON of a whole answer."""
    status, why = ending(response.finish_reason)
    body = response_object(asked, id_, created, response.model)
    return finished(body, status, why, output_of(response.message, id_, status), response.usage)


def ending(reason: FinishReason) -> tuple[Status, str | None]:
    return _ENDINGS.get(reason, ("completed", None))


def response_object(asked: Asked, id_: str, created: int, model: str | None = None) -> Json:
    """A `Response` that has just begun, with what it must repeat from the request."""
    request, echo = asked.request, asked.echo
    return {
        "id": id_,
        "object": "response",
        "created_at": created,
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": echo.get("instructions"),
        "max_output_tokens": echo.get("max_output_tokens"),
        "max_tool_calls": echo.get("max_tool_calls"),
        "metadata": echo.get("metadata", {}),
        "model": model or request.model or "",
        "output": [],
        "parallel_tool_calls": echo.get("parallel_tool_calls", True),
        "previous_response_id": None,
        "prompt_cache_key": echo.get("prompt_cache_key"),
        "reasoning": echo.get("reasoning"),
        "safety_identifier": echo.get("safety_identifier"),
        "service_tier": None if "service_tier" in request.extra else "default",
        "store": False,
        "temperature": echo.get("temperature"),
        "text": {"format": {"type": "text"}, **echo.get("text", {})},
        "tool_choice": echo.get("tool_choice", "auto"),
        "tools": [_tool(tool) for tool in echo.get("tools", ())],
        "top_p": echo.get("top_p"),
        "truncation": echo.get("truncation", "disabled"),
        "usage": None,
        "user": echo.get("user"),
    }


def finished(body: Json, status: Status, why: str | None, output: list[Json], usage: Usage) -> Json:
    """`body` at its end."""
    body["status"] = status
    body["incomplete_details"] = {"reason": why} if status == "incomplete" else None
    body["error"] = _FAILED if status == "failed" else None
    body["output"] = output
    body["usage"] = usage_of(usage)
    return body


def usage_of(usage: Usage) -> Json | None:
    if usage.input_tokens is None and usage.output_tokens is None:
        return None
    read, written = usage.input_tokens or 0, usage.output_tokens or 0
    return {
        "input_tokens": read,
        "input_tokens_details": {
            "cached_tokens": usage.cached_tokens or 0,
            "cache_write_tokens": usage.cache_write_tokens or 0,
        },
        "output_tokens": written,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens or 0},
        "total_tokens": read + written,
    }


def _tool(tool: Json) -> Json:
    return {"parameters": None, "strict": None, **tool}


# ---------------------------------------------------------------------------------------------------------- items


def output_of(message: Message, id_: str, status: Status) -> list[Json]:
    """The output items. What the assistant said without a break is one item; the last one bears the answer's status."""
    items: list[Json] = []
    stem = id_.removeprefix("resp_")
    for part in message.parts:
        if isinstance(part, (Text, Refusal)):
            _say(part, items, stem)
        elif not _annotate(part, items):
            items.extend(_items(part, f"{stem}_{len(items)}"))
        if isinstance(part, (Text, ToolCall)) and (mark := mark_of(part)) is not None and not _is_phase(part):
            items.append(mark_item(f"rs_{stem}_{len(items)}", mark))
    if status == "incomplete" and items and items[-1]["type"] in {"message", "function_call"}:
        items[-1]["status"] = "incomplete"
    return items


def _say(part: Text | Refusal, items: list[Json], stem: str) -> None:
    """Into the message that is last, or a new one: words after a refusal, and those with a phase, have their own.

    A text that holds nothing but another vendor's mark is no message.
    """
    if not part.text and isinstance(part, Text) and mark_of(part) is not None and not _is_phase(part):
        return
    last = items[-1] if items and items[-1]["type"] == "message" else None
    phase = part.signature if isinstance(part, Text) and _is_phase(part) else None
    refused = last is not None and last["content"][-1]["type"] == "refusal"
    if last is None or phase is not None or "phase" in last or (refused and isinstance(part, Text)):
        last = message_item(f"msg_{stem}_{len(items)}", [], phase)
        items.append(last)
    content = last["content"]
    kind = "output_text" if isinstance(part, Text) else "refusal"
    if content and content[-1]["type"] == kind:
        content[-1]["text" if kind == "output_text" else "refusal"] += part.text
    else:
        content.append(text_part(part.text) if isinstance(part, Text) else refusal_part(part.text))


def _is_phase(part: Part) -> bool:
    """Whether a text bears OpenAI's own mark, which is said in the open."""
    return isinstance(part, Text) and part.origin == ORIGIN and part.signature is not None


def _annotate(part: Part, items: list[Json]) -> bool:
    """Whether the part is notes on the words before it; they go there."""
    notes = annotations_of(part)
    if (
        notes
        and items
        and items[-1]["type"] == "message"
        and items[-1]["content"][-1]["type"] == "output_text"
    ):
        items[-1]["content"][-1]["annotations"] += notes
    return notes is not None


def annotations_of(part: Part) -> list[Any] | None:
    """Notes on words, of Responses or of chat completions; None where the part is something else."""
    match part:
        case Opaque(raw={"annotations": list() as notes, **rest}) if not rest:
            return [_note(note) for note in notes]
    return None


def _note(note: Any) -> Any:
    """Chat completions put what they say of an address into an object of its own."""
    match note:
        case {"type": "url_citation", "url_citation": dict() as told}:
            return {"type": "url_citation", **told}
    return note


def has_form(part: Part) -> bool:
    """Whether one of the rarer parts can be said: pictures by their bytes, and what is OpenAI's own."""
    match part:
        case Image():
            return part.data is not None
        case Opaque(raw=dict() as raw):
            return ("type" in raw and part.origin == ORIGIN) or annotations_of(part) is not None
    return False


def _items(part: Part, name: str) -> Iterator[Json]:
    match part:
        case Thinking():
            yield from thinking_items(part, f"rs_{name}")
        case ToolCall():
            yield call_item(f"fc_{name}", part)
        case _ if (item := other_item(part, name)) is not None:
            yield item


def message_item(
    id_: str, content: list[Json], phase: str | None = None, status: Status = "completed"
) -> Json:
    item = {"id": id_, "type": "message", "status": status, "role": "assistant", "content": content}
    return item if phase is None else {**item, "phase": phase}


def text_part(text: str) -> Json:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def refusal_part(text: str) -> Json:
    return {"type": "refusal", "refusal": text}


def thinking_items(part: Thinking, id_: str) -> Iterator[Json]:
    """Reasoning as OpenAI gave it, or as a summary with another vendor's mark under seal."""
    if part.origin == ORIGIN and isinstance(part.raw, dict) and part.raw.get("type") == "reasoning":
        yield part.raw
        return
    mark = mark_of(part)
    if part.text or mark is not None:
        yield reasoning_item(id_, part.text, mark)


def reasoning_item(id_: str, text: str, mark: Mark | None) -> Json:
    """The item's id is ours: the vendor's own one, where it matters, lies in the mark."""
    item: Json = {"id": id_, "type": "reasoning", "summary": [summary_part(text)] if text else []}
    return item if mark is None else {**item, "encrypted_content": str(mark)}


def summary_part(text: str) -> Json:
    return {"type": "summary_text", "text": text}


def mark_item(id_: str, mark: Mark) -> Json:
    """Another vendor's mark on a text or a call before it."""
    return reasoning_item(id_, "", mark)


def call_item(id_: str, call: ToolCall, status: Status = "completed") -> Json:
    return {
        "id": id_,
        "type": "function_call",
        "status": status,
        "call_id": call.id,
        "name": call.name,
        "arguments": call.arguments or ("" if status == "in_progress" else "{}"),
    }


def other_item(part: Part, name: str) -> Json | None:
    """An item of OpenAI's own as it came, or a picture; None for what has no form here."""
    match part:
        case Opaque(raw=dict() as raw, origin="openai_responses") if "type" in raw:
            return raw
        case Image(data=bytes() as data):
            result = b64encode(data).decode()
            return {
                "id": f"ig_{name}",
                "type": "image_generation_call",
                "status": "completed",
                "result": result,
            }
    return None
