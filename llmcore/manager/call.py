"""One call: the one loop that chooses and repeats attempts. They run in the lanes of `SideBySide`; the first answer wins."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from typing import TYPE_CHECKING, Literal, TypeVar

import anyio
from attrs import evolve

from llmcore.check import readdressed
from llmcore.errors import (
    AuthenticationError,
    ContentFilterError,
    ContextLengthError,
    FirstTokenTimeout,
    PermissionDeniedError,
    ProviderError,
    QuotaExhaustedError,
    RateLimitError,
)
from llmcore.group import Group, rare_group
from llmcore.manager.candidates import Candidate, Candidates
from llmcore.manager.fit import expected_tokens, needs_of
from llmcore.manager.fleet import View
from llmcore.manager.guard import Visit
from llmcore.manager.lane import Lane, Won, is_refusal, made_by, single
from llmcore.manager.log import note
from llmcore.manager.plan import Plan, Setback, Step, goes_over
from llmcore.manager.side_by_side import SideBySide
from llmcore.manager.sticky import session_of
from llmcore.manager.trail import Trail
from llmcore.types import (
    EmbeddingRequest,
    GenerationRequest,
    RequestWarning,
)
from llmcore.types.responses import Why

if TYPE_CHECKING:
    from llmcore.manager.fleet import Fleet
    from llmcore.manager.manager import ProviderManager

T = TypeVar("T")
Q = TypeVar("Q", GenerationRequest, EmbeddingRequest)

CLEANUP_S = 2.0

_OF_THE_KEY = (AuthenticationError, PermissionDeniedError, QuotaExhaustedError, RateLimitError)


class Call(SideBySide[Q, T]):
    """One `generate`, `stream` or `embed` of a manager, from its first attempt to its outcome.

    discard: closes an answer that goes on after its attempt; a provider that gives such a one is told when it must end.
    """

    def __init__(
        self,
        manager: ProviderManager,
        fleet: Fleet,
        request: Q,
        ask: Callable[[Visit, Q], Awaitable[T]],
        discard: Callable[[T], Awaitable[None]] | None = None,
    ) -> None:
        self._manager = manager
        self._clock = manager.clock
        self.fleet: Fleet = fleet
        self.request: Q = request
        self._ask: Callable[[Visit, Q], Awaitable[T]] = ask
        self._discard = discard
        self.began: float = self._clock.now()
        total = fleet.timeouts.total
        self.limit: float = total if request.deadline is None else min(request.deadline, total)
        self.ends: float = self.began + self.limit
        self._tells_end = discard is not None or request.deadline is not None
        self.trail: Trail = Trail(self.began)
        self.won: Won[T] | None = None
        self.continued: Q | None = None
        self.refused_by: str | None = None
        self._refused: Won[T] | None = None
        self.session: Hashable | None = (
            session_of(request.metadata) if request.metadata and fleet.fallback.sticky else None
        )
        self._lanes: list[Lane] = []
        self._group: Group | None = None
        self._late = False
        arranged = fleet.arranged(request.model, request.providers)
        fallback = fleet.fallback
        if not fallback.enabled:
            arranged = tuple(fleet.order(arranged, View(fleet, self.began, request)))[:1]
        ranked = fleet.order(arranged, View(fleet, self.began, request))
        self._overlaps = len(arranged) > 1 and (fallback.patience > 0 or fallback.hedge_after is not None)
        policy = fleet.policy(len(arranged))
        self.candidates: Candidates = Candidates(
            fleet,
            manager.ranked(fleet, ranked, self.session),
            len(arranged),
            needs=needs_of(request) if fleet.selective and isinstance(request, GenerationRequest) else None,
            embedding=isinstance(request, EmbeddingRequest),
            clock=self._clock,
            budget=manager.budget,
            trail=self.trail,
            policy=policy,
            ends=self.ends,
        )
        self._plan = Plan(policy, manager.random, self.candidates)

    def flags(self, won: Won[T]) -> tuple[RequestWarning, ...]:
        """What the caller must be told of an answer that came after a refusal by policy."""
        if self.refused_by is None or self.refused_by == won.candidate.guard.name:
            return ()
        words = f"{self.refused_by} refused by policy; another provider answered"
        return (RequestWarning("allow_policy_fallback", words),)

    def run(self) -> Awaitable[Won[T]]:
        """The attempt that answered. Raises what the caller shall see: ProviderError or AllProvidersFailed."""
        step = self._plan.first()
        if step is None:
            raise self.candidates.refusal(self._manager.name)
        return self._run(step)

    async def resume(self, error: ProviderError, why: Literal["restart", "continue", "splice"]) -> Won[T]:
        """Somebody who goes on where the answer broke off. Raises `error`, or what the others failed with."""
        over = self.fleet.closed or self.ends <= self._clock.now()
        step = None if over else self._plan.resume(error, why)
        if step is None:
            raise error
        note("llm.failover", provider=self.trail.errors[-1].provider, outcome=error.outcome, why=why)
        self.won = None
        return await self._run(step)

    # --------------------------------------------------------------------------------------- attempts

    async def _run(self, step: Step) -> Won[T]:
        try:
            async with rare_group() as group:
                self._group = group
                await self._lane(self._new_lane(self.began), step)
        except BaseExceptionGroup as exc:
            await self._abandon()
            raise single(exc) from None
        except BaseException:
            await self._abandon()
            raise
        finally:
            self._group = None
        won = self.won or self._refused
        if won is not None:
            return won
        if self._late:
            raise self.trail.too_late(self._manager.name, self.limit, self._clock.now())
        raise self.trail.final(self._manager.name)

    async def _attempt(self, lane: Lane, step: Step) -> Step | None:
        """Make this attempt; what follows it in this lane, None after an answer or where nothing follows."""
        lane.entry = None
        if lane.beaten:  # beaten before it began
            self._plan.unsent(step)
            return None
        candidate = self.candidates.chosen[step.target]
        if step.waits and not await self._allowed(step):
            return None
        try:
            visit = await self._visit(lane, step, candidate)
        except ProviderError as error:  # turned away at the gates
            return self._unsent(lane, step, candidate, error)
        except BaseException:
            self._plan.unsent(step)
            raise
        why = self._why(step, candidate)
        lane.target = step.target
        lane.entry = entry = self.trail.begin(
            candidate.guard.name, candidate.choice.model, visit.seat.name, why, visit.started, step.wait
        )
        try:
            result = await self._ask(visit, self._request(candidate, why))
        except ProviderError as error:
            now, lane.entry = self._clock.now(), None
            if error.phase == "encode" and not error.attempts:
                visit.cancel(now)
                self.trail.retract(entry)
                return self._unsent(lane, step, candidate, error)
            visit.end(error, now)
            self.trail.failed(entry, error, now)
            step = step if why == step.why else evolve(step, why=why)
            return self._after(lane, step, candidate, visit, error)
        except BaseException:
            self._given_up(lane, visit)
            raise
        finally:
            lane.disarm()
        lane.entry = None
        return await self._answered(Won(result, step, entry, visit, candidate), lane)

    def _unsent(self, lane: Lane, step: Step, candidate: Candidate, error: ProviderError) -> Step | None:
        """Nothing was sent: it was no attempt, and what was paid for it is given back."""
        self._plan.unsent(step)
        error.model = error.model or candidate.choice.model
        self.trail.unsent(error)
        return self._next(lane, step, Setback(error, self.ends - self._clock.now(), sent=False), candidate)

    def _given_up(self, lane: Lane, visit: Visit) -> None:
        """An attempt is cancelled; where it was silent beyond patience until another answered, that speaks against it."""
        now = self._clock.now()
        if lane.silent and self.won is not None:
            visit.end(FirstTokenTimeout("silent until another provider answered"), now)
        else:
            visit.cancel(now)

    async def _allowed(self, step: Step) -> bool:
        """Wait until others have found out whether the candidate works; what cannot be paid for is asked only then."""
        standing = self.candidates.chosen[step.target].line.standing
        await standing.answered(self._clock.now())
        if standing.proven(self._clock.now()):
            return True
        self._plan.unsent(step)
        if step.why == "patience":
            self.candidates.put_back(step.target)
        elif self.trail.errors:
            self._plan.ended = self.trail.errors[-1].budget_exhausted = True
        return False

    async def _visit(self, lane: Lane, step: Step, candidate: Candidate) -> Visit:
        """Wait as the step says, then pass the candidate's gates; from then on the lane's silence counts."""
        if step.wait and not await self.fleet.rest(self._clock, step.wait):
            raise self._manager.refusal()
        lane.since = now = self._clock.now()
        lane.silent = False
        if self._overlaps:
            self._arm(lane, candidate)
        counts = candidate.guard.entrance.counts_tokens(candidate.line.family)
        try:
            return await candidate.guard.enter(
                candidate.line,
                now,
                self.ends,
                tokens=expected_tokens(self.request) if counts else 0,
                forced=step.forced,
                panic=step.panic,
                avoid=self.candidates.burnt(step.target),
            )
        except BaseException:
            lane.disarm()
            raise

    async def _answered(self, won: Won[T], lane: Lane) -> Step | None:
        """Keep the first answer; give up whoever else still runs."""
        if self.won is not None:
            await self.drop(won)
            return None
        if self.fleet.fallback.allow_policy_fallback and is_refusal(won.result):
            return self._reroute(lane, won)
        self.won = won
        for other in self._lanes:
            if other is not lane:
                other.give_up()
        return None

    async def drop(self, won: Won[T]) -> None:
        """Nobody wants this answer any more: it is closed, counted, and nothing of it stays held."""
        try:
            if self._discard is not None:
                with anyio.CancelScope(shield=True), anyio.move_on_after(CLEANUP_S):
                    await self._discard(won.result)
        finally:
            now = self._clock.now()
            won.visit.cancel(now)
            self.trail.outrun(won.entry, made_by(won.result), now)

    def settle(self, won: Won[T], now: float) -> None:
        """The answer is whole: what its attempt cost comes back, or a first one has earned something."""
        if won.step.paid:
            self.candidates.refund()
        elif won.step.why == "first":
            self._manager.budget.earn(now)

    def _after(
        self, lane: Lane, step: Step, candidate: Candidate, visit: Visit, error: ProviderError
    ) -> Step | None:
        if isinstance(error, ContextLengthError):
            self.candidates.outgrown(step.target)
        elif isinstance(error, ContentFilterError):
            self.refused_by = self.refused_by or candidate.guard.name
        elif isinstance(error, _OF_THE_KEY) and visit.seat.name is not None:
            self.candidates.burn(step.target, visit.seat.name)
        return self._next(lane, step, Setback(error, self.ends - self._clock.now()), candidate)

    def _next(self, mine: Lane, step: Step, setback: Setback, candidate: Candidate) -> Step | None:
        """The next step of this lane, told to whoever listens; where another lane is not yet silent, that goes on alone."""
        error = setback.error
        if mine.beaten or self.fleet.closed:
            return None
        if self.won is not None or any(not lane.silent for lane in self._running() if lane is not mine):
            if not goes_over(error, self.fleet.policy(1)):
                self._plan.ended = True
            return None
        following = self._plan.after(step, setback)
        name = candidate.guard.name
        if following is None:
            note("llm.failed", provider=name, outcome=error.outcome, status=error.status)
            return None
        if error.maybe_billed and setback.sent:
            self._manager.meter.maybe_charged_twice()
        what = "llm.failover" if following.target != step.target else f"llm.{following.why}"
        note(what, provider=name, outcome=error.outcome, status=error.status, wait_s=following.wait or None)
        return following

    async def _abandon(self) -> None:
        """The call is broken off; nothing of it may stay held."""
        won, self.won = self.won or self._refused, None
        if won is not None:
            await self.drop(won)
        self.trail.cut("cancelled", self._clock.now())

    # ------------------------------------------------------------------------------------- requests

    def _why(self, step: Step, candidate: Candidate) -> Why:
        """Why this attempt is made; who cannot go on from a text that is there begins anew."""
        if self.continued is None or step.why not in ("continue", "failover"):
            return step.why
        return "continue" if "prefill" in (candidate.routing.capabilities or ()) else "restart"

    def _request(self, candidate: Candidate, why: Why) -> Q:
        """The request as this candidate shall get it: its name for the model, what is left of the deadline."""
        model = candidate.choice.model
        request = self.continued if why == "continue" and self.continued is not None else self.request
        deadline = self.ends - self._clock.now() if self._tells_end else None
        if deadline is None and request.model == model and not request.providers:
            return request
        return readdressed(request, model, deadline)

    def _reroute(self, lane: Lane, won: Won[T]) -> Step | None:
        """An answer that is a refusal: ask somebody else, and keep it for the case that nobody says more."""
        now = self._clock.now()
        if self._refused is None:
            self._refused = won
            self.refused_by = won.candidate.guard.name
        won.visit.end(None, now)
        self.trail.succeeded(won.entry, made_by(won.result), now)
        error = ContentFilterError("refused by policy", provider=won.candidate.guard.name)
        return self._next(lane, won.step, Setback(error, self.ends - now), won.candidate)
