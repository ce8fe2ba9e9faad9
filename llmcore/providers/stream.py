"""A leaf's stream: one HTTP answer while it comes, with the limits on silence and the exact accounting of how it ended."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING

import anyio
from attrs import evolve

from llmcore.errors import (
    FirstTokenTimeout,
    InterChunkTimeout,
    ProviderError,
    StreamInterruptedError,
    TimeoutError,
    TotalTimeout,
)
from llmcore.provider import Answering, Fold, events_of
from llmcore.providers.exchange import Trace
from llmcore.providers.record import attempt_of
from llmcore.types import (
    Event,
    Finished,
    GenerationRequest,
    GenerationResponse,
    RequestWarning,
    Usage,
    is_visible,
)
from llmcore.types.responses import NO_USAGE
from llmcore.wire.base import EventDecoder, HttpRequest

if TYPE_CHECKING:
    from llmcore.providers.base import HttpProvider
    from llmcore.transport.base import Reply

END_GRACE_S = 1.0
"""Seconds of reading that usage and terminator may take after the finish reason. Vendors send them at once, or as soon as
they have counted; who takes longer has forgotten them, and the reader has had the whole answer."""

EARLY_S = 0.002
"""How much sooner than told a loop's timer may ring: uvloop's go by whole milliseconds."""

DRAIN_S = 0.05
CLEANUP_S = 2.0


class LeafStream:
    """The EventSource of one HTTP answer.

    Limits: `first_token` from dispatch to the first visible delta, `inter_chunk` between complete events while
    somebody reads, `total` (or the request's deadline) over all. Comments and blank lines reset none of them. Once the
    answer is known to be whole, END_GRACE_S is left for its end; it ends well without.
    """

    def __init__(self, leaf: HttpProvider, request: GenerationRequest) -> None:
        self._leaf = leaf
        self._request = request
        self._trace = Trace(request.model)
        self._reply: Reply | None = None
        self._chunks: AsyncIterator[bytes] | None = None
        self._decoder: EventDecoder | None = None
        self._ready: deque[Event] = deque()
        self._seen: list[Event] = []
        self._error: ProviderError | None = None
        self._warnings: tuple[RequestWarning, ...] = ()
        self._request_id: str | None = None
        self._cancel: HttpRequest | None = None
        self._state = "new"  # new -> running -> succeeded | failed | left
        self._visible = False
        self._first_token_s: float | None = None
        self._bytes = 0
        self._began = 0.0
        self._ends = 0.0
        self._first_by = 0.0
        self._grace = END_GRACE_S

    async def open(self) -> None:
        leaf = self._leaf
        self._began = leaf.clock.now()
        self._ends = self._began + leaf.limit(self._request.deadline)
        self._first_by = self._began + (leaf.timeouts.first_token or 0.0)
        self._state = "running"
        leaf.meter.started()
        try:
            if self._ends <= self._began:
                raise leaf.total_timeout(self._request.deadline)
            encoded = leaf.encode(leaf.wire.encode_generate, self._request, stream=True)
            self._warnings = encoded.warnings
            with anyio.move_on_after(self._patience(self._began)) as scope:
                await self._start(encoded.http)
            if scope.cancelled_caught:
                raise self._timeout()
        except ProviderError as error:
            raise self._failed(error) from error.__cause__

    @property
    def answering(self) -> Answering | None:
        if self._state != "running":
            return None
        return Answering(self._leaf.name, self._request.model, 1, self._warnings)

    async def next(self) -> Event:
        while not self._ready:
            if self._error is not None:
                error = self._failed(self._error)
                raise error from error.__cause__
            if self._state != "running":
                raise StopAsyncIteration
            await self._read_more()
        event = self._ready.popleft()
        if type(event) is Finished:
            return self._finished(event)
        self._seen.append(event)
        if not self._visible and is_visible(event):
            self._visible = True
            self._first_token_s = self._leaf.clock.now() - self._began
            self._leaf.meter.first_token(self._first_token_s)
        return event

    async def aclose(self) -> None:
        left = self._state == "running"
        if left:
            self._state = "left"
            self._leaf.meter.gave_up()
        reply, self._reply = self._reply, None
        if reply is not None:
            with anyio.CancelScope(shield=True), anyio.move_on_after(CLEANUP_S):
                if self._state == "succeeded" and self._chunks is not None:
                    await _drain(self._chunks)
                await reply.aclose()
        if self._state != "succeeded" and self._cancel is not None:
            cancel, self._cancel = self._cancel, None
            await self._leaf.exchange.cancel(cancel)

    # ------------------------------------------------------------------------------------------- opening

    async def _start(self, http: HttpRequest) -> None:
        leaf = self._leaf
        if leaf.wire.two_step_stream:
            body, headers = await leaf.exchange.fetch(http, self._trace)
            self._note(headers)
            pending = leaf.wire.decode_stream_start(body, self._request)
            if pending is None:
                answer = leaf.wire.decode_generate(body, self._request)
                response = await leaf.settled(answer, self._request, self._trace)
                self._ready.extend(events_of(response))
                return
            self._cancel, http = pending.cancel, pending.next
        self._reply = await leaf.exchange.open(http, self._trace)
        self._note(self._reply.headers)
        self._chunks = self._reply.chunks()
        self._decoder = leaf.wire.event_decoder(self._request)

    def _note(self, headers: Mapping[str, str]) -> None:
        self._request_id = self._request_id or self._leaf.wire.request_id(headers)

    # ------------------------------------------------------------------------------------------- reading

    async def _read_more(self) -> None:
        """At least one more message, the end, or an error."""
        decoder = self._decoder
        assert decoder is not None
        since = self._leaf.clock.now()
        heard, concluded = decoder.heard, decoder.concluded
        while decoder.heard == heard and not decoder.done:
            try:
                chunk = await self._chunk(since)
            except ProviderError as error:
                self._chunks = None
                self._ready.extend(decoder.finish())
                if decoder.error is not None or not decoder.done:
                    self._error = error
                return
            if chunk is None:
                self._ready.extend(decoder.finish())
                break
            self._bytes += len(chunk)
            self._ready.extend(decoder.feed(chunk))
        if concluded:
            self._grace -= self._leaf.clock.now() - since
        if decoder.error is not None:
            self._error = decoder.error
        elif decoder.done and not self._ready:
            self._error = StreamInterruptedError("the stream held no answer", phase="stream")

    async def _chunk(self, since: float) -> bytes | None:
        assert self._chunks is not None
        with anyio.move_on_after(self._patience(since)):
            try:
                return await anext(self._chunks)
            except StopAsyncIteration:
                return None
        raise self._timeout()

    def _patience(self, since: float) -> float:
        """Seconds that the next message may still take."""
        limit = since + self._leaf.timeouts.inter_chunk if self._visible else self._first_by
        if self._decoder is not None and self._decoder.concluded:
            limit = min(limit, since + self._grace)
        return max(0.0, min(limit, self._ends) - self._leaf.clock.now())

    def _timeout(self) -> TimeoutError:
        if self._leaf.clock.now() >= self._ends - EARLY_S:
            return self._leaf.total_timeout(self._request.deadline)
        limits = self._leaf.timeouts
        if self._visible:
            return InterChunkTimeout(
                f"nothing came for {limits.inter_chunk:g} s inside the answer", phase="stream"
            )
        return FirstTokenTimeout(f"nothing visible came within {limits.first_token:g} s", phase="first_token")

    # -------------------------------------------------------------------------------------------- ending

    def _finished(self, event: Finished) -> Finished:
        leaf = self._leaf
        seconds = leaf.clock.now() - self._began
        model = event.model or self._request.model
        usage = leaf.priced(model, event.usage)
        self._state = "succeeded"
        leaf.meter.succeeded(seconds, usage)
        return evolve(
            event,
            usage=usage,
            model=model,
            provider=leaf.name,
            request_id=event.request_id or self._request_id,
            warnings=(*self._warnings, *event.warnings),
            attempts=(attempt_of(leaf, self._trace, seconds, usage, first_token_s=self._first_token_s),),
        )

    def _failed(self, error: ProviderError) -> ProviderError:
        """The error to raise: itself before anything was visible, an interruption with what came so far after."""
        partial = self._partial() if self._visible else None
        if partial is not None and not isinstance(error, TotalTimeout):
            cut = StreamInterruptedError(
                f"the answer was cut: {error.message}",
                status=error.status,
                code=error.code,
                type=error.type,
                request_id=error.request_id,
                phase="stream",
            )
            cut.__cause__ = error
            error = cut
        elif isinstance(error, StreamInterruptedError):
            error.retryable = error.failover = True
        error.partial = partial
        error.visible_output = self._visible
        error.bytes_received = self._bytes
        error.request_id = error.request_id or self._request_id
        self._leaf.blame(error, self._trace, self._began, self._usage(), self._first_token_s)
        if self._state == "running":
            self._state = "failed"
            self._leaf.meter.failed(error)
        return error

    def _partial(self) -> GenerationResponse:
        """What came before the answer was cut."""
        fold = Fold()
        for event in self._seen:
            fold.add(event)
        model = self._request.model
        usage = self._leaf.priced(model, self._usage())
        return evolve(fold.response(), provider=self._leaf.name, model=model, usage=usage)

    def _usage(self) -> Usage:
        """What the vendor has counted so far."""
        return NO_USAGE if self._decoder is None else self._decoder.usage


async def _drain(chunks: AsyncIterator[bytes]) -> None:
    """Read what follows the terminator, so that the connection can be used again; not for long."""
    with anyio.move_on_after(DRAIN_S):
        try:
            async for _ in chunks:
                pass
        except ProviderError:
            return
