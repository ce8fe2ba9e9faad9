"""HttpProvider, the leaf: any wire over any transport."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from typing import TypeVar

import anyio
from attrs import evolve

from llmcore._version import __version__
from llmcore.check import as_embedding_request, as_generation_request
from llmcore.clock import Clock, SystemClock
from llmcore.config import ProviderConfig, Routing, Timeouts
from llmcore.errors import InvalidRequestError, ModelNotFoundError, ProviderError, TotalTimeout
from llmcore.meter import Meter
from llmcore.provider import EventStream
from llmcore.providers.embedding import embed_all
from llmcore.providers.exchange import Exchange
from llmcore.providers.place import Place
from llmcore.providers.stream import LeafStream
from llmcore.secret import Secret
from llmcore.transport.base import Transport
from llmcore.types import (
    Attempt,
    EmbeddingInput,
    EmbeddingResponse,
    GenerationInput,
    GenerationRequest,
    GenerationResponse,
    ModelInfo,
    ProviderStats,
    Usage,
)
from llmcore.wire.base import Encoded, Pending, Wire

MAX_PAGES = 200
MAX_MODEL_NAME = 512
FIRST_TOKEN = 60.0
LOCAL_FIRST_TOKEN = 300.0

T = TypeVar("T")
R = TypeVar("R", GenerationResponse, EmbeddingResponse)
Pricer = Callable[[str | None, Usage], Decimal | None]


class HttpProvider:
    """One vendor: `place` says where, `config` with what, `transport` moves the bytes.

    `llmcore.create_provider(config)` makes one.
    """

    def __init__(
        self,
        place: Place,
        config: ProviderConfig,
        transport: Transport,
        *,
        base_url: str,
        api_key: Secret | None = None,
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
        self._closed = False
        self.wire: Wire = place.wire_for(config)
        self.timeouts = timeouts
        self.clock: Clock = clock or SystemClock()
        self.meter: Meter = Meter()
        headers = {"user-agent": f"llmcore/{__version__}", **place.headers, **config.headers}
        self.exchange: Exchange = Exchange(
            place,
            self.wire,
            transport,
            base_url=base_url,
            headers=headers,
            api_key=api_key,
            timeouts=timeouts,
        )

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
        return f"<HttpProvider {self.name} ({self.provider_type}) at {self.exchange.host}>"

    async def generate(self, request: GenerationInput, /) -> GenerationResponse:
        """One whole answer. Raises ProviderError."""
        asked = self._prepared(as_generation_request(request))
        return await self._metered(lambda: self._generate(asked), asked.model, asked.deadline)

    def stream(self, request: GenerationInput, /) -> EventStream:
        """One answer while it is written; nothing is sent before the stream is entered or first read."""
        return EventStream(LeafStream(self, self._prepared(as_generation_request(request))))

    async def embed(self, request: EmbeddingInput, /) -> EmbeddingResponse:
        """One vector per text, in order; split by the vendor's limits and sent side by side. Raises ProviderError."""
        asked = as_embedding_request(request)
        asked = evolve(asked, model=self._model(asked.model, self._config.embedding_model))
        self._check_model(asked.model)
        return await self._metered(
            lambda: embed_all(self.exchange, self.wire, asked, self.encode), asked.model, asked.deadline
        )

    async def list_models(self) -> Sequence[ModelInfo]:
        """Every model that the vendor lists, page after page. Raises ProviderError."""
        began = self.clock.now()
        self.meter.started()
        try:
            models = await self._limited(self._list_models, None)
        except ProviderError as error:
            raise self._failed(error, None, began) from error.__cause__
        except BaseException as exc:
            self.meter.broke_off(exc)
            raise
        self.meter.succeeded(self.clock.now() - began)
        return models

    def stats(self) -> ProviderStats:
        return self.meter.stats(self.name, state="closed" if self._closed else "ok")

    async def aclose(self) -> None:
        if not self._closed:
            self._closed = True
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

    def encode(self, encoder: Callable[[], Encoded]) -> Encoded:
        """What `encoder` makes; text or extra fields that cannot be put into JSON are the request's fault."""
        try:
            return encoder()
        except (UnicodeEncodeError, TypeError, ValueError) as exc:
            raise InvalidRequestError(f"the request cannot be put into JSON: {exc}") from None

    async def settled(
        self, answer: GenerationResponse | Pending, request: GenerationRequest
    ) -> GenerationResponse:
        """The answer, waited for where the vendor has only begun; told to stop where nobody waits any more."""
        while isinstance(answer, Pending):
            try:
                await self.clock.sleep(answer.wait_s)
                body, _ = await self.exchange.fetch(answer.next)
            except BaseException:
                await self.exchange.cancel(answer.cancel)
                raise
            answer = self.wire.decode_generate(body, request)
        return answer

    def priced(self, model: str | None, usage: Usage) -> Usage:
        """The usage with its cost, where the vendor did not say it and the price is known."""
        if self._price is None or usage.cost_usd is not None:
            return usage
        cost = self._price(model, usage)
        return usage if cost is None else evolve(usage, cost_usd=cost)

    def blame(self, error: ProviderError, model: str | None, began: float) -> None:
        """Write on the error what only the leaf knows: who, which model, how long, and the attempt it was; redact it."""
        self.exchange.redacted(error)
        seconds = self.clock.now() - began
        error.provider = self.name
        error.model = model
        error.elapsed_s = seconds
        error.attempts = (Attempt(self.name, model, error.outcome, error.status, seconds, 0.0),)

    # -------------------------------------------------------------------------------------------- in here

    def _model(self, asked: str | None, default: str | None) -> str | None:
        return default if asked is None else self._config.models.get(asked, asked)

    def _check_model(self, model: str | None) -> None:
        if model is None and self._place.model_required:
            raise ModelNotFoundError(
                "no model: name one in the request, or set text_model or embedding_model in the configuration",
                provider=self.name,
            )
        if model is not None and (not model.isprintable() or not 0 < len(model) <= MAX_MODEL_NAME):
            raise InvalidRequestError(f"model: {model[:80]!r} is no name of a model", provider=self.name)

    def _prepared(self, request: GenerationRequest) -> GenerationRequest:
        """The request with the vendor's model name and the configured defaults in it."""
        config = self._config
        model = self._model(request.model, config.text_model)
        max_tokens = config.max_tokens if request.max_tokens is None else request.max_tokens
        temperature = config.temperature if request.temperature is None else request.temperature
        self._check_model(model)
        wanted = (model, max_tokens, temperature)
        if not config.extra and wanted == (request.model, request.max_tokens, request.temperature):
            return request
        extra = {**config.extra, **request.extra} if config.extra else request.extra
        return evolve(request, model=model, max_tokens=max_tokens, temperature=temperature, extra=extra)

    async def _generate(self, request: GenerationRequest) -> GenerationResponse:
        encoded = self.encode(lambda: self.wire.encode_generate(request, stream=False))
        body, headers = await self.exchange.fetch(encoded.http)
        request_id = self.wire.request_id(headers)
        try:
            response = self.wire.decode_generate(body, request)
            if isinstance(response, Pending):
                response = await self.settled(response, request)
        except ProviderError as error:
            error.request_id = error.request_id or request_id
            raise
        request_id = response.request_id or request_id
        if encoded.warnings or request_id:
            warnings = (*encoded.warnings, *response.warnings)
            response = evolve(response, request_id=request_id, warnings=warnings)
        return response

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

    async def _metered(
        self, work: Callable[[], Awaitable[R]], model: str | None, deadline: float | None
    ) -> R:
        began = self.clock.now()
        self.meter.started()
        try:
            response = await self._limited(work, deadline)
        except ProviderError as error:
            raise self._failed(error, model, began) from error.__cause__
        except BaseException as exc:
            self.meter.broke_off(exc)
            raise
        seconds = self.clock.now() - began
        usage = self.priced(response.model or model, response.usage)
        self.meter.succeeded(seconds, usage)
        attempt = Attempt(self.name, model, "success", 200, seconds, 0.0)
        return evolve(
            response, provider=self.name, model=response.model or model, usage=usage, attempts=(attempt,)
        )

    async def _limited(self, work: Callable[[], Awaitable[T]], deadline: float | None) -> T:
        limit = self.limit(deadline)
        if limit > 0:
            with anyio.move_on_after(limit):
                return await work()
        raise self.total_timeout(deadline)

    def _failed(self, error: ProviderError, model: str | None, began: float) -> ProviderError:
        self.blame(error, model, began)
        self.meter.failed(error)
        return error
