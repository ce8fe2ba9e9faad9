"""Messages as Gemini's `contents`: turns of `user` and `model`, made of parts.

Function results of one turn stand together in one user turn, in the order of their calls, since Gemini matches them by
name and order where there are no ids.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import count
from typing import Any

import msgspec
from attrs import frozen

from llmcore.errors import InvalidRequestError
from llmcore.types import (
    Audio,
    CachePoint,
    File,
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
from llmcore.wire.gemini_media import file_part, image_part, inline

_OWN_ID = re.compile(r"call_\d+(?:_[0-9a-f]{8})?")
"""Ids that the decoder made because the vendor sent none (the gateway makes them longer); the vendor does not know them."""


@frozen
class Dialect:
    """What a wire tells its encoder.

    origin: whose signatures and blocks are sent back. files_url: what a bare file id is appended to.
    unsigned: sent as the signature of a call that another vendor's model made, for models that refuse calls without
    one (Google's documented value for conversations that come from elsewhere).
    """

    origin: str = "gemini"
    files_url: str = "https://generativelanguage.googleapis.com/v1beta/"
    unsigned: str = "skip_thought_signature_validator"


def contents_of(
    messages: tuple[Message, ...], dialect: Dialect, warnings: Warnings, *, signed: bool
) -> list[dict[str, Any]]:
    """All turns but the system's; `signed` asks for a signature on the calls of the current turn."""
    contents: list[dict[str, Any]] = []
    results: list[tuple[int, dict[str, Any]]] = []
    calls: dict[str, tuple[int, str]] = {}
    numbers = count()
    current = max((at for at, message in enumerate(messages) if message.role == "user"), default=-1)
    for at, message in enumerate(messages):
        if message.role == "system":
            continue
        if message.role == "tool":
            results.extend(_results(message, calls, dialect, warnings))
            continue
        _add_results(contents, results)
        warnings.dropped("messages.name", message.name)
        parts = parts_of(message.parts, dialect, warnings)
        if message.role == "assistant":
            for call in message.tool_calls:
                calls[call.id] = (next(numbers), call.name)
            if signed and at > current:
                _sign_first_call(parts, dialect.unsigned)
        if parts:
            contents.append({"role": "model" if message.role == "assistant" else "user", "parts": parts})
    _add_results(contents, results)
    return contents


def parts_of(parts: Iterable[Part], dialect: Dialect, warnings: Warnings) -> list[dict[str, Any]]:
    """The parts of one message; private notes of other vendors stay out, which is told."""
    out: list[dict[str, Any]] = []
    for part in parts:
        if type(part) is Thinking:
            not_thought_here(part, dialect.origin, warnings)
        if isinstance(part, Opaque) and part.origin == dialect.origin and _is_mark(part.raw):
            if out:
                out[-1] = {**out[-1], **part.raw}
        elif (encoded := _part(part, dialect, warnings)) is not None:
            out.append(encoded)
    return out


def _part(part: Part, dialect: Dialect, warnings: Warnings) -> dict[str, Any] | None:
    match part:
        case Text():
            encoded = _marked({"text": part.text}, part, dialect)
            return encoded if part.text or len(encoded) > 1 else None
        case Refusal():
            return {"text": part.text}
        case Image():
            return image_part(part, warnings)
        case File():
            return file_part(part, dialect.files_url)
        case Audio():
            return inline(part.data, part.media_type)
        case Thinking() if part.origin == dialect.origin:
            return _marked({"text": part.text, "thought": True}, part, dialect)
        case Thinking() | CachePoint():
            return None
        case ToolCall():
            return _marked({"functionCall": _call(part, warnings)}, part, dialect)
        case Opaque() if part.origin == dialect.origin and isinstance(part.raw, dict):
            return part.raw
        case Opaque():
            warnings.changed("messages", f"a block that only {part.origin} understands is not sent")
            return None
        case ToolResult():
            raise InvalidRequestError("messages: a tool result belongs into a tool message")


def _marked(encoded: dict[str, Any], part: Text | Thinking | ToolCall, dialect: Dialect) -> dict[str, Any]:
    if part.signature and part.origin == dialect.origin:
        encoded["thoughtSignature"] = part.signature
    return encoded


def _is_mark(raw: Any) -> bool:
    """A signature that came on a part which has no field for it, such as an image."""
    return isinstance(raw, dict) and raw.keys() == {"thoughtSignature"}


def _sign_first_call(parts: list[dict[str, Any]], signature: str) -> None:
    calls = [part for part in parts if "functionCall" in part]
    if calls and signature and not any("thoughtSignature" in part for part in calls):
        calls[0]["thoughtSignature"] = signature


def _call(call: ToolCall, warnings: Warnings) -> dict[str, Any]:
    args = json_object(call.arguments or "{}")
    if args is None:
        warnings.changed("messages", f"arguments of {call.name!r} that are no JSON object are sent as text")
        args = {"arguments": call.arguments}
    return {**_id(call.id), "name": call.name, "args": args}


def _id(call_id: str) -> dict[str, str]:
    return {} if not call_id or _OWN_ID.fullmatch(call_id) else {"id": call_id}


def _results(
    message: Message, calls: dict[str, tuple[int, str]], dialect: Dialect, warnings: Warnings
) -> list[tuple[int, dict[str, Any]]]:
    """The function responses of one message, each with the number of the call it answers."""
    found: list[tuple[int, dict[str, Any]]] = []
    for result in message.parts:
        if isinstance(result, ToolResult):
            number, name = calls.get(result.call_id, (len(calls), result.name or ""))
            found.append((number, {"functionResponse": _response(result, name, dialect, warnings)}))
    return found


def _response(result: ToolResult, name: str, dialect: Dialect, warnings: Warnings) -> dict[str, Any]:
    """`response` must be an object: JSON objects go as they are, text as `result`, failures as `error`."""
    if not name:
        raise InvalidRequestError(f"messages: no call with id {result.call_id!r} says which tool ran")
    answer = None if result.is_error else json_object(result.text)
    if answer is None:
        answer = {"error" if result.is_error else "result": result.text}
    response: dict[str, Any] = {**_id(result.call_id), "name": name, "response": answer}
    if not isinstance(result.content, str):
        media = tuple(part for part in result.content if not isinstance(part, Text))
        if media:
            response["parts"] = parts_of(media, dialect, warnings)
    return response


def _add_results(contents: list[dict[str, Any]], results: list[tuple[int, dict[str, Any]]]) -> None:
    if results:
        results.sort(key=lambda result: result[0])
        contents.append({"role": "user", "parts": [part for _, part in results]})
        results.clear()


def json_object(text: str) -> dict[str, Any] | None:
    """The object that `text` is in JSON, or None."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
