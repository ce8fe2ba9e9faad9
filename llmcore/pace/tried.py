"""Pure: the rate of a vendor that refuses and does not say its limits."""

from __future__ import annotations

from llmcore.pace.quota import EPSILON, INF, MINUTE

FORGET: float = 300.0  # seconds without a refusal and without need after which the rate is forgotten
FEW: int = 10  # requests within the last minute below which a refusal says nothing of a rate
STRAY: float = 0.01  # share of refusals up to which they are strays
SURE: int = 20  # requests between two refusals that make a measured rate trustworthy
CLEAR: int = 10  # requests let through between the first refusals, or
MANY: int = 6  # refusals, that make a first rate
BELOW: float = 0.97  # of the rate that was refused
AGAIN: float = 0.93  # of a rate that is refused again at once
QUICK: float = 0.85  # of one that is refused at once a third time
SLOW: float = 200.0  # requests at least in which the rate grows to where it was refused
PATIENT: float = 120.0  # seconds after which it grows faster in any case
LONG: float = 2.0  # seconds of refusals that end a window, rather than a bucket
RARE: float = 150.0  # requests that there must be for each refusal
WORTH: float = 66.0  # times what a refusal costs that must be won before the next
LONGEST_PAUSE: float = (
    15.0  # seconds between two tries at a vendor that refuses all and does not say for how long
)
SLOWEST: float = 1 / 60  # requests per second that are tried in any case


