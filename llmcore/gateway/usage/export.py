"""Usage as CSV (RFC 4180). Texts that a spreadsheet would take for a formula get an apostrophe before them (T8)."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from datetime import UTC, datetime

from llmcore.gateway.store.errors import StoreInvalid
from llmcore.gateway.store.records import UsageAttempt, UsageGroup
from llmcore.gateway.store.usage import SUMS, Dimension, Usage

_FORMULA = (
    "=",
    "+",
    "-",
    "@",
    "\t",
    "\r",
    "\n",
    "\uff1d",
    "\uff0b",
    "\uff0d",
    "\uff20",
)  # and their wide forms

ATTEMPT_COLUMNS = (
    *(
        "at",
        "request_id",
        "user_id",
        "key_id",
        "provider",
        "model",
        "wire",
        "outcome",
        "final",
        "status",
        "why",
    ),
    *("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "counted"),
    *("cost_usd", "duration_ms", "first_token_ms"),
)

Cell = str | int | float | None


def guard(cell: Cell) -> str:
    """`cell` as text that no spreadsheet computes; None is empty."""
    if cell is None:
        return ""
    if not isinstance(cell, str):
        return str(cell)
    dangerous = cell.startswith(_FORMULA) or cell.lstrip().startswith(_FORMULA)
    return f"'{cell}" if dangerous else cell


def lines(rows: Iterable[Sequence[Cell]]) -> Iterator[str]:
    """Each row as a line of CSV, guarded."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    for row in rows:
        writer.writerow([guard(cell) for cell in row])
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()


def dollars(micros: int | None) -> str | None:
    """Millionths of a dollar as dollars, exactly."""
    return None if micros is None else f"{micros // 1_000_000}.{micros % 1_000_000:06}"


def groups_csv(groups: Iterable[UsageGroup], by: Sequence[Dimension]) -> Iterator[str]:
    """The answer of `Usage.of_user` or `of_all` for the same `by`, with a header."""
    names = tuple("cost_usd" if name == "cost_micros" else name for name in SUMS)
    yield from lines([(*by, *names)])
    for group in groups:
        sums = (
            dollars(group.sums.cost_micros) if name == "cost_micros" else getattr(group.sums, name)
            for name in SUMS
        )
        yield from lines([(*group.by, *sums)])


def attempt_row(attempt: UsageAttempt) -> tuple[Cell, ...]:
    """The cells of `ATTEMPT_COLUMNS`."""
    moment = datetime.fromtimestamp(attempt.at, UTC).isoformat(timespec="milliseconds")
    special = {"at": moment, "cost_usd": dollars(attempt.cost_micros)}
    return tuple(special[name] if name in special else getattr(attempt, name) for name in ATTEMPT_COLUMNS)


async def attempts_csv(usage: Usage, user_id: str | None, *, most: int = 100_000) -> AsyncIterator[str]:
    """Single attempts, newest first, with a header; of one user, or (None) of all for admins. Raises StoreError."""
    if most < 1:
        msg = "most must be at least 1"
        raise StoreInvalid(msg)
    for line in lines([ATTEMPT_COLUMNS]):
        yield line
    cursor: str | None = None
    while most > 0:
        limit = min(most, 1000)
        page = await (
            usage.attempts(limit=limit, cursor=cursor)
            if user_id is None
            else usage.attempts_of(user_id, limit=limit, cursor=cursor)
        )
        for line in lines(attempt_row(attempt) for attempt in page.items):
            yield line
        most -= len(page.items)
        cursor = page.next
        if cursor is None:
            return
