"""One request at a simulated provider: admission, waiting, words or failure, and the account of it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import anyio

from llmcore.errors import FirstTokenTimeout, ProviderError, StreamInterruptedError, TotalTimeout
from llmcore.simulate.fate import Fate, fate
from llmcore.simulate.load import LEFT, SERVED
from llmcore.simulate.profile import FOREVER
from llmcore.simulate.ways import ANSWERS_AFTER_S, FULL, TOO_MANY, WAYS, Way
from llmcore.types import (
    Attempt,
    Event,
    Finished,
    GenerationRequest,
    GenerationResponse,
    Message,
    TextDelta,
    Usage,
)

if TYPE_CHECKING:
    from llmcore.simulate.provider import SimulatedProvider
    from llmcore.types import RateLimits

WORD = "yes "
MAX_GAP_S = 10.0
_RESET = WAYS["reset"]


class Visit:
    """One request from its coming to its end; `seconds` count from its coming."""

    __slots__ = (
        "_announced", "_answer", "_began", "_call", "_ends", "_fate", "_first_s", "_offset", "_placed", "_provider",
        "_request", "_running", "_step", "_streaming", "model",
    )  # fmt: skip

    def __init__(
        self,
        provider: SimulatedProvider,
        request: GenerationRequest,
        *,
        streaming: bool,
        answer_tokens: int | None = None,
    ) -> None:
        self._provider = provider
        self._request = request
        self._streaming = streaming
        self._call = provider.call_of(request)
        wanted = self._call.answer_tokens if answer_tokens is None else answer_tokens
        self._answer = wanted - _already_written(request, wanted)
        self._running = self._placed = False
        self._announced: RateLimits | None = None
        self._offset = 0.0
        self._fate = Fate(FOREVER, FOREVER, FOREVER)
        self._first_s: float | None = None
        self.model: str = provider.model(request.model)

    # ------------------------------------------------------------------------------------------- coming in

    async def enter(self) -> Fate:
        """Come in, be let through, and learn what becomes of it. Raises ProviderError."""
        provider = self._provider
        self._began = provider.now()
        self._step = provider.load.began(self._began)
        provider.meter.started()
        self._running = True
        total, deadline = provider.timeouts.total, self._request.deadline
        self._ends = total if deadline is None else min(total, deadline)
        try:
            await self._admitted()
            luck = provider.luck(self._call)
            self._fate = fate(provider.profile, luck, self._began + self._offset, self._answer)
        except BaseException as exc:
            self.end(exc)
            raise
        return self._fate

    async def _admitted(self) -> None:
        provider = self._provider
        if self._ends <= 0:
            raise self._too_late()
        if provider.upstream is not None and provider.profile.limits is not None:
            limits = provider.profile.limits
            wait = provider.upstream.admit(self._call.prompt_tokens + self._answer, self._began)
            if limits.announce:
                self._announced = provider.upstream.told(self._began)
            if wait:
                await self._refuse(TOO_MANY, wait if limits.tell_wait else None)
        if provider.places is not None:
            await self._take_place(provider.places)

    async def _take_place(self, places: anyio.Semaphore) -> None:
        try:
            places.acquire_nowait()
        except anyio.WouldBlock:
            when_full = self._provider.profile.when_full
            if when_full != "queue":
                await self._refuse(TOO_MANY if when_full == "429" else FULL, None)
            limit = self._limit()
            with anyio.move_on_after(limit) as scope:
                await places.acquire()
            if scope.cancelled_caught:
                raise self._out_of_patience(limit) from None
            self._offset = self._provider.now() - self._began
        self._placed = True

    async def _refuse(self, way: Way, wait: float | None) -> None:
        await self.reach(ANSWERS_AFTER_S)
        self._tell()
        error = way.made()
        error.retry_after = wait
        raise error

    # --------------------------------------------------------------------------------------------- waiting

    async def reach(self, seconds: float) -> None:
        """Wait until `seconds` after the request came. Raises TotalTimeout where the call ends before."""
        target = min(seconds, self._ends) - (self._provider.now() - self._began)
        if target > 0:
            await self._provider.clock.sleep(target)
        if seconds > self._ends:
            raise self._too_late()

    async def begin(self) -> None:
        """Wait for the first word. Raises the error that comes instead."""
        found, timeouts = self._fate, self._provider.timeouts
        if found.way is not None and found.way.moment == "never_connects":
            await self.reach(timeouts.connect)
            raise found.way.made()
        seen = found.first_s < FOREVER
        at = self._offset + (found.first_s if seen else found.end_s)
        if at > (limit := self._limit()):
            await self.reach(limit)
            raise self._out_of_patience(limit)
        await self.reach(at)
        self._tell()
        if not seen and found.way is not None:
            raise found.way.made()
        self._first_s = at

    async def finish(self) -> None:
        """Wait for the end of a whole answer. Raises the error that comes instead."""
        found = self._fate
        if found.first_s == FOREVER:
            await self.begin()
        await self.reach(self._offset + found.end_s)
        self._tell()
        if found.way is not None:
            raise (_RESET if found.way.moment == "cut" else found.way).made()

    async def stop(self) -> None:
        """Wait for what happens after the last word, if that is not the end. Raises the error that it is."""
        found = self._fate
        if found.way is None:
            return
        if found.end_s == FOREVER or found.end_s - found.last_s > self._provider.timeouts.inter_chunk:
            await self.reach(self._offset + found.last_s + self._provider.timeouts.inter_chunk)
            raise WAYS["stalled"].made()
        await self.reach(self._offset + found.end_s)
        raise found.way.made()

    def moments(self) -> list[tuple[float, int]]:
        """When a stream says something, and how many tokens; no gap is longer than any limit of ours."""
        found = self._fate
        tokens = int(self._answer * found.share) if found.way is not None else self._answer
        gap = min(MAX_GAP_S, self._provider.timeouts.inter_chunk / 2)
        rest, span = max(0, tokens - 1), found.last_s - found.first_s
        parts = max(1, math.ceil(span / gap)) if rest and span > 0 else int(rest > 0)
        later = [
            (self._offset + found.first_s + span * part / parts, rest * part // parts - rest * (part - 1) // parts)
            for part in range(1, parts + 1)
        ]  # fmt: skip
        return [(self._offset + found.first_s, 1), *later]

    # -------------------------------------------------------------------------------------------- the end

    def end(self, error: BaseException | None) -> None:
        """Put it on the accounts, once. None: answered."""
        if not self._running:
            return
        self._running = False
        provider = self._provider
        if self._placed and provider.places is not None:
            provider.places.release()
        seconds = provider.now() - self._began
        usage = self.billed(error, seconds)
        failed = isinstance(error, ProviderError) and not self._given_up(error)
        outcome = SERVED if error is None else type(error).__name__ if failed else LEFT
        provider.load.ended(outcome, self._step, seconds, usage)
        provider.note_end(error, seconds, usage)
        if isinstance(error, ProviderError):
            error.provider, error.model, error.elapsed_s = provider.name, self.model, seconds
            error.attempts = (self.attempt(error.outcome, error.status, error.phase, usage),)

    def attempt(self, outcome: str, status: int | None, phase: str | None, usage: Usage) -> Attempt:
        return Attempt(
            self._provider.name, self.model, outcome, status, self._provider.now() - self._began, 0.0,
            phase=phase, first_token_s=self._first_s if self._streaming else None, usage=usage,
            counted="measured" if usage.input_tokens is not None else "unknown",
        )  # fmt: skip

    def billed(self, error: BaseException | None, seconds: float) -> Usage:
        """What the vendor bills: nothing for a refusal; the prompt for what was left unanswered; else what was written."""
        found = self._fate
        if found.first_s == FOREVER:
            return Usage()
        written = self._answer
        if error is not None:
            since, span = seconds - self._offset - found.first_s, found.last_s - found.first_s
            share = 0.0 if since < 0 else min(1.0, since / span) if span > 0 else 1.0
            written = int(self._answer * found.share * share)
        return self._provider.priced(self.model, Usage(self._call.prompt_tokens, written))

    @property
    def provider_name(self) -> str:
        return self._provider.name

    def _given_up(self, error: ProviderError) -> bool:
        """Ended by the caller's own limits, not by this provider."""
        return isinstance(error, TotalTimeout)

    def _limit(self) -> float:
        """Seconds until the first word must be there."""
        return self._provider.timeouts.first_token or FOREVER if self._streaming else FOREVER

    def _out_of_patience(self, limit: float) -> ProviderError:
        return FirstTokenTimeout(f"nothing visible came within {limit:g} s", phase="first_token")

    def _too_late(self) -> TotalTimeout:
        error = TotalTimeout(f"no whole answer within {self._ends:g} s", phase="stream")
        deadline = self._request.deadline
        error.failover = deadline is None or deadline > self._provider.timeouts.total
        return error

    def _tell(self) -> None:
        """The head of an answer has arrived, and with it what the vendor tells of its limits."""
        told, self._announced = self._announced, None
        upstream, limits = self._provider.upstream, self._provider.profile.limits
        if told is not None and upstream is not None and limits is not None:
            fresh = limits.as_of == "answer"
            self._provider.tell(self.model, upstream.told(self._provider.now()) if fresh else told)


