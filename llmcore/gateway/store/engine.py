"""One open database: SQLite in a file (WAL, only its owner can read it), or PostgreSQL by its URL.

`read` and `write` give a connection inside a transaction. A write on SQLite takes the lock at once, and writers of this
process wait for each other in order; a transaction that has begun is never cut by a cancellation, so keep it short.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
from sqlalchemy import create_engine, event
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.util import greenlet_spawn

from llmcore.gateway.store.connection import AsyncConnection
from llmcore.gateway.store.errors import StoreError, driver_errors, translated
from llmcore.secret import Secret

BUSY_MS = 10_000
"""How long SQLite waits for another process that writes."""

WAL_TRIES = 200

PATIENCE_S = 15.0

_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+asyncpg",
    "postgres": "postgresql+asyncpg",
}
_WRITE = "llmcore_write"


class Database:
    """An open database. `where` names it without a password; `close` it in the end.

    patience: seconds that PostgreSQL may take for one statement, None for any time.
    """

    def __init__(self, url: Secret | str, *, patience: float | None = PATIENCE_S) -> None:
        self._url = read_url(url)
        self.sqlite: bool = self._url.get_backend_name() == "sqlite"
        self.where: str = self._url.render_as_string(hide_password=True)
        self._drivers = driver_errors(postgres=not self.sqlite)
        if self.sqlite:
            make_private(Path(self._url.database or ""))
        self._engine = _engine(self._url, patience)
        self._writer = self._engine.execution_options(**{_WRITE: True})
        self._turn = anyio.Lock() if self.sqlite else nullcontext()

    def __repr__(self) -> str:
        return f"Database({self.where!r})"

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A connection for reading. Raises StoreUnavailable, StoreInvalid."""
        async with self._connection(self._engine) as connection:
            yield connection

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """A connection in a transaction: committed at the end, rolled back at any error. Raises any StoreError."""
        async with self._turn, self._connection(self._writer) as connection:
            yield connection

    @asynccontextmanager
    async def _connection(self, engine: Engine) -> AsyncIterator[AsyncConnection]:
        await anyio.lowlevel.checkpoint_if_cancelled()
        # Shielded as a whole: a statement that was sent is waited for, as drivers tear their connection down where they
        # are cut in the middle. It is short: statements and waits end by their own timeouts.
        with translated(self.where, self._drivers), anyio.CancelScope(shield=True):
            connection = await AsyncConnection.begun(engine)
            try:
                yield connection
                await connection.commit()
            finally:
                await connection.close()  # rolls back what was not committed

    async def close(self) -> None:
        with anyio.CancelScope(shield=True):
            await greenlet_spawn(self._engine.dispose)


def read_url(url: Secret | str) -> URL:
    """A database URL with the driver that is used. Raises StoreError without repeating it."""
    text = url.reveal() if isinstance(url, Secret) else url
    try:
        found = make_url(text)
    except (ArgumentError, ValueError):
        found = None
    driver = _DRIVERS.get(found.drivername.partition("+")[0]) if found is not None else None
    if found is None or driver is None:
        msg = "database_url is not one that can be used; write sqlite:///path or postgresql://user@host/name"
        raise StoreError(msg)
    if driver.startswith("sqlite") and (not found.database or found.database == ":memory:" or found.query):
        msg = "database_url must name a file: sqlite:///path"
        raise StoreError(msg)
    query = dict(found.query)
    if "sslmode" in query:  # as libpq spells what asyncpg calls ssl
        query["ssl"] = query.pop("sslmode")
    return found.set(drivername=driver, query=query)


def sqlite_url(path: Path) -> str:
    """The URL of a SQLite file."""
    return URL.create("sqlite+aiosqlite", database=str(path)).render_as_string()


def _engine(url: URL, patience: float | None) -> Engine:
    options: dict[str, Any] = {"hide_parameters": True, "pool_timeout": 10.0}
    if url.get_backend_name() != "sqlite":
        wait = {"timeout": 5.0, "command_timeout": patience}
        return create_engine(
            url, pool_size=5, max_overflow=5, pool_pre_ping=True, connect_args=wait, **options
        )
    # isolation_level None: the driver begins no transactions by itself, `_begin` does
    arguments = {"isolation_level": None, "timeout": BUSY_MS / 1000}
    engine = create_engine(url, pool_size=4, max_overflow=2, connect_args=arguments, **options)
    event.listen(engine, "connect", _pragmas)
    event.listen(engine, "begin", _begin)
    return engine


def _pragmas(connection: Any, record: object) -> None:
    connection.run_async(_set_up)


async def _set_up(driver: Any) -> None:
    """`driver` is aiosqlite's connection. The first change to WAL does not wait for others as all else does."""
    for tries_left in reversed(range(WAL_TRIES)):
        try:
            await driver.execute("PRAGMA journal_mode=WAL")
            break
        except sqlite3.OperationalError:
            if not tries_left:
                raise
            await anyio.sleep(BUSY_MS / 1000 / WAL_TRIES)
    for pragma in ("synchronous=NORMAL", "foreign_keys=ON", "secure_delete=ON"):
        await driver.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    """A reader begins when it reads; a writer takes the lock now, as changing from one to the other may fail."""
    writes = connection.get_execution_options().get(_WRITE)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def make_private(path: Path) -> None:
    """The file, 0600 whatever the umask is, in a directory that is made 0700; SQLite gives its side files the same mode."""
    try:
        _make_directory(path.parent)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.name == "posix" and os.fstat(handle).st_mode & 0o077:
                os.fchmod(handle, 0o600)
        finally:
            os.close(handle)
    except OSError as error:
        reason = error.strerror
    else:
        return
    raise StoreError(f"the database file {path} cannot be opened: {reason}; mend database_url or data_dir")


def _make_directory(path: Path) -> None:
    if not path.is_dir():
        _make_directory(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)
        path.chmod(0o700)
