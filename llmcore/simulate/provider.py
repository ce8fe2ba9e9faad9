"""SimulatedProvider: an LlmProvider that answers, waits and fails as a profile says, on whatever clock it is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from hashlib import blake2b
from random import Random

import anyio
import anyio.lowlevel
from attrs import evolve

from llmcore.check import as_embedding_request, as_generation_request
from llmcore.clock import Clock, SystemClock
from llmcore.config import Routing, Timeouts
from llmcore.errors import ProviderError
from llmcore.meter import Meter
from llmcore.prices import Price
from llmcore.provider import EventStream
from llmcore.simulate.fate import Luck, draw
from llmcore.simulate.limits import Upstream
from llmcore.simulate.load import Load
from llmcore.simulate.profile import FOREVER, Call, Profile
from llmcore.simulate.visit import SimulatedStream, Visit, whole_answer
from llmcore.types import (
    EmbeddingInput,
    EmbeddingResponse,
    GenerationInput,
    GenerationRequest,
    GenerationResponse,
    ModelInfo,
    ProviderStats,
    RateLimits,
    Usage,
)

CALL = "simulated_call"
"""The key in a request's metadata under which the traffic lays its Call."""

MODEL = "simulated"
CHARS_PER_TOKEN = 4
_USUAL_ANSWER = 200


class SimulatedProvider:
    """One simulated vendor.

    price: beside that of the profile, which wins. seed: chance is drawn for each call of the traffic and each time that it
    comes here, whatever else was asked, so that every configuration meets the same luck. origin: the clock's time at which
    the scenario begins. step: width of the load's series, in seconds.
    """

    def __init__(
        self,
        profile: Profile,
        *,
        routing: Routing | None = None,
        timeouts: Timeouts | None = None,
        price: Price | None = None,
        seed: int = 0,
        clock: Clock | None = None,
        origin: float = 0.0,
        step: float = FOREVER,
    ) -> None:
        timeouts = timeouts or Timeouts()
        first = 60.0 if timeouts.first_token is None else timeouts.first_token
        self.profile: Profile = profile
        self.routing: Routing = routing or Routing(text_model=MODEL)
        self.timeouts: Timeouts = evolve(timeouts, first_token=first)
        self.clock: Clock = clock or SystemClock()
        self.origin: float = origin
        self.load: Load = Load(step)
        self.meter: Meter = Meter()
        self.upstream: Upstream | None = None if profile.limits is None else Upstream(profile.limits, 0.0)
        limit = profile.capacity
        self.places: anyio.Semaphore | None = (
            None if limit is None else anyio.Semaphore(limit, max_value=limit, fast_acquire=True)
        )
        self._price = profile.price or price
        self._listeners: tuple[Callable[[str | None, RateLimits], None], ...] = ()
        self._random = Random()  # noqa: S311 - a simulation
        self._base = int.from_bytes(blake2b(f"{seed}/{profile.name}".encode(), digest_size=8).digest())
        self._times: dict[int, int] = {}

    @property
    def name(self) -> str:
        return self.profile.name

    @property
    def provider_type(self) -> str:
        return "simulated"

    def __repr__(self) -> str:
        return f"<SimulatedProvider {self.name}: {self.load.asked} asked>"

    async def generate(self, request: GenerationInput, /) -> GenerationResponse:
        """One whole answer. Raises ProviderError."""
        return await whole_answer(Visit(self, as_generation_request(request), streaming=False))

    def stream(self, request: GenerationInput, /) -> EventStream:
        """One answer: a first word in its time, then the rest."""
        return EventStream(SimulatedStream(Visit(self, as_generation_request(request), streaming=True)))

    async def embed(self, request: EmbeddingInput, /) -> EmbeddingResponse:
        """Vectors of length 2 after the time of a first word. Raises ProviderError."""
        asked = as_embedding_request(request)
        alike = GenerationRequest("\n".join(asked.inputs), deadline=asked.deadline, metadata=asked.metadata)
        answer = await whole_answer(Visit(self, alike, streaming=False, answer_tokens=0))
        vectors = tuple((1.0, 0.0) for _ in asked.inputs)
        return EmbeddingResponse(vectors, asked.model, self.name, answer.usage, answer.attempts)

    async def list_models(self) -> Sequence[ModelInfo]:
        return (ModelInfo(self.routing.text_model or MODEL, self.name),)

    def stats(self) -> ProviderStats:
        return self.meter.stats(self.name)

    async def aclose(self) -> None:
        await anyio.lowlevel.checkpoint()

    def listen(self, told: Callable[[str | None, RateLimits], None]) -> None:
        """Call `told(model, limits)` with every answer, where the profile announces its limits."""
        self._listeners = (*self._listeners, told)

    def cost(self, model: str | None, usage: Usage) -> Decimal | None:
        """US dollars for this usage; None where there is no price."""
        return None if self._price is None else self._price.cost(usage)

    # ------------------------------------------------------------------------------- what a visit asks for

    def now(self) -> float:
        """Seconds since the scenario began."""
        return self.clock.now() - self.origin

    def model(self, asked: str | None) -> str:
        return self.routing.text_model or MODEL if asked is None else self.routing.models.get(asked, asked)

    def call_of(self, request: GenerationRequest) -> Call:
        """The call of the traffic that a request belongs to; for others one made up from its text."""
        call = request.metadata.get(CALL)
        if isinstance(call, Call):
            return call
        characters = sum(len(message.text) for message in request.messages)
        answer = _USUAL_ANSWER if request.max_tokens is None else min(request.max_tokens, _USUAL_ANSWER)
        return Call(-1 - self.load.asked, 0.0, max(1, characters // CHARS_PER_TOKEN), answer)

    def luck(self, call: Call) -> Luck:
        """The luck of this call's next request here."""
        times = self._times.get(call.number, 0)
        self._times[call.number] = times + 1
        self._random.seed((self._base << 96) | ((call.number % (1 << 64)) << 32) | times)
        return draw(self._random)

    def tell(self, model: str, limits: RateLimits) -> None:
        for told in self._listeners:
            told(model, limits)

    def priced(self, model: str, usage: Usage) -> Usage:
        cost = self.cost(model, usage)
        return usage if cost is None else evolve(usage, cost_usd=cost)

    def note_end(self, error: BaseException | None, seconds: float, usage: Usage) -> None:
        """For the stats that the contract asks for."""
        if error is None:
            self.meter.succeeded(seconds, usage)
        elif isinstance(error, ProviderError):
            self.meter.failed(error)
        else:
            self.meter.broke_off(error)
