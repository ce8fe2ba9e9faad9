"""The live picture: providers, calls that run, the database, the queue of the books, shared limits."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import anyio

from llmcore.gateway.backend import ProviderView
from llmcore.gateway.mirror.sse import event
from llmcore.gateway.serve import Desk
from llmcore.gateway.usage.recorder import Recorder

EVERY_S = 2.0


def picture(desk: Desk, recorder: Recorder, *, admin: bool, notes: Mapping[str, Any]) -> dict[str, Any]:
    """What the status page shows. Users see whether a provider works, not what others do there (T14)."""
    state = recorder.state
    return {
        "at": desk.wall(),
        "in_flight": desk.seats.running if admin else None,
        "providers": [view_json(view, admin=admin) for view in desk.backend.views()],
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


async def pictures(
    desk: Desk,
    recorder: Recorder,
    *,
    admin: bool,
    notes: Mapping[str, Any],
    goes_on: Callable[[], bool],
    every: float = EVERY_S,
) -> AsyncIterator[bytes]:
    """The picture now and each time it has changed, as events named "status", while `goes_on()`."""
    before: dict[str, Any] = {}
    while goes_on():
        now = picture(desk, recorder, admin=admin, notes=notes)
        if {**now, "at": 0} != {**before, "at": 0}:
            yield event("status", now)
            before = now
        await anyio.sleep(every)
