"""Ollama's native API: `/api/chat` in JSON or JSON lines, `/api/embed`, `/api/tags`.

Source: Ollama's API reference and its own client. A stream has no sentinel; its last object has `done: true` and
the counts. An error can come as a line `{"error": "text"}` inside a 200. What `/api/generate` answers (`response`
instead of `message`) is read as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import evolve

from llmcore.errors import (
    ConnectionError,
    ContextLengthError,
    MalformedResponseError,
    ModelNotFoundError,
    OverloadedError,
    ProviderError,
    ServerError,
    StreamInterruptedError,
    UnsupportedFeatureError,
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
    Usage,
)
from llmcore.wire.base import Encoded, HttpRequest, ModelPage, StreamDecoder, Warnings, Wire
from llmcore.wire.caching import unmarked
from llmcore.wire.classify import ErrorFacts, says_context_length
from llmcore.wire.deltas import Deltas
from llmcore.wire.framing import JsonLines
from llmcore.wire.ollama_encode import ORIGIN, chat_body, embed_body
from llmcore.wire.read import Json, as_count, as_dict, as_list, as_str, dumps, loads, parse_object
from llmcore.wire.vectors import checked, vector_of

OUT_OF_MEMORY_WAIT = 60.0

_FINISH: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "load": "stop",
    "unload": "stop",
    "": "error",
}
_NO_MEMORY = ("requires more system memory", "cudamalloc", "out of memory")
_CANNOT = ("does not support", "is not supported for this model")


class OllamaWire(Wire):
    """Ollama's own dialect. A forced tool choice, files, audio and image addresses are refused before anything is sent."""

    dialect = ORIGIN
    features: frozenset[str] = frozenset(
        {
            "stream",
            "tools",
            "tool_images",
            "images",
            "structured_output",
            "reasoning",
            "embeddings",
            "models",
        }
    )

    def encode_generate(self, request: GenerationRequest, /, *, stream: bool) -> Encoded:
        warnings = Warnings()
        body = chat_body(unmarked(request, warnings), warnings, stream=stream)
        return Encoded(HttpRequest("POST", "/api/chat", dumps(body)), warnings.done())

    def decode_generate(self, body: bytes, request: GenerationRequest, /) -> GenerationResponse:
        value = parse_object(body)
        self.raise_error_in(value)
        if not isinstance(value.get("message"), dict) and not isinstance(value.get("response"), str):
            raise MalformedResponseError("an answer without a message", phase="parse")
        deltas, fold = Deltas(ORIGIN), Fold()
        take_message(value, deltas)
        deltas.close()
        for event in (*deltas.take(), finished(value, calls=deltas.calls)):
            fold.add(event)
        return evolve(fold.response(), raw=value)

    def event_decoder(self, request: GenerationRequest, /) -> OllamaDecoder:
        return OllamaDecoder(self, request)

    def encode_embed(self, request: EmbeddingRequest, /) -> Encoded:
        warnings = Warnings()
        body = embed_body(request, warnings)
        return Encoded(HttpRequest("POST", "/api/embed", dumps(body)), warnings.done())

    def decode_embed(self, body: bytes, request: EmbeddingRequest, /) -> EmbeddingResponse:
        """Vectors in `embeddings`, or one in `embedding`, as the older operation sends it."""
        value = parse_object(body)
        self.raise_error_in(value)
        found = value.get("embeddings")
        if found is None and "embedding" in value:
            found = [value["embedding"]]
        vectors = checked([vector_of(item) for item in as_list(found)], len(request.inputs))
        usage = Usage(as_count(value.get("prompt_eval_count")), raw=_counts(value))
        return EmbeddingResponse(vectors, model=as_str(value.get("model")), usage=usage)

    def encode_models(self, cursor: str | None = None, /) -> Encoded:
        return Encoded(HttpRequest("GET", "/api/tags"))

    def decode_models(self, body: bytes, /) -> ModelPage:
        value = parse_object(body)
        self.raise_error_in(value)
        if not isinstance(value.get("models"), list):
            raise MalformedResponseError("a list of models without models", phase="parse")
        return ModelPage(tuple(info for item in value["models"] if (info := _model(as_dict(item)))))

    def error_class(self, facts: ErrorFacts) -> type[ProviderError] | None:
        """Ollama has no codes, only texts."""
        text = facts.text
        if facts.status in {400, 500} and any(phrase in text for phrase in _CANNOT):
            return UnsupportedFeatureError
        if facts.status in {400, 413, 500} and says_context_length(text):
            return ContextLengthError
        if facts.status == 404 and isinstance(facts.body, dict) and "error" in facts.body:
            return ModelNotFoundError
        if facts.status == 500 and "not found" in text and "model" in text:
            return ModelNotFoundError
        if facts.status == 500 and _out_of_memory(text):
            return OverloadedError
        return ConnectionError if facts.status == 502 else None

    def make_error(self, facts: ErrorFacts) -> ProviderError:
        error = super().make_error(facts)
        if isinstance(error, OverloadedError) and error.retry_after is None and _out_of_memory(facts.text):
            error.retry_after = OUT_OF_MEMORY_WAIT
        return error


