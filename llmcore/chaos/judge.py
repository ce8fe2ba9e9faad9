"""Pure: from what both sides saw of a case to a verdict and a sentence.

pass: whole, exactly once, within every bound, nothing forbidden. partial: answered, but beyond a bound. safe: a clean
typed error. fail: a hang, a cut shown as success, text twice, a lie in the accounting, an unexpected exception, a leak.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

from attrs import evolve

from llmcore.chaos.checks import (
    allowed_at_broken,
    attempts,
    attempts_at,
    forbidden,
    lie,
    limit,
    of,
    published,
    times,
    wrong_text,
)
from llmcore.chaos.judge_outage import blackout, outage
from llmcore.chaos.nouns import VERDICTS, Case, Finding, JudgeName, Seen, Verdict

AT_ONCE, AT_ONCE_S = 4, 3.0
"""Attempts at a provider that limits the rate, at most, within so many seconds."""
EARLY = 0.9
"""The share of a vendor's wait that must have passed before it is asked again (clocks differ a little)."""


def judge(case: Case) -> Finding:
    """The finding, with its figures."""
    problem = forbidden(case)
    finding = Finding("fail", problem) if problem else JUDGES[case.scenario.judge](case)
    slowest = max((call.seconds for call in case.calls), default=0.0)
    return evolve(
        finding,
        sentence=finding.sentence if case.met else f"{finding.sentence} (the fault did not come about)",
        attempts=attempts(case),
        at_broken=attempts_at(case, case.facts.broken),
        seconds=published(case, slowest),
        way=case.way,
        label=case.broke.label,
    )


def answer(case: Case) -> Finding:
    """Every call answered, whole and once, in time; the broken provider asked no more often than allowed."""
    return _worst(case, [_answered(case, call) for call in case.calls])


def _answered(case: Case, call: Seen, *, counted: bool = True) -> Finding:
    if call.ended != "answered":
        return _refused(case, call)
    problem = wrong_text(case, call) or (lie(case, call) if counted else None)
    if problem:
        return Finding("fail", problem)
    return _in_time(case, call) or Finding("pass", _who(case, call))


def _in_time(case: Case, call: Seen) -> Finding | None:
    bounds = case.scenario.bounds
    if bounds.first_s is not None and (call.first_s or 0.0) > limit(case, bounds.first_s):
        took = published(case, call.first_s or 0.0)
        return Finding(
            "partial",
            f"{_who(case, call)}, but its first word took {took:.1f} s (bound {bounds.first_s:g} s)",
        )
    if call.seconds > limit(case, bounds.seconds):
        took = published(case, call.seconds)
        return Finding(
            "partial", f"{_who(case, call)}, but only after {took:.1f} s (bound {bounds.seconds:g} s)"
        )
    return None


def _refused(case: Case, call: Seen) -> Finding:
    """A typed error: right where the scenario wants one, else the call was not rescued."""
    if call.error in case.scenario.allowed or any(name in case.scenario.allowed for name in call.chain):
        return Finding("pass", f"the caller was told: {_told(call)}")
    return Finding("safe", f"not rescued: {_told(call)}")


def _worst(case: Case, findings: list[Finding]) -> Finding:
    """The worst of the calls; beyond the bound of attempts nothing is better than partial."""
    worst = max(findings, key=lambda finding: VERDICTS.index(finding.verdict))
    if len(findings) > 1:
        worst = evolve(worst, sentence=_of_many(findings, worst.verdict, worst.sentence))
    made, allowed = attempts_at(case, case.facts.broken), allowed_at_broken(case)
    if made > allowed and worst.verdict == "pass":
        return Finding(
            "partial", f"{worst.sentence}, but {case.facts.broken} was asked {times(made)} (bound {allowed})"
        )
    return worst


def _of_many(findings: list[Finding], verdict: Verdict, sentence: str) -> str:
    count = sum(finding.verdict == verdict for finding in findings)
    return f"{count} of {len(findings)} calls: {sentence}"


