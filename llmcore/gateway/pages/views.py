"""What each page shows: asked of the API in the reader's name, shaped for its template."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias
from urllib.parse import parse_qs, urlencode

import anyio
from attrs import frozen

from llmcore.gateway.access.principal import PERIODS, SCOPES, Principal
from llmcore.gateway.http import Scope
from llmcore.gateway.pages import lines, words
from llmcore.gateway.pages.inner import NOTHING, Inner, Refused

Values: TypeAlias = dict[str, Any]

SPANS = (7, 30, 90, 365)
MOST_KEYS = 500


@frozen
class Visit:
    """One reader at one page. now: epoch seconds."""

    scope: Scope
    who: Principal
    inner: Inner
    now: float

    async def get(self, path: str, query: Mapping[str, str] = NOTHING) -> Any:
        return await self.inner.get(self.scope, path, query)

    async def find(self, path: str, query: Mapping[str, str] = NOTHING) -> Any:
        return await self.inner.find(self.scope, path, query)

    async def all(self, *asked: tuple[str, Mapping[str, str]]) -> list[Any]:
        """Several questions at once. Raises the first Refused."""
        answers: list[Any] = [None] * len(asked)

        async def one(index: int, path: str, query: Mapping[str, str]) -> None:
            try:
                answers[index] = await self.get(path, query)
            except Refused as refused:
                answers[index] = refused

        async with anyio.create_task_group() as group:
            for index, (path, query) in enumerate(asked):
                group.start_soon(one, index, path, query)
        for found in answers:
            if isinstance(found, Refused):
                raise found
        return answers

    def query(self, name: str) -> str | None:
        """The last value of that name in the address."""
        raw = self.scope.get("query_string", b"").decode("ascii", "replace")
        try:
            values = parse_qs(raw, max_num_fields=50).get(name)
        except ValueError:  # more than any link of ours has
            return None
        return values[-1] if values else None


View: TypeAlias = Callable[[Visit], Awaitable[Values]]


@frozen
class Page:
    """One page. label: in the navigation; admin: for administrators only."""

    path: str
    label: str
    template: str
    values: View
    admin: bool = False


async def playground(visit: Visit) -> Values:
    status, kinds = await visit.all(
        ("/api/settings/llm/status", NOTHING), ("/api/settings/llm/kinds", NOTHING)
    )
    settings = status["settings"]
    return {
        "system": kinds["system"],
        "own": settings if settings["provider"] and settings["uses"] == "own" else None,
        "preset": settings if settings["provider"] and settings["uses"] != "own" else None,
        "ready": bool(kinds["system"]) or settings["uses"] == "own",
    }


async def settings(visit: Visit) -> Values:
    everybody = visit.query("scope") == "system" and visit.who.admin
    scope = {"scope": "system"} if everybody else NOTHING
    stored, kinds, status = await visit.all(
        ("/api/settings/llm", scope),
        ("/api/settings/llm/kinds", NOTHING),
        ("/api/settings/llm/status", NOTHING),
    )
    last = next((one for one in status["tests"] if one["provider"] == stored["provider"]), None)
    chosen = stored["provider"] or _first_choice(kinds)
    return {
        "everybody": everybody,
        "stored": stored,
        "chosen": chosen,
        "system": kinds["system"],
        "groups": _grouped(kinds["kinds"]),
        "kinds": {kind["kind"]: kind for kind in kinds["kinds"]},
        "may_set_base_url": kinds["may_set_base_url"],
        "uses": status["from"],
        "last_test": None if everybody else last,
    }


def _first_choice(kinds: Mapping[str, Any]) -> str:
    """What stands in the drop-down before anything was chosen."""
    if kinds["system"]:
        return str(kinds["system"][0]["name"])
    return str(kinds["kinds"][0]["kind"]) if kinds["kinds"] else ""


def _grouped(kinds: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[Mapping[str, Any]]]]:
    """Kinds for the drop-down: hosted ones, then those on one's own machine, each by name."""
    ordered = sorted(kinds, key=lambda kind: str(kind["label"]).casefold())
    return [
        ("Hosted, with a key of your own", [kind for kind in ordered if not kind["local"]]),
        ("On your own machine or network", [kind for kind in ordered if kind["local"]]),
    ]


