"""`/v1/models`, and the catalogue with prices and tags at `/api/models`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from llmcore.config import CAPABILITIES
from llmcore.gateway.access.principal import Principal
from llmcore.gateway.api import anthropic_schemas, openai_schemas, schemas
from llmcore.gateway.api.fields import flag
from llmcore.gateway.api.frame import ANTHROPIC, Context, Reply
from llmcore.gateway.api.services import Services
from llmcore.gateway.api.table import Route
from llmcore.gateway.catalogue import Listed, Needs, aliases, recommended
from llmcore.gateway.errors import BadRequest, NotFound
from llmcore.gateway.mirror import anthropic_models
from llmcore.gateway.mirror.openai_models import encode_model, encode_models
from llmcore.gateway.speeds import Speeds, entries_of
from llmcore.types import ModelInfo


class ModelsApi:
    """Every provider's models and our own names for them, of what the key may use."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._speeds = Speeds(services.store, services.desk.wall)

    def routes(self) -> Sequence[Route]:
        route = self._services.route
        return (
            route(
                *("GET", "/v1/models", "inference", "models", "Models that may be asked.", self.all),
                response=schemas.either(openai_schemas.MODELS, anthropic_schemas.MODELS),
                headers=anthropic_schemas.VERSION,
                cookies=False,
            ),
            route(
                *("GET", "/v1/models/{id:path}", "inference", "model", "One of them.", self.one),
                response=schemas.either(openai_schemas.MODEL, anthropic_schemas.MODEL),
                headers=anthropic_schemas.VERSION,
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
                query={
                    **schemas.REFRESH,
                    "needs": schemas.told(
                        schemas.TEXT,
                        f"What a recommended model must be able to do: {', '.join(CAPABILITIES)}.",
                    ),
                    "context": schemas.told(schemas.TEXT, "Tokens that a recommended model must hold."),
                },
            ),
        )

    async def all(self, context: Context) -> Reply:
        models = await self._allowed(context.principal)
        if context.head.get(ANTHROPIC) is not None:
            return Reply(anthropic_models.encode_models(models, context.query))
        return Reply(encode_models(models, created=int(self._services.desk.wall())))

    async def one(self, context: Context) -> Reply:
        wanted = context.params["id"]
        names = self._names()
        for model in (*await self._allowed(context.principal), *(await self._listed()).models):
            named = wanted in {model.id, f"{model.provider}/{model.id}"}
            if named and context.principal.may_use(model.id, names):
                if context.head.get(ANTHROPIC) is not None:
                    return Reply(anthropic_models.encode_model(model))
                return Reply(encode_model(model, created=int(self._services.desk.wall())))
        raise NotFound(f"there is no model {wanted[:120]!r} here", code="model_not_found", param="model")

    async def catalogue(self, context: Context) -> Reply:
        backend, needs = self._services.desk.backend, needs_of(context.query)
        listed = await self._listed(refresh=flag(context.query, "refresh"))
        views = backend.views()
        entries = await entries_of(backend, self._speeds, listed.models, views)
        principal, names = context.principal, self._names()
        usable = [one for one in entries if principal.may_use(one.id, names)]
        named = [one for view in views for one in aliases(view) if principal.may_use(one.id, names)]
        return Reply(
            {
                "models": [one.as_json() for one in (*named, *usable)],
                "error": listed.error,
                "asked_at": listed.asked or None,
                "recommended": recommended(usable, needs),
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
        names = self._names()
        return [model for model in found.values() if principal.may_use(model.id, names)]

    def _names(self) -> frozenset[str]:
        return frozenset(one.name for one in self._services.desk.backend.providers())


def needs_of(query: Mapping[str, str]) -> Needs:
    """What `?needs=tools,images&context=100000` asks of a recommended model. Raises BadRequest."""
    words = [word.strip() for word in query.get("needs", "").split(",") if word.strip()]
    for word in words:
        if word not in CAPABILITIES:
            raise BadRequest(f"needs: {word[:60]!r} is none of {', '.join(CAPABILITIES)}", param="needs")
    context = query.get("context", "")
    if context and not (context.isascii() and context.isdigit() and len(context) <= 12):
        raise BadRequest("context: must be a whole number of tokens", param="context")
    return Needs(frozenset(words), int(context) if context else None)
