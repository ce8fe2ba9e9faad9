"""The attempt ledger: every physical attempt that ended, also the cancelled, hedged and cut ones, and their sums."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from decimal import Decimal

from attrs import define

from llmcore.types import Attempt

KEPT = 1_000

Listener = Callable[[int, tuple[Attempt, ...]], None]


@define
class Tally:
    """The sums over one provider's attempts. Tokens are sums of what is known; `unknown` counts attempts without any.

    measured: as the vendor counted them; estimated: by us, for answers that were cut. cost_usd: None until one cost is
    known.
    """

    attempts: int = 0
    successes: int = 0
    failures: int = 0
    cancelled: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    estimated_output_tokens: int = 0
    unknown: int = 0
    cost_usd: Decimal | None = None

    def add(self, attempt: Attempt) -> None:
        """Count one more."""
        self.attempts += 1
        if attempt.outcome == "success":
            self.successes += 1
        elif attempt.outcome == "cancelled":
            self.cancelled += 1
        else:
            self.failures += 1
        usage = attempt.usage
        if attempt.counted == "measured":
            self.input_tokens += usage.input_tokens or 0
            self.output_tokens += usage.output_tokens or 0
        elif attempt.counted == "estimated":
            self.estimated_output_tokens += usage.output_tokens or 0
        else:
            self.unknown += 1
        if usage.cost_usd is not None:
            self.cost_usd = (self.cost_usd or Decimal(0)) + usage.cost_usd


class Ledger:
    """The last attempts (`kept` calls at most) and the sums of all since the start, by provider.

    `listen` hands every ended call's attempts on, for whoever keeps them longer.
    """

    def __init__(self, kept: int = KEPT) -> None:
        self._calls: deque[tuple[int, tuple[Attempt, ...]]] = deque(maxlen=kept)
        self._number = 0
        self._tallies: dict[str, Tally] = {}
        self._listeners: list[Listener] = []

    def __iter__(self) -> Iterator[tuple[int, tuple[Attempt, ...]]]:
        """(number of the call, its attempts), oldest first."""
        return iter(tuple(self._calls))

    def __len__(self) -> int:
        return len(self._calls)

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """The kept attempts of all calls."""
        return tuple(attempt for _, attempts in self._calls for attempt in attempts)

    @property
    def tallies(self) -> dict[str, Tally]:
        """The sums by provider, since the start."""
        return dict(self._tallies)

    def total(self) -> Tally:
        """The sums over all providers."""
        whole = Tally()
        for tally in self._tallies.values():
            for name in ("attempts", "successes", "failures", "cancelled", "input_tokens", "output_tokens"):
                setattr(whole, name, getattr(whole, name) + getattr(tally, name))
            whole.estimated_output_tokens += tally.estimated_output_tokens
            whole.unknown += tally.unknown
            if tally.cost_usd is not None:
                whole.cost_usd = (whole.cost_usd or Decimal(0)) + tally.cost_usd
        return whole

    def listen(self, told: Listener) -> None:
        """Call `told(number, attempts)` at the end of every call; it must not block or raise."""
        self._listeners.append(told)

    def add(self, attempts: tuple[Attempt, ...]) -> None:
        """A call has ended with these attempts."""
        if not attempts:
            return
        self._number += 1
        self._calls.append((self._number, attempts))
        for attempt in attempts:
            tally = self._tallies.get(attempt.provider)
            if tally is None:
                tally = self._tallies[attempt.provider] = Tally()
            tally.add(attempt)
        for told in self._listeners:
            told(self._number, attempts)
