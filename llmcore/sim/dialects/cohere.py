"""Cohere v2 as Cohere understands it: p and k, narrow penalties, no named tool choice, typed stream events."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from llmcore.sim.dialects.base import Ask, Dialect, Fields, arguments_of, dumps, sse
from llmcore.sim.dialects.openai import media_of_url
from llmcore.sim.dialects.openai_answer import retry_headers
from llmcore.sim.tokens import count, tokens_of
from llmcore.sim.values import (
    Answer,
    ApiError,
    Call,
    ErrorKind,
    Frame,
    Media,
    Operation,
    Other,
    Part,
    Reply,
    Result,
    Text,
    Thinking,
    ToolSpec,
    Turn,
    Understood,
    whole,
)
from llmcore.sim.vectors import as_base64

_FINISH = {
    "stop": "COMPLETE",
    "length": "MAX_TOKENS",
    "tool_calls": "TOOL_CALL",
    "refusal": "COMPLETE",
    "filter": "ERROR",
}
_UNREAD = [
    "k",
    "frequency_penalty",
    "presence_penalty",
    "logprobs",
    "documents",
    "citation_options",
    "safety_mode",
    "priority",
    "strict_tools",
]


class CohereDialect(Dialect):
    """`POST /v2/chat`, `POST /v2/embed`, `GET /v1/models`."""

    name = "cohere"
    statuses: ClassVar[Mapping[ErrorKind, int]] = {"quota": 402}
    routes: ClassVar[Sequence[tuple[str, str, Operation]]] = (
        ("POST", r"(?:/v2)?/chat", "generate"),
        ("POST", r"(?:/v2)?/embed", "embed"),
        ("GET", r"(?:/v[12])?/models", "models"),
    )

    def readers(self) -> dict[Any, Any]:
        return {"generate": self.read_generate, "embed": self.read_embed, "models": self.read_models}

    def read_generate(self, ask: Ask, named: dict[str, str]) -> Understood:
        body = ask.json()
        stop = body.strings("stop_sequences")
        if len(stop) > 5:
            raise ApiError("invalid", "stop_sequences: at most 5 are allowed")
        thinking, budget = _thinking(body)
        body.need("messages")
        asked = Understood(
            dialect=self.name,
            model=str(body.need("model")),
            stream=bool(body.flag("stream")),
            turns=tuple(_turn(message) for message in body.objects("messages")),
            tools=tuple(_tool(tool) for tool in body.objects("tools")),
            tool_choice=_tool_choice(body),
            temperature=body.number("temperature", 0, 1),
            top_p=body.number("p", 0.01, 0.99),
            max_tokens=body.integer("max_tokens"),
            stop=stop,
            seed=body.integer("seed"),
            format=_format(body),
            thinking_budget=budget,
            thinking=thinking,
            show_thinking=thinking,
        )
        body.ignore(*_UNREAD)
        if unknown := body.unknown():
            raise ApiError(
                "invalid", f"unknown field: parameter '{unknown[0]}' is not a valid field", status=422
            )
        return asked

    def read_embed(self, ask: Ask, named: dict[str, str]) -> Understood:
        body = ask.json()
        texts = body.strings("texts")
        if len(texts) > 96:
            raise ApiError("invalid", "texts: at most 96 are allowed")
        if body.text("input_type") is None:
            raise ApiError("invalid", "input_type is required")
        types = body.strings("embedding_types")
        allowed = ("search_document", "search_query", "classification", "clustering", "image")
        return Understood(
            dialect=self.name,
            operation="embed",
            model=str(body.need("model")),
            inputs=texts,
            dimensions=body.integer("output_dimension"),
            encoding="base64" if "base64" in types else "float",
            input_type=body.word("input_type", *allowed),
        )

    def read_models(self, ask: Ask, named: dict[str, str]) -> Understood:
        size = ask.query.get("page_size", "20")
        token = ask.query.get("page_token")
        limit = int(size) if size.isdigit() else 20
        return Understood(dialect=self.name, operation="models", cursor=token, max_tokens=limit)

    def reply(self, asked: Understood, answer: Answer) -> Reply:
        if asked.stream:
            return Reply(tuple(_frames(asked, answer)), content_type="text/event-stream", streamed=True)
        body = {
            "id": answer.id,
            "finish_reason": _finish(answer),
            "message": _message(answer),
            "usage": _usage(answer),
        }
        return whole(dumps(body), tokens=answer.counts.output)

    def embedded(self, asked: Understood, vectors: Sequence[Any], tokens: int) -> Reply:
        by_type = (
            {"base64": [as_base64(vector) for vector in vectors]}
            if asked.encoding == "base64"
            else {"float": [list(vector) for vector in vectors]}
        )
        body = {
            "id": "emb_sim",
            "embeddings": by_type,
            "texts": asked.inputs,
            "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": float(tokens)}},
            "response_type": "embeddings_by_type",
        }
        return whole(dumps(body))

    def listed(self, asked: Understood, models: Sequence[str]) -> Reply:
        start = int(asked.cursor) if asked.cursor and asked.cursor.isdigit() else 0
        end = start + (asked.max_tokens or 20)
        rows = [
            {
                "name": name,
                "endpoints": ["chat", "embed"],
                "context_length": 128_000.0,
                "is_deprecated": False,
            }
            for name in models[start:end]
        ]
        return whole(dumps({"models": rows, "next_page_token": str(end) if end < len(models) else None}))

    def refused(self, error: ApiError) -> Reply:
        message = (
            "too many tokens: size limit exceeded by 808 tokens."
            if error.kind == "context"
            else error.message
        )
        message = "invalid api token" if error.kind == "auth" else message
        body = {"id": "err_sim", "message": message}
        return whole(dumps(body), self.status_of(error), headers=retry_headers(error))

    def broken(self, error: ApiError) -> Frame:
        delta = {"finish_reason": "ERROR", "error": error.message}
        return Frame(sse(dumps({"type": "message-end", "delta": delta}), "message-end"))

    def limits(self, kind: str, limit: int, remaining: int, reset_s: float) -> tuple[tuple[str, str], ...]:
        if kind != "requests":
            return ()
        return (
            ("x-endpoint-monthly-call-limit", "1000"),
            ("x-trial-endpoint-call-limit", str(limit)),
            ("x-trial-endpoint-call-remaining", str(remaining)),
        )

    def request_id(self, number: str) -> tuple[tuple[str, str], ...]:
        return (("x-debug-trace-id", f"req_{number}"),)


def _thinking(body: Fields) -> tuple[bool, int | None]:
    thinking = body.object("thinking")
    if thinking is None:
        return False, None
    budget = thinking.integer("token_budget")
    on = thinking.word("type", "enabled", "disabled") != "disabled"
    return on and budget != 0, budget


def _format(body: Fields) -> Any:
    wanted = body.object("response_format")
    if wanted is None or wanted.word("type", "text", "json_object") != "json_object":
        return None
    schema = wanted.any("json_schema") or wanted.any("schema")
    return "json" if schema is None else schema


def _tool(tool: Fields) -> ToolSpec:
    function = Fields(tool.need("function"), f"{tool.path}.function")
    tool.need("type")
    return ToolSpec(
        str(function.need("name")), function.text("description") or "", function.any("parameters")
    )


def _tool_choice(body: Fields) -> str | None:
    word = body.word("tool_choice", "REQUIRED", "NONE")
    if word is not None and "tools" not in body:
        raise ApiError("invalid", "tool_choice is only allowed with tools")
    return {"REQUIRED": "required", "NONE": "none"}.get(word or "")


def _turn(message: Fields) -> Turn:
    role = message.word("role", "system", "user", "assistant", "tool")
    parts = _content(message)
    if role == "tool":
        kept = tuple(part for part in parts if isinstance(part, (Text, Media)))
        return Turn("tool", (Result(str(message.need("tool_call_id")), kept),))
    calls = [_call(call) for call in message.objects("tool_calls")]
    message.ignore("citations")
    plan = message.text("tool_plan")
    plans: list[Part] = [Thinking(plan)] if plan else []
    if not parts and not calls and not plans:
        raise ApiError("invalid", f"{message.path}: must have non-empty content or tool calls")
    return Turn(role, (*plans, *parts, *calls))  # type: ignore[arg-type]  # one of the four words above


def _call(call: Fields) -> Call:
    call.need("type")
    function = Fields(call.need("function"), f"{call.path}.function")
    arguments = function.text("arguments")
    return Call(str(call.need("id")), str(function.need("name")), arguments_of(arguments or ""))


def _content(message: Fields) -> list[Part]:
    value = message.any("content")
    if value is None or isinstance(value, str):
        return [Text(value)] if value else []
    return [_part(part) for part in message.objects("content")]


def _part(part: Fields) -> Part:
    match str(part.need("type")):
        case "text":
            return Text(str(part.need("text")))
        case "thinking":
            return Thinking(str(part.need("thinking")))
        case "image_url":
            image = Fields(part.need("image_url"), f"{part.path}.image_url")
            return media_of_url(
                "image", str(image.need("url")), detail=image.word("detail", "auto", "low", "high")
            )
        case "document":
            document = Fields(part.need("document"), f"{part.path}.document")
            data = document.need("data")
            return Text(data if isinstance(data, str) else json.dumps(data, ensure_ascii=False))
        case kind:
            return Other(kind)


def _finish(answer: Answer) -> str:
    return "STOP_SEQUENCE" if answer.stop_sequence is not None else _FINISH[answer.finish]


def _usage(answer: Answer) -> dict[str, Any]:
    figures = {"input_tokens": float(answer.counts.input), "output_tokens": float(answer.counts.output)}
    return {"billed_units": figures, "tokens": figures, "cached_tokens": 0.0}


def _message(answer: Answer) -> dict[str, Any]:
    content: list[dict[str, Any]] = []
    if answer.thinking:
        content.append({"type": "thinking", "thinking": answer.thinking})
    if text := answer.text or answer.refusal or "":
        content.append({"type": "text", "text": text})
    message: dict[str, Any] = {"role": "assistant"}
    if content:
        message["content"] = content
    if answer.calls:
        message["tool_calls"] = [_call_value(call, json.dumps(call.arguments)) for call in answer.calls]
    return message


def _call_value(call: Call, arguments: str) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


# ----------------------------------------------------------------------------------------------------- streams


def _frames(asked: Understood, answer: Answer) -> list[Frame]:
    empty = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
    frames = [_event("message-start", id=answer.id, delta={"message": empty})]
    texts = (("thinking", answer.thinking), ("text", answer.text or answer.refusal or ""))
    for at, (kind, text) in enumerate((kind, text) for kind, text in texts if text):
        frames += _text_frames(at, kind, text)
    for at, call in enumerate(answer.calls):
        frames += _call_frames(at, call)
    end = _event(
        "message-end", id=answer.id, delta={"finish_reason": _finish(answer), "usage": _usage(answer)}
    )
    return [*frames, Frame(end.data, role="done")]


def _text_frames(at: int, kind: str, text: str) -> list[Frame]:
    start = {"message": {"content": {"type": kind, kind: ""}}}
    sample = _event("content-delta", index=at, delta={"message": {"content": {kind: "\0"}}}).data
    before, _, after = sample.partition(b'"\\u0000"')
    pieces = [Frame(before + dumps(piece) + after, 1) for piece in tokens_of(text)]
    return [_event("content-start", index=at, delta=start), *pieces, _event("content-end", index=at)]


def _call_frames(at: int, call: Call) -> list[Frame]:
    start = _event("tool-call-start", index=at, delta={"message": {"tool_calls": _call_value(call, "")}})
    frames = [Frame(start.data, count(call.name))]
    for piece in tokens_of(json.dumps(call.arguments)):
        delta = {"message": {"tool_calls": {"function": {"arguments": piece}}}}
        frames.append(Frame(_event("tool-call-delta", index=at, delta=delta).data, 1))
    return [*frames, _event("tool-call-end", index=at)]


def _event(kind: str, **fields: Any) -> Frame:
    return Frame(sse(dumps({"type": kind, **fields}), kind))
