"""How fast each model has answered lately, as the ledger has it: what the catalogue's speeds stand on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from sqlalchemy import func, select

from llmcore.gateway.backend import Backend, ProviderView
from llmcore.gateway.catalogue import Entry, Speed, entry
from llmcore.gateway.store import Store, StoreError
from llmcore.gateway.store.tables import usage_attempts
from llmcore.types import ModelInfo

ByModel: TypeAlias = Mapping[tuple[str, str], Speed]
"""By the provider's name and the model's."""

WINDOW_S = 7 * 86400.0
NEWEST = 20_000
"""Attempts that are looked at: what is older says less, and an index leads to the newest."""
ENOUGH = 3
"""Answers below which a mean is chance."""
KEPT_S = 60.0


class Speeds:
    """wall: epoch seconds. What the ledger said is kept for a minute, and longer while the database is away."""

    def __init__(self, store: Store, wall: Callable[[], float]) -> None:
        self._store = store
        self._wall = wall
        self._known: ByModel = {}
        self._until = 0.0

    async def by_model(self) -> ByModel:
        """Of every model that has answered at least three streams in the last seven days."""
        now = self._wall()
        if now >= self._until:
            self._until = now + KEPT_S
            try:
                self._known = await read(self._store, now - WINDOW_S)
            except StoreError:
                return self._known
        return self._known


async def read(store: Store, since: float) -> ByModel:
    """Since then (epoch seconds). Raises StoreError."""
    table = usage_attempts
    newest = (
        select(table.c.provider, table.c.model, table.c.first_token_ms, table.c.outcome)
        .where(table.c.at >= since)
        .order_by(table.c.at.desc(), table.c.id.desc())
        .limit(NEWEST)
        .subquery()
    )
    columns = newest.c.provider, newest.c.model
    query = (
        select(*columns, func.avg(newest.c.first_token_ms), func.count())
        .where(
            newest.c.outcome == "success", newest.c.first_token_ms.is_not(None), newest.c.model.is_not(None)
        )
        .group_by(*columns)
        .having(func.count() >= ENOUGH)
    )
    async with store.database.read() as connection:
        rows: Sequence[Any] = (await connection.execute(query)).all()
    return {(row[0], row[1]): Speed(float(row[2]) / 1000, int(row[3])) for row in rows}


async def entries_of(
    backend: Backend, speeds: Speeds, models: Iterable[ModelInfo], views: Iterable[ProviderView]
) -> list[Entry]:
    """The models that those providers list, with all that is known of them."""
    by_name, measured = {view.name: view for view in views}, await speeds.by_model()
    return [
        entry(
            model,
            view.name,
            view.kind,
            backend,
            system=True,
            speed=measured.get((view.name, model.id)),
            default=view.text_model,
        )
        for model in models
        if (view := by_name.get(model.provider or "")) is not None
    ]
