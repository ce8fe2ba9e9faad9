"""Ollama's native chat, what goes up: messages with raw base64 images, options, `think`, and the schema in `format`."""

from __future__ import annotations

from base64 import b64encode
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote_to_bytes

from llmcore.errors import InvalidRequestError, UnsupportedFeatureError
from llmcore.types import (
    Audio,
    EmbeddingRequest,
    File,
    GenerationRequest,
    Image,
    JsonSchema,
    Message,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from llmcore.wire.base import Warnings
from llmcore.wire.foreign import TO_OLLAMA, native, not_adaptive, not_thought_here
from llmcore.wire.read import Json, merged
from llmcore.wire.system import at_the_top

ORIGIN = "ollama"

_PENALTIES = ("frequency_penalty", "presence_penalty")
"""Fields of chat completions that stand among the options here."""

_LEVELS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "high"}


def chat_body(request: GenerationRequest, warnings: Warnings, *, stream: bool) -> dict[str, Any]:
    """The body of `POST /api/chat`. `stream` is always said, since the server streams where it is not.

    Raises UnsupportedFeatureError for files, audio, images by URL, and a forced tool choice.
    """
    body: dict[str, Any] = {"model": request.model, "messages": messages(request.messages, warnings)}
    body["stream"] = stream
    if tools := _tools(request, warnings):
        body["tools"] = tools
    if request.response_format is not None:
        body["format"] = _format(request.response_format)
    if request.reasoning is not None and (think := _think(request.reasoning, warnings)) is not None:
        body["think"] = think
    if options := _options(request):
        body["options"] = options
    extra = {name: value for name, value in request.extra.items() if name not in _PENALTIES}
    return merged(body, native(extra, TO_OLLAMA, warnings))


def embed_body(request: EmbeddingRequest, warnings: Warnings) -> dict[str, Any]:
    """The body of `POST /api/embed`."""
    warnings.dropped("input_type", request.input_type)
    body: dict[str, Any] = {"model": request.model, "input": list(request.inputs)}
    if request.dimensions is not None:
        body["dimensions"] = request.dimensions
    return merged(body, request.extra)


# ----------------------------------------------------------------------------------------------- parameters


def _tools(request: GenerationRequest, warnings: Warnings) -> list[Json]:
    """The dialect has no tool choice: none means that no tools are sent; a forced call cannot be said."""
    if not request.tools or request.tool_choice == "none":
        return []
    if request.tool_choice not in (None, "auto"):
        raise UnsupportedFeatureError(f"tool_choice: Ollama cannot be made to call {request.tool_choice!r}")
    warnings.dropped("parallel_tool_calls", request.parallel_tool_calls)
    if any(tool.strict for tool in request.tools):
        warnings.dropped("tools.strict", True)
    return [_tool(tool) for tool in request.tools]


def _tool(tool: Tool) -> Json:
    function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": function}


def _format(response_format: str | JsonSchema) -> Json:
    return response_format.schema if isinstance(response_format, JsonSchema) else "json"


def _think(reasoning: Reasoning, warnings: Warnings) -> bool | str | None:
    """`think` is on, off, or one of three levels; a number of tokens cannot be said."""
    warnings.dropped("reasoning.budget_tokens", reasoning.budget_tokens)
    effort = reasoning.effort
    if effort is None:
        not_adaptive(reasoning, warnings)
        return None if reasoning.budget_tokens is None else True
    if effort == "none":
        return False
    level = _LEVELS[effort]
    if level != effort:
        warnings.changed("reasoning.effort", f"{effort!r} was sent as {level!r}, the nearest level here")
    return level


def _options(request: GenerationRequest) -> dict[str, Any]:
    options = {
        "num_predict": request.max_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "seed": request.seed,
        "stop": list(request.stop) or None,
        **{name: request.extra.get(name) for name in _PENALTIES},
    }
    return {name: value for name, value in options.items() if value is not None}


# ------------------------------------------------------------------------------------------------- messages


def messages(given: Iterable[Message], warnings: Warnings) -> list[Json]:
    """Our messages in Ollama's form; each tool result is a message of its own."""
    out: list[Json] = []
    names: dict[str, str] = {}
    for message in at_the_top(tuple(given), warnings):
        warnings.dropped("message.name", message.name)
        names.update((call.id, call.name) for call in message.tool_calls)
        if message.role == "tool":
            results = (part for part in message.parts if isinstance(part, ToolResult))
            out += [_result(part, names.get(part.call_id), warnings) for part in results]
        else:
            out.append(_message(message, warnings))
    return out


def _message(message: Message, warnings: Warnings) -> Json:
    out: dict[str, Any] = {"role": message.role, "content": ""}
    for part in message.parts:
        _add(part, out, warnings)
    return out


def _add(part: Part, out: dict[str, Any], warnings: Warnings) -> None:
    match part:
        case Text() | Refusal():
            out["content"] += part.text
        case Image():
            out.setdefault("images", []).append(_image(part, warnings))
        case Thinking() if part.origin == ORIGIN:
            out["thinking"] = out.get("thinking", "") + part.text
        case Thinking():
            not_thought_here(part, ORIGIN, warnings)
        case ToolCall():
            out.setdefault("tool_calls", []).append(_call(part, warnings))
        case File() | Audio():
            raise UnsupportedFeatureError(
                f"Ollama takes text and images only, no {type(part).__name__.lower()}"
            )
        case Opaque():
            warnings.changed("message.opaque", f"a block of {part.origin!r} means nothing here; not sent")
        case ToolResult():
            pass


def _call(call: ToolCall, warnings: Warnings) -> Json:
    arguments: Json
    if (fault := call.parse_error) is None:
        arguments = call.input
    else:
        warnings.changed("tool_call.arguments", f"sent inside an object, since they are no object: {fault}")
        arguments = {"INVALID_JSON": call.arguments}
    return {"id": call.id, "function": {"name": call.name, "arguments": arguments}}


def _result(result: ToolResult, name: str | None, warnings: Warnings) -> Json:
    if result.is_error:
        warnings.changed("message.is_error", "there is no field for it; the text alone was sent")
    out: dict[str, Any] = {"role": "tool", "content": ""}
    for part in (Text(result.content),) if isinstance(result.content, str) else result.content:
        _add(part, out, warnings)
    if tool := result.name or name:
        out["tool_name"] = tool
    out["tool_call_id"] = result.call_id
    return out


def _image(image: Image, warnings: Warnings) -> str:
    """An image as bare base64; the server fetches no addresses."""
    if image.detail != "auto":
        warnings.dropped("image.detail", image.detail)
    if image.data is not None:
        return b64encode(image.data).decode()
    return _inline(image.url or "")


def _inline(url: str) -> str:
    head, comma, data = url.partition(",")
    if head[:5].lower() != "data:" or not comma:
        raise UnsupportedFeatureError("Ollama takes images by their bytes or a data URI, not by address")
    if not head.lower().endswith(";base64"):
        return b64encode(unquote_to_bytes(data)).decode()
    try:
        return b64encode(a2b_base64(unquote_to_bytes(data))).decode()
    except Base64Error as exc:
        raise InvalidRequestError(f"image: the data URI is not base64: {exc}") from None
