"""A connection to be awaited, over SQLAlchemy's core alone: `sqlalchemy.ext.asyncio` would bring the ORM, 8 MB, with it.

As there, the synchronous core runs in a greenlet, which switches back to the event loop where the driver awaits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Concatenate, ParamSpec, Self, TypeAlias, TypeVar

from sqlalchemy import Connection, Engine, Executable
from sqlalchemy.engine import CursorResult
from sqlalchemy.util import greenlet_spawn

T = TypeVar("T")
P = ParamSpec("P")
Rows: TypeAlias = Mapping[str, Any] | Sequence[Mapping[str, Any]]


class AsyncConnection:
    """One connection in a transaction, which has begun. End it by `commit` and `close`, or by `close` alone."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @classmethod
    async def begun(cls, engine: Engine) -> Self:
        """From the engine's pool. Raises what driver and pool raise; then nothing is held."""
        return cls(await greenlet_spawn(_begun, engine))

    async def execute(self, statement: Executable, rows: Rows | None = None) -> CursorResult[Any]:
        """The statement's result, fetched as a whole. rows: parameters; several make a bulk of it."""
        return await greenlet_spawn(self._connection.execute, statement, rows)

    async def exec_driver_sql(self, statement: str, values: tuple[Any, ...] = ()) -> CursorResult[Any]:
        """The same for text and values that go to the driver as they are."""
        return await greenlet_spawn(self._connection.exec_driver_sql, statement, values)

    async def run_sync(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """What `work` gives for the synchronous connection; it may do there whatever does not await."""
        return await greenlet_spawn(partial(work, self._connection, *args, **kwargs))

    async def commit(self) -> None:
        await greenlet_spawn(self._connection.commit)

    async def close(self) -> None:
        """Back to the pool; what was not committed is rolled back."""
        await greenlet_spawn(self._connection.close)


def _begun(engine: Engine) -> Connection:
    connection = engine.connect()
    try:
        connection.begin()
    except BaseException:
        connection.close()
        raise
    return connection
