"""Messages in the OpenAI dialect: turns and their parts to what the vendor reads, by the data of one `OpenAIWire`."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from llmcore.errors import UnsupportedFeatureError
from llmcore.types import (
    Audio,
    File,
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
from llmcore.wire.base import Warnings
from llmcore.wire.foreign import not_thought_here
from llmcore.wire.read import Json
from llmcore.wire.system import at_the_top

if TYPE_CHECKING:
    from llmcore.wire.openai import OpenAIWire


def add(
    wire: OpenAIWire,
    warnings: Warnings,
    body: dict[str, Any],
    name: str,
    value: Json,
    field: str | None = None,
) -> None:
    """A parameter under its field's name, or a warning where the vendor does not take it."""
    if name in wire.without:
        warnings.dropped(name, value)
    elif value is not None:
        body[field or name] = value


def messages(wire: OpenAIWire, request: GenerationRequest, warnings: Warnings) -> list[Json]:
    given = at_the_top(request.messages, warnings) if wire.one_system else request.messages
    out: list[Json] = []
    for message in given:
        if message.role == "tool":
            out.extend(
                _tool_result(wire, part, warnings) for part in message.parts if isinstance(part, ToolResult)
            )
            continue
        encoded = _ENCODERS[message.role](wire, message, warnings)
        if message.name is not None:
            add(wire, warnings, encoded, "name", message.name)
        out.append(encoded)
    return out


def _system(wire: OpenAIWire, message: Message, warnings: Warnings) -> dict[str, Any]:
    return {"role": wire.system_role, "content": message.text}


def _user(wire: OpenAIWire, message: Message, warnings: Warnings) -> dict[str, Any]:
    return {"role": "user", "content": content(wire, message.parts, warnings)}


def content(wire: OpenAIWire, parts: tuple[Part, ...], warnings: Warnings) -> str | list[Json]:
    """Plain text as a string, which everybody takes; anything else as a list of parts."""
    if len(parts) == 1 and type(parts[0]) is Text:
        return parts[0].text
    if all(type(part) is Text for part in parts):
        return "".join(part.text for part in parts if isinstance(part, Text))
    encoded = (_part(wire, part, warnings) for part in parts)
    return [part for part in encoded if part is not None]


def _part(wire: OpenAIWire, part: Part, warnings: Warnings) -> Json:
    match part:
        case Text():
            return {"type": "text", "text": part.text}
        case Image():
            wire.need("images", "this provider takes no images")
            return wire.image_part(part, warnings)
        case File():
            wire.need("files", "this provider takes no files")
            return wire.file_part(part, warnings)
        case Audio():
            wire.need("audio", "this provider takes no audio")
            return wire.audio_part(part)
        case Opaque():
            return _opaque(wire, part, warnings)
        case _:
            return None


def _opaque(wire: OpenAIWire, part: Opaque, warnings: Warnings) -> Json:
    """A content part in the dialect's own words, as it is. Notes about an answer (citations) do not go back."""
    if part.origin not in {wire.origin, wire.dialect}:
        warnings.changed("messages", f"a block that only {part.origin} understands was left out")
        return None
    return part.raw if isinstance(part.raw, dict) and "type" in part.raw else None


def _tool_result(wire: OpenAIWire, part: ToolResult, warnings: Warnings) -> dict[str, Any]:
    if part.is_error:
        warnings.changed("messages.is_error", "there is no field for it; the text alone was sent")
    if not isinstance(part.content, str) and any(type(item) is not Text for item in part.content):
        wire.need("tool_images", "tool results of this provider hold nothing but text")
    told = part.content if isinstance(part.content, str) else content(wire, part.content, warnings)
    return {"role": "tool", "tool_call_id": wire.call_id(part.call_id), "content": told}


