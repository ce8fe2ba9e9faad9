"""The two streams of a command: answers and tables on stdout, everything else on stderr; colour on a terminal only."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from llmcore.cli.grid import Grid, aligned

if TYPE_CHECKING:
    from rich.console import Console

_STYLES = {"good": "green", "bad": "red", "dim": "dim", "": ""}
# Control characters but tab and line break, and marks that turn the direction of writing: what a terminal would obey.
_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u202a-\u202e\u2066-\u2069]")


def clean(text: str) -> str:
    """`text` without what a terminal would obey."""
    return _OBEYED.sub("", text)


def one_line(text: str, limit: int = 400) -> str:
    """`text` on one line, cut short, without what a terminal would obey."""
    words = " ".join(clean(text.replace("\n", " ").replace("\t", " ")).split())
    return words if len(words) <= limit else words[: limit - 3] + "..."


class Screen:
    """stdout and stderr. rich decides about colour (NO_COLOR is honoured) and is imported when first needed."""

    def __init__(self) -> None:
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="replace")
        self._out: Console | None = None
        self._err: Console | None = None

    @property
    def out(self) -> Console:
        self._out = self._out or _console(stderr=False)
        return self._out

    @property
    def err(self) -> Console:
        self._err = self._err or _console(stderr=True)
        return self._err

    def write(self, text: str) -> None:
        """A piece of an answer, at once; as it is where it goes into a file or pipe."""
        sys.stdout.write(clean(text) if sys.stdout.isatty() else text)
        sys.stdout.flush()

    def line(self, text: str = "") -> None:
        self.write(text + "\n")

    def note(self, text: str, style: str = "dim") -> None:
        """A remark on stderr."""
        if sys.stderr.isatty():
            self.err.print(clean(text), style=style, markup=False, highlight=False, soft_wrap=True)
        else:
            print(clean(text), file=sys.stderr, flush=True)

    def murmur(self, text: str) -> None:
        """A piece of what is not the answer, at once, on stderr."""
        if sys.stderr.isatty():
            self.err.print(clean(text), style="dim", markup=False, highlight=False, soft_wrap=True, end="")
        else:
            print(text, file=sys.stderr, end="", flush=True)

    def complain(self, text: str) -> None:
        """An error on stderr, on one line."""
        self.note(f"llmcore: {one_line(text)}", style="red")

    def show(self, grid: Grid, *, on_stderr: bool = False) -> None:
        """A table: drawn on a terminal, aligned text elsewhere."""
        stream = sys.stderr if on_stderr else sys.stdout
        if stream.isatty():
            (self.err if on_stderr else self.out).print(_drawn(grid))
        else:
            print("\n".join(clean(line) for line in aligned(grid)), file=stream, flush=True)

    @contextmanager
    def waiting(self, what: str) -> Iterator[Waiting]:
        """A spinner while one waits; nothing where stderr is no terminal."""
        waiting = Waiting(self.err.status(f"[dim]{what}[/dim]") if sys.stderr.isatty() else None)
        try:
            yield waiting
        finally:
            waiting.over()


class Waiting:
    """A spinner that ends at the first word, or with its block."""

    def __init__(self, status: Any) -> None:
        self._status = status
        if status is not None:
            status.start()

    def over(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None


def _console(*, stderr: bool) -> Console:
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, soft_wrap=False)


def _drawn(grid: Grid) -> Any:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for column in grid.columns:
        table.add_column(column.title, justify="right" if column.figures else "left", overflow="fold")
    for index, row in enumerate(grid.rows):
        style = _STYLES[grid.mark(index)]
        table.add_row(*(Text(clean(cell), style=style) for cell in row))
    return table


def stop_writing() -> None:
    """Whoever read our output has gone: let nothing be written at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
