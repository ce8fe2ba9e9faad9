"""All ciphertext in the database: what the vault must be able to open, and what a change of master keys seals anew."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from attrs import field, frozen
from sqlalchemy import insert, select, update

from llmcore.gateway.store.connection import AsyncConnection
from llmcore.gateway.store.engine import Database
from llmcore.gateway.store.errors import StoreConflict
from llmcore.gateway.store.records import LlmSettings, SealedKey
from llmcore.gateway.store.settings import refuse_retired, settings_of
from llmcore.gateway.store.tables import llm_settings, meta

SYSTEM_PROVIDERS = "system_providers"
"""The row of `meta` with the providers that administrators have added; see `gateway.system`."""

_PEPPER, _RETIRED = "pepper", "retired_keys"


@frozen
class SealedPepper:
    """The pepper of all tokens as it is stored."""

    sealed: str = field(repr=False)
    key_id: str


class SealedValues:
    """Ciphertext of all users; for the vault alone."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def key_ids(self) -> frozenset[str]:
        """The master keys that something is sealed with; empty where there is no ciphertext at all."""
        async with self._database.read() as connection:
            return await _key_ids(connection)

    async def pepper(self) -> SealedPepper | None:
        async with self._database.read() as connection:
            return await _pepper(connection)

    async def keep_pepper(self, pepper: SealedPepper) -> SealedPepper:
        """Keep the first pepper of this installation; the one that counts, which another process may have made."""
        async with self._database.write() as connection:
            # the row that is always there is the lock: an absent one cannot be locked
            await refuse_retired_exclusive(connection, pepper.key_id)
            found = await _pepper(connection)
            if found is not None:
                return found
            await connection.execute(insert(meta).values(name=_PEPPER, value=_write(pepper)))
        return pepper

    async def reseal_pepper(self, old: SealedPepper, new: SealedPepper) -> bool:
        """Put `new` in the place of `old`; False where it is another one by now."""
        same = (meta.c.name == _PEPPER, meta.c.value == _write(old))
        async with self._database.write() as connection:
            await refuse_retired(connection, new.key_id)
            done = await connection.execute(update(meta).where(*same).values(value=_write(new)))
        return done.rowcount > 0

    async def not_under(self, key_id: str, *, limit: int) -> tuple[LlmSettings, ...]:
        """Some settings whose key is sealed with another master key than `key_id`."""
        table = llm_settings
        query = select(table).where(table.c.sealed_key.is_not(None), table.c.key_id != key_id)
        async with self._database.read() as connection:
            rows = (await connection.execute(query.order_by(table.c.user_id).limit(limit))).mappings().all()
        return tuple(map(settings_of, rows))

    async def reseal(self, user_id: str, old: SealedKey, new: SealedKey) -> bool:
        """Put `new` in the place of `old`; False where the user has changed the key meanwhile. No new version: nothing changed."""
        table = llm_settings
        same = (table.c.user_id == user_id, table.c.sealed_key == old.sealed, table.c.key_id == old.key_id)
        async with self._database.write() as connection:
            await refuse_retired(connection, new.key_id)
            values = {"sealed_key": new.sealed, "key_id": new.key_id}
            done = await connection.execute(update(table).where(*same).values(values))
        return done.rowcount > 0

    async def retire(self, key_ids: Collection[str]) -> None:
        """From now on nothing may be sealed with those. Raises StoreConflict where something is."""
        async with self._database.write() as connection:
            retired = await _retired_for_update(connection)
            if await _key_ids(connection) & set(key_ids):
                msg = "something is still sealed with that master key; run `llmcore keys rotate` again"
                raise StoreConflict(msg)
            value = json.dumps(sorted(set(retired) | set(key_ids)))
            await connection.execute(update(meta).where(meta.c.name == _RETIRED).values(value=value))


async def refuse_retired_exclusive(connection: AsyncConnection, key_id: str) -> None:
    """As `refuse_retired`, and one process at a time."""
    await _retired_for_update(connection)
    await refuse_retired(connection, key_id)


async def _retired_for_update(connection: AsyncConnection) -> list[str]:
    query = select(meta.c.value).where(meta.c.name == _RETIRED).with_for_update()
    found: list[str] = json.loads((await connection.execute(query)).scalar_one())
    return found


async def _key_ids(connection: AsyncConnection) -> frozenset[str]:
    table = llm_settings
    query = select(table.c.key_id).where(table.c.sealed_key.is_not(None)).distinct()
    found = set((await connection.execute(query)).scalars())
    pepper = await _pepper(connection)
    found |= {pepper.key_id} if pepper is not None else set()
    return frozenset(found | await _system_key_ids(connection))


async def _system_key_ids(connection: AsyncConnection) -> set[str]:
    text = (await connection.execute(select(meta.c.value).where(meta.c.name == SYSTEM_PROVIDERS))).scalar()
    entries: dict[str, Any] = json.loads(text) if text else {}
    return {entry["key"]["key_id"] for entry in entries.values() if entry.get("key")}


async def _pepper(connection: AsyncConnection) -> SealedPepper | None:
    query = select(meta.c.value).where(meta.c.name == _PEPPER)
    text = (await connection.execute(query)).scalar()
    if text is None:
        return None
    value: dict[str, Any] = json.loads(text)
    return SealedPepper(value["sealed"], value["key_id"])


def _write(pepper: SealedPepper) -> str:
    return json.dumps({"key_id": pepper.key_id, "sealed": pepper.sealed})