class OllamaDecoder(StreamDecoder):
    """JSON lines, each a whole object with a piece of the message."""

    def __init__(self, wire: OllamaWire, request: GenerationRequest) -> None:
        super().__init__(wire, request, JsonLines())
        self._deltas = Deltas(ORIGIN)

    def on_message(self, name: str, data: bytes, events: list[Event]) -> None:
        value = loads(data)
        if not isinstance(value, dict):
            raise MalformedResponseError("a line that is no object", phase="stream")
        if value.get("error"):
            raise self._error(value)
        take_message(value, self._deltas)
        done = value.get("done") is True
        if done:
            self._deltas.close()
        events += self._deltas.take()
        if done:
            self._end(events, finished(value, calls=self._deltas.calls))

    def _error(self, value: Json) -> ProviderError:
        """The line's error; one that says nothing known is an interruption."""
        error = self.wire.error_in(value)
        if type(error) is not ServerError:
            return error
        return StreamInterruptedError(error.message, status=error.status, code=error.code, phase="stream")


def take_message(value: Mapping[str, Any], deltas: Deltas) -> None:
    """What one object says: thinking, then text, then whole tool calls."""
    message = as_dict(value.get("message"))
    deltas.thinking(message.get("thinking") or value.get("thinking"), "thinking")
    deltas.text(message.get("content") or value.get("response"))
    for item in as_list(message.get("tool_calls")):
        function = as_dict(as_dict(item).get("function"))
        arguments = function.get("arguments")
        deltas.call(as_dict(item).get("id"), function.get("name"), {} if arguments is None else arguments)


def finished(value: Mapping[str, Any], *, calls: int) -> Finished:
    """The end by `done_reason`; "" means that the connection was closed; old servers leave it out."""
    raw = value.get("done_reason")
    reason: FinishReason = _FINISH.get(raw, "unknown") if isinstance(raw, str) else "unknown"
    if calls and (reason == "stop" or raw is None):
        reason = "tool_calls"
    usage = Usage(
        as_count(value.get("prompt_eval_count")), as_count(value.get("eval_count")), raw=_counts(value)
    )
    return Finished(reason, raw if isinstance(raw, str) else None, usage, as_str(value.get("model")))


def _counts(value: Mapping[str, Any]) -> Json:
    """Counts, and durations in nanoseconds."""
    return {key: value[key] for key in value if key.endswith(("_count", "_duration"))} or None


def _out_of_memory(text: str) -> bool:
    return any(phrase in text for phrase in _NO_MEMORY)


def _model(item: Mapping[str, Any]) -> ModelInfo | None:
    name = as_str(item.get("model")) or as_str(item.get("name"))
    if name is None:
        return None
    details, able = as_dict(item.get("details")), item.get("capabilities")
    return ModelInfo(
        name,
        display_name=as_str(item.get("name")),
        context_window=as_count(details.get("context_length")) or None,
        capabilities=frozenset(word for word in able if isinstance(word, str))
        if isinstance(able, list)
        else None,
        raw=item,
    )
