"""Retention: what is over is forgotten, on time, also after a database was away."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from llmcore.gateway.store import StoreError, StoreUnavailable, UsageAttempt, open_store, sqlite_url
from llmcore.gateway.usage.retention import DAY_S, Purged, keep_purging, purge
from llmcore.testing import FakeClock

pytestmark = pytest.mark.anyio


async def test_what_is_over_goes(tmp_path: Path) -> None:
    async with open_store(sqlite_url(tmp_path / "db")) as store:
        user = await store.users.create("Ann", "admin", now=1.0)
        await store.one_time_tokens.add(user.id, "t", now=1.0, expires_at=10.0)
        await store.web_sessions.create(user.id, "s", csrf="n", now=1.0, expires_at=10.0)
        await store.usage.add(
            [UsageAttempt("r", day * DAY_S + 1, user.id, "openai", "openai", "success") for day in range(10)]
        )
        assert await purge(store, now=9.5 * DAY_S, usage_days=3) == Purged(6, 1, 1)
        assert await purge(store, now=9.5 * DAY_S, usage_days=3) == Purged(0, 0, 0)
        left = (await store.usage.attempts_of(user.id)).items
        assert [row.at // DAY_S for row in left] == [9, 8, 7, 6]


async def test_it_goes_on_after_an_outage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, seen, reports = FakeClock(), 0, []

    async with open_store(sqlite_url(tmp_path / "db")) as store:
        real = store.usage.purge

        async def flaky(*, before: float) -> int:
            nonlocal seen
            seen += 1
            if seen == 2:
                raise StoreUnavailable("away")
            return await real(before=before)

        monkeypatch.setattr(store.usage, "purge", flaky)
        async with anyio.create_task_group() as group:

            def report(outcome: Purged | StoreError) -> None:
                reports.append(type(outcome))
                if len(reports) == 3:
                    group.cancel_scope.cancel()

            await keep_purging(store, clock, lambda: 1e9, usage_days=3, report=report)
    assert reports == [Purged, StoreUnavailable, Purged]
    assert clock.sleeps[:2] == [3600.0, 3600.0]
