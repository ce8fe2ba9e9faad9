"""Google Gemini's `generateContent` dialect, also as the enterprise platform (Vertex) speaks it.

Source: the Gemini API reference, v1beta. JSON is camelCase and unknown fields are refused, so nothing is sent on a guess.
A stream has no terminator: it is whole where a finish reason came before its end; usage may follow that.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import quote

from attrs import evolve

from llmcore.errors import (
    InvalidRequestError,
    MalformedResponseError,
    ProviderError,
    ServerError,
    StreamInterruptedError,
)
from llmcore.provider import Fold
from llmcore.types import (
    EmbeddingRequest,
    EmbeddingResponse,
    Event,
    GenerationRequest,
    GenerationResponse,
    ModelInfo,
    Usage,
)
from llmcore.wire.base import Encoded, HttpRequest, ModelPage, StreamDecoder, Warnings, Wire
from llmcore.wire.caching import unmarked
from llmcore.wire.classify import ErrorFacts
from llmcore.wire.framing import ServerSentEvents
from llmcore.wire.gemini_contents import Dialect
from llmcore.wire.gemini_decode import Reader
from llmcore.wire.gemini_embed import BATCH, embed_body, embed_response
from llmcore.wire.gemini_encode import body_of
from llmcore.wire.gemini_errors import error_class, reason_of
from llmcore.wire.read import Json, as_count, as_dict, as_list, as_str, dumps, loads, parse_object

FEATURES = frozenset(
    {
        "stream",
        "tools",
        "tool_images",
        "images",
        "files",
        "file_urls",
        "audio",
        "assistant_images",
        "structured_output",
        "reasoning",
        "embeddings",
        "models",
    }
)

MAX_EVENT = 16 * 1024 * 1024
"""One event may hold a whole image, in base64."""

_PATHS = re.compile(r"(?:models|tunedModels|publishers|projects|endpoints)(?:/[^/]+)+")
_CAPABILITIES = {"generateContent": "generate", "embedContent": "embeddings"}


class GeminiWire(Wire):
    """One way of speaking the dialect.

    root: put before every path; an absolute address where another API version than the place's own is wanted.
    notes: whose signatures go back, where bare file ids lead, see `Dialect`.
    """

    dialect: ClassVar[str] = "gemini"
    features = FEATURES
    embed_batch = BATCH
    retry_hints_in_text = True

    def __init__(self, *, root: str = "", notes: Dialect | None = None) -> None:
        self.root = root
        self.notes: Dialect = notes or Dialect(origin=self.dialect)

    # ------------------------------------------------------------------------------------------- generate

    def encode_generate(self, request: GenerationRequest, /, *, stream: bool) -> Encoded:
        warnings = Warnings()
        body = body_of(unmarked(request, warnings), self.notes, warnings)
        method = "streamGenerateContent?alt=sse" if stream else "generateContent"
        return Encoded(self._post(request.model, method, body), warnings.done())

    def decode_generate(self, body: bytes, request: GenerationRequest, /) -> GenerationResponse:
        """A response object, or a list of them as the streaming method sends without `alt=sse`."""
        value = loads(body) if body.strip() else None
        reader, events = self.reader(), list[Event]()
        self.read(value, reader, events)
        if not reader.answered:
            raise MalformedResponseError("an answer without candidates", phase="parse")
        fold = Fold()
        events.append(reader.end(events))
        for event in events:
            fold.add(event)
        return evolve(fold.response(), raw=value)

    def event_decoder(self, request: GenerationRequest, /) -> GeminiDecoder:
        return GeminiDecoder(self, request)

    def reader(self) -> Reader:
        return Reader(self.notes.origin)

    def read(self, value: Json, reader: Reader, events: list[Event]) -> None:
        """One message of the vendor's to events. Raises the error it describes, or MalformedResponseError."""
        for item in value if isinstance(value, list) and value else [value]:
            if not isinstance(item, dict):
                raise MalformedResponseError(
                    f"a JSON {type(item).__name__} where a response was expected", phase="parse"
                )
            self.raise_error_in(item)
            reader.take(item, events)

    # ------------------------------------------------------------------------------- embeddings and models

    def encode_embed(self, request: EmbeddingRequest, /) -> Encoded:
        body = embed_body(request, _resource(request.model).removeprefix("/"))
        method = "embedContent" if len(request.inputs) == 1 else "batchEmbedContents"
        return Encoded(self._post(request.model, method, body))

    def decode_embed(self, body: bytes, request: EmbeddingRequest, /) -> EmbeddingResponse:
        value = parse_object(body)
        self.raise_error_in(value)
        return embed_response(value, request)

    def encode_models(self, cursor: str | None = None, /) -> Encoded:
        page = f"&pageToken={quote(cursor, safe='')}" if cursor else ""
        return Encoded(HttpRequest("GET", f"{self.root}/models?pageSize=1000{page}"))

    def decode_models(self, body: bytes, /) -> ModelPage:
        """An empty list of models is left out by the vendor; anything else without one is no list."""
        value = parse_object(body)
        self.raise_error_in(value)
        cursor = as_str(value.get("nextPageToken"))
        found = value.get("models", value.get("tunedModels", value.get("publisherModels")))
        if value and cursor is None and not isinstance(found, list):
            raise MalformedResponseError("a list of models without models", phase="parse")
        models = (_model(item) for item in as_list(found) if isinstance(item, dict))
        return ModelPage(tuple(model for model in models if model is not None), cursor)

    # --------------------------------------------------------------------------------------------- errors

    def make_error(self, facts: ErrorFacts) -> ProviderError:
        """`code` becomes the reason in ErrorInfo where there is one; the number in the body only repeats the status.

        A 500 is sometimes an overlong prompt, so it is tried once more and no oftener.
        """
        error = super().make_error(evolve(facts, code=reason_of(facts.error) or facts.code))
        if type(error) is ServerError and error.status == 500:
            error.retry_limit = 1
        return error

    def error_class(self, facts: ErrorFacts) -> type[ProviderError] | None:
        return error_class(facts)

    def _post(self, model: str | None, method: str, body: Mapping[str, Any]) -> HttpRequest:
        return HttpRequest("POST", f"{self.root}{_resource(model, quoted=True)}:{method}", dumps(body))


