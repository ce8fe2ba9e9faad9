"""Requests in the OpenAI Responses dialect: messages become a flat list of items, leading system text `instructions`.

Stateless by default: `store` is false, and the sealed reasoning is asked for, so that it can go back with the tool
calls that it led to; `extra` may say otherwise. Source: the OpenAI OpenAPI specification 2.3 (`CreateResponse`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from llmcore.errors import UnsupportedFeatureError
from llmcore.types import (
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
from llmcore.wire.foreign import TO_RESPONSES, native, not_adaptive, not_thought_here
from llmcore.wire.openai_encode import known_effort, prompted
from llmcore.wire.openai_messages import data_uri, image_url
from llmcore.wire.read import Json, as_dict, merged

if TYPE_CHECKING:
    from llmcore.wire.responses import ResponsesWire

SEALED = "reasoning.encrypted_content"
MIN_OUTPUT = 16
"""The least `max_output_tokens` that OpenAI takes."""


def response_body(
    wire: ResponsesWire, request: GenerationRequest, warnings: Warnings, *, stream: bool
) -> dict[str, Any]:
    """The body of a request. Raises UnsupportedFeatureError for what the dialect has no word for."""
    asked = prompted(wire, request, warnings)
    body: dict[str, Any] = {} if request.model is None else {"model": request.model}
    stored = _is_stored(wire, request)
    body.update(wire.constants)
    body["input"] = _input(wire, asked.messages, warnings, stored=stored)
    if instructions := "\n\n".join(message.text for message in _leading(asked.messages)):
        body["instructions"] = instructions
    _add_tools(wire, request, warnings, body)
    _add_limits(wire, request, warnings, body)
    if (answer := _answer_format(wire, request)) is not None:
        body["text"] = {"format": answer}
    if request.reasoning is not None and (reasoning := _reasoning(wire, request.reasoning, warnings)):
        body["reasoning"] = reasoning
    if wire.stateless:
        body["store"] = False
        if not stored and not (request.model or "").startswith(wire.unsealed_models):
            body["include"] = [SEALED]
    if stream:
        body["stream"] = True
    return merged(body, _own(native(request.extra, TO_RESPONSES, warnings)))


def _own(extra: Mapping[str, Any]) -> Mapping[str, Any]:
    """`verbosity`, a field of its own in chat completions, stands beside the format of the text here."""
    if "verbosity" not in extra:
        return extra
    rest = {name: value for name, value in extra.items() if name != "verbosity"}
    told = rest.get("text")
    text = told if isinstance(told, Mapping) else {}
    return {**rest, "text": {"verbosity": extra["verbosity"], **text}}


def _is_stored(wire: ResponsesWire, request: GenerationRequest) -> bool:
    """Whether the vendor will know earlier items by their ids."""
    return bool(request.extra.get("store", not wire.stateless))


# ----------------------------------------------------------------------------------------------- parameters


def _add_tools(
    wire: ResponsesWire, request: GenerationRequest, warnings: Warnings, body: dict[str, Any]
) -> None:
    if not request.tools:
        return
    wire.need("tools", "this provider takes no tools")
    body["tools"] = [_tool(tool) for tool in request.tools]
    choice = request.tool_choice
    if choice in {"auto", "none", "required"}:
        body["tool_choice"] = choice
    elif choice is not None:
        body["tool_choice"] = {"type": "function", "name": choice}
    _add(wire, warnings, body, "parallel_tool_calls", request.parallel_tool_calls)


def _tool(tool: Tool) -> Json:
    """Tools are strict here unless told otherwise; unsaid means the same as in the chat dialect: not strict."""
    told: dict[str, Any] = {"type": "function", "name": tool.name}
    if tool.description:
        told["description"] = tool.description
    return {**told, "parameters": tool.parameters, "strict": bool(tool.strict)}


def _add_limits(
    wire: ResponsesWire, request: GenerationRequest, warnings: Warnings, body: dict[str, Any]
) -> None:
    _add(wire, warnings, body, "temperature", request.temperature)
    _add(wire, warnings, body, "top_p", request.top_p)
    if request.max_tokens is not None:
        body["max_output_tokens"] = max(request.max_tokens, MIN_OUTPUT)
        if request.max_tokens < MIN_OUTPUT:
            warnings.changed("max_tokens", f"{request.max_tokens} raised to {MIN_OUTPUT}, the least")
    warnings.dropped("stop", request.stop)
    warnings.dropped("seed", request.seed)


def _add(wire: ResponsesWire, warnings: Warnings, body: dict[str, Any], name: str, value: Json) -> None:
    """A parameter, or a warning where the vendor does not take it."""
    if name in wire.without:
        warnings.dropped(name, value)
    elif value is not None:
        body[name] = value


def _answer_format(wire: ResponsesWire, request: GenerationRequest) -> Json:
    wanted = request.response_format
    if wanted is None or wire.structured == "prompt":
        return None
    if not isinstance(wanted, JsonSchema) or wire.structured == "json_object":
        return {"type": "json_object"}
    told = {"type": "json_schema", "name": wanted.name, "schema": wanted.schema, "strict": wanted.strict}
    return told if wanted.description is None else {**told, "description": wanted.description}


def _reasoning(wire: ResponsesWire, reasoning: Reasoning, warnings: Warnings) -> dict[str, Any]:
    warnings.dropped("reasoning.budget_tokens", reasoning.budget_tokens, "only effort words; not sent")
    if reasoning.effort is None:
        not_adaptive(reasoning, warnings)
        return {}
    return {"effort": known_effort(wire, reasoning.effort, warnings)}


# ----------------------------------------------------------------------------------------------------- items


def _leading(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """The system messages at the start."""
    count = next((place for place, message in enumerate(messages) if message.role != "system"), len(messages))
    return messages[:count]


def _input(
    wire: ResponsesWire, messages: tuple[Message, ...], warnings: Warnings, *, stored: bool
) -> list[Json]:
    items: list[Json] = []
    for message in messages[len(_leading(messages)) :]:
        warnings.dropped("name", message.name)
        if message.role == "system":
            items.append({"type": "message", "role": wire.system_role, "content": message.text})
        elif message.role == "user":
            items.extend(_user(wire, message, warnings))
        elif message.role == "assistant":
            items.extend(_assistant(wire, message, warnings, stored=stored))
        else:
            items.extend(
                _result(wire, part, warnings) for part in message.parts if isinstance(part, ToolResult)
            )
    return items


def _user(wire: ResponsesWire, message: Message, warnings: Warnings) -> list[Json]:
    """Items of the dialect's own (results of tools that only it has) as they are, then what the user said."""
    items: list[Json] = []
    said: list[Part] = []
    for part in message.parts:
        if isinstance(part, Opaque) and not _is_content(part):
            items.extend(_opaque(wire, part, warnings))
        elif not isinstance(part, Opaque) or _opaque(wire, part, warnings):
            said.append(part)
    told = [{"type": "message", "role": "user", "content": _content(wire, said)}] if said else []
    return [*items, *told]


