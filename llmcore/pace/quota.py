"""Pure: one configured limit per minute."""

from __future__ import annotations

from collections import deque

MINUTE: float = 60.0
SLACK: float = 0.1  # seconds added to a minute, since requests do not travel equally fast
SLOT: float = 0.5  # seconds that one entry of the sliding minute covers
BURST: float = 0.1  # share of the limit that may go at once
EPSILON: float = 1e-6
INF: float = float("inf")


class Quota:
    """A configured limit per minute: spread evenly with bursts of a tenth, and never more in any minute."""

    __slots__ = ("_at", "_burst", "_level", "_limit", "_rate", "_sent", "_slots")

    def __init__(self, limit: float) -> None:
        self._limit = max(limit, EPSILON)
        self._rate = self._limit / MINUTE
        self._burst = max(1.0, self._limit * BURST)
        self._level = self._burst
        self._at = -INF
        self._sent = 0.0
        self._slots: deque[list[float]] = deque()  # [first, last, amount]

    def roomy(self, amount: float) -> bool:
        """Whether so much fits without a look at the clock: time only adds room."""
        return self._level >= amount and self._sent + amount <= self._limit / 2

    def wait(self, amount: float, now: float) -> float:
        self._advance(now)
        even = (min(amount, self._burst) - self._level) / self._rate
        over = self._sent + min(amount, self._limit) - self._limit
        if over <= EPSILON:
            return even
        for _, last, sent in self._slots:
            over -= sent
            if over <= EPSILON:
                return max(even, last + MINUTE + SLACK - now)
        return even

    def take(self, amount: float, now: float) -> None:
        self._advance(now)
        self._level -= amount
        self._sent += amount
        if self._slots and now - self._slots[-1][0] < SLOT:
            self._slots[-1][1] = now
            self._slots[-1][2] += amount
        else:
            self._slots.append([now, now, amount])

    def correct(self, more: float, now: float) -> None:
        """So much more (or less) was used than taken: less shortens the oldest entries, more lasts a whole minute."""
        if more > 0:
            self.take(more, now)
            return
        self._level = min(self._burst, self._level - more)
        for slot in self._slots:
            part = min(slot[2], -more)
            slot[2] -= part
            self._sent -= part
            more += part

    def tighten(self, now: float) -> bool:
        """The vendor refused although the limit was kept: allow smaller bursts, where they can be smaller."""
        self._advance(now)
        self._level = min(self._level, 0.0)
        smaller = max(1.0, self._burst / 4)
        if smaller == self._burst:
            return False
        self._burst = smaller
        return True

    def room(self, now: float) -> float:
        self._advance(now)
        return 1.0 - self._sent / self._limit

    def _advance(self, now: float) -> None:
        if now > self._at:
            self._level = min(self._burst, self._level + (now - self._at) * self._rate)
            self._at = now
        while self._slots and self._slots[0][1] + MINUTE + SLACK <= now + EPSILON:
            self._sent -= self._slots.popleft()[2]
