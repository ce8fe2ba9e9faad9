"""What callers may pass: any accepted input to a checked request, or one clear error before any I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from attrs import evolve

from llmcore.errors import InvalidRequestError
from llmcore.types import (
    Audio,
    CachePoint,
    EmbeddingInput,
    EmbeddingRequest,
    File,
    GenerationInput,
    GenerationRequest,
    Image,
    Message,
    Opaque,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from llmcore.types.requests import EMPTY

Q = TypeVar("Q", GenerationRequest, EmbeddingRequest)


def as_generation_request(value: GenerationInput) -> GenerationRequest:
    """Any accepted input as a checked request. Raises InvalidRequestError, naming what is wrong and where."""
    if not isinstance(value, GenerationRequest):
        return new_request(value)
    if not value.checked:
        _check_messages(value.messages)
        _check_tools(value)
        _check_numbers(value)
        object.__setattr__(value, "checked", True)
    return value


def new_request(
    value: str | Message | Sequence[Message],
    *,
    model: str | None = None,
    max_tokens: int | None = None,
    temperature: float | None = None,
    extra: Mapping[str, Any] = EMPTY,
) -> GenerationRequest:
    """A checked request for bare messages, with the caller's defaults. Raises InvalidRequestError."""
    try:
        request = GenerationRequest(value, model, max_tokens=max_tokens, temperature=temperature, extra=extra)
    except TypeError as exc:
        raise InvalidRequestError(
            f"a request is text, a Message, a list of them, or a GenerationRequest: {exc}"
        ) from None
    _check_messages(request.messages)
    object.__setattr__(request, "checked", True)
    return request


def amended(
    request: GenerationRequest,
    *,
    model: str | None,
    max_tokens: int | None,
    temperature: float | None,
    extra: Mapping[str, Any],
) -> GenerationRequest:
    """A checked request with these in it; they are not checked again."""
    deadline, providers = request.deadline, request.providers
    return _remade(request, model, max_tokens, temperature, deadline, extra, providers)


def readdressed(request: Q, model: str | None, deadline: float | None) -> Q:
    """The same question for one provider: its name for the model, what is left of the time. What was checked stays so."""
    if isinstance(request, EmbeddingRequest):
        return evolve(request, model=model, deadline=deadline, providers=())
    return _remade(request, model, request.max_tokens, request.temperature, deadline, request.extra, ())


def _remade(
    request: GenerationRequest,
    model: str | None,
    max_tokens: int | None,
    temperature: float | None,
    deadline: float | None,
    extra: Mapping[str, Any],
    providers: tuple[str, ...],
) -> GenerationRequest:
    """By hand: `evolve` costs twice as much, on every call."""
    made = GenerationRequest(
        request.messages,
        model,
        request.tools,
        request.tool_choice,
        request.parallel_tool_calls,
        temperature,
        request.top_p,
        max_tokens,
        request.stop,
        request.seed,
        request.response_format,
        request.reasoning,
        deadline,
        request.metadata,
        extra,
        providers,
    )
    object.__setattr__(made, "checked", request.checked)
    return made


def as_embedding_request(value: EmbeddingInput) -> EmbeddingRequest:
    """Any accepted input as a checked request. Raises InvalidRequestError."""
    if not isinstance(value, EmbeddingRequest):
        try:
            value = EmbeddingRequest(value)
        except TypeError as exc:
            raise InvalidRequestError(f"embeddings are asked for text or a list of texts: {exc}") from None
    if not value.inputs:
        raise InvalidRequestError("inputs: give at least one text to embed")
    for index, text in enumerate(value.inputs):
        if not isinstance(text, str) or not text:
            raise InvalidRequestError(f"inputs[{index}]: must be non-empty text")
        _check_text(text, f"inputs[{index}]")
    if value.dimensions is not None and value.dimensions < 1:
        raise InvalidRequestError("dimensions: must be at least 1")
    return value


_ALLOWED: dict[str, tuple[type, ...]] = {
    "system": (Text, CachePoint),
    "user": (Text, Image, File, Audio, Opaque, CachePoint),
    "assistant": (Text, Refusal, Image, File, Audio, Thinking, ToolCall, Opaque, CachePoint),
    "tool": (ToolResult, CachePoint),
}
_SPEAKERS = ("user", "assistant", "system")


def _check_messages(messages: tuple[Message, ...]) -> None:
    if not any(getattr(message, "role", None) != "system" for message in messages):
        raise InvalidRequestError("messages: the prompt is empty; give at least one user message")
    called: set[str] = set()
    for index, message in enumerate(messages):
        if not _is_plain(message):
            _check_message(message, f"messages[{index}]", called)


def _is_plain(message: Message) -> bool:
    """Whether it is one piece of ASCII text, as most are: there is nothing in it that could be wrong."""
    if type(message) is not Message or len(message.parts) != 1 or message.role not in _SPEAKERS:
        return False
    part = message.parts[0]
    if type(part) is not Text or type(part.text) is not str:
        return False
    return part.text.isascii() and not part.text.isspace() and part.text != ""


