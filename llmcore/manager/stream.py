"""A managed stream: candidates may change until the first visible delta; from then on it is one provider's answer."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import anyio
from attrs import evolve

from llmcore.errors import ProviderError, StreamInterruptedError, TotalTimeout
from llmcore.manager.trail import Trail
from llmcore.types import Event, Finished, GenerationRequest, TextDelta, ThinkingDelta, is_visible

if TYPE_CHECKING:
    from llmcore.manager.guard import Guard
    from llmcore.manager.manager import ProviderManager
    from llmcore.provider import EventStream

MAX_HELD_EVENTS = 64
MAX_HELD_CHARS = 256 * 1024


class ManagedStream:
    """The EventSource of a manager. Events before the first visible one are held back, so that nobody sees a false start."""

    def __init__(self, manager: ProviderManager, request: GenerationRequest) -> None:
        self._manager = manager
        self._request = request
        self._inner: EventStream | None = None
        self._held: deque[Event] = deque()
        self._state = "new"  # new -> running -> succeeded | failed | left

    async def open(self) -> None:
        manager = self._manager
        began = manager.clock.now()
        limit = manager.limit(self._request.deadline)
        request = (
            self._request if self._request.deadline is not None else evolve(self._request, deadline=limit)
        )
        self._trail = Trail(began)
        self._state = "running"
        manager.meter.started()
        try:
            with anyio.move_on_after(limit):
                self._inner = await manager.call(request, self._trail, self._attempt, began + limit)
                manager.meter.first_token(manager.clock.now() - began)
                return
            raise manager.too_late(self._trail, limit)
        except ProviderError as error:
            self._state = "failed"
            manager.meter.failed(error)
            raise
        except BaseException as exc:
            self._state = "left"
            manager.meter.broke_off(exc)
            raise

    async def _attempt(self, guard: Guard, request: GenerationRequest) -> EventStream:
        """A stream that has shown something; it is committed, and what it showed is held for the reader."""
        stream = await guard.stream(request).open()
        held: deque[Event] = deque()
        size = 0
        while True:
            try:
                event = await stream.__anext__()
            except StopAsyncIteration:
                raise _unfinished(retry=True) from None
            held.append(event)
            size += len(event.text) if isinstance(event, (TextDelta, ThinkingDelta)) else 0
            if (
                is_visible(event)
                or type(event) is Finished
                or len(held) >= MAX_HELD_EVENTS
                or size > MAX_HELD_CHARS
            ):
                self._held = held
                return stream

    async def next(self) -> Event:
        if self._held:
            event = self._held.popleft()
        elif self._state != "running" or self._inner is None:
            raise StopAsyncIteration
        else:
            try:
                event = await self._inner.__anext__()
            except StopAsyncIteration:
                raise self._failed(_unfinished(retry=False)) from None
            except ProviderError as error:
                failed = self._failed(error)
                raise failed from failed.__cause__
        return self._finished(event) if type(event) is Finished else event

    async def aclose(self) -> None:
        if self._state == "running":
            self._state = "left"
            self._manager.meter.gave_up()
        if self._inner is not None:
            await self._inner.aclose()

    def _finished(self, event: Finished) -> Finished:
        now = self._manager.clock.now()
        self._state = "succeeded"
        self._manager.meter.succeeded(now - self._trail.began, event.usage)
        return evolve(event, attempts=self._trail.succeeded(event.attempts, now))

    def _failed(self, error: ProviderError) -> ProviderError:
        """After the commit every failure is an interruption; nobody else is asked."""
        if not isinstance(error, (StreamInterruptedError, TotalTimeout)):
            cut = StreamInterruptedError(
                f"the answer was cut: {error.message}", status=error.status, phase="stream"
            )
            cut.__cause__, cut.attempts, cut.provider, cut.partial = (
                error,
                error.attempts,
                error.provider,
                error.partial,
            )
            error = cut
        error.visible_output = True
        self._state = "failed"
        self._trail.failed(error, self._manager.clock.now())
        error.attempts = self._trail.cut(error.outcome, self._manager.clock.now())
        self._manager.meter.failed(error)
        return error


def _unfinished(*, retry: bool) -> StreamInterruptedError:
    error = StreamInterruptedError("the stream ended without saying that it was finished", phase="stream")
    error.retryable = error.failover = retry
    return error
