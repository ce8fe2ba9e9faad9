"""Whether it lives, whether it takes calls, how it goes: `/healthz`, `/readyz`, `/api/v1/health`, `/api/v1/llm/status`, `/metrics`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llmcore._version import __version__
from llmcore.gateway.access.policy import Access
from llmcore.gateway.api import system_schemas as schemas
from llmcore.gateway.api.frame import Context, Live, Reply
from llmcore.gateway.api.services import Services
from llmcore.gateway.api.table import Route
from llmcore.gateway.errors import Unavailable
from llmcore.gateway.status import picture, pictures
from llmcore.gateway.store import StoreError

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class HealthApi:
    """The endpoints; the open ones tell nothing of who is served how."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self) -> Sequence[Route]:
        route, at = self._services.route, "/api/v1/llm"
        metrics: Access = "open" if self._services.desk.config.open_metrics else "admin"
        return (
            route(
                *("GET", "/healthz", "open", "healthz", "The process lives.", self.alive),
                response=schemas.PROBED,
            ),
            route(
                *("GET", "/readyz", "open", "readyz", "It takes calls.", self.ready),
                response=schemas.PROBED,
                errors=(503,),
            ),
            route(
                *("GET", "/api/v1/health", "open", "health", "How it goes.", self.health),
                response=schemas.HEALTH,
            ),
            route(
                *("GET", f"{at}/status", "account", "status", "Every provider as it is now.", self.status),
                response=schemas.STATUS,
            ),
            route(
                *("GET", f"{at}/status/events", "account", "status_events"),
                "The same, again whenever it changes.",
                self.events,
                media_type="text/event-stream",
                events=schemas.STATUS_EVENT,
            ),
            route(
                *("GET", "/metrics", metrics, "metrics", "Figures for Prometheus.", self.metrics),
                cookies=False,
                media_type="text/plain",
            ),
        )

    async def alive(self, context: Context) -> Reply:
        return Reply({"status": "ok"})

    async def ready(self, context: Context) -> Reply:
        """Not while it stops. A database that is away does not keep calls with known keys from being served."""
        if not self._services.ready:
            raise Unavailable("the gateway is stopping", retry_after=5.0)
        return Reply({"status": "ok"})

    async def health(self, context: Context) -> Reply:
        services = self._services
        database = await self._database()
        providers = services.desk.backend.views()
        working = sum(view.state == "ok" and view.breaker != "open" for view in providers)
        well = database and services.recorder.state.well and (working > 0 or not providers)
        body: dict[str, Any] = {
            "status": "ok" if well else "degraded",
            "version": __version__,
            "uptime_s": round(services.desk.now() - services.started, 1),
            "database": "ok" if database else "away",
            "usage": "ok" if services.recorder.state.well else "queued",
            "limits": "shared" if services.desk.shares.shared else "local",
            "providers": {"all": len(providers), "working": working},
        }
        return Reply(body)

    async def status(self, context: Context) -> Reply:
        services, admin = self._services, context.principal.admin
        await services.history.recall(services.store.usage)
        notes = await self._notes()
        return Reply(picture(services.desk, services.recorder, services.history, admin=admin, notes=notes))

    async def events(self, context: Context) -> Live:
        services, admin = self._services, context.principal.admin
        await services.history.recall(services.store.usage)
        told = pictures(
            *(services.desk, services.recorder, services.history),
            admin=admin,
            notes=self._notes,
            goes_on=lambda: services.ready,
        )
        return Live(told)

    async def metrics(self, context: Context) -> Reply:
        return Reply(self._services.desk.metrics.text(), content_type=METRICS_TYPE)

    async def _notes(self) -> dict[str, Any]:
        """How the database is, and what else goes on beside the calls."""
        notes = {name: read() for name, read in self._services.notes.items()}
        return {**notes, "database": "ok" if await self._database() else "away"}

    async def _database(self) -> bool:
        try:
            await self._services.store.ping()
        except StoreError:
            return False
        return True
