"""Pure: what is left of one limit that the vendor announces."""

from __future__ import annotations

from llmcore.pace.quota import EPSILON, INF, MINUTE
from llmcore.types import Limit

LONGEST: float = 1e9  # seconds; a longer window is no window
AGREE: int = 10  # answers that must at least agree before more is believed to be left


class Told:
    """One limit of the vendor's, and our reckoning of what is left of it, never more than its last word allows.

    Vendors count in buckets that refill evenly, or in windows after which all comes back. A bucket's reset moves on with
    every request, a window's stands; until that is clear the limit is treated as a window, the more careful way.
    """

    __slots__ = (
        "_anchor",
        "_at",
        "_ends",
        "_even",
        "_gap",
        "_left",
        "_limit",
        "_lowest",
        "_refill",
        "_rolled",
        "_seconds",
        "_seen",
        "_used",
        "_wanted",
        "_window",
    )

    def __init__(self) -> None:
        self._limit = 0.0
        self._left = INF
        self._at = 0.0
        self._used = 0.0  # used and _seconds, fading sums: their ratio is a bucket's rate
        self._seconds = 0.0
        self._even: float | None = None  # 1.0 a bucket, 0.0 a window, None not known yet
        self._anchor: tuple[float, float, float] | None = None  # (when, remaining, reset), for comparison
        self._gap = INF  # by how much less is left here than told, at least, in the last `_seen` answers
        self._seen = 0
        self._wanted = AGREE
        self._lowest = INF  # told since all was answered
        self._rolled = False
        self._ends = INF  # when all will be back
        self._window = False
        self._refill = 0.0

    def left(self, now: float) -> float:
        self._advance(now)
        return self._left

    def room(self, now: float) -> float:
        return self.left(now) / self._limit

    def take(self, amount: float, now: float) -> None:
        self._advance(now)
        self._left -= amount

    def wait(self, amount: float, now: float, ahead: int, doubt: float = 0.0) -> float:
        """Seconds until so much may go. doubt: how much more may be in use than is known; keep that free."""
        self._advance(now)
        short = min(amount + min(doubt, self._limit / 5), self._limit) + amount * ahead - self._left
        if short <= EPSILON:
            return 0.0
        if self._window and not self._rolled:
            return max(self._ends - now, 0.001)
        return short / self._refill

    def observe(self, told: Limit, unseen: float, flying: int, now: float) -> bool:
        """Whether these words make sense, and then learn from them. unseen: what was taken by requests whose answers
        have not told anything yet; flying: how many these are.
        """
        remaining, resets_s = told.remaining or 0.0, told.resets_s
        limit = told.limit or max(self._limit, remaining)
        if not (0 <= remaining < INF and 1 <= limit < INF):
            return False
        if limit != self._limit:
            self._limit, self._used, self._seconds, self._anchor = limit, 0.0, 0.0, None
            self._classify()
        self._advance(now)
        fresh = (
            resets_s is not None and 0 <= resets_s < LONGEST and self._note_reset(remaining, resets_s, now)
        )
        believed = remaining - unseen
        self._lowest = min(self._lowest, remaining)
        self._gap = min(self._gap, believed - self._left)
        self._seen += 1
        if fresh:
            self._left = believed
        elif not flying:
            self._left = self._lowest  # all were answered, and whoever was counted last was told the least
        elif self._gap < 0 or self._seen >= self._wanted:  # answers come in disorder: many must agree on more
            self._left += self._gap
        else:
            return True
        self._lowest = INF if not flying else remaining if fresh else self._lowest
        self._seen, self._gap = 0, INF if self._gap >= 0 else 0.0
        self._wanted = max(AGREE, flying)
        return True

    def _advance(self, now: float) -> None:
        since = self._at
        if now <= since:
            return
        self._at = now
        if not self._window:
            self._left = min(self._limit, self._left + (now - since) * self._refill)
        elif now >= self._ends:
            if not self._rolled:
                self._rolled, since = True, self._ends
                self._left = max(self._left, 1.0, self._limit / 50)
            self._left = min(self._limit, self._left + (now - since) * self._refill)

    def _classify(self) -> None:
        """What comes back by itself, per second: a bucket's refill; of a new window, a little until its first word."""
        self._window = self._ends < INF and (self._even is None or self._even < 0.5)
        if self._window:
            self._refill = self._limit / 20
        else:
            self._refill = (
                self._used / self._seconds if self._seconds and self._used else self._limit / MINUTE
            )

    def _note_reset(self, remaining: float, resets_s: float, now: float) -> bool:
        """Learn from when all will be back; whether a window, or what may be one, has begun anew."""
        used, ends = self._limit - remaining, now + resets_s
        if resets_s == int(resets_s):
            ends += 1.0  # whole seconds may have been rounded down
        if used > 0 and resets_s > 0:
            self._used, self._seconds = self._used * 0.9 + used, self._seconds * 0.9 + resets_s
            self._judge(remaining, resets_s / used, ends, now)
        begins = self._ends == INF or now >= self._ends
        if begins:
            self._rolled = False
        self._ends = ends if begins else min(self._ends, ends)
        self._classify()
        return begins and self._window

    def _judge(self, remaining: float, each: float, ends: float, now: float) -> None:
        """Compare how the reset moved with how a bucket's would have. each: its seconds per unit used."""
        if self._anchor is None or now >= self._anchor[2]:
            self._anchor = (now, remaining, ends)
            return
        then, before, was = self._anchor
        expected = (now - then) + (before - remaining) * each
        if expected < max(5.0, (ends - now) / 5):
            return
        share = min(1.0, max(0.0, (ends - was) / expected))
        self._even = share if self._even is None else (self._even + share) / 2
        self._anchor = (now, remaining, ends)
