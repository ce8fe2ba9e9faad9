"""Cohere v2, what goes up: OpenAI-shaped tools and parts, with the plan before calls and the citations kept."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from llmcore.errors import UnsupportedFeatureError
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
    ResponseFormat,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from llmcore.wire.base import Warnings
from llmcore.wire.foreign import TO_COHERE, native, not_adaptive, not_thought_here
from llmcore.wire.media import image_url
from llmcore.wire.read import Json, merged

ORIGIN = "cohere"
PLAN = "tool_plan"
CITATIONS = "citations"

MAX_STOPS = 5
LOWEST_P, HIGHEST_P = 0.01, 0.99

_INPUT_TYPES = {None: "search_document", "document": "search_document", "query": "search_query"}


def chat_body(request: GenerationRequest, warnings: Warnings, *, stream: bool) -> dict[str, Any]:
    """The body of `POST /v2/chat`. Raises UnsupportedFeatureError for files, audio, a schema together with tools (the
    vendor takes one or the other), and more than five stop sequences.
    """
    body: dict[str, Any] = {"model": request.model, "messages": messages(request.messages, warnings)}
    body["stream"] = stream
    _add_tools(request, body, warnings)
    _add_limits(request, body, warnings)
    if request.response_format is not None:
        if "tools" in body:
            raise UnsupportedFeatureError("response_format: Cohere takes no schema together with tools")
        body["response_format"] = _format(request.response_format)
    if request.reasoning is not None and (thinking := _thinking(request.reasoning, warnings)) is not None:
        body["thinking"] = thinking
    return merged(body, native(request.extra, TO_COHERE, warnings))


def embed_body(request: EmbeddingRequest) -> dict[str, Any]:
    """The body of `POST /v2/embed`. `input_type` is required there: document, query, or one of the vendor's own words."""
    input_type = _INPUT_TYPES.get(request.input_type, request.input_type)
    body: dict[str, Any] = {"model": request.model, "texts": list(request.inputs), "input_type": input_type}
    body["embedding_types"] = ["float"]
    if request.dimensions is not None:
        body["output_dimension"] = request.dimensions
    return merged(body, request.extra)


# ----------------------------------------------------------------------------------------------- parameters


def _add_tools(request: GenerationRequest, body: dict[str, Any], warnings: Warnings) -> None:
    """A named tool cannot be forced, but it can be the only one there is."""
    if not request.tools:
        return
    choice = request.tool_choice
    named = [tool for tool in request.tools if tool.name == choice]
    tools = named or list(request.tools)
    body["tools"] = [_tool(tool) for tool in tools]
    if choice == "none":
        body["tool_choice"] = "NONE"
    elif choice not in (None, "auto"):
        body["tool_choice"] = "REQUIRED"
    strict = [bool(tool.strict) for tool in tools]
    if all(strict):
        body["strict_tools"] = True
    elif any(strict):
        warnings.changed("tools.strict", "all tools are strict or none is; not asked for")
    warnings.dropped("parallel_tool_calls", request.parallel_tool_calls)


def _tool(tool: Tool) -> Json:
    function: dict[str, Any] = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    function["parameters"] = tool.parameters
    return {"type": "function", "function": function}


def _add_limits(request: GenerationRequest, body: dict[str, Any], warnings: Warnings) -> None:
    if len(request.stop) > MAX_STOPS:
        raise UnsupportedFeatureError(f"stop: Cohere takes at most {MAX_STOPS} sequences")
    values = {
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "p": _nucleus(request.top_p, warnings),
        "stop_sequences": list(request.stop) or None,
        "seed": request.seed,
    }
    body.update((name, value) for name, value in values.items() if value is not None)


def _nucleus(top_p: float | None, warnings: Warnings) -> float | None:
    if top_p is None:
        return None
    p = min(max(top_p, LOWEST_P), HIGHEST_P)
    if p != top_p:
        warnings.changed("top_p", f"{top_p:g} was sent as {p:g}, the nearest value that Cohere takes")
    return p


