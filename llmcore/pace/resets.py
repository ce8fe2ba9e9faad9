"""Pure: what the resets that a vendor tells say of one limit: how fast it refills, and whether evenly or all at once."""

from __future__ import annotations

from llmcore.pace.quota import INF

LONGEST: float = 1e9  # seconds; a longer window is no window
APART: int = 50  # answers after which another is compared with
SECOND: float = 1.0
MILLI: float = 1e-3
FADE: float = 5e-4  # share of the longest that is forgotten with every answer


class Resets:
    """A bucket that refills evenly is full again `used / rate` after any of its states, so resets rise and fall with what is
    used; a window's resets fall while its use rises. Neither depends on how old the news is.

    even: 1.0 a bucket, 0.0 a window, None not known yet. longest: the longest reset told lately, in seconds. rate: per
    second, of a bucket whose resets agree, else None. guess: what it may be, where only whole seconds are told.
    """

    __slots__ = (
        "_agree", "_grain", "_high", "_low", "_resets_s", "_since", "_slowest", "_used", "even", "guess", "longest",
    )  # fmt: skip

    def __init__(self) -> None:
        self.even: float | None = None
        self.guess: float | None = None
        self.longest: float = 0.0
        self._agree = 0.5
        self._low, self._high = 0.0, INF  # between which a bucket's rate must be
        self._slowest = INF
        self._grain = SECOND  # by how much a reset may be off: vendors round to seconds, milliseconds, or not
        self._used, self._resets_s = 0.0, 0.0  # told before, for comparison
        self._since = 0  # answers ago

    @property
    def rate(self) -> float | None:
        if self._agree < 0.5 or self._high == INF:
            return None
        return (self._low + self._high) / 2 if self._grain == SECOND and self._low else self._slowest

    def note(self, used: float, resets_s: float) -> None:
        """A vendor has told that so much is used, and in how many seconds all of it will be back."""
        self._refine(resets_s)
        self.longest = max(self.longest * (1 - FADE), resets_s)
        if used <= 0 or resets_s <= 0:
            return
        if self._grain == SECOND and resets_s > 2.0:
            each = used / resets_s
            self.guess = each if self.guess is None else self.guess + (each - self.guess) / 10
        self._judge(used, resets_s)
        self._bound(used, resets_s)

    def _refine(self, resets_s: float) -> None:
        """Seen as coarse as all resets so far; what was learned of coarser ones is forgotten."""
        if self._grain and abs(resets_s / self._grain - round(resets_s / self._grain)) > 1e-6:
            self._low, self._high, self._slowest, self.longest, self.guess = 0.0, INF, INF, 0.0, None
            self._grain = MILLI if self._grain == SECOND else 0.0
            self._refine(resets_s)

    def _judge(self, used: float, resets_s: float) -> None:
        """Compare with what was told before, in whichever order the two came about."""
        more, later = used - self._used, resets_s - self._resets_s
        self._since += 1
        if more and abs(later) > max(self._grain, resets_s / 100):
            if self._used:
                side = 1.0 if (more > 0) == (later > 0) else 0.0
                self.even = side if self.even is None else self.even + (side - self.even) / 5
        elif self._since < APART:
            return
        self._used, self._resets_s, self._since = used, resets_s, 0

    def _bound(self, used: float, resets_s: float) -> None:
        """What is left is told rounded down, so that up to 1 less is used than it seems."""
        grain = self._grain
        low = (used - 1) / (resets_s + grain)
        high = used / (resets_s - grain) if resets_s > grain else INF
        both = max(low, self._low), min(high, self._high)
        agrees = both[0] <= both[1]
        self._low, self._high = both if agrees else (low, high)
        self._slowest = min(self._slowest, used / resets_s) if agrees else used / resets_s
        self._agree += ((1.0 if agrees else 0.0) - self._agree) / 5
