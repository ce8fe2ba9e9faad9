"""`/api/sign-in`, `/api/sign-out`, `/api/me`, `/api/me/password`: browsers, by password or one-time token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llmcore.gateway.access.limits import Want
from llmcore.gateway.access.principal import Limits, Principal
from llmcore.gateway.api import schemas
from llmcore.gateway.api.fields import known
from llmcore.gateway.api.frame import Context, Reply, cookie_name
from llmcore.gateway.api.services import Services
from llmcore.gateway.api.table import Route
from llmcore.gateway.api.users import SHORTEST_PASSWORD
from llmcore.gateway.errors import BadRequest, Forbidden, TooMany, Unauthorized
from llmcore.gateway.mirror import read
from llmcore.gateway.store import User
from llmcore.gateway.vault import looks_opaque
from llmcore.secret import Secret

PER_SOURCE = Limits(rpm=20)
PER_NAME = Limits(rpm=10)


class SignInApi:
    """Signing in opens a session of its own each time, so an id that somebody planted is worth nothing."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self) -> Sequence[Route]:
        route = self._services.route
        return (
            route(
                *(
                    "POST",
                    "/api/sign-in",
                    "open",
                    "sign_in",
                    "By name and password, or by a one-time token.",
                    self.sign_in,
                ),
                request=schemas.SIGN_IN,
                response=schemas.ME,
                errors=(401, 403, 429, 503),
            ),
            route(
                *(
                    "POST",
                    "/api/sign-out",
                    "account",
                    "sign_out",
                    "End this browser's session.",
                    self.sign_out,
                ),
                response=schemas.DONE,
            ),
            route("GET", "/api/me", "account", "me", "Who you are.", self.me, response=schemas.ME),
            route(
                *(
                    "PUT",
                    "/api/me/password",
                    "account",
                    "password",
                    "Set your password; signs you out elsewhere.",
                    self.password,
                ),
                request=schemas.PASSWORD_BODY,
                response=schemas.ME,
                errors=(429,),
            ),
        )

    async def sign_in(self, context: Context) -> Reply:
        services, body = self._services, context.body
        known(body, ("name", "password", "token"))
        if context.head.get(b"sec-fetch-site") in {b"cross-site", b"same-site"}:
            raise Forbidden("sign in on this gateway's own page", code="csrf")
        name, password, token = (read.string(body, field) for field in ("name", "password", "token"))
        await self._knock(f"source {context.source}", PER_SOURCE)
        if token is not None:
            user = await self._by_token(token)
        elif name is not None and password is not None:
            await self._knock(f"name {name[:128].casefold()}", PER_NAME)
            user = await self._by_password(name, password)
        else:
            raise BadRequest("send name and password, or a token")
        if user is None:
            await services.audit(context, "sign_in.refused", "token" if token else (name or "")[:128])
            raise Unauthorized("that is not right, or not valid any more", code="sign_in_refused")
        return await self._welcomed(context, user)

    async def _knock(self, door: str, limits: Limits) -> None:
        """Raises TooMany for who tries too often."""
        try:
            await self._services.doors.reserve(door, limits, Want(), 0)
        except TooMany as error:
            raise TooMany("too many attempts; wait a minute", retry_after=error.retry_after) from None

    async def _by_token(self, token: str) -> User | None:
        services = self._services
        if not looks_opaque(token):
            return None
        digest = services.vault.tokens.digest("one-time token", token)
        return await services.store.one_time_tokens.use(digest, now=services.desk.wall())

    async def _by_password(self, name: str, password: str) -> User | None:
        """An unknown name takes as long as a wrong password."""
        services = self._services
        user = await services.store.users.by_name(name)
        stored = None if user is None else user.password_hash
        verified = await services.passwords.verify(stored, Secret(password))
        if user is None or user.disabled or not verified.ok:
            return None
        return user

    async def _welcomed(self, context: Context, user: User) -> Reply:
        services = self._services
        tokens, now, config = services.vault.tokens, services.desk.wall(), services.desk.config
        made, nonce = tokens.new_session_id(), tokens.new_nonce()
        lasts = config.session_days * 86400
        await services.store.web_sessions.create(
            user.id, made.digest, csrf=nonce, now=now, expires_at=now + lasts
        )
        await services.audit(context, "sign_in", user.id)
        principal = Principal(user.id, user.name, user.role, "session", csrf=tokens.csrf(made.digest, nonce))
        return Reply(_me(principal), headers={"set-cookie": self._cookie(made.token.reveal(), int(lasts))})

    async def sign_out(self, context: Context) -> Reply:
        principal = context.principal
        if principal.session_id is not None:
            await self._services.store.web_sessions.end(principal.user_id, principal.session_id)
            await self._services.audit(context, "sign_out", principal.user_id)
        return Reply({"ok": True}, headers={"set-cookie": self._cookie("", 0)})

    async def me(self, context: Context) -> Reply:
        return Reply(_me(context.principal))

    async def password(self, context: Context) -> Reply:
        """The old one must be said where there is one, unless this is the first."""
        services, body = self._services, context.body
        known(body, ("password", "old_password"))
        new, old = read.string(body, "password") or "", read.string(body, "old_password")
        if not SHORTEST_PASSWORD <= len(new) <= 256:
            raise BadRequest(f"password: must have {SHORTEST_PASSWORD} to 256 characters", param="password")
        if context.principal.via != "session":
            raise Forbidden("a password is set in a signed-in browser")
        user = await services.store.users.get(context.principal.user_id)
        await self._knock(f"name {context.principal.name.casefold()}", PER_NAME)
        if user is not None and user.password_hash is not None:
            verified = await services.passwords.verify(user.password_hash, Secret(old or ""))
            if not verified.ok:
                raise Forbidden("old_password: is not right", code="sign_in_refused")
        hashed = await services.passwords.hash(Secret(new))
        changed = await services.store.users.update(context.principal.user_id, password_hash=hashed)
        await services.audit(context, "password.change", context.principal.user_id)
        if changed is None:
            raise Unauthorized("this account is gone")
        return await self._welcomed(context, changed)

    def _cookie(self, value: str, seconds: int) -> str:
        secure = self._services.desk.config.secure
        ends = "; Secure" if secure else ""
        return f"{cookie_name(secure)}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{ends}"


def _me(principal: Principal) -> dict[str, Any]:
    return {
        "user": {"id": principal.user_id, "name": principal.name, "role": principal.role},
        "via": principal.via,
        "scopes": sorted(principal.scopes),
        "csrf": principal.csrf,
    }
