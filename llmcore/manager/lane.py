"""A lane: the attempts of one call that are made one after the other."""

from __future__ import annotations

from collections.abc import Callable

import anyio

from llmcore.manager.trail import Entry


class Lane:
    """`entry` is the attempt that runs, `since` when it began (monotonic seconds), `silent` whether its patience has run out."""

    __slots__ = ("entry", "scope", "silent", "since", "stop_alarm")

    def __init__(self, now: float) -> None:
        self.scope: anyio.CancelScope = anyio.CancelScope()
        self.since: float = now
        self.entry: Entry | None = None
        self.silent: bool = False
        self.stop_alarm: Callable[[], None] | None = None

    def disarm(self) -> None:
        if self.stop_alarm is not None:
            self.stop_alarm()
            self.stop_alarm = None
