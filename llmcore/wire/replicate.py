"""Replicate's predictions: create, then wait, poll or stream.

Source: Replicate's HTTP reference and its own SDK. Creating with `Prefer: wait` answers with the finished prediction
or, after a minute, with an unfinished one, which is polled at `urls.get`. A stream is a second request, to `urls.stream`.
Whoever gives up asks `urls.cancel`, since the model runs and bills on otherwise. Models have no chat schema: see
`replicate_encode.prompt` for the text that they get. A schema is asked for in the prompt, and the answer validated; so
such an answer is never streamed in pieces, but polled and delivered whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import SplitResult, quote, urlsplit

from llmcore.errors import (
    ContentFilterError,
    ContextLengthError,
    MalformedResponseError,
    ModelNotFoundError,
    OverloadedError,
    ProviderError,
    ServerError,
    StreamInterruptedError,
    TotalTimeout,
)
from llmcore.types import (
    Event,
    Finished,
    FinishReason,
    GenerationRequest,
    GenerationResponse,
    Message,
    ModelInfo,
    TextDelta,
    Usage,
)
from llmcore.wire.base import Encoded, HttpRequest, ModelPage, Pending, StreamDecoder, Warnings, Wire
from llmcore.wire.caching import unmarked
from llmcore.wire.classify import ErrorFacts, says_context_length
from llmcore.wire.deltas import compact
from llmcore.wire.framing import ServerSentEvents
from llmcore.wire.read import Json, as_count, as_dict, as_str, dumps, join_surrogates, loads, parse_object
from llmcore.wire.replicate_encode import body as encoded_body
from llmcore.wire.replicate_encode import target
from llmcore.wire.structured import validated

WAIT_STARTING = 1.0
WAIT_PROCESSING = 0.5

_ENDED = {"succeeded", "failed", "canceled", "aborted"}
_STREAM_HEADERS = {"accept": "text/event-stream", "cache-control": "no-store"}
_FILTERED = ("nsfw", "flagged as sensitive")


class ReplicateWire(Wire):
    """Predictions. There are no tools, no embeddings; several images, files and audio are refused before anything is sent."""

    dialect = "replicate"
    features: frozenset[str] = frozenset({"stream", "images", "structured_output", "models"})
    two_step_stream = True
    retry_hints_in_text = True

    def encode_generate(self, request: GenerationRequest, /, *, stream: bool) -> Encoded:
        warnings = Warnings()
        path, version = target(request.model)
        body = encoded_body(unmarked(request, warnings), version, warnings)
        headers = {} if stream and request.response_format is None else {"prefer": "wait"}
        return Encoded(HttpRequest("POST", path, dumps(body), headers), warnings.done())

    def decode_generate(self, body: bytes, request: GenerationRequest, /) -> GenerationResponse | Pending:
        """The answer of a prediction that has ended, or where to ask again. A status that is not known is no end."""
        value = self._prediction(body)
        status = value["status"]
        if status == "succeeded":
            response = answer(value)
            wanted = request.response_format
            return response if wanted is None else validated(response, wanted)
        if status in _ENDED:
            raise self.failure(status, value.get("error"), value)
        wait = WAIT_STARTING if status == "starting" else WAIT_PROCESSING
        return Pending(HttpRequest("GET", _poll_url(value)), wait, _cancel(value))

    def decode_stream_start(self, body: bytes, request: GenerationRequest, /) -> Pending | None:
        """Where the stream is; None where the model has none, the answer is to be validated, or is there already."""
        value = self._prediction(body)
        url = _address(value, "stream")
        if url is None or value["status"] in _ENDED or request.response_format is not None:
            return None
        return Pending(HttpRequest("GET", url, headers=_STREAM_HEADERS), cancel=_cancel(value))

    def event_decoder(self, request: GenerationRequest, /) -> ReplicateDecoder:
        return ReplicateDecoder(self, request)

    def encode_models(self, cursor: str | None = None, /) -> Encoded:
        """The vendor's collection of language models: /v1/models would list every public model of any kind."""
        return Encoded(HttpRequest("GET", cursor or "/v1/collections/language-models"))

    def decode_models(self, body: bytes, /) -> ModelPage:
        """A collection ({models}) or a page of models ({results, next})."""
        value = parse_object(body)
        self.raise_error_in(value)
        found = value.get("models", value.get("results"))
        if not isinstance(found, list):
            raise MalformedResponseError("a list of models without models", phase="parse")
        models = tuple(info for item in found if (info := _model(as_dict(item))))
        return ModelPage(models, _cursor(value.get("next")))

    def error_class(self, facts: ErrorFacts) -> type[ProviderError] | None:
        """404 is a model that is not there, where the body is the vendor's own."""
        return ModelNotFoundError if facts.status == 404 and isinstance(facts.body, dict) else None

    def _prediction(self, body: bytes) -> dict[str, Any]:
        value = parse_object(body)
        if isinstance(value.get("status"), str):
            return value
        if isinstance(value.get("status"), int) and ("detail" in value or "title" in value):
            raise self.error_in(value)
        self.raise_error_in(value)
        raise MalformedResponseError("a prediction without a status", phase="parse")

    def failure(self, status: str, told: Json, body: Json = None) -> ProviderError:
        """Why a prediction came to nothing: by the words of its error, since there are no codes."""
        text = (
            told
            if isinstance(told, str)
            else compact(told)
            if told
            else f"the prediction ended as {status!r}"
        )
        text = join_surrogates(text)
        error = _failure_class(status, text.lower())(text, code=status)
        error.request_id = as_str(as_dict(body).get("id"))
        return error


