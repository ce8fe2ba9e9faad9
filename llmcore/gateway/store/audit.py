"""The audit log (T20): who did what, from where. It can be added to and read, nothing else; the database refuses the rest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import RowMapping, insert, select

from llmcore.gateway.store.cursor import page
from llmcore.gateway.store.engine import Database
from llmcore.gateway.store.errors import StoreInvalid
from llmcore.gateway.store.records import AuditEntry, Page, new_id
from llmcore.gateway.store.tables import audit
from llmcore.secret import Secret

LONGEST = 256
"""Characters of one field that are kept."""

LARGEST = 8192
"""Bytes of the detail of one entry."""


def plain(text: str, longest: int = LONGEST) -> str:
    r"""`text` in one line that any log and terminal can show: what is not printable is written as \u escapes."""
    if len(text) <= longest and text.isprintable():
        return text
    shown = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text[: longest + 1])
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


class Audit:
    """Append-only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(
        self,
        *,
        at: float,
        actor: str,
        source: str,
        action: str,
        target: str,
        detail: Mapping[str, Any] | None = None,
    ) -> AuditEntry:
        """One more entry. actor: a user id, or "system"; source: the client's address; action: "key.revoke" and the like.

        detail: old and new values in JSON's types, never a secret. Raises StoreInvalid where it is too large or not JSON.
        """
        entry = AuditEntry(
            new_id(), at, plain(actor), plain(source), plain(action), plain(target), _detail(detail or {})
        )
        values = {
            "id": entry.id,
            "at": at,
            "actor": entry.actor,
            "source": entry.source,
            "action": entry.action,
            "target": entry.target,
            "detail": entry.detail,
        }
        async with self._database.write() as connection:
            await connection.execute(insert(audit).values(values))
        return entry

    async def list(
        self,
        *,
        actor: str | None = None,
        action: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[AuditEntry]:
        """Newest first, of one actor or action where given; for admins."""
        query = select(audit)
        if actor is not None:
            query = query.where(audit.c.actor == plain(actor))
        if action is not None:
            query = query.where(audit.c.action == plain(action))
        order = (audit.c.at, audit.c.id)
        async with self._database.read() as connection:
            return await page(connection, "audit", query, order, _entry_of, limit=limit, cursor=cursor)


def _entry_of(row: RowMapping) -> AuditEntry:
    return AuditEntry(**row)


def _detail(value: Any) -> Any:
    """`value` as it is stored: every text plain. Raises StoreInvalid for secrets, bytes and whatever JSON has no word for."""
    cleaned = _clean(value)
    try:
        size = len(json.dumps(cleaned, allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        size = LARGEST + 1
    if size > LARGEST:
        raise StoreInvalid(
            f"the detail of an audit entry is JSON of at most {LARGEST} bytes, without secrets"
        )
    return cleaned


def _clean(value: Any) -> Any:
    if isinstance(value, Secret):
        msg = "the audit log takes no secrets"
        raise StoreInvalid(msg)
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, Mapping):
        return {plain(str(name)): _clean(item) for name, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_clean(item) for item in value]
    return value