def _check_message(message: Message, where: str, called: set[str]) -> None:
    if not isinstance(message, Message):
        raise InvalidRequestError(f"{where}: must be a Message, not {type(message).__name__}")
    allowed = _ALLOWED.get(message.role)
    if allowed is None:
        raise InvalidRequestError(f"{where}: role {message.role!r} is not one of {', '.join(_ALLOWED)}")
    for part in message.parts:
        if not isinstance(part, allowed):
            raise InvalidRequestError(
                f"{where}: a {message.role} message cannot hold a {type(part).__name__} part"
            )
        _check_part(part, where, called)
    if message.parts and type(message.parts[0]) is CachePoint:
        raise InvalidRequestError(f"{where}: a CachePoint stands behind what it marks, never first")
    if message.role == "user" and not any(
        type(part) is not CachePoint and (type(part) is not Text or part.text.strip())
        for part in message.parts
    ):
        raise InvalidRequestError(f"{where}: the prompt is empty")


def _check_part(part: Part, where: str, called: set[str]) -> None:
    if isinstance(part, Text):
        _check_text(part.text, where)
    elif isinstance(part, ToolCall):
        called.add(part.id)
    elif isinstance(part, ToolResult):
        _check_text(part.text, where)
        if part.call_id not in called:
            raise InvalidRequestError(
                f"{where}: tool result for {part.call_id!r}, which no assistant message before it called"
            )


def _check_text(text: str, where: str) -> None:
    if not isinstance(text, str):
        raise InvalidRequestError(f"{where}: text must be str, not {type(text).__name__}")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as exc:
            raise InvalidRequestError(
                f"{where}: text is not valid Unicode (lone surrogate at character {exc.start})"
            ) from None


def _check_tools(request: GenerationRequest) -> None:
    names: set[str] = set()
    for index, tool in enumerate(request.tools):
        where = f"tools[{index}]"
        if not tool.name or not all(char.isalnum() or char in "_-." for char in tool.name):
            raise InvalidRequestError(f"{where}.name: {tool.name!r} must be letters, digits, '_', '-' or '.'")
        if tool.name in names:
            raise InvalidRequestError(f"{where}.name: {tool.name!r} is given twice")
        names.add(tool.name)
        check_schema(tool.parameters, f"{where}.parameters", top="object")
    choice = request.tool_choice
    if choice in (None, "auto", "none"):
        return
    if not request.tools:
        raise InvalidRequestError(f"tool_choice: {choice!r} needs tools")
    if choice != "required" and choice not in names:
        raise InvalidRequestError(
            f"tool_choice: {choice!r} is neither auto, none, required nor one of {', '.join(sorted(names))}"
        )


_BOUNDS: tuple[tuple[str, float, float], ...] = (
    ("temperature", 0, 2),
    ("top_p", 0, 1),
    ("max_tokens", 1, float("inf")),
    ("deadline", 0, float("inf")),
)


def _check_numbers(request: GenerationRequest) -> None:
    for name, low, high in _BOUNDS:
        value = getattr(request, name)
        if value is not None and (
            isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high
        ):
            bound = f"from {low:g} to {high:g}" if high != float("inf") else f"at least {low:g}"
            raise InvalidRequestError(f"{name}: {value!r} must be a number {bound}")
    response_format = request.response_format
    if response_format is not None and response_format != "json":
        check_schema(response_format.schema, "response_format.schema")


_TYPES = {"object", "array", "string", "number", "integer", "boolean", "null"}


def check_schema(schema: Any, where: str, *, top: str | None = None) -> None:
    """Whether `schema` can be a JSON schema at all. Raises InvalidRequestError with the path of the fault."""
    if isinstance(schema, bool) and top is None:
        return
    if not hasattr(schema, "keys"):
        raise InvalidRequestError(f"{where}: a JSON schema is an object, not {type(schema).__name__}")
    kind = schema.get("type")
    kinds = kind if isinstance(kind, (list, tuple)) else [kind]
    for one in kinds:
        if one is not None and (not isinstance(one, str) or one.lower() not in _TYPES):
            raise InvalidRequestError(f"{where}.type: {one!r} is not one of {', '.join(sorted(_TYPES))}")
    if top is not None and schema and kind is not None and kind != top:
        raise InvalidRequestError(f"{where}.type: must be {top!r}, not {kind!r}")
    _check_members(schema, where)


def _check_members(schema: Any, where: str) -> None:
    for key in ("properties", "$defs", "definitions"):
        members = schema.get(key, {})
        if not hasattr(members, "items"):
            raise InvalidRequestError(
                f"{where}.{key}: must be an object of schemas, not {type(members).__name__}"
            )
        for name, member in members.items():
            check_schema(member, f"{where}.{key}.{name}")
    for key in ("anyOf", "oneOf", "allOf"):
        members = schema.get(key, [])
        if not isinstance(members, (list, tuple)):
            raise InvalidRequestError(f"{where}.{key}: must be a list of schemas")
        for index, member in enumerate(members):
            check_schema(member, f"{where}.{key}[{index}]")
    items = schema.get("items")
    if items is not None and not isinstance(items, (list, tuple)):
        check_schema(items, f"{where}.items")
    required = schema.get("required", [])
    if not isinstance(required, (list, tuple)) or not all(isinstance(name, str) for name in required):
        raise InvalidRequestError(f"{where}.required: must be a list of property names")
