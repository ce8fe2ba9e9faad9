"""Virtual keys: found by their public id, proved by their digest, limited and revocable."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import RowMapping, insert, select, update
from sqlalchemy.engine import CursorResult

from llmcore.gateway.access.principal import ALL_SCOPES, NO_LIMITS, Limits
from llmcore.gateway.store.cursor import page
from llmcore.gateway.store.engine import Database
from llmcore.gateway.store.records import UNSET, KeyOwner, Page, Unset, VirtualKey, new_id
from llmcore.gateway.store.tables import users, virtual_keys
from llmcore.gateway.store.users import user_of

_PLAIN = (
    *("id", "public_id", "digest", "user_id", "name", "created_at"),
    *("expires_at", "revoked_at", "last_used_at", "spent_micros", "spent_period"),
)


def key_of(row: RowMapping, prefix: str = "") -> VirtualKey:
    """prefix: of the column names, where several tables were asked."""
    models = row[f"{prefix}models"]
    return VirtualKey(
        **{name: row[prefix + name] for name in _PLAIN},
        scopes=frozenset(row[f"{prefix}scopes"]),
        models=None if models is None else frozenset(models),
        limits=Limits(
            rpm=row[f"{prefix}rpm"],
            tpm=row[f"{prefix}tpm"],
            budget_micros=row[f"{prefix}budget_micros"],
            period=row[f"{prefix}budget_period"],
            concurrent=row[f"{prefix}concurrent"],
            max_tokens=row[f"{prefix}max_tokens"],
        ),
    )


def _limits(limits: Limits) -> dict[str, Any]:
    return {
        "rpm": limits.rpm,
        "tpm": limits.tpm,
        "budget_micros": limits.budget_micros,
        "budget_period": limits.period,
        "concurrent": limits.concurrent,
        "max_tokens": limits.max_tokens,
    }


def _models(models: Iterable[str] | None) -> list[str] | None:
    return None if models is None else sorted(models)


class VirtualKeys:
    """The keys of all users; all but `find` and `list_all` are bound to one user."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(
        self,
        user_id: str,
        *,
        public_id: str,
        digest: str,
        name: str,
        now: float,
        scopes: frozenset[str] = ALL_SCOPES,
        models: frozenset[str] | None = None,
        limits: Limits = NO_LIMITS,
        expires_at: float | None = None,
    ) -> VirtualKey:
        """Keep a new key. public_id, digest: of `vault.tokens.new_virtual_key()`. Raises StoreConflict without such a user."""
        key = VirtualKey(new_id(), public_id, digest, user_id, name, now, scopes, models, limits, expires_at)
        values = {
            "id": key.id,
            "public_id": public_id,
            "digest": digest,
            "user_id": user_id,
            "name": name,
            "scopes": sorted(scopes),
            "models": _models(models),
            **_limits(limits),
            "spent_micros": 0,
            "expires_at": expires_at,
            "created_at": now,
        }
        async with self._database.write() as connection:
            await connection.execute(insert(virtual_keys).values(values))
        return key

    async def find(self, public_id: str) -> KeyOwner | None:
        """The key of that public id with its user, usable or not; compare the digest, `usable` and `disabled` after it."""
        ours = virtual_keys
        columns = [column.label(f"key_{column.name}") for column in ours.c]
        query = (
            select(users, *columns)
            .join(ours, ours.c.user_id == users.c.id)
            .where(ours.c.public_id == public_id)
        )
        async with self._database.read() as connection:
            row = (await connection.execute(query)).mappings().first()
        return None if row is None else KeyOwner(key_of(row, "key_"), user_of(row))

    async def get(self, user_id: str, key_id: str) -> VirtualKey | None:
        """One of that user's keys; None for another's."""
        query = select(virtual_keys).where(virtual_keys.c.id == key_id, virtual_keys.c.user_id == user_id)
        async with self._database.read() as connection:
            row = (await connection.execute(query)).mappings().first()
        return None if row is None else key_of(row)

    async def list(self, user_id: str, *, limit: int = 100, cursor: str | None = None) -> Page[VirtualKey]:
        """One user's keys, newest first, revoked ones too."""
        query = select(virtual_keys).where(virtual_keys.c.user_id == user_id)
        order = (virtual_keys.c.created_at, virtual_keys.c.id)
        async with self._database.read() as connection:
            return await page(connection, "keys", query, order, key_of, limit=limit, cursor=cursor)

    async def list_all(self, *, limit: int = 100, cursor: str | None = None) -> Page[VirtualKey]:
        """Everybody's keys, newest first; for admins."""
        order = (virtual_keys.c.created_at, virtual_keys.c.id)
        query = select(virtual_keys)
        async with self._database.read() as connection:
            return await page(connection, "all keys", query, order, key_of, limit=limit, cursor=cursor)

    async def update(
        self,
        user_id: str,
        key_id: str,
        *,
        name: str | Unset = UNSET,
        models: frozenset[str] | Unset | None = UNSET,
        limits: Limits | Unset = UNSET,
        expires_at: float | Unset | None = UNSET,
    ) -> VirtualKey | None:
        """Change what is given; None for another's key. What was spent is forgotten when the kind of period changes."""
        said = {"name": name, "expires_at": expires_at}
        values: dict[str, Any] = {field: value for field, value in said.items() if value is not UNSET}
        if models is not UNSET:
            values["models"] = _models(models)
        async with self._database.write() as connection:
            mine = (virtual_keys.c.id == key_id, virtual_keys.c.user_id == user_id)
            query = select(virtual_keys).where(*mine)
            row = (await connection.execute(query.with_for_update())).mappings().first()
            if row is None:
                return None
            if limits is not UNSET:
                values |= _limits(limits)
                if limits.period != row["budget_period"]:
                    values |= {"spent_micros": 0, "spent_period": None}
            if values:
                await connection.execute(update(virtual_keys).where(*mine).values(values))
            return key_of((await connection.execute(query)).mappings().one())

    async def revoke(self, user_id: str, key_id: str, *, now: float) -> bool:
        """End one of that user's keys for good; False for another's, and for one that was revoked before."""
        table = virtual_keys
        mine = (table.c.id == key_id, table.c.user_id == user_id, table.c.revoked_at.is_(None))
        async with self._database.write() as connection:
            done: CursorResult[Any] = await connection.execute(
                update(table).where(*mine).values(revoked_at=now)
            )
        return done.rowcount > 0
