"""Pure: what was used of one key: calls and tokens by the second of a minute, money by the period."""

from __future__ import annotations

from collections import deque
from typing import TypeAlias

from attrs import define, field

KEEP_S = 62
"""How long a second counts: the 60 of the law, its own width, and the life of an advance."""
LATE_S = 5.0
"""After how long a payment is known to all by the store: it is written with a batch, and read again."""

Used: TypeAlias = "tuple[int, int, int]"
"""(second, requests, tokens); negative where something is given back."""


class Minute:
    """What was used, by the second."""

    __slots__ = ("requests", "seconds", "tokens")

    def __init__(self) -> None:
        self.seconds: dict[int, tuple[int, int]] = {}
        self.requests: int = 0
        self.tokens: int = 0

    def add(self, second: int, requests: int, tokens: int) -> None:
        before = self.seconds.get(second, (0, 0))
        self.seconds[second] = (before[0] + requests, before[1] + tokens)
        self.requests += requests
        self.tokens += tokens

    def forget(self, now: int) -> None:
        for second in [one for one in self.seconds if one <= now - KEEP_S]:
            requests, tokens = self.seconds.pop(second)
            self.requests -= requests
            self.tokens -= tokens

    def room_in(self, now: int, requests: int, tokens: int) -> float:
        """Seconds until so much is forgotten."""
        for second in sorted(self.seconds):
            freed = self.seconds[second]
            requests, tokens = requests - freed[0], tokens - freed[1]
            if requests <= 0 and tokens <= 0:
                return float(max(1, second + KEEP_S - now))
        return float(KEEP_S)

    def said(self) -> tuple[Used, ...]:
        return tuple((second, *used) for second, used in self.seconds.items() if used != (0, 0))


@define
class Purse:
    """Money of one period. known: spent by all, as far as we know; base: the same when we last knew it from others;
    paid: by us, not yet said; held: by us, for calls that run and in advance; late: paid by us alone, with the monotonic
    second until which others may not know it from the store yet, so that it is held for so long.
    """

    period: str = ""
    known: int = 0
    base: int = 0
    paid: int = 0
    held: int = 0
    late: deque[tuple[float, int]] = field(factory=deque)

    @property
    def all_held(self) -> int:
        return self.held + sum(micros for _, micros in self.late)

    def pay_alone(self, micros: int, now: float | None) -> None:
        """Others cannot be told. now: None where they are never told."""
        self.known += micros
        if micros and now is not None:
            self.late.append((now + LATE_S, micros))

    def all_known(self, now: float) -> bool:
        """Whether others know by now all that we paid alone."""
        while self.late and self.late[0][0] <= now:
            self.late.popleft()
        return not self.late
