"""Pure: what one provider's model family feels like now, from its calls' times to the first token or answer.

A peak-EWMA, as in Finagle's `PeakEwma` balancer and tower's `load::peak_ewma`: a slower sample is believed at once, a
faster one moves the average by 1 - exp(-dt / TAU). Four things are our own:

* Both multiply by the calls in flight; we by the root of those that wait for their first token: vendors serve calls
  side by side, so a queue there costs less, and who comes back is still not run down.
* A call that has waited longer than the estimate counts as a slower sample already, and several for more than one, so
  that a stalled provider is left before its calls end. A call that ends without a first token is no good news: the
  estimate stands anew, or is the wait if that was longer.
* An estimate that nobody has renewed for HOLD seconds decays towards 0, so that who was left is tried again. From
  30 times slower than the others that takes about a minute.
* Such a try is one call: while it waits, nothing decays, and who was never measured feels endlessly slow to the others.

Instants and durations are monotonic seconds.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from math import exp, expm1, inf, sqrt

from llmcore.meter import quantile

TAU: float = 10.0
"""Time constant of the average, and of its decay."""
HOLD: float = 20.0
"""How long an estimate stands without a new sample."""
LATE: int = 8
"""More late calls than this count as this many, so that a look at a stalled provider stays cheap."""
UNSAID: float = 1.0
"""A call that ends without a first token within this says nothing of a provider that was never measured: an error is
quick, and no speed."""
WINDOW: int = 256
ENOUGH: int = 20
"""First-token times, at most and at least, that a quantile is taken of."""
REFRESH: int = 16
STALLED: float = 3.0  # times p95 beyond which a wait that was given up is a stall, not a slow answer
"""New times after which the quantile is computed again."""


class Pulse:
    """`begun`, then `first` where something came, then `ended` in any case. No method raises."""

    __slots__ = ("_at", "_estimate", "_fresh", "_p95", "_times", "_token", "_waiting")

    def __init__(self) -> None:
        self._estimate: float | None = None
        self._at = 0.0
        self._token = 0
        self._waiting: dict[int, float] = {}
        self._times: deque[float] = deque(maxlen=WINDOW)
        self._fresh = 0
        self._p95: float | None = None

    def begun(self, now: float) -> int:
        """A call is sent; the token that names it."""
        self._token = token = self._token + 1
        self._waiting[token] = now
        return token

    def first(self, token: int, now: float) -> None:
        """The first visible delta, or the whole answer, has come; only the first time counts."""
        began = self._waiting.pop(token, None)
        if began is not None:
            self.observe(now - began, now)

    def ended(self, token: int, now: float) -> None:
        """The call is over, however it ended."""
        began = self._waiting.pop(token, None)
        if began is None:
            return
        known = self._estimate
        waited = now - began
        if known is not None or waited > UNSAID:
            self._estimate, self._at = max(known or 0.0, waited), now
        if self._p95 is not None and self._p95 < waited <= STALLED * self._p95:
            self._times.append(
                waited
            )  # given up for a faster one: above p95, wherever; without it p95 would sink
            self._fresh += 1

    def observe(self, seconds: float, now: float) -> None:
        """One time to the first token."""
        self._times.append(seconds)
        self._fresh += 1
        if self._estimate is not None:
            old = self._decayed(self._estimate, now)
            if seconds < old:
                seconds = old + (old - seconds) * expm1((self._at - now) / TAU)
        self._estimate, self._at = seconds, now

    def delay(self, now: float) -> float | None:
        """Seconds to the first token, grown by the calls that wait for theirs; None where nothing is known.

        To compare by, not to promise: infinite while the first call ever is under way.
        """
        estimate = self._estimate
        if not self._waiting:
            return None if estimate is None else self._decayed(estimate, now)
        if estimate is None:
            return inf
        felt, late = estimate, 1
        for began in islice(self._waiting.values(), LATE):  # the oldest first
            waited = now - began
            if waited <= estimate:
                break
            felt = max(felt, waited)
            late += 1
        return felt * late * sqrt(1 + len(self._waiting))

    def p95(self) -> float | None:
        """The 95th percentile of the latest first-token times, a few calls old; None where they are too few."""
        if len(self._times) < ENOUGH:
            return None
        if self._p95 is None or self._fresh >= REFRESH:
            self._p95 = quantile(sorted(self._times), 0.95)
            self._fresh = 0
        return self._p95

    def _decayed(self, estimate: float, now: float) -> float:
        idle = now - self._at - HOLD
        return estimate if idle <= 0 else estimate * exp(-idle / TAU)
