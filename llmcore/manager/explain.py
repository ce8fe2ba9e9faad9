"""Explain: for one request, who would be asked in which order, who not and why. Sends nothing and changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import TYPE_CHECKING

from attrs import frozen

from llmcore.manager.budget import Budget
from llmcore.manager.candidates import Candidate, Candidates
from llmcore.manager.fit import needs_of
from llmcore.manager.fleet import Asked, View
from llmcore.manager.models import Choice
from llmcore.manager.sticky import session_of
from llmcore.manager.trail import Trail
from llmcore.types import GenerationRequest, Skipped

if TYPE_CHECKING:
    from llmcore.manager.manager import ProviderManager


@frozen
class Considered:
    """One candidate. rank: its place in the order of asking, from 1; None where it would not be asked.

    reason, detail: why not, or why not first; ready_in_s: seconds until that passes, None where it does not by itself.
    """

    provider: str
    model: str | None
    rank: int | None
    priority: int
    reason: str = ""
    detail: str = ""
    ready_in_s: float | None = 0.0
    breaker: str = "closed"
    in_flight: int = 0
    delay_s: float | None = None


@frozen
class Explanation:
    """What a manager would do with a request now."""

    strategy: str
    candidates: tuple[Considered, ...]
    max_attempts: int
    retries: int
    deadline_s: float
    mid_stream: str
    patience_s: float | None
    budget_tokens: float
    skipped: tuple[Skipped, ...] = ()

    @property
    def order(self) -> tuple[str, ...]:
        """The names of those who would be asked, first choice first."""
        asked = [one for one in self.candidates if one.rank is not None]
        return tuple(one.provider for one in sorted(asked, key=lambda one: one.rank or 0))


def explained(manager: ProviderManager, request: Asked) -> Explanation:
    """See `ProviderManager.explain`."""
    fleet, fallback = manager.fleet, manager.fleet.fallback
    now = manager.clock.now()
    arranged = fleet.arranged(request.model, request.providers)
    order = deepcopy(fleet.order)
    session = session_of(request.metadata) if fallback.sticky else None
    ranked = manager.ranked(fleet, order(arranged, View(fleet, now, request)), session)
    if not fallback.enabled:
        ranked = arranged = tuple(ranked)[:1]
    total = fleet.timeouts.total
    limit = total if request.deadline is None else min(request.deadline, total)
    policy = fleet.policy(len(arranged))
    trail = Trail(now)
    candidates = Candidates(
        fleet,
        ranked,
        len(arranged),
        needs=needs_of(request) if isinstance(request, GenerationRequest) else None,
        embedding=not isinstance(request, GenerationRequest),
        clock=manager.clock,
        budget=Budget(fallback.budget),
        trail=trail,
        policy=policy,
        ends=now + limit,
    )
    considered, usable = _considered(candidates, arranged, fleet.names, trail, now)
    patience = manager.patience(fleet, request, usable[0].line if usable else None)
    return Explanation(
        fallback.strategy,
        considered,
        policy.max_attempts,
        fallback.retries,
        limit,
        fallback.mid_stream,
        patience if len(arranged) > 1 else None,
        manager.budget.tokens(now),
        trail.skipped,
    )


def _considered(
    candidates: Candidates, arranged: Sequence[Choice], names: Sequence[str], trail: Trail, now: float
) -> tuple[tuple[Considered, ...], list[Candidate]]:
    """Everybody, those who would be asked first; and these alone."""
    found = candidates.survey()
    usable = [candidate for candidate, ready in found if not ready.reason]
    usable += [candidate for candidate, ready in found if ready.aside]
    considered = [
        Considered(
            candidate.guard.name,
            candidate.choice.model,
            usable.index(candidate) + 1 if candidate in usable else None,
            candidate.choice.priority,
            ready.reason,
            ready.detail,
            None if ready.at == float("inf") else max(0.0, ready.at - now),
            candidate.line.breaker.state,
            candidate.guard.in_flight,
            candidate.line.pulse.delay(now),
        )
        for candidate, ready in found
    ]
    priorities = {names[choice.index]: choice.priority for choice in arranged}
    considered += [
        Considered(skip.provider, skip.model, None, priorities[skip.provider], skip.reason, skip.detail, None)
        for skip in trail.skipped
    ]
    return tuple(considered), usable