class GeminiDecoder(StreamDecoder):
    """Whole response objects, one an event; the end of the bytes is the end of the answer."""

    wire: GeminiWire

    def __init__(self, wire: GeminiWire, request: GenerationRequest) -> None:
        super().__init__(wire, request, ServerSentEvents(MAX_EVENT))
        self._reader = wire.reader()
        self._over = False

    @property
    def usage(self) -> Usage:
        return self._reader.usage

    def on_message(self, name: str, data: bytes, events: list[Event]) -> None:
        if not data.strip() or data.strip() == b"[DONE]":
            return
        try:
            value = loads(data)
        except MalformedResponseError:
            if self._over:  # the bytes ended inside an event
                return
            raise
        self.wire.read(value, self._reader, events)

    def on_end(self, events: list[Event]) -> None:
        if self._reader.finish is None:
            raise StreamInterruptedError("the stream ended without a finish reason", phase="stream")
        self._end(events, self._reader.end(events))

    def on_whole(self, body: bytes, events: list[Event]) -> None:
        """Without `alt=sse` a stream is one JSON list; anything else is a plain answer or an error."""
        if body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"[":
            self.wire.read(loads(body), self._reader, events)
            self.on_end(events)
        else:
            super().on_whole(body, events)

    def _finish(self, events: list[Event]) -> None:
        self._over = True
        super()._finish(events)


def _resource(model: str | None, *, quoted: bool = False) -> str:
    """The path of a model: `models/` before a bare name; other collections as they are. Raises InvalidRequestError."""
    if not model:
        raise InvalidRequestError("model: Gemini needs the name of a model")
    name = model.removeprefix("/")
    if not _PATHS.fullmatch(name) or {".", ".."} & set(name.split("/")):
        name = f"models/{quote(name, safe='') if quoted else name}"
    elif name.startswith("models/"):
        name = f"models/{quote(name[7:], safe='') if quoted else name[7:]}"
    elif quoted:
        name = quote(name, safe="/")
    return "/" + name


def _model(item: Mapping[str, Any]) -> ModelInfo | None:
    name = as_str(item.get("name"))
    if name is None:
        return None
    methods = item.get("supportedGenerationMethods")
    able = {_CAPABILITIES.get(word, word) for word in as_list(methods) if isinstance(word, str)}
    if item.get("thinking") is True:
        able.add("reasoning")
    return ModelInfo(
        id=name.removeprefix("models/"),
        display_name=as_str(item.get("displayName")),
        context_window=as_count(item.get("inputTokenLimit")),
        max_output_tokens=as_count(item.get("outputTokenLimit")),
        capabilities=frozenset(able) if isinstance(methods, list) else None,
        raw=as_dict(item),
    )
