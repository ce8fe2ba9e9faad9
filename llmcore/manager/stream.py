"""A managed stream: candidates may change until the first visible delta; after it `mid_stream` decides what may follow."""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING

import anyio
from attrs import evolve, frozen

from llmcore.config import MidStream
from llmcore.errors import ContentFilterError, ProviderError, StreamInterruptedError, TotalTimeout
from llmcore.manager.call import Call
from llmcore.manager.lane import Won
from llmcore.manager.plan import goes_over
from llmcore.provider import Answering
from llmcore.types import (
    Attempt,
    Continued,
    Event,
    Finished,
    FinishReason,
    GenerationRequest,
    Message,
    PartDelta,
    Restarted,
    Text,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    Usage,
    is_visible,
)

if TYPE_CHECKING:
    from llmcore.clock import Clock
    from llmcore.manager.guard import Visit
    from llmcore.manager.manager import ProviderManager
    from llmcore.provider import EventStream

MAX_HELD_EVENTS = 64
MAX_HELD_CHARS = 256 * 1024
CHARS_PER_TOKEN = 4


@frozen
class Opened:
    """A stream that has shown something, and what it showed."""

    stream: EventStream
    held: deque[Event]

    @property
    def end(self) -> Finished | None:
        """The end, where the answer was over before it showed anything."""
        last = self.held[-1] if self.held else None
        silent = isinstance(last, Finished) and not any(map(is_visible, self.held))
        return last if silent and isinstance(last, Finished) else None

    @property
    def finish_reason(self) -> FinishReason | None:
        return None if self.end is None else self.end.finish_reason

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        return () if self.end is None else self.end.attempts


async def _asked(clock: Clock, visit: Visit, request: GenerationRequest) -> Opened:
    """A stream that has shown something; it is committed, and what it showed is held for the reader."""
    stream = await visit.provider.stream(request).open()
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
            visit.first(clock.now())
            return Opened(stream, held)


async def _discard(opened: Opened) -> None:
    await opened.stream.aclose()