async def status(visit: Visit) -> Values:
    picture, mine, kinds = await visit.all(
        ("/api/v1/llm/status", NOTHING),
        ("/api/settings/llm/status", NOTHING),
        ("/api/settings/llm/kinds", NOTHING),
    )
    tests = {one["provider"]: one for one in mine["tests"]}
    return {
        "picture": picture,
        "mine": mine,
        "tests": tests,
        "labels": {kind["kind"]: kind["label"] for kind in kinds["kinds"]},
        "providers": [_drawn(one) for one in picture["providers"]],
    }


def _told(view: Mapping[str, Any]) -> dict[str, Any]:
    """A provider with its state in words."""
    told = words.state(view)
    return {**view, "word": told.word, "mood": told.mood, "said": told.said}


def _drawn(view: Mapping[str, Any]) -> dict[str, Any]:
    """The same, and its last hour as lines."""
    hour, failure = view.get("hour") or {}, view.get("last_failure")
    return {
        **_told(view),
        "first_line": lines.line(hour.get("first_token_s", ())),
        "whole_line": lines.line(hour.get("latency_s", ())),
        "first": hour.get("first_token") or {},
        "whole": hour.get("latency") or {},
        "bars": lines.bars(hour.get("requests", ()), hour.get("failures", ())),
        "hour_requests": sum(hour.get("requests", ())),
        "hour_failures": sum(hour.get("failures", ())),
        "failed": None if failure is None else {**failure, "said": words.outcome(failure["outcome"])},
    }


async def usage(visit: Visit) -> Values:
    days = next((span for span in SPANS if str(span) == visit.query("days")), 30)
    everybody = visit.query("scope") == "all" and visit.who.admin
    today = datetime.fromtimestamp(visit.now, UTC)
    span = {
        "since": (today - timedelta(days=days - 1)).strftime("%Y-%m-%d"),
        "until": today.strftime("%Y-%m-%d"),
    }
    query = {**span, **({"scope": "all"} if everybody else {})}
    dimensions = ("provider", "model", "user", "key") if everybody else ("provider", "model", "key")
    by_day, attempts, *groups = await visit.all(
        ("/api/usage", {**query, "by": "day,provider"}),
        ("/api/usage/attempts", {"limit": "15", **({"scope": "all"} if everybody else {})}),
        *(("/api/usage", {**query, "by": dimension}) for dimension in dimensions),
    )
    names = await _names(visit, everybody)
    return {
        "days": days,
        "spans": SPANS,
        "everybody": everybody,
        "total": _total(by_day["groups"]),
        "chart": {**span, "groups": [_bar(group) for group in by_day["groups"]]},
        "tables": [
            (dimension, _table(found["groups"], dimension, names))
            for dimension, found in zip(dimensions, groups, strict=True)
        ],
        "attempts": [
            {
                **one,
                "provider": words.provider(one["provider"]),
                "said": words.outcome(one["outcome"]),
                "why": words.reason(one["why"]),
            }
            for one in attempts["data"]
        ],
        "csv": "/api/usage.csv?"
        + urlencode({**query, "by": "day,provider,model" + (",user" if everybody else "")}),
        "attempts_csv": "/api/usage/attempts.csv" + ("?scope=all" if everybody else ""),
    }


async def _names(visit: Visit, everybody: bool) -> dict[str, str]:
    """Users and keys by id, as people know them."""
    keys = await visit.find("/api/keys", {"limit": "1000", **({"user_id": "all"} if everybody else {})})
    users = await visit.find("/api/users", {"limit": "1000"}) if everybody else None
    found = {one["id"]: one["name"] for listed in (keys, users) if listed for one in listed["data"]}
    return {**found, "": "no key (pages)"}


