"""OpenAI chat completions, embeddings and models, as OpenAI and those who speak like it understand them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from attrs import evolve

from llmcore.sim.dialects.base import Ask, Fields, arguments_of, data_uri
from llmcore.sim.dialects.openai_answer import OpenAIAnswers
from llmcore.sim.values import (
    ApiError,
    Call,
    Media,
    Operation,
    Other,
    Part,
    Refusal,
    Result,
    Text,
    Thinking,
    ToolSpec,
    Turn,
    Understood,
    media_of_bytes,
)

BASE = r"(?:/(?:openai|api|inference|compatibility))?(?:/v\d+)?"
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_ROLES: dict[str, Literal["system", "user", "assistant", "tool"]] = {
    "developer": "system",
    "system": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}
_UNREAD = [
    "n",
    "logprobs",
    "top_logprobs",
    "user",
    "logit_bias",
    "frequency_penalty",
    "presence_penalty",
    "store",
    "metadata",
    "service_tier",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "prediction",
    "modalities",
    "audio",
    "web_search_options",
    "verbosity",
    "moderation",
    "functions",
    "function_call",
]
_VENDORS_OWN = ("include_reasoning", "reasoning_format", "safe_prompt", "prompt_mode", "top_k", "min_p")


class OpenAIDialect(OpenAIAnswers):
    """`POST /chat/completions`, `POST /embeddings`, `GET /models`."""

    routes: ClassVar[Sequence[tuple[str, str, Operation]]] = (
        ("POST", BASE + r"/chat/completions", "generate"),
        ("POST", BASE + r"/embeddings", "embed"),
        ("GET", BASE + r"/models", "models"),
    )

    def readers(self) -> dict[Any, Any]:
        return {"generate": self.read_generate, "embed": self.read_embed, "models": self.read_models}

    def read_generate(self, ask: Ask, named: dict[str, str]) -> Understood:
        body = ask.json()
        thinking, effort, budget = _reasoning(body)
        format_, format_name, strict = _response_format(body)
        options = body.object("stream_options")
        stream = bool(body.flag("stream"))
        if options is not None and not stream:
            raise ApiError(
                "invalid", "The 'stream_options' parameter is only allowed when 'stream' is enabled."
            )
        asked = Understood(
            dialect=self.name,
            model=named.get("model") or str(body.need("model")),
            stream=stream,
            turns=tuple(_turn(message) for message in _messages(body)),
            tools=tuple(_tool(tool) for tool in body.objects("tools")),
            tool_choice=_tool_choice(body),
            parallel_tool_calls=body.flag("parallel_tool_calls"),
            temperature=body.number("temperature", 0, 2),
            top_p=body.number("top_p", 0, 1),
            max_tokens=_max_tokens(body),
            stop=body.strings("stop"),
            seed=_first(body.integer("seed"), body.integer("random_seed")),
            format=format_,
            format_name=format_name,
            format_strict=strict,
            effort=effort,
            thinking_budget=budget,
            thinking=thinking,
            show_thinking=thinking,
            stream_usage=self.flavour.usage_always or bool(options and options.flag("include_usage")),
        )
        return self.sealed(asked, body, named)

    def sealed(self, asked: Understood, body: Fields, named: dict[str, str]) -> Understood:
        """`asked` with the fields that nobody read; a strict vendor refuses those."""
        if named.get("model"):
            body.ignore("model")
        body.ignore(*_UNREAD)
        if not self.flavour.strict:
            body.ignore(*_VENDORS_OWN)
        unknown = body.unknown()
        if unknown and self.flavour.strict:
            raise ApiError(
                "invalid", f"Unrecognized request argument supplied: {', '.join(unknown)}", param=unknown[0]
            )
        return evolve(asked, unknown=unknown)

    def read_embed(self, ask: Ask, named: dict[str, str]) -> Understood:
        body = ask.json()
        inputs = body.strings("input")
        if len(inputs) > 2048:
            raise ApiError("invalid", "'input' may hold at most 2048 texts.", param="input")
        asked = Understood(
            dialect=self.name,
            operation="embed",
            model=named.get("model") or str(body.need("model")),
            inputs=inputs,
            dimensions=_first(body.integer("dimensions"), body.integer("output_dimension")),
            encoding=self.encoding_of(body),
        )
        body.ignore("user", "output_dtype")
        return self.sealed(asked, body, named)

    def encoding_of(self, body: Fields) -> Literal["float", "base64", "int8"]:
        """Floats, base64 of float32, or (Perplexity alone) base64 of signed bytes."""
        if self.flavour.int8:
            return "int8" if body.word("encoding_format", "base64_int8") else "float"
        return "base64" if body.word("encoding_format", "float", "base64") == "base64" else "float"

    def read_models(self, ask: Ask, named: dict[str, str]) -> Understood:
        return Understood(dialect=self.name, operation="models")


def _first(*values: int | None) -> int | None:
    return next((value for value in values if value is not None), None)


def _max_tokens(body: Fields) -> int | None:
    old, new = body.integer("max_tokens"), body.integer("max_completion_tokens")
    if old is not None and new is not None:
        raise ApiError(
            "invalid", "Set either 'max_tokens' or 'max_completion_tokens', not both.", param="max_tokens"
        )
    limit = _first(new, old)
    if limit is not None and limit < 1:
        raise ApiError("invalid", "Invalid 'max_tokens': must be at least 1.", param="max_tokens")
    return limit


def _reasoning(body: Fields) -> tuple[bool, str | None, int | None]:
    """Whether to think, the effort, the budget: from `reasoning_effort`, `reasoning {...}` or `thinking {...}`."""
    effort = body.any("reasoning_effort")
    if isinstance(effort, str):
        effort = body.word("reasoning_effort", *EFFORTS, "default")
    budget: int | None = None
    on = effort not in {None, "none"}
    if (reasoning := body.object("reasoning")) is not None:
        effort = reasoning.text("effort") or effort
        budget = reasoning.integer("max_tokens")
        on = effort != "none" and reasoning.flag("enabled") is not False
    if (thinking := body.object("thinking")) is not None:
        on = thinking.text("type") != "disabled"
        budget = _first(thinking.integer("budget_tokens"), budget)
    return on, effort if isinstance(effort, str) else None, budget


def _response_format(body: Fields) -> tuple[Any, str | None, bool | None]:
    wanted = body.object("response_format")
    if wanted is None:
        return None, None, None
    kind = wanted.word("type", "text", "json_object", "json_schema")
    if kind != "json_schema":
        return ("json" if kind == "json_object" else None), None, None
    described = wanted.object("json_schema")
    if described is None:
        raise ApiError("invalid", "Missing required parameter: 'response_format.json_schema'.")
    name = str(described.need("name"))
    schema = described.need("schema")
    return schema, name, described.flag("strict")


def _tool(tool: Fields) -> ToolSpec:
    if (kind := tool.need("type")) != "function":
        return ToolSpec(str(kind))
    function = tool.object("function")
    if function is None:
        raise ApiError("invalid", f"Missing required parameter: '{tool.path}.function'.")
    return ToolSpec(
        str(function.need("name")),
        function.text("description") or "",
        function.any("parameters"),
        function.flag("strict"),
    )


def _tool_choice(body: Fields) -> str | None:
    choice = body.any("tool_choice")
    if choice is None:
        return None
    if "tools" not in body:
        raise ApiError(
            "invalid", "'tool_choice' is only allowed when 'tools' are specified.", param="tool_choice"
        )
    if isinstance(choice, str):
        word = body.word("tool_choice", "none", "auto", "required", "any")
        return "required" if word == "any" else word
    named = Fields(choice, "tool_choice")
    if named.need("type") != "function":
        return "auto"
    return str(Fields(named.need("function"), "tool_choice.function").need("name"))


def _messages(body: Fields) -> list[Fields]:
    body.need("messages")
    return body.objects("messages")


def _turn(message: Fields) -> Turn:
    role = str(message.need("role"))
    if role not in _ROLES:
        raise ApiError("invalid", f"Invalid value: '{role}'. Supported values are: {', '.join(_ROLES)}.")
    if role == "tool":
        content = tuple(part for part in _content(message) if isinstance(part, (Text, Media)))
        return Turn("tool", (Result(str(message.need("tool_call_id")), content, message.text("name")),))
    parts = [*_shown_reasoning(message), *_content(message)]
    if role == "assistant":
        if refusal := message.text("refusal"):
            parts.append(Refusal(refusal))
        parts.extend(_call(call) for call in message.objects("tool_calls"))
    if not parts and "content" not in message:
        raise ApiError("invalid", f"Invalid value for '{message.path}.content': expected a string, got null.")
    return Turn(_ROLES[role], tuple(parts))


def _shown_reasoning(message: Fields) -> list[Part]:
    text = message.any("reasoning_content") or message.any("reasoning")
    return [Thinking(text)] if isinstance(text, str) and text else []


def _call(call: Fields) -> Call:
    if call.need("type") != "function":
        return Call(str(call.need("id")), str(call.any("type")), call.any("custom"))
    function = call.object("function")
    if function is None:
        raise ApiError("invalid", f"Missing required parameter: '{call.path}.function'.")
    arguments = function.text("arguments")
    if arguments is None:
        raise ApiError("invalid", f"Missing required parameter: '{function.path}.arguments'.")
    return Call(str(call.need("id")), str(function.need("name")), arguments_of(arguments))


def _content(message: Fields) -> list[Part]:
    value = message.any("content")
    if value is None:
        return []
    if isinstance(value, str):
        return [Text(value)] if value else []
    return [_part(part) for part in message.objects("content")]


def _part(part: Fields) -> Part:
    match str(part.need("type")):
        case "text":
            return Text(str(part.need("text")))
        case "refusal":
            return Refusal(str(part.need("refusal")))
        case "image_url":
            value = part.need("image_url")
            image = Fields({"url": value} if isinstance(value, str) else value, f"{part.path}.image_url")
            return media_of_url("image", str(image.need("url")), detail=image.text("detail"))
        case "input_audio":
            sound = Fields(part.need("input_audio"), f"{part.path}.input_audio")
            kind = sound.word("format", "wav", "mp3")
            return media_of_bytes("audio", decoded(str(sound.need("data"))), f"audio/{kind}")
        case "file":
            return _file(Fields(part.need("file"), f"{part.path}.file"))
        case "thinking":
            return Thinking(
                "".join(str(Fields(p, part.path).any("text") or "") for p in part.items("thinking"))
            )
        case kind if kind in {"document_url", "input_file", "video_url"}:
            return Other(kind)
        case kind:
            raise ApiError(
                "invalid", f"Invalid value: '{kind}' for {part.path}.type.", param=f"{part.path}.type"
            )


def _file(file: Fields) -> Media:
    if file_id := file.text("file_id"):
        return Media("file", file_id=file_id)
    return media_of_url("file", str(file.need("file_data")), filename=file.text("filename"))


def media_of_url(
    kind: Literal["image", "file"], url: str, *, detail: str | None = None, filename: str | None = None
) -> Media:
    """Media by https URL or by data URI. Raises ApiError where it is neither."""
    found = data_uri(url)
    if found is not None:
        return media_of_bytes(kind, decoded(found[1]), found[0] or None, detail=detail, filename=filename)
    if not url.startswith(("https://", "http://")):
        raise ApiError("invalid", f"Invalid {kind} URL: expected https or a base64 data URI.", param="url")
    return Media(kind, url=url, detail=detail, filename=filename)


def decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ApiError("invalid", "Invalid base64 data.") from None