class ManagedStream:
    """The EventSource of a manager. Events before the first visible one are held back, so that nobody sees a false start."""

    def __init__(
        self, manager: ProviderManager, request: GenerationRequest, mid_stream: MidStream | None = None
    ) -> None:
        self._manager = manager
        self._request = request
        self._mid_stream = mid_stream
        self._call: Call[GenerationRequest, Opened] | None = None
        self._won: Won[Opened] | None = None
        self._inner: EventStream | None = None
        self._held: deque[Event] = deque()
        self._said: list[str] = []
        self._only_text = True
        self._chars = 0
        self._splicing = False
        self._expected = ""
        self._cut: ProviderError | None = None
        self._resuming: anyio.CancelScope | None = None
        self._state = "new"  # new -> running -> succeeded | failed | left

    # ---------------------------------------------------------------------------------------- opening

    async def open(self) -> None:
        manager = self._manager
        self._fleet = fleet = manager.fleet
        if fleet.closed:
            raise manager.refusal()
        self._mid_stream = self._mid_stream or fleet.fallback.mid_stream
        self._state = "running"
        manager.meter.started()
        fleet.enter()
        try:
            # not by a method of ours: a cycle would keep all events until the garbage collector comes
            self._call = Call(manager, fleet, self._request, partial(_asked, manager.clock), _discard)
            won = await self._call.run()
        except ProviderError as error:
            if self._state == "running":
                self._close("failed")
                manager.meter.failed(error)
            raise
        except BaseException as exc:
            if self._state == "running":
                self._close("left")
                manager.meter.broke_off(exc)
            raise
        if self._state != "running":  # closed meanwhile, by another task
            await self._call.drop(won)
            return
        self._use(won)
        manager.meter.first_token(manager.clock.now() - self._call.began)

    def _use(self, won: Won[Opened]) -> None:
        self._won = won
        self._inner = won.result.stream
        self._held = won.result.held
        self._chars = 0

    @property
    def answering(self) -> Answering | None:
        """The provider in charge, under its name here."""
        won, call, inner = self._won, self._call, self._inner
        if self._state != "running" or won is None or call is None or inner is None:
            return None
        told = inner.answering
        warnings = (*(() if told is None else told.warnings), *call.flags(won))
        model = won.candidate.choice.model if told is None or told.model is None else told.model
        return Answering(won.candidate.guard.name, model, call.trail.begun, warnings)

    # ---------------------------------------------------------------------------------------- reading

    async def next(self) -> Event:
        while True:
            try:
                event = await self._next()
            except ProviderError as error:
                self._check_open()
                event = await self._go_on(error)
            self._check_open()
            new = self._spliced(event) if self._splicing else event
            if new is not None:
                event = new
                break
        if type(event) is Finished:
            return self._finished(event)
        self._note(event)
        return event

    def _check_open(self) -> None:
        """Stop where another task has closed the stream meanwhile; everything is given back then."""
        if self._state != "running":
            raise StopAsyncIteration

    async def _next(self) -> Event:
        if self._held:
            return self._held.popleft()
        self._check_open()
        assert self._inner is not None
        try:
            return await self._inner.__anext__()
        except StopAsyncIteration:
            raise _unfinished(retry=False) from None

    def _note(self, event: Event) -> None:
        """Remember what the reader has seen, as far as a continuation or an estimate needs it."""
        kind = type(event)
        if kind is TextDelta:
            assert isinstance(event, TextDelta)
            self._chars += len(event.text)
            if self._mid_stream in ("continue", "splice"):
                self._said.append(event.text)
        elif kind is ThinkingDelta:
            assert isinstance(event, ThinkingDelta)
            self._chars += len(event.text)
        elif kind is ToolCallDelta or kind is PartDelta:
            self._only_text = False
        elif kind is Restarted:
            self._said, self._only_text = [], True

    async def aclose(self) -> None:
        if self._state == "running":
            manager, won, call = self._manager, self._won, self._call
            now = manager.clock.now()
            if self._resuming is not None:
                self._resuming.cancel()
            if call is not None:
                if won is not None:
                    won.visit.cancel(now)
                    call.trail.cancelled(won.entry, now, self._estimate())
                call.trail.cut("cancelled", now)
            self._close("left")
            manager.meter.gave_up()
        if self._inner is not None:
            await self._inner.aclose()

    # ----------------------------------------------------------------------------------------- ending

    def _finished(self, event: Finished) -> Finished:
        won, call, manager = self._won, self._call, self._manager
        assert won is not None
        assert call is not None
        now = manager.clock.now()
        won.visit.end(None, now, event.usage.total_tokens)
        call.trail.succeeded(won.entry, event.attempts, now)
        manager.answered(call, won, event.usage, now)
        attempts = call.trail.attempts
        self._close("succeeded")
        skipped = (*call.trail.skipped, *event.skipped)
        flags = call.flags(won)
        if attempts is event.attempts and not skipped and not flags:
            return event
        return evolve(event, attempts=attempts, skipped=skipped, warnings=(*event.warnings, *flags))

    async def _go_on(self, error: ProviderError) -> Event:
        """What follows a break after the commit: an event that says how it goes on, or the error to raise."""
        blamed = _blamed(error)
        cut = self._interrupted(error, blamed)
        call, policy = self._call, self._mid_stream
        assert call is not None
        splicing = policy == "splice" and not self._only_text
        if policy is None or policy == "fail" or splicing or not self._may_go_on(blamed):
            raise self._failed(cut)
        said = "".join(self._said)
        going_on = policy == "continue" and self._only_text and bool(said)
        why = policy if policy == "splice" or going_on else "restart"
        call.continued = _continued(call.request, said) if going_on else None
        try:
            with anyio.CancelScope() as self._resuming:
                won = await call.resume(cut, why)
        except ProviderError as last:
            self._check_open()
            if last is not cut:
                cut.__context__ = last
            raise self._failed(cut) from cut.__cause__
        finally:
            self._resuming = None
        self._check_open()
        self._use(won)
        name, model = won.candidate.guard.name, won.candidate.choice.model
        if why == "splice":
            self._cut, self._expected, self._splicing = cut, said, True
            return TextDelta("")
        if won.entry.why == "continue":
            return Continued(name, model)
        self._said, self._only_text = [], True
        return Restarted(name, model)

    def _may_go_on(self, blamed: ProviderError) -> bool:
        """Whether somebody else may be asked after this; a refusal by policy is flagged as before the commit."""
        won, call = self._won, self._call
        assert won is not None
        assert call is not None
        if isinstance(blamed, ContentFilterError):
            call.refused_by = call.refused_by or won.candidate.guard.name
        return isinstance(blamed, StreamInterruptedError) or goes_over(blamed, call.fleet.policy(1))

    def _spliced(self, event: Event) -> Event | None:
        """What is new of an event while the new answer repeats what was said. Raises where it says something else."""
        kind = type(event)
        if kind is TextDelta:
            assert isinstance(event, TextDelta)
            shared = min(len(event.text), len(self._expected))
            if event.text[:shared] != self._expected[:shared]:
                raise self._diverged()
            self._expected = self._expected[shared:]
            self._chars += shared
            if shared == len(event.text):
                return None
            self._splicing = False
            return evolve(event, text=event.text[shared:])
        if kind is ThinkingDelta or kind is Continued:  # thoughts of its own before what was said
            return None
        if kind is Restarted:
            self._expected = "".join(self._said)
            return None
        if self._expected:
            raise self._diverged()
        self._splicing = False
        return event

    def _diverged(self) -> ProviderError:
        """The new answer does not begin with what was said; the first break is what the reader is told."""
        won, call, cut = self._won, self._call, self._cut
        assert won is not None
        assert call is not None
        assert cut is not None
        now = self._manager.clock.now()
        won.visit.cancel(now)
        call.trail.cancelled(won.entry, now)
        return self._failed(cut)

    def _interrupted(self, error: ProviderError, blamed: ProviderError) -> ProviderError:
        """After the commit every failure is an interruption; it is noted on the trail and at the gates."""
        won, call = self._won, self._call
        assert won is not None
        assert call is not None
        cut = error
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
        cut.visible_output = True
        now = self._manager.clock.now()
        won.visit.end(blamed, now)
        call.trail.failed(won.entry, cut, now)
        won.entry.made = tuple(self._estimated(attempt) for attempt in won.entry.made)
        return cut

    def _failed(self, error: ProviderError) -> ProviderError:
        call = self._call
        assert call is not None
        error.attempts = call.trail.cut(error.outcome, self._manager.clock.now())
        error.skipped = call.trail.skipped
        self._close("failed")
        self._manager.meter.failed(error)
        return error

    def _estimate(self) -> Usage:
        return Usage(output_tokens=-(-self._chars // CHARS_PER_TOKEN))

    def _estimated(self, attempt: Attempt) -> Attempt:
        if attempt.counted != "unknown":
            return attempt
        return evolve(attempt, usage=self._estimate(), counted="estimated")

    def _close(self, state: str) -> None:
        """The call is over; its attempts go into the ledger. Comes once."""
        self._state = state
        if self._call is not None:
            self._manager.ledger.add(self._call.trail.attempts)
        self._fleet.leave()


def _blamed(error: ProviderError) -> ProviderError:
    """What broke the stream, where that is known: it says more of the provider than that it broke."""
    cause = error.__cause__
    known = isinstance(error, StreamInterruptedError) and isinstance(cause, ProviderError)
    return cause if known and isinstance(cause, ProviderError) else error


def _continued(request: GenerationRequest, said: str) -> GenerationRequest:
    """The request with the text so far as the beginning of the answer, joined to one that the caller has begun."""
    messages = request.messages
    last = messages[-1]
    if last.role == "assistant" and all(type(part) is Text for part in last.parts):
        return evolve(request, messages=(*messages[:-1], Message.assistant(last.text + said)))
    return evolve(request, messages=(*messages, Message.assistant(said)))


def _unfinished(*, retry: bool) -> StreamInterruptedError:
    error = StreamInterruptedError("the stream ended without saying that it was finished", phase="stream")
    error.retryable = error.failover = retry
    return error
