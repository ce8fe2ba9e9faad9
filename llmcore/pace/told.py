"""Pure: what is left of one limit that the vendor announces."""

from __future__ import annotations

from llmcore.pace.quota import EPSILON, INF, MINUTE
from llmcore.pace.resets import LONGEST, Resets
from llmcore.types import Limit

AGREE: int = 10  # answers that must at least agree before more is believed to be left
SHORT: float = 5.0  # seconds; shorter windows are over before their news is of use
UNCLEAR: float = 10.0  # seconds up to which a limit of either kind is treated as a bucket
BELOW: float = 0.99  # of a told rate that is used
SOME: int = 20  # requests or tokens that must have been taken in a while from which the refill is measured
WELL: int = 50  # answers after which a limit is known well, and, far from it,
LOOK: int = 8  # only each eighth is looked at closely
HALF: float = MINUTE / 2
HOUR: float = 3600.0
TIGHT: float = 0.3  # share of a limit below which a refusal is taken to be for it
SHARED: float = 0.9  # share of a told rate below which somebody else must be using the rest


class Told:
    """One limit of the vendor's, and our reckoning of what is left of it.

    Vendors count in buckets that refill evenly, or in windows after which all comes back (`Resets` tells them apart). A
    bucket is reckoned along: every news is as old as some moment since the oldest request in flight was sent, and only
    what was never so in all that time is a correction. Of a long window never more is left than its last word allows, less
    all that is in flight. A short one is over before its news is here, and is spread evenly.
    """

    __slots__ = (
        "_age",
        "_at",
        "_began",
        "_capped",
        "_ceiling",
        "_cut_at",
        "_ends",
        "_gap",
        "_held_at",
        "_high",
        "_known_at",
        "_left",
        "_limit",
        "_looks",
        "_low",
        "_lowest",
        "_measured",
        "_most",
        "_refill",
        "_reserve",
        "_resets",
        "_rolled",
        "_seen",
        "_since_cut",
        "_size",
        "_sure",
        "_taken",
        "_told",
        "_turns",
        "_wanted",
        "_was_high",
        "_was_low",
        "_window",
    )

    def __init__(self) -> None:
        self._limit = 0.0
        self._size = INF  # what may be saved up
        self._left = INF
        self._at = 0.0
        self._refill = 0.0
        self._reserve = 0.0
        self._resets = Resets()
        self._low = self._high = 0.0  # of what was left, in this span
        self._was_low = self._was_high = 0.0  # and in the last
        self._turns = -INF  # when the next span begins
        self._began = -INF  # since when the refill is measured, by what is told and what was taken
        self._told = 0.0
        self._taken = 0.0
        self._capped = False  # all of it was there meanwhile, so that more may have come back
        self._measured: float | None = None
        self._gap = INF  # by how much less is left here than told, at least, in the last `_seen` answers
        self._seen = 0
        self._wanted = AGREE
        self._lowest = INF  # told since all was answered
        self._window = False
        self._rolled = False
        self._ends = INF  # when all of a window will be back
        self._looks = 0
        self._age = 1.0
        self._sure = False  # of the refill
        self._most = INF  # of the refill that is used since a refusal came
        self._ceiling = INF  # what was refused then
        self._cut_at = -INF
        self._since_cut = 0  # answers
        self._known_at = self._held_at = -INF

    def room(self, now: float) -> float:
        self._advance(now)
        return self._left / self._size

    def has_plenty(self, amount: float) -> bool:
        """Whether so much is far from all that is left, without a look at the clock: time only adds."""
        return self._left - amount > self._limit / 2

    def take(self, amount: float, now: float) -> None:
        self._advance(now)
        self._left -= amount
        self._taken += amount
        self._low = min(self._low, self._left)

    def wait(self, amount: float, now: float, doubt: float = 0.0) -> float:
        """Seconds until so much may go. doubt: how much more may be in use than is known; keep that free."""
        self._advance(now)
        spare = max(self._reserve, min(doubt, self._limit / 5))
        short = min(amount + spare, self._size) - self._left
        if short <= EPSILON:
            return 0.0
        self._held_at = now
        if self._window and not self._rolled:
            return max(self._ends - now, 0.001)
        return short / self._refill

    def refused(self, amount: float, now: float, sent: float) -> bool:
        """A request of so much, sent at `sent`, was refused, and has used nothing. Whether it was for this limit, and the
        refill is held lower from now on.
        """
        self._taken -= amount
        if sent < self._known_at + 1.0:
            return True
        if self._window or not self._sure or (self.room(now) > TIGHT and self._held_at < sent - 1.0):
            return False
        if sent >= self._cut_at:
            self._ceiling = self._refill
            lowest = (self._resets.rate or self._refill) / 4
            self._most = max(self._refill * (0.97 if self._since_cut > 20 else 0.85), lowest)
            self._since_cut = 0
            self._cut_at = now
            self._classify(self._age)
        return True

    def observe(self, told: Limit, unseen: float, flying: int, age: float, now: float) -> bool:
        """Whether these words make sense, and then learn from them. unseen: what was taken by requests whose answers
        have not told anything yet; flying: how many these are; age: seconds by which news may be old.
        """
        remaining, resets_s = told.remaining or 0.0, told.resets_s
        limit = told.limit or max(self._limit, remaining)
        if not (0 <= remaining < INF and 1 <= limit < INF):
            return False
        self._advance(now)
        if (
            limit == self._limit
            and remaining > limit / 2 < self._left
            and not self._window
            and self._steady()
        ):
            self._capped = True
            self._learn_bucket(remaining, flying)
            return True
        begins = limit != self._limit
        self._age = age
        self._since_cut += 1
        if self._most < INF:
            self._most *= 1 + (1e-4 if 0.97 * self._ceiling <= self._most <= self._ceiling else 2e-3)
        if begins:
            self._known_at = now
            self._limit, self._resets, self._measured, self._began = limit, Resets(), None, -INF
        fresh = False
        if resets_s is not None and 0 <= resets_s < LONGEST:
            self._resets.note(limit - remaining, resets_s)
            fresh = self._note_end(resets_s, now)
        self._measure(remaining, age, now)
        was_window = self._window
        self._classify(age)
        if self._window:
            self._learn_window(remaining, remaining - unseen, flying, fresh)
        elif begins or was_window:
            self._begin(remaining - min(unseen, limit), age, now)
        elif self._size == limit:
            self._learn_bucket(remaining, flying)
        return True

    def _steady(self) -> bool:
        """Whether this is one of those answers, far from a limit that is known well, that need no closer look."""
        self._looks += 1
        return self._looks > WELL and self._looks % LOOK > 0

    def _advance(self, now: float) -> None:
        since = self._at
        if now <= since:
            return
        self._at = now
        if self._window:
            if now < self._ends:
                return
            if not self._rolled:
                self._rolled, since = True, self._ends
                self._left = max(self._left, 1.0, self._limit / 50)
        before = self._left
        left = self._left = min(self._size, before + (now - since) * self._refill)
        if now >= self._turns:
            self._was_low, self._was_high = self._low, self._high
            self._low, self._high, self._turns = before, left, INF
        elif left > self._high:
            self._high = left

    def _classify(self, age: float) -> None:
        """Window or bucket, what comes back by itself per second, and what is kept free."""
        resets, limit = self._resets, self._limit
        self._turns = min(self._turns, self._at + age)
        self._size = limit
        if resets.even is None:
            self._window = resets.longest > UNCLEAR
        else:
            self._window = resets.even < 0.5 and resets.longest > min(max(SHORT, 4 * age), HALF)
        if self._window:
            self._refill, self._reserve = limit / 20, 0.0
            return
        self._sure = True
        if resets.even is not None and resets.even < 0.5:
            self._refill, self._reserve, self._size = 0.98 * limit / resets.longest, 0.0, 1.0
            self._hold()
            return
        rate = resets.rate
        if rate is None:
            rate = resets.guess if self._measured is None else self._measured
            self._sure = rate is not None
            self._refill = 10 * limit if rate is None else rate
        elif self._measured is None or self._measured > SHARED * rate:
            self._refill = BELOW * rate
        else:
            self._refill = 0.97 * self._measured
        self._hold()
        self._reserve = min(1 + self._refill / 50, limit / 5)

    def _hold(self) -> None:
        """Stay below what was refused, until the refill itself is known to be less."""
        if self._most < self._refill:
            self._refill = self._most
        else:
            self._most = INF

    # ------------------------------------------------------------------------------------- buckets

    def _begin(self, left: float, age: float, now: float) -> None:
        self._left = left
        self._low = self._high = self._was_low = self._was_high = left
        self._turns = now + age
        self._seen, self._gap = 0, INF

    def _learn_bucket(self, remaining: float, flying: int) -> None:
        """Take over what cannot be as reckoned: at once where less is left, where more is left once many agree."""
        low, high = min(self._low, self._was_low), max(self._high, self._was_high)
        if remaining + 1 <= low:
            self._shift(remaining + 0.5 - low)
        if remaining <= high:
            self._seen, self._gap = 0, INF
            return
        self._gap = min(self._gap, remaining - high)
        self._seen += 1
        if self._seen >= self._wanted or not flying:
            self._shift(self._gap)
            self._seen, self._gap, self._wanted = 0, INF, max(AGREE, flying)

    def _shift(self, by: float) -> None:
        self._left = min(self._size, self._left + by)
        self._low += by
        self._high += by
        self._was_low += by
        self._was_high += by

    def _measure(self, remaining: float, age: float, now: float) -> None:
        """What came back in a while: what was taken, and by how much more is told to be left."""
        self._capped = self._capped or remaining + 1 >= self._limit
        seconds = now - self._began
        if seconds < max(1.0, 4 * age) or (self._taken < SOME and seconds < MINUTE):
            return
        if seconds < INF:
            back = max(0.0, (remaining - self._told + self._taken) / seconds)
            if not self._capped:
                self._measured = (
                    back if self._measured is None else self._measured + (back - self._measured) / 3
                )
            elif self._measured is not None:  # there was more than was taken
                self._measured = max(back, self._measured * 1.1)
            if self._measured is not None:
                self._measured = max(
                    self._measured,
                    self._limit / (4 * self._resets.longest + 4 if self._resets.longest else HOUR),
                )
        self._began, self._told, self._taken, self._capped = now, remaining, 0.0, False

    # ------------------------------------------------------------------------------------- windows

    def _learn_window(self, remaining: float, believed: float, flying: int, fresh: bool) -> None:
        """fresh: the first word of a new window."""
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
            return
        self._lowest = INF if not flying else remaining if fresh else self._lowest
        self._seen, self._gap = 0, INF if self._gap >= 0 else 0.0
        self._wanted = max(AGREE, flying)

    def _note_end(self, resets_s: float, now: float) -> bool:
        """When all will be back; whether a window, or what may be one, has begun anew."""
        ends = now + resets_s
        if resets_s == int(resets_s):
            ends += 1.0  # whole seconds may have been rounded down
        begins = self._ends == INF or now >= self._ends
        if begins:
            self._rolled = False
        self._ends = ends if begins else min(self._ends, ends)
        return begins
