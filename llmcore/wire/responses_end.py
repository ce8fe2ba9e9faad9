"""How an answer of the OpenAI Responses dialect ended, and what it cost."""

from __future__ import annotations

from typing import Any

from llmcore.types import FinishReason, Usage
from llmcore.wire.openai_usage import cost
from llmcore.wire.read import Json, as_count, as_dict, as_str
from llmcore.wire.responses_decode import Output

STATUSES = frozenset({"completed", "incomplete", "failed", "cancelled", "queued", "in_progress"})


def finish_of(response: dict[str, Any], output: Output) -> tuple[FinishReason, str | None]:
    """Finish reason, ours and the vendor's word for it."""
    status = as_str(response.get("status"))
    if status == "incomplete":
        reason = as_str(as_dict(response.get("incomplete_details")).get("reason"))
        return _INCOMPLETE.get(reason or "", "unknown"), reason or status
    if status == "cancelled":
        return "cancelled", status
    if status not in {"completed", None}:
        return "unknown", status
    if output.has_calls:
        return "tool_calls", status
    return ("refusal" if output.refused else "stop"), status


_INCOMPLETE: dict[str, FinishReason] = {
    "max_output_tokens": "length",
    "max_tokens": "length",
    "content_filter": "content_filter",
}


def usage_of(value: Json) -> Usage:
    """The `usage` object; a part that is larger than its whole is unknown."""
    usage = as_dict(value)
    if not usage:
        return Usage()
    read, wrote = as_count(usage.get("input_tokens")), as_count(usage.get("output_tokens"))
    details = as_dict(usage.get("input_tokens_details"))
    return Usage(
        read,
        wrote,
        _part(details.get("cached_tokens"), read),
        _part(details.get("cache_write_tokens"), read),
        _part(as_dict(usage.get("output_tokens_details")).get("reasoning_tokens"), wrote),
        cost(usage),
        raw=usage,
    )


def _part(value: Json, whole: int | None) -> int | None:
    count = as_count(value)
    return None if count is None or (whole is not None and count > whole) else count
