"""Anthropic Messages, what goes up: our messages to `system` text and a list of turns made of content blocks.

Kept rules of the API: turns of one role in a row are one turn; tool results stand in a user turn, first in it; blank text
is refused; ids of tool calls are unique in a conversation and made of letters, digits, "_" and "-".
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable
from typing import Any

from llmcore.errors import UnsupportedFeatureError
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
from llmcore.wire.read import Json, loads

Block = dict[str, Any]

_IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")
_TEXTS = ("application/json", "application/xml", "application/yaml", "application/x-yaml", "application/toml")
_DATA_URI = re.compile(r"data:([^;,]*)(?:;[^;,]*)*;base64,", re.IGNORECASE)
_NEVER_KEPT = ("thinking", "redacted_thinking")
_BAD_ID = re.compile(r"[^a-zA-Z0-9_-]")


class MessageEncoder:
    """One conversation to blocks. Raises UnsupportedFeatureError for what the dialect cannot hold.

    newer: the API version takes system messages inside the list, and no documents in assistant messages.
    uses_files: set where a file is named by its id, which needs the Files API's beta header.
    """

    def __init__(self, *, newer: bool, origin: str, warnings: Warnings) -> None:
        self.uses_files: bool = False
        self.system: list[Block] = []
        self.turns: list[Block] = []
        self._newer = newer
        self._origin = origin
        self._warnings = warnings
        self._ids = _CallIds()

    def encode(self, messages: Iterable[Message]) -> None:
        """Fill `system` and `turns`."""
        for message in messages:
            self._warnings.dropped("message.name", message.name)
            blocks = self._blocks(message)
            if message.role == "system" and not (self._newer and self.turns):
                self._instruct(blocks)
            elif blocks:
                self._add("user" if message.role == "tool" else message.role, blocks)
        for turn in self.turns:
            turn["content"].sort(key=lambda block: block.get("type") != "tool_result")

    def _blocks(self, message: Message) -> list[Block]:
        blocks: list[Block] = []
        for part in message.parts:
            if type(part) is CachePoint:
                self._keep(blocks, part)
            elif block := self._block(part, message.role):
                blocks.append(block)
        return blocks

    def _keep(self, blocks: list[Block], point: CachePoint) -> None:
        """Mark the last block that can be kept; reasoning cannot. A vendor's own block is shared: it is copied."""
        for place in reversed(range(len(blocks))):
            if blocks[place].get("type") not in _NEVER_KEPT:
                blocks[place] = {**blocks[place], "cache_control": cache_control(point)}
                return
        self._warnings.changed("cache", "a cache mark with nothing before it that can be kept is not sent")

    def _instruct(self, blocks: list[Block]) -> None:
        if self.turns and blocks:
            self._warnings.changed("messages", "a system message inside the list is moved to its top")
        self.system += blocks

    def _add(self, role: str, blocks: list[Block]) -> None:
        if self.turns and self.turns[-1]["role"] == role:
            self.turns[-1]["content"] += blocks
        else:
            self.turns.append({"role": role, "content": blocks})

    def _block(self, part: Part, role: str) -> Block | None:
        match part:
            case Text() | Refusal():
                return {"type": "text", "text": part.text} if part.text.strip() else None
            case Image():
                return self._image(part, role)
            case File():
                return self._file(part, role)
            case Audio():
                raise UnsupportedFeatureError("audio: Anthropic's Messages API takes none")
            case Thinking():
                return self._thinking(part)
            case ToolCall():
                return self._call(part)
            case ToolResult():
                return self._result(part)
            case Opaque():
                return self._opaque(part)
            case CachePoint():
                return None

    # ------------------------------------------------------------------------------------ images and files

    def _image(self, image: Image, role: str) -> Block:
        if role == "assistant":
            raise UnsupportedFeatureError("image: Anthropic takes none in assistant messages")
        self._warnings.dropped("image.detail", image.detail)
        if image.data is not None:
            return {"type": "image", "source": _image_bytes(image.data, image.media_type)}
        url = image.url or ""
        return {"type": "image", "source": _inline(url, _IMAGES) or {"type": "url", "url": url}}

    def _file(self, file: File, role: str) -> Block:
        if role == "assistant" and self._newer:
            raise UnsupportedFeatureError("file: this API version takes no documents in assistant messages")
        kind = "image" if (file.media_type or "").startswith("image/") else "document"
        block: Block = {"type": kind, "source": self._source(file, kind)}
        if file.filename and kind == "document":
            block["title"] = file.filename
        return block

    def _source(self, file: File, kind: str) -> Block:
        if file.file_id is not None:
            self.uses_files = True
            return {"type": "file", "file_id": file.file_id}
        if file.url is not None:
            allowed = _IMAGES if kind == "image" else ("application/pdf",)
            return _inline(file.url, allowed) or {"type": "url", "url": file.url}
        data = file.data or b""
        if kind == "image":
            return _image_bytes(data, file.media_type)
        return _document_bytes(data, file.media_type)

    # ------------------------------------------------------------------------- thinking, tools, vendor's own

    def _thinking(self, part: Thinking) -> Block | None:
        if part.origin != self._origin or part.signature is None:
            not_thought_here(part, self._origin, self._warnings)
            return None
        if part.redacted:
            return {"type": "redacted_thinking", "data": part.signature}
        return {"type": "thinking", "thinking": part.text, "signature": part.signature}

    def _call(self, call: ToolCall) -> Block:
        block = {
            "type": "tool_use",
            "id": self._ids.of_call(call.id),
            "name": call.name,
            "input": self._input(call),
        }
        if call.signature is not None and call.origin == self._origin:
            block["caller"] = loads(call.signature)
        return block

    def _input(self, call: ToolCall) -> Json:
        if (fault := call.parse_error) is None:
            return call.input
        self._warnings.changed(
            "tool_call.arguments", f"sent inside an object, since they are no object: {fault}"
        )
        return {"INVALID_JSON": call.arguments}

    def _result(self, result: ToolResult) -> Block:
        content = result.content
        block: Block = {
            "type": "tool_result",
            "tool_use_id": self._ids.of_result(result.call_id),
            "content": content
            if isinstance(content, str)
            else [inner for part in content if (inner := self._block(part, "tool"))],
        }
        if result.is_error:
            block["is_error"] = True
        return block

    def _opaque(self, part: Opaque) -> Block | None:
        if part.origin == self._origin and isinstance(part.raw, dict):
            return part.raw
        self._warnings.changed("message.opaque", f"a block of {part.origin!r} means nothing here; not sent")
        return None


