"""What a simulated provider has counted of its own work: the truth from the other side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from decimal import Decimal

from llmcore.types import Usage

REFUSED = "RateLimitError"
LEFT = "left"
SERVED = "success"


class Load:
    """Requests by what became of them, tokens, dollars, and how busy it was. Law: asked = served + failed + left + in_flight.

    Series are by steps of `step` seconds, of the moments at which requests came in.
    """

    def __init__(self, step: float) -> None:
        self._step = step
        self.asked: int = 0
        self.in_flight: int = 0
        self.peak: int = 0
        self.busy_s: float = 0.0
        self.outcomes: Counter[str] = Counter()
        self.input_tokens: int = 0
        self.output_tokens: int = 0
        self.cost_usd: Decimal | None = None
        self.asked_by_step: Counter[int] = Counter()
        self.served_by_step: Counter[int] = Counter()
        self.refused_by_step: Counter[int] = Counter()

    def began(self, now: float) -> int:
        """A request has come; the number of its step."""
        step = int(now // self._step)
        self.asked += 1
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        self.asked_by_step[step] += 1
        return step

    def ended(self, outcome: str, step: int, seconds: float, usage: Usage) -> None:
        """It is over. usage: what is billed for it."""
        self.in_flight -= 1
        self.busy_s += seconds
        self.outcomes[outcome] += 1
        if outcome == SERVED:
            self.served_by_step[step] += 1
        elif outcome == REFUSED:
            self.refused_by_step[step] += 1
        self.input_tokens += usage.input_tokens or 0
        self.output_tokens += usage.output_tokens or 0
        if usage.cost_usd is not None:
            self.cost_usd = (self.cost_usd or Decimal(0)) + usage.cost_usd

    @property
    def served(self) -> int:
        return self.outcomes[SERVED]

    @property
    def refused(self) -> int:
        """Answered with 429."""
        return self.outcomes[REFUSED]

    @property
    def left(self) -> int:
        """Given up by the caller: cancelled, or lost a race."""
        return self.outcomes[LEFT]

    @property
    def failures(self) -> Mapping[str, int]:
        """Requests by the class of error, refusals included."""
        return {name: self.outcomes[name] for name in sorted(self.outcomes) if name not in {SERVED, LEFT}}
