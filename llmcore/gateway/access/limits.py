"""How much a key may: requests and tokens in any minute, money per period; reserved before a call, settled after it.

The laws: in any 60 seconds no more requests are let in than `rpm`, and no more tokens reserved than `tpm`; at no moment
is the money spent and reserved above the budget by more than one call was dearer than estimated.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

from attrs import define, frozen

from llmcore.gateway.access.principal import Limits, Period, Principal
from llmcore.gateway.errors import TooMany, Unavailable

WINDOW_S = 60
SLOT_S = WINDOW_S + 1
"""A slot of one second holds what came until its end, so it counts a second longer."""


@frozen
class Want:
    """What a call is expected to take. tokens, micros: estimates; settled with what it did take."""

    requests: int = 1
    tokens: int = 0
    micros: int = 0


@frozen
class Hold:
    """What was reserved, to be settled once. slot: the second it is counted in; period: the one that pays, "" for none;
    shared: whether it is counted for several processes.
    """

    share: str
    slot: int
    want: Want
    period: str
    shared: bool = False


class Shares(Protocol):
    """Where reservations are counted: here, or for several processes together."""

    async def reserve(self, share: str, limits: Limits, want: Want, spent: int, /) -> Hold:
        """Take it, or raise TooMany with `retry_after`. spent: millionths of a dollar that the store knows of."""
        ...

    async def settle(self, hold: Hold, tokens: int | None, micros: int | None, /) -> None:
        """What the call did take; None where nobody knows, and then the estimate stands."""
        ...

    @property
    def shared(self) -> bool:
        """Whether other processes see the same counts now."""
        ...


def period_of(period: Period, wall: float) -> str:
    """The name of the period that an instant (epoch seconds, UTC) is in: "2026-11-21", "2026-W47", "2026-11", "all"."""
    if period == "total":
        return "all"
    moment = datetime.fromtimestamp(wall, UTC)
    if period == "week":
        year, week, _ = moment.isocalendar()
        return f"{year}-W{week:02}"
    return moment.strftime("%Y-%m-%d" if period == "day" else "%Y-%m")


def period_ends(period: Period, wall: float) -> float | None:
    """Seconds until the next period begins; None where there is none."""
    if period == "total":
        return None
    moment = datetime.fromtimestamp(wall, UTC)
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if period == "day":
        ends = day + timedelta(days=1)
    elif period == "week":
        ends = day + timedelta(days=7 - day.weekday())
    else:
        ends = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
    return (ends - moment).total_seconds()


class _Window:
    """Requests and tokens of the last minute, by the second. `now` is in seconds."""

    __slots__ = ("requests", "slots", "tokens")

    def __init__(self) -> None:
        self.slots: deque[list[int]] = deque()
        self.requests = 0
        self.tokens = 0

    def forget(self, now: float) -> None:
        slots = self.slots
        while slots and slots[0][0] + SLOT_S <= now:
            _, requests, tokens = slots.popleft()
            self.requests -= requests
            self.tokens -= tokens

    def add(self, slot: int, requests: int, tokens: int) -> None:
        """Count it in that second; one that is forgotten already is not counted any more."""
        for entry in reversed(self.slots):
            if entry[0] == slot:
                entry[1] += requests
                entry[2] += tokens
                break
        else:
            if self.slots and slot < self.slots[-1][0]:
                return
            self.slots.append([slot, requests, tokens])
        self.requests += requests
        self.tokens += tokens

    def room_in(self, now: float, requests: int, tokens: int) -> float:
        """Seconds until so much will have been forgotten."""
        for slot, freed_requests, freed_tokens in self.slots:
            requests -= freed_requests
            tokens -= freed_tokens
            if requests <= 0 and tokens <= 0:
                return max(0.0, slot + SLOT_S - now)
        return float(SLOT_S)


@define
class _Purse:
    """The money of one key in one period, in millionths of a dollar. A hold of a period that has passed pays nothing here."""

    period: str
    spent: int
    held: int = 0


class LocalShares:
    """Counts in this process. now: monotonic seconds; wall: epoch seconds, which decide the period alone."""

    def __init__(self, now: Callable[[], float], wall: Callable[[], float], *, kept: int = 100_000) -> None:
        self._now = now
        self._wall = wall
        self._kept = kept
        self._windows: dict[str, _Window] = {}
        self._purses: dict[str, _Purse] = {}

    @property
    def shared(self) -> bool:
        return False

    async def reserve(self, share: str, limits: Limits, want: Want, spent: int, /) -> Hold:
        now = self._now()
        if limits.tpm is not None and want.tokens > limits.tpm:
            want = Want(want.requests, limits.tpm, want.micros)
        if limits.rpm is not None or limits.tpm is not None:
            window = self._window(share)
            window.forget(now)
            _check_minute(window, limits, want, now)
        period = self._hold_money(share, limits, want, spent)
        if limits.rpm is not None or limits.tpm is not None:
            window.add(int(now), want.requests, want.tokens)
        return Hold(share, int(now), want, period)

    async def settle(self, hold: Hold, tokens: int | None, micros: int | None, /) -> None:
        window, now = self._windows.get(hold.share), self._now()
        if window is not None and tokens is not None and hold.slot + SLOT_S > now:
            window.forget(now)
            window.add(hold.slot, 0, tokens - hold.want.tokens)
        purse = self._purses.get(hold.share)
        if purse is not None and purse.period == hold.period:
            purse.held -= hold.want.micros
            purse.spent += hold.want.micros if micros is None else micros

    def _window(self, share: str) -> _Window:
        window = self._windows.get(share)
        if window is None:
            if len(self._windows) >= self._kept:
                self._drop_empty()
            window = self._windows[share] = _Window()
        return window

    def _drop_empty(self) -> None:
        now = self._now()
        for window in self._windows.values():
            window.forget(now)
        self._windows = {share: window for share, window in self._windows.items() if window.slots}

    def _hold_money(self, share: str, limits: Limits, want: Want, spent: int) -> str:
        """Put the estimate aside; the period that pays. What the store knows and we do not was spent elsewhere."""
        if limits.budget_micros is None:
            return ""
        wall = self._wall()
        period = period_of(limits.period, wall)
        purse = self._purses.get(share)
        if purse is None or purse.period != period:
            purse = self._purses[share] = _Purse(period, spent)
        purse.spent = max(purse.spent, spent)
        if purse.spent + purse.held + want.micros > limits.budget_micros or (
            purse.spent >= limits.budget_micros
        ):
            raise out_of_money(limits, wall)
        purse.held += want.micros
        return period


def _check_minute(window: _Window, limits: Limits, want: Want, now: float) -> None:
    requests = 0 if limits.rpm is None else window.requests + want.requests - limits.rpm
    tokens = 0 if limits.tpm is None else window.tokens + want.tokens - limits.tpm
    if requests > 0 or tokens > 0:
        raise out_of_minute(limits, requests > 0, window.room_in(now, max(0, requests), max(0, tokens)))


def out_of_minute(limits: Limits, requests: bool, seconds: float) -> TooMany:
    """The minute is full. requests: whether of requests, else of tokens."""
    limit = f"{limits.rpm} requests" if requests else f"{limits.tpm} tokens"
    return TooMany(
        f"this key is limited to {limit} per minute; try again in {seconds:.0f} s", retry_after=seconds
    )


def out_of_money(limits: Limits, wall: float) -> TooMany:
    """The budget does not cover this call."""
    micros = limits.budget_micros or 0
    dollars = (
        f"{micros / 1_000_000:,.2f}" if micros % 10_000 == 0 else f"{micros / 1_000_000:,.6f}".rstrip("0")
    )
    span = "" if limits.period == "total" else f" per {limits.period}"
    return TooMany(
        f"the budget of this key, ${dollars}{span}, does not cover this call",
        code="insufficient_quota",
        type="insufficient_quota",
        retry_after=period_ends(limits.period, wall),
    )


class Seats:
    """How many calls run at the same time: in all, by user, by key. Held for the time of a call; never waited for."""

    def __init__(self, total: int, per_user: int) -> None:
        self._total = total
        self._per_user = per_user
        self._taken: dict[str, int] = {}
        self.running: int = 0

    def take(self, principal: Principal) -> None:
        """One more call. Raises TooMany, or Unavailable where the gateway itself is full."""
        taken = self._taken
        user, key = principal.user_id, principal.key_id
        if self.running >= self._total:
            raise Unavailable("the gateway is busy; try again in a moment", retry_after=1.0)
        mine = taken.get(user, 0)
        if mine >= self._per_user:
            raise TooMany(f"at most {self._per_user} calls of one user at a time", retry_after=1.0)
        limit = principal.limits.concurrent
        if limit is not None and key is not None:
            by_key = taken.get(key, 0)
            if by_key >= limit:
                raise TooMany(f"this key is limited to {limit} calls at a time", retry_after=1.0)
            taken[key] = by_key + 1
        taken[user] = mine + 1
        self.running += 1

    def give(self, principal: Principal) -> None:
        """The call is over. Call it once for each `take`, with the same principal."""
        self.running -= 1
        self._less(principal.user_id)
        if principal.limits.concurrent is not None and principal.key_id is not None:
            self._less(principal.key_id)

    def _less(self, name: str) -> None:
        left = self._taken[name] - 1
        if left:
            self._taken[name] = left
        else:
            del self._taken[name]
