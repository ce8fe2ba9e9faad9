"""`/api/keys`: virtual keys. One is shown once, when it is made; only a keyed hash of it is kept."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import evolve

from llmcore.gateway.access.limits import period_of
from llmcore.gateway.access.principal import ADMIN, INFERENCE, PERIODS, SCOPES, Limits, Period
from llmcore.gateway.api import schemas
from llmcore.gateway.api.fields import found, known, maybe, required, text, texts, whole, word
from llmcore.gateway.api.frame import Context, Reply
from llmcore.gateway.api.services import Services
from llmcore.gateway.api.table import Route
from llmcore.gateway.errors import BadRequest, Forbidden
from llmcore.gateway.mirror import read
from llmcore.gateway.store import UNSET, VirtualKey

LIMITS = ("rpm", "tpm", "budget_usd", "budget_period", "concurrent", "max_tokens")
FIELDS = ("name", "user_id", "scopes", "models", "expires_at", *LIMITS)
LARGEST = 2**31


class KeysApi:
    """The endpoints. Users have their own keys; administrators everybody's, by `?user_id=`, "all" for all."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self) -> Sequence[Route]:
        route, at, out = self._services.route, "/api/keys", schemas.KEY
        whose = schemas.KEYS_OF
        return (
            route(
                *("GET", at, "account", "keys", "Your keys, newest first.", self.list),
                response=schemas.page(out),
                query={**schemas.PAGING, **whose},
                errors=(404,),
            ),
            route(
                *("POST", at, "account", "keys", "A new key; the answer alone shows it.", self.create),
                request=schemas.KEY_BODY,
                response=schemas.NEW_KEY,
                status=201,
                errors=(404, 409),
            ),
            route(
                *("PATCH", f"{at}/{{id}}", "account", "key", "Other limits.", self.patch),
                request=schemas.KEY_PATCH,
                response=out,
                query=whose,
            ),
            route(
                *("DELETE", f"{at}/{{id}}", "account", "key", "Revoke it, at once.", self.revoke),
                response=schemas.DONE,
                query=whose,
            ),
        )

    async def list(self, context: Context) -> Reply:
        limit = whole(context.query, "limit", 100, low=1, high=1000)
        cursor, keys = context.query.get("cursor"), self._services.store.keys
        whose = await self._of(context, context.query.get("user_id"))
        page = await (
            keys.list_all(limit=limit, cursor=cursor)
            if whose == "all"
            else keys.list(whose, limit=limit, cursor=cursor)
        )
        return Reply({"data": [self._json(key) for key in page.items], "next": page.next})

    async def create(self, context: Context) -> Reply:
        body, services = context.body, self._services
        known(body, FIELDS)
        whose = await self._of(context, text(body, "user_id"))
        if whose == "all":
            raise BadRequest("user_id: a key belongs to one user", param="user_id")
        scopes = _scopes(context, body)
        limits, models = _limits(body, Limits()), _models(body)
        _check_within(context, limits, models)
        made = services.vault.tokens.new_virtual_key()
        key = await services.store.keys.create(
            whose,
            public_id=made.public_id,
            digest=made.digest,
            name=required(body, "name"),
            now=services.desk.wall(),
            scopes=scopes,
            models=models,
            limits=limits,
            expires_at=_expires(body, services.desk.wall()),
        )
        await services.audit(context, "key.create", key.id, owner=whose, name=key.name, scopes=sorted(scopes))
        return Reply({"key": self._json(key), "token": made.token.reveal()}, status=201)

    async def patch(self, context: Context) -> Reply:
        body, services, key_id = context.body, self._services, context.params["id"]
        known(body, tuple(name for name in FIELDS if name not in {"user_id", "scopes"}))
        whose = await self._owner(context, key_id)
        before = found(await services.store.keys.get(whose, key_id), "key")
        limits = _limits(body, before.limits)
        models = _models(body) if "models" in body else before.models
        if context.principal.key_id is not None:
            _check_within(context, limits, models)
        name = text(body, "name")
        key = await services.store.keys.update(
            whose,
            key_id,
            name=UNSET if name is None else name,
            models=maybe(body, "models", models),
            limits=limits,
            expires_at=maybe(body, "expires_at", _expires(body, services.desk.wall())),
        )
        services.desk.authenticator.forget(key_id=key_id)
        await services.audit(context, "key.change", key_id, owner=whose, fields=sorted(body))
        return Reply(self._json(found(key, "key")))

    async def revoke(self, context: Context) -> Reply:
        services, key_id = self._services, context.params["id"]
        whose = await self._owner(context, key_id)
        found(await services.store.keys.revoke(whose, key_id, now=services.desk.wall()), "key")
        services.desk.authenticator.forget(key_id=key_id)
        await services.audit(context, "key.revoke", key_id, owner=whose)
        return Reply({"ok": True})

    async def _of(self, context: Context, said: str | None) -> str:
        """Whose keys are meant. Raises Forbidden, NotFound where an administrator names nobody."""
        whose = _whose(context, said)
        if whose not in {"all", context.principal.user_id}:
            found(await self._services.store.users.get(whose), "user")
        return whose

    async def _owner(self, context: Context, key_id: str) -> str:
        """Whose key is meant: one's own, or by an administrator another's."""
        whose = _whose(context, context.query.get("user_id"))
        return context.principal.user_id if whose == "all" else whose

    def _json(self, key: VirtualKey) -> dict[str, Any]:
        limits = key.limits
        paid = key.spent_period == period_of(limits.period, self._services.desk.wall())
        return {
            "id": key.id,
            "name": key.name,
            "user_id": key.user_id,
            "shown": f"llmc-{key.public_id[:4]}…",
            "scopes": sorted(key.scopes),
            "models": None if key.models is None else sorted(key.models),
            "created_at": key.created_at,
            "expires_at": key.expires_at,
            "revoked_at": key.revoked_at,
            "last_used_at": key.last_used_at,
            "spent_usd": key.spent_micros / 1_000_000 if paid else 0.0,
            "rpm": limits.rpm,
            "tpm": limits.tpm,
            "budget_usd": None if limits.budget_micros is None else limits.budget_micros / 1_000_000,
            "budget_period": limits.period,
            "concurrent": limits.concurrent,
            "max_tokens": limits.max_tokens,
        }


