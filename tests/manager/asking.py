"""What the plain model of the manager keeps: calls, the attempts that they are about to make, and providers."""

from __future__ import annotations

import math

from attrs import define, field

from llmcore.errors import ProviderError
from tests.manager.test_breaker_laws import Plain, Taken

TRUSTED = 60.0


@define
class Go:
    """An attempt that is to be made: whom to ask, from when on, as which retry, and whether it is paid for."""

    target: int
    at: float
    retry: int = 0
    first: bool = False
    forced: bool = False
    panic: bool = False
    paid: bool = False
    hangs: bool = False
    pause: float = 0.0


@define(eq=False)
class Asking:
    """One call as the model sees it."""

    number: int
    stream: bool
    began: float
    ends: float
    left: list[int]
    attempts: list[tuple[int, float]] = field(factory=list)
    made: int = 0
    errors: list[ProviderError] = field(factory=list)
    refusals: list[ProviderError] = field(factory=list)
    waits: Go | None = None
    hangs: Go | None = None
    runs: Go | None = None
    taken: Taken | None = None
    shown: bool = False
    outcome: str | None = None


@define
class Place:
    """One provider as the model sees it."""

    breaker: Plain
    rests: float = 0.0
    rested: float = 0.0
    aside: float = 0.0
    good: float = -math.inf
    bad: float = -math.inf

    def proven(self, now: float) -> bool:
        """Whether it has lately shown that it works."""
        return self.good > self.bad and now - self.good <= TRUSTED

    def doubted(self, now: float) -> bool:
        return self.bad > self.good and now - self.bad <= TRUSTED
