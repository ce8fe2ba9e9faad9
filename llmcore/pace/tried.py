"""Pure: the rate of a vendor that refuses and does not say its limits."""

from __future__ import annotations

from llmcore.pace.quota import EPSILON, INF, MINUTE

FORGET: float = 300.0  # seconds without a refusal and without need after which the rate is forgotten
FEW: int = 10  # requests within the last minute below which a refusal says nothing of a rate
STRAY: float = 0.01  # share of refusals up to which they are strays
SURE: int = 20  # requests between two refusals that make a measured rate trustworthy
LONGEST_PAUSE: float = (
    15.0  # seconds between two tries at a vendor that refuses all and does not say for how long
)
SLOWEST: float = 1 / 60  # requests per second that are tried in any case


class Tried:
    """A rate of requests found by trying, where the vendor refuses and does not say its limit.

    Between two refusals at the limit the mean rate is what is allowed: go a little below it, grow slowly through it, and
    faster where the limit must be elsewhere. rate: per second; None where nothing was refused lately.
    """

    __slots__ = (
        "_answered",
        "_at",
        "_before",
        "_cut_at",
        "_from",
        "_level",
        "_needed_at",
        "_pause",
        "_sent",
        "_strikes",
        "_struck_at",
        "_target",
        "rate",
    )

    def __init__(self) -> None:
        self.rate: float | None = None
        self._target: float | None = None  # measured to be allowed
        self._level = 0.0
        self._at = 0.0
        self._cut_at = -INF
        self._needed_at = -INF
        self._from = -INF  # since when _sent counts: the last cut; before any, the last half minute
        self._sent = 0
        self._before: tuple[float, int] | None = None  # the half minute before that
        self._answered = False  # something that was sent after the last cut
        self._pause = 0.0
        self._strikes = 0
        self._struck_at = -INF

    def take(self, now: float) -> None:
        self._sent += 1
        if self.rate is not None:
            self._advance(now)
            self._level -= 1
        elif now - self._from > MINUTE / 2:
            self._before = (self._from, self._sent - 1) if now - self._from <= MINUTE else None
            self._from, self._sent = now, 1

    def give_back(self) -> None:
        self._sent -= 1
        self._level += 1

    def wait(self, now: float, ahead: int) -> float:
        self._advance(now)
        if self.rate is None:
            return 0.0
        short = 1 + ahead - self._level
        if short > EPSILON:
            self._needed_at = now
        return short / self.rate

    def room(self, now: float) -> float:
        self._advance(now)
        return 1.0 if self.rate is None else 0.5 * min(1.0, self._level)

    def refused(self, now: float, sent: float, resumes: float, in_flight: int) -> None:
        """One cut for all that was sent before the last one. resumes: when the next may go."""
        if sent < self._cut_at:
            return
        self._advance(now)
        resumes = max(now, resumes)
        if (
            self.rate is not None and not self._answered
        ):  # still shut: the wait was too short, not the rate too high
            self._pause = min(self._pause * 2, LONGEST_PAUSE)
            self._stop(now, max(resumes, now + self._pause))
            return
        if self.rate is None:
            since, others = self._before or (self._from, 0)
            if not self._is_a_pattern(now, self._sent + others):
                return
            self.rate = 0.5 * max(1.0, self._sent + others - in_flight * 7 / 8) / max(1.0, resumes - since)
        elif self._sent > SURE:
            mean = (self._sent - 1) / max(1.0, resumes - self._from)
            lowest = 0.0 if self._target is None else self.rate / 2
            self.rate = self._target = max(lowest, 0.97 * min(mean, self.rate))
        elif self._target is None:
            self.rate *= 0.5
        else:
            self.rate *= 0.7
            self._target = self._target if self.rate > self._target / 2 else None
        self.rate, self._pause = max(self.rate, SLOWEST), 0.5
        self._stop(now, resumes)

    def _is_a_pattern(self, now: float, sent: int) -> bool:
        """Whether this many refusals of what was sent say something of a rate, rather than of one request."""
        if now - self._struck_at > MINUTE / 2:
            self._strikes = 0
        self._strikes, self._struck_at = self._strikes + 1, now
        return sent >= FEW and self._strikes >= max(2.0, STRAY * sent)

    def _stop(self, now: float, resumes: float) -> None:
        self._answered = False
        self._cut_at, self._from, self._at = now, resumes, resumes
        self._sent, self._level, self._before = 0, 0.0, None

    def succeeded(self, now: float, sent: float) -> None:
        """Grow, if the rate has held anybody back lately."""
        self._answered = self._answered or sent >= self._cut_at
        rate, target = self.rate, self._target
        if rate is not None and now - self._needed_at <= max(1.0, 10 / rate):
            near = target is not None and target <= rate <= 1.1 * target
            self.rate = rate * (1 + (min(3e-4, 1e-3 / rate) if near else min(0.03, 0.03 / rate)))

    def _advance(self, now: float) -> None:
        if self.rate is None or now <= self._at:
            return
        if now - max(self._cut_at, self._needed_at) > FORGET:
            self.rate = self._target = None
            self._from, self._sent = now, 0
            return
        self._level = min(max(1.0, self.rate / 10), self._level + (now - self._at) * self.rate)
        self._at = now
