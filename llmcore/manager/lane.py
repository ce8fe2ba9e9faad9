"""A lane: the attempts of one call that are made one after the other; and the attempt that won."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import anyio
from attrs import frozen

from llmcore.manager.candidates import Candidate
from llmcore.manager.guard import Visit
from llmcore.manager.plan import Step
from llmcore.manager.trail import Entry
from llmcore.types import Attempt

T = TypeVar("T")


class Lane:
    """`entry` is the attempt that runs, `since` when it began (monotonic seconds), `silent` whether its patience has run out,
    `beaten` whether it was given up for another one, `target` the candidate that it asks. ends: the call's deadline, on the event loop's clock.
    """

    __slots__ = ("beaten", "entry", "scope", "silent", "since", "stop_alarm", "target")

    def __init__(self, now: float, ends: float) -> None:
        self.scope: anyio.CancelScope = anyio.CancelScope(deadline=ends)
        self.beaten: bool = False
        self.target: int | None = None
        self.since: float = now
        self.entry: Entry | None = None
        self.silent: bool = False
        self.stop_alarm: Callable[[], None] | None = None

    def give_up(self) -> None:
        """Another lane has won, or takes its place."""
        self.beaten = True
        self.scope.cancel()

    def disarm(self) -> None:
        if self.stop_alarm is not None:
            self.stop_alarm()
            self.stop_alarm = None


@frozen
class Won(Generic[T]):
    """The attempt that answered; its visit is still open, and is ended by whoever uses the result."""

    result: T
    step: Step
    entry: Entry
    visit: Visit
    candidate: Candidate


def made_by(result: object) -> tuple[Attempt, ...]:
    """The attempts that an answer says led to it."""
    made: tuple[Attempt, ...] = getattr(result, "attempts", ())
    return made


def is_refusal(result: object) -> bool:
    """Whether an answer says nothing but that it will not answer."""
    return getattr(result, "finish_reason", None) in ("content_filter", "refusal")


def single(exc: BaseException) -> BaseException:
    """A fault of code as it was raised, not wrapped by the group that it passed."""
    while isinstance(exc, BaseExceptionGroup) and len(exc.exceptions) == 1:
        exc = exc.exceptions[0]
    return exc
