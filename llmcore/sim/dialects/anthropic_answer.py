"""Answers, errors and rate-limit headers as Anthropic sends them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from llmcore.sim.dialects.base import Dialect, dumps, sse
from llmcore.sim.dialects.openai_answer import CREATED, retry_headers
from llmcore.sim.tokens import tokens_of
from llmcore.sim.values import (
    Answer,
    ApiError,
    Call,
    ErrorKind,
    Frame,
    Refusal,
    Reply,
    Text,
    Thinking,
    Understood,
    whole,
)

_STOP: dict[str, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "refusal": "refusal",
    "filter": "refusal",
}

_TYPES: dict[ErrorKind, str] = {
    "invalid": "invalid_request_error",
    "auth": "authentication_error",
    "permission": "permission_error",
    "not_found": "not_found_error",
    "endpoint": "not_found_error",
    "context": "invalid_request_error",
    "filter": "invalid_request_error",
    "rate_limit": "rate_limit_error",
    "quota": "billing_error",
    "overloaded": "overloaded_error",
    "server": "api_error",
    "timeout": "timeout_error",
    "too_large": "request_too_large",
}


class AnthropicAnswers(Dialect):
    """The answering half."""

    name = "anthropic"
    statuses: ClassVar[Mapping[ErrorKind, int]] = {"overloaded": 529, "quota": 402}

    def reply(self, asked: Understood, answer: Answer) -> Reply:
        if asked.stream:
            return Reply(
                tuple(_frames(asked, answer)), content_type="text/event-stream; charset=utf-8", streamed=True
            )
        return whole(dumps(_message(asked, answer)), tokens=answer.counts.output)

    def counted(self, asked: Understood, tokens: int) -> Reply:
        return whole(dumps({"input_tokens": tokens}))

    def listed(self, asked: Understood, models: Sequence[str]) -> Reply:
        names = list(models)
        start = names.index(asked.cursor) + 1 if asked.cursor in names else 0
        page = names[start : start + (asked.max_tokens or 20)]
        created = datetime.fromtimestamp(CREATED, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        data = [
            {
                "type": "model",
                "id": name,
                "display_name": name,
                "created_at": created,
                "max_input_tokens": 200_000,
            }
            for name in page
        ]
        body = {
            "data": data,
            "has_more": start + len(page) < len(names),
            "first_id": page[0] if page else None,
            "last_id": page[-1] if page else None,
        }
        return whole(dumps(body))

    def refused(self, error: ApiError) -> Reply:
        return whole(dumps(_error(error)), self.status_of(error), headers=retry_headers(error))

    def broken(self, error: ApiError) -> Frame:
        return Frame(sse(dumps(_error(error)), "error"))

    def limits(self, kind: str, limit: int, remaining: int, reset_s: float) -> tuple[tuple[str, str], ...]:
        reset = (datetime.now(UTC) + timedelta(seconds=reset_s)).strftime("%Y-%m-%dT%H:%M:%SZ")
        return (
            (f"anthropic-ratelimit-{kind}-limit", str(limit)),
            (f"anthropic-ratelimit-{kind}-remaining", str(remaining)),
            (f"anthropic-ratelimit-{kind}-reset", reset),
        )

    def request_id(self, number: str) -> tuple[tuple[str, str], ...]:
        return (("request-id", f"req_{number}"), ("anthropic-organization-id", "org_sim"))


def _error(error: ApiError) -> dict[str, Any]:
    message = "prompt is too long: 9000 tokens > 8192 maximum" if error.kind == "context" else error.message
    body = {"type": _TYPES[error.kind], "message": message}
    return {"type": "error", "error": body, "request_id": "req_sim"}


def _message(asked: Understood, answer: Answer) -> dict[str, Any]:
    blocks = [_block(part, asked) for part in answer.parts]
    return {
        **_empty(asked, answer),
        "content": blocks,
        **_ending(answer),
        "usage": {**_input_usage(answer), **_output_usage(answer)},
    }


def _empty(asked: Understood, answer: Answer) -> dict[str, Any]:
    return {"id": f"msg_{answer.id}", "type": "message", "role": "assistant", "model": asked.model}


def _ending(answer: Answer) -> dict[str, Any]:
    reason = "stop_sequence" if answer.stop_sequence is not None else _STOP[answer.finish]
    ending: dict[str, Any] = {"stop_reason": reason, "stop_sequence": answer.stop_sequence}
    if reason == "refusal":
        ending["stop_details"] = {"type": "refusal", "category": None, "explanation": None}
    return ending


def _input_usage(answer: Answer) -> dict[str, Any]:
    return {
        "input_tokens": answer.counts.input,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
    }


def _output_usage(answer: Answer) -> dict[str, Any]:
    return {
        "output_tokens": answer.counts.output,
        "output_tokens_details": {"thinking_tokens": answer.counts.reasoning},
    }


def _block(part: Text | Refusal | Thinking | Call, asked: Understood) -> dict[str, Any]:
    if isinstance(part, Thinking):
        shown = part.text if asked.show_thinking else ""
        return {"type": "thinking", "thinking": shown, "signature": part.signature}
    if isinstance(part, Call):
        call_id = f"toolu_{str(part.id).removeprefix('call_')}"
        return {"type": "tool_use", "id": call_id, "name": part.name, "input": part.arguments}
    return {"type": "text", "text": part.text}


# ----------------------------------------------------------------------------------------------------- streams


def _frames(asked: Understood, answer: Answer) -> list[Frame]:
    usage = {**_input_usage(answer), "output_tokens": 1}
    opened = {
        **_empty(asked, answer),
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }
    frames = [_event("message_start", message=opened), _event("ping")]
    for at, part in enumerate(answer.parts):
        frames += _block_frames(at, part, asked)
    closing = _event("message_delta", delta=_ending(answer), usage=_output_usage(answer))
    return [*frames, Frame(closing.data, role="finish"), Frame(_event("message_stop").data, role="done")]


def _block_frames(at: int, part: Text | Refusal | Thinking | Call, asked: Understood) -> list[Frame]:
    block = _block(part, asked)
    frames: list[Frame] = []
    if isinstance(part, Thinking):
        start = {**block, "thinking": "", "signature": ""}
        pieces = tokens_of(part.text) if asked.show_thinking else []
        frames += [_delta(at, {"type": "thinking_delta", "thinking": piece}, 1) for piece in pieces]
        frames.append(_delta(at, {"type": "signature_delta", "signature": part.signature}))
    elif isinstance(part, Call):
        start = {**block, "input": {}}
        pieces = tokens_of(json.dumps(part.arguments, ensure_ascii=False)) if part.arguments else []
        frames.append(_delta(at, {"type": "input_json_delta", "partial_json": ""}))
        frames += [_delta(at, {"type": "input_json_delta", "partial_json": piece}, 1) for piece in pieces]
    else:
        start = {**block, "text": ""}
        before, _, after = _delta(at, {"type": "text_delta", "text": "\0"}).data.partition(b'"\\u0000"')
        frames += [Frame(before + dumps(piece) + after, 1) for piece in tokens_of(part.text)]
    opening = _event("content_block_start", index=at, content_block=start)
    if isinstance(part, Call):
        opening = Frame(opening.data, 1)
    return [opening, *frames, _event("content_block_stop", index=at)]


def _delta(at: int, delta: dict[str, Any], tokens: int = 0) -> Frame:
    return Frame(_event("content_block_delta", index=at, delta=delta).data, tokens)


def _event(kind: str, **fields: Any) -> Frame:
    return Frame(sse(dumps({"type": kind, **fields}), kind))