class ReplicateDecoder(StreamDecoder):
    """Events `output` (a piece of text), `logs`, `error` and `done` (`{}`, or why it ended otherwise)."""

    def __init__(self, wire: ReplicateWire, request: GenerationRequest) -> None:
        super().__init__(wire, request, ServerSentEvents())
        self._replicate = wire

    def on_message(self, name: str, data: bytes, events: list[Event]) -> None:
        match name:
            case "output":
                if data:
                    events.append(TextDelta(data.decode("utf-8", "replace")))
            case "error":
                raise self._replicate.failure("failed", _detail(data))
            case "done":
                self._done(data, events)
            case _:
                pass

    def _done(self, data: bytes, events: list[Event]) -> None:
        value = loads(data) if data.strip() else None
        if not isinstance(value, dict):
            raise StreamInterruptedError("the stream ended without saying how", phase="stream")
        reason = as_str(value.get("reason"))
        if reason in {"error", "canceled"}:
            raise self._replicate.failure("canceled" if reason == "canceled" else "failed", None)
        finish: FinishReason = "stop" if reason in {None, "succeeded"} else "unknown"
        self._end(events, Finished(finish, reason, _usage(value.get("metrics"))))


# -------------------------------------------------------------------------------------------------- answers


def answer(value: Mapping[str, Any]) -> GenerationResponse:
    """A prediction that succeeded."""
    return GenerationResponse(
        message=Message("assistant", text_of(value.get("output")) or ()),
        finish_reason="stop",
        raw_finish_reason=as_str(value.get("status")),
        usage=_usage(value.get("metrics")),
        model=as_str(value.get("model")),
        id=as_str(value.get("id")),
        raw=value,
    )


def text_of(output: Json) -> str:
    """Text, or a list of pieces of text; other values as JSON."""
    if output is None:
        return ""
    if isinstance(output, str):
        return join_surrogates(output)
    if isinstance(output, list):
        return join_surrogates("".join(item if isinstance(item, str) else compact(item) for item in output))
    return compact(output)


def _usage(metrics: Json) -> Usage:
    """Token counts, which the vendor's language models tell and others do not."""
    told = as_dict(metrics)
    return Usage(
        as_count(told.get("input_token_count")), as_count(told.get("output_token_count")), raw=metrics
    )


def _failure_class(status: str, text: str) -> type[ProviderError]:
    if status == "aborted":
        return TotalTimeout
    if status == "canceled":
        return ServerError
    if "out of memory" in text:
        return OverloadedError
    if any(phrase in text for phrase in _FILTERED):
        return ContentFilterError
    return ContextLengthError if says_context_length(text) else ServerError


def _detail(data: bytes) -> Json:
    """The words of an `error` event, which are plain text or in a JSON object."""
    text = data.decode("utf-8", "replace")
    if not text.lstrip().startswith("{"):
        return text
    try:
        value = loads(text)
    except MalformedResponseError:
        return text
    return as_str(as_dict(value).get("detail")) or text


# ------------------------------------------------------------------------------------------------ addresses


def _poll_url(value: Mapping[str, Any]) -> str:
    return _address(value, "get") or _own_path(value)


def _cancel(value: Mapping[str, Any]) -> HttpRequest | None:
    url = _address(value, "cancel")
    if url is None and not as_str(value.get("id")):
        return None
    return HttpRequest("POST", url or f"{_own_path(value)}/cancel")


def _address(value: Mapping[str, Any], name: str) -> str | None:
    """An address that the vendor hands out, if it is one; whether it may be trusted is for the place to say."""
    url = as_str(as_dict(value.get("urls")).get(name))
    parts = _split(url)
    return url if parts and url and url.isascii() and (parts.hostname or parts.path.startswith("/")) else None


def _split(url: Json) -> SplitResult | None:
    try:
        parts = urlsplit(url if isinstance(url, str) else "")
        return parts if parts.port != 0 else None
    except ValueError:
        return None


def _own_path(value: Mapping[str, Any]) -> str:
    name = as_str(value.get("id"))
    if name is None or name in {".", ".."}:
        raise MalformedResponseError("a prediction without an address", phase="parse")
    return f"/v1/predictions/{quote(name, safe='', errors='replace')}"


def _cursor(url: Json) -> str | None:
    """Path and query of the next page's address."""
    parts = _split(url)
    if parts is None or not parts.path.startswith("/") or parts.path.startswith("//"):
        return None
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def _model(item: Mapping[str, Any]) -> ModelInfo | None:
    owner, name = as_str(item.get("owner")), as_str(item.get("name"))
    if owner is None or name is None:
        return None
    created = _epoch(item.get("created_at"))
    return ModelInfo(f"{owner}/{name}", created=created, owned_by=owner, raw=item)


def _epoch(text: Json) -> int | None:
    try:
        when = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    if when is None:
        return None
    return int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp())
