"""The contract LlmProvider, and the EventStream that it hands out.

Two things implement the contract: a leaf (`HttpProvider`) and a composite (`ProviderManager`);
each can stand where the other stands.
"""

from __future__ import annotations

import warnings
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from decimal import Decimal
from types import TracebackType
from typing import Any, Protocol, Self, runtime_checkable

from attrs import frozen

from llmcore.types import (
    EmbeddingInput,
    EmbeddingResponse,
    Event,
    Finished,
    GenerationInput,
    GenerationResponse,
    Message,
    ModelInfo,
    Part,
    PartDelta,
    ProviderStats,
    RateLimits,
    Refusal,
    RequestWarning,
    Restarted,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
)


@runtime_checkable
class LlmProvider(Protocol):
    """Anything that answers: one vendor, one guarded vendor, or many as one.

    No default bodies, and nobody inherits from it: an inherited `...` returns None and lies.
    """

    @property
    def name(self) -> str: ...

    @property
    def provider_type(self) -> str: ...

    async def generate(self, request: GenerationInput, /) -> GenerationResponse:
        """One whole answer. Raises ProviderError."""
        ...

    def stream(self, request: GenerationInput, /) -> EventStream:
        """One answer while it is written; nothing is sent before the stream is entered or first read."""
        ...

    async def embed(self, request: EmbeddingInput, /) -> EmbeddingResponse:
        """One vector per text, in order. Raises ProviderError."""
        ...

    async def list_models(self) -> Sequence[ModelInfo]: ...

    def stats(self) -> ProviderStats: ...

    async def aclose(self) -> None:
        """Close every connection; a second call does nothing."""
        ...


@frozen
class Seat:
    """One key of a provider as a provider of its own. name: the key's, None where it is the only one."""

    name: str | None
    weight: float
    provider: LlmProvider


@runtime_checkable
class Seated(Protocol):
    """A provider with one or several keys; each attempt is made on one seat."""

    @property
    def seats(self) -> Sequence[Seat]: ...


@runtime_checkable
class Limited(Protocol):
    """A provider that hands on the rate limits which its vendor announces with every answer."""

    def listen(self, told: Callable[[str | None, RateLimits], None]) -> None:
        """Call `told(model, limits)` whenever an answer, good or bad, tells limits."""
        ...


@runtime_checkable
class Priced(Protocol):
    """A provider that knows what tokens cost."""

    def cost(self, model: str | None, usage: Usage) -> Decimal | None:
        """US dollars for this usage by the vendor's name of the model; None where the price is not known."""
        ...


async def is_model_available(provider: LlmProvider, model: str) -> bool:
    """Whether `model` is among those that the provider lists. Raises what `list_models` raises."""
    return any(info.id == model for info in await provider.list_models())


@frozen
class Answering:
    """Who answers a stream that is open. model: as the vendor was asked for it, None for its own default.

    attempts: how many were begun, this one included. warnings: what was known to be lost before the answer began.
    """

    provider: str
    model: str | None = None
    attempts: int = 1
    warnings: tuple[RequestWarning, ...] = ()


class EventSource(Protocol):
    """What an EventStream draws from: opened once, read until Finished, closed in any case."""

    async def open(self) -> None:
        """Send the request and wait until the answer begins. Raises ProviderError."""
        ...

    async def next(self) -> Event:
        """The next event. Raises StopAsyncIteration after Finished, ProviderError where the answer breaks."""
        ...

    async def aclose(self) -> None:
        """Give back what is held; safe at any moment, and twice."""
        ...


class EventStream:
    """One answer while it is written.

    `async with provider.stream(request) as events: async for event in events: ...`

    Leaving the block, by end, break, error or cancellation, closes the connection at once. `Finished` comes exactly
    once, last. A bare `async for` closes itself at the end, but only `async with` promises prompt closing.
    """

    __slots__ = ("_closed", "_finished", "_keeper", "_opened", "_source")

    def __init__(self, source: EventSource) -> None:
        self._source = source
        self._keeper = _kept(source)
        self._opened = False
        self._finished = False
        self._closed = False

    async def open(self) -> Self:
        """Send the request and wait until the answer begins (the commit point). Raises ProviderError."""
        if not self._opened:
            self._opened = True
            await anext(self._keeper)
            try:
                await self._source.open()
            except BaseException:
                await self.aclose()
                raise
        return self

    @property
    def answering(self) -> Answering | None:
        """Who answers now; None while nobody does, and where the source does not tell (`answering` of its own)."""
        found: Answering | None = getattr(self._source, "answering", None)
        return found

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        if self._finished or self._closed:
            raise StopAsyncIteration
        if not self._opened:
            await self.open()
        try:
            event = await self._source.next()
        except BaseException:
            self._finished = True
            await self.aclose()
            raise
        if type(event) is Finished:
            self._finished = True
            await self.aclose()
        return event

    async def collect(self) -> GenerationResponse:
        """Read to the end and fold the events into one response. Raises ProviderError."""
        fold = Fold()
        async with self:
            async for event in self:
                fold.add(event)
        return fold.response()

    def texts(self) -> AsyncIterator[str]:
        """Only the pieces of text, for whoever wants nothing else."""
        return _Texts(self)

    async def aclose(self) -> None:
        """Close the connection; the rest of the answer is given up."""
        if not self._closed:
            self._closed = True
            await self._keeper.aclose()

    def __del__(self) -> None:
        if self._opened and not self._closed:
            warnings.warn(
                "an EventStream was dropped unclosed; use `async with`",
                ResourceWarning,
                stacklevel=2,
                source=self,
            )


