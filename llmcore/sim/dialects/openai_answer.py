"""Answers, errors and rate-limit headers in the shape of OpenAI chat completions."""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Sequence
from typing import Any

from llmcore.sim.dialects.base import Dialect, dumps, sse
from llmcore.sim.dialects.flavours import FLAVOURS, Flavour
from llmcore.sim.tokens import count, tokens_of
from llmcore.sim.values import (
    Answer,
    ApiError,
    ErrorKind,
    Frame,
    Refusal,
    Reply,
    Text,
    Thinking,
    Understood,
    whole,
)
from llmcore.sim.vectors import as_base64, as_int8

CREATED = 1_795_219_200
"""2026-11-21, a fixed day, so that the same request gives the same bytes."""

_ENCODERS: dict[str, Callable[[array[float]], Any]] = {"float": list, "base64": as_base64, "int8": as_int8}

FINISH: dict[str, str] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "refusal": "stop",
    "filter": "content_filter",
}

_TYPES: dict[ErrorKind, tuple[str, str | None]] = {
    "invalid": ("invalid_request_error", None),
    "auth": ("invalid_request_error", "invalid_api_key"),
    "permission": ("request_forbidden", "unsupported_country_region_territory"),
    "not_found": ("invalid_request_error", "model_not_found"),
    "endpoint": ("invalid_request_error", "unknown_url"),
    "context": ("invalid_request_error", "context_length_exceeded"),
    "filter": ("invalid_request_error", "content_policy_violation"),
    "rate_limit": ("requests", "rate_limit_exceeded"),
    "quota": ("insufficient_quota", "insufficient_quota"),
    "overloaded": ("service_unavailable_error", "server_is_overloaded"),
    "server": ("server_error", None),
    "timeout": ("server_error", "timeout"),
    "too_large": ("invalid_request_error", "request_too_large"),
}


class OpenAIAnswers(Dialect):
    """The answering half; `place` names a row of FLAVOURS."""

    name = "openai"

    def __init__(self, place: str = "openai_compatible") -> None:
        super().__init__()
        self.flavour: Flavour = FLAVOURS.get(place, Flavour())

    # ------------------------------------------------------------------------------------------- generate

    def reply(self, asked: Understood, answer: Answer) -> Reply:
        if asked.stream:
            frames = tuple(self.frames(asked, answer))
            return Reply(frames, content_type="text/event-stream; charset=utf-8", streamed=True)
        choice = {
            "index": 0,
            "message": self.message(answer),
            "logprobs": None,
            "finish_reason": FINISH[answer.finish],
            **self.choice_extra(),
        }
        body = {
            "id": f"chatcmpl-{answer.id}",
            "object": "chat.completion",
            "created": CREATED,
            "model": asked.model,
            "choices": [choice],
            "usage": self.usage(answer),
            "system_fingerprint": "fp_sim",
            **self.body_extra(),
        }
        return whole(dumps(body), tokens=answer.counts.output)

    def choice_extra(self) -> dict[str, Any]:
        return {}

    def body_extra(self) -> dict[str, Any]:
        return {}

    def message(self, answer: Answer) -> dict[str, Any]:
        message: dict[str, Any] = {
            "role": "assistant",
            "content": answer.text or None,
            "refusal": answer.refusal,
        }
        if not answer.calls and answer.refusal is None:
            message["content"] = answer.text
        if answer.thinking and self.flavour.reasoning == "chunks":
            message["content"] = [_thinking_chunk(answer.thinking), {"type": "text", "text": answer.text}]
        elif answer.thinking and self.flavour.reasoning:
            message[self.flavour.reasoning] = answer.thinking
        if answer.calls:
            message["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {
                        "name": call.name,
                        "arguments": json.dumps(call.arguments, ensure_ascii=False),
                    },
                }
                for call in answer.calls
            ]
        return message

    def usage(self, answer: Answer) -> dict[str, Any]:
        counts = answer.counts
        output = counts.output - (counts.reasoning if self.flavour.output_excludes_reasoning else 0)
        return {
            "prompt_tokens": counts.input,
            "completion_tokens": output,
            "total_tokens": counts.input + counts.output,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": counts.reasoning},
        }

    # --------------------------------------------------------------------------------------------- streams

    def frames(self, asked: Understood, answer: Answer) -> list[Frame]:
        chunk = _Chunks(asked, answer, asked.stream_usage and not self.flavour.usage_always)
        frames = [*self.first_frames(chunk), chunk.delta({"role": "assistant", "content": ""})]
        calls = 0
        for part in answer.parts:
            if isinstance(part, Thinking):
                frames += self._thinking_frames(chunk, part.text)
            elif isinstance(part, Text):
                frames += [chunk.text(piece) for piece in tokens_of(part.text)]
            elif isinstance(part, Refusal):
                frames += [chunk.delta({"refusal": piece}, 1) for piece in tokens_of(part.text)]
            else:
                frames += _call_frames(chunk, calls, part.id, part.name, part.arguments)
                calls += 1
        return frames + self._last_frames(chunk, asked, answer)

    def first_frames(self, chunk: _Chunks) -> list[Frame]:
        return []

    def _thinking_frames(self, chunk: _Chunks, text: str) -> list[Frame]:
        field = self.flavour.reasoning
        if field is None:
            return []
        if field == "chunks":
            return [chunk.delta({"content": [_thinking_chunk(piece)]}, 1) for piece in tokens_of(text)]
        return [chunk.delta({field: piece}, 1) for piece in tokens_of(text)]

    def _last_frames(self, chunk: _Chunks, asked: Understood, answer: Answer) -> list[Frame]:
        usage = self.usage(answer)
        extra: dict[str, Any] = {"usage": usage} if self.flavour.usage_always else {}
        if self.flavour.x_groq:
            extra["x_groq"] = {"id": f"req_{answer.id}", "usage": usage}
        frames = [chunk.finish(FINISH[answer.finish], extra)]
        if asked.stream_usage and not self.flavour.usage_always:
            frames.append(chunk.whole([], {"usage": usage}, "usage"))
        return [*frames, Frame(b"data: [DONE]\n\n", role="done")]

    # ---------------------------------------------------------------------------- embeddings, models, errors

    def embedded(self, asked: Understood, vectors: Sequence[Any], tokens: int) -> Reply:
        data = [
            {
                "object": "embedding",
                "index": at,
                "embedding": _ENCODERS[asked.encoding](vector),
            }
            for at, vector in enumerate(vectors)
        ]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return whole(dumps({"object": "list", "data": data, "model": asked.model, "usage": usage}))

    def listed(self, asked: Understood, models: Sequence[str]) -> Reply:
        data = [
            {"id": name, "object": "model", "created": CREATED, "owned_by": "llmcore-sim"} for name in models
        ]
        return whole(dumps(data if self.flavour.bare_models else {"object": "list", "data": data}))

    def error_body(self, error: ApiError) -> dict[str, Any]:
        type_, code = _TYPES[error.kind]
        flat = {"message": error.message, "type": type_, "param": error.param, "code": code}
        match self.flavour.errors:
            case "flat":
                return {"object": "error", **flat}
            case "int_code":
                return {"error": {**flat, "code": self.status_of(error), "metadata": {"error_type": code}}}
            case "text":
                return {"error": error.message}
            case _:
                return {"error": flat}

    def refused(self, error: ApiError) -> Reply:
        return whole(dumps(self.error_body(error)), self.status_of(error), headers=retry_headers(error))

    def broken(self, error: ApiError) -> Frame:
        return Frame(sse(dumps(self.error_body(error))))

    def limits(self, kind: str, limit: int, remaining: int, reset_s: float) -> tuple[tuple[str, str], ...]:
        return (
            (f"x-ratelimit-limit-{kind}", str(limit)),
            (f"x-ratelimit-remaining-{kind}", str(remaining)),
            (f"x-ratelimit-reset-{kind}", go_duration(reset_s)),
        )


