"""The attempts of one call, in the order in which they began, and the error that ends a call in vain."""

from __future__ import annotations

from attrs import evolve

from llmcore.errors import AllProvidersFailed, ProviderError
from llmcore.types import Attempt


class Trail:
    """Notes attempts as they begin and end. Times are monotonic seconds; on the attempts they count from the call's start."""

    __slots__ = ("_attempts", "_model", "_name", "_running", "_started", "_wait", "began", "errors")

    def __init__(self, began: float) -> None:
        self.began: float = began
        self.errors: list[ProviderError] = []
        self._attempts: tuple[Attempt, ...] = ()
        self._running = False
        self._name = ""
        self._model: str | None = None
        self._started = began
        self._wait = 0.0

    def begin(self, name: str, model: str | None, now: float, wait: float) -> None:
        """An attempt at `name` is made, after a pause of `wait`."""
        self._name, self._model, self._started, self._wait, self._running = name, model, now, wait, True

    def failed(self, error: ProviderError, now: float) -> None:
        """The running attempt has failed."""
        error.provider = error.provider or self._name
        self.errors.append(error)
        self._end(error.attempts, error.outcome, error.status, now)

    def succeeded(self, made: tuple[Attempt, ...], now: float) -> tuple[Attempt, ...]:
        """The running attempt has answered and says that it `made` these; all attempts of the call."""
        if made and not self._attempts and not self._wait:
            return made
        return self._end(made, "success", None, now)

    def cut(self, outcome: str, now: float) -> tuple[Attempt, ...]:
        """The call is over, whatever runs; all its attempts, the running one with `outcome`."""
        return self._end((), outcome, None, now) if self._running else self._attempts

    def final(self, name: str) -> ProviderError:
        """What the caller sees: the error itself where it was the only one or is final, else all of them as one."""
        last = self.errors[-1]
        if len(self.errors) > 1 and last.failover:
            hints = [error.retry_after for error in self.errors if error.retry_after is not None]
            words = f"no provider answered ({len(self.errors)} attempts)"
            last = AllProvidersFailed(words, self.errors, provider=name, retry_after=min(hints, default=None))
        last.attempts = self._attempts
        return last

    def _end(
        self, made: tuple[Attempt, ...], outcome: str, status: int | None, now: float
    ) -> tuple[Attempt, ...]:
        self._running = False
        made = made or (Attempt(self._name, self._model, outcome, status, now - self._started, 0.0),)
        offset = self._started - self.began
        placed = [evolve(attempt, started_s=offset + (attempt.started_s or 0.0)) for attempt in made]
        placed[0] = evolve(placed[0], wait_s=self._wait)
        self._attempts += tuple(placed)
        return self._attempts