class Tried:
    """A rate of requests found by trying, where the vendor refuses and does not say its limit.

    Whatever a vendor may save up is used up when it refuses: between two refusals it lets through what it allows. From
    there the rate grows slowly to the ceiling, the rate at which it was refused last, and faster beyond it; each refusal
    puts it a little below. Where that is refused at once, it was not the rate but the savings that ran out, and the
    mean since the refusal before is taken. rate: per second; None where nothing was refused lately.
    """

    __slots__ = (
        "_anchor",
        "_at",
        "_before",
        "_ceiling",
        "_cut_at",
        "_depth",
        "_first",
        "_first_at",
        "_from",
        "_hurt",
        "_level",
        "_needed_at",
        "_pause",
        "_refused",
        "_sent",
        "_shut",
        "_slow",
        "_strikes",
        "_struck_at",
        "rate",
    )

    def __init__(self) -> None:
        self.rate: float | None = None
        self._ceiling: float | None = None
        self._level = 0.0
        self._depth = 0.1  # seconds' worth of requests that may be saved up
        self._at = 0.0
        self._cut_at = -INF
        self._needed_at = -INF
        self._from = -INF  # since when _sent counts: the last cut; before any, the last half minute
        self._sent = 0
        self._before: tuple[float, int] | None = None  # the half minute before that
        self._anchor: tuple[float, int] | None = (
            None  # the cut before the last: since when, and requests since
        )
        self._first_at = INF  # when the first request since the last cut was sent
        self._pause = 0.0
        self._hurt = 0.0  # refusals that the last try at a higher rate has cost
        self._shut = False  # refused all for a while since the last cut, as windows do
        self._slow = SLOW  # requests in which the rate shall grow to its ceiling
        self._strikes = 0
        self._struck_at = -INF
        self._first = 0.0  # when the first of these strikes was
        self._refused = 0  # how many requests were sent and not refused until then

    def take(self, now: float) -> None:
        self._sent += 1
        if self.rate is not None:
            self._advance(now)
            self._level -= 1
            if self._first_at == INF:
                self._first_at = now
        elif now - self._from > MINUTE / 2:
            self._before = (self._from, self._sent - 1) if now - self._from <= MINUTE else None
            self._from, self._sent = now, 1

    def wait(self, now: float) -> float:
        self._advance(now)
        if self.rate is None:
            return 0.0
        short = 1 - self._level
        if short > EPSILON:
            self._needed_at = now
        return short / self.rate

    def room(self, now: float) -> float:
        self._advance(now)
        return 1.0 if self.rate is None else 0.5 * min(1.0, self._level)

    def refused(self, now: float, sent: float, resumes: float, in_flight: int) -> None:
        """One cut for all that was sent before the last one. resumes: when the next may go."""
        if sent < self._cut_at:
            if not self._shut:
                self._hurt += 1
                self._slow = max(self._slow, RARE * self._hurt)
            return
        self._advance(now)
        resumes = max(now, resumes)
        if self.rate is None:
            self._begin(now, resumes, in_flight)
        elif sent <= self._first_at:  # still shut: the wait was too short, not the rate too high
            self._pause = min(self._pause * 2, LONGEST_PAUSE)
            self._stop(now, max(resumes, now + self._pause))
            if self._pause > LONG:
                self._shut, self._hurt, self._slow = True, 0.0, SLOW
        else:
            self._cut(self.rate, now, resumes)

    def _begin(self, now: float, resumes: float, in_flight: int) -> None:
        """The first rate: what was let through between the first refusals, or half of what was sent before them."""
        if now - self._struck_at > MINUTE / 2:
            self._strikes, self._first, self._refused = 0, now, self._sent
        self._strikes, self._struck_at = self._strikes + 1, now
        since, others = self._before or (self._from, 0)
        sent = self._sent + others
        if sent < FEW or self._strikes < max(2.0, STRAY * sent):
            return
        through = self._sent - self._refused - self._strikes
        if self._strikes < MANY and through < CLEAR and resumes - now < 1.0:
            return
        if through >= CLEAR / 2:
            self.rate = BELOW * through / max(EPSILON, now - self._first)
        else:
            self.rate = 0.5 * max(1.0, sent - in_flight * 7 / 8) / max(1.0, resumes - since)
        self._anchor = None
        self._settle(now, resumes, 0.0)

    def _cut(self, rate: float, now: float, resumes: float) -> None:
        since, sent = self._from, self._sent
        long = self._shut or resumes - now > max(10 / rate, LONG)
        lowest = BELOW if sent > SURE else AGAIN if self._anchor is not None else QUICK
        if lowest == AGAIN and self._anchor is not None:
            since, sent = self._anchor[0], self._anchor[1] + sent
        mean = (sent - 1) / max(EPSILON, resumes - since)
        self._anchor = (since, sent) if lowest == BELOW else None
        if lowest == BELOW:
            self._ceiling = min(rate, mean) if long else rate
        else:
            self._ceiling = min(rate, max(mean, lowest * rate))
        self.rate = BELOW * self._ceiling
        self._settle(now, resumes, 0.0 if long else resumes - now)

    def _settle(self, now: float, resumes: float, cost: float) -> None:
        """cost: seconds for which nothing was let through that could have been."""
        self.rate, self._pause = max(self.rate or 0.0, SLOWEST), 0.5
        self._hurt = max(1.0, self._hurt / 2)
        self._slow = max(SLOW, WORTH * cost * self.rate, RARE * self._hurt)
        self._depth = max(0.01, self._depth / 2)
        self._stop(now, resumes)
        self._from, self._sent, self._before, self._shut = resumes, 0, None, False

    def _stop(self, now: float, resumes: float) -> None:
        self._cut_at, self._at, self._first_at, self._level = now, resumes, INF, 0.0

    def succeeded(self, now: float) -> None:
        """Grow, if the rate has held anybody back lately."""
        rate, ceiling = self.rate, self._ceiling
        if rate is None or now - self._needed_at > max(1.0, 10 / rate):
            return
        if ceiling is None:
            growth = min(0.03, 0.1 / rate)
        elif rate > 1.1 * ceiling:
            growth = min(0.03, 0.05 / rate)
        else:
            far = max(self._sent / self._slow, (now - self._from) / PATIENT)
            growth = (1 - BELOW) / self._slow * (1 + far * far)
        self.rate = rate * (1 + growth)

    def _advance(self, now: float) -> None:
        if self.rate is None or now <= self._at:
            return
        if now - max(self._cut_at, self._needed_at) > FORGET:
            self.rate = self._ceiling = self._anchor = None
            self._depth = 0.1
            self._from, self._sent = now, 0
            return
        self._level = min(1.0 + self.rate * self._depth, self._level + (now - self._at) * self.rate)
        self._at = now
