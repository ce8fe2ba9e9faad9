"""The live picture: providers, calls that run, the database, the queue of the books, shared limits."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any

import anyio
from attrs import asdict

from llmcore.gateway.backend import ProviderView
from llmcore.gateway.history import History
from llmcore.gateway.mirror.sse import event
from llmcore.gateway.serve import Desk
from llmcore.gateway.usage.recorder import Recorder

EVERY_S = 2.0


def picture(
    desk: Desk, recorder: Recorder, history: History, *, admin: bool, notes: Mapping[str, Any]
) -> dict[str, Any]:
    """What the status page shows. Users see whether a provider works, not what others do there (T14)."""
    state, now = recorder.state, desk.wall()
    return {
        "at": now,
        "in_flight": desk.seats.running if admin else None,
        "providers": [
            {**view_json(view, admin=admin), **_past(view, history, now, admin=admin)}
            for view in desk.backend.views()
        ],
        "usage": {
            "ok": state.well,
            "queued": state.queued,
            "dropped": state.dropped,
            "refused": state.refused,
            "error": state.error if admin else None if state.well else "usage is written later",
        },
        "limits": {"shared": desk.shares.shared, "configured": desk.config.redis_url is not None},
        **notes,
    }


def view_json(view: ProviderView, *, admin: bool) -> dict[str, Any]:
    """One provider; figures of everybody's calls and texts of errors are for administrators."""
    shown: dict[str, Any] = {
        "name": view.name,
        "kind": view.kind,
        "state": view.state,
        "breaker": view.breaker,
        "local": view.local,
        "text_model": view.text_model,
        "embedding_model": view.embedding_model,
        "models": dict(view.models),
        "success_rate": view.success_rate,
        "first_token_mean_s": view.first_token_mean_s,
        "first_token_p95_s": view.first_token_p95_s,
        "latency_p50_s": view.latency_p50_s,
        "latency_p95_s": view.latency_p95_s,
    }
    if admin:
        shown |= {
            "in_flight": view.in_flight,
            "requests": view.requests,
            "failures": view.failures,
            "cost_usd": None if view.cost_usd is None else float(view.cost_usd),
            "last_error": view.last_error,
            "priority": view.priority,
        }
    return shown


def _past(view: ProviderView, history: History, now: float, *, admin: bool) -> dict[str, Any]:
    """The last hour by minute. Users see how fast it was; in which minutes others asked would be more than T14 allows."""
    hour = history.hour(view.name)
    lines = {
        "first_token_s": _held(hour.first_token_s),
        "latency_s": _held(hour.latency_s),
        "first_token": asdict(hour.first),
        "latency": asdict(hour.whole),
    }
    retry_at = None if view.retry_in_s is None else round(now + view.retry_in_s)
    if not admin:
        return {"retry_at": retry_at, "hour": lines}
    failed = hour.failed
    return {
        "retry_at": retry_at,
        "hour": {"requests": hour.requests, "failures": hour.failures, **lines},
        "last_model": hour.model,
        "last_failure": None if failed is None else asdict(failed),
    }


def _held(line: Sequence[float | None]) -> list[float | None]:
    """Each value until there is another one."""
    held: list[float | None] = []
    for value in line:
        held.append(held[-1] if value is None and held else value)
    return held


async def pictures(
    desk: Desk,
    recorder: Recorder,
    history: History,
    *,
    admin: bool,
    notes: Callable[[], Awaitable[Mapping[str, Any]]],
    goes_on: Callable[[], bool],
    every: float = EVERY_S,
) -> AsyncIterator[bytes]:
    """The picture now and each time it has changed, as events named "status", while `goes_on()`."""
    before: dict[str, Any] = {}
    while goes_on():
        now = picture(desk, recorder, history, admin=admin, notes=await notes())
        if {**now, "at": 0} != {**before, "at": 0}:
            yield event("status", now)
            before = now
        await anyio.sleep(every)
