"""The store: one open database and all its repositories."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import text

from llmcore.gateway.store.audit import Audit
from llmcore.gateway.store.engine import Database
from llmcore.gateway.store.keys import VirtualKeys
from llmcore.gateway.store.sealed import SealedValues
from llmcore.gateway.store.sessions import Sessions
from llmcore.gateway.store.settings import ConnectionTests, Settings
from llmcore.gateway.store.upgrade import check_current, upgrade
from llmcore.gateway.store.usage import Usage
from llmcore.gateway.store.users import OneTimeTokens, Users, WebSessions
from llmcore.secret import Secret


class Store:
    """Everything that the gateway keeps. Each method of a repository is one transaction."""

    def __init__(self, database: Database) -> None:
        self.database: Database = database
        self.users: Users = Users(database)
        self.one_time_tokens: OneTimeTokens = OneTimeTokens(database)
        self.web_sessions: WebSessions = WebSessions(database)
        self.keys: VirtualKeys = VirtualKeys(database)
        self.settings: Settings = Settings(database)
        self.connection_tests: ConnectionTests = ConnectionTests(database)
        self.sessions: Sessions = Sessions(database)
        self.usage: Usage = Usage(database)
        self.audit: Audit = Audit(database)
        self.sealed: SealedValues = SealedValues(database)

    def __repr__(self) -> str:
        return f"Store({self.database.where!r})"

    async def ping(self) -> None:
        """Raise StoreUnavailable where the database does not answer."""
        async with self.database.read() as connection:
            await connection.execute(text("SELECT 1"))


@asynccontextmanager
async def open_store(url: Secret | str, *, migrate: bool = True) -> AsyncIterator[Store]:
    """The store at `url` (sqlite:///path, postgresql://user:password@host/name), closed at the end of the block.

    migrate: bring it to the newest schema first; False raises StoreOutdated where it is not. Raises StoreError, in one
    line that says what to do, where the database cannot be used.
    """
    if migrate:
        await upgrade(url)
    database = Database(url)
    try:
        await check_current(database)
        yield Store(database)
    finally:
        await database.close()
