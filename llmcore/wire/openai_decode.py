"""Answers in the OpenAI dialect: whole bodies and what streams share with them, read by rule and leniently."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attrs import evolve

from llmcore.errors import MalformedResponseError, ProviderError
from llmcore.types import (
    FinishReason,
    GenerationResponse,
    Image,
    Message,
    Opaque,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
)
from llmcore.wire.read import Json, as_dict, as_list, as_str, dumps, join_surrogates, parse_object

if TYPE_CHECKING:
    from llmcore.wire.openai import OpenAIWire

REASONING_FIELDS = ("reasoning_content", "reasoning", "reasoning_text")
"""Where vendors put the text of reasoning beside `content`; the first one that holds something counts."""

NOTES = ("annotations", "citations", "search_results")
"""Notes about an answer, on the message or beside the choices; kept raw in one Opaque part."""
_NOTES = frozenset(NOTES)

_PLAIN_MESSAGE = frozenset({"role", "content"})
"""A message in which nothing else holds anything is text, as nearly every one is."""


# ---------------------------------------------------------------------------------------------- the answer


def chat_response(wire: OpenAIWire, body: bytes) -> GenerationResponse:
    """A 2xx body to a response. Raises MalformedResponseError, or the error that the body describes."""
    value = parse_object(body)
    choices = value.get("choices")
    wire.raise_error_in(value)
    if not isinstance(choices, list) or not choices:
        raise MalformedResponseError("the answer has no choices", phase="parse")
    choice = first_choice(choices)
    message, raw_finish = choice.get("message"), finish_of(choice)
    if not isinstance(message, dict):
        if not raw_finish:
            raise MalformedResponseError("the answer has no message", phase="parse")
        message = {}
    parts = message_parts(wire, message)
    if found := notes(wire, message, value):
        parts.append(found)
    finish = finish_reason(wire, raw_finish, parts)
    return GenerationResponse(
        Message("assistant", tuple(parts)),
        finish,
        raw_finish,
        wire.usage(wire.usage_in(value) or choice.get("usage")),
        model=as_str(value.get("model")),
        id=as_str(value.get("id")),
        raw=value,
    )


def first_choice(choices: list[Json]) -> dict[str, Any]:
    """The choice number 0; where none says so, the first."""
    if len(choices) == 1 and isinstance(choices[0], dict):
        return choices[0]
    found = [choice for choice in choices if isinstance(choice, dict)]
    return next((choice for choice in found if choice.get("index") == 0), found[0] if found else {})


def message_parts(wire: OpenAIWire, message: Mapping[str, Any]) -> list[Part]:
    """What the message holds, in the order in which it would be streamed: reasoning, text, images, calls."""
    if not any(value for name, value in message.items() if name not in _PLAIN_MESSAGE):
        return content_parts(wire, message.get("content"))
    parts: list[Part] = []
    if (thought := _thinking(wire, message)) is not None:
        parts.append(thought)
    parts.extend(content_parts(wire, message.get("content")))
    if refusal := as_str(message.get("refusal")):
        parts.append(Refusal(join_surrogates(refusal)))
    if sound := sound_of(message):
        if not any(type(part) is Text for part in parts) and (said := as_str(sound.get("transcript"))):
            parts.append(Text(join_surrogates(said)))
        parts.append(Opaque({"audio": sound}, wire.origin))
    parts.extend(image for item in as_list(message.get("images")) if (image := image_of(item)) is not None)
    parts.extend(_calls(wire, message))
    return parts


def _thinking(wire: OpenAIWire, message: Mapping[str, Any]) -> Thinking | None:
    field, text = reasoning_text(message)
    details = [item for item in as_list(message.get("reasoning_details")) if isinstance(item, dict)]
    if details:
        text = text or details_text(details)
        return Thinking(join_surrogates(text), redacted=not text, raw=details, origin=wire.origin)
    return Thinking(join_surrogates(text), raw=field, origin=wire.origin) if text else None


def reasoning_text(message: Mapping[str, Any]) -> tuple[str | None, str]:
    """The field that holds the reasoning's text, and the text."""
    for field in REASONING_FIELDS:
        text = message.get(field)
        if text and isinstance(text, str):
            return field, text
    return None, ""


def details_text(details: list[Json]) -> str:
    """The readable part of `reasoning_details`: texts and summaries, without what is encrypted."""
    return "".join(as_str(item.get("text")) or as_str(item.get("summary")) or "" for item in details)


def content_parts(wire: OpenAIWire, content: Json) -> list[Part]:
    """`content` as parts: text, a list of blocks, or (some gateways) the JSON object that was asked for."""
    if isinstance(content, str):
        return [Text(join_surrogates(content))] if content else []
    if isinstance(content, dict):
        return [Text(json_text(content))]
    parts: list[Part] = []
    for block in as_list(content):
        part = block_part(wire, block)
        if type(part) is Text and parts and type(parts[-1]) is Text:
            part = Text(parts.pop().text + part.text)  # type: ignore[union-attr]  # a Text, see above
        elif type(part) is Thinking and parts and type(parts[-1]) is Thinking and not part.redacted:
            part = evolve(part, text=parts.pop().text + part.text)  # type: ignore[union-attr]  # as above
        if part is not None:
            parts.append(part)
    return parts