def cache_control(point: CachePoint) -> Block:
    """A cache mark in the dialect's words."""
    return {"type": "ephemeral"} if point.ttl is None else {"type": "ephemeral", "ttl": point.ttl}


class _CallIds:
    """Call ids of any vendor as ids that Anthropic takes; a result belongs to the latest call of its id."""

    def __init__(self) -> None:
        self._sent: dict[str, str] = {}
        self._used: set[str] = set()

    def of_call(self, given: str) -> str:
        base = _BAD_ID.sub("_", given) or "call"
        name, count = base, 1
        while name in self._used:
            count += 1
            name = f"{base}_{count}"
        self._used.add(name)
        self._sent[given] = name
        return name

    def of_result(self, given: str) -> str:
        return self._sent.get(given) or _BAD_ID.sub("_", given)


# -------------------------------------------------------------------------------------------------- sources


def _image_bytes(data: bytes, media_type: str | None) -> Block:
    kind = media_type or _image_type(data)
    if kind not in _IMAGES:
        raise UnsupportedFeatureError(f"image: {kind or 'this kind of data'} is none of {', '.join(_IMAGES)}")
    return _base64(kind, data)


def _document_bytes(data: bytes, media_type: str | None) -> Block:
    """A PDF as base64, anything textual as text. Raises UnsupportedFeatureError for the rest."""
    if media_type == "application/pdf" or (media_type is None and data.startswith(b"%PDF")):
        return _base64("application/pdf", data)
    if media_type is None or media_type.startswith("text/") or media_type in _TEXTS:
        try:
            return {"type": "text", "media_type": "text/plain", "data": data.decode()}
        except UnicodeDecodeError:
            pass
    raise UnsupportedFeatureError(f"file: {media_type or 'binary data'} is neither PDF nor UTF-8 text")


def _inline(url: str, allowed: tuple[str, ...]) -> Block | None:
    """A base64 data URI as a source; None for any other URL."""
    if url[:5].lower() != "data:":
        return None
    match = _DATA_URI.match(url)
    if match is None or match[1].lower() not in allowed:
        raise UnsupportedFeatureError(f"data URI: only base64 of {', '.join(allowed)} is taken")
    return {"type": "base64", "media_type": match[1].lower(), "data": url[match.end() :]}


def _base64(media_type: str, data: bytes) -> Block:
    return {
        "type": "base64",
        "media_type": media_type,
        "data": binascii.b2a_base64(data, newline=False).decode("ascii"),
    }


def _image_type(data: bytes) -> str | None:
    """The media type that the first bytes tell."""
    if data.startswith(b"\x89PNG"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith(b"GIF8"):
        return "image/gif"
    return "image/webp" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else None
