"""Lists in pieces: newest first, each cursor names the last entry that was shown. A cursor is read strictly."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from math import isfinite
from typing import Any, TypeVar

from sqlalchemy import Column, RowMapping, Select, and_, or_

from llmcore.gateway.store.connection import AsyncConnection
from llmcore.gateway.store.errors import StoreInvalid
from llmcore.gateway.store.records import Page

T = TypeVar("T")

MOST = 1000
"""Entries of one page, at most."""

LONGEST = 512


def write_cursor(kind: str, at: float, row: str) -> str:
    """The cursor that continues the list `kind` after the entry `row` of the moment `at`."""
    text = json.dumps([kind, at, row], separators=(",", ":"))
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(kind: str, cursor: str) -> tuple[float, str]:
    """Where to continue. Raises StoreInvalid for anything but what `write_cursor` made for that list."""
    found: Any = None
    if len(cursor) <= LONGEST and cursor.isascii():
        try:
            found = json.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        except (ValueError, RecursionError):
            found = None
    match found:
        case [str(), float() as at, str() as row] if isfinite(at):
            if write_cursor(kind, at, row) == cursor:
                return at, row
        case _:
            pass
    msg = "the cursor is not one that this list handed out; leave it out to begin at the start"
    raise StoreInvalid(msg, param="cursor")


async def page(
    connection: AsyncConnection,
    kind: str,
    query: Select[Any],
    order: tuple[Column[float], Column[str]],
    make: Callable[[RowMapping], T],
    *,
    limit: int,
    cursor: str | None,
) -> Page[T]:
    """One piece of `query`, at most `limit` entries, newest first by `order` (a time and an id).

    Raises StoreInvalid for a cursor that is not one, or a limit outside 1 to `MOST`.
    """
    if not 1 <= limit <= MOST:
        raise StoreInvalid(f"limit must be 1 to {MOST}")
    at, row = order
    if cursor is not None:
        last_at, last_row = read_cursor(kind, cursor)
        query = query.where(or_(at < last_at, and_(at == last_at, row < last_row)))
    found = (
        (await connection.execute(query.order_by(at.desc(), row.desc()).limit(limit + 1))).mappings().all()
    )
    shown = found[:limit]
    more = write_cursor(kind, shown[-1][at.name], shown[-1][row.name]) if len(found) > limit else None
    return Page(tuple(make(entry) for entry in shown), more)