def block_part(wire: OpenAIWire, block: Json) -> Part | None:
    """One block of a content list; a kind that is not known here is kept raw."""
    if isinstance(block, str):
        return Text(join_surrogates(block)) if block else None
    if not isinstance(block, dict):
        return None
    kind = block.get("type")
    if kind in ("text", "output_text") or (kind is None and "text" in block):
        text = as_str(block.get("text"))
        return Text(join_surrogates(text)) if text else None
    if kind == "thinking":
        return Thinking(join_surrogates(_thought(block.get("thinking"))), raw="thinking", origin=wire.origin)
    if kind == "reasoning":
        return Thinking(join_surrogates(_thought(block.get("summary"))), raw=block, origin=wire.origin)
    if kind == "refusal" and (refusal := as_str(block.get("refusal"))):
        return Refusal(join_surrogates(refusal))
    return image_of(block) or Opaque(block, wire.origin)


def _thought(value: Json) -> str:
    if isinstance(value, str):
        return value
    return "".join(as_str(item.get("text")) or "" for item in as_list(value) if isinstance(item, dict))


def image_of(block: Json) -> Image | None:
    """An image in the answer: `{image_url: {url}}` or `{image_url: url}`."""
    found = as_dict(block).get("image_url")
    url = as_str(as_dict(found).get("url")) or as_str(found)
    return Image(url=url) if url else None


def sound_of(message: Mapping[str, Any]) -> dict[str, Any]:
    """The `audio` object of a spoken answer; some gateways send it with every field empty."""
    sound = as_dict(message.get("audio"))
    return sound if sound.get("data") or sound.get("id") or sound.get("transcript") else {}


def notes(wire: OpenAIWire, message: Mapping[str, Any], body: Mapping[str, Any]) -> Opaque | None:
    """Citations, annotations and search results, where the answer has any."""
    if _NOTES.isdisjoint(message) and _NOTES.isdisjoint(body):
        return None
    found = {name: value for name in NOTES if (value := message.get(name) or body.get(name))}
    return Opaque(found, wire.origin) if found else None


# --------------------------------------------------------------------------------------------------- calls


def _calls(wire: OpenAIWire, message: Mapping[str, Any]) -> list[ToolCall]:
    calls = [call for call in as_list(message.get("tool_calls")) if isinstance(call, dict)]
    found = [tool_call(wire, call, index) for index, call in enumerate(calls)]
    legacy = as_dict(message.get("function_call"))
    if not found and as_str(legacy.get("name")):
        found.append(tool_call(wire, {"function": legacy}, 0))
    return found


def tool_call(wire: OpenAIWire, call: Mapping[str, Any], index: int) -> ToolCall:
    """A whole call; a custom tool's `input` is wrapped as its arguments are not JSON."""
    name, told = called(call)
    signature = signature_of(call)
    return ToolCall(
        known_id(call.get("id")) or f"call_{index}",
        name or "",
        "{}" if told is None else told,
        signature,
        wire.origin if signature else None,
    )


def called(call: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """The name and the arguments' JSON text of a call or fragment; None where it does not say."""
    function = as_dict(call.get("function")) or call
    name, told = as_str(function.get("name")), arguments_of(function.get("arguments"))
    custom = as_dict(call.get("custom"))
    if name is None and told is None and as_str(custom.get("name")):
        return as_str(custom.get("name")), json_text({"input": custom.get("input")})
    return name, told


def json_text(value: Json) -> str:
    """Decoded JSON as text again; lone surrogates are escaped. Raises MalformedResponseError where it is too deep."""
    try:
        return dumps(value).decode()
    except (ValueError, OverflowError):
        return json.dumps(value)
    except RecursionError:
        raise MalformedResponseError("the JSON is nested too deeply", phase="parse") from None


def arguments_of(value: Json) -> str | None:
    """Arguments as JSON text: as sent, or of the object that was sent in its place; None where nothing was."""
    if value is None or isinstance(value, str):
        return None if value is None else join_surrogates(value)
    return json_text(value)


def known_id(value: Json) -> str | None:
    """An id that is one (some send "null" or a number)."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    found = as_str(value)
    return None if found in (None, "null", "None") else found


def signature_of(call: Mapping[str, Any]) -> str | None:
    """Gemini's thought signature, as its OpenAI door wraps it."""
    return as_str(as_dict(as_dict(call.get("extra_content")).get("google")).get("thought_signature"))


# ------------------------------------------------------------------------------------------- finish reasons

_FINISH: dict[str, FinishReason] = {
    "stop": "stop",
    "eos": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "complete": "stop",
    "completed": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "max_output_tokens": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "tool_use": "tool_calls",
    "content_filter": "content_filter",
    "safety": "content_filter",
    "refusal": "refusal",
    "pause_turn": "pause",
    "error": "error",
    "abort": "cancelled",
    "cancelled": "cancelled",
}


def finish_of(choice: Mapping[str, Any]) -> str | None:
    """The vendor's own word; early vision models wrapped it in `finish_details`."""
    return as_str(choice.get("finish_reason")) or as_str(as_dict(choice.get("finish_details")).get("type"))


def finish_reason(wire: OpenAIWire, raw: str | None, parts: list[Part]) -> FinishReason:
    """Our word for it. Raises the error of a finish that means that the vendor failed."""
    if raw is not None and (failure := wire.failures.get(raw)):
        raise failed(failure, raw)
    kinds = {type(part) for part in parts}
    return our_finish(raw, calls=ToolCall in kinds, refused=Refusal in kinds)


def failed(error: type[ProviderError], raw: str) -> ProviderError:
    return error(f"the provider ended the answer with {raw!r}", code=raw)


def our_finish(raw: str | None, *, calls: bool, refused: bool) -> FinishReason:
    found = _FINISH.get(raw.lower(), "unknown") if raw else "unknown"
    if found in {"stop", "unknown"}:
        if refused:
            return "refusal"
        if calls:
            return "tool_calls"
    return found
