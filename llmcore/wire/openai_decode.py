"""Answers in the OpenAI dialect: whole bodies, usage, embeddings and model lists, read by rule and leniently."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from attrs import evolve

from llmcore.errors import MalformedResponseError, ProviderError
from llmcore.types import (
    EmbeddingRequest,
    EmbeddingResponse,
    FinishReason,
    GenerationResponse,
    Image,
    Message,
    ModelInfo,
    Opaque,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from llmcore.wire.base import (
    Json,
    as_count,
    as_dict,
    as_list,
    as_str,
    dumps,
    join_surrogates,
    parse_object,
)
from llmcore.wire.vectors import checked

if TYPE_CHECKING:
    from llmcore.wire.openai import OpenAIWire

REASONING_FIELDS = ("reasoning_content", "reasoning", "reasoning_text")
"""Where vendors put the text of reasoning beside `content`; the first one that holds something counts."""

NOTES = ("annotations", "citations", "search_results")
"""Notes about an answer, on the message or beside the choices; kept raw in one Opaque part."""


# ---------------------------------------------------------------------------------------------- the answer


def chat_response(wire: OpenAIWire, body: bytes) -> GenerationResponse:
    """A 2xx body to a response. Raises MalformedResponseError, or the error that the body describes."""
    value = parse_object(body)
    choices = value.get("choices")
    wire.raise_error_in(value)
    if not isinstance(choices, list) or not choices:
        raise MalformedResponseError("the answer has no choices", phase="parse")
    choice = first_choice(choices)
    message = choice.get("message")
    if not isinstance(message, dict) and not finish_of(choice):
        raise MalformedResponseError("the answer has no message", phase="parse")
    parts = message_parts(wire, as_dict(message))
    if found := notes(wire, as_dict(message), value):
        parts.append(found)
    raw_finish = finish_of(choice)
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
    found = [choice for choice in choices if isinstance(choice, dict)]
    return next((choice for choice in found if choice.get("index") == 0), found[0] if found else {})


def message_parts(wire: OpenAIWire, message: Mapping[str, Any]) -> list[Part]:
    """What the message holds, in the order in which it would be streamed: reasoning, text, images, calls."""
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
        if text := as_str(message.get(field)):
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
    return our_finish(
        raw,
        calls=any(type(part) is ToolCall for part in parts),
        refused=any(type(part) is Refusal for part in parts),
    )


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


# --------------------------------------------------------------------------------------------------- usage


def usage_in(body: Mapping[str, Any]) -> Json:
    """The usage object: at the top, or (Groq's streams) under `x_groq`."""
    found = body.get("usage")
    return found if isinstance(found, dict) else as_dict(body.get("x_groq")).get("usage")


def usage(raw: Json) -> Usage:
    """Tokens by the names that the imitators of the dialect use.

    Source: the vendors' API references. Where prompt + completion + reasoning is the total, the vendor counts
    reasoning apart from completion tokens. A part that exceeds its whole is unknown.
    """
    if not isinstance(raw, dict):
        return Usage()
    read, written = as_dict(raw.get("prompt_tokens_details")), as_dict(raw.get("completion_tokens_details"))
    prompt = _count(raw, "prompt_tokens", "input_tokens")
    output = _count(raw, "completion_tokens", "output_tokens")
    reasoning = _first(_count(written, "reasoning_tokens"), _count(raw, "reasoning_tokens"))
    if output is not None and reasoning and _apart(raw, prompt, output, reasoning):
        output += reasoning
    cached = _first(
        _count(read, "cached_tokens"),
        _count(as_dict(raw.get("prompt_token_details")), "cached_tokens"),
        _count(
            raw, "prompt_cache_hit_tokens", "num_cached_tokens", "cached_tokens", "cache_read_input_tokens"
        ),
    )
    fresh = _first(_count(read, "cache_write_tokens"), _count(raw, "cache_creation_input_tokens"))
    return Usage(
        prompt,
        output,
        _within(cached, prompt),
        _within(fresh, prompt),
        _within(reasoning, output),
        cost(raw),
        raw,
    )


def _apart(raw: Mapping[str, Any], prompt: int | None, output: int, reasoning: int) -> bool:
    return prompt is not None and as_count(raw.get("total_tokens")) == prompt + output + reasoning


def _count(raw: Mapping[str, Any], *names: str) -> int | None:
    return _first(*(as_count(raw.get(name)) for name in names))


def _first(*values: int | None) -> int | None:
    return next((value for value in values if value is not None), None)


def _within(part: int | None, whole: int | None) -> int | None:
    return None if part is not None and whole is not None and part > whole else part


def cost(raw: Mapping[str, Any]) -> Decimal | None:
    """US dollars: `cost` (OpenRouter, Vercel), `cost.total_cost` (Perplexity), 10**10 `cost_in_usd_ticks` a dollar (xAI)."""
    told = raw.get("cost")
    if (found := _money(as_dict(told).get("total_cost") if isinstance(told, dict) else told)) is not None:
        return found
    ticks = as_count(raw.get("cost_in_usd_ticks"))
    return None if ticks is None else Decimal(ticks).scaleb(-10)


def _money(value: Json) -> Decimal | None:
    if not isinstance(value, (int, float, str)) or isinstance(value, bool):
        return None
    try:
        found = Decimal(str(value)[:40])
    except InvalidOperation:
        return None
    return found if found.is_finite() and found >= 0 else None


# ------------------------------------------------------------------------------------ embeddings and models


def embed_response(wire: OpenAIWire, body: bytes, request: EmbeddingRequest) -> EmbeddingResponse:
    """The vectors in the order of the inputs. Raises MalformedResponseError."""
    value = parse_object(body)
    wire.raise_error_in(value)
    rows = value.pop("data", None)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise MalformedResponseError("the answer holds no embeddings", phase="parse")
    if all(type(row.get("index")) is int for row in rows):
        rows.sort(key=lambda row: row["index"])
    vectors = checked([wire.vector(row.get("embedding")) for row in rows], len(request.inputs))
    return EmbeddingResponse(
        vectors, model=as_str(value.get("model")), usage=wire.usage(value.get("usage")), raw=value
    )


def model_infos(value: Json) -> tuple[ModelInfo, ...]:
    """The models of `{data: [...]}`, `{models: [...]}` or a bare list."""
    rows = value
    if isinstance(value, dict):
        rows = value.get("data") if isinstance(value.get("data"), list) else value.get("models")
    if not isinstance(rows, list):
        raise MalformedResponseError("the answer is no list of models", phase="parse")
    found = (
        _model_info({"id": row} if isinstance(row, str) else row)
        for row in rows
        if isinstance(row, (dict, str))
    )
    return tuple(info for info in found if info is not None)


def _model_info(row: Mapping[str, Any]) -> ModelInfo | None:
    name = as_str(row.get("id")) or as_str(row.get("name")) or as_str(row.get("model"))
    if name is None:
        return None
    top, meta = as_dict(row.get("top_provider")), as_dict(row.get("meta"))
    window = _count(
        row,
        "context_length",
        "context_window",
        "max_context_length",
        "max_model_len",
        "max_context_window_tokens",
    )
    written = _count(row, "max_output_tokens", "max_completion_tokens", "max_output_length")
    title = as_str(row.get("display_name")) or as_str(row.get("name"))
    return ModelInfo(
        name,
        display_name=title if title != name else None,
        context_window=_first(window, _count(top, "context_length"), _count(meta, "n_ctx_train")),
        max_output_tokens=_first(written, _count(top, "max_completion_tokens")),
        created=as_count(row.get("created")),
        owned_by=as_str(row.get("owned_by")),
        capabilities=_capabilities(row),
        raw=row,
    )


def _capabilities(row: Mapping[str, Any]) -> frozenset[str] | None:
    """What the vendor says that the model can: names that are true, or a list of names."""
    told = row.get("capabilities") or row.get("supported_features") or row.get("supported_parameters")
    if isinstance(told, dict):
        return frozenset(name for name, value in told.items() if value is True)
    return frozenset(item for item in told if isinstance(item, str)) if isinstance(told, list) else None