class _Chunks:
    """Makes the chunks of one stream; the bytes around a text token are encoded once."""

    def __init__(self, asked: Understood, answer: Answer, null_usage: bool) -> None:
        self._base = {
            "id": f"chatcmpl-{answer.id}",
            "object": "chat.completion.chunk",
            "created": CREATED,
            "model": asked.model,
            "system_fingerprint": "fp_sim",
        }
        self._usage: dict[str, Any] = {"usage": None} if null_usage else {}
        before, _, after = self.delta({"content": "\0"}).data.partition(b'"\\u0000"')
        self._before, self._after = before, after

    def text(self, piece: str) -> Frame:
        return Frame(self._before + dumps(piece) + self._after, 1)

    def delta(self, delta: dict[str, Any], tokens: int = 0) -> Frame:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}
        return Frame(sse(dumps({**self._base, "choices": [choice], **self._usage})), tokens)

    def finish(self, reason: str, extra: dict[str, Any]) -> Frame:
        choice = {"index": 0, "delta": {}, "logprobs": None, "finish_reason": reason}
        return Frame(sse(dumps({**self._base, "choices": [choice], **self._usage, **extra})), role="finish")

    def whole(self, choices: list[Any], extra: dict[str, Any], role: Any = "") -> Frame:
        return Frame(sse(dumps({**self._base, "choices": choices, **extra})), role=role)


def _call_frames(chunk: _Chunks, at: int, call_id: str | None, name: str, arguments: Any) -> list[Frame]:
    head = {"index": at, "id": call_id, "type": "function", "function": {"name": name, "arguments": ""}}
    pieces = tokens_of(json.dumps(arguments, ensure_ascii=False))
    fragments = [{"index": at, "function": {"arguments": piece}} for piece in pieces]
    first = chunk.delta({"tool_calls": [head]}, count(name))
    return [first, *(chunk.delta({"tool_calls": [fragment]}, 1) for fragment in fragments)]


def _thinking_chunk(text: str) -> dict[str, Any]:
    return {"type": "thinking", "thinking": [{"type": "text", "text": text}]}


def retry_headers(error: ApiError) -> tuple[tuple[str, str], ...]:
    return () if error.retry_after is None else (("retry-after", f"{error.retry_after:g}"),)


def go_duration(seconds: float) -> str:
    """As Go writes durations: 17ms, 1.5s, 6m0s."""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes)}m{rest:g}s" if minutes else f"{rest:g}s"
