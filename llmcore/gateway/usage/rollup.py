"""Pure: attempts to sums by day, user, key, provider and model."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from attrs import astuple, frozen

from llmcore.gateway.store.records import UsageAttempt, UsageSums

DAY_S = 86400

ANSWERED = ("success", "cancelled")
"""Outcomes that are no error, and that cost."""


@frozen(order=True)
class DayKey:
    """One row of `usage_days`. key_id, model: "" where there was none."""

    day: str
    user_id: str
    key_id: str
    provider: str
    model: str


@frozen(order=True)
class Spending:
    """What one key used up in one budget period."""

    key_id: str
    period: str


def day_of(at: float) -> str:
    """The UTC day of an instant: "2026-11-21"."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")


def sums_of(attempt: UsageAttempt) -> UsageSums:
    """One attempt as sums."""
    return UsageSums(*_figures(attempt))


def _figures(attempt: UsageAttempt) -> tuple[Any, ...]:
    """In the order of `UsageSums`."""
    answered = attempt.outcome in ANSWERED
    return (
        int(attempt.final),
        1,
        int(not answered),
        attempt.input_tokens or 0,
        attempt.output_tokens or 0,
        attempt.cached_tokens or 0,
        attempt.reasoning_tokens or 0,
        attempt.cost_micros or 0,
        int(answered and attempt.cost_micros is None),
        attempt.duration_ms or 0.0,
    )


def add(one: UsageSums, other: UsageSums) -> UsageSums:
    return UsageSums(*map(sum, zip(astuple(one), astuple(other), strict=True)))


def by_day(attempts: Iterable[UsageAttempt]) -> dict[DayKey, UsageSums]:
    """The sums of each row of `usage_days`, sorted, so that all writers take rows in one order."""
    groups: dict[tuple[int, str, str, str, str], list[tuple[Any, ...]]] = {}
    for one in attempts:
        group = (int(one.at // DAY_S), one.user_id, one.key_id or "", one.provider, one.model or "")
        groups.setdefault(group, []).append(_figures(one))
    found = {
        DayKey(day_of(day * DAY_S), *names): UsageSums(*map(sum, zip(*rows, strict=True)))
        for (day, *names), rows in groups.items()
    }
    return dict(sorted(found.items()))


def spendings(attempts: Iterable[UsageAttempt]) -> dict[Spending, int]:
    """Millionths of a dollar per key and budget period, sorted."""
    found: dict[Spending, int] = {}
    for one in attempts:
        if one.key_id is not None and one.spend_period is not None and one.cost_micros:
            key = Spending(one.key_id, one.spend_period)
            found[key] = found.get(key, 0) + one.cost_micros
    return dict(sorted(found.items()))


def last_used(attempts: Iterable[UsageAttempt]) -> dict[str, float]:
    """When each key was used last, sorted by key."""
    found: dict[str, float] = {}
    for one in attempts:
        if one.key_id is not None:
            found[one.key_id] = max(one.at, found.get(one.key_id, one.at))
    return dict(sorted(found.items()))