def _whose(context: Context, said: str | None) -> str:
    """Raises Forbidden where another's is meant by who may not."""
    mine = context.principal.user_id
    if said is None or said == mine:
        return mine
    if not context.principal.admin:
        raise Forbidden("only administrators may do this for others")
    return said


def _scopes(context: Context, body: Mapping[str, Any]) -> frozenset[str]:
    """The asked scopes, never more than the asker has. Left out: to ask models."""
    said = texts(body, "scopes", most=len(SCOPES))
    if said is None:
        return frozenset((INFERENCE,))
    if not said or any(scope not in SCOPES for scope in said):
        raise BadRequest(f"scopes: must be some of {', '.join(SCOPES)}", param="scopes")
    scopes = frozenset(said)
    if not scopes <= context.principal.scopes or (ADMIN in scopes and not context.principal.admin):
        raise Forbidden("scopes: a key cannot have more than who makes it", code="missing_scope")
    return scopes


def _models(body: Mapping[str, Any]) -> frozenset[str] | None:
    said = texts(body, "models")
    return None if said is None else frozenset(said)


def _limits(body: Mapping[str, Any], before: Limits) -> Limits:
    """`before` with what the body says."""
    counts = ("rpm", "tpm", "concurrent", "max_tokens")
    said: dict[str, Any] = {
        name: read.integer(body, name, low=1, high=LARGEST) for name in counts if name in body
    }
    after = evolve(before, **said)
    if "budget_usd" in body:
        dollars = read.number(body, "budget_usd", low=0, high=1_000_000_000)
        after = evolve(after, budget_micros=None if dollars is None else round(dollars * 1_000_000))
    period = word(body, "budget_period", PERIODS)
    if period is not None:
        chosen: Period = next(one for one in PERIODS if one == period)
        after = evolve(after, period=chosen)
    return after


def _check_within(context: Context, limits: Limits, models: frozenset[str] | None) -> None:
    """A key that makes another one must not get rid of its own limits by that."""
    mine, own = context.principal.limits, context.principal.models
    if context.principal.admin:
        return
    for name in ("rpm", "tpm", "budget_micros", "concurrent", "max_tokens"):
        bound, asked = getattr(mine, name), getattr(limits, name)
        if bound is not None and (asked is None or asked > bound):
            raise Forbidden(f"{name}: a key cannot have more than the key that makes it")
    if own is not None and (models is None or not models <= own):
        raise Forbidden("models: a key cannot have more than the key that makes it")


def _expires(body: Mapping[str, Any], now: float) -> float | None:
    at = read.number(body, "expires_at")
    if at is None:
        return None
    if not math.isfinite(at) or not now < at < now + 100 * 366 * 86400:
        raise BadRequest(
            "expires_at: must be a moment to come, in seconds since 1970 (UTC)", param="expires_at"
        )
    return float(at)
