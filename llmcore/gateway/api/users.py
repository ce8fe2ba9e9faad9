"""`/api/users`: accounts, for administrators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llmcore.gateway.access.principal import Role
from llmcore.gateway.api import schemas
from llmcore.gateway.api.fields import found, known, required, whole, word
from llmcore.gateway.api.frame import Context, Reply
from llmcore.gateway.api.services import Services
from llmcore.gateway.api.table import Route
from llmcore.gateway.errors import BadRequest, Conflict
from llmcore.gateway.mirror import read
from llmcore.gateway.store import UNSET, User
from llmcore.secret import Secret

ROLES: tuple[Role, ...] = ("admin", "user")
SHORTEST_PASSWORD = 10
LINK_S = 3600.0


class UsersApi:
    """The endpoints. A user that is disabled or deleted loses keys and sessions at once."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self) -> Sequence[Route]:
        route, at, out = self._services.route, "/api/users", schemas.USER
        return (
            route(
                *("GET", at, "admin", "users", "All users, newest first.", self.list),
                response=schemas.page(out),
                query=schemas.PAGING,
            ),
            route(
                *("POST", at, "admin", "users", "A new user.", self.create),
                request=schemas.USER_BODY,
                response=out,
                status=201,
                errors=(409,),
            ),
            route("GET", f"{at}/{{id}}", "admin", "user", "One of them.", self.get, response=out),
            route(
                *("PATCH", f"{at}/{{id}}", "admin", "user", "Another role or password; disable.", self.patch),
                request=schemas.USER_PATCH,
                response=out,
                errors=(409,),
            ),
            route(
                "DELETE",
                f"{at}/{{id}}",
                "admin",
                "user",
                "Remove for good.",
                self.delete,
                response=schemas.DONE,
                errors=(409,),
            ),
            route(
                *("POST", f"{at}/{{id}}/link", "admin", "user_link"),
                "A token that signs that user in once, within an hour.",
                self.link,
                response=schemas.LINK,
                status=201,
            ),
            route(
                *("GET", "/api/audit", "admin", "audit", "Who did what, newest first.", self.audit),
                response=schemas.page(schemas.AUDIT),
                query=schemas.AUDIT_QUERY,
            ),
        )

    async def list(self, context: Context) -> Reply:
        limit = whole(context.query, "limit", 100, low=1, high=1000)
        page = await self._services.store.users.list(limit=limit, cursor=context.query.get("cursor"))
        return Reply({"data": [user_json(one) for one in page.items], "next": page.next})

    async def create(self, context: Context) -> Reply:
        body, services = context.body, self._services
        known(body, ("name", "role", "password"))
        name, role = required(body, "name", longest=128), _role(body) or "user"
        hashed = await self._hashed(body)
        user = await services.store.users.create(name, role, now=services.desk.wall(), password_hash=hashed)
        await services.audit(context, "user.create", user.id, name=name, role=role)
        return Reply(user_json(user), status=201)

    async def get(self, context: Context) -> Reply:
        return Reply(user_json(found(await self._services.store.users.get(context.params["id"]), "user")))

    async def patch(self, context: Context) -> Reply:
        body, services, user_id = context.body, self._services, context.params["id"]
        known(body, ("role", "disabled", "password"))
        role, disabled = _role(body), read.boolean(body, "disabled")
        if disabled or role == "user":
            _not_oneself(context, user_id)
        user = await services.store.users.update(
            user_id,
            role=UNSET if role is None else role,
            disabled=UNSET if disabled is None else disabled,
            password_hash=await self._hashed(body) if "password" in body else UNSET,
        )
        services.desk.authenticator.forget(user_id=user_id)
        changed = found(user, "user")
        await services.audit(
            context, "user.change", user_id, fields=sorted(body), role=role, disabled=disabled
        )
        return Reply(user_json(changed))

    async def delete(self, context: Context) -> Reply:
        services, user_id = self._services, context.params["id"]
        _not_oneself(context, user_id)
        found(await services.store.users.delete(user_id), "user")
        services.desk.authenticator.forget(user_id=user_id)
        await services.desk.resolver.settings_changed(user_id)
        await services.audit(context, "user.delete", user_id)
        return Reply({"ok": True})

    async def link(self, context: Context) -> Reply:
        services, user_id = self._services, context.params["id"]
        found(await services.store.users.get(user_id), "user")
        made, now = services.vault.tokens.new_one_time_token(), services.desk.wall()
        await services.store.one_time_tokens.add(user_id, made.digest, now=now, expires_at=now + LINK_S)
        await services.audit(context, "user.link", user_id)
        return Reply({"token": made.token.reveal()}, status=201)

    async def audit(self, context: Context) -> Reply:
        query = context.query
        page = await self._services.store.audit.list(
            actor=query.get("actor"),
            action=query.get("action"),
            limit=whole(query, "limit", 100, low=1, high=1000),
            cursor=query.get("cursor"),
        )
        entries = [
            {
                "id": one.id,
                "at": one.at,
                "actor": one.actor,
                "source": one.source,
                "action": one.action,
                "target": one.target,
                "detail": dict(one.detail),
            }
            for one in page.items
        ]
        return Reply({"data": entries, "next": page.next})

    async def _hashed(self, body: Mapping[str, Any]) -> str | None:
        password = read.string(body, "password")
        if password is None:
            return None
        if not SHORTEST_PASSWORD <= len(password) <= 256:
            raise BadRequest(
                f"password: must have {SHORTEST_PASSWORD} to 256 characters",
                param="password",
                code="bad_password",
            )
        return await self._services.passwords.hash(Secret(password))


def user_json(user: User) -> dict[str, Any]:
    return {
        "id": user.id,
        "name": user.name,
        "role": user.role,
        "disabled": user.disabled,
        "created_at": user.created_at,
        "password_set": user.password_hash is not None,
    }


def _not_oneself(context: Context, user_id: str) -> None:
    """Raises Conflict: there shall always be an administrator left."""
    if user_id == context.principal.user_id:
        raise Conflict("administrators cannot disable, demote or remove themselves; ask another one")


def _role(body: Mapping[str, Any]) -> Role | None:
    said = word(body, "role", ROLES)
    return next((role for role in ROLES if role == said), None)