def _bar(group: Mapping[str, Any]) -> dict[str, Any]:
    return {name: group[name] for name in ("day", "calls", "cost_usd", "errors")} | {
        "provider": words.provider(group["provider"]),
        "tokens": group["input_tokens"] + group["output_tokens"],
    }


_SUMMED = (
    "calls",
    "attempts",
    "errors",
    "input_tokens",
    "output_tokens",
    "cost_usd",
    "unknown_cost_calls",
    "duration_ms",
)


def _total(groups: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {name: sum(group[name] for group in groups) for name in _SUMMED}


def _table(
    groups: Sequence[Mapping[str, Any]], dimension: str, names: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Rows by cost, then calls; most: the share of the largest, 0 to 100."""
    measure = "cost_usd" if any(group["cost_usd"] for group in groups) else "calls"
    most = max((group[measure] for group in groups), default=0) or 1
    rows = [
        {
            **group,
            "name": _name(group[dimension], dimension, names),
            "part": round(100 * group[measure] / most, 1),
        }
        for group in groups
    ]
    return sorted(rows, key=lambda row: (-row["cost_usd"], -row["calls"], row["name"]))


def _name(value: str, dimension: str, names: Mapping[str, str]) -> str:
    if dimension in {"user", "key"}:
        return names.get(value, f"{value[:8]}…" if value else "")
    return words.provider(value) if dimension == "provider" else value or "(none)"


async def keys(visit: Visit) -> Values:
    everybody = visit.query("scope") == "all" and visit.who.admin
    listed = await visit.get(
        "/api/keys", {"limit": str(MOST_KEYS), **({"user_id": "all"} if everybody else {})}
    )
    users = await visit.find("/api/users", {"limit": "1000"}) if visit.who.admin else None
    names = {one["id"]: one["name"] for one in users["data"]} if users else {}
    return {
        "everybody": everybody,
        "keys": [
            {**key, "state": _key_state(key, visit.now), "owner": names.get(key["user_id"], key["user_id"])}
            for key in listed["data"]
        ],
        "more": listed["next"] is not None,
        "users": users["data"] if users else [],
        "scopes": [scope for scope in SCOPES if scope != "admin" or visit.who.admin],
        "periods": PERIODS,
    }


def _key_state(key: Mapping[str, Any], now: float) -> str:
    if key["revoked_at"] is not None:
        return "revoked"
    return "expired" if key["expires_at"] is not None and key["expires_at"] <= now else "active"


async def providers(visit: Visit) -> Values:
    listed, kinds = await visit.all(("/api/providers", NOTHING), ("/api/settings/llm/kinds", NOTHING))
    ordered = sorted(listed["providers"], key=lambda one: one["priority"])
    return {
        "providers": [_told(one) for one in ordered],
        "file": listed["file"],
        "may_edit": visit.inner.has("POST", "/api/providers"),
        "may_order": visit.inner.has("PUT", "/api/providers/order"),
        "groups": _grouped(kinds["kinds"]),
        "kinds": {kind["kind"]: kind for kind in kinds["kinds"]},
    }


async def users(visit: Visit) -> Values:
    listed = await visit.get("/api/users", {"limit": "1000"})
    return {"users": listed["data"], "more": listed["next"] is not None}


PAGES = (
    Page("/playground", "Playground", "playground.html", playground),
    Page("/settings", "Settings", "settings.html", settings),
    Page("/status", "Status", "status.html", status),
    Page("/usage", "Usage", "usage.html", usage),
    Page("/keys", "Keys", "keys.html", keys),
    Page("/providers", "Providers", "providers.html", providers, admin=True),
    Page("/users", "Users", "users.html", users, admin=True),
)
