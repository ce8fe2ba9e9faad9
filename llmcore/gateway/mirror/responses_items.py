"""OpenAI Responses from the server's side: the items of `input` to messages.

What the assistant said, thought and called in items beside each other is one message; so are results beside each other.
Items of OpenAI's hosted tools are kept whole, for OpenAI alone. Source: the OpenAI OpenAPI specification 2.3.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

from llmcore.gateway.mirror import marks, media, read
from llmcore.gateway.mirror.caching import cache_mark, says_something
from llmcore.gateway.mirror.lost import Lost
from llmcore.gateway.mirror.openai_turns import asking
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

ORIGIN = "openai_responses"

MAX_ITEMS = read.MAX_MESSAGES

_ROLES = ("user", "assistant", "system", "developer")
_HOSTED = frozenset({"compaction", "mcp_list_tools", "mcp_approval_request", "mcp_approval_response"})
_TEXTS = ("input_text", "output_text", "text", "summary_text", "reasoning_text")
_PART = frozenset(
    {
        *("type", "text", "image_url", "file_id", "detail", "filename", "file_data", "file_url"),
        *("input_audio", "annotations", "cache_control", "prompt_cache_breakpoint"),
    }
)
"""What is read of the parts of a message, of whatever kind."""

_ITEM = frozenset({"type", "id", "status"})
_MESSAGE = _ITEM | {"role", "content", "phase"}
_CALL = _ITEM | {"call_id", "name", "arguments", "parsed_arguments"}
_RESULT = _ITEM | {"call_id", "name", "output"}
"""What is read of items, and what clients of OpenAI's add to them."""

_MEDIA = ("input_text", "input_image", "input_file", "input_audio")

Detail: TypeAlias = Literal["auto", "low", "high", "original"]
_DETAILS: tuple[Detail, ...] = ("auto", "low", "high", "original")


class Items:
    """The conversation of one request, item by item."""

    def __init__(self, lost: Lost) -> None:
        self._lost = lost
        self._messages: list[Message] = []
        self._called: set[str] = set()
        self._parts: list[Part] = []
        self._results: list[Part] = []

    def read(self, value: object) -> list[Message]:
        """`input`: a text, or a list of items."""
        if value is None:
            read.missing("input")
        if type(value) is str:
            if not value.strip():
                read.fail("input", "is empty; give the model something to answer")
            return [Message.user(value)]
        if type(value) is not list:
            read.wrong(value, "input", "a string or a list of items")
        if not value:
            read.fail("input", "must hold at least one item")
        for index, item in enumerate(read.a_list(value, "input", most=MAX_ITEMS)):
            self._item(read.an_object(item, f"input[{index}]"), f"input[{index}]")
        self._end()
        if not self._messages:
            read.fail("input", "is empty; give the model something to answer")
        return list(asking(tuple(self._messages), self._lost, "input"))

    def _item(self, item: dict[str, Any], at: str) -> None:
        kind = read.string(item, "type", at) or ("message" if "role" in item else "item_reference")
        reader = _READERS.get(kind)
        if reader is not None:
            reader(self, item, at)
        elif kind in _HOSTED or kind.endswith(("_call", "_call_output")):
            self._answer(Opaque(item, ORIGIN))
        else:
            read.fail(f"{at}.type", f"{kind[:80]!r} is no item that is taken here", code="invalid_value")

    def _end(self) -> None:
        """What was gathered becomes a message."""
        if self._results:
            self._messages.append(Message("tool", tuple(self._results)))
        if self._parts:
            self._messages.append(Message("assistant", tuple(self._parts)))
        self._results, self._parts = [], []

    def _answer(self, *parts: Part) -> None:
        """Parts of the assistant's message."""
        if self._results:
            self._end()
        self._parts += parts

    # --------------------------------------------------------------------------------------------- its kinds

    def _message(self, item: dict[str, Any], at: str) -> None:
        role = read.word(item, "role", _ROLES, at)
        if role is None:
            read.missing(f"{at}.role")
        self._lost.others(item, _MESSAGE, "input[].message")
        content, where = item.get("content"), f"{at}.content"
        if role == "assistant":
            self._answer(*_said(content, read.string(item, "phase", at), where))
            return
        self._end()
        if role == "user":
            parts = self._content(content, where)
            if not any(map(says_something, parts)):
                read.fail(where, "is empty; a user message needs text, an image or a file")
            self._messages.append(Message("user", tuple(parts)))
        elif text := _text(content, where):
            points: list[Part] = []
            for place, part in enumerate(content if type(content) is list else ()):
                points += self._mark(part, f"{where}[{place}]")
            self._messages.append(Message.system(text, *points[-1:]))

    def _content(self, content: object, at: str) -> list[Part]:
        if type(content) is str:
            return [Text(content)]
        if content is None:
            read.missing(at)
        if type(content) is not list:
            read.wrong(content, at, "a string or a list of parts")
        parts: list[Part] = []
        for index, value in enumerate(content):
            where = f"{at}[{index}]"
            part = read.an_object(value, where)
            parts.append(self._part(part, where))
            if len(part) > 2:
                parts += self._mark(part, where)
        return parts

    def _mark(self, part: dict[str, Any], at: str) -> list[Part]:
        """The cache mark on a part; what nobody reads of the part is told to be lost."""
        self._lost.others(part, _PART, f"input[].{part['type']}")
        point = cache_mark(part, at, self._lost)
        return [] if point is None else [point]

    def _part(self, part: dict[str, Any], at: str) -> Text | Image | File | Audio:
        match read.need_string(part, "type", at):
            case "input_text":
                return Text(read.need_string(part, "text", at))
            case "input_image":
                return _image(part, at)
            case "input_file":
                return _file(part, at)
            case "input_audio":
                sound, where = read.need_obj(part, "input_audio", at), f"{at}.input_audio"
                form = read.word(sound, "format", media.SOUNDS, where)
                return media.sound_of(read.need_string(sound, "data", where), form or "wav", f"{where}.data")
            case other:
                return read.not_one_of(other, f"{at}.type", _MEDIA)

    def _call(self, item: dict[str, Any], at: str) -> None:
        self._lost.others(item, _CALL, "input[].function_call")
        call_id = read.need_string(item, "call_id", at)
        self._called.add(call_id)
        self._answer(
            ToolCall(call_id, read.need_string(item, "name", at), read.need_string(item, "arguments", at))
        )

    def _result(self, item: dict[str, Any], at: str) -> None:
        self._lost.others(item, _RESULT, "input[].function_call_output")
        call_id = read.need_string(item, "call_id", at)
        if call_id not in self._called:
            read.fail(f"{at}.call_id", f"no function_call before it has the call_id {call_id[:80]!r}")
        output, where, name = item.get("output"), f"{at}.output", read.string(item, "name", at)
        points: list[CachePoint] = []
        if type(output) is str:
            result = ToolResult(call_id, output, name)
        else:
            parts = self._content(output, where)
            if any(isinstance(part, Audio) for part in parts):
                read.fail(where, "must hold text, images and files only")
            told = [part for part in parts if isinstance(part, (Text, Image, File))]
            result = ToolResult(call_id, told, name)
            points = [part for part in parts if type(part) is CachePoint]
        if self._parts:
            self._end()
        self._results += [result, *points[-1:]]

    def _reasoning(self, item: dict[str, Any], at: str) -> None:
        """Reasoning as it was given, or another vendor's mark on a part before it. A mere summary is sealed by nobody."""
        shown = _texts(item.get("content"), f"{at}.content") or _texts(item.get("summary"), f"{at}.summary")
        text = "\n\n".join(shown)
        sealed, where = read.string(item, "encrypted_content", at), f"{at}.encrypted_content"
        mark = marks.read_mark(sealed, where) if sealed else None
        if mark is None and sealed is None and not item.get("content"):
            self._answer(*([Thinking(text)] if text else []))
        elif mark is None:
            self._answer(Thinking(text, sealed, sealed is not None and not text, item, ORIGIN))
        elif mark.of == "thinking":
            self._answer(mark.thinking(text))
        else:
            marks.put(mark, self._parts, where)

    def _reference(self, item: dict[str, Any], at: str) -> None:
        read.fail(at, "refers to an item by its id, but nothing is stored here; send the item itself")


