"""Connections of one's settings: the free test, the status, the live list of models, the kinds there are."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import Any

import anyio

from llmcore.config import ProviderConfig
from llmcore.errors import ConfigurationError, ProviderError
from llmcore.gateway.api import schemas
from llmcore.gateway.api.fields import flag
from llmcore.gateway.api.frame import Context, Reply
from llmcore.gateway.api.services import Services
from llmcore.gateway.api.settings import normal, owner_of, read_change, shown
from llmcore.gateway.api.table import Route
from llmcore.gateway.backend import KindInfo
from llmcore.gateway.catalogue import Entry, entry, recommended
from llmcore.gateway.errors import BadRequest
from llmcore.gateway.mirror.errors import fault_of
from llmcore.gateway.speeds import Speeds, entries_of
from llmcore.gateway.store import SYSTEM, ConnectionTest, LlmSettings
from llmcore.gateway.store.settings import changed
from llmcore.gateway.vault import api_key as stored_key
from llmcore.provider import LlmProvider
from llmcore.secret import Secret
from llmcore.types import ModelInfo

TEST_S = 15.0


class ConnectionsApi:
    """The endpoints beside the settings themselves."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._speeds = Speeds(services.store, services.desk.wall)

    def routes(self) -> Sequence[Route]:
        route, at = self._services.route, "/api/settings/llm"
        return (
            route(
                *("POST", f"{at}/test", "account", "settings_test"),
                "Try a connection, with the given or the stored settings; free of charge.",
                self.test,
                request=schemas.SETTINGS_BODY,
                response=schemas.TEST_RESULT,
                query=schemas.SETTINGS_SCOPE,
            ),
            route(
                *("GET", f"{at}/status", "account", "settings_status"),
                "Who answers your calls, and the last tests.",
                self.status,
                response=schemas.SETTINGS_STATUS,
            ),
            route(
                *("GET", f"{at}/models", "account", "settings_models"),
                "The models of your provider, or of another kind.",
                self.models,
                response=schemas.OWN_MODELS,
                query={
                    "provider": schemas.told(schemas.TEXT, "A kind, or a system provider."),
                    **schemas.REFRESH,
                },
            ),
            route(
                *("GET", f"{at}/kinds", "account", "settings_kinds"),
                "Every kind of provider that may be chosen.",
                self.kinds,
                response=schemas.KINDS,
            ),
        )

    async def test(self, context: Context) -> Reply:
        """List the provider's models, which costs nothing; what came of it is kept for the status."""
        services, owner = self._services, owner_of(context)
        settings, key = await self._meant(context, owner)
        began, at = perf_counter(), services.desk.wall()
        error: ProviderError | ConfigurationError | BadRequest | None = None
        models: Sequence[ModelInfo] = ()
        try:
            models = await self._listed(context, settings, key)
        except (ProviderError, ConfigurationError, BadRequest) as caught:
            error = caught
        latency = (perf_counter() - began) * 1000
        said = None if error is None else _said(error)
        await services.store.connection_tests.record(
            owner, ConnectionTest(owner, settings.provider, at, error is None, latency, said)
        )
        return Reply(
            {
                "ok": error is None,
                "provider": settings.provider,
                "latency_ms": round(latency, 1),
                "error": said,
                "hint": None if error is None else _hint(error),
                "models": [model.id for model in models][:1000],
                "at": at,
            }
        )

    async def _meant(self, context: Context, owner: str) -> tuple[LlmSettings, Secret | None]:
        """The stored settings with what the body says instead. A stored key goes to its own address only (T4)."""
        services = self._services
        before = await services.store.settings.get(owner)
        if not context.body and before is None:
            raise BadRequest("there are no settings to test; send some, or save them first", param="provider")
        change, key, _ = read_change(context.body)
        after = changed(before, owner, change, services.desk.wall())
        normal(self._services, context, after, change, before)
        if isinstance(key, Secret):
            return after, key
        if key is None or before is None or after.key is None:
            return after, None
        return after, stored_key(services.vault, before)

    async def _listed(
        self, context: Context, settings: LlmSettings, key: Secret | None
    ) -> Sequence[ModelInfo]:
        kind = self._services.choices.kind(settings.provider)
        try:
            with anyio.fail_after(TEST_S):
                if kind is None or (key is None and kind.key_required):
                    return await self._of_system(settings.provider)
                provider = self._provider(settings, key)
                try:
                    return await provider.list_models()
                finally:
                    await provider.aclose()
        except TimeoutError as error:
            if isinstance(error, ProviderError):
                raise
            raise ConfigurationError(f"no answer within {TEST_S:g} s") from None

    def _provider(self, settings: LlmSettings, key: Secret | None) -> LlmProvider:
        return self._services.desk.backend.make(
            ProviderConfig(
                f"own-{settings.provider}", settings.provider, api_key=key, base_url=settings.base_url
            )
        )

    async def _of_system(self, name: str) -> Sequence[ModelInfo]:
        """Of the provider of that name; else of the first of that kind. Asked now: a test that remembers tests nothing."""
        backend = self._services.desk.backend
        providers = sorted(backend.providers(), key=lambda one: one.name != name)
        named = next((one.name for one in providers if name in {one.name, one.kind}), None)
        if named is None:
            raise BadRequest(f"api_key: {name} needs a key; enter one", param="api_key")
        return await backend.models_of(named)

    async def status(self, context: Context) -> Reply:
        services, user = self._services, context.principal.user_id
        settings = await services.store.settings.get(user)
        for_all = None if settings is not None else await services.store.settings.get(SYSTEM)
        tests = await services.store.connection_tests.latest(user)
        return Reply(
            {
                "settings": shown(services, settings or for_all),
                "from": "own" if settings is not None else "everybody" if for_all is not None else "system",
                "tests": [
                    {
                        "provider": one.provider,
                        "at": one.at,
                        "ok": one.ok,
                        "latency_ms": one.latency_ms,
                        "error": one.error,
                    }
                    for one in tests
                ],
            }
        )

    async def models(self, context: Context) -> Reply:
        """The live list with prices and tags, beside what is known of the kind without asking."""
        services, user = self._services, context.principal.user_id
        settings = await services.store.settings.get(user)
        wanted = context.query.get("provider") or (settings.provider if settings else None)
        refresh = flag(context.query, "refresh")
        backend, views = services.desk.backend, {view.name: view for view in services.desk.backend.views()}
        if wanted is not None and wanted not in views and services.choices.kind(wanted) is None:
            raise BadRequest(
                f"provider: there is none named {wanted[:60]!r}", param="provider", code="provider_not_found"
            )
        error = None
        if settings is not None and wanted == settings.provider and services.choices.usable(settings).make:
            listed = await services.lists.get(f"own {user}", lambda: self._own(settings), refresh=refresh)
            entries = [entry(model, settings.provider, settings.provider, backend) for model in listed.models]
            error = listed.error
        else:
            listed = await services.lists.get("system", backend.system.list_models, refresh=refresh)
            entries = await self._system_entries(listed.models, wanted)
            error = listed.error
        if not entries and wanted is not None:
            kind = views[wanted].kind if wanted in views else wanted
            entries = [entry(model, wanted, kind, backend) for model in backend.known(kind)]
        return Reply(
            {
                "provider": wanted,
                "models": [one.as_json() for one in entries],
                "error": error,
                "asked_at": listed.asked or None,
                "recommended": recommended(entries),
            }
        )

    async def _own(self, settings: LlmSettings) -> Sequence[ModelInfo]:
        provider = await self._services.choices.make(settings)
        try:
            return await provider.list_models()
        finally:
            await provider.aclose()

    async def _system_entries(self, models: Sequence[ModelInfo], wanted: str | None) -> list[Entry]:
        views = [
            view
            for view in self._services.desk.backend.views()
            if wanted is None or wanted in {view.name, view.kind}
        ]
        return await entries_of(self._services.desk.backend, self._speeds, models, views)

    async def kinds(self, context: Context) -> Reply:
        backend = self._services.desk.backend
        configured = {one.kind for one in backend.providers()}
        return Reply(
            {
                "kinds": [_kind_json(kind, kind.kind in configured) for kind in backend.kinds()],
                "system": [{"name": one.name, "kind": one.kind} for one in backend.providers()],
                "may_set_base_url": context.principal.admin or self._services.desk.config.users_set_base_url,
            }
        )