def _is_content(part: Opaque) -> bool:
    """Whether it is a content part of a message, not an item."""
    return str(as_dict(part.raw).get("type")).startswith("input_")


def _content(wire: ResponsesWire, parts: Iterable[Part]) -> str | list[Json]:
    """Plain text as a string, which everybody takes; anything else as a list of parts."""
    parts = tuple(parts)
    if all(type(part) is Text for part in parts):
        return "".join(part.text for part in parts if isinstance(part, Text))
    return [_part(wire, part) for part in parts]


def _part(wire: ResponsesWire, part: Part) -> Json:
    match part:
        case Text():
            return {"type": "input_text", "text": part.text}
        case Image():
            wire.need("images", "this provider takes no images")
            return {"type": "input_image", "detail": part.detail or "auto", "image_url": image_url(part)}
        case File():
            wire.need("files", "this provider takes no files")
            return _file(part)
        case Opaque():
            return part.raw
        case _:
            raise UnsupportedFeatureError(f"the Responses API takes no {type(part).__name__.lower()} input")


def _file(file: File) -> Json:
    if file.file_id is not None:
        return {"type": "input_file", "file_id": file.file_id}
    if file.url is not None:
        return {"type": "input_file", "file_url": file.url}
    data = data_uri(file.data or b"", file.media_type or "application/octet-stream")
    return {"type": "input_file", "filename": file.filename or "file", "file_data": data}


