"""Answers and errors as Google sends them: no [DONE], no rate headers, the wait inside the error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from llmcore.sim.dialects.base import Dialect, dumps, sse
from llmcore.sim.model import seal
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

_FINISH: dict[str, str] = {
    "stop": "STOP",
    "length": "MAX_TOKENS",
    "tool_calls": "STOP",
    "refusal": "PROHIBITED_CONTENT",
    "filter": "SAFETY",
}

_STATUS: dict[ErrorKind, str] = {
    "invalid": "INVALID_ARGUMENT",
    "auth": "INVALID_ARGUMENT",
    "permission": "PERMISSION_DENIED",
    "not_found": "NOT_FOUND",
    "endpoint": "NOT_FOUND",
    "context": "INVALID_ARGUMENT",
    "rate_limit": "RESOURCE_EXHAUSTED",
    "quota": "RESOURCE_EXHAUSTED",
    "overloaded": "UNAVAILABLE",
    "server": "INTERNAL",
    "timeout": "DEADLINE_EXCEEDED",
    "too_large": "INVALID_ARGUMENT",
    "filter": "INVALID_ARGUMENT",
}
_TYPE = "type.googleapis.com/google.rpc."


class GeminiAnswers(Dialect):
    """The answering half."""

    name = "gemini"
    dimensions = 3072
    statuses: ClassVar[Mapping[ErrorKind, int]] = {"auth": 400}

    def reply(self, asked: Understood, answer: Answer) -> Reply:
        if not asked.stream:
            parts = [value for part in answer.parts for value in _values(part, asked)]
            if asked.thinking and not answer.calls and parts:
                parts[-1]["thoughtSignature"] = seal("", "gemini")
            return whole(dumps(_body(asked, answer, parts, last=True)), tokens=answer.counts.output)
        frames: list[Frame] = []
        for part in answer.parts:
            frames += _frames(asked, answer, part)
        end = (
            [{"text": "", "thoughtSignature": seal("", "gemini")}]
            if asked.thinking and not answer.calls
            else []
        )
        last = Frame(sse(dumps(_body(asked, answer, end, last=True))), role="done")
        return Reply((*frames, last), content_type="text/event-stream", streamed=True)

    def counted(self, asked: Understood, tokens: int) -> Reply:
        return whole(dumps({"totalTokens": tokens}))

    def embedded(self, asked: Understood, vectors: Sequence[Any], tokens: int) -> Reply:
        values = [{"values": list(vector)} for vector in vectors]
        return whole(dumps({"embedding": values[0]} if asked.single else {"embeddings": values}))

    def listed(self, asked: Understood, models: Sequence[str]) -> Reply:
        start = int(asked.cursor) if asked.cursor and asked.cursor.isdigit() else 0
        end = start + (asked.max_tokens or 50)
        rows = [
            {
                "name": f"models/{name}",
                "displayName": name,
                "inputTokenLimit": 1_048_576,
                "outputTokenLimit": 65_536,
                "supportedGenerationMethods": ["generateContent", "countTokens", "embedContent"],
            }
            for name in models[start:end]
        ]
        return whole(dumps({"models": rows, **({"nextPageToken": str(end)} if end < len(models) else {})}))

    def refused(self, error: ApiError) -> Reply:
        if error.kind == "filter" and error.status is None:
            body = {
                "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"},
                "usageMetadata": {"promptTokenCount": 0},
            }
            return whole(dumps(body))
        return whole(dumps(self.error_body(error)), self.status_of(error))

    def error_body(self, error: ApiError) -> dict[str, Any]:
        message, details = error.message, _details(error)
        if error.kind == "auth":
            message = "API key not valid. Please pass a valid API key."
        if error.kind == "context":
            message = "The input token count (9000) exceeds the maximum number of tokens allowed (8192)."
        body = {
            "code": self.status_of(error),
            "message": message,
            "status": _STATUS[error.kind],
            "details": details,
        }
        return {"error": body}

    def broken(self, error: ApiError) -> Frame:
        return Frame(sse(dumps(self.error_body(error))))

    def request_id(self, number: str) -> tuple[tuple[str, str], ...]:
        return ()


def _details(error: ApiError) -> list[dict[str, Any]]:
    details: list[dict[str, Any]] = []
    if error.kind == "auth":
        details.append(
            {"@type": _TYPE + "ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com"}
        )
    if error.kind == "quota":
        violation = {"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier", "quotaValue": "50"}
        details.append({"@type": _TYPE + "QuotaFailure", "violations": [violation]})
    if error.retry_after is not None:
        details.append({"@type": _TYPE + "RetryInfo", "retryDelay": f"{error.retry_after:g}s"})
    return details


def _body(asked: Understood, answer: Answer, parts: list[dict[str, Any]], *, last: bool) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": 0}
    if last:
        candidate["finishReason"] = _FINISH[answer.finish]
        if not parts:
            candidate["content"] = {"role": "model"}
    counts = answer.counts
    usage: dict[str, Any] = {"promptTokenCount": counts.input}
    if last:
        usage |= {
            "candidatesTokenCount": counts.output - counts.reasoning,
            "thoughtsTokenCount": counts.reasoning,
            "totalTokenCount": counts.input + counts.output,
        }
    return {
        "candidates": [candidate],
        "usageMetadata": usage,
        "modelVersion": asked.model,
        "responseId": f"resp{answer.id}",
    }


def _values(part: Text | Refusal | Thinking | Call, asked: Understood) -> list[dict[str, Any]]:
    if isinstance(part, Thinking):
        return [{"text": part.text, "thought": True}] if asked.show_thinking else []
    if isinstance(part, Call):
        call = {"functionCall": {"id": part.id, "name": part.name, "args": part.arguments}}
        return [{**call, "thoughtSignature": part.signature} if part.signature else call]
    if isinstance(part, Refusal):
        return []
    return [{"text": part.text}]


def _frames(asked: Understood, answer: Answer, part: Text | Refusal | Thinking | Call) -> list[Frame]:
    values = _values(part, asked)
    if not values or isinstance(part, (Call, Refusal)):
        return [Frame(sse(dumps(_body(asked, answer, [value], last=False))), 1) for value in values]
    sample = sse(dumps(_body(asked, answer, [{**values[0], "text": "\0"}], last=False)))
    before, _, after = sample.partition(b'"\\u0000"')
    return [Frame(before + dumps(piece) + after, 1) for piece in tokens_of(part.text)]
