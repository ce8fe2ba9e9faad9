"""The last hour of each provider, minute by minute: bounded, in memory, fed by what was written to the books.

It is this process's own, as the figures beside it on the status page are. What was there before its start is read back
from the ledger once, when somebody looks for the first time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from math import ceil, floor
from typing import Final, Protocol

from attrs import define, field, frozen

from llmcore.gateway.store.errors import StoreError
from llmcore.gateway.store.records import Page, UsageAttempt
from llmcore.gateway.usage.rollup import ANSWERED

MINUTES: Final = 60
RECALLED: Final = 5000
"""Attempts that are read back at most: a busy gateway has an hour's worth again soon."""

PAGE: Final = 1000
KEPT: Final = 500
"""Answers of which the single times are kept, for their spread."""


class Written(Protocol):
    """Where attempts were written; `Store.usage` is one."""

    async def attempts(self, *, limit: int = 100, cursor: str | None = None) -> Page[UsageAttempt]: ...


@define
class Minute:
    """Sums of one minute. Durations in milliseconds."""

    requests: int = 0
    failures: int = 0
    first: float = 0.0
    firsts: int = 0
    whole: float = 0.0
    wholes: int = 0

    def add(self, one: UsageAttempt) -> None:
        self.requests += 1
        self.failures += one.outcome not in ANSWERED
        if one.outcome != "success":  # the time of a failure says nothing of how fast answers are
            return
        if one.first_token_ms is not None:
            self.first += one.first_token_ms
            self.firsts += 1
        if one.duration_ms is not None:
            self.whole += one.duration_ms
            self.wholes += 1


@frozen
class Failed:
    """at: epoch seconds of its beginning; outcome: the name of its error class."""

    at: float
    outcome: str
    model: str | None


@frozen
class Spread:
    """Half of all were faster than p50, 95 % than p95; None where there was nothing."""

    p50: float | None = None
    p95: float | None = None


NO_SPREAD: Final = Spread()


@frozen
class Hour:
    """One provider's last hour, oldest minute first, `MINUTES` of them; means in seconds, None where there was nothing.

    model: the one that was asked last; failed: the last attempt that failed, also if that is longer ago. first, whole:
    seconds to the first token and to the end of the newest `KEPT` answers of the hour.
    """

    requests: tuple[int, ...]
    failures: tuple[int, ...]
    first_token_s: tuple[float | None, ...]
    latency_s: tuple[float | None, ...]
    first: Spread = NO_SPREAD
    whole: Spread = NO_SPREAD
    model: str | None = None
    failed: Failed | None = None


@define
class _Track:
    minutes: dict[int, Minute] = field(factory=dict)
    answers: deque[tuple[float, float | None, float | None]] = field(factory=lambda: deque(maxlen=KEPT))
    model: str | None = None
    model_at: float = 0.0
    failed: Failed | None = None


class History:
    """names: the providers that are followed; those of users' own are not (T14). wall: epoch seconds."""

    def __init__(self, names: Callable[[], Collection[str]], wall: Callable[[], float]) -> None:
        self._names = names
        self._wall = wall
        self._began = wall()
        self._recalled = False
        self._tracks: dict[str, _Track] = {}

    def note(self, attempts: Sequence[UsageAttempt]) -> None:
        """Take in attempts, in any order."""
        names, oldest = self._names(), floor(self._wall() / 60) - MINUTES
        for one in attempts:
            if one.provider in names:
                self._add(one, oldest)
        for name in [name for name in self._tracks if name not in names]:
            del self._tracks[name]

    async def recall(self, written: Written) -> None:
        """Once: what was written before this process began. Where the database is away, another time."""
        if self._recalled:
            return
        self._recalled = True
        try:
            found = await _newest(written, self._wall() - 60 * MINUTES)
        except StoreError:
            self._recalled = False
            return
        later = {name: tuple(track.answers) for name, track in self._tracks.items()}
        for track in self._tracks.values():
            track.answers.clear()
        self.note([one for one in reversed(found) if one.at < self._began])
        for name in self._tracks.keys() & later.keys():
            self._tracks[name].answers.extend(later[name])

    def hour(self, name: str) -> Hour:
        """The last hour of that provider, up to now."""
        track, last = self._tracks.get(name, _Track()), floor(self._wall() / 60)
        nothing, oldest = Minute(), 60 * (last - MINUTES + 1)
        minutes = [track.minutes.get(at, nothing) for at in range(last - MINUTES + 1, last + 1)]
        return Hour(
            tuple(one.requests for one in minutes),
            tuple(one.failures for one in minutes),
            tuple(_mean(one.first, one.firsts) for one in minutes),
            tuple(_mean(one.whole, one.wholes) for one in minutes),
            _spread(first for at, first, _ in track.answers if at > oldest),
            _spread(whole for at, _, whole in track.answers if at > oldest),
            track.model,
            track.failed,
        )

    def _add(self, one: UsageAttempt, oldest: int) -> None:
        track = self._tracks.setdefault(one.provider, _Track())
        if one.model is not None and one.at >= track.model_at:
            track.model, track.model_at = one.model, one.at
        if one.outcome not in ANSWERED and (track.failed is None or one.at >= track.failed.at):
            track.failed = Failed(one.at, one.outcome, one.model)
        at = floor(one.at / 60)
        if at <= oldest:
            return
        if at not in track.minutes:
            track.minutes = {key: kept for key, kept in track.minutes.items() if key > oldest}
            track.minutes[at] = Minute()
        if one.outcome == "success":
            track.answers.append((one.at, one.first_token_ms, one.duration_ms))
        track.minutes[at].add(one)


async def _newest(written: Written, since: float) -> list[UsageAttempt]:
    """What began since then (epoch seconds), newest first, `RECALLED` at most. Raises StoreError."""
    found: list[UsageAttempt] = []
    cursor = None
    for _ in range(RECALLED // PAGE):
        page = await written.attempts(limit=PAGE, cursor=cursor)
        found += [one for one in page.items if one.at >= since]
        cursor = page.next
        if cursor is None or page.items[-1].at < since:
            break
    return found


def _spread(times: Iterable[float | None]) -> Spread:
    """Of milliseconds, in seconds; the nearest rank."""
    known = sorted(time for time in times if time is not None)
    if not known:
        return NO_SPREAD
    half, most = (known[ceil(len(known) * share) - 1] for share in (0.5, 0.95))
    return Spread(round(half / 1000, 4), round(most / 1000, 4))


def _mean(total: float, count: int) -> float | None:
    """Of milliseconds, in seconds."""
    return round(total / count / 1000, 4) if count else None
