"""Attempts as they were made, and their sums by day; both are written in one transaction, each attempt exactly once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from itertools import chain
from operator import attrgetter
from typing import Any, Literal, TypeAlias

from attrs import asdict, evolve, fields
from msgspec import json
from sqlalchemy import (
    ColumnElement,
    RowMapping,
    Select,
    and_,
    case,
    delete,
    func,
    insert,
    literal,
    literal_column,
    or_,
    select,
    text,
    update,
)

from llmcore.gateway.store.audit import LONGEST, plain
from llmcore.gateway.store.connection import AsyncConnection
from llmcore.gateway.store.cursor import page
from llmcore.gateway.store.engine import Database
from llmcore.gateway.store.errors import StoreConflict
from llmcore.gateway.store.records import Page, UsageAttempt, UsageGroup, UsageSums
from llmcore.gateway.store.tables import COUNTS, meta, usage_attempts, usage_days, virtual_keys
from llmcore.gateway.usage.rollup import ANSWERED, by_day, day_of, last_used, spendings

Dimension: TypeAlias = Literal["day", "provider", "model", "user", "key"]
DIMENSIONS: tuple[Dimension, ...] = ("day", "provider", "model", "user", "key")

SUMS = tuple(field.name for field in fields(UsageSums))

LARGEST = 2**53
"""Counts above are what a broken vendor says; they are kept as this."""

MANY, FEW = 500, 20
"""Rows of one statement on SQLite: each takes several turns of a busy event loop."""

_COLUMNS = {
    "day": usage_days.c.day,
    "provider": usage_days.c.provider,
    "model": usage_days.c.model,
    "user": usage_days.c.user_id,
    "key": usage_days.c.key_id,
}


def storable(attempt: UsageAttempt) -> UsageAttempt:
    """`attempt` with names that are plain text and counts that fit; what is negative is unknown."""
    names = "".join(filter(None, _names_of(attempt)))
    fit = all(count is None or 0 <= count <= LARGEST for count in _counts_of(attempt))
    if fit and len(names) <= LONGEST and names.isprintable():
        return attempt  # so are nearly all
    changed: dict[str, Any] = {}
    for name in _NAMES:
        said = getattr(attempt, name)
        if said is not None and (shown := plain(said)) is not said:
            changed[name] = shown
    for name in (*COUNTS, "cost_micros"):
        count = getattr(attempt, name)
        if count is not None and not 0 <= count <= LARGEST:
            changed[name] = None if count < 0 else LARGEST
    return evolve(attempt, **changed) if changed else attempt


_NAMES = ("provider", "model", "wire", "outcome", "why", "request_id")
_names_of = attrgetter(*_NAMES)
_counts_of = attrgetter(*COUNTS, "cost_micros")

_FIELDS = tuple(field.name for field in fields(UsageAttempt))
_values_of = attrgetter(*_FIELDS)
_COLUMN_NAMES = ", ".join(_FIELDS)
_INSERT = "INSERT INTO usage_attempts ({}) {} ON CONFLICT DO NOTHING RETURNING id"
_RECORDS = "SELECT {} FROM json_populate_recordset(CAST(NULL AS usage_attempts), CAST(:rows AS json))"
_INSERT_JSON = _INSERT.format(_COLUMN_NAMES, _RECORDS.format(_COLUMN_NAMES))


@cache
def _insert_rows(count: int) -> str:
    """A statement for so many rows, value by value, as SQLite's driver takes it."""
    row = f"({', '.join('?' * len(_FIELDS))})"
    return _INSERT.format(_COLUMN_NAMES, "VALUES " + ", ".join([row] * count))


async def _insert(connection: AsyncConnection, rows: Sequence[UsageAttempt], *, sqlite: bool) -> set[str]:
    """Write them; the ids of those that are new. SQLAlchemy would bind each value by itself, for half of the whole cost."""
    if not sqlite:
        sent = {"rows": json.encode(rows).decode()}
        return set((await connection.execute(text(_INSERT_JSON), sent)).scalars())
    new: set[str] = set()
    for chunk in _filled(rows):
        values = tuple(chain.from_iterable(map(_values_of, chunk)))
        new.update((await connection.exec_driver_sql(_insert_rows(len(chunk)), values)).scalars())
    return new


