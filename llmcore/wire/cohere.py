"""Cohere's v2 API: `/v2/chat` in JSON or server-sent events, `/v2/embed`, `/v1/models`.

Source: Cohere's API reference and its own SDK. The plan that a model writes before tool calls (`tool_plan`) is shown
as thinking; citations are kept as one opaque block at the end of the message. A stream ends with `message-end`; a
`[DONE]` may follow. Errors are `{"message", "id"}`; the id is the request's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from attrs import evolve

from llmcore.errors import (
    AuthenticationError,
    MalformedResponseError,
    ProviderError,
    QuotaExhaustedError,
    StreamInterruptedError,
)
from llmcore.provider import Fold
from llmcore.types import (
    EmbeddingRequest,
    EmbeddingResponse,
    Event,
    Finished,
    FinishReason,
    GenerationRequest,
    GenerationResponse,
    ModelInfo,
    Opaque,
    Usage,
)
from llmcore.wire.base import Encoded, HttpRequest, ModelPage, StreamDecoder, Warnings, Wire
from llmcore.wire.caching import unmarked
from llmcore.wire.classify import ErrorFacts
from llmcore.wire.cohere_encode import CITATIONS, ORIGIN, PLAN, chat_body, embed_body
from llmcore.wire.deltas import Deltas
from llmcore.wire.framing import ServerSentEvents
from llmcore.wire.read import Json, as_count, as_dict, as_list, as_str, dumps, loads, parse_object
from llmcore.wire.vectors import checked, vector_of

PAGE = 1000

_FINISH: dict[str, FinishReason] = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "MAX_TOKENS": "length",
    "ERROR_LIMIT": "length",
    "TOOL_CALL": "tool_calls",
    "ERROR": "error",
    "TIMEOUT": "error",
    "ERROR_TOXIC": "content_filter",
    "USER_CANCEL": "cancelled",
}


class CohereWire(Wire):
    """Cohere's own dialect. A schema together with tools is refused before anything is sent: the vendor takes one or
    the other. A named tool choice sends that tool alone.
    """

    dialect = ORIGIN
    features: frozenset[str] = frozenset(
        {"stream", "tools", "images", "structured_output", "reasoning", "embeddings", "models"}
    )
    embed_batch = 96

    def encode_generate(self, request: GenerationRequest, /, *, stream: bool) -> Encoded:
        warnings = Warnings()
        body = chat_body(unmarked(request, warnings), warnings, stream=stream)
        return Encoded(HttpRequest("POST", "/v2/chat", dumps(body)), warnings.done())

    def decode_generate(self, body: bytes, request: GenerationRequest, /) -> GenerationResponse:
        value = parse_object(body)
        self.raise_error_in(value)
        message = value.get("message")
        if isinstance(message, str):
            raise self.error_in(value)
        if not isinstance(message, dict):
            raise MalformedResponseError("an answer without a message", phase="parse")
        deltas, fold = Deltas(ORIGIN), Fold()
        take_message(message, deltas)
        for event in (*deltas.take(), finished(value, as_str(value.get("id")), calls=deltas.calls)):
            fold.add(event)
        return evolve(fold.response(), raw=value)

    def event_decoder(self, request: GenerationRequest, /) -> CohereDecoder:
        return CohereDecoder(self, request)

    def encode_embed(self, request: EmbeddingRequest, /) -> Encoded:
        return Encoded(HttpRequest("POST", "/v2/embed", dumps(embed_body(request))))

    def decode_embed(self, body: bytes, request: EmbeddingRequest, /) -> EmbeddingResponse:
        """Vectors by type (`float`, or `base64` of little-endian float32), or in a bare list as v1 sends them."""
        value = parse_object(body)
        self.raise_error_in(value)
        found = value.get("embeddings")
        if isinstance(found, dict):
            found = found.get("float") or found.get("base64")
        vectors = checked([vector_of(item) for item in as_list(found)], len(request.inputs))
        billed = as_dict(as_dict(value.get("meta")).get("billed_units"))
        usage = Usage(as_count(billed.get("input_tokens")), raw=value.get("meta"))
        return EmbeddingResponse(vectors, usage=usage)

    def encode_models(self, cursor: str | None = None, /) -> Encoded:
        page = f"&page_token={quote(cursor, safe='')}" if cursor else ""
        return Encoded(HttpRequest("GET", f"/v1/models?page_size={PAGE}{page}"))

    def decode_models(self, body: bytes, /) -> ModelPage:
        value = parse_object(body)
        if not isinstance(value.get("models"), list):
            raise MalformedResponseError("a list of models without models", phase="parse")
        models = tuple(info for item in value["models"] if (info := _model(as_dict(item))))
        return ModelPage(models, as_str(value.get("next_page_token")))

    def error_class(self, facts: ErrorFacts) -> type[ProviderError] | None:
        """498 is an invalid token; a trial key's monthly cap comes as 429."""
        if facts.status == 498:
            return AuthenticationError
        if facts.status == 429 and ("trial key" in facts.text or "monthly" in facts.text):
            return QuotaExhaustedError
        return None

    def make_error(self, facts: ErrorFacts) -> ProviderError:
        error = super().make_error(facts)
        error.request_id = error.request_id or as_str(as_dict(facts.body).get("id"))
        return error