def _format(response_format: ResponseFormat) -> Json:
    if isinstance(response_format, JsonSchema):
        return {"type": "json_object", "json_schema": response_format.schema}
    return {"type": "json_object"}


def _thinking(reasoning: Reasoning, warnings: Warnings) -> Json:
    """Thinking is on or off, with a number of tokens; words of effort cannot be said, nor that the model may choose."""
    if reasoning.effort == "none" or reasoning.budget_tokens == 0:
        return {"type": "disabled"}
    if reasoning.adaptive and reasoning.effort is None and reasoning.budget_tokens is None:
        not_adaptive(reasoning, warnings)
        return None
    if reasoning.budget_tokens is None:
        warnings.dropped("reasoning.effort", reasoning.effort, "thinking is on or off here; switched on")
        return {"type": "enabled"}
    return {"type": "enabled", "token_budget": reasoning.budget_tokens}


# ------------------------------------------------------------------------------------------------- messages


def messages(given: Iterable[Message], warnings: Warnings) -> list[Json]:
    """Our messages in Cohere's form; each tool result is a message of its own. Empty messages are refused: left out."""
    out: list[Json] = []
    for message in given:
        warnings.dropped("message.name", message.name)
        if message.role == "tool":
            results = (part for part in message.parts if isinstance(part, ToolResult))
            out += [_result(part, warnings) for part in results]
        elif (told := _message(message, warnings)) != {"role": message.role, "content": ""}:
            out.append(told)
    return out


def _message(message: Message, warnings: Warnings) -> Json:
    out: dict[str, Any] = {"role": message.role}
    blocks: list[dict[str, Any]] = []
    for part in message.parts:
        _add(part, out, blocks, warnings)
    if all(block["type"] == "text" for block in blocks):
        text = "".join(block["text"] for block in blocks)
        content: Json = text if text or len(out) == 1 else None
    else:
        content = blocks
    return out if content is None else {"role": message.role, "content": content, **out}


def _add(part: Part, out: dict[str, Any], blocks: list[dict[str, Any]], warnings: Warnings) -> None:
    match part:
        case Text() | Refusal():
            blocks.append({"type": "text", "text": part.text})
        case Image():
            blocks.append({"type": "image_url", "image_url": _image(part, warnings)})
        case Thinking() if part.origin == ORIGIN and part.raw == PLAN:
            out[PLAN] = out.get(PLAN, "") + part.text
        case Thinking() if part.origin == ORIGIN:
            blocks.append({"type": "thinking", "thinking": part.text})
        case ToolCall():
            out.setdefault("tool_calls", []).append(_call(part))
        case Opaque() if part.origin == ORIGIN and isinstance(part.raw, dict) and CITATIONS in part.raw:
            out[CITATIONS] = part.raw[CITATIONS]
        case Opaque():
            warnings.changed("message.opaque", f"a block of {part.origin!r} means nothing here; not sent")
        case File() | Audio():
            raise UnsupportedFeatureError(
                f"Cohere takes text and images only, no {type(part).__name__.lower()}"
            )
        case Thinking():
            not_thought_here(part, ORIGIN, warnings)
        case ToolResult():
            pass


def _call(call: ToolCall) -> Json:
    function = {"name": call.name, "arguments": call.arguments or "{}"}
    return {"id": call.id, "type": "function", "function": function}


def _result(result: ToolResult, warnings: Warnings) -> Json:
    if result.is_error:
        warnings.changed("message.is_error", "there is no field for it; the text alone was sent")
    if not isinstance(result.content, str) and any(type(part) is not Text for part in result.content):
        raise UnsupportedFeatureError("tool results of Cohere hold nothing but text")
    return {"role": "tool", "tool_call_id": result.call_id, "content": result.text}


def _image(image: Image, warnings: Warnings) -> Json:
    out = {"url": image_url(image)}
    if image.detail == "original":
        warnings.dropped("image.detail", image.detail)
    elif image.detail is not None:
        out["detail"] = image.detail
    return out
