"""Messages of chat completions to nouns: turns, content parts, tool calls, and reasoning that comes back.

Source: OpenAI's API reference (`ChatCompletionMessageParam`); `reasoning_content`, `images`, `reasoning_details` and
`extra_content` are what its imitators add, and what `openai_chat_encode` writes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, TypeAlias

from attrs import evolve

from llmcore.gateway.mirror import read
from llmcore.gateway.mirror.caching import cache_mark
from llmcore.gateway.mirror.lost import Lost
from llmcore.gateway.mirror.marks import Mark, put, read_mark
from llmcore.gateway.mirror.media import SOUNDS, file_of, image_address, sound_of
from llmcore.gateway.mirror.sse import dumps
from llmcore.types import (
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

ORIGIN: Final = "openai"
"""Whose notes (opaque blocks, plain reasoning) a client's message is taken to hold where it does not say."""

SEALED: Final = "reasoning.sealed"
"""The type of an entry of `reasoning_details` that holds one `Thinking`, or the mark of a text, as its vendor sealed it."""

_REASONING = ("reasoning_content", "reasoning", "reasoning_text")
_DETAILS: tuple[Literal["auto", "low", "high", "original"], ...] = ("auto", "low", "high", "original")

_COMMON = frozenset({"role", "content", "name"})
_ANSWERED = _COMMON | {
    *("tool_calls", "refusal", "audio", "images", "annotations", "citations", "search_results"),
    *("function_call", "reasoning_details", "parsed", *_REASONING),
}
_RETURNED = _COMMON | {"tool_call_id"}


def messages(value: object, lost: Lost) -> tuple[Message, ...]:
    """`messages` of a request. Raises BadRequest with the path of the fault."""
    found = read.a_list(value, "messages", most=read.MAX_MESSAGES)
    if not found:
        read.missing("messages", "is empty; give at least one message")
    told = tuple(
        _plain(item) or _message(item, f"messages[{index}]", lost) for index, item in enumerate(found)
    )
    return asking(told, lost) if told[-1].role == "system" else told


def asking(told: tuple[Message, ...], lost: Lost, field: str = "messages") -> tuple[Message, ...]:
    """OpenAI answers system messages that stand alone; nearly all others need a user who asks. field: where they came in."""
    if any(message.role != "system" for message in told):
        return told
    lost.note(field, "none is the user's; the last system message is sent as one")
    return (*told[:-1], evolve(told[-1], role="user"))


def _plain(item: Any) -> Message | None:
    """The straight path: a role and text, and nothing else, which is nearly every message."""
    if type(item) is dict and len(item) == 2:
        role, content = item.get("role"), item.get("content")
        if (role == "user" or role == "system") and type(content) is str:  # noqa: PLR1714 - half the time of a set
            return Message(role, (Text(content),))
    return None


def _message(item: object, at: str, lost: Lost) -> Message:
    turn = read.an_object(item, at)
    role = read.need_string(turn, "role", at)
    reader = _READERS.get(role)
    if reader is None:
        if role == "function":
            read.fail(f"{at}.role", "the role function is OpenAI's old form; use the role tool")
        read.not_one_of(role, f"{at}.role", ("system", "developer", "user", "assistant", "tool"))
    return reader(turn, at, lost)


def _system(turn: Mapping[str, Any], at: str, lost: Lost) -> Message:
    lost.others(turn, _COMMON, "messages[]")
    return Message("system", _content(turn, at, _TEXT_PARTS, lost), read.string(turn, "name", at))


def _user(turn: Mapping[str, Any], at: str, lost: Lost) -> Message:
    lost.others(turn, _COMMON, "messages[]")
    return Message("user", _content(turn, at, _USER_PARTS, lost), read.string(turn, "name", at))


def _tool(turn: Mapping[str, Any], at: str, lost: Lost) -> Message:
    lost.others(turn, _RETURNED, "messages[]")
    call_id = read.need_string(turn, "tool_call_id", at)
    content, name = turn.get("content"), read.string(turn, "name", at)
    if type(content) is str:
        return Message("tool", (ToolResult(call_id, content, name),))
    parts = _content(turn, at, _RESULT_PARTS, lost)
    told = [part for part in parts if isinstance(part, (Text, Image, File))]
    points = [part for part in parts if type(part) is CachePoint]
    return Message("tool", (ToolResult(call_id, told, name), *points[-1:]))


