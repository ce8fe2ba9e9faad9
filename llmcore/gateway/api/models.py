"""`/v1/models`, and the catalogue with prices and tags at `/api/models`."""

from __future__ import annotations

from collections.abc import Sequence

from llmcore.gateway.access.principal import Principal
from llmcore.gateway.api import openai_schemas, schemas
from llmcore.gateway.api.frame import Context, Reply
from llmcore.gateway.api.services import Services
from llmcore.gateway.api.table import Route
from llmcore.gateway.catalogue import Listed, aliases, entry, recommended
from llmcore.gateway.errors import NotFound
from llmcore.gateway.mirror.openai_models import encode_model, encode_models
from llmcore.types import ModelInfo


class ModelsApi:
    """Every provider's models and our own names for them, of what the key may use."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self) -> Sequence[Route]:
        route = self._services.route
        return (
            route(
                *("GET", "/v1/models", "inference", "models", "Models that may be asked.", self.all),
                response=openai_schemas.MODELS,
                cookies=False,
            ),
            route(
                *("GET", "/v1/models/{id:path}", "inference", "model", "One of them.", self.one),
                response=openai_schemas.MODEL,
                cookies=False,
            ),
            route(
                *(
                    "GET",
                    "/api/models",
                    "account",
                    "catalogue",
                    "The same with prices and tags.",
                    self.catalogue,
                ),
                response=schemas.CATALOGUE,
                query=schemas.REFRESH,
            ),
        )

    async def all(self, context: Context) -> Reply:
        created = int(self._services.desk.wall())
        return Reply(encode_models(await self._allowed(context.principal), created=created))

    async def one(self, context: Context) -> Reply:
        wanted = context.params["id"]
        for model in await self._allowed(context.principal):
            if wanted in {model.id, f"{model.provider}/{model.id}"}:
                return Reply(encode_model(model, created=int(self._services.desk.wall())))
        raise NotFound(f"there is no model {wanted[:120]!r} here", code="model_not_found", param="model")

    async def catalogue(self, context: Context) -> Reply:
        backend = self._services.desk.backend
        listed = await self._listed(refresh=context.query.get("refresh") in {"1", "true"})
        views = {view.name: view for view in backend.views()}
        entries = [
            entry(model, view.name, view.kind, backend, view.first_token_mean_s)
            for model in listed.models
            if (view := views.get(model.provider or "")) is not None
        ]
        named = [one for view in views.values() for one in aliases(view)]
        return Reply(
            {
                "models": [one.as_json() for one in (*named, *entries) if context.principal.may_use(one.id)],
                "error": listed.error,
                "asked_at": listed.asked or None,
                "recommended": recommended(entries, views),
            }
        )

    async def _listed(self, *, refresh: bool = False) -> Listed:
        backend = self._services.desk.backend
        return await self._services.lists.get("system", backend.system.list_models, refresh=refresh)

    async def _allowed(self, principal: Principal) -> list[ModelInfo]:
        """Aliases first; each name once; where no list can be had, what the configuration names."""
        views, listed = self._services.desk.backend.views(), await self._listed()
        found = {
            name: ModelInfo(name, view.name, owned_by=view.kind) for view in views for name in view.models
        }
        for model in listed.models:
            found.setdefault(model.id, model)
        for view in views:
            for name in (view.text_model, view.embedding_model):
                if name is not None:
                    found.setdefault(name, ModelInfo(name, view.name, owned_by=view.kind))
        return [model for model in found.values() if principal.may_use(model.id)]
