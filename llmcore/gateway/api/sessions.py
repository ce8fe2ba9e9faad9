"""`/api/sessions`: conversations and agent runs that keep their provider and model, and can be switched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llmcore.gateway.api import schemas
from llmcore.gateway.api.fields import found, known, maybe, required, text, whole
from llmcore.gateway.api.frame import Context, Reply
from llmcore.gateway.api.services import Services
from llmcore.gateway.api.table import Route
from llmcore.gateway.errors import BadRequest
from llmcore.gateway.http import as_json
from llmcore.gateway.mirror import read
from llmcore.gateway.resolve import OWN
from llmcore.gateway.store import UNSET, ChatSession, SessionAgent

FIELDS = ("title", "provider", "model", "settings", "agents")
MOST_AGENTS = 100
MAX_SETTINGS = 8192


class SessionsApi:
    """The endpoints; another user's session is one that does not exist."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self) -> Sequence[Route]:
        route, at, out = self._services.route, "/api/sessions", schemas.SESSION
        return (
            route(
                *("GET", at, "account", "sessions", "Your sessions, the last used first.", self.list),
                response=schemas.page(out),
                query=schemas.PAGING,
            ),
            route(
                *("POST", at, "account", "sessions", "A new session.", self.create),
                request=schemas.SESSION_BODY,
                response=out,
                status=201,
            ),
            route("GET", f"{at}/{{id}}", "account", "session", "One of them.", self.get, response=out),
            route(
                *(
                    "PATCH",
                    f"{at}/{{id}}",
                    "account",
                    "session",
                    "Switch provider or model, or rename it.",
                    self.patch,
                ),
                request=schemas.SESSION_PATCH,
                response=out,
            ),
            route(
                "DELETE", f"{at}/{{id}}", "account", "session", "End it.", self.delete, response=schemas.DONE
            ),
        )

    async def list(self, context: Context) -> Reply:
        limit = whole(context.query, "limit", 100, low=1, high=1000)
        page = await self._services.store.sessions.list(
            context.principal.user_id, limit=limit, cursor=context.query.get("cursor")
        )
        return Reply({"data": [_json(one) for one in page.items], "next": page.next})

    async def create(self, context: Context) -> Reply:
        body = context.body
        known(body, FIELDS)
        provider = self._provider(required(body, "provider"))
        session = await self._services.store.sessions.create(
            context.principal.user_id,
            provider=provider,
            model=text(body, "model"),
            now=self._services.desk.wall(),
            title=text(body, "title") or "",
            settings=_settings(body) or {},
            agents=self._agents(body) or (),
        )
        return Reply(_json(session), status=201)

    async def get(self, context: Context) -> Reply:
        one = await self._services.store.sessions.get(context.principal.user_id, context.params["id"])
        return Reply(_json(found(one, "session")))

    async def patch(self, context: Context) -> Reply:
        body, user, session_id = context.body, context.principal.user_id, context.params["id"]
        known(body, FIELDS)
        provider, agents, settings = text(body, "provider"), self._agents(body), _settings(body)
        session = await self._services.store.sessions.update(
            user,
            session_id,
            now=self._services.desk.wall(),
            title=text(body, "title") or "" if "title" in body else UNSET,
            provider=UNSET if provider is None else self._provider(provider),
            model=maybe(body, "model", text(body, "model")),
            settings=UNSET if settings is None else settings,
            agents=UNSET if agents is None else agents,
        )
        self._services.desk.resolver.session_changed(user, session_id)
        return Reply(_json(found(session, "session")))

    async def delete(self, context: Context) -> Reply:
        user, session_id = context.principal.user_id, context.params["id"]
        found(await self._services.store.sessions.delete(user, session_id), "session")
        self._services.desk.resolver.session_changed(user, session_id)
        return Reply({"ok": True})

    def _provider(self, name: str) -> str:
        """A system provider, a kind, or "own". Raises BadRequest."""
        backend = self._services.desk.backend
        names = {one.name for one in backend.providers()} | {one.kind for one in backend.kinds()} | {OWN}
        if name not in names:
            raise BadRequest(
                f"provider: there is none named {name!r}", param="provider", code="provider_not_found"
            )
        return name

    def _agents(self, body: Mapping[str, Any]) -> tuple[SessionAgent, ...] | None:
        """The agents with a provider of their own; None where the body says nothing of them."""
        value = body.get("agents")
        if value is None:
            return None
        if not isinstance(value, dict) or len(value) > MOST_AGENTS:
            raise BadRequest(f"agents: must be an object of at most {MOST_AGENTS} agents", param="agents")
        agents = []
        for name, choice in value.items():
            if not name or len(name) > 100 or not name.isprintable():
                raise BadRequest("agents: a name has 1 to 100 printable characters", param="agents")
            one = read.an_object(choice, f"agents.{name}")
            known(one, ("provider", "model"))
            agents.append(SessionAgent(name, self._provider(required(one, "provider")), text(one, "model")))
        return tuple(agents)


def _settings(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    value = body.get("settings")
    if value is None:
        return None
    settings = read.an_object(value, "settings")
    if len(as_json(settings)) > MAX_SETTINGS:
        raise BadRequest(f"settings: at most {MAX_SETTINGS} bytes are kept", param="settings")
    return settings


def _json(session: ChatSession) -> dict[str, Any]:
    return {
        "id": session.id,
        "title": session.title,
        "provider": session.provider,
        "model": session.model,
        "settings": dict(session.settings),
        "agents": {one.agent: {"provider": one.provider, "model": one.model} for one in session.agents},
        "created_at": session.created_at,
        "updated_at": session.updated_at,
    }
