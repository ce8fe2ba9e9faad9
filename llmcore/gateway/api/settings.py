"""`/api/settings/llm`: the provider, model, address and key of one's own.

A key is taken once and never handed out again; another provider or address drops it (T4). `?scope=system`, for
administrators, means what counts for everybody who has no settings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import evolve

from llmcore.gateway.addresses import Rules, checked
from llmcore.gateway.api import schemas
from llmcore.gateway.api.fields import given, known, maybe, text
from llmcore.gateway.api.frame import Context, Reply
from llmcore.gateway.api.services import Services
from llmcore.gateway.api.table import Route
from llmcore.gateway.backend import KindInfo
from llmcore.gateway.errors import BadRequest, Forbidden
from llmcore.gateway.mirror import read
from llmcore.gateway.store import SYSTEM, UNSET, LlmSettings, SettingsChange, Unset
from llmcore.gateway.store.settings import changed, cleared
from llmcore.gateway.vault import save_settings
from llmcore.secret import Secret

FIELDS = (
    "provider",
    "model",
    "embedding_model",
    "base_url",
    "api_key",
    "temperature",
    "max_tokens",
    "version",
)
MAX_KEY = 8192


class SettingsApi:
    """The endpoints; each works on the settings of whoever asks."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self) -> Sequence[Route]:
        route, at = self._services.route, "/api/settings/llm"
        body, out = schemas.SETTINGS_BODY, schemas.SETTINGS
        return (
            route(
                "GET",
                at,
                "account",
                "settings",
                "Your settings.",
                self.get,
                response=out,
                query=schemas.SETTINGS_SCOPE,
            ),
            route(
                "PUT",
                at,
                "account",
                "settings",
                "Replace them.",
                self.put,
                request=body,
                response=out,
                query=schemas.SETTINGS_SCOPE,
                errors=(409,),
            ),
            route(
                "PATCH",
                at,
                "account",
                "settings",
                "Change some.",
                self.patch,
                request=body,
                response=out,
                query=schemas.SETTINGS_SCOPE,
                errors=(409,),
            ),
            route(
                "DELETE",
                at,
                "account",
                "settings",
                "Forget them.",
                self.delete,
                response=schemas.DONE,
                query=schemas.SETTINGS_SCOPE,
            ),
        )

    # --------------------------------------------------------------------------------- read and write

    async def get(self, context: Context) -> Reply:
        owner = owner_of(context)
        return Reply(shown(self._services, await self._services.store.settings.get(owner)))

    async def put(self, context: Context) -> Reply:
        return await self._save(context, replace=True)

    async def patch(self, context: Context) -> Reply:
        return await self._save(context, replace=False)

    async def delete(self, context: Context) -> Reply:
        owner = owner_of(context)
        gone = await self._services.store.settings.delete(owner)
        await self._forget(owner)
        if gone:
            await self._services.audit(context, "settings.delete", owner or "system")
        return Reply({"ok": True})

    async def _save(self, context: Context, *, replace: bool) -> Reply:
        services, owner = self._services, owner_of(context)
        change, key, expected = read_change(context.body)
        before = await services.store.settings.get(owner)
        if not given(change.provider) and (replace or before is None):
            raise BadRequest("provider: is missing", param="provider", code="missing_required_parameter")
        after = changed(before, owner, cleared(change) if replace else change, services.desk.wall())
        change = normal(services, context, after, change, before, key)
        saved = await save_settings(
            services.store,
            services.vault,
            owner,
            change,
            api_key=key,
            now=services.desk.wall(),
            expected=expected,
            replace=replace,
        )
        await self._forget(owner)
        await services.audit(context, "settings.change", owner or "system", **_difference(before, saved))
        return Reply(shown(self._services, saved))

    async def _forget(self, owner: str) -> None:
        await self._services.desk.resolver.settings_changed(owner)
        self._services.lists.forget(f"own {owner}")


