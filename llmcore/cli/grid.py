"""Pure: tables as values, how figures are written, and the plain form that a pipe gets."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from attrs import field, frozen

from llmcore.types import Attempt, ProviderStats, Usage

UNKNOWN = "-"


@frozen
class Column:
    """A title, and whether the cells below it are figures (set to the right)."""

    title: str
    figures: bool = False


@frozen
class Grid:
    """A table as text; `marks` gives rows a meaning for colour: "good", "bad", "dim" or ""."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...] = field(converter=tuple[tuple[str, ...], ...])
    marks: tuple[str, ...] = field(default=(), converter=tuple[str, ...])

    def mark(self, index: int) -> str:
        return self.marks[index] if index < len(self.marks) else ""

    def without_empty(self, *titles: str) -> Grid:
        """The table less those of the named columns in which nothing stands."""
        kept = [
            place
            for place, column in enumerate(self.columns)
            if column.title not in titles or any(row[place] not in {"0", UNKNOWN} for row in self.rows)
        ]
        rows = [tuple(row[place] for place in kept) for row in self.rows]
        return Grid(tuple(self.columns[place] for place in kept), rows, self.marks)


def columns(*titles: str) -> tuple[Column, ...]:
    """Columns from titles; a title that begins with ">" holds figures."""
    return tuple(Column(title.removeprefix(">"), title.startswith(">")) for title in titles)


def aligned(grid: Grid) -> list[str]:
    """The table as lines of plain text, columns two spaces apart, no space at a line's end."""
    head = tuple(column.title.upper() for column in grid.columns)
    rows = [head, *grid.rows]
    widths = [max(len(row[place]) for row in rows) for place in range(len(head))]
    return [_line(row, widths, grid.columns) for row in rows]


def _line(row: Sequence[str], widths: Sequence[int], over: Sequence[Column]) -> str:
    cells = (
        cell.rjust(width) if column.figures else cell.ljust(width)
        for cell, width, column in zip(row, widths, over, strict=True)
    )
    return "  ".join(cells).rstrip()


# ------------------------------------------------------------------------------------------------ figures


def seconds(value: float | None) -> str:
    """A duration for people: milliseconds below one second."""
    if value is None:
        return UNKNOWN
    return f"{value * 1000:.0f} ms" if value < 0.9995 else f"{value:.2f} s"


def count(value: int | None) -> str:
    return UNKNOWN if value is None else f"{value:,}"


def dollars(value: Decimal | None) -> str:
    """An amount with as many digits as a small one needs; unknown is not 0."""
    if value is None:
        return UNKNOWN
    if value == 0:
        return "$0"
    return (
        f"${value:.2f}"
        if value >= 1
        else f"${value:.6f}".rstrip("0")
        if value >= Decimal("0.000001")
        else "<$0.000001"
    )


def plural(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def used(usage: Usage) -> str:
    """Tokens in a few words."""
    words = f"{count(usage.input_tokens)} in, {count(usage.output_tokens)} out"
    parts = [
        f"{count(number)} {what}"
        for number, what in ((usage.cached_tokens, "cached"), (usage.reasoning_tokens, "reasoning"))
        if number
    ]
    return f"{words} ({', '.join(parts)})" if parts else words


# ------------------------------------------------------------------------------------------------- tables


def attempts_grid(attempts: Sequence[Attempt]) -> Grid:
    """Who was tried, in order, and what came of it."""
    rows = [
        (
            str(number),
            attempt.provider,
            attempt.model or UNKNOWN,
            attempt.outcome,
            UNKNOWN if attempt.status is None else str(attempt.status),
            seconds(attempt.wait_s) if attempt.wait_s else UNKNOWN,
            seconds(attempt.duration_s),
        )
        for number, attempt in enumerate(attempts, 1)
    ]
    marks = ["good" if attempt.outcome == "success" else "bad" for attempt in attempts]
    grid = Grid(columns(">#", "provider", "model", "outcome", ">status", ">waited", ">took"), rows, marks)
    return grid.without_empty("status", "waited")


def stats_grid(stats: ProviderStats) -> Grid:
    """One line for each provider, the whole below them; ttft is the mean time to the first token."""
    everyone = (*_flat(stats.children), stats) if stats.children else (stats,)
    rows = [
        (
            one.name,
            count(one.requests),
            count(one.successes),
            count(one.failures),
            count(one.cancelled),
            count(one.input_tokens),
            count(one.output_tokens),
            dollars(one.cost_usd),
            seconds(one.latency_p50_s),
            seconds(one.latency_p95_s),
            seconds(one.first_token_mean_s),
        )
        for one in everyone
    ]
    marks = ["bad" if one.failures and not one.successes else "" for one in everyone]
    heads = columns(
        "name", ">calls", ">ok", ">failed", ">cancelled", ">tok in", ">tok out", ">cost", ">p50", ">p95", ">ttft"
    )  # fmt: skip
    return Grid(heads, rows, marks).without_empty("cancelled", "cost", "ttft")


def _flat(children: Sequence[ProviderStats]) -> list[ProviderStats]:
    return [one for child in children for one in (child, *_flat(child.children))]