def _already_written(request: GenerationRequest, wanted: int) -> int:
    """Tokens of the answer that the request begins, for a provider that goes on from there."""
    last = request.messages[-1]
    return min(wanted, len(last.text) // len(WORD)) if last.role == "assistant" else 0


async def whole_answer(visit: Visit) -> GenerationResponse:
    """`generate` at a simulated provider. Raises ProviderError."""
    await visit.enter()
    try:
        await visit.finish()
    except BaseException as exc:
        visit.end(exc)
        raise
    usage = visit.billed(None, 0.0)
    visit.end(None)
    text = WORD * (usage.output_tokens or 0)
    attempts = (visit.attempt("success", 200, None, usage),)
    return GenerationResponse(
        Message.assistant(text), "stop", None, usage, visit.model, visit.provider_name, attempts=attempts
    )


class SimulatedStream:
    """The EventSource of one visit."""

    __slots__ = ("_at", "_moments", "_said", "_visit")

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._moments: list[tuple[float, int]] = []
        self._at = 0
        self._said = 0

    async def open(self) -> None:
        await self._visit.enter()
        try:
            await self._visit.begin()
        except BaseException as exc:
            self._visit.end(exc)
            raise
        self._moments = self._visit.moments()

    async def next(self) -> Event:
        try:
            if self._at < len(self._moments):
                seconds, tokens = self._moments[self._at]
                await self._visit.reach(seconds)
                self._at += 1
                self._said += tokens
                return TextDelta(WORD * tokens)
            await self._visit.stop()
        except ProviderError as error:
            cut = self._cut(error)
            self._visit.end(cut)
            raise cut from cut.__cause__
        except BaseException as exc:
            self._visit.end(exc)
            raise
        return self._finished()

    async def aclose(self) -> None:
        self._visit.end(GeneratorExit())

    def _finished(self) -> Finished:
        visit = self._visit
        usage = visit.billed(None, 0.0)
        visit.end(None)
        attempts = (visit.attempt("success", 200, None, usage),)
        return Finished("stop", None, usage, visit.model, visit.provider_name, attempts=attempts)

    def _cut(self, error: ProviderError) -> ProviderError:
        """As a leaf tells it: after something was visible a failure is an interruption."""
        if not isinstance(error, (StreamInterruptedError, TotalTimeout)):
            cut = StreamInterruptedError(f"the answer was cut: {error.message}", status=200, phase="stream")
            cut.__cause__ = error
            error = cut
        error.visible_output = True
        error.partial = GenerationResponse(
            Message.assistant(WORD * self._said), model=self._visit.model, provider=self._visit.provider_name
        )
        return error