_READERS: dict[str, Callable[[Items, dict[str, Any], str], None]] = {
    "message": Items._message,
    "function_call": Items._call,
    "function_call_output": Items._result,
    "reasoning": Items._reasoning,
    "item_reference": Items._reference,
}


def _said(content: object, phase: str | None, at: str) -> list[Part]:
    """The assistant's own words; `phase` is OpenAI's mark on them."""
    if type(content) is str:
        said: list[Part] = [Text(content)] if content else []
    else:
        said = [
            _own(read.an_object(part, f"{at}[{index}]"), f"{at}[{index}]")
            for index, part in _listed(content, at)
        ]
    if phase is None:
        return said
    return [Text(part.text, phase, ORIGIN) if isinstance(part, Text) else part for part in said]


def _own(part: dict[str, Any], at: str) -> Text | Refusal:
    match read.need_string(part, "type", at):
        case "output_text" | "input_text":
            return Text(read.need_string(part, "text", at))
        case "refusal":
            return Refusal(read.need_string(part, "refusal", at))
        case other:
            return read.not_one_of(other, f"{at}.type", ("output_text", "refusal"))


def _text(content: object, at: str) -> str:
    """Plain text, alone or in parts."""
    if content is None:
        read.missing(at)
    return content if type(content) is str else "".join(_texts(content, at))


def _texts(content: object, at: str) -> list[str]:
    found: list[str] = []
    for index, value in _listed(content, at) if content is not None else ():
        part, where = read.an_object(value, f"{at}[{index}]"), f"{at}[{index}]"
        if (kind := read.need_string(part, "type", where)) not in _TEXTS:
            read.fail(f"{where}.type", f"{kind[:80]!r} is not taken here; only text is")
        if text := read.need_string(part, "text", where):
            found.append(text)
    return found


def _listed(content: object, at: str) -> enumerate[Any]:
    if content is None:
        read.missing(at)
    if type(content) is not list:
        read.wrong(content, at, "a string or a list of parts")
    return enumerate(content)


def _image(part: dict[str, Any], at: str) -> Image | File:
    detail = read.word(part, "detail", _DETAILS, at)
    file_id = read.string(part, "file_id", at)
    if file_id is not None:
        return File(file_id=file_id, media_type="image/*")
    if part.get("image_url") is None:
        read.missing(f"{at}.image_url")
    url = media.image_address(part["image_url"], f"{at}.image_url")
    if url[:5].lower() != "data:":
        return Image(url=url, detail=detail)
    media_type, data = read.data_uri(url, f"{at}.image_url")
    return Image(data=data, media_type=media_type or None, detail=detail)


def _file(part: dict[str, Any], at: str) -> File:
    name = read.string(part, "filename", at)
    if (file_id := read.string(part, "file_id", at)) is not None:
        return File(file_id=file_id, filename=name)
    if (data := read.string(part, "file_data", at)) is not None:
        return media.file_of(data, name, f"{at}.file_data")
    if (url := read.string(part, "file_url", at)) is None:
        read.fail(at, "needs one of file_data, file_url and file_id", code="missing_required_parameter")
    if not url.lower().startswith(("https://", "http://")):
        read.fail(f"{at}.file_url", "must be an https address")
    return File(url=url, filename=name)