def normal(
    services: Services,
    context: Context,
    after: LlmSettings,
    change: SettingsChange,
    before: LlmSettings | None,
    key: Secret | Unset | None = UNSET,
) -> SettingsChange:
    """The change with its address in the normal spelling. Raises BadRequest, Forbidden for what may not be chosen."""
    kind = services.choices.kind(after.provider)
    names = {one.name for one in services.desk.backend.providers()}
    if kind is None and after.provider not in names:
        kinds = {one.kind for one in services.desk.backend.kinds()}
        known_ones = ", ".join(sorted(kinds | names))
        raise BadRequest(f"provider: {after.provider[:60]!r} is none of {known_ones}", param="provider")
    if kind is None and isinstance(key, Secret):
        raise BadRequest(
            "api_key: a system provider has its own key; choose its kind to use yours", param="api_key"
        )
    config = services.desk.config
    rules = Rules(kind is not None and kind.local, frozenset(config.local_servers), config.allow_http)
    if after.base_url is None:
        kept = after.key is not None and key is UNSET
        if kind is not None and (isinstance(key, Secret) or kept or not kind.key_required):
            _check_usual(kind, rules)
        return change
    unchanged = before is not None and before.base_url == after.base_url and before.provider == after.provider
    if not unchanged and not context.principal.admin and not config.users_set_base_url:
        raise Forbidden("base_url: only administrators may enter an address here", code="address_not_allowed")
    if kind is None:
        raise BadRequest("base_url: a system provider has its own address", param="base_url")
    return evolve(change, base_url=checked(after.base_url, rules).url)


def _check_usual(kind: KindInfo, rules: Rules) -> None:
    """Whether a provider of one's own can be where its kind usually is. Raises BadRequest."""
    if kind.needs_base_url:
        raise BadRequest(f"base_url: {kind.label} has no usual address; enter yours", param="base_url")
    if kind.base_url is not None:
        checked(kind.base_url, rules)


def shown(services: Services, settings: LlmSettings | None) -> dict[str, Any]:
    if settings is None:
        return {"provider": None, "version": 0, "api_key_set": False, "uses": "system"}
    usable = services.choices.usable(settings)
    return {
        "provider": settings.provider,
        "model": settings.model,
        "embedding_model": settings.embedding_model,
        "base_url": settings.base_url,
        "api_key_set": settings.key is not None,
        "api_key_last4": settings.key.last4 if settings.key else None,
        "temperature": settings.temperature,
        "max_tokens": settings.max_tokens,
        "version": settings.version,
        "updated_at": settings.updated_at,
        "uses": "own" if usable.make is not None else "system",
    }


def owner_of(context: Context) -> str:
    """Whose settings are meant. Raises Forbidden."""
    scope = context.query.get("scope", "own")
    if scope == "own":
        return context.principal.user_id
    if scope != "system":
        raise BadRequest('scope: must be "own" or "system"', param="scope")
    if not context.principal.admin:
        raise Forbidden("only administrators may do this")
    return SYSTEM


def read_change(body: Any) -> tuple[SettingsChange, Secret | Unset | None, int | None]:
    """The change, the key (UNSET: as it is, None: none), and the version it was made for. Raises BadRequest."""
    known(body, FIELDS)
    provider = text(body, "provider")
    temperature = read.number(body, "temperature", low=0, high=2)
    change = SettingsChange(
        provider=UNSET if provider is None else provider,
        model=maybe(body, "model", text(body, "model")),
        embedding_model=maybe(body, "embedding_model", text(body, "embedding_model")),
        base_url=maybe(body, "base_url", text(body, "base_url", longest=500)),
        temperature=maybe(body, "temperature", None if temperature is None else float(temperature)),
        max_tokens=maybe(body, "max_tokens", read.integer(body, "max_tokens", low=1, high=2**31)),
    )
    said = read.string(body, "api_key")
    if said is not None and (not said or len(said) > MAX_KEY):
        raise BadRequest("api_key: is empty or too long; send null to remove it", param="api_key")
    if said is not None and not (said.isascii() and said.isprintable() and " " not in said):
        raise BadRequest("api_key: holds characters that no key has", param="api_key")
    key = maybe(body, "api_key", None if said is None else Secret(said))
    return change, key, read.integer(body, "version", low=0)


def _difference(before: LlmSettings | None, after: LlmSettings) -> dict[str, Any]:
    """Old and new of what changed, for the audit log; of the key only that it did."""
    names = ("provider", "model", "embedding_model", "base_url", "temperature", "max_tokens")
    found: dict[str, Any] = {
        name: [getattr(before, name, None), getattr(after, name)]
        for name in names
        if getattr(before, name, None) != getattr(after, name)
    }
    if (before.key if before else None) != after.key:
        found["api_key"] = "removed" if after.key is None else "set"
    return found