def _said(error: ProviderError | ConfigurationError | BadRequest) -> str:
    """One sentence without addresses and keys."""
    if isinstance(error, BadRequest):
        return error.message[:300]
    if isinstance(error, ProviderError):
        return fault_of(getattr(error, "primary", error)).message[:300]
    return "; ".join(error.complaints)[:300]


_HINTS = {
    "AuthenticationError": "Check the key: it was refused.",
    "PermissionDeniedError": "The key is good, but may not list models.",
    "ConnectionRefused": "Nobody listens there: is the server running?",
    "DNSError": "The name cannot be found: check the address.",
    "EndpointError": "The address is not one that may be asked, or leads elsewhere.",
    "QuotaExhaustedError": "The account has no credit left.",
    "RateLimitError": "Too many requests just now; try again in a minute.",
}


def _hint(error: Exception) -> str | None:
    primary = getattr(error, "primary", error)
    return _HINTS.get(type(primary).__name__)


def _kind_json(kind: KindInfo, configured: bool) -> dict[str, Any]:
    return {
        "kind": kind.kind,
        "label": kind.label,
        "local": kind.local,
        "base_url": kind.base_url,
        "needs_base_url": kind.needs_base_url,
        "key_variable": kind.key_variable,
        "key_required": kind.key_required,
        "default_model": kind.default_model,
        "features": sorted(kind.features),
        "configured": configured,
    }
