"""What users, and the system, chose: provider, model, address, sealed key; and the last test of each connection.

A key belongs to the provider and address that it was entered for: where either changes, it goes (T4).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from attrs import evolve
from sqlalchemy import RowMapping, delete, insert, select, update

from llmcore.gateway.store.connection import AsyncConnection
from llmcore.gateway.store.engine import Database
from llmcore.gateway.store.errors import StoreConflict, StoreInvalid
from llmcore.gateway.store.records import (
    SYSTEM,
    UNSET,
    ConnectionTest,
    LlmSettings,
    SealedKey,
    SettingsChange,
)
from llmcore.gateway.store.tables import connection_tests, llm_settings, meta, users

_PORTS = {"https": 443, "http": 80}


def origin_of(base_url: str | None) -> str | None:
    """Scheme, host and port of an address; None for None. Raises StoreInvalid for what is no http(s) URL."""
    if base_url is None:
        return None
    try:
        parts = urlsplit(base_url)
        port, host = parts.port or _PORTS[parts.scheme], parts.hostname or ""
    except (ValueError, KeyError):
        host = ""
    if not host or any(char in base_url for char in "\\\r\n\t @"):
        msg = "base_url must be an http or https URL without user name"
        raise StoreInvalid(msg, param="base_url")
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def settings_of(row: RowMapping) -> LlmSettings:
    key = None
    if row["sealed_key"] is not None:
        key = SealedKey(row["sealed_key"], row["key_id"], row["key_last4"] or "")
    return LlmSettings(
        user_id=row["user_id"],
        provider=row["provider"],
        version=row["version"],
        updated_at=row["updated_at"],
        model=row["model"],
        embedding_model=row["embedding_model"],
        base_url=row["base_url"],
        origin=row["origin"],
        key=key,
        temperature=row["temperature"],
        max_tokens=row["max_tokens"],
    )


def _values(settings: LlmSettings) -> dict[str, Any]:
    names = ("user_id", "provider", "model", "embedding_model", "base_url", "origin", "temperature")
    key = settings.key
    return {name: getattr(settings, name) for name in (*names, "max_tokens", "updated_at", "version")} | {
        "sealed_key": None if key is None else key.sealed,
        "key_id": None if key is None else key.key_id,
        "key_last4": None if key is None else key.last4,
    }


def changed(settings: LlmSettings | None, user_id: str, change: SettingsChange, now: float) -> LlmSettings:
    """What `settings` become by `change`: the next version, without the key where provider or address are others.

    Another provider leaves nothing of the one before: without a word on them, model and address are its usual ones.
    """
    if settings is None:
        if change.provider is UNSET:
            msg = "provider is missing"
            raise StoreInvalid(msg)
        settings = LlmSettings(user_id, change.provider, 0, now)
    names = ("provider", "model", "embedding_model", "base_url", "temperature", "max_tokens")
    said = {name: value for name in names if (value := getattr(change, name)) is not UNSET}
    if said.get("provider", settings.provider) != settings.provider:
        said = {"model": None, "embedding_model": None, "base_url": None} | said
    after = evolve(settings, **said)
    moved = (after.provider, after.base_url) != (settings.provider, settings.base_url)
    key = change.key if change.key is not UNSET else None if moved else settings.key
    return evolve(
        after, origin=origin_of(after.base_url), key=key, version=settings.version + 1, updated_at=now
    )


class Settings:
    """The settings of all users; `user_id` SYSTEM ("") names the system's."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, user_id: str) -> LlmSettings | None:
        async with self._database.read() as connection:
            return await _get(connection, user_id)

    async def patch(
        self, user_id: str, change: SettingsChange, *, now: float, expected: int | None = None
    ) -> LlmSettings:
        """Change what is given, make it where there is nothing yet.

        expected: the version that the change was made for, 0 for "nothing yet", None for any. Raises StoreConflict where
        it is another one by now or the sealing key was retired, StoreInvalid without provider or with a bad base_url.
        """
        async with self._database.write() as connection:
            before = await _get(connection, user_id, lock=True)
            return await self._store(
                connection, user_id, before, change, now=now, expected=expected, fresh=False
            )

    async def put(
        self, user_id: str, change: SettingsChange, *, now: float, expected: int | None = None
    ) -> LlmSettings:
        """The same, where all that is not given is cleared; the key stays only for the same provider and address."""
        async with self._database.write() as connection:
            before = await _get(connection, user_id, lock=True)
            return await self._store(
                connection, user_id, before, change, now=now, expected=expected, fresh=True
            )

    async def delete(self, user_id: str, *, expected: int | None = None) -> bool:
        """Forget them, key and tests too. Raises StoreConflict where the version is another one."""
        async with self._database.write() as connection:
            before = await _get(connection, user_id, lock=True)
            _expect(before, expected)
            for table in (llm_settings, connection_tests):
                await connection.execute(delete(table).where(table.c.user_id == user_id))
        return before is not None

    async def _store(
        self,
        connection: AsyncConnection,
        user_id: str,
        before: LlmSettings | None,
        change: SettingsChange,
        *,
        now: float,
        expected: int | None,
        fresh: bool,
    ) -> LlmSettings:
        _expect(before, expected)
        if user_id != SYSTEM and before is None:
            await _require_user(connection, user_id)
        after = changed(before, user_id, cleared(change) if fresh else change, now)
        if after.key is not None and (before is None or after.key != before.key):
            await refuse_retired(connection, after.key.key_id)
        if before is None:
            await connection.execute(insert(llm_settings).values(_values(after)))
        else:
            mine = update(llm_settings).where(llm_settings.c.user_id == user_id)
            await connection.execute(mine.values(_values(after)))
        return after