# ------------------------------------------------------------------------------------------- particular judges


def paced(case: Case) -> Finding:
    """As `answer`, and a vendor that limits the rate is left alone as long as it asked, and never hammered."""
    finding = answer(case)
    wait = next((rule["retry_after"] for rule in case.broke.rules if "retry_after" in rule), 0.0)
    arrived = [hit.at_s for hit in of(case, case.facts.broken)]
    gaps = [later - earlier for earlier, later in pairwise(arrived)]
    if finding.verdict == "pass" and gaps and min(gaps) < EARLY * wait * case.facts.factor:
        gap = published(case, min(gaps))
        return Finding("partial", f"asked again after {gap:.1f} s where {wait:g} s were asked for")
    crowd = _crowd(case, arrived)
    if finding.verdict == "pass" and crowd > AT_ONCE:
        return Finding("partial", f"{finding.sentence}, which was asked {crowd} times within {AT_ONCE_S:g} s")
    return finding


def _crowd(case: Case, arrived: list[float]) -> int:
    """The most arrivals within AT_ONCE_S."""
    span = AT_ONCE_S * case.facts.factor
    return max((sum(at <= other < at + span for other in arrived) for at in arrived), default=0)


def context(case: Case) -> Finding:
    """Never the same model again; another one only where its window is not known to be no larger."""
    (call,) = case.calls
    if attempts_at(case, case.facts.broken) > 1:
        return Finding("fail", "the same prompt was sent again to a model that it does not fit")
    larger = _larger(case)
    wrongly = [name for name in case.facts.others if name not in larger and of(case, name)]
    if wrongly:
        return Finding("partial", f"{wrongly[0]} was asked, whose window is known to be no larger")
    if call.ended == "answered":
        return _answered(case, call)
    if not larger and "ContextLengthError" in (call.error, *call.chain):
        return Finding("pass", "the caller was told at once: no provider has a larger window")
    return _refused(case, call)


def _larger(case: Case) -> tuple[str, ...]:
    """The other providers whose window may be larger."""
    windows = dict(case.facts.windows)
    own = windows.get(case.facts.broken)

    def may(name: str) -> bool:
        window = windows.get(name)
        return own is None or window is None or window > own

    return tuple(name for name in case.facts.others if may(name))


def refusal(case: Case) -> Finding:
    """A refusal by policy reaches the caller; another provider only where that is allowed, and then with a word of it."""
    (call,) = case.calls
    if attempts_at(case, case.facts.broken) > 1:
        return Finding("fail", "a prompt that was refused by policy was sent again to the same provider")
    if call.ended == "error":
        told = "ContentFilterError" in (call.error, *call.chain)
        return Finding("pass", "the refusal reached the caller") if told else _refused(case, call)
    if call.finish_reason in {"content_filter", "refusal"}:
        return Finding("pass", "the refusal reached the caller as a typed answer")
    finding = _answered(case, call)
    if finding.verdict != "pass":
        return finding
    if not case.facts.allow_policy_fallback:
        return Finding(
            "partial", f"{call.provider} was asked instead, and nobody told the caller of the refusal"
        )
    if not call.warnings:
        return Finding("partial", f"{call.provider} answered as allowed, but without a warning")
    return Finding("pass", f"{call.provider} answered as allowed, with a warning")


