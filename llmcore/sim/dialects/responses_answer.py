"""Answers and streams in the shape of OpenAI Responses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from llmcore.sim.dialects.base import dumps, sse
from llmcore.sim.dialects.openai_answer import CREATED, OpenAIAnswers
from llmcore.sim.tokens import tokens_of
from llmcore.sim.values import (
    Answer,
    ApiError,
    Call,
    Frame,
    Refusal,
    Reply,
    Text,
    Thinking,
    Understood,
    whole,
)


class ResponsesAnswers(OpenAIAnswers):
    """Errors, headers and keys are OpenAI's; the rest is items and events."""

    name = "responses"

    def __init__(self) -> None:
        super().__init__("openai")

    def reply(self, asked: Understood, answer: Answer) -> Reply:
        if asked.stream:
            frames = tuple(_Events(asked, answer).frames())
            return Reply(frames, content_type="text/event-stream; charset=utf-8", streamed=True)
        return whole(dumps(response_of(asked, answer)), tokens=answer.counts.output)

    def broken(self, error: ApiError) -> Frame:
        inner = self.error_body(error)["error"]
        body = {
            "type": "error",
            "sequence_number": 999,
            **{key: inner[key] for key in ("code", "message", "param")},
        }
        return Frame(sse(dumps(body), "error"))


def response_of(asked: Understood, answer: Answer) -> dict[str, Any]:
    """The whole response object."""
    length = answer.finish == "length"
    items = [item_of(at, part, asked, answer) for at, part in enumerate(answer.parts)]
    if length and items and items[-1]["type"] == "message":
        items[-1]["status"] = "incomplete"
    return {
        **_opened(asked, answer),
        "status": "incomplete" if length else "completed",
        "incomplete_details": {"reason": "max_output_tokens"} if length else None,
        "output": items,
        "usage": {
            "input_tokens": answer.counts.input,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": answer.counts.output,
            "output_tokens_details": {"reasoning_tokens": answer.counts.reasoning},
            "total_tokens": answer.counts.input + answer.counts.output,
        },
    }


def _opened(asked: Understood, answer: Answer) -> dict[str, Any]:
    return {
        "id": f"resp_{answer.id}",
        "object": "response",
        "created_at": CREATED,
        "model": asked.model,
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "output": [],
        "usage": None,
        "parallel_tool_calls": asked.parallel_tool_calls is not False,
    }


def item_of(
    at: int, part: Text | Refusal | Thinking | Call, asked: Understood, answer: Answer
) -> dict[str, Any]:
    """One output item, finished."""
    if isinstance(part, Thinking):
        summary = [{"type": "summary_text", "text": part.text}] if asked.show_thinking else []
        item = {"id": f"rs_{answer.id}{at}", "type": "reasoning", "summary": summary}
        return {**item, "encrypted_content": part.signature} if asked.seal_thinking else item
    if isinstance(part, Call):
        return {
            "id": f"fc_{answer.id}{at}",
            "type": "function_call",
            "status": "completed",
            "call_id": part.id,
            "name": part.name,
            "arguments": json.dumps(part.arguments, ensure_ascii=False),
        }
    return {
        "id": f"msg_{answer.id}{at}",
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [content_of(part)],
    }


def content_of(part: Text | Refusal) -> dict[str, Any]:
    if isinstance(part, Refusal):
        return {"type": "refusal", "refusal": part.text}
    return {"type": "output_text", "text": part.text, "annotations": [], "logprobs": []}


class _Events:
    """Makes the events of one stream, numbered in order."""

    def __init__(self, asked: Understood, answer: Answer) -> None:
        self._asked = asked
        self._answer = answer
        self._number = 0

    def frames(self) -> Iterator[Frame]:
        opened = _opened(self._asked, self._answer)
        yield self._event("response.created", response=opened)
        yield self._event("response.in_progress", response=opened)
        for at, part in enumerate(self._answer.parts):
            item = item_of(at, part, self._asked, self._answer)
            if isinstance(part, Thinking):
                yield from self._thinking(at, part, item)
            elif isinstance(part, Call):
                yield from self._call(at, item)
            else:
                yield from self._message(at, part, item)
            yield self._event("response.output_item.done", output_index=at, item=item)
        response = response_of(self._asked, self._answer)
        yield self._event(f"response.{response['status']}", role="done", response=response)

    def _thinking(self, at: int, part: Thinking, item: dict[str, Any]) -> Iterator[Frame]:
        yield self._event("response.output_item.added", output_index=at, item={**item, "summary": []})
        if not self._asked.show_thinking:
            return
        place = {"item_id": item["id"], "output_index": at, "summary_index": 0}
        empty = {"type": "summary_text", "text": ""}
        yield self._event("response.reasoning_summary_part.added", **place, part=empty)
        for piece in tokens_of(part.text):
            yield self._event("response.reasoning_summary_text.delta", 1, **place, delta=piece)
        yield self._event("response.reasoning_summary_text.done", **place, text=part.text)
        yield self._event("response.reasoning_summary_part.done", **place, part={**empty, "text": part.text})

    def _call(self, at: int, item: dict[str, Any]) -> Iterator[Frame]:
        begun = {**item, "arguments": "", "status": "in_progress"}
        yield self._event("response.output_item.added", 1, output_index=at, item=begun)
        place = {"item_id": item["id"], "output_index": at}
        for piece in tokens_of(item["arguments"]):
            yield self._event("response.function_call_arguments.delta", 1, **place, delta=piece)
        yield self._event("response.function_call_arguments.done", **place, arguments=item["arguments"])

    def _message(self, at: int, part: Text | Refusal, item: dict[str, Any]) -> Iterator[Frame]:
        begun = {**item, "content": [], "status": "in_progress"}
        yield self._event("response.output_item.added", output_index=at, item=begun)
        place = {"item_id": item["id"], "output_index": at, "content_index": 0}
        key, kind = ("refusal", "refusal") if isinstance(part, Refusal) else ("text", "output_text")
        yield self._event("response.content_part.added", **place, part={**content_of(part), key: ""})
        for piece in tokens_of(part.text):
            yield self._event(f"response.{kind}.delta", 1, **place, delta=piece)
        done: dict[str, Any] = {**place, key: part.text}
        yield self._event(f"response.{kind}.done", **done)
        yield self._event("response.content_part.done", **place, part=content_of(part))

    def _event(self, kind: str, tokens: int = 0, role: Any = "", **fields: Any) -> Frame:
        data = dumps({"type": kind, "sequence_number": self._number, **fields})
        self._number += 1
        return Frame(sse(data, kind), tokens, role)
