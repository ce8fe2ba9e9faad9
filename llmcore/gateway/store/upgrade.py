"""Bring a database to the newest schema, by one process at a time and as a whole or not at all; or say that it is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import inspect, text
from sqlalchemy.engine import Connection

from llmcore.gateway.store.engine import Database
from llmcore.gateway.store.errors import StoreOutdated
from llmcore.secret import Secret

if TYPE_CHECKING:  # at run time it is imported by a database that needs it: 15 MB, a third of a second
    from alembic.config import Config

HEAD = "0002"
"""The newest schema; a test holds it and the newest step together."""

_LOCK = 0x6C6C6D63  # "llmc": the number of our advisory lock in PostgreSQL


async def upgrade(url: Secret | str, revision: str = HEAD) -> tuple[str | None, str]:
    """Bring the database at `url` to `revision`; the schema before and after.

    Concurrent calls wait for each other. Raises StoreOutdated where the database is newer than that, StoreUnavailable.
    """
    database = Database(
        url, patience=None
    )  # a step may take its time, and so may waiting for another process
    try:
        return await upgrade_database(database, revision)
    finally:
        await database.close()


async def upgrade_database(database: Database, revision: str = HEAD) -> tuple[str | None, str]:
    """The same for an open one."""
    async with database.write() as connection:  # on SQLite this is the lock
        if not database.sqlite:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _LOCK})
        before = await connection.run_sync(_current)
        _refuse_newer(before, database)
        if before is None or before < revision:
            await connection.run_sync(_run, revision)
            return before, revision
        return before, before


async def check_current(database: Database) -> None:
    """Raise StoreOutdated unless the database has the newest schema."""
    async with database.read() as connection:
        found = await connection.run_sync(_current)
    _refuse_newer(found, database)
    if found != HEAD:
        schema = "no tables" if found is None else f"schema {found}"
        raise StoreOutdated(
            f"the database {database.where} has {schema}, this version needs {HEAD}; run `llmcore db upgrade`"
        )


def _refuse_newer(found: str | None, database: Database) -> None:
    if found is not None and found > HEAD:
        raise StoreOutdated(
            f"the database {database.where} has schema {found}, newer than {HEAD}; use the newer llmcore"
        )


def _current(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found


def _run(connection: Connection, revision: str) -> None:
    from alembic import command

    config = alembic_config()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def alembic_config() -> Config:
    """Where alembic finds the steps."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "llmcore.gateway.store:migrations")
    config.set_main_option("path_separator", "os")
    return config


def revisions() -> tuple[str, ...]:
    """All steps, first to last."""
    from alembic.script import ScriptDirectory

    script = ScriptDirectory.from_config(alembic_config())
    return tuple(reversed([step.revision for step in script.walk_revisions()]))
