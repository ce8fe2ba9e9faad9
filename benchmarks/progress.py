"""A bar where somebody watches, else a line now and then; on stderr, so that the tables can be kept."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

EVERY = 20.0
"""Seconds between two lines where nobody watches."""

Advance = Callable[[str], None]


@contextmanager
def progress(total: int) -> Iterator[Advance]:
    """Call what you get before each sample, with what it is."""
    if sys.stderr.isatty():
        try:
            from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn
        except ImportError:
            pass
        else:
            from rich.console import Console

            bar = Progress(
                *Progress.get_default_columns()[:2],
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                console=Console(stderr=True),
            )
            with bar:
                task = bar.add_task("", total=total)

                def advance(what: str) -> None:
                    bar.update(task, description=what)
                    bar.advance(task)

                yield advance
            return
    yield _lines(total)


def _lines(total: int) -> Advance:
    began = said = time.monotonic()
    done = 0

    def advance(what: str) -> None:
        nonlocal done, said
        done += 1
        now = time.monotonic()
        if now - said >= EVERY or done == total:
            said = now
            print(f"{done}/{total} samples, {now - began:.0f} s: {what}", file=sys.stderr, flush=True)

    return advance
