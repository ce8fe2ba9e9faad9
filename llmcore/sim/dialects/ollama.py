"""Ollama's native API: NDJSON streams by default, arguments as objects, images as bare base64."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from llmcore.sim.dialects.base import Ask, Dialect, Fields, dumps
from llmcore.sim.dialects.openai import decoded
from llmcore.sim.tokens import tokens_of
from llmcore.sim.values import (
    Answer,
    ApiError,
    Call,
    ErrorKind,
    Frame,
    Operation,
    Part,
    Reply,
    Result,
    Text,
    Thinking,
    ToolSpec,
    Turn,
    Understood,
    media_of_bytes,
    whole,
)

_CREATED = "2026-11-21T00:00:00Z"
_DONE = {"stop": "stop", "length": "length", "tool_calls": "stop", "refusal": "stop", "filter": "stop"}


class OllamaDialect(Dialect):
    """`POST /api/chat`, `POST /api/embed`, `GET /api/tags`."""

    name = "ollama"
    dimensions = 768
    statuses: ClassVar[Mapping[ErrorKind, int]] = {"auth": 401}
    routes: ClassVar[Sequence[tuple[str, str, Operation]]] = (
        ("POST", r"/api/chat", "generate"),
        ("POST", r"/api/embed", "embed"),
        ("GET", r"/api/tags", "models"),
    )

    def readers(self) -> dict[Any, Any]:
        return {"generate": self.read_generate, "embed": self.read_embed, "models": self.read_models}

    def read_generate(self, ask: Ask, named: dict[str, str]) -> Understood:
        body = ask.json()
        stream = body.flag("stream")
        options = body.object("options") or Fields({}, "options")
        limit = options.integer("num_predict")
        think = body.any("think")
        return Understood(
            dialect=self.name,
            model=str(body.need("model")),
            stream=stream is not False,
            turns=tuple(_turn(message) for message in body.objects("messages")),
            tools=tuple(_tool(tool) for tool in body.objects("tools")),
            temperature=options.number("temperature"),
            top_p=options.number("top_p"),
            max_tokens=None if limit is None or limit < 0 else limit,
            stop=options.strings("stop"),
            seed=options.integer("seed"),
            format=_format(body),
            effort=think if isinstance(think, str) else None,
            thinking=bool(think),
            show_thinking=bool(think),
        )

    def read_embed(self, ask: Ask, named: dict[str, str]) -> Understood:
        body = ask.json()
        return Understood(
            dialect=self.name,
            operation="embed",
            model=str(body.need("model")),
            inputs=body.strings("input"),
            dimensions=body.integer("dimensions"),
        )

    def read_models(self, ask: Ask, named: dict[str, str]) -> Understood:
        return Understood(dialect=self.name, operation="models")

    def reply(self, asked: Understood, answer: Answer) -> Reply:
        if not asked.stream:
            message = {"role": "assistant", "content": answer.text or answer.refusal or "", **_extras(answer)}
            return whole(dumps(_line(asked, message, _ending(answer))), tokens=answer.counts.output)
        return Reply(tuple(_frames(asked, answer)), content_type="application/x-ndjson", streamed=True)

    def embedded(self, asked: Understood, vectors: Sequence[Any], tokens: int) -> Reply:
        figures = {"total_duration": 1_000_000, "load_duration": 100_000, "prompt_eval_count": tokens}
        return whole(
            dumps({"model": asked.model, "embeddings": [list(vector) for vector in vectors], **figures})
        )

    def listed(self, asked: Understood, models: Sequence[str]) -> Reply:
        details = {"format": "gguf", "family": "sim", "parameter_size": "1K", "quantization_level": "F32"}
        rows = [
            {
                "name": name,
                "model": name,
                "modified_at": _CREATED,
                "size": 1024,
                "digest": "0" * 64,
                "details": details,
            }
            for name in models
        ]
        return whole(dumps({"models": rows}))

    def refused(self, error: ApiError) -> Reply:
        return whole(dumps(_error(error)), self.status_of(error), headers=_retry(error))

    def broken(self, error: ApiError) -> Frame:
        return Frame(dumps(_error(error)) + b"\n")

    def request_id(self, number: str) -> tuple[tuple[str, str], ...]:
        return ()


def _error(error: ApiError) -> dict[str, str]:
    match error.kind:
        case "not_found":
            return {"error": "model not found, try pulling it first"}
        case "context":
            return {"error": "the input length exceeds the context length"}
        case "overloaded":
            return {"error": "server busy, please try again.  maximum pending requests exceeded"}
        case _:
            return {"error": error.message}


def _retry(error: ApiError) -> tuple[tuple[str, str], ...]:
    return () if error.retry_after is None else (("retry-after", f"{error.retry_after:g}"),)


def _format(body: Fields) -> Any:
    value = body.any("format")
    if value in {None, ""} if not isinstance(value, dict) else False:
        return None
    if value != "json" and not isinstance(value, dict):
        raise ApiError("invalid", f'invalid format: {value!r}; expected "json" or a valid JSON Schema object')
    return value


def _tool(tool: Fields) -> ToolSpec:
    function = Fields(tool.need("function"), f"{tool.path}.function")
    return ToolSpec(
        str(function.need("name")), function.text("description") or "", function.any("parameters")
    )


def _turn(message: Fields) -> Turn:
    role = message.word("role", "system", "user", "assistant", "tool")
    content = message.any("content")
    if content is not None and not isinstance(content, str):
        raise ApiError(
            "invalid", "json: cannot unmarshal array into Go struct field Message.content of type string"
        )
    text = [Text(content)] if content else []
    if role == "tool":
        result = Result(message.text("tool_call_id"), tuple(text), message.text("tool_name"))
        return Turn("tool", (result,))
    parts: list[Part] = [Thinking(thought)] if (thought := message.text("thinking")) else []
    parts += text
    parts += [media_of_bytes("image", decoded(image), None) for image in message.strings("images")]
    parts += [_call(call) for call in message.objects("tool_calls")]
    return Turn(role, tuple(parts))  # type: ignore[arg-type]  # one of the four words above


def _call(call: Fields) -> Call:
    function = Fields(call.need("function"), f"{call.path}.function")
    arguments = function.any("arguments")
    if not isinstance(arguments, dict):
        raise ApiError("invalid", "json: cannot unmarshal string into Go struct field arguments of type map")
    return Call(call.text("id"), str(function.need("name")), arguments)


def _extras(answer: Answer) -> dict[str, Any]:
    extras: dict[str, Any] = {"thinking": answer.thinking} if answer.thinking else {}
    if answer.calls:
        extras["tool_calls"] = [_call_value(at, call) for at, call in enumerate(answer.calls)]
    return extras


def _call_value(at: int, call: Call) -> dict[str, Any]:
    return {"id": call.id, "function": {"index": at, "name": call.name, "arguments": call.arguments}}


def _line(asked: Understood, message: dict[str, Any], ending: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"model": asked.model, "created_at": _CREATED, "message": message, **(ending or {"done": False})}


def _ending(answer: Answer) -> dict[str, Any]:
    counts = answer.counts
    return {
        "done": True,
        "done_reason": _DONE[answer.finish],
        "total_duration": 2_000_000,
        "load_duration": 100_000,
        "prompt_eval_count": counts.input,
        "prompt_eval_duration": 400_000,
        "eval_count": counts.output,
        "eval_duration": 1_500_000,
    }


def _frames(asked: Understood, answer: Answer) -> list[Frame]:
    frames: list[Frame] = []
    for piece in tokens_of(answer.thinking):
        line = _line(asked, {"role": "assistant", "content": "", "thinking": piece})
        frames.append(Frame(dumps(line) + b"\n", 1))
    before, _, after = dumps(_line(asked, {"role": "assistant", "content": "\0"})).partition(b'"\\u0000"')
    text = answer.text or answer.refusal or ""
    frames += [Frame(before + dumps(piece) + after + b"\n", 1) for piece in tokens_of(text)]
    for at, call in enumerate(answer.calls):
        message: dict[str, Any] = {"role": "assistant", "content": "", "tool_calls": [_call_value(at, call)]}
        frames.append(Frame(dumps(_line(asked, message)) + b"\n", 1))
    last = _line(asked, {"role": "assistant", "content": ""}, _ending(answer))
    return [*frames, Frame(dumps(last) + b"\n", role="done")]
