"""`/api/usage`: sums by day, provider, model, user or key; single attempts; both as CSV."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from attrs import asdict

from llmcore.gateway.api import schemas
from llmcore.gateway.api.fields import whole
from llmcore.gateway.api.frame import Context, Reply
from llmcore.gateway.api.services import Services
from llmcore.gateway.api.table import Route
from llmcore.gateway.errors import BadRequest, Forbidden
from llmcore.gateway.store import DIMENSIONS, Dimension, UsageAttempt, UsageGroup
from llmcore.gateway.usage.export import attempts_csv, groups_csv

DAYS = 30
MOST_DAYS = 3660
MOST_ROWS = 20_000
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class UsageApi:
    """The endpoints. Users see their own use, administrators also everybody's."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self) -> Sequence[Route]:
        route, at, scope = self._services.route, "/api/usage", schemas.USAGE_SCOPE
        return (
            route(
                "GET",
                at,
                "account",
                "usage",
                "Sums.",
                self.sums,
                response=schemas.USAGE,
                query=schemas.USAGE_SPAN,
            ),
            route(
                *("GET", f"{at}.csv", "account", "usage_csv", "The same as CSV.", self.sums_csv),
                query=schemas.USAGE_SPAN,
                media_type="text/csv",
            ),
            route(
                *(
                    "GET",
                    f"{at}/attempts",
                    "account",
                    "attempts",
                    "Single requests, newest first.",
                    self.attempts,
                ),
                response=schemas.page(schemas.ATTEMPT),
                query={**schemas.PAGING, **scope},
            ),
            route(
                *(
                    "GET",
                    f"{at}/attempts.csv",
                    "account",
                    "attempts_csv",
                    "The same as CSV.",
                    self.attempts_csv,
                ),
                query=scope,
                media_type="text/csv",
            ),
        )

    async def sums(self, context: Context) -> Reply:
        by, since, until, groups = await self._groups(context)
        rows = [{**dict(zip(by, group.by, strict=True)), **_sums(group)} for group in groups]
        return Reply({"by": list(by), "since": since, "until": until, "groups": rows})

    async def sums_csv(self, context: Context) -> Reply:
        by, _, _, groups = await self._groups(context)
        return _csv("".join(groups_csv(groups, by)), "usage.csv")

    async def attempts(self, context: Context) -> Reply:
        usage, limit = self._services.store.usage, whole(context.query, "limit", 100, low=1, high=1000)
        cursor, whose = context.query.get("cursor"), _whose(context)
        page = await (
            usage.attempts(limit=limit, cursor=cursor)
            if whose is None
            else usage.attempts_of(whose, limit=limit, cursor=cursor)
        )
        return Reply({"data": [_attempt(one) for one in page.items], "next": page.next})

    async def attempts_csv(self, context: Context) -> Reply:
        lines = [
            line async for line in attempts_csv(self._services.store.usage, _whose(context), most=MOST_ROWS)
        ]
        return _csv("".join(lines), "attempts.csv")

    async def _groups(
        self, context: Context
    ) -> tuple[tuple[Dimension, ...], float, float, tuple[UsageGroup, ...]]:
        by, (since, until) = _by(context), _span(context, self._services.desk.wall())
        only = {name: context.query.get(name) for name in ("provider", "model", "key_id")}
        whose, usage = _whose(context), self._services.store.usage
        if whose is None:
            groups = await usage.of_all(by=by, since=since, until=until, **only)
        else:
            groups = await usage.of_user(whose, by=by, since=since, until=until, **only)
        return by, since, until, groups


def _whose(context: Context) -> str | None:
    """One user's id, or None for everybody. Raises Forbidden."""
    scope, said = context.query.get("scope", "own"), context.query.get("user_id")
    mine = context.principal.user_id
    if scope not in {"own", "all"}:
        raise BadRequest('scope: must be "own" or "all"', param="scope")
    if scope == "own" and said in {None, mine}:
        return mine
    if not context.principal.admin:
        raise Forbidden("only administrators see what others use")
    return said


def _by(context: Context) -> tuple[Dimension, ...]:
    said = [name for name in context.query.get("by", "day").split(",") if name]
    found = tuple(dimension for name in said for dimension in DIMENSIONS if dimension == name)
    if len(found) != len(said) or len(set(found)) != len(found) or not found:
        raise BadRequest(f"by: must be some of {', '.join(DIMENSIONS)}, each once", param="by")
    return found


def _span(context: Context, now: float) -> tuple[float, float]:
    today = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    since = _day(context, "since", today - timedelta(days=DAYS - 1))
    until = _day(context, "until", today)
    if until < since or (until - since).days > MOST_DAYS:
        raise BadRequest(f"since: must be before until, and at most {MOST_DAYS} days", param="since")
    return since.timestamp(), until.timestamp()


def _day(context: Context, name: str, default: datetime) -> datetime:
    said = context.query.get(name)
    if said is None:
        return default
    try:
        if not _DAY.fullmatch(said):
            raise ValueError
        day = datetime.strptime(said, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise BadRequest(f"{name}: must be a day, as 2026-11-21", param=name) from None
    if not 2000 <= day.year <= 2200:
        raise BadRequest(f"{name}: must be a day of these times", param=name)
    return day


def _sums(group: UsageGroup) -> dict[str, Any]:
    sums = asdict(group.sums)
    cost = sums.pop("cost_micros")
    return {**sums, "cost_usd": cost / 1_000_000}


def _attempt(attempt: UsageAttempt) -> dict[str, Any]:
    row = asdict(attempt)
    cost = row.pop("cost_micros")
    row.pop("spend_period")
    return {**row, "cost_usd": None if cost is None else cost / 1_000_000}


def _csv(text: str, name: str) -> Reply:
    return Reply(
        text.encode(),
        headers={"content-disposition": f'attachment; filename="{name}"'},
        content_type="text/csv; charset=utf-8",
    )