def _assistant(turn: Mapping[str, Any], at: str, lost: Lost) -> Message:
    """The parts in the order in which an answer is streamed: reasoning, text, refusal, sound, images, calls."""
    lost.others(turn, _ANSWERED, "messages[]")
    if turn.get("function_call") is not None:
        read.fail(f"{at}.function_call", "is OpenAI's old form; use tool_calls")
    later: list[Mark] = []
    parts: list[Part] = _thinking(turn, at, later)
    if turn.get("content"):
        parts.extend(_content(turn, at, _ANSWER_PARTS, lost))
    elif turn.get("content") not in (None, "", []):
        read.wrong(turn["content"], f"{at}.content", "a string or a list of parts")
    for mark in later:
        put(mark, parts, f"{at}.reasoning_details")
    if refusal := read.string(turn, "refusal", at):
        parts.append(Refusal(refusal))
    if sound := read.obj(turn, "audio", at):
        parts.append(Opaque({"audio": {"id": read.need_string(sound, "id", f"{at}.audio")}}, ORIGIN))
    parts.extend(_image(image, where, lost) for where, image in read.objects(turn, "images", at))
    parts.extend(_call(call, where) for where, call in read.objects(turn, "tool_calls", at))
    return Message("assistant", tuple(parts), read.string(turn, "name", at))


_READERS: dict[str, Callable[[Mapping[str, Any], str, Lost], Message]] = {
    "system": _system,
    "developer": _system,
    "user": _user,
    "assistant": _assistant,
    "tool": _tool,
}


# ------------------------------------------------------------------------------------------------ content parts

Reader: TypeAlias = Callable[[Mapping[str, Any], str, Lost], Part]


def _content(turn: Mapping[str, Any], at: str, readers: Mapping[str, Reader], lost: Lost) -> tuple[Part, ...]:
    value, at = turn.get("content"), f"{at}.content"
    if type(value) is str:
        return (Text(value),)
    if value is None:
        read.missing(at)
    if type(value) is not list:
        read.wrong(value, at, "a string or a list of parts")
    parts: list[Part] = []
    for index, item in enumerate(value):
        where = f"{at}[{index}]"
        parts.append(_part(item, where, readers, lost))
        if type(item) is dict and len(item) > 2 and (point := cache_mark(item, where, lost)) is not None:
            parts.append(point)
    return tuple(parts)


def _part(item: object, at: str, readers: Mapping[str, Reader], lost: Lost) -> Part:
    if type(item) is str:  # some clients write the text itself
        return Text(item)
    found = read.an_object(item, at)
    kind = read.need_string(found, "type", at)
    reader = readers.get(kind)
    if reader is None:
        read.not_one_of(kind, f"{at}.type", readers)
    if len(found) > 2:
        lost.others(found, _MARKS | {"type", *_MEMBERS.get(kind, (kind,))}, f"messages[].{kind}")
    return reader(found, at, lost)


_MARKS = frozenset({"cache_control", "prompt_cache_breakpoint"})
_MEMBERS = {"reasoning": ("summary",)}
_IMAGE = frozenset({"url", "detail"})
_SOUND = frozenset({"data", "format"})
_FILE = frozenset({"file_id", "file_data", "filename"})


def _text(part: Mapping[str, Any], at: str, lost: Lost) -> Text:
    return Text(read.need_string(part, "text", at))


def _image(part: Mapping[str, Any], at: str, lost: Lost) -> Image:
    told = part.get("image_url")
    if type(told) is str:
        return Image(url=image_address(told, f"{at}.image_url"))
    told = read.need_obj(part, "image_url", at)
    at = f"{at}.image_url"
    lost.others(told, _IMAGE, "messages[].image_url")
    return Image(
        url=image_address(read.need_string(told, "url", at), f"{at}.url"),
        detail=read.word(told, "detail", _DETAILS, at),
    )


def _sound(part: Mapping[str, Any], at: str, lost: Lost) -> Part:
    told, at = read.need_obj(part, "input_audio", at), f"{at}.input_audio"
    lost.others(told, _SOUND, "messages[].input_audio")
    data = read.need_string(told, "data", at)
    sound = read.a_word(read.need_string(told, "format", at), f"{at}.format", SOUNDS)
    return sound_of(data, sound, f"{at}.data")