def cleared(change: SettingsChange) -> SettingsChange:
    """`change` as a PUT means it: what is not given is None, but for provider and key."""
    names = ("model", "embedding_model", "base_url", "temperature", "max_tokens")
    gone: dict[str, Any] = {name: None for name in names if getattr(change, name) is UNSET}
    return evolve(change, **gone)


async def _get(connection: AsyncConnection, user_id: str, *, lock: bool = False) -> LlmSettings | None:
    query = select(llm_settings).where(llm_settings.c.user_id == user_id)
    row = (await connection.execute(query.with_for_update() if lock else query)).mappings().first()
    return None if row is None else settings_of(row)


def _expect(before: LlmSettings | None, expected: int | None) -> None:
    if expected is not None and expected != (0 if before is None else before.version):
        msg = "the settings were changed meanwhile; read them again"
        raise StoreConflict(msg)


async def _require_user(connection: AsyncConnection, user_id: str) -> None:
    query = select(users.c.id).where(users.c.id == user_id).with_for_update(read=True)
    if (await connection.execute(query)).first() is None:
        msg = "there is no such user"
        raise StoreConflict(msg)


class RetiredKey(StoreConflict):
    """The value was sealed with a master key that is being removed: read the keyring again and seal anew."""


async def refuse_retired(connection: AsyncConnection, key_id: str) -> None:
    """Raise RetiredKey where `key_id` may seal nothing any more; until the transaction ends it cannot be retired."""
    query = select(meta.c.value).where(meta.c.name == "retired_keys").with_for_update(read=True)
    if key_id in json.loads((await connection.execute(query)).scalar_one()):
        msg = "the master key was changed; try again"
        raise RetiredKey(msg)


class ConnectionTests:
    """The last test of each connection."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(self, user_id: str, test: ConnectionTest) -> None:
        """Keep what a test of that user found, instead of the one before. `test.error` must be redacted."""
        table = connection_tests
        values: Mapping[str, Any] = {
            "user_id": user_id,
            "provider": test.provider,
            "at": test.at,
            "ok": test.ok,
            "latency_ms": test.latency_ms,
            "error": test.error,
        }
        async with self._database.write() as connection:
            mine = (table.c.user_id == user_id, table.c.provider == test.provider)
            await connection.execute(delete(table).where(*mine))
            await connection.execute(insert(table).values(values))

    async def latest(self, user_id: str) -> tuple[ConnectionTest, ...]:
        """The last test of each of that user's providers, newest first."""
        table = connection_tests
        query = select(table).where(table.c.user_id == user_id).order_by(table.c.at.desc())
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return tuple(ConnectionTest(**row) for row in rows)
