"""Anthropic Messages as Anthropic understands it: versions, required fields, blocks, tool results in user turns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal

from llmcore.sim.dialects.anthropic_answer import AnthropicAnswers
from llmcore.sim.dialects.base import Ask, Fields
from llmcore.sim.dialects.openai import decoded
from llmcore.sim.values import (
    ApiError,
    Call,
    Media,
    Operation,
    Other,
    Part,
    Result,
    Text,
    Thinking,
    ToolSpec,
    Turn,
    Understood,
    media_of_bytes,
)

_VERSIONS = ("2023-06-01", "2026-10-21")
_IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")
_UNREAD = (
    "metadata", "service_tier", "container", "speed", "inference_geo", "diagnostics",
    "context_management", "mcp_servers",
)  # fmt: skip
_MOST_MARKS = 4
BASE = r"(?:/v\d+)?"


class AnthropicDialect(AnthropicAnswers):
    """`POST /v1/messages`, `POST /v1/messages/count_tokens`, `GET /v1/models`."""

    routes: ClassVar[Sequence[tuple[str, str, Operation]]] = (
        ("POST", BASE + r"/messages", "generate"),
        ("POST", BASE + r"/messages/count_tokens", "count"),
        ("GET", BASE + r"/models", "models"),
    )

    def readers(self) -> dict[Any, Any]:
        return {"generate": self.read_generate, "count": self.read_count, "models": self.read_models}

    def key_of(self, ask: Ask) -> str | None:
        return ask.headers.get("x-api-key") or super().key_of(ask)

    def read_generate(self, ask: Ask, named: dict[str, str], *, counting: bool = False) -> Understood:
        version = _version(ask)
        body = ask.json()
        _check_marks(body)
        thinking, budget, show = _thinking(body)
        format_, effort = _output_config(body)
        max_tokens = body.integer("max_tokens") if counting else _max_tokens(body)
        if budget is not None and max_tokens is not None and not 1024 <= budget < max_tokens:
            raise ApiError(
                "invalid", "thinking.budget_tokens: must be at least 1024 and less than max_tokens"
            )
        tool_choice, parallel = _tool_choice(body)
        temperature, top_p = _sampling(body, version)
        asked = Understood(
            dialect=self.name,
            operation="count" if counting else "generate",
            model=str(body.need("model")),
            stream=bool(body.flag("stream")),
            turns=(*_system(body), *_turns(body, version)),
            tools=tuple(_tool(tool) for tool in body.objects("tools")),
            tool_choice=tool_choice,
            parallel_tool_calls=parallel,
            temperature=temperature,
            top_p=top_p,
            max_tokens=max_tokens,
            stop=body.strings("stop_sequences"),
            format=format_,
            effort=effort,
            thinking_budget=budget,
            thinking=thinking,
            show_thinking=show,
        )
        body.ignore(*_UNREAD)
        if unknown := body.unknown():
            raise ApiError("invalid", f"{unknown[0]}: Extra inputs are not permitted")
        if thinking and tool_choice not in {None, "auto", "none"}:
            raise ApiError("invalid", "Thinking may not be enabled when tool_choice forces tool use.")
        return asked

    def read_count(self, ask: Ask, named: dict[str, str]) -> Understood:
        return self.read_generate(ask, named, counting=True)

    def read_models(self, ask: Ask, named: dict[str, str]) -> Understood:
        _version(ask)
        try:
            limit = int(ask.query.get("limit", "20"))
        except ValueError:
            limit = 0
        if not 1 <= limit <= 1000:
            raise ApiError("invalid", "limit: must be from 1 to 1000")
        return Understood(
            dialect=self.name, operation="models", cursor=ask.query.get("after_id"), max_tokens=limit
        )


def _version(ask: Ask) -> str:
    version = ask.headers.get("anthropic-version")
    if version is None:
        raise ApiError("invalid", "anthropic-version: header is required")
    if version not in _VERSIONS:
        raise ApiError("invalid", f"anthropic-version: '{version[:40]}' is not a valid version")
    if "x-api-key" in ask.headers and "authorization" in ask.headers:
        raise ApiError("auth", "send either x-api-key or Authorization, not both")
    return version


def _check_marks(body: Fields) -> None:
    """Cache marks are of one kind, for one of two times, at most four, and never on reasoning."""
    blocks = [
        body.any("system"),
        body.any("messages"),
        body.any("tools"),
        {"cache_control": body.any("cache_control")},
    ]
    marks = list(_marks(blocks))
    for mark in marks:
        if not isinstance(mark, dict) or mark.get("type") != "ephemeral":
            raise ApiError("invalid", "cache_control.type: Input should be 'ephemeral'")
        if mark.get("ttl", "5m") not in ("5m", "1h"):
            raise ApiError("invalid", "cache_control.ephemeral.ttl: Input should be '5m' or '1h'")
    if len(marks) > _MOST_MARKS:
        raise ApiError(
            "invalid",
            f"A maximum of {_MOST_MARKS} blocks with cache_control may be provided. Found {len(marks)}.",
        )


def _marks(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for item in value:
            yield from _marks(item)
    elif isinstance(value, dict):
        if (mark := value.get("cache_control")) is not None:
            if str(value.get("type")).endswith("thinking"):
                raise ApiError("invalid", f"{value['type']}.cache_control: Extra inputs are not permitted")
            yield mark
        yield from _marks(value.get("content"))


def _max_tokens(body: Fields) -> int:
    limit = body.integer("max_tokens")
    if limit is None:
        raise ApiError("invalid", "max_tokens: Field required")
    if limit < 1:
        raise ApiError("invalid", "max_tokens: Input should be greater than or equal to 1")
    return limit


def _sampling(body: Fields, version: str) -> tuple[float | None, float | None]:
    if version >= "2026-10-21":
        for key in ("temperature", "top_p", "top_k"):
            if key in body:
                raise ApiError("invalid", f"{key}: not supported on anthropic-version {version}")
    body.ignore("top_k")
    return body.number("temperature", 0, 1), body.number("top_p", 0, 1)


def _thinking(body: Fields) -> tuple[bool, int | None, bool]:
    """Whether to think, the budget, whether the text is shown."""
    thinking = body.object("thinking")
    if thinking is None:
        return False, None, False
    kind = thinking.word("type", "enabled", "adaptive", "between_tools", "disabled")
    budget = thinking.integer("budget_tokens")
    if kind == "enabled" and budget is None:
        raise ApiError("invalid", "thinking.enabled.budget_tokens: Field required")
    show = thinking.word("display", "summarized", "omitted") != "omitted"
    return kind != "disabled", budget, show


def _output_config(body: Fields) -> tuple[Any, str | None]:
    config = body.object("output_config")
    if config is None:
        return None, None
    effort = config.word("effort", "low", "medium", "high", "xhigh", "max")
    wanted = config.object("format")
    if wanted is None:
        return None, effort
    wanted.word("type", "json_schema")
    schema = wanted.need("schema")
    if wanted.unknown():
        raise ApiError(
            "invalid", f"output_config.format.{wanted.unknown()[0]}: Extra inputs are not permitted"
        )
    return schema, effort


def _tool(tool: Fields) -> ToolSpec:
    if tool.text("type") not in {None, "custom"}:
        return ToolSpec(str(tool.any("name") or tool.any("type")))
    schema = tool.object("input_schema")
    if schema is None or schema.any("type") != "object":
        raise ApiError("invalid", f"{tool.path}.custom.input_schema.type: Input should be 'object'")
    return ToolSpec(
        str(tool.need("name")), tool.text("description") or "", tool.any("input_schema"), tool.flag("strict")
    )


def _tool_choice(body: Fields) -> tuple[str | None, bool | None]:
    choice = body.object("tool_choice")
    if choice is None:
        return None, None
    if "tools" not in body:
        raise ApiError("invalid", "tool_choice: may only be specified while providing tools")
    kind = choice.word("type", "auto", "any", "tool", "none")
    serial = choice.flag("disable_parallel_tool_use")
    if kind == "none" and serial is not None:
        raise ApiError(
            "invalid", "tool_choice.none.disable_parallel_tool_use: Extra inputs are not permitted"
        )
    named = str(choice.need("name")) if kind == "tool" else None
    words = {"auto": "auto", "any": "required", "none": "none"}
    return named or words[str(kind)], None if serial is None else not serial


def _system(body: Fields) -> tuple[Turn, ...]:
    value = body.any("system")
    if value is None:
        return ()
    texts = [Text(value)] if isinstance(value, str) else [_text(block) for block in body.objects("system")]
    return (Turn("system", tuple(texts)),)


def _text(block: Fields) -> Text:
    if not str(block.need("text")).strip():
        raise ApiError("invalid", f"{block.path}: text content blocks must be non-empty")
    return Text(str(block.any("text")))


def _turns(body: Fields, version: str) -> list[Turn]:
    body.need("messages")
    turns: list[Turn] = []
    for message in body.objects("messages"):
        role = message.word("role", "user", "assistant", "system")
        parts = _blocks(message, str(role), version)
        results = tuple(part for part in parts if isinstance(part, Result))
        rest = tuple(part for part in parts if not isinstance(part, Result))
        if results and not isinstance(parts[0], Result):
            raise ApiError("invalid", f"{message.path}: tool_result blocks must come first in the content")
        if results:
            turns.append(Turn("tool", results))
        if rest:
            turns.append(Turn(role, rest))  # type: ignore[arg-type]  # one of the three words above
    if not turns or turns[0].role not in {"user", "system"}:
        raise ApiError("invalid", 'messages: first message must use the "user" role')
    return turns


def _blocks(message: Fields, role: str, version: str) -> list[Part]:
    value = message.need("content")
    if isinstance(value, str):
        if not value:
            raise ApiError("invalid", f"{message.path}: all messages must have non-empty content")
        return [Text(value)]
    blocks = [_block(block, role, version) for block in message.objects("content")]
    if not blocks:
        raise ApiError("invalid", f"{message.path}: all messages must have non-empty content")
    return blocks


def _block(block: Fields, role: str, version: str) -> Part:
    match str(block.need("type")):
        case "text":
            return _text(block)
        case "image":
            return _media(block, "image")
        case "document":
            if role == "assistant" and version >= "2026-10-21":
                raise ApiError(
                    "invalid", f"{block.path}: document blocks are not allowed in assistant messages"
                )
            return _media(block, "file")
        case "thinking":
            return Thinking(block.text("thinking") or "", str(block.need("signature")))
        case "redacted_thinking":
            return Thinking("", str(block.need("data")), redacted=True)
        case "tool_use":
            arguments = block.need("input")
            if not isinstance(arguments, dict):
                raise ApiError("invalid", f"{block.path}.input: Input should be a valid dictionary")
            return Call(str(block.need("id")), str(block.need("name")), arguments)
        case "tool_result":
            if role != "user":
                raise ApiError(
                    "invalid", f"{block.path}: tool_result blocks are only allowed in user messages"
                )
            return _result(block)
        case kind:
            return Other(kind)


def _result(block: Fields) -> Result:
    content = block.any("content")
    parts: list[Text | Media] = []
    if isinstance(content, str):
        parts.append(Text(content))
    elif content is not None:
        parts += [_result_piece(piece) for piece in block.objects("content")]
    return Result(str(block.need("tool_use_id")), tuple(parts), is_error=bool(block.flag("is_error")))


def _result_piece(piece: Fields) -> Text | Media:
    return _media(piece, "image") if piece.any("type") == "image" else Text(piece.text("text") or "")


def _media(block: Fields, kind: Literal["image", "file"]) -> Media:
    source = Fields(block.need("source"), f"{block.path}.source")
    filename = block.text("title")
    match source.word("type", "base64", "url", "file", "text"):
        case "base64":
            media_type = str(source.need("media_type"))
            if kind == "image" and media_type not in _IMAGES:
                raise ApiError(
                    "invalid", f"{source.path}.media_type: Input should be one of {', '.join(_IMAGES)}"
                )
            return media_of_bytes(kind, decoded(str(source.need("data"))), media_type, filename=filename)
        case "url":
            return Media(kind, url=str(source.need("url")), filename=filename)
        case "file":
            return Media(kind, file_id=str(source.need("file_id")), filename=filename)
        case _:
            text = str(source.need("data"))
            return media_of_bytes(kind, text.encode(), source.text("media_type"), filename=filename)
