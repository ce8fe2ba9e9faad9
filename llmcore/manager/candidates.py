"""The candidates of one call, drawn lazily in the strategy's order: who may be asked now, who not and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

from attrs import frozen

from llmcore.clock import Clock
from llmcore.config import Routing
from llmcore.errors import (
    AllProvidersFailed,
    ContextLengthError,
    NoUsableKeyError,
    OverloadedError,
    ProviderError,
    RateLimitError,
    UnsupportedFeatureError,
)
from llmcore.manager.budget import Budget
from llmcore.manager.fit import Needs, misfit, window_of
from llmcore.manager.fleet import Fleet
from llmcore.manager.guard import Guard, Line, Readiness
from llmcore.manager.models import Choice
from llmcore.manager.plan import Policy, Step
from llmcore.manager.trail import Trail
from llmcore.types import Skipped

NO_KEYS: frozenset[str | None] = frozenset()
BUSY = Readiness(0.0, "busy", "all its slots are taken")


@frozen
class Candidate:
    """A choice with the gates that stand before it."""

    choice: Choice
    guard: Guard
    line: Line

    @property
    def routing(self) -> Routing:
        return self.guard.routing

    def skipped(self, reason: str, detail: str) -> Skipped:
        return Skipped(self.guard.name, self.choice.model, reason, detail)


class Candidates:
    """The plan's field. Whoever surely cannot take the request is dropped before anything is sent."""

    __slots__ = (
        "_budget",
        "_burnt",
        "_clock",
        "_embedding",
        "_ends",
        "_fleet",
        "_left",
        "_needs",
        "_outgrown",
        "_policy",
        "_sole",
        "_source",
        "_trail",
        "chosen",
    )

    def __init__(
        self,
        fleet: Fleet,
        source: Iterable[Choice],
        total: int,
        *,
        needs: Needs | None,
        embedding: bool,
        clock: Clock,
        budget: Budget,
        trail: Trail,
        policy: Policy,
        ends: float,
    ) -> None:
        self._fleet = fleet
        self._source = iter(source)
        self._sole = total == 1
        self._needs = needs
        self._embedding = embedding
        self._clock = clock
        self._budget = budget
        self._trail = trail
        self._policy = policy
        self._ends = ends
        self._left: list[int] = []
        self._burnt: dict[int, frozenset[str | None]] = {}
        self._outgrown: int | None = None
        self.chosen: list[Candidate] = []

    # ----------------------------------------------------------------------------- what the plan asks

    def pick(self) -> Step | None:
        """The first that may be asked now, rather one with a free slot; else whoever comes first, if in time."""
        now = self._clock.now()
        passed: list[tuple[int, Readiness]] = []
        waiting: int | None = None
        for target in self._stock():
            candidate = self.chosen[target]
            ready = candidate.guard.readiness(candidate.line, now, sole=self._sole)
            if ready.reason:
                passed.append((target, ready))
            elif candidate.guard.entrance.has_room:
                return self._take(target, passed)
            else:
                passed.append((target, BUSY))
                waiting = target if waiting is None else waiting
        if waiting is not None:
            return self._take(waiting, passed)
        if (aside := next((target for target, ready in passed if ready.aside), None)) is not None:
            return self._take(aside, passed)
        return self._last_resort(passed, now)

    def pick_now(self) -> Step | None:
        """The first that may be asked at once."""
        now = self._clock.now()
        for target in self._stock():
            candidate = self.chosen[target]
            ready = candidate.guard.readiness(candidate.line, now, sole=False)
            if not ready.reason and candidate.guard.entrance.has_room:
                return self._take(target, [])
        return None

    def any_ready(self) -> bool:
        now = self._clock.now()
        for target in self._stock():
            candidate = self.chosen[target]
            ready = candidate.guard.readiness(candidate.line, now, sole=False)
            if ready.at <= now:
                return True
        return False

    def other_key(self, target: int, /) -> bool:
        candidate = self.chosen[target]
        burnt = self._burnt.get(target, frozenset())
        return candidate.guard.entrance.other_key(candidate.line.family, burnt, self._clock.now())

    def admits(self, target: int, /) -> bool:
        candidate = self.chosen[target]
        ready = candidate.guard.readiness(candidate.line, self._clock.now(), sole=self._sole)
        return not ready.reason.startswith(("breaker", "isolated"))

    def pay(self) -> bool:
        return self._budget.take(self._clock.now())

    def credit(self, target: int, /) -> Literal["free", "later", "none"]:
        standing, now = self.chosen[target].line.standing, self._clock.now()
        if standing.proven(now):
            return "free"
        return "later" if standing.open_question(now) else "none"

    def put_back(self, target: int, /) -> None:
        self._left.insert(0, target)

    def refund(self) -> None:
        self._budget.refund(self._clock.now())

    # ----------------------------------------------------------------------------- what the call tells

    def burn(self, target: int, key: str | None) -> None:
        """Note that a key has failed in this call; it is not used again in it."""
        self._burnt[target] = self._burnt.get(target, frozenset()) | {key}

    def burnt(self, target: int) -> frozenset[str | None]:
        """The keys that must not be used now: those that have failed, as long as there is another."""
        burnt = self._burnt.get(target)
        return burnt if burnt is not None and self.other_key(target) else NO_KEYS

    def outgrown(self, target: int) -> None:
        """The request did not fit into this candidate's window; nobody with one known to be no larger is asked."""
        candidate = self.chosen[target]
        model = candidate.guard.info(candidate.choice.model, embedding=self._embedding)
        window = window_of(candidate.routing, model)
        if window is not None:
            self._outgrown = max(window, self._outgrown or 0)

    def is_sole(self, target: int) -> bool:
        """Whether the breaker of this one is to be passed by, since there is nobody else."""
        return self._sole and not self._fleet.fallback.breaker.block_sole

    def refusal(self, name: str) -> ProviderError:
        """The error of a call, by the manager of this name, in which nobody may be asked."""
        errors = self._refusals()
        if len(errors) == 1 and not isinstance(errors[0], RateLimitError):
            found = errors[0]
        else:
            hints = [error.retry_after for error in errors if error.retry_after is not None]
            words = "no provider may be asked now"
            found = AllProvidersFailed(words, errors, provider=name, retry_after=min(hints, default=None))
        found.skipped = self._trail.skipped
        return found

    def _refusals(self) -> list[ProviderError]:
        """Why none of those that are left was asked."""
        now = self._clock.now()
        errors: list[ProviderError] = []
        for target in self._stock():
            candidate = self.chosen[target]
            ready = candidate.guard.readiness(candidate.line, now, sole=self._sole)
            errors.append(_refusal(candidate, ready, now))
        return errors or [_misfit_error(skip) for skip in self._trail.skipped]

    def survey(self) -> list[tuple[Candidate, Readiness]]:
        """Everybody that is left, in order, with whether they may be asked now."""
        now = self._clock.now()
        return [
            (
                self.chosen[target],
                self.chosen[target].guard.readiness(self.chosen[target].line, now, sole=self._sole),
            )
            for target in self._stock()
        ]

    # -------------------------------------------------------------------------------------- in here

    def _stock(self) -> Iterator[int]:
        """Those that are left and fit, then new ones from the order."""
        for target in tuple(self._left):
            if self._outgrown is not None and not self._fits(self.chosen[target]):
                self._left.remove(target)
            else:
                yield target
        for choice in self._source:
            guard = self._fleet.guards[choice.index]
            candidate = Candidate(choice, guard, guard.line(choice.model, embedding=self._embedding))
            if self._fits(candidate):
                target = len(self.chosen)
                self.chosen.append(candidate)
                self._left.append(target)
                yield target

    def _fits(self, candidate: Candidate) -> bool:
        """Whether the candidate may be able to take the request; the reason is noted where not."""
        guard = candidate.guard
        if self._outgrown is not None:
            window = window_of(guard.routing, guard.info(candidate.choice.model, embedding=self._embedding))
            if window is not None and window <= self._outgrown:
                words = f"its window of {window} tokens is no larger than the one that was too small"
                self._trail.skip(candidate.skipped("context_window", words))
                return False
        if self._needs is None:
            return True
        wrong = misfit(self._needs, guard.routing, guard.info(candidate.choice.model))
        if wrong is not None:
            self._trail.skip(candidate.skipped(*wrong))
        return wrong is None

    def _take(self, target: int, passed: list[tuple[int, Readiness]], *, panic: bool = False) -> Step:
        self._left.remove(target)
        for other, ready in passed:
            if other != target:
                self._trail.skip(self.chosen[other].skipped(ready.reason, ready.detail))
        return Step(target, forced=panic or self.is_sole(target), panic=panic)

    def _last_resort(self, passed: list[tuple[int, Readiness]], now: float) -> Step | None:
        """Nobody may be asked: one probe where all breakers are open, else whoever's rest ends first, if in time."""
        if passed and all(ready.reason.startswith("breaker") for _, ready in passed):
            for target, _ in passed:
                if self.chosen[target].line.breaker.panic(now):
                    return self._take(target, passed, panic=True)
        best: tuple[float, int] | None = None
        for target, ready in passed:
            opens = ready.reason.startswith("breaker")
            longest = self._policy.prefer_failover_after if opens else self._policy.max_retry_after
            wait = ready.at - now
            if wait < min(longest, self._ends - now) and (best is None or wait < best[0]):
                best = (wait, target)
        for target, ready in passed:
            if best is None or target != best[1]:
                self._trail.skip(self.chosen[target].skipped(ready.reason, ready.detail))
        if best is None:
            return None
        step = self._take(best[1], [])
        return Step(step.target, wait=best[0], forced=step.forced)


def _refusal(candidate: Candidate, ready: Readiness, now: float) -> ProviderError:
    classes: dict[str, type[ProviderError]] = {"resting": RateLimitError, "no_usable_key": NoUsableKeyError}
    cls = classes.get(ready.reason, OverloadedError)
    wait = None if ready.at == float("inf") else max(0.0, ready.at - now)
    return cls(
        f"not asked: {ready.detail or 'nothing was left to try'}",
        provider=candidate.guard.name,
        model=candidate.choice.model,
        retry_after=wait,
    )


def _misfit_error(skip: Skipped) -> ProviderError:
    cls = ContextLengthError if skip.reason == "context_window" else UnsupportedFeatureError
    return cls(f"not asked: {skip.detail}", provider=skip.provider, model=skip.model, code=skip.reason)
