"""What can go wrong with the database, each in one line that says what to do.

    StoreError
    ├── StoreUnavailable    it cannot be reached, is full, or did not answer in time: try again later
    ├── StoreOutdated       its schema is not the one of this version: `llmcore db upgrade`
    ├── StoreConflict       the name is taken, or the row has changed meanwhile
    └── StoreInvalid        a value that no row can hold, or a cursor that nobody handed out

No message holds a value of a row, a statement or the password of a URL.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from sqlalchemy import exc

from llmcore.errors import LlmError


class StoreError(LlmError):
    """The database could not do what was asked."""


class StoreUnavailable(StoreError):
    """The database is away; nothing was stored."""


class StoreOutdated(StoreError):
    """The schema is older, or newer, than this version of llmcore."""


class StoreConflict(StoreError):
    """Somebody was faster: the name is taken, or the version is not the expected one any more."""


class StoreInvalid(StoreError):
    """A value that the database cannot hold, or a cursor that is not one of ours. param: which one, where it is known."""

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.param: str | None = param


def driver_errors(*, postgres: bool) -> tuple[type[Exception], ...]:
    """Everything that SQLAlchemy and the driver raise; that of PostgreSQL is imported where it is used."""
    found: tuple[type[Exception], ...] = (
        exc.StatementError,
        exc.TimeoutError,
        sqlite3.Error,
        OSError,
        OverflowError,
    )
    if postgres and find_spec("asyncpg") is not None:
        import asyncpg

        found += (asyncpg.PostgresError, asyncpg.InterfaceError)
    return found


@contextmanager
def translated(where: str, drivers: tuple[type[Exception], ...]) -> Iterator[None]:
    """Errors of the drivers come out as ours, without the statement and its values; `where` names the database."""
    try:
        yield
    except StoreError:
        raise
    except drivers as error:
        ours = _ours(error, where)
        _forget(error)
        raise ours from None


def _forget(error: BaseException | None) -> None:
    """The values and frames that hang on a driver's error, and on those behind it, go: ours must not carry them."""
    while error is not None:
        if isinstance(error, exc.StatementError):
            error.params = error.statement = None
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


def _ours(error: Exception, where: str) -> StoreError:
    origin = getattr(error, "orig", None)
    if isinstance(origin, StoreError):  # raised while a value was bound
        return type(origin)(*origin.args)
    if isinstance(error, exc.IntegrityError):
        return StoreConflict("there is such an entry already, or what it belongs to is gone")
    if isinstance(error, (exc.DataError, OverflowError)) or isinstance(origin, OverflowError):
        return StoreInvalid("a value is too large for the database")
    if _missing_table(error):
        return StoreOutdated(f"the database {where} has no tables of this version; run `llmcore db upgrade`")
    return StoreUnavailable(f"the database {where} cannot be used ({_reason(error)}); {_advice(error)}")


def _missing_table(error: Exception) -> bool:
    text = str(getattr(error, "orig", error)).lower()
    return "no such table" in text or "no such column" in text or "undefinedtable" in text


def _reason(error: Exception) -> str:
    """The driver's own short words: it speaks of hosts, files and users, never of values."""
    cause = getattr(error, "orig", None) or error
    first, *_ = str(cause).splitlines() or [""]
    return first.rpartition(">: ")[2][:200] or type(cause).__name__


def _advice(error: Exception) -> str:
    text = str(error).lower()
    if "password" in text or "authentication" in text:
        return "check user and password of database_url"
    if "does not exist" in text:
        return "create it, or mend database_url"
    if "malformed" in text or "not a database" in text:
        return "the file is damaged or no database; restore a backup"
    if "full" in text:
        return "make room on the disk"
    return "check that it runs and that database_url names it"
