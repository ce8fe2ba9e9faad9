"""Chat sessions: conversations and agent runs with a provider of their own; every query is bound to one user."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import RowMapping, case, delete, insert, null, select, update

from llmcore.gateway.store.connection import AsyncConnection
from llmcore.gateway.store.cursor import page
from llmcore.gateway.store.engine import Database
from llmcore.gateway.store.errors import StoreInvalid
from llmcore.gateway.store.records import UNSET, ChatSession, Page, SessionAgent, Unset, new_id
from llmcore.gateway.store.tables import chat_sessions, session_agents

MOST_AGENTS = 100


class Sessions:
    """The sessions of all users. Another user's session is one that does not exist."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(
        self,
        user_id: str,
        *,
        provider: str,
        model: str | None,
        now: float,
        title: str = "",
        settings: Mapping[str, Any] | None = None,
        agents: Iterable[SessionAgent] = (),
    ) -> ChatSession:
        """A new session. Raises StoreConflict where there is no such user, StoreInvalid for an agent named twice."""
        session = ChatSession(
            new_id(), user_id, title, provider, model, now, now, settings or {}, _agents(agents)
        )
        values = {
            "id": session.id,
            "user_id": user_id,
            "title": title,
            "provider": provider,
            "model": model,
            "settings": dict(session.settings),
            "created_at": now,
            "updated_at": now,
        }
        async with self._database.write() as connection:
            await connection.execute(insert(chat_sessions).values(values))
            await _put_agents(connection, session.id, session.agents)
        return session

    async def get(self, user_id: str, session_id: str) -> ChatSession | None:
        async with self._database.read() as connection:
            return await _get(connection, user_id, session_id)

    async def list(self, user_id: str, *, limit: int = 100, cursor: str | None = None) -> Page[ChatSession]:
        """One user's sessions, the last used first."""
        query = select(chat_sessions).where(chat_sessions.c.user_id == user_id)
        order = (chat_sessions.c.updated_at, chat_sessions.c.id)
        async with self._database.read() as connection:
            rows = await page(connection, "sessions", query, order, dict, limit=limit, cursor=cursor)
            agents = await _agents_of(connection, [row["id"] for row in rows.items])
        return Page(tuple(_session_of(row, agents.get(row["id"], ())) for row in rows.items), rows.next)

    async def update(
        self,
        user_id: str,
        session_id: str,
        *,
        now: float,
        title: str | Unset = UNSET,
        provider: str | Unset = UNSET,
        model: str | Unset | None = UNSET,
        settings: Mapping[str, Any] | Unset = UNSET,
        agents: Iterable[SessionAgent] | Unset = UNSET,
    ) -> ChatSession | None:
        """Change what is given; `agents` are replaced as a whole. None for another's session.

        A model belongs to its provider: where another one is given without a model, the session has none of its own.
        """
        said = {"title": title, "provider": provider, "model": model}
        values: dict[str, Any] = {name: value for name, value in said.items() if value is not UNSET}
        values["updated_at"] = now
        if settings is not UNSET:
            values["settings"] = dict(settings)
        table = chat_sessions
        if provider is not UNSET and model is UNSET:
            values["model"] = case((table.c.provider == provider, table.c.model), else_=null())
        mine = update(table).where(table.c.id == session_id, table.c.user_id == user_id)
        async with self._database.write() as connection:
            if (await connection.execute(mine.values(values))).rowcount == 0:
                return None
            if agents is not UNSET:
                await connection.execute(
                    delete(session_agents).where(session_agents.c.session_id == session_id)
                )
                await _put_agents(connection, session_id, _agents(agents))
            return await _get(connection, user_id, session_id)

    async def set_agent(
        self, user_id: str, session_id: str, agent: SessionAgent, *, now: float
    ) -> ChatSession | None:
        """Give one agent of the session its provider and model. None for another's session."""
        return await self._change_agents(user_id, session_id, agent.agent, agent, now)

    async def remove_agent(
        self, user_id: str, session_id: str, agent: str, *, now: float
    ) -> ChatSession | None:
        """That agent uses the session's provider again. None for another's session."""
        return await self._change_agents(user_id, session_id, agent, None, now)

    async def delete(self, user_id: str, session_id: str) -> bool:
        table = chat_sessions
        mine = delete(table).where(table.c.id == session_id, table.c.user_id == user_id)
        async with self._database.write() as connection:
            return (await connection.execute(mine)).rowcount > 0

    async def _change_agents(
        self, user_id: str, session_id: str, name: str, agent: SessionAgent | None, now: float
    ) -> ChatSession | None:
        table = chat_sessions
        mine = update(table).where(table.c.id == session_id, table.c.user_id == user_id)
        async with self._database.write() as connection:
            # the update comes first: it locks the session, so that two changes of one agent wait for each other
            if (await connection.execute(mine.values(updated_at=now))).rowcount == 0:
                return None
            ours = (session_agents.c.session_id == session_id, session_agents.c.agent == name)
            await connection.execute(delete(session_agents).where(*ours))
            if agent is not None:
                await _put_agents(connection, session_id, (agent,))
            session = await _get(connection, user_id, session_id)
            _agents(() if session is None else session.agents)
            return session


def _agents(agents: Iterable[SessionAgent]) -> tuple[SessionAgent, ...]:
    """By name. Raises StoreInvalid where there are too many, or two of one name."""
    found = tuple(sorted(agents, key=lambda agent: agent.agent))
    if len({agent.agent for agent in found}) != len(found) or len(found) > MOST_AGENTS:
        raise StoreInvalid(f"a session has at most {MOST_AGENTS} agents, each of another name")
    return found


async def _put_agents(connection: AsyncConnection, session_id: str, agents: tuple[SessionAgent, ...]) -> None:
    if agents:
        rows = [
            {"session_id": session_id, "agent": one.agent, "provider": one.provider, "model": one.model}
            for one in agents
        ]
        await connection.execute(insert(session_agents), rows)


async def _agents_of(connection: AsyncConnection, ids: list[str]) -> dict[str, tuple[SessionAgent, ...]]:
    table = session_agents
    query = select(table).where(table.c.session_id.in_(ids)).order_by(table.c.session_id, table.c.agent)
    found: dict[str, tuple[SessionAgent, ...]] = {}
    for row in (await connection.execute(query)).mappings():
        agent = SessionAgent(row["agent"], row["provider"], row["model"])
        found[row["session_id"]] = (*found.get(row["session_id"], ()), agent)
    return found


async def _get(connection: AsyncConnection, user_id: str, session_id: str) -> ChatSession | None:
    table = chat_sessions
    query = select(table).where(table.c.id == session_id, table.c.user_id == user_id)
    row = (await connection.execute(query)).mappings().first()
    if row is None:
        return None
    agents = await _agents_of(connection, [session_id])
    return _session_of(row, agents.get(session_id, ()))


def _session_of(row: Mapping[str, Any] | RowMapping, agents: tuple[SessionAgent, ...]) -> ChatSession:
    return ChatSession(**row, agents=agents)