class CohereDecoder(StreamDecoder):
    """Named events, each with its `type` in the data as well."""

    def __init__(self, wire: CohereWire, request: GenerationRequest) -> None:
        super().__init__(wire, request, ServerSentEvents())
        self._deltas = Deltas(ORIGIN)
        self._id: str | None = None
        self._calls: dict[Json, int] = {}
        self._bare: set[int] = set()
        self._citations: list[Json] = []

    def on_message(self, name: str, data: bytes, events: list[Event]) -> None:
        if data.strip() == b"[DONE]":
            raise StreamInterruptedError("the stream was closed before the answer ended", phase="stream")
        value = loads(data)
        if not isinstance(value, dict):
            raise MalformedResponseError("an event that is no object", phase="stream")
        self.wire.raise_error_in(value)
        kind = as_str(value.get("type")) or name
        if not kind and isinstance(value.get("message"), str):
            raise self.wire.error_in(value)
        if kind == "message-end":
            self._check(as_dict(value.get("delta")))
        self._take(kind, value)
        events += self._deltas.take()
        if kind == "message-end":
            self._end(events, self._finished(as_dict(value.get("delta"))))

    def _take(self, kind: str, value: Mapping[str, Any]) -> None:
        message = as_dict(as_dict(value.get("delta")).get("message"))
        match kind:
            case "message-start":
                self._id = as_str(value.get("id"))
            case "content-start" | "content-delta":
                take_content(message.get("content"), self._deltas)
            case "content-end":
                self._deltas.close()
            case "tool-plan-delta":
                self._deltas.thinking(message.get("tool_plan"), PLAN)
            case "tool-call-start":
                self._start_call(value.get("index"), message.get("tool_calls"))
            case "tool-call-delta":
                self._more_arguments(value.get("index"), message.get("tool_calls"))
            case "citation-start":
                found = message.get("citations")
                self._citations += found if isinstance(found, list) else [found]
            case "message-end":
                self._close()

    def _start_call(self, index: Json, call: Json) -> None:
        for item in _items(call):
            function = as_dict(item.get("function"))
            number = self._deltas.call(item.get("id"), function.get("name"), function.get("arguments"))
            self._calls[_key(index)] = number
            if function.get("arguments") is None:
                self._bare.add(number)

    def _more_arguments(self, index: Json, call: Json) -> None:
        number = self._calls.get(_key(index), self._deltas.calls - 1)
        if number < 0:
            self._start_call(index, call)
            return
        for item in _items(call):
            piece = as_dict(item.get("function")).get("arguments")
            if isinstance(piece, str):
                self._bare.discard(number)
            self._deltas.arguments(number, piece)

    def _close(self) -> None:
        """What a call was never told, and the citations, are said at the end, as in a plain answer."""
        for number in sorted(self._bare):
            self._deltas.arguments(number, "{}")
        add_citations(self._citations, self._deltas)

    def _check(self, delta: Mapping[str, Any]) -> None:
        """An end without a reason, inside the arguments of a call, is a cut."""
        if not (delta.get("finish_reason") or delta.get("error")) and self._deltas.cut:
            raise StreamInterruptedError(
                "the stream ended inside the arguments of a tool call", phase="stream"
            )

    def _finished(self, delta: Mapping[str, Any]) -> Finished:
        if fault := delta.get("error"):
            raise self.wire.error_in({"error": fault})
        return finished(delta, self._id, calls=self._deltas.calls)


