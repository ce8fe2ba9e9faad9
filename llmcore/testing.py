"""Doubles for our users and for us: a provider that follows a script, simulated time, and a ban on real requests.

provider = ScriptedProvider("a", [Fail(ServerError("down")), Answer("hello")])
run_simulated(main, backend="asyncio")     # hours of waiting pass in no time
with block_real_requests(): ...            # whoever opens a real connection gets ConfigurationError
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from copy import copy
from typing import Any, Literal, TypeAlias, TypeVar

import anyio
import anyio.lowlevel
from attrs import field, frozen

from llmcore.check import as_embedding_request, as_generation_request
from llmcore.config import Routing
from llmcore.errors import ProviderError, TotalTimeout
from llmcore.meter import Meter
from llmcore.provider import EventStream
from llmcore.transport.base import real_requests_blocked
from llmcore.types import (
    Attempt,
    EmbeddingInput,
    EmbeddingRequest,
    EmbeddingResponse,
    Event,
    Finished,
    FinishReason,
    GenerationInput,
    GenerationRequest,
    GenerationResponse,
    ModelInfo,
    ProviderStats,
    TextDelta,
    Usage,
)
from llmcore.types.responses import Counted

T = TypeVar("T")


@frozen
class Answer:
    """Succeed with `text` after `delay` seconds; a stream says it word by word, `gap` seconds apart."""

    text: str = "ok"
    delay: float = 0.0
    gap: float = 0.0
    finish_reason: FinishReason = "stop"
    usage: Usage = field(factory=lambda: Usage(1, 1))
    vector: Sequence[float] = (1.0, 0.0)


@frozen
class Fail:
    """Raise a copy of `error` after `delay` seconds; a stream says `words` words before."""

    error: ProviderError
    delay: float = 0.0
    words: int = 0


@frozen
class Hang:
    """Say `words` words, then nothing, for ever."""

    words: int = 0


Outcome: TypeAlias = Answer | Fail | Hang


class ScriptedProvider:
    """An LlmProvider whose attempts end as the script says, one after the other; the last outcome repeats.

    `requests` holds what it was asked, in order; `open_streams` how many are not closed.
    """

    def __init__(
        self,
        name: str,
        script: Iterable[Outcome] = (Answer(),),
        *,
        routing: Routing | None = None,
        models: Sequence[str] = ("scripted",),
    ) -> None:
        self._name = name
        self._script = list(script)
        self._models = models
        self._meter = Meter()
        self.routing: Routing = routing or Routing()
        self.requests: list[GenerationRequest | EmbeddingRequest] = []
        self.open_streams = 0
        self.closed: bool = False

    @property
    def name(self) -> str:
        return self._name

    @property
    def provider_type(self) -> str:
        return "scripted"

    async def generate(self, request: GenerationInput, /) -> GenerationResponse:
        return await self.stream(request).collect()

    def stream(self, request: GenerationInput, /) -> EventStream:
        return EventStream(_Play(self, as_generation_request(request)))

    async def embed(self, request: EmbeddingInput, /) -> EmbeddingResponse:
        asked = as_embedding_request(request)
        outcome = self.begin(asked)
        began = anyio.current_time()
        try:
            await _within(asked.deadline, _wait(outcome))
            _raise_if_failed(outcome)
        except BaseException as exc:
            self.end(exc)
            raise
        self.end(None)
        vector = outcome.vector if isinstance(outcome, Answer) else ()
        seconds = anyio.current_time() - began
        attempt = Attempt(self._name, asked.model, "success", 200, seconds, 0.0)
        return EmbeddingResponse(
            tuple(vector for _ in asked.inputs), asked.model, self._name, attempts=(attempt,)
        )

    async def list_models(self) -> Sequence[ModelInfo]:
        return tuple(ModelInfo(model, self._name) for model in self._models)

    def stats(self) -> ProviderStats:
        return self._meter.stats(self._name)

    async def aclose(self) -> None:
        self.closed = True

    def begin(self, request: GenerationRequest | EmbeddingRequest) -> Outcome:
        """Note a request; what the script says of it."""
        self.requests.append(request)
        self._meter.started()
        return self._script.pop(0) if len(self._script) > 1 else self._script[0]

    def end(self, how: BaseException | None) -> None:
        """Note how it ended."""
        if how is None:
            self._meter.succeeded(0.0, Usage())
        elif isinstance(how, ProviderError):
            self._meter.failed(how)
        else:
            self._meter.broke_off(how)


class _Play:
    """The EventSource of one scripted answer."""

    def __init__(self, provider: ScriptedProvider, request: GenerationRequest) -> None:
        self._provider = provider
        self._request = request
        self._running = False
        self._said = 0

    async def open(self) -> None:
        self._began = anyio.current_time()
        self._outcome = self._provider.begin(self._request)
        self._running = True
        self._provider.open_streams += 1
        words = (
            self._outcome.text.split(" ")
            if isinstance(self._outcome, Answer)
            else ["w"] * self._outcome.words
        )
        self._words = [word if place == 0 else f" {word}" for place, word in enumerate(words)]
        await self._guarded(
            _wait(self._outcome) if not self._words or isinstance(self._outcome, Answer) else _nothing()
        )
        if isinstance(self._outcome, Fail) and not self._words:
            await self._guarded(_fail(self._outcome))

    async def next(self) -> Event:
        outcome = self._outcome
        if self._said < len(self._words):
            if self._said and isinstance(outcome, Answer) and outcome.gap:
                await self._guarded(anyio.sleep(outcome.gap))
            self._said += 1
            return TextDelta(self._words[self._said - 1])
        if not isinstance(outcome, Answer):
            await self._guarded(_fail(outcome) if isinstance(outcome, Fail) else anyio.sleep_forever())
        assert isinstance(outcome, Answer)
        self._end(None)
        seconds = anyio.current_time() - self._began
        counted: Counted = "unknown" if outcome.usage.total_tokens is None else "measured"
        attempt = Attempt(
            self._provider.name,
            self._request.model,
            "success",
            200,
            seconds,
            0.0,
            usage=outcome.usage,
            counted=counted,
        )
        return Finished(
            outcome.finish_reason,
            None,
            outcome.usage,
            self._request.model,
            self._provider.name,
            attempts=(attempt,),
        )

    async def aclose(self) -> None:
        if self._running:
            self._end(GeneratorExit())

    async def _guarded(self, work: Awaitable[None]) -> None:
        remaining = None
        if self._request.deadline is not None:
            remaining = self._request.deadline - (anyio.current_time() - self._began)
        try:
            await _within(remaining, work)
        except BaseException as exc:
            self._end(exc)
            raise

    def _end(self, how: BaseException | None) -> None:
        if self._running:
            self._running = False
            self._provider.open_streams -= 1
            self._provider.end(how)


async def _nothing() -> None:
    await anyio.lowlevel.checkpoint()


async def _wait(outcome: Outcome) -> None:
    if isinstance(outcome, Hang):
        await anyio.sleep_forever()
    else:
        await anyio.sleep(outcome.delay)


def _raise_if_failed(outcome: Outcome) -> None:
    if isinstance(outcome, Fail):
        raise copy(outcome.error)


async def _fail(outcome: Fail) -> None:
    await anyio.sleep(outcome.delay if outcome.words else 0.0)
    _raise_if_failed(outcome)


async def _within(seconds: float | None, work: Awaitable[None]) -> None:
    with anyio.move_on_after(float("inf") if seconds is None else max(0.0, seconds)):
        await work
        return
    raise TotalTimeout("the deadline passed")


# ------------------------------------------------------------------------------------------- simulated time


class _Jumping(selectors.DefaultSelector):
    """A selector that never waits: it moves the loop's clock instead."""

    loop: SimulatedLoop

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            return super().select(1.0) or self._stuck()
        self.loop.offset += timeout
        return ready

    def _stuck(self) -> Any:
        msg = "simulated time stands still: everything waits for something that never comes"
        raise RuntimeError(msg)


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An asyncio loop whose clock jumps to the next timer instead of waiting for it."""

    def __init__(self) -> None:
        selector = _Jumping()
        selector.loop = self
        self.offset: float = 0.0
        super().__init__(selector)

    def time(self) -> float:
        return self.offset


def run_simulated(
    main: Callable[..., Awaitable[T]], *args: Any, backend: Literal["asyncio", "trio"] = "asyncio"
) -> T:
    """Run `main(*args)` to its end in simulated time: sleeps and timeouts pass at once, in their right order."""
    if backend == "trio":
        from trio.testing import MockClock

        return anyio.run(
            main, *args, backend="trio", backend_options={"clock": MockClock(autojump_threshold=0)}
        )
    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:  # as applications do, without a word to anyio
        return runner.run(_awaited(main, *args))


async def _awaited(main: Callable[..., Awaitable[T]], *args: Any) -> T:
    return await main(*args)


class FakeClock:
    """A Clock for code that takes one: `sleep` returns at once, moves `now` on, and is noted in `sleeps`."""

    def __init__(self, start: float = 0.0) -> None:
        self._now = start
        self.sleeps: list[float] = []

    def now(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self._now += seconds
        await anyio.lowlevel.checkpoint()

    def advance(self, seconds: float) -> None:
        self._now += seconds


def block_real_requests() -> AbstractContextManager[None]:
    """While the block runs, opening a real connection raises ConfigurationError; in-process transports still work."""
    return real_requests_blocked()
