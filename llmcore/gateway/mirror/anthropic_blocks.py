"""Anthropic Messages from the server's side: turns of content blocks to messages.

Results of tools, which stand in a user turn, become a tool message of their own before what the user said. Blocks of
Anthropic's hosted tools are kept whole, for Anthropic alone. Source: Anthropic's API reference and SDK 2.11.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from llmcore.gateway.mirror import marks, media, read
from llmcore.gateway.mirror.caching import cache_control, says_something
from llmcore.gateway.mirror.lost import Lost
from llmcore.gateway.mirror.sse import dumps
from llmcore.types import (
    CachePoint,
    File,
    Image,
    Message,
    Opaque,
    Part,
    Role,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)

ORIGIN = "anthropic"

INVALID_JSON = "INVALID_JSON"
"""The one member under which Anthropic's wire holds a call's arguments that are no JSON object."""

_ROLES: tuple[Role, ...] = ("user", "assistant", "system")
_TAKEN = {
    "user": ("text", "image", "document", "tool_result"),
    "assistant": ("text", "thinking", "redacted_thinking", "tool_use"),
    "system": ("text",),
    "tool": ("text", "image", "document"),
}
_KEYS = {
    kind: frozenset({"type", "cache_control", *keys})
    for kind, keys in {
        "text": ("text", "citations"),
        "image": ("source",),
        "document": ("source", "title", "context", "citations"),
        "thinking": ("thinking", "signature"),
        "redacted_thinking": ("data",),
        "tool_use": ("id", "name", "input", "caller"),
        "tool_result": ("tool_use_id", "content", "is_error"),
    }.items()
}
"""What is read of each kind of block; the rest is told to be lost."""

_SOURCE = frozenset({"type", "media_type", "data", "url", "file_id", "content"})

_HOSTED = frozenset(
    {"server_tool_use", "mcp_tool_use", "mcp_tool_result", "search_result", "container_upload"}
)


class Turns:
    """Messages of one request; `lost` notes what no provider will hear of."""

    def __init__(self, lost: Lost) -> None:
        self._lost = lost
        self._called: set[str] = set()

    def system(self, value: object, at: str) -> list[Message]:
        """The top-level system text: a string, or text blocks, each a message of its own."""
        if type(value) is str:
            return [Message.system(value)] if value else []
        if type(value) is not list:
            read.wrong(value, at, "a string or a list of text blocks")
        found: list[Message] = []
        for part in self._parts(value, "system", at):
            if type(part) is CachePoint:
                found[-1] = Message.system(*found[-1].parts, part)
            else:
                found.append(Message.system(part))
        return found

    def turns(self, body: Mapping[str, Any]) -> list[Message]:
        """The list `messages`."""
        if not read.need_items(body, "messages", most=read.MAX_MESSAGES):
            read.fail("messages", "must hold at least one message")
        found: list[Message] = []
        for at, turn in read.objects(body, "messages"):
            found += self._turn(turn, at)
        return found

    def _turn(self, turn: dict[str, Any], at: str) -> Iterable[Message]:
        role = read.word(turn, "role", _ROLES, at)
        if role is None:
            read.missing(f"{at}.role")
        content, where = turn.get("content"), f"{at}.content"
        if type(content) is str:
            parts: list[Part] = [Text(content)] if content else []
        elif type(content) is list:
            parts = self._parts(content, role, where)
        elif content is None:
            read.missing(where)
        else:
            read.wrong(content, where, "a string or a list of blocks")
        if role != "user":
            return [Message(role, tuple(parts))] if parts else []
        results, said = _apart(parts)
        if not any(map(says_something, said)):
            if not results:
                read.fail(where, "is empty; a user message needs text, an image or a document")
            said = []
        told = [Message("tool", results)] if results else []
        return [*told, Message("user", said)] if said else told

    # ---------------------------------------------------------------------------------------------- blocks

    def _parts(self, blocks: list[Any], role: str, at: str) -> list[Part]:
        parts: list[Part] = []
        for index, value in enumerate(blocks):
            where = f"{at}[{index}]"
            block = read.an_object(value, where)
            self._append(parts, block, role, where)
            if (point := cache_control(block, where, self._lost)) is not None:
                if parts:
                    parts.append(point)
                else:
                    self._lost.note("cache_control", "marks a block that is not sent")
        return parts

    def _append(self, parts: list[Part], block: dict[str, Any], role: str, at: str) -> None:
        kind = read.need_string(block, "type", at)
        if kind not in _TAKEN[role]:
            parts.append(_hosted(block, kind, role, at))
            return
        self._lost.others(block, _KEYS[kind], f"messages[].{kind}")
        match kind:
            case "text":
                self._lost.given(block, ("citations",) if role == "user" else ())
                parts.append(Text(read.need_string(block, "text", at)))
            case "image":
                parts.append(_image(self._source(block, at), f"{at}.source"))
            case "document":
                parts.append(self._document(block, at))
            case "thinking" | "redacted_thinking":
                _append_thinking(parts, block, at)
            case "tool_use":
                parts.append(self._call(block, at))
            case "tool_result":
                parts += self._result(block, at)

    def _call(self, block: dict[str, Any], at: str) -> ToolCall:
        id_, name = read.need_string(block, "id", at), read.need_string(block, "name", at)
        given = read.need_obj(block, "input", at)
        broken = given.get(INVALID_JSON) if len(given) == 1 else None
        arguments = broken if isinstance(broken, str) else dumps(given).decode()
        self._called.add(id_)
        caller = read.obj(block, "caller", at)
        if caller is None or caller.get("type") == "direct":
            return ToolCall(id_, name, arguments)
        return ToolCall(id_, name, arguments, dumps(caller).decode(), ORIGIN)

    def _result(self, block: dict[str, Any], at: str) -> list[Part]:
        """The result; a cache mark inside of it stands behind it, since only whole results are marked."""
        id_ = read.need_string(block, "tool_use_id", at)
        if id_ not in self._called:
            read.fail(f"{at}.tool_use_id", f"no tool_use block before it has the id {id_[:80]!r}")
        content, where = block.get("content"), f"{at}.content"
        is_error = read.boolean(block, "is_error", at) or False
        if content is None or type(content) is str:
            return [ToolResult(id_, content or "", is_error=is_error)]
        if type(content) is not list:
            read.wrong(content, where, "a string or a list of blocks")
        parts = self._parts(content, "tool", where)
        told = [part for part in parts if isinstance(part, (Text, Image, File))]
        points = [part for part in parts if type(part) is CachePoint]
        return [ToolResult(id_, told, is_error=is_error), *points[-1:]]

    def _document(self, block: dict[str, Any], at: str) -> File:
        self._lost.given(block, ("context", "citations"), "document")
        source, title = self._source(block, at), read.string(block, "title", at)
        where = f"{at}.source"
        match read.need_string(source, "type", where):
            case "base64":
                media_type = read.need_string(source, "media_type", where)
                data = read.from_base64(read.need_string(source, "data", where), f"{where}.data")
                return File(data, media_type=media_type, filename=title)
            case "text":
                text = read.need_string(source, "data", where)
            case "url":
                address = read.need_string(source, "url", where)
                if not address.lower().startswith(("https://", "http://")):
                    read.fail(f"{where}.url", "must be an https address")
                return File(url=address, filename=title)
            case "file":
                return File(file_id=read.need_string(source, "file_id", where), filename=title)
            case "content":
                text = self._plain(source.get("content"), f"{where}.content")
            case other:
                read.not_one_of(other, f"{where}.type", ("base64", "text", "url", "file", "content"))
        return File(_utf8(text, where), media_type="text/plain", filename=title)

    def _source(self, block: dict[str, Any], at: str) -> dict[str, Any]:
        source = read.need_obj(block, "source", at)
        self._lost.others(source, _SOURCE, f"messages[].{block['type']}.source")
        return source

    def _plain(self, content: object, at: str) -> str:
        """A document made of blocks as one text."""
        if type(content) is str:
            return content
        parts = self._parts(read.a_list(content, at), "tool", at)
        if any(type(part) is CachePoint for part in parts):
            self._lost.note("document.cache_control", "marks a piece of a document; mark the document itself")
            parts = [part for part in parts if type(part) is not CachePoint]
        if any(type(part) is not Text for part in parts):
            read.fail(at, "must hold text only; send images as blocks of their own")
        return "\n\n".join(part.text for part in parts if type(part) is Text)


def _apart(parts: Iterable[Part]) -> tuple[list[Part], list[Part]]:
    """Results of tools, and what the user said; a cache mark goes with the part before it."""
    results: list[Part] = []
    said: list[Part] = []
    latest = said
    for part in parts:
        if type(part) is not CachePoint:
            latest = results if type(part) is ToolResult else said
        latest.append(part)
    return results, said


def _hosted(block: dict[str, Any], kind: str, role: str, at: str) -> Opaque:
    """A block that Anthropic alone understands, out of its own earlier answers."""
    known = kind in _HOSTED or kind.endswith("_tool_result")
    if role in {"user", "assistant"} and known and kind != "tool_result":
        return Opaque(block, ORIGIN)
    return read.fail(
        f"{at}.type", f"{kind[:80]!r} is not taken in this place; take one of {', '.join(_TAKEN[role])}"
    )


def _append_thinking(parts: list[Part], block: dict[str, Any], at: str) -> None:
    """Reasoning, with its mark; or the mark of another vendor on a part before it."""
    redacted = block["type"] == "redacted_thinking"
    key = "data" if redacted else "signature"
    signature = read.string(block, key, at)
    text = "" if redacted else read.need_string(block, "thinking", at)
    mark = marks.read_mark(signature, f"{at}.{key}") if signature else None
    if mark is not None and mark.of != "thinking":
        marks.put(mark, parts, f"{at}.{key}")
    elif mark is not None:
        parts.append(mark.thinking(text))
    elif signature:
        parts.append(Thinking(text, signature, redacted, origin=ORIGIN))
    elif redacted:
        read.missing(f"{at}.data")
    elif text:
        parts.append(Thinking(text))


def _image(source: dict[str, Any], at: str) -> Image | File:
    match read.need_string(source, "type", at):
        case "base64":
            media_type = read.need_string(source, "media_type", at)
            data = read.need_string(source, "data", at)
            return Image(data=read.from_base64(data, f"{at}.data"), media_type=media_type)
        case "url":
            return Image(url=media.image_address(source.get("url"), f"{at}.url"))
        case "file":
            return File(file_id=read.need_string(source, "file_id", at), media_type="image/*")
        case other:
            return read.not_one_of(other, f"{at}.type", ("base64", "url", "file"))


def _utf8(text: str, at: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        return read.fail(f"{at}.data", "is not valid Unicode (a lone surrogate)")