def accounting(case: Case) -> Finding:
    """Who served is named, with the tokens that it counted; nothing of what failed is billed."""
    (call,) = case.calls
    finding = answer(case)
    if finding.verdict not in {"pass", "partial"}:
        return finding
    if case.facts.remote and not (call.provider and call.attempts):
        return Finding("partial", "the caller is not told who answered, and who was tried")
    served = next((hit for hit in case.hits if hit.status == 200), None)
    if served is None or (call.provider, call.model) != (served.provider, served.model):
        return Finding("fail", f"the answer names {call.provider}/{call.model}, which did not give it")
    if (call.usage.input_tokens, call.usage.output_tokens) == (None, None):
        return Finding("partial", "the answer tells no usage")
    told = [attempt for attempt in call.attempts if attempt.provider == case.facts.broken]
    arrived = of(case, case.facts.broken)
    if len(told) != len(arrived):
        return Finding(
            "fail", f"the trail tells {len(told)} attempts at {case.facts.broken}, it saw {len(arrived)}"
        )
    if call.billed_failures or any(attempt.outcome == "success" for attempt in told):
        return Finding("fail", f"a failed attempt at {case.facts.broken} is billed")
    if finding.verdict == "pass":
        total = call.usage.total_tokens
        return Finding(
            "pass",
            f"{call.provider} is named, with its {total} tokens; what failed cost nothing",
        )
    return finding


def usage(case: Case) -> Finding:
    """The text is whole, and counts that cannot be are None, never a number."""
    for call in case.calls:
        told = (call.usage.input_tokens, call.usage.output_tokens, call.usage.cost_usd)
        if any(value is not None and not value >= 0 for value in told):
            return Finding("fail", f"the usage cannot be: {told}")
    return _worst(case, [_answered(case, call, counted=False) for call in case.calls])


def tool(case: Case) -> Finding:
    """The tool's arguments come whole, or not at all."""
    (call,) = case.calls
    if call.ended != "answered":
        return _refused(case, call)
    try:
        given: Any = json.loads(call.arguments or "")
    except ValueError:
        return Finding(
            "fail", f"arguments that are no JSON were shown as a success ({(call.arguments or '')[:40]!r})"
        )
    if given != json.loads(case.scenario.traffic.expected):
        return Finding("fail", "other arguments than the model's came out")
    return _worst(case, [_in_time(case, call) or Finding("pass", _who(case, call))])


def errors(case: Case) -> Finding:
    """Nobody can answer: a clean error in time, with a bounded number of attempts."""
    (call,) = case.calls
    if call.ended == "answered":
        return Finding("fail", "an answer came although no provider gave one")
    if call.seconds > limit(case, case.scenario.bounds.seconds):
        took = published(case, call.seconds)
        return Finding("partial", f"{_told(call)}, but only after {took:.1f} s")
    return _worst(case, [_refused(case, call)])


def left(case: Case) -> Finding:
    """The caller went away: at once, and nothing stays behind."""
    (call,) = case.calls
    if call.ended not in {"left", "cancelled"}:
        return _answered(case, call)
    if call.seconds > limit(case, case.scenario.bounds.seconds):
        return Finding("partial", f"it took {published(case, call.seconds):.1f} s to let the caller go")
    return Finding("pass", "the caller was let go, and the provider's connections were closed")


JUDGES: Mapping[JudgeName, Callable[[Case], Finding]] = {
    "answer": answer,
    "paced": paced,
    "context": context,
    "refusal": refusal,
    "accounting": accounting,
    "usage": usage,
    "tool": tool,
    "errors": errors,
    "left": left,
    "outage": outage,
    "blackout": blackout,
}


# -------------------------------------------------------------------------------------------------- sentences


def _who(case: Case, call: Seen) -> str:
    """Who answered, and how it came to that."""
    by = "itself" if call.provider == case.facts.broken else "instead"
    how = ", from the beginning" if call.restarts else ", going on" if call.continued else ""
    asked = attempts_at(case, case.facts.broken)
    after = (
        f", after {_attempts(asked)} at {case.facts.broken}"
        if call.provider != case.facts.broken and asked
        else ""
    )
    again = (
        f" at try {asked}"
        if call.provider == case.facts.broken and asked > 1 and len(case.calls) == 1
        else ""
    )
    return f"{call.provider} answered {by}{how}{after}{again}"


def _attempts(number: int) -> str:
    return "1 attempt" if number == 1 else f"{number} attempts"


def _told(call: Seen) -> str:
    words = " ".join((call.detail or call.error or call.ended).split())
    return words if len(words) <= 160 else words[:157] + "..."