# ------------------------------------------------------------------------------------------------- messages


def take_message(message: Mapping[str, Any], deltas: Deltas) -> None:
    """A whole message: content, the plan, the calls, the citations."""
    take_content(message.get("content"), deltas)
    deltas.thinking(message.get("tool_plan"), PLAN)
    for item in _items(message.get("tool_calls")):
        function = as_dict(item.get("function"))
        arguments = function.get("arguments")
        deltas.call(item.get("id"), function.get("name"), "{}" if arguments is None else arguments)
    add_citations(as_list(message.get("citations")), deltas)


def take_content(content: Json, deltas: Deltas) -> None:
    """Text or thinking, whole or a piece: text alone, one part, or a list of parts. Other types stay in `raw`."""
    if isinstance(content, str):
        deltas.text(content)
    for part in _items(content):
        deltas.thinking(part.get("thinking"), "thinking")
        deltas.text(part.get("text"))


def add_citations(citations: list[Json], deltas: Deltas) -> None:
    deltas.close()
    if citations:
        deltas.part(Opaque({CITATIONS: citations}, ORIGIN))


def finished(value: Mapping[str, Any], answer_id: str | None, *, calls: int) -> Finished:
    raw = as_str(value.get("finish_reason"))
    reason: FinishReason = _FINISH.get(raw.upper(), "unknown") if raw else "unknown"
    if calls and reason == "stop":
        reason = "tool_calls"
    return Finished(reason, raw, usage_in(value.get("usage")), id=answer_id)


def usage_in(raw: Json) -> Usage:
    """Tokens as the model saw them (JSON floats); where they are missing, those that are billed."""
    usage = as_dict(raw)
    tokens = as_dict(usage.get("tokens")) or as_dict(usage.get("billed_units"))
    read, written = as_count(tokens.get("input_tokens")), as_count(tokens.get("output_tokens"))
    cached, thought = as_count(usage.get("cached_tokens")), as_count(tokens.get("reasoning_tokens"))
    return Usage(
        read,
        written,
        cached_tokens=_within(cached, read),
        reasoning_tokens=_within(thought, written),
        raw=raw,
    )


def _within(part: int | None, whole: int | None) -> int | None:
    return None if part is None or (whole is not None and part > whole) else part


def _items(value: Json) -> list[dict[str, Any]]:
    """The objects in a list, or the one object that stands where a list may stand."""
    return [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, dict)]


def _key(index: Json) -> Json:
    return index if isinstance(index, (int, str)) else None


def _model(item: Mapping[str, Any]) -> ModelInfo | None:
    name = as_str(item.get("name"))
    if name is None:
        return None
    told = [word for key in ("endpoints", "features") for word in as_list(item.get(key))]
    return ModelInfo(
        name,
        context_window=as_count(item.get("context_length")) or None,
        capabilities=frozenset(word for word in told if isinstance(word, str)) or None,
        raw=item,
    )
