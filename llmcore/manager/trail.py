"""The attempts of one call, in the order in which they began, and the error that ends a call in vain."""

from __future__ import annotations

from attrs import evolve

from llmcore.errors import AllProvidersFailed, ProviderError, TotalTimeout
from llmcore.types import NO_USAGE, Attempt, Skipped, Usage
from llmcore.types.responses import Counted, Why

NO_TIME_S = 0.001


class Entry:
    """One attempt while it runs. Times are monotonic seconds."""

    __slots__ = ("error", "key", "made", "model", "name", "started", "wait", "why")

    def __init__(
        self, name: str, model: str | None, key: str | None, why: Why, started: float, wait: float
    ) -> None:
        self.name: str = name
        self.model: str | None = model
        self.key: str | None = key
        self.why: Why = why
        self.started: float = started
        self.wait: float = wait
        self.made: tuple[Attempt, ...] = ()
        self.error: ProviderError | None = None

    @property
    def plain(self) -> bool:
        """Whether the provider's own account of it needs nothing added: the first, after no pause."""
        return self.why == "first" and not self.wait


class Trail:
    """Notes attempts as they begin and end. On the attempts, times count from the call's start."""

    __slots__ = ("_entries", "_refusals", "_skipped", "began", "errors")

    def __init__(self, began: float) -> None:
        self.began: float = began
        self.errors: list[ProviderError] = []
        self._refusals: list[ProviderError] = []
        self._entries: list[Entry] = []
        self._skipped: dict[tuple[str, str | None], Skipped] = {}

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """Every attempt that has ended, in the order of their beginnings."""
        if len(self._entries) == 1:
            return self._entries[0].made
        return tuple(attempt for entry in self._entries for attempt in entry.made)

    @property
    def begun(self) -> int:
        """How many attempts there are, the running ones included."""
        return len(self._entries)

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """Who was not asked, and why; without those who were asked after all."""
        if not self._skipped:
            return ()
        asked = {(entry.name, entry.model) for entry in self._entries}
        return tuple(skip for key, skip in self._skipped.items() if key not in asked)

    def begin(
        self, name: str, model: str | None, key: str | None, why: Why, now: float, wait: float
    ) -> Entry:
        """An attempt at `name` is made, after a pause of `wait`."""
        entry = Entry(name, model, key, why, now, wait)
        self._entries.append(entry)
        return entry

    def retract(self, entry: Entry) -> None:
        """It was no attempt: nothing could be sent."""
        self._entries.remove(entry)

    def skip(self, skipped: Skipped) -> None:
        """A candidate is passed over."""
        self._skipped[skipped.provider, skipped.model] = skipped

    def unsent(self, error: ProviderError) -> None:
        """A candidate was turned to, but nothing could be sent: no slot, no room under a limit, no usable key."""
        self._refusals.append(error)
        self.skip(Skipped(error.provider or "", error.model, error.outcome, error.message))

    def failed(self, entry: Entry, error: ProviderError, now: float) -> None:
        """The attempt has failed."""
        error.provider = error.provider or entry.name
        error.key = error.key or entry.key
        self.errors.append(error)
        entry.error = error
        self._end(entry, error.attempts, error.outcome, now, error.status, error.phase)

    def succeeded(self, entry: Entry, made: tuple[Attempt, ...], now: float) -> None:
        """The attempt has answered and says that it `made` these."""
        if entry.made:
            return
        queued = entry.started - self.began > NO_TIME_S
        if made and entry.plain and not queued and len(self._entries) == 1 and made[0].key == entry.key:
            entry.made = made
        else:
            self._end(entry, made, "success", now)

    def cancelled(
        self, entry: Entry, now: float, usage: Usage = NO_USAGE, outcome: str = "cancelled"
    ) -> None:
        """The attempt was given up: its caller left, its time ran out, or another one was faster."""
        if not entry.made:
            counted: Counted = "unknown" if usage is NO_USAGE else "estimated"
            self._end(entry, (), outcome, now, usage=usage, counted=counted)

    def outrun(self, entry: Entry, made: tuple[Attempt, ...], now: float) -> None:
        """The attempt has answered (it says that it `made` these), but too late; its tokens count nevertheless."""
        if not entry.made:
            late = [evolve(one, outcome="cancelled") if one.outcome == "success" else one for one in made]
            self._end(entry, tuple(late), "cancelled", now)

    def cut(self, outcome: str, now: float) -> tuple[Attempt, ...]:
        """The call is over, whatever runs; all its attempts, the running ones with `outcome`."""
        for entry in self._entries:
            self.cancelled(entry, now, outcome=outcome)
        return self.attempts

    def too_late(self, name: str, limit: float, now: float) -> TotalTimeout:
        """The error of a call by the manager of this name that its limit of so many seconds has cut short."""
        error = TotalTimeout(f"no answer within {limit:g} s", provider=name)
        error.attempts = self.cut(error.outcome, now)
        error.skipped = self.skipped
        return error

    def final(self, name: str) -> ProviderError:
        """What the caller sees: the error itself where it was the only one or is final, else all of them as one."""
        last = (self.errors or self._refusals)[-1]
        errors = [entry.error for entry in self._entries if entry.error is not None] or self._refusals
        if len(errors) > 1 and (last.failover or last.budget_exhausted):
            hints = [error.retry_after for error in errors if error.retry_after is not None]
            words = f"no provider answered ({len(errors)} attempts)"
            spent = any(error.budget_exhausted for error in errors)
            last = AllProvidersFailed(words, errors, provider=name, retry_after=min(hints, default=None))
            last.budget_exhausted = spent
        last.attempts = self.attempts
        last.skipped = self.skipped
        return last

    def _end(
        self,
        entry: Entry,
        made: tuple[Attempt, ...],
        outcome: str,
        now: float,
        status: int | None = None,
        phase: str | None = None,
        usage: Usage = NO_USAGE,
        counted: Counted = "unknown",
    ) -> None:
        if not made:
            attempt = Attempt(
                entry.name,
                entry.model,
                outcome,
                status,
                now - entry.started,
                0.0,
                key=entry.key,
                phase=phase,
                usage=usage,
                counted=counted,
            )
            made = (attempt,)
        offset = entry.started - self.began
        placed = [evolve(attempt, started_s=offset + (attempt.started_s or 0.0)) for attempt in made]
        placed[0] = evolve(placed[0], wait_s=entry.wait, why=entry.why, key=placed[0].key or entry.key)
        entry.made = tuple(placed)
