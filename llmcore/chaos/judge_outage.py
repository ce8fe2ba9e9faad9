"""Pure: judging many calls while providers are away and come back."""

from __future__ import annotations

from attrs import evolve

from llmcore.chaos.checks import lie, limit, of, published, wrong_text
from llmcore.chaos.nouns import Case, Finding, Seen

BACK_S = 4.0
ALL_BACK_S = 10.0
MOST_PER_CALL = 2
"""Attempts at each provider for each call, at most, while all are away."""


def outage(case: Case) -> Finding:
    """One provider away: every call answered, few attempts at the dead one, and back soon after it is."""
    down = case.scenario.down_s * case.facts.factor
    during = [call for call in case.calls if call.began_s < down]
    dead = [hit for hit in of(case, case.facts.broken) if hit.status != 200]
    after_open = _after_opening(case, during)
    back = _back_s(case, down)
    figures = {
        "calls_during_outage": len(during),
        "attempts_on_dead": len(dead),
        "attempts_after_opening": after_open,
        "back_s": None if back is None else round(published(case, back), 2),
    }
    finding = _broken_calls(case) or _discipline(case, len(dead), after_open, back)
    return evolve(finding, figures=figures)


def _broken_calls(case: Case) -> Finding | None:
    """The first thing that is wrong with a call's own answer."""
    for call in case.calls:
        problem = (wrong_text(case, call) or lie(case, call)) if call.ended == "answered" else None
        if problem:
            return Finding("fail", problem)
    unanswered = [call for call in case.calls if call.ended != "answered"]
    if unanswered:
        return Finding(
            "safe", f"{len(unanswered)} of {len(case.calls)} calls were not answered: {unanswered[0].error}"
        )
    slow = [call for call in case.calls if call.seconds > limit(case, case.scenario.bounds.seconds)]
    if slow:
        took = published(case, max(call.seconds for call in slow))
        return Finding("partial", f"all answered, but {len(slow)} calls late (up to {took:.1f} s)")
    return None


def _discipline(case: Case, dead: int, after_open: int, back: float | None) -> Finding:
    bound = case.scenario.bounds.broken or 0
    words = f"all {len(case.calls)} answered; {dead} attempts on the dead one ({after_open} after it was left alone)"
    if dead > bound:
        return Finding("partial", f"{words}, more than {bound}")
    if back is None:
        return Finding("partial", f"{words}; it was never asked again after it came back")
    words = f"{words}, back {max(published(case, back), 0):.1f} s after recovery"
    if back > limit(case, BACK_S):
        return Finding("partial", f"{words} (bound {BACK_S:g} s)")
    return Finding("pass", words)


def _after_opening(case: Case, during: list[Seen]) -> int:
    """Attempts on the dead one since the first call that did not ask it."""
    broken = case.facts.broken
    spared = next(
        (call for call in during if not any(attempt.provider == broken for attempt in call.attempts)), None
    )
    if spared is None:
        return 0
    return sum(hit.at_s >= spared.began_s for hit in of(case, broken) if hit.status != 200)


def _back_s(case: Case, down: float) -> float | None:
    """Real seconds from the recovery to the first answer of the one that had been away."""
    served = [hit.at_s for hit in of(case, case.facts.broken) if hit.status == 200 and hit.at_s >= down]
    return min(served) - down if served else None


def blackout(case: Case) -> Finding:
    """All away: clean errors, a bounded number of attempts, and answers again soon after they are back."""
    down = case.scenario.down_s * case.facts.factor
    during = [call for call in case.calls if call.began_s < down]
    made = sum(hit.status != 200 for hit in case.hits)
    bound = MOST_PER_CALL * len(case.facts.names) * len(during)
    again = min(
        (call.began_s + call.seconds for call in case.calls if call.ended == "answered"), default=None
    )
    figures = {
        "calls_during_outage": len(during),
        "attempts": made,
        "back_s": None if again is None else round(published(case, again - down), 2),
    }
    return evolve(_blacked_out(case, during, made, bound, again, down), figures=figures)


def _blacked_out(
    case: Case, during: list[Seen], made: int, bound: int, again: float | None, down: float
) -> Finding:
    for call in case.calls:
        problem = (wrong_text(case, call) or lie(case, call)) if call.ended == "answered" else None
        if problem:
            return Finding("fail", problem)
    if again is None:
        return Finding("safe", "clean errors, but no answer after everybody was back")
    words = f"{len(during)} calls in the outage made {made} attempts; answered {published(case, again - down):.1f} s after it"
    late = [call for call in case.calls if call.seconds > limit(case, case.scenario.bounds.seconds)]
    if made > bound or late or again - down > limit(case, ALL_BACK_S):
        return Finding("partial", f"{words} (bound {ALL_BACK_S:g} s)")
    return Finding("pass", words)