def _filled(rows: Sequence[UsageAttempt]) -> Iterator[list[UsageAttempt]]:
    """In pieces of few sizes, as the driver keeps each statement; a rest is filled up with copies, which change nothing."""
    start = 0
    while start < len(rows):
        size = MANY if len(rows) - start >= MANY else FEW
        chunk = list(rows[start : start + size])
        yield chunk + [chunk[-1]] * (size - len(chunk))
        start += size


class Usage:
    """The ledger of all users. `of_user` and `attempts_of` are bound to one user; `of_all` is for admins."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, attempts: Sequence[UsageAttempt]) -> int:
        """Write them all or none, with the sums of their days and what their keys spent; how many were new.

        One that is there already (by its id) changes nothing, so that a batch may be written again.
        """
        unique = {attempt.id: storable(attempt) for attempt in attempts}
        rows = [unique[key] for key in sorted(unique)]
        async with self._database.write() as connection:
            new = await _insert(connection, rows, sqlite=self._database.sqlite)
            added = [row for row in rows if row.id in new]
            await self._add_days(connection, added)
            await _charge(connection, added)
        return len(added)

    async def _add_days(self, connection: AsyncConnection, attempts: Sequence[UsageAttempt]) -> None:
        table = usage_days
        for key, sums in by_day(attempts).items():
            query = self._insert(table).values(**asdict(key), **asdict(sums))
            more = {name: table.c[name] + query.excluded[name] for name in SUMS}
            await connection.execute(query.on_conflict_do_update(index_elements=table.primary_key, set_=more))

    def _insert(self, table: Any) -> Any:
        """An INSERT that knows ON CONFLICT, which both databases have and SQL has not."""
        if self._database.sqlite:
            from sqlalchemy.dialects import sqlite

            return sqlite.insert(table)
        from sqlalchemy.dialects import postgresql  # a megabyte that SQLite does not need

        return postgresql.insert(table)

    async def of_user(
        self,
        user_id: str,
        *,
        by: Sequence[Dimension],
        since: float,
        until: float,
        provider: str | None = None,
        model: str | None = None,
        key_id: str | None = None,
    ) -> tuple[UsageGroup, ...]:
        """One user's sums, grouped by `by`, over the UTC days from that of `since` to that of `until`, both included."""
        return await self._sums(usage_days.c.user_id == user_id, by, since, until, provider, model, key_id)

    async def of_all(
        self,
        *,
        by: Sequence[Dimension],
        since: float,
        until: float,
        user_id: str | None = None,
        provider: str | None = None,
        model: str | None = None,
        key_id: str | None = None,
    ) -> tuple[UsageGroup, ...]:
        """Everybody's sums, or one user's; for admins."""
        everybody = usage_days.c.user_id.is_not(None)
        whose = everybody if user_id is None else usage_days.c.user_id == user_id
        return await self._sums(whose, by, since, until, provider, model, key_id)

    async def _sums(
        self,
        whose: ColumnElement[bool],
        by: Sequence[Dimension],
        since: float,
        until: float,
        provider: str | None,
        model: str | None,
        key_id: str | None,
    ) -> tuple[UsageGroup, ...]:
        table = usage_days
        groups = [_COLUMNS[name] for name in dict.fromkeys(by)]
        sums = [func.sum(table.c[name]).label(f"sum_{name}") for name in SUMS]
        query = select(*groups, *sums).where(whose, table.c.day.between(day_of(since), day_of(until)))
        for column, wanted in (
            (table.c.provider, provider),
            (table.c.model, model),
            (table.c.key_id, key_id),
        ):
            if wanted is not None:
                query = query.where(column == wanted)
        if groups:
            query = query.group_by(*groups).order_by(*groups)
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
        width = len(groups)
        return tuple(UsageGroup(tuple(row[:width]), _sums_of(row[width:])) for row in rows)

    async def attempts_of(
        self, user_id: str, *, limit: int = 100, cursor: str | None = None
    ) -> Page[UsageAttempt]:
        """One user's attempts, newest first."""
        query = select(usage_attempts).where(usage_attempts.c.user_id == user_id)
        return await self._page("attempts", query, limit, cursor)

    async def attempts(self, *, limit: int = 100, cursor: str | None = None) -> Page[UsageAttempt]:
        """Everybody's attempts, newest first; for admins."""
        return await self._page("all attempts", select(usage_attempts), limit, cursor)

    async def _page(
        self, kind: str, query: Select[Any], limit: int, cursor: str | None
    ) -> Page[UsageAttempt]:
        order = (usage_attempts.c.at, usage_attempts.c.id)
        async with self._database.read() as connection:
            return await page(connection, kind, query, order, _attempt_of, limit=limit, cursor=cursor)

    async def purge(self, *, before: float, batch: int = 2000) -> int:
        """Forget the attempts of whole UTC days before that of `before`, in small transactions; how many. Sums stay."""
        table, deleted = usage_attempts, 0
        day = day_of(before)
        start = before - before % 86400
        async with self._database.write() as connection:
            await _mark_purged(connection, day)
        while True:
            oldest = select(table.c.id).where(table.c.at < start).limit(batch)
            async with self._database.write() as connection:
                done = (await connection.execute(delete(table).where(table.c.id.in_(oldest)))).rowcount
            deleted += done
            if done < batch:
                return deleted

    async def rebuild(self, day: str) -> None:
        """Sum that UTC day anew from its attempts; the same however often. Raises StoreConflict where some are purged."""
        async with self._database.write() as connection:
            if not self._database.sqlite:  # no batch may come between the two statements
                await connection.exec_driver_sql("LOCK TABLE usage_days IN EXCLUSIVE MODE")
            if day < await _purged_before(connection):
                raise StoreConflict(f"the attempts of {day} are not kept any more, only their sums")
            await connection.execute(delete(usage_days).where(usage_days.c.day == day))
            names = ["day", "user_id", "key_id", "provider", "model", *SUMS]
            await connection.execute(insert(usage_days).from_select(names, _summed(day)))


