"""The lanes of one call: attempts run in them, and where one shows nothing for too long, a second lane asks beside it.

Most calls have one lane. Where nothing visible has come within the patience (or the hedge's delay), a second one asks the
next candidate beside the first. Whoever is given up is cancelled and awaited; nothing runs longer than its call.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

from llmcore.clock import Clock, on_loop
from llmcore.group import Group
from llmcore.manager.candidates import Candidate, Candidates
from llmcore.manager.guard import hedge_delay
from llmcore.manager.lane import Lane, Won
from llmcore.manager.log import note
from llmcore.manager.plan import Plan, Step
from llmcore.manager.trail import Trail
from llmcore.types import EmbeddingRequest, GenerationRequest
from llmcore.types.responses import Why

if TYPE_CHECKING:
    from llmcore.manager.fleet import Fleet
    from llmcore.manager.manager import ProviderManager

T = TypeVar("T")
Q = TypeVar("Q", GenerationRequest, EmbeddingRequest)

MAX_LANES = 2
ASKED_AGAIN_S = 1.0


class SideBySide(ABC, Generic[Q, T]):
    """What runs in a lane, and all that is declared here, is `Call`'s; it sets them itself, since that is the hot path.

    ends: the deadline, in monotonic seconds. won: the answer that is kept. _late: a lane was ended by the deadline.
    """

    fleet: Fleet
    request: Q
    ends: float
    trail: Trail
    candidates: Candidates
    won: Won[T] | None
    _manager: ProviderManager
    _clock: Clock
    _plan: Plan
    _lanes: list[Lane]
    _group: Group | None
    _late: bool

    @abstractmethod
    async def _attempt(self, lane: Lane, step: Step) -> Step | None:
        """Make this attempt; what follows it in this lane, None after an answer or where nothing follows."""

    def _new_lane(self, now: float) -> Lane:
        lane = Lane(now, on_loop(self._clock, self.ends))
        self._lanes.append(lane)
        return lane

    async def _lane(self, lane: Lane, step: Step | None) -> None:
        try:
            with lane.scope:
                while step is not None:
                    step = await self._attempt(lane, step)
        finally:
            self._lanes.remove(lane)
        if not lane.scope.cancelled_caught:
            return
        if not lane.beaten:
            self._late = True
        elif lane.entry is not None:
            self.trail.cancelled(lane.entry, self._clock.now())
            if self.won is not None and lane.target is not None and not lane.silent:
                self.candidates.put_back(lane.target)  # beaten by time alone, should the winner break off

    async def _beside(self, lane: Lane, step: Step) -> None:
        """A second lane; a fault of code in it ends the first one too."""
        try:
            await self._lane(lane, step)
        except Exception:
            for other in self._lanes:
                other.give_up()
            raise

    def _running(self) -> list[Lane]:
        return [lane for lane in self._lanes if not lane.beaten]

    # ---------------------------------------------------------------------------------------- alarms

    def _arm(self, lane: Lane, candidate: Candidate) -> None:
        """Wake up where the attempt shows nothing for too long."""
        patience = self._manager.patience(self.fleet, self.request, candidate.line)
        hedge = None if self._plan.overlapped else hedge_delay(self.fleet.fallback, candidate.line)
        if hedge is not None:
            self._alarm(lane, hedge, partial(self._hedged, lane, patience))
        elif patience is not None:
            self._alarm(lane, patience, partial(self._silent, lane))

    def _alarm(self, lane: Lane, seconds: float, ring: Callable[[], None]) -> None:
        if lane.since + seconds < self.ends:
            lane.stop_alarm = self._manager.alarm(self._group, seconds, ring)

    def _hedged(self, lane: Lane, patience: float | None) -> None:
        self._ask_beside("hedge")
        if patience is not None:
            rest = max(0.0, lane.since + patience - self._clock.now())
            self._alarm(lane, rest, partial(self._silent, lane))

    def _silent(self, lane: Lane) -> None:
        lane.silent = True
        if not self._ask_beside("patience") and self.candidates.any_ready():
            lane.stop_alarm = self._manager.alarm(self._group, ASKED_AGAIN_S, partial(self._silent, lane))

    def _ask_beside(self, why: Why) -> bool:
        """Nothing visible has come in time: ask the next candidate beside; of two silent ones the older is given up."""
        if self.won is not None or self._group is None or self.fleet.closed:
            return False
        step = self._plan.beside(why)
        if step is None:
            return False
        if len(running := self._running()) >= MAX_LANES:
            min(running, key=lambda lane: lane.since).give_up()
        candidate = self.candidates.chosen[step.target]
        self._manager.meter.maybe_charged_twice()
        note("llm.beside", provider=candidate.guard.name, why=why)
        self._group.start_soon(self._beside, self._new_lane(self._clock.now()), step)
        return True
