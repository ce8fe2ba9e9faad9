"""HttpProvider, the leaf: any wire over any transport."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import copy
from decimal import Decimal
from typing import ParamSpec, TypeVar

from anyio import CancelScope, current_effective_deadline
from attrs import evolve

from llmcore._version import __version__
from llmcore.check import amended, as_embedding_request, as_generation_request, new_request
from llmcore.clock import Clock, SystemClock, on_loop
from llmcore.config import KeyConfig, ProviderConfig, Routing, Timeouts
from llmcore.errors import (
    InvalidRequestError,
    MalformedResponseError,
    ModelNotFoundError,
    ProviderError,
    StreamInterruptedError,
    TotalTimeout,
)
from llmcore.meter import Meter
from llmcore.provider import EventStream, Fold, Seat
from llmcore.providers.embedding import embed_all
from llmcore.providers.exchange import Exchange, Told, Trace
from llmcore.providers.place import Place
from llmcore.providers.record import attempt_of, odd_type, stamped
from llmcore.providers.seats import Rota
from llmcore.providers.stream import LeafStream
from llmcore.transport.base import Transport
from llmcore.transport.door import Door
from llmcore.types import (
    EmbeddingInput,
    EmbeddingRequest,
    EmbeddingResponse,
    GenerationInput,
    GenerationRequest,
    GenerationResponse,
    ModelInfo,
    ProviderStats,
    Usage,
)
from llmcore.types.responses import NO_USAGE
from llmcore.wire.base import Encoded, Pending, Wire

MAX_PAGES = 200
MAX_MODEL_NAME = 512
FIRST_TOKEN = 60.0
LOCAL_FIRST_TOKEN = 300.0
UNLIMITED = nullcontext()

P = ParamSpec("P")
Q = TypeVar("Q", GenerationRequest, EmbeddingRequest)
R = TypeVar("R", GenerationResponse, EmbeddingResponse)
Pricer = Callable[[str | None, Usage], Decimal | None]


class HttpProvider:
    """One vendor: `place` says where, `config` with what, `transport` moves the bytes.

    keys: none, one or several; with several, each is a seat, and calls made here go to the seats in turns by weight.
    `llmcore.create_provider(config)` makes one.
    """

    def __init__(
        self,
        place: Place,
        config: ProviderConfig,
        transport: Transport,
        *,
        base_url: str,
        keys: Sequence[KeyConfig] = (),
        timeouts: Timeouts | None = None,
        clock: Clock | None = None,
        pricer: Pricer | None = None,
    ) -> None:
        timeouts = config.timeouts or timeouts or Timeouts()
        if timeouts.first_token is None:
            timeouts = evolve(timeouts, first_token=LOCAL_FIRST_TOKEN if place.local else FIRST_TOKEN)
        self._place = place
        self._config = config
        self._price = pricer
        self._door = Door(transport)
        self.key: str | None = None
        self.wire: Wire = place.wire_for(config)
        self.timeouts: Timeouts = timeouts
        self.clock: Clock = clock or SystemClock()
        self.meter: Meter = Meter()
        self.exchange: Exchange = Exchange(
            place,
            self.wire,
            self._door,
            base_url=base_url,
            headers={"user-agent": f"llmcore/{__version__}", **place.headers, **config.headers},
            api_key=keys[0].value if keys else None,
            secrets=[key.value for key in keys],
            timeouts=timeouts,
        )
        self._rota: Rota | None = None
        self._with_keys: tuple[HttpProvider, ...] = ()
        self._seats: tuple[Seat, ...] = (Seat(None, 1.0, self),)
        if len(keys) > 1:
            self._rota = Rota([key.weight for key in keys])
            self._with_keys = tuple(self._with(key) for key in keys)
            self._seats = tuple(
                Seat(key.name, key.weight, leaf) for key, leaf in zip(keys, self._with_keys, strict=True)
            )

    def _with(self, key: KeyConfig) -> HttpProvider:
        """The same provider with that key alone; everything else is shared."""
        other = copy(self)
        other._seats = (Seat(key.name, key.weight, other),)
        other._rota = None
        other.key = key.name
        other.exchange = self.exchange.keyed(key.value)
        return other

    @property
    def seats(self) -> tuple[Seat, ...]:
        """One for each key; its name is None where there are no several keys."""
        return self._seats

    @property
    def name(self) -> str:
        return self._config.name

    @property
    def provider_type(self) -> str:
        return self._place.kind

    @property
    def routing(self) -> Routing:
        """What a manager needs to know: priority, weight, limits, names of models."""
        return self._config.routing

    def __repr__(self) -> str:
        key = f", key {self.key}" if self.key else ""
        return f"<HttpProvider {self.name} ({self.provider_type}{key}) at {self.exchange.host}>"

    def listen(self, told: Told) -> None:
        """Call `told(model, limits)` whenever an answer to any of the keys here, good or bad, tells rate limits."""
        for leaf in self._leaves():
            leaf.exchange.listen(told)

    def cost(self, model: str | None, usage: Usage) -> Decimal | None:
        """US dollars for this usage by the vendor's name of the model; None where the price is not known."""
        return None if self._price is None else self._price(model, usage)

    async def generate(self, request: GenerationInput, /) -> GenerationResponse:
        """One whole answer. Raises ProviderError."""
        leaf = self._turn()
        return await leaf._metered(leaf._generate, leaf._asked(request))

    def stream(self, request: GenerationInput, /) -> EventStream:
        """One answer while it is written; nothing is sent before the stream is entered or first read."""
        leaf = self._turn()
        return EventStream(LeafStream(leaf, leaf._asked(request)))

    async def embed(self, request: EmbeddingInput, /) -> EmbeddingResponse:
        """One vector per text, in order; split by the vendor's limits and sent side by side. Raises ProviderError."""
        leaf = self._turn()
        asked = as_embedding_request(request)
        asked = evolve(asked, model=self._model(asked.model, self._config.embedding_model))
        self._check_model(asked.model)
        return await leaf._metered(leaf._embed, asked)

    async def list_models(self) -> Sequence[ModelInfo]:
        """Every model that the vendor lists, page after page. Raises ProviderError."""
        leaf, trace = self._turn(), Trace(None)
        began = self.clock.now()
        self.meter.started()
        try:
            with self._within(None, began):
                models = await leaf._list_models()
                self.meter.succeeded(self.clock.now() - began)
                return models
            raise self.total_timeout(None)
        except ProviderError as error:
            raise leaf._failed(error, trace, began) from error.__cause__
        except BaseException as exc:
            self.meter.broke_off(exc)
            raise

    def stats(self) -> ProviderStats:
        """Counters of all keys together."""
        return self.meter.stats(self.name, state="closed" if self._door.shut else "ok")

    async def aclose(self) -> None:
        """Close the connections, and take no call any more; those of a seat are those of the whole provider.

        Calls that are under way end with ConnectionReset at once, unless other providers share the transport: then it
        is closed with the last of them.
        """
        await self.exchange.aclose()

    # --------------------------------------------------------------------------- what the stream shares

    def limit(self, deadline: float | None) -> float:
        """Seconds that one call may take here."""
        return self.timeouts.total if deadline is None else min(deadline, self.timeouts.total)

    def total_timeout(self, deadline: float | None) -> TotalTimeout:
        """The error of that limit: final where it was the caller's, worth a failover where it was this provider's own."""
        limit = self.limit(deadline)
        error = TotalTimeout(f"no whole answer within {limit:g} s", phase="stream")
        error.failover = deadline is None or deadline > limit
        return error

    def encode(self, encoder: Callable[P, Encoded], *args: P.args, **named: P.kwargs) -> Encoded:
        """What `encoder` makes; text or extra fields that cannot be put into JSON are the request's fault."""
        try:
            return encoder(*args, **named)
        except ProviderError as error:
            error.phase = "encode"
            raise
        except (UnicodeEncodeError, TypeError, ValueError) as exc:
            words = f"the request cannot be put into JSON: {exc}"
            raise InvalidRequestError(words, phase="encode") from None

    async def settled(
        self, answer: GenerationResponse | Pending, request: GenerationRequest, trace: Trace
    ) -> GenerationResponse:
        """The answer, waited for where the vendor has only begun; told to stop where nobody waits any more."""
        while isinstance(answer, Pending):
            cancel = answer.cancel
            try:
                await self.clock.sleep(answer.wait_s)
                body, _ = await self.exchange.fetch(answer.next, trace)
            except BaseException:
                await self.exchange.cancel(cancel)
                raise
            try:
                answer = self.wire.decode_generate(body, request)
            except MalformedResponseError:
                await self.exchange.cancel(cancel)
                raise
        return answer

    def priced(self, model: str | None, usage: Usage) -> Usage:
        """The usage with its cost, where the vendor did not say it and the price is known."""
        if self._price is None or usage.cost_usd is not None:
            return usage
        cost = self._price(model, usage)
        return usage if cost is None else evolve(usage, cost_usd=cost)

    def blame(
        self,
        error: ProviderError,
        trace: Trace,
        began: float,
        usage: Usage = NO_USAGE,
        first_token_s: float | None = None,
    ) -> None:
        """Write on the error what only the leaf knows: who, which model and key, how long, and the attempt it was; redact it."""
        self.exchange.redacted(error)
        seconds = self.clock.now() - began
        error.provider = self.name
        error.model = trace.model
        error.key = self.key
        error.elapsed_s = seconds
        if error.phase == "encode" and trace.status is None:
            return
        usage = self.priced(trace.model, usage)
        error.attempts = (attempt_of(self, trace, seconds, usage, error=error, first_token_s=first_token_s),)

    # -------------------------------------------------------------------------------------------- in here

    def _leaves(self) -> tuple[HttpProvider, ...]:
        """Whoever talks to the vendor here: this provider itself, or one for each of its keys."""
        return self._with_keys or (self,)

    def _turn(self) -> HttpProvider:
        """Whose turn it is to talk."""
        return self if self._rota is None else self._with_keys[self._rota.next()]

    def _model(self, asked: str | None, default: str | None) -> str | None:
        return default if asked is None else self._config.models.get(asked, asked)

    def _check_model(self, model: str | None) -> None:
        if model is None and self._place.model_required:
            raise ModelNotFoundError(
                "no model: name one in the request, or set text_model or embedding_model in the configuration",
                provider=self.name,
                phase="encode",
            )
        if model is not None and (not model.isprintable() or not 0 < len(model) <= MAX_MODEL_NAME):
            raise InvalidRequestError(
                f"model: {model[:80]!r} is no name of a model", provider=self.name, phase="encode"
            )

    def _asked(self, value: GenerationInput) -> GenerationRequest:
        """Any input as a checked request with the vendor's model name and the configured defaults in it."""
        config = self._config
        if isinstance(value, GenerationRequest):
            return self._prepared(as_generation_request(value))
        request = new_request(
            value,
            model=config.text_model,
            max_tokens=config.max_tokens,
            temperature=config.temperature,
            extra=config.extra,
        )
        self._check_model(request.model)
        return request

    def _prepared(self, request: GenerationRequest) -> GenerationRequest:
        config = self._config
        model = self._model(request.model, config.text_model)
        max_tokens = config.max_tokens if request.max_tokens is None else request.max_tokens
        temperature = config.temperature if request.temperature is None else request.temperature
        self._check_model(model)
        wanted = (model, max_tokens, temperature)
        if not config.extra and wanted == (request.model, request.max_tokens, request.temperature):
            return request
        extra = {**config.extra, **request.extra} if config.extra else request.extra
        return amended(request, model=model, max_tokens=max_tokens, temperature=temperature, extra=extra)

    async def _generate(self, request: GenerationRequest, trace: Trace) -> GenerationResponse:
        encoded = self.encode(self.wire.encode_generate, request, stream=False)
        trace.warnings = encoded.warnings
        body, headers = await self.exchange.fetch(encoded.http, trace)
        trace.request_id = self.wire.request_id(headers)
        try:
            response = self._decoded(body, request)
            if isinstance(response, Pending):
                response = await self.settled(response, request, trace)
        except ProviderError as error:
            error.request_id = error.request_id or trace.request_id
            raise
        if odd := odd_type(headers):
            response = evolve(response, warnings=(*response.warnings, *odd))
        return response

    async def _embed(self, request: EmbeddingRequest, trace: Trace) -> EmbeddingResponse:
        return await embed_all(self.exchange, self.wire, request, self.encode, trace)

    def _decoded(self, body: bytes, request: GenerationRequest) -> GenerationResponse | Pending:
        """The answer in a body; events, where the vendor streams although it was not asked to, are folded into one."""
        if not body.startswith((b"data:", b"event:")):
            return self.wire.decode_generate(body, request)
        decoder, fold = self.wire.event_decoder(request), Fold()
        for event in (*decoder.feed(body), *decoder.finish()):
            fold.add(event)
        if isinstance(decoder.error, StreamInterruptedError):
            raise MalformedResponseError("the provider answered with half a stream", phase="parse")
        if decoder.error is not None:
            raise decoder.error
        return fold.response()

    async def _list_models(self) -> Sequence[ModelInfo]:
        found: dict[str, ModelInfo] = {}
        cursor: str | None = None
        asked: set[str] = set()
        for _ in range(MAX_PAGES):
            encoded = self.wire.encode_models(cursor)
            body, _headers = await self.exchange.fetch(encoded.http)
            page = self.wire.decode_models(body)
            found.update((model.id, evolve(model, provider=self.name)) for model in page.models)
            cursor = page.cursor
            if cursor is None or cursor in asked:
                break
            asked.add(cursor)
        return tuple(found.values())

    async def _metered(self, work: Callable[[Q, Trace], Awaitable[R]], asked: Q) -> R:
        trace = Trace(asked.model)
        began = self.clock.now()
        self.meter.started()
        try:
            with self._within(asked.deadline, began):
                return self._done(await work(asked, trace), trace, began)
            raise self.total_timeout(asked.deadline)
        except ProviderError as error:
            raise self._failed(error, trace, began) from error.__cause__
        except BaseException as exc:
            self.meter.broke_off(exc)
            raise

    def _within(self, deadline: float | None, began: float) -> AbstractContextManager[object]:
        """The limit of one call; none of our own where the caller's ends sooner. Raises TotalTimeout where no time is left."""
        limit = self.limit(deadline)
        if limit <= 0:
            raise self.total_timeout(deadline)
        ends = on_loop(self.clock, began + limit)
        return UNLIMITED if current_effective_deadline() <= ends else CancelScope(deadline=ends)

    def _done(self, response: R, trace: Trace, began: float) -> R:
        """The answer as it is handed out."""
        seconds = self.clock.now() - began
        usage = self.priced(response.model or trace.model, response.usage)
        attempt = attempt_of(self, trace, seconds, usage)
        self.meter.succeeded(seconds, usage)
        return stamped(response, trace, usage, attempt)

    def _failed(self, error: ProviderError, trace: Trace, began: float) -> ProviderError:
        self.blame(error, trace, began)
        self.meter.failed(error)
        return error
