"""Pure: attempts to sums by day, user, key, provider and model."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from attrs import frozen

from llmcore.gateway.store.records import UsageAttempt, UsageSums

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
    answered = attempt.outcome in ANSWERED
    return UsageSums(
        calls=int(attempt.final),
        attempts=1,
        errors=int(not answered),
        input_tokens=attempt.input_tokens or 0,
        output_tokens=attempt.output_tokens or 0,
        cached_tokens=attempt.cached_tokens or 0,
        reasoning_tokens=attempt.reasoning_tokens or 0,
        cost_micros=attempt.cost_micros or 0,
        unknown_cost_calls=int(answered and attempt.cost_micros is None),
        duration_ms=attempt.duration_ms or 0.0,
    )


def add(one: UsageSums, other: UsageSums) -> UsageSums:
    return UsageSums(
        calls=one.calls + other.calls,
        attempts=one.attempts + other.attempts,
        errors=one.errors + other.errors,
        input_tokens=one.input_tokens + other.input_tokens,
        output_tokens=one.output_tokens + other.output_tokens,
        cached_tokens=one.cached_tokens + other.cached_tokens,
        reasoning_tokens=one.reasoning_tokens + other.reasoning_tokens,
        cost_micros=one.cost_micros + other.cost_micros,
        unknown_cost_calls=one.unknown_cost_calls + other.unknown_cost_calls,
        duration_ms=one.duration_ms + other.duration_ms,
    )


def by_day(attempts: Iterable[UsageAttempt]) -> dict[DayKey, UsageSums]:
    """The sums of each row of `usage_days`, sorted, so that all writers take rows in one order."""
    found: dict[DayKey, UsageSums] = {}
    for one in attempts:
        key = DayKey(day_of(one.at), one.user_id, one.key_id or "", one.provider, one.model or "")
        found[key] = add(found.get(key, UsageSums()), sums_of(one))
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
