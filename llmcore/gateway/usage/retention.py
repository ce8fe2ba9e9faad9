"""Forget in time: single attempts after some days (their sums stay), tokens and browser sessions that are over."""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

from llmcore.clock import Clock
from llmcore.gateway.store.errors import StoreError
from llmcore.gateway.store.store import Store

EVERY_S = 3600.0
DAY_S = 86400.0


@frozen
class Purged:
    """How many rows went."""

    attempts: int
    tokens: int
    sessions: int


async def purge(store: Store, *, now: float, usage_days: int) -> Purged:
    """Once. now: epoch seconds; usage_days: whole UTC days of attempts that are kept beside today's."""
    return Purged(
        await store.usage.purge(before=now - usage_days * DAY_S),
        await store.one_time_tokens.purge(now=now),
        await store.web_sessions.purge(now=now),
    )


async def keep_purging(
    store: Store,
    clock: Clock,
    wall: Callable[[], float],
    *,
    usage_days: int,
    every: float = EVERY_S,
    report: Callable[[Purged | StoreError], None] | None = None,
) -> None:
    """Now and every hour, until cancelled. A database that is away is asked again the next time."""
    while True:
        outcome: Purged | StoreError
        try:
            outcome = await purge(store, now=wall(), usage_days=usage_days)
        except StoreError as error:
            outcome = error
        if report is not None:
            report(outcome)
        await clock.sleep(every)
