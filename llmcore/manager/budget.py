"""Pure: what attempts beside the first may cost, one bucket for a whole manager's retries, failovers and hedges."""

from __future__ import annotations

from attrs import frozen

from llmcore.config import BudgetConfig


@frozen
class Counts:
    """Since start. taken - refunded is what was spent for good; earned: first attempts that succeeded."""

    taken: int
    refunded: int
    earned: int


class Budget:
    """A token bucket that starts full. `now` is in monotonic seconds; a `now` from before the last one adds nothing.

    Laws: the tokens stay within 0 and the capacity; in any t seconds at most (capacity + per_second x t) / cost
    attempts are paid that nobody refunds or earns for. Where it is disabled everything is counted and nothing refused.
    """

    __slots__ = (
        "_at",
        "_capacity",
        "_cost",
        "_enabled",
        "_per_second",
        "_per_success",
        "_tokens",
        "earned",
        "refunded",
        "taken",
    )

    def __init__(self, config: BudgetConfig) -> None:
        self._enabled = config.enabled
        self._capacity = config.capacity
        self._cost = config.cost
        self._per_success = config.per_success
        self._per_second = config.per_second
        self._tokens = config.capacity
        self._at = 0.0  # when `_tokens` was right; says nothing while the bucket is full
        self.taken: int = 0
        self.refunded: int = 0
        self.earned: int = 0

    @property
    def counts(self) -> Counts:
        return Counts(self.taken, self.refunded, self.earned)

    def tokens(self, now: float) -> float:
        trickle = self._per_second * max(0.0, now - self._at)
        return min(self._capacity, self._tokens + trickle)

    def exhausted(self, now: float) -> bool:
        """Whether `take` would refuse now."""
        return self._enabled and self.tokens(now) < self._cost

    def take(self, now: float) -> bool:
        """Pay one attempt, or False where there is too little, and then nothing is taken."""
        if self.exhausted(now):
            return False
        self.taken += 1
        if self._enabled:
            self._add(now, -self._cost)
        return True

    def refund(self, now: float) -> None:
        """Give one cost back: the attempt that it paid succeeded or was never sent. At most once for each one taken."""
        if self.refunded >= self.taken:
            raise RuntimeError("a refund of what was not taken")
        self.refunded += 1
        self._add(now, self._cost)

    def earn(self, now: float) -> None:
        """A first attempt succeeded."""
        self.earned += 1
        if self._tokens < self._capacity:
            self._add(now, self._per_success)

    def _add(self, now: float, amount: float) -> None:
        self._tokens = min(self._capacity, self.tokens(now) + amount)
        self._at = max(self._at, now)