async def _kept(source: EventSource) -> AsyncGenerator[None, None]:
    """Closes `source` when it is closed itself; where it is dropped instead, the event loop does that, as with any generator."""
    try:
        yield
    finally:
        await source.aclose()


class _Texts:
    """No generator: one that is left early would have to be closed by itself."""

    __slots__ = ("_events",)

    def __init__(self, events: EventStream) -> None:
        self._events = events

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        while True:
            event = await anext(self._events)
            if type(event) is TextDelta and event.text:
                return event.text


class Fold:
    """Events, one by one, into the response they amount to; law: any chunking of a stream folds to the same."""

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self._parts: list[Part | int] = []
        self._text: list[str] = []
        self._kind: type | None = None
        self._calls: dict[int, ToolCallDelta] = {}
        self._finished = Finished()

    def add(self, event: Event) -> None:
        match event:
            case TextDelta():
                self._extend(TextDelta, event.text)
                if event.signature is not None:
                    self._seal(signature=event.signature, origin=event.origin)
            case ThinkingDelta():
                if event.redacted:
                    self._flush()
                self._extend(ThinkingDelta, event.text)
                if event.signature is not None or event.raw is not None or event.redacted:
                    self._seal(
                        signature=event.signature, redacted=event.redacted, raw=event.raw, origin=event.origin
                    )
            case ToolCallDelta():
                self._flush()
                self._add_call(event)
            case PartDelta():
                self._flush()
                self._add_part(event.part)
            case Restarted():
                self._reset()
            case Finished():
                self._finished = event

    def message(self) -> Message:
        """The assistant's message so far."""
        self._flush()
        return Message(
            "assistant", tuple(self._call(part) if isinstance(part, int) else part for part in self._parts)
        )

    def response(self) -> GenerationResponse:
        end = self._finished
        return GenerationResponse(
            message=self.message(),
            finish_reason=end.finish_reason,
            raw_finish_reason=end.raw_finish_reason,
            usage=end.usage,
            model=end.model,
            provider=end.provider,
            id=end.id,
            request_id=end.request_id,
            attempts=end.attempts,
            warnings=end.warnings,
            skipped=end.skipped,
            stop_sequence=end.stop_sequence,
        )

    def _extend(self, kind: type, text: str) -> None:
        if self._kind is not kind:
            self._flush()
            self._kind = kind
        self._text.append(text)

    def _seal(self, **marks: Any) -> None:
        text, kind = "".join(self._text), self._kind
        self._text, self._kind = [], None
        self._parts.append(Text(text, **marks) if kind is TextDelta else Thinking(text, **marks))

    def _flush(self) -> None:
        text, kind = "".join(self._text), self._kind
        self._text, self._kind = [], None
        if text:
            self._parts.append(Text(text) if kind is TextDelta else Thinking(text))

    def _add_call(self, event: ToolCallDelta) -> None:
        old = self._calls.get(event.index)
        if old is None:
            self._parts.append(event.index)
            self._calls[event.index] = event
            return
        self._calls[event.index] = ToolCallDelta(
            event.index,
            old.id or event.id,
            old.name or event.name,
            old.arguments + event.arguments,
            old.signature or event.signature,
            old.origin or event.origin,
        )

    def _add_part(self, part: Part) -> None:
        last = self._parts[-1] if self._parts else None
        if type(part) is Refusal and type(last) is Refusal:
            self._parts[-1] = Refusal(last.text + part.text)
        else:
            self._parts.append(part)

    def _call(self, index: int) -> ToolCall:
        call = self._calls[index]
        return ToolCall(
            call.id or f"call_{index}", call.name or "", call.arguments, call.signature, call.origin
        )


def events_of(response: GenerationResponse) -> list[Event]:
    """A whole response as the events of a stream; `Fold` of them gives it back."""
    events: list[Event] = []
    calls = 0
    for part in response.message.parts:
        match part:
            case Text():
                events.append(TextDelta(part.text, part.signature, part.origin))
            case Thinking():
                events.append(ThinkingDelta(part.text, part.signature, part.redacted, part.raw, part.origin))
            case ToolCall():
                events.append(
                    ToolCallDelta(calls, part.id, part.name, part.arguments, part.signature, part.origin)
                )
                calls += 1
            case _:
                events.append(PartDelta(part))
    events.append(
        Finished(
            response.finish_reason,
            response.raw_finish_reason,
            response.usage,
            response.model,
            response.provider,
            response.id,
            response.request_id,
            response.attempts,
            response.warnings,
            response.skipped,
            response.stop_sequence,
        )
    )
    return events