def _file(part: Mapping[str, Any], at: str, lost: Lost) -> File:
    told, at = read.need_obj(part, "file", at), f"{at}.file"
    lost.others(told, _FILE, "messages[].file")
    file_id, data = read.string(told, "file_id", at), read.string(told, "file_data", at)
    filename = read.string(told, "filename", at)
    if file_id is not None and data is None:
        return File(file_id=file_id, filename=filename)
    if data is None or file_id is not None:
        read.fail(at, "give exactly one of file_data and file_id")
    return file_of(data, filename, f"{at}.file_data")


def _refusal(part: Mapping[str, Any], at: str, lost: Lost) -> Refusal:
    return Refusal(read.need_string(part, "refusal", at))


def _thought(part: Mapping[str, Any], at: str, lost: Lost) -> Thinking:
    """A block of reasoning as Mistral writes it."""
    value = part.get("thinking")
    if type(value) is not str:
        value = _joined(part, "thinking", at)
    return Thinking(value, raw="thinking", origin=ORIGIN)


def _summary(part: Mapping[str, Any], at: str, lost: Lost) -> Thinking:
    """A block of reasoning as Databricks writes it; it goes back as it came."""
    return Thinking(_joined(part, "summary", at), raw=dict(part), origin=ORIGIN)


def _joined(part: Mapping[str, Any], key: str, at: str) -> str:
    return "".join(read.string(piece, "text", where) or "" for where, piece in read.objects(part, key, at))


_TEXT_PARTS: dict[str, Reader] = {"text": _text}
_RESULT_PARTS: dict[str, Reader] = {"text": _text, "image_url": _image, "file": _file}
_USER_PARTS: dict[str, Reader] = {**_RESULT_PARTS, "input_audio": _sound}
_ANSWER_PARTS: dict[str, Reader] = {
    "text": _text,
    "refusal": _refusal,
    "image_url": _image,
    "thinking": _thought,
    "reasoning": _summary,
}


# -------------------------------------------------------------------------------------------- calls and reasoning


def _call(call: Mapping[str, Any], at: str) -> ToolCall:
    if read.string(call, "type", at) not in (None, "function"):
        read.fail(f"{at}.type", "only calls of functions are taken", code="invalid_value")
    call_id, function = read.need_string(call, "id", at), read.need_obj(call, "function", at)
    at = f"{at}.function"
    name, told = read.need_string(function, "name", at), function.get("arguments")
    if type(told) is dict:  # some clients send the object itself
        told = dumps(told).decode()
    arguments = "{}" if told is None else read.a_string(told, f"{at}.arguments")
    if "extra_content" not in call:
        return ToolCall(call_id, name, arguments)
    return ToolCall(call_id, name, arguments, *_signature(call["extra_content"]))


def _signature(value: object) -> tuple[str | None, str | None]:
    """A call's opaque mark and whose it is; Google's own door says the mark alone."""
    noted = value if type(value) is dict else {}
    google = noted.get("google")
    mark = google.get("thought_signature") if type(google) is dict else None
    if type(mark) is not str:
        return None, None
    origin = noted.get("origin")
    return mark, origin if type(origin) is str else ORIGIN


def _thinking(turn: Mapping[str, Any], at: str, later: list[Mark]) -> list[Part]:
    """Reasoning that comes back: sealed entries whole, else the plain text of the field it came in."""
    details = [item for _, item in read.objects(turn, "reasoning_details", at)]
    if any(item.get("type") == SEALED for item in details):
        if found := _marked(details, f"{at}.reasoning_details", later):
            return found
        details = []
    field, text = next(
        ((name, text) for name in _REASONING if (text := read.string(turn, name, at))), (None, "")
    )
    if details:
        text = text or "".join(str(item.get("text") or item.get("summary") or "") for item in details)
        return [Thinking(text, redacted=not text, raw=details, origin=ORIGIN)]
    return [Thinking(text, raw=field, origin=ORIGIN)] if text else []


def _marked(details: list[dict[str, Any]], at: str, later: list[Mark]) -> list[Part]:
    """The sealed blocks as they were; the mark of a text is put aside until the text is read."""
    found: list[Part] = []
    for index, item in enumerate(details):
        here = f"{at}[{index}]"
        text, data = read.string(item, "thinking", here) or "", read.string(item, "data", here)
        mark = read_mark(data, f"{here}.data") if data is not None else None
        if mark is None:
            found.append(Thinking(text, raw=_REASONING[0], origin=ORIGIN))
        elif mark.of == "thinking":
            found.append(mark.thinking(text))
        else:
            later.append(mark)
    return found