def _summed(day: str) -> Select[Any]:
    """The rows of `usage_days` of one day, out of its attempts."""
    table = usage_attempts
    start = datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()
    answered = table.c.outcome.in_(ANSWERED)
    unknown = and_(answered, table.c.cost_micros.is_(None))
    plain_sums = (*COUNTS, "cost_micros")
    # no parameter: two of them are not the same expression to GROUP BY
    nothing: ColumnElement[str] = literal_column("''")
    groups = [
        table.c.user_id,
        func.coalesce(table.c.key_id, nothing),
        table.c.provider,
        func.coalesce(table.c.model, nothing),
    ]
    return (
        select(
            literal(day),
            *groups,
            func.sum(case((table.c.final, 1), else_=0)),
            func.count(),
            func.sum(case((answered, 0), else_=1)),
            *(func.coalesce(func.sum(table.c[name]), 0) for name in plain_sums),
            func.sum(case((unknown, 1), else_=0)),
            func.coalesce(func.sum(table.c.duration_ms), 0.0),
        )
        .where(table.c.at >= start, table.c.at < start + 86400)
        .group_by(*groups)
    )


async def _purged_before(connection: AsyncConnection) -> str:
    query = select(meta.c.value).where(meta.c.name == "usage_purged_before")
    return (await connection.execute(query)).scalar() or ""


async def _mark_purged(connection: AsyncConnection, day: str) -> None:
    """Remember that attempts before that day are going."""
    if day <= await _purged_before(connection):
        return
    await connection.execute(delete(meta).where(meta.c.name == "usage_purged_before"))
    await connection.execute(insert(meta).values(name="usage_purged_before", value=day))


async def _charge(connection: AsyncConnection, attempts: Sequence[UsageAttempt]) -> None:
    """What keys spent in their budget periods, and when they were used. A period that has passed pays nothing any more."""
    table = virtual_keys
    spent = {(key.key_id, key.period): micros for key, micros in spendings(attempts).items()}
    for key_id, at in last_used(attempts).items():
        later = or_(table.c.last_used_at.is_(None), table.c.last_used_at < at)
        mine = update(table).where(table.c.id == key_id)
        await connection.execute(mine.where(later).values(last_used_at=at))
        for period in sorted(period for owner, period in spent if owner == key_id):
            micros = spent[key_id, period]
            newer = or_(table.c.spent_period.is_(None), table.c.spent_period < period)
            total = case((newer, micros), else_=table.c.spent_micros + micros)
            current = or_(newer, table.c.spent_period == period)
            await connection.execute(mine.where(current).values(spent_micros=total, spent_period=period))


def _sums_of(values: Sequence[Any]) -> UsageSums:
    """PostgreSQL sums whole numbers to NUMERIC; of no rows the sum is NULL."""
    found: dict[str, Any] = {name: int(value or 0) for name, value in zip(SUMS, values, strict=True)}
    found["duration_ms"] = round(float(values[-1] or 0.0), 3)
    return UsageSums(**found)


def _attempt_of(row: RowMapping) -> UsageAttempt:
    return UsageAttempt(**row)