def _assistant(wire: ResponsesWire, message: Message, warnings: Warnings, *, stored: bool) -> list[Json]:
    items: list[Json] = []
    said: dict[str, Any] | None = None
    for part in message.parts:
        if isinstance(part, (Text, Refusal)):
            said = _say(wire, part, said, items)
            continue
        said = None
        match part:
            case Thinking():
                items.extend(_thinking(wire, part, stored=stored))
                not_thought_here(part, wire.origin, warnings)
            case ToolCall():
                items.append(_call(wire, part))
            case Opaque():
                items.extend(_opaque(wire, part, warnings))
            case _:
                raise UnsupportedFeatureError(
                    f"the Responses API takes no {type(part).__name__.lower()} in the assistant's own messages"
                )
    return items


def _say(
    wire: ResponsesWire, part: Text | Refusal, last: dict[str, Any] | None, items: list[Json]
) -> dict[str, Any]:
    """Put what the assistant said into the `last` message, or into a new one, and return that message."""
    phase = part.signature if isinstance(part, Text) and part.origin == wire.origin else None
    plain = last is not None and "phase" not in last and phase is None
    if last is None or not plain or (isinstance(part, Text) and not isinstance(last["content"], str)):
        last = {"type": "message", "role": "assistant", "content": ""}
        if phase is not None:
            last["phase"] = phase
        items.append(last)
    if isinstance(part, Text):
        last["content"] += part.text
    else:
        last["content"] = [*_spoken(last["content"]), {"type": "refusal", "refusal": part.text}]
    return last


def _spoken(content: str | list[Json]) -> list[Json]:
    if isinstance(content, list):
        return content
    return [{"type": "output_text", "text": content}] if content else []


def _thinking(wire: ResponsesWire, part: Thinking, *, stored: bool) -> list[Json]:
    """Its own reasoning, whole. An item with nothing but an id says nothing to a vendor that has not stored it."""
    if part.origin != wire.origin:
        return []
    if isinstance(part.raw, dict):
        told = stored or part.raw.get("encrypted_content") or part.raw.get("content")
        return [part.raw] if told else []
    if part.signature is None:
        return []
    summary = [{"type": "summary_text", "text": part.text}] if part.text else []
    return [{"type": "reasoning", "summary": summary, "encrypted_content": part.signature}]


def _opaque(wire: ResponsesWire, part: Opaque, warnings: Warnings) -> list[Json]:
    """An item of the dialect's own, as it came. Notes about an answer (citations) are no items and do not go back."""
    if part.origin != wire.origin:
        warnings.changed("messages", f"a block that only {part.origin} understands was left out")
        return []
    return [part.raw] if isinstance(part.raw, dict) and "type" in part.raw else []


def _call(wire: ResponsesWire, call: ToolCall) -> Json:
    return {
        "type": "function_call",
        "call_id": wire.call_id(call.id),
        "name": call.name,
        "arguments": call.arguments or "{}",
    }


def _result(wire: ResponsesWire, part: ToolResult, warnings: Warnings) -> Json:
    if part.is_error:
        warnings.changed("messages.is_error", "there is no field for it; the text alone was sent")
    told = part.content if isinstance(part.content, str) else _content(wire, part.content)
    return {"type": "function_call_output", "call_id": wire.call_id(part.call_id), "output": told}
