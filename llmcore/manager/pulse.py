"""Pure: what one provider's model family feels like now, from its calls' times to the first token or answer.

The estimate is a peak-EWMA, as in Finagle's `PeakEwma` balancer and tower's `load::peak_ewma`: a slower sample is
believed at once, a faster one moves the average by 1 - exp(-dt / TAU). Three things are our own:

* A call that waits longer than the estimate already is a slower sample, so a stalled provider is left before its
  calls end. One that ends without a first token is no good news: the estimate stands anew, or is the wait if longer.
* An estimate that nobody has renewed for HOLD seconds decays towards 0, so that who was left is tried again. From 30
  times slower than the others that is after a minute.
* Such a try is one call: while it waits, nothing decays, and who was never measured feels endlessly slow to the others.

Instants and durations are monotonic seconds.
"""

from __future__ import annotations

from collections import deque
from math import exp, expm1, inf

from llmcore.meter import quantile

TAU: float = 10.0
"""Time constant of the average, and of its decay."""
HOLD: float = 30.0
"""How long an estimate stands without a new sample."""
UNSAID: float = 1.0
"""A call that ends without a first token within this says nothing of a provider that was never measured: an error is
quick, and no speed."""
WINDOW: int = 256
ENOUGH: int = 20
"""First-token times, at most and at least, that a quantile is taken of."""
REFRESH: int = 16
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
        """Seconds to the first token that a call begun now must expect; None where nothing is known and nobody waits."""
        estimate = self._estimate
        for began in self._waiting.values():  # only the first: they are in the order of their beginning
            return inf if estimate is None else max(estimate, now - began)
        return None if estimate is None else self._decayed(estimate, now)

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