def _assistant(wire: OpenAIWire, message: Message, warnings: Warnings) -> dict[str, Any]:
    calls = [_call(wire, call) for call in message.tool_calls]
    out: dict[str, Any] = {"role": "assistant", "content": None}
    blocks: list[Json] = []
    for part in message.parts:
        match part:
            case Thinking():
                _add_thinking(wire, part, out, blocks, with_calls=bool(calls))
                not_thought_here(part, wire.origin, warnings)
            case Refusal() if "refusal" in wire.features:
                out["refusal"] = out.get("refusal", "") + part.text
            case Refusal():
                blocks.append({"type": "text", "text": part.text})
            case Image():
                wire.need("assistant_images", "this provider takes no images in the assistant's own messages")
                out.setdefault("images", []).append(wire.image_part(part, warnings))
            case ToolCall():
                pass
            case Opaque() if isinstance(part.raw, dict) and "audio" in part.raw:
                _add_audio(wire, part, out)
            case _ if (block := _part(wire, part, warnings)) is not None:
                blocks.append(block)
    if blocks:
        plain = all(block.get("type") == "text" for block in blocks)
        out["content"] = "".join(block["text"] for block in blocks) if plain else blocks
    elif not calls and len(out) == 2:
        out["content"] = ""
    if calls:
        out["tool_calls"] = calls
    return wire.assistant_message(out)  # type: ignore[no-any-return]  # a hook over JSON


def _add_thinking(
    wire: OpenAIWire, part: Thinking, out: dict[str, Any], blocks: list[Json], *, with_calls: bool
) -> None:
    """The vendor's own reasoning, back in the form in which it came: details, a content block, or plain text."""
    if part.origin != wire.origin or not wire.reasoning_back:
        return
    if isinstance(part.raw, list):
        out.setdefault("reasoning_details", []).extend(part.raw)
    elif isinstance(part.raw, dict):
        blocks.append(part.raw)
    elif part.raw == "thinking":
        blocks.append({"type": "thinking", "thinking": [{"type": "text", "text": part.text}]})
    elif isinstance(part.raw, str) and with_calls:
        out[part.raw] = out.get(part.raw, "") + part.text


def _add_audio(wire: OpenAIWire, part: Opaque, out: dict[str, Any]) -> None:
    """Spoken answers go back by their id alone."""
    if part.origin == wire.origin and "audio" in wire.features and part.raw["audio"].get("id"):
        out["audio"] = {"id": part.raw["audio"]["id"]}


def _call(wire: OpenAIWire, call: ToolCall) -> Json:
    out: dict[str, Any] = {
        "id": wire.call_id(call.id),
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments or "{}"},
    }
    if call.signature is not None and call.origin == wire.origin:
        out["extra_content"] = {"google": {"thought_signature": call.signature}}
    return out


_ENCODERS: dict[str, Callable[[OpenAIWire, Message, Warnings], dict[str, Any]]] = {
    "system": _system,
    "user": _user,
    "assistant": _assistant,
}


def short_id(call_id: str, limit: int | None) -> str:
    """Another vendor's long id, cut to the limit by its hash: the same id always gives the same one."""
    if limit is None or len(call_id) <= limit:
        return call_id
    return "call_" + hashlib.sha256(call_id.encode()).hexdigest()[: limit - 5]


# ------------------------------------------------------------------------------------------------- content


def data_uri(data: bytes, media_type: str) -> str:
    return f"data:{media_type};base64,{b64encode(data).decode()}"


def image_url(image: Image) -> str:
    """The image's address: its own, or its bytes as a data URI."""
    if image.data is None:
        assert image.url is not None
        return image.url
    return data_uri(image.data, image.media_type or "image/png")


def image_part(wire: OpenAIWire, image: Image, warnings: Warnings) -> Json:
    told: dict[str, Any] = {"url": image_url(image)}
    add(wire, warnings, told, "detail", image.detail)
    return {"type": "image_url", "image_url": told}


def file_part(wire: OpenAIWire, file: File) -> Json:
    told: dict[str, Any] = {}
    if file.file_id is not None:
        told["file_id"] = file.file_id
    elif file.data is not None:
        told["filename"] = file.filename or "file"
        told["file_data"] = data_uri(file.data, file.media_type or "application/octet-stream")
    else:
        wire.need("file_urls", "this provider takes files by their bytes or id, not by URL")
        told["filename"] = file.filename or "file"
        told["file_data"] = file.url
    return {"type": "file", "file": told}


_AUDIO_FORMATS = {
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
}


def audio_part(audio: Audio) -> Json:
    sound = _AUDIO_FORMATS.get(audio.media_type.partition(";")[0].strip().lower())
    if sound is None:
        raise UnsupportedFeatureError(f"audio must be WAV or MP3 here, not {audio.media_type}")
    return {"type": "input_audio", "input_audio": {"data": b64encode(audio.data).decode(), "format": sound}}
