"""The contract of a wire: requests to bytes, bytes to nouns. A wire holds no state; one instance serves every call.

Encoders return an `Encoded` request with warnings for parameters the dialect cannot say, or raise
UnsupportedFeatureError where leaving one out would change the meaning. Decoders never crash on odd vendor JSON:
they raise MalformedResponseError, or keep what they do not know raw.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, TypeAlias

from attrs import evolve, field, frozen

from llmcore.errors import (
    ContentFilterError,
    InvalidRequestError,
    MalformedResponseError,
    ProviderError,
    StreamInterruptedError,
    UnsupportedFeatureError,
)
from llmcore.provider import events_of
from llmcore.types import (
    EmbeddingRequest,
    EmbeddingResponse,
    Event,
    Finished,
    GenerationRequest,
    GenerationResponse,
    ModelInfo,
    RequestWarning,
    Usage,
)
from llmcore.types.responses import NO_USAGE
from llmcore.wire.classify import (
    TOO_LARGE,
    ErrorFacts,
    facts_of,
    generic_error_class,
    read_error,
    retry_after,
    status_in_body,
)
from llmcore.wire.framing import JsonLines, ServerSentEvents
from llmcore.wire.read import Json

Headers: TypeAlias = Mapping[str, str]

MAX_BODY = 64 * 1024 * 1024
_REQUEST_IDS = (
    "x-request-id",
    "request-id",
    "apim-request-id",
    "x-debug-trace-id",
    "x-generation-id",
    "cf-ray",
)
_ANY_ID = frozenset(_REQUEST_IDS)


@frozen
class HttpRequest:
    """One HTTP request, less the origin and the credentials, which belong to the place.

    `path` begins with "/" and is appended to the place's base URL; or it is an absolute URL that a vendor handed
    out, which the leaf checks against the place's trusted hosts before it sends anything.
    """

    method: str
    path: str
    body: bytes | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(factory=dict)


@frozen
class Encoded:
    """A request ready to go, and what could not be said in it."""

    http: HttpRequest
    warnings: tuple[RequestWarning, ...] = ()


@frozen
class Pending:
    """Not answered yet: send `next` after `wait_s` seconds; send `cancel` if the caller gives up meanwhile.

    In a stream, `next` is the request whose body is the stream.
    """

    next: HttpRequest
    wait_s: float = 0.0
    cancel: HttpRequest | None = None


@frozen
class ModelPage:
    """Some of the models, and the cursor that asks for the next ones (None: there are no more)."""

    models: tuple[ModelInfo, ...]
    cursor: str | None = None


class EventDecoder:
    """The bytes of one streamed answer, in pieces of any size, to events.

    `feed` and `finish` return events and never raise: what went wrong stands in `error`, to be raised after the
    events before it have been delivered. `heard` counts complete messages (comments are none). `done` turns true at
    the terminator or at an error; bytes after it are ignored. `concluded` is true while the vendor has said why the answer
    ended, and only usage and the terminator can be missing; dialects without a terminator of their own never say so. Law: any split of the same bytes gives the same events and the same error.
    """

    def __init__(self) -> None:
        self.done: bool = False
        self.heard: int = 0
        self.concluded: bool = False
        self.error: ProviderError | None = None

    @property
    def usage(self) -> Usage:
        """What the vendor has counted so far; for an answer that is cut."""
        return NO_USAGE

    def feed(self, chunk: bytes) -> list[Event]:
        events: list[Event] = []
        if not self.done:
            try:
                self._feed(chunk, events)
            except ProviderError as exc:
                self._fail(exc)
        return events

    def finish(self) -> list[Event]:
        """The bytes have ended."""
        events: list[Event] = []
        if not self.done:
            try:
                self._finish(events)
            except ProviderError as exc:
                self._fail(exc)
        return events

    def _feed(self, chunk: bytes, events: list[Event]) -> None:
        raise NotImplementedError

    def _finish(self, events: list[Event]) -> None:
        raise NotImplementedError

    def _fail(self, error: ProviderError) -> None:
        error.__traceback__ = error.__context__ = None  # their frames hold the raw bytes, and this decoder
        self.error = error
        self.done = True

    def _end(self, events: list[Event], finished: Finished) -> None:
        events.append(finished)
        self.done = True


class StreamDecoder(EventDecoder):
    """A decoder over one framing; a dialect fills in `on_message` and `on_end`.

    A body that begins with "{" or "[" where server-sent events were asked for is read whole, and decoded as the
    dialect's plain answer or error.
    """

    def __init__(self, wire: Wire, request: GenerationRequest, framing: ServerSentEvents | JsonLines) -> None:
        super().__init__()
        self.heard: int = 0
        self.wire = wire
        self.request = request
        self._framing = framing
        self._whole: bytearray | None = None
        self._started = not isinstance(framing, ServerSentEvents)

    def on_message(self, name: str, data: bytes, events: list[Event]) -> None:
        """One SSE event (its name, "" where it has none) or one JSON line. Call `_end` at the terminator."""
        raise NotImplementedError

    def on_end(self, events: list[Event]) -> None:
        """The bytes ended without the terminator: `_end` if the answer is whole all the same, else raise."""
        raise StreamInterruptedError("the stream ended before the answer did", phase="stream")

    def on_whole(self, body: bytes, events: list[Event]) -> None:
        """A plain JSON body where a stream was asked for."""
        response = self.wire.decode_generate(body, self.request)
        if isinstance(response, Pending):
            raise MalformedResponseError("an unfinished answer where a stream was asked for", phase="parse")
        for event in events_of(response):
            events.append(event)  # noqa: PERF402 - the list is the caller's
        self.done = True

    def _feed(self, chunk: bytes, events: list[Event]) -> None:
        if not self._started:
            start = chunk.lstrip(b"\xef\xbb\xbf \t\r\n")
            if not start:
                self._framing.feed(chunk)
                return
            self._started = True
            if start[:1] in (b"{", b"["):
                self._whole = bytearray()
        if self._whole is not None:
            self._whole += chunk
            self.heard += 1
            if len(self._whole) > MAX_BODY:
                raise MalformedResponseError("the body is too large", phase="stream")
            return
        for name, data in self._framing.feed(chunk):
            self.heard += 1
            self.on_message(name, data, events)
            if self.done:
                return

    def _finish(self, events: list[Event]) -> None:
        if self._whole is not None:
            self.on_whole(bytes(self._whole), events)
            return
        for name, data in self._framing.finish():
            try:
                self.on_message(name, data, events)
            except MalformedResponseError:
                if not self.concluded:  # else the bytes ended inside what nobody needs
                    raise
            if self.done:
                return
        self.on_end(events)


class Wire:
    """One dialect. What a subclass does not define, the dialect does not have: UnsupportedFeatureError before any I/O.

    dialect: the name under which signatures and opaque blocks are marked as this dialect's own.
    features: what can be said in it, for `llmcore providers` and for whoever chooses candidates.
    embed_batch, embed_batch_chars: how much one embeddings request may hold.
    """

    dialect: ClassVar[str] = ""
    features: frozenset[str] = frozenset()
    embed_batch: int = 96
    embed_batch_chars: int | None = None

    def encode_generate(self, request: GenerationRequest, /, *, stream: bool) -> Encoded:
        raise UnsupportedFeatureError("this provider does not generate text")

    def decode_generate(self, body: bytes, request: GenerationRequest, /) -> GenerationResponse | Pending:
        """A 2xx body to a response. Raises MalformedResponseError, or the error that the body describes."""
        raise UnsupportedFeatureError("this provider does not generate text")

    def decode_stream_start(self, body: bytes, request: GenerationRequest, /) -> Pending | None:
        """For dialects whose stream is a second request: the 2xx body of the first, to the second. Others: unused."""
        return None

    def event_decoder(self, request: GenerationRequest, /) -> EventDecoder:
        """A fresh decoder for one stream."""
        raise UnsupportedFeatureError("this provider does not stream")

    def encode_embed(self, request: EmbeddingRequest, /) -> Encoded:
        raise UnsupportedFeatureError("this provider has no embeddings")

    def decode_embed(self, body: bytes, request: EmbeddingRequest, /) -> EmbeddingResponse:
        raise UnsupportedFeatureError("this provider has no embeddings")

    def encode_models(self, cursor: str | None = None, /) -> Encoded:
        raise UnsupportedFeatureError("this provider does not list its models")

    def decode_models(self, body: bytes, /) -> ModelPage:
        raise UnsupportedFeatureError("this provider does not list its models")

    two_step_stream: ClassVar[bool] = False
    """Whether a stream begins with a plain request whose answer says where the stream is (see `decode_stream_start`)."""

    def decode_error(self, status: int, headers: Headers, body: bytes, /) -> ProviderError:
        """Any status, headers and bytes to exactly one error, with its code, type, request id and retry-after."""
        return self.make_error(read_error(status, headers, body))

    def make_error(self, facts: ErrorFacts) -> ProviderError:
        """The vendor's rules first, then the generic ones."""
        cls = self.error_class(facts) or generic_error_class(facts)
        error = cls(
            facts.message,
            status=facts.status,
            code=facts.code,
            type=facts.type,
            request_id=facts.request_id or self.request_id(facts.headers),
            retry_after=retry_after(facts, text_hints=self.retry_hints_in_text),
        )
        if facts.should_retry is not None and not isinstance(error, ContentFilterError):
            error.retryable = facts.should_retry
        if facts.status == TOO_LARGE and type(error) is InvalidRequestError:
            error.failover = True  # another vendor's limit may be larger
        return error

    def raise_error_in(self, value: Mapping[str, Any]) -> None:
        """Raise what a 2xx body or a stream message describes, if it has a top-level `error`."""
        if value.get("error"):
            raise self.error_in(value)

    def error_in(self, value: Json) -> ProviderError:
        """The error that a decoded body describes; its status is the integer code it names, else 500."""
        facts = facts_of(value, 500)
        return self.make_error(evolve(facts, status=status_in_body(facts)))

    def error_class(self, facts: ErrorFacts) -> type[ProviderError] | None:
        """The vendor's own rule for this error, or None where the generic rules hold."""
        return None

    retry_hints_in_text: ClassVar[bool] = False

    def request_id(self, headers: Headers) -> str | None:
        """The id under which the vendor's support finds this request."""
        if _ANY_ID.isdisjoint(headers):
            return None
        for name in _REQUEST_IDS:
            if value := headers.get(name):
                return value[:200]
        return None


class Warnings:
    """Collects what a request asked for and the dialect cannot say."""

    def __init__(self) -> None:
        self.items: list[RequestWarning] = []

    def dropped(
        self, parameter: str, value: object, why: str = "not supported by this provider; not sent"
    ) -> None:
        """Note that `parameter` was left out, if it was given at all."""
        if value is not None and value != ():
            self.items.append(RequestWarning(parameter, why))

    def changed(self, parameter: str, why: str) -> None:
        self.items.append(RequestWarning(parameter, why))

    def done(self) -> tuple[RequestWarning, ...]:
        return tuple(self.items)
