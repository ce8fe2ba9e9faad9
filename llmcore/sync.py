"""The sync face for scripts and notebooks: one portal thread runs the async library; there is no second implementation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Self

from anyio.from_thread import BlockingPortal, start_blocking_portal

from llmcore.build import Source
from llmcore.build import open as open_async
from llmcore.provider import EventStream, LlmProvider
from llmcore.types import (
    EmbeddingInput,
    EmbeddingResponse,
    Event,
    GenerationInput,
    GenerationResponse,
    ModelInfo,
    ProviderStats,
    TextDelta,
)

if TYPE_CHECKING:
    import httpx

    from llmcore.transport.base import Transport


class SyncStream:
    """An EventStream read from ordinary code: `with llm.stream(...) as events: for event in events: ...`."""

    def __init__(self, portal: BlockingPortal, stream: EventStream) -> None:
        self._portal = portal
        self._stream = stream
        self._held: AbstractContextManager[EventStream] | None = None

    def __enter__(self) -> Self:
        self._held = self._portal.wrap_async_context_manager(self._stream)
        self._held.__enter__()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._held is not None:
            held, self._held = self._held, None
            held.__exit__(exc_type, exc, traceback)

    def __iter__(self) -> Iterator[Event]:
        while (event := self._portal.call(self._next)) is not None:
            yield event

    def texts(self) -> Iterator[str]:
        """Only the pieces of text."""
        for event in self:
            if isinstance(event, TextDelta) and event.text:
                yield event.text

    def collect(self) -> GenerationResponse:
        """Read to the end and fold the events into one response."""
        return self._portal.call(self._stream.collect)

    async def _next(self) -> Event | None:
        try:
            return await self._stream.__anext__()
        except StopAsyncIteration:
            return None


class SyncLlm:
    """An LlmProvider's methods for ordinary code."""

    def __init__(self, portal: BlockingPortal, provider: LlmProvider) -> None:
        self._portal = portal
        self._provider = provider

    @property
    def provider(self) -> LlmProvider:
        """The async provider behind it."""
        return self._provider

    def generate(self, request: GenerationInput, /) -> GenerationResponse:
        return self._portal.call(self._provider.generate, request)

    def stream(self, request: GenerationInput, /) -> SyncStream:
        return SyncStream(self._portal, self._provider.stream(request))

    def embed(self, request: EmbeddingInput, /) -> EmbeddingResponse:
        return self._portal.call(self._provider.embed, request)

    def list_models(self) -> Sequence[ModelInfo]:
        return self._portal.call(self._provider.list_models)

    def stats(self) -> ProviderStats:
        return self._provider.stats()


@contextmanager
def open_sync(
    source: Source = None,
    *,
    transport: httpx.AsyncBaseTransport | Transport | None = None,
    environ: Mapping[str, str] | None = None,
) -> Iterator[SyncLlm]:
    """`with llmcore.open_sync("config.toml") as llm: print(llm.generate("hi").text)`. As `open`, from ordinary code."""
    with start_blocking_portal() as portal:
        opened = open_async(source, transport=transport, environ=environ)
        with portal.wrap_async_context_manager(opened) as manager:
            yield SyncLlm(portal, manager)
