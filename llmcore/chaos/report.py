"""The scorecard: counts, the published figures of others, the exit code's question, and the JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from llmcore.chaos.nouns import VERDICTS, Finding, Result, Verdict
from llmcore.chaos.settings import Profile
from llmcore.config import LlmConfig

PUBLISHED: tuple[tuple[str, int, int, int, int], ...] = (
    ("DeepSeek Harness + fallback plug-in", 12, 3, 1, 0),
    ("Portkey OSS", 11, 2, 0, 3),
    ("Bifrost 2.1.1", 9, 3, 3, 1),
    ("LiteLLM proxy / Router", 9, 3, 4, 0),
    ("LangChain with_fallbacks", 9, 3, 4, 0),
    ("openai-python alone", 6, 0, 10, 0),
)
"""Pass, partial, safe, fail of 16. Source: failoverbench/failoverbench, results/full/SCORECARD.md (2026-09-12); measured
there with the same faults by another harness, not by this one.
"""


@frozen
class Scorecard:
    """All results of one run. seconds: how long the run took."""

    results: tuple[Result, ...] = field(converter=tuple[Result, ...])
    profile: Profile
    config: LlmConfig
    source: str = ""
    seconds: float = 0.0

    @property
    def public(self) -> tuple[Result, ...]:
        return tuple(result for result in self.results if result.scenario.public)

    @property
    def more(self) -> tuple[Result, ...]:
        return tuple(result for result in self.results if not result.scenario.public)

    def holds(self, threshold: int | None = None) -> bool:
        """Whether nothing fails, and at least `threshold` pass; None: every public scenario that was run."""
        if any(result.verdict == "fail" for result in self.results):
            return False
        if threshold is None:
            return all(result.verdict == "pass" for result in self.public)
        return tally(self.results)["pass"] >= threshold


def tally(results: tuple[Result, ...]) -> Mapping[Verdict, int]:
    """How many of each verdict."""
    return {verdict: sum(result.verdict == verdict for result in results) for verdict in VERDICTS}


def as_json(card: Scorecard) -> dict[str, Any]:
    """The scorecard as plain values."""
    return {
        "source": card.source,
        "profile": card.profile.name,
        "factor": card.profile.factor,
        "seconds": round(card.seconds, 2),
        "strategy": card.config.fallback.strategy,
        "providers": [
            {"name": entry.name, "kind": entry.provider, "priority": entry.priority, "weight": entry.weight}
            for entry in card.config.providers
            if entry.enabled
        ],
        "public": {"of": len(card.public), **tally(card.public)},
        "more": {"of": len(card.more), **tally(card.more)},
        "published": [
            {"name": name, **dict(zip(VERDICTS, figures, strict=True))} for name, *figures in PUBLISHED
        ],
        "scenarios": [_scenario(result) for result in card.results],
    }


def _scenario(result: Result) -> dict[str, Any]:
    scenario, worst = result.scenario, result.worst
    return {
        "id": scenario.id,
        "title": scenario.title,
        "sees": scenario.sees,
        "faults": list(scenario.faults),
        "verdict": result.verdict,
        "sentence": worst.sentence,
        "attempts": worst.attempts,
        "attempts_at_broken": worst.at_broken,
        "seconds": round(worst.seconds, 3),
        "findings": [_finding(finding) for finding in result.findings],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "way": finding.way,
        "variant": finding.label,
        "verdict": finding.verdict,
        "sentence": finding.sentence,
        "attempts": finding.attempts,
        "attempts_at_broken": finding.at_broken,
        "seconds": round(finding.seconds, 3),
        **({"figures": dict(finding.figures)} if finding.figures else {}),
    }


def summary(card: Scorecard) -> list[str]:
    """The counts in words."""
    lines = []
    for name, results in (("public scenarios", card.public), ("further faults", card.more)):
        if results:
            counts = tally(results)
            figures = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS)
            lines.append(f"{counts['pass']} of {len(results)} {name} pass ({figures})")
    return lines


def origin(card: Scorecard) -> str:
    """Whose settings were tried, in words."""
    entries = [entry for entry in card.config.providers if entry.enabled]
    names = ", ".join(entry.name for entry in entries)
    fallback = card.config.fallback
    return (
        f"{card.source or 'default settings'}: {fallback.strategy} over {names}; mid_stream {fallback.mid_stream}, "
        f"patience {fallback.patience:g} s, {fallback.retries} retries"
    )
