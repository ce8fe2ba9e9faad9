"""Pure: the circuit breaker of one provider's model family; whether it is asked, and when it is tried again."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Literal, TypeAlias

from llmcore.config import BreakerConfig

State: TypeAlias = Literal["closed", "open", "half_open", "isolated"]
Kind: TypeAlias = Literal["call", "probe", "forced", "panic"]

SLOTS: int = 10  # of the sliding window, which so covers between 9/10 and all of its seconds
JITTER: tuple[float, ...] = (
    0.0025,
    0.0025,
    0.1,
)  # share by which the 1st, 2nd, each further opening is shortened
DECAY: float = 600.0  # seconds closed after which openings are counted from one again
PANICS: int = 4  # failed panic attempts in a row that may be chance
PANIC_S: float = 0.5  # pause after the last of them; doubled by each further one
SETTLED: int = -1


class Permit:
    """One admitted attempt, to be settled once by its breaker's `succeed`, `fail` or `release`; more is ignored.

    kind: "call" while closed, "probe" holds one of the half-open slots, "forced" was let past a breaker that did not
    admit it, "panic" likewise where all others are open too.
    """

    __slots__ = ("generation", "kind")

    def __init__(self, generation: int, kind: Kind) -> None:
        self.generation: int = generation
        self.kind: Kind = kind


def open_length(config: BreakerConfig, opening: int) -> float:
    """Nominal seconds of the `opening`-th opening in succession (from 1): doubling up to the cap."""
    return min(config.open_time * 2.0 ** min(opening - 1, 60), config.max_open_time)


def jitter(opening: int) -> float:
    """Share of its length by which the `opening`-th opening (from 1) is shortened at most.

    Herds matter where an outage lasts; in a short one the processes are still apart, and a probe in time is worth more.
    """
    return JITTER[min(opening, len(JITTER)) - 1]


class Breaker:
    """`now` is in monotonic seconds. `told(old, new)` is called once for each change of state and must not raise.

    Edges: closed -> open -> half_open -> closed or open; by hand, any -> isolated and any -> closed. Only a failure
    opens: a success neither opens, nor does time, which may push the share of failures up by forgetting successes.

    An opening's end is due one length (`open_length`) after the first of the failures in a row that caused it; after
    now, where a rate caused it; after the previous opening's end, where a failed probe caused it: so slow traffic does
    not stretch the row of probes. It is due no earlier than half a length from now. Jitter shortens each by up to
    `jitter` of its length, so that processes drift apart. The law of growth is therefore: lengths never shrink and
    never exceed `max_open_time`, and an opening lasts between (1/2 - jitter) and 1 of its length.

    Panic: where every candidate is open, one attempt at a time is let past, at once while such attempts succeed, after
    growing pauses where they fail. Two providers that fail now and then would otherwise answer less than one alone; one
    that is dead is asked a few times more.

    What was admitted before a change of state decides nothing after it and frees no slot. Where the breaker is
    disabled it admits everything and never changes, not even by hand.
    """

    __slots__ = (
        "_closed_at",
        "_config",
        "_failures",
        "_first",
        "_generation",
        "_good",
        "_panic_at",
        "_panicking",
        "_panics",
        "_passes",
        "_past",
        "_random",
        "_row",
        "_slot",
        "_slot_ends",
        "_told",
        "openings",
        "opens_at",
        "probing",
        "state",
    )

    def __init__(self, config: BreakerConfig, random: Random, told: Callable[[State, State], None]) -> None:
        self._config = config
        self._random = random
        self._told = told
        self._generation = 0
        self.state: State = "closed"
        self.opens_at: float = 0.0  # while half-open: when the opening before it was due
        self.openings: int = 0
        self.probing: int = 0
        self._good = 0  # successful probes in a row
        self._panicking = False
        self._panics = 0  # failed panic attempts in a row
        self._panic_at = -math.inf
        self._closed_at = -math.inf
        self._row = 0  # failures in a row
        self._first = 0.0  # when that row began
        self._past: deque[tuple[int, int, int]] = deque()  # finished slots: number, passes, failures
        self._slot = 0
        self._slot_ends = -math.inf
        self._passes = self._failures = 0  # of the present slot

    def admits(self, now: float) -> bool:
        """A look that changes nothing."""
        if self.state == "closed":
            return True
        if self.state == "open":
            return now >= self.opens_at
        return self.state == "half_open" and self.probing < self._config.probes

    def panic(self, now: float) -> bool:
        """Whether an attempt may be let past where all other candidates are open as well."""
        return self.state == "open" and not self._panicking and self._panic_at <= now < self.opens_at

    def enter(self, now: float, *, forced: bool = False, panic: bool = False) -> Permit:
        """Begin an attempt, where `admits` says so; else only if `forced`, and never while isolated.

        panic: forced by the panic rule; takes what `panic` offers. A refusal is a RuntimeError: the caller asked
        without looking first.
        """
        if self.state == "closed":
            return Permit(self._generation, "call")
        if self.state == "open" and now >= self.opens_at:
            self._move("half_open")
        if self.state == "half_open" and self.probing < self._config.probes:
            self.probing += 1
            return Permit(self._generation, "probe")
        if self.state == "isolated" or not forced or (panic and not self.panic(now)):
            raise RuntimeError(f"a breaker that is {self.state} was entered although it does not admit")
        self._panicking = self._panicking or panic
        return Permit(self._generation, "panic" if panic else "forced")

    def still_admits(self, permit: Permit) -> bool:
        """Whether what was let in, and has waited for something else since, may go on."""
        if permit.kind == "probe":
            return self.state != "open"
        return permit.kind != "call" or self.state == "closed"

    def succeed(self, permit: Permit, now: float) -> None:
        if permit.generation != self._generation:
            return
        permit.generation = SETTLED
        if self.state == "closed":
            if now >= self._slot_ends:
                self._turn(now)
            self._passes += 1
            self._row = 0
        else:
            self._free(permit)
            self._panics = 0
            self._good += 1
            if self._good >= self._config.successes:
                self._close(now)

    def fail(self, permit: Permit, now: float) -> None:
        """The attempt ended in a way that speaks against the provider's health."""
        if permit.generation != self._generation:
            return
        permit.generation = SETTLED
        self._good = 0
        if self.state == "closed":
            self._count_failure(now)
        elif self.state == "half_open":
            self._open(now, self.opens_at)
        elif permit.kind == "panic":
            self._free(permit)
            self._panics += 1
            if self._panics >= PANICS:
                pause = PANIC_S * 2.0 ** min(self._panics - PANICS, 60)
                self._panic_at = now + min(pause, self._config.max_open_time)

    def release(self, permit: Permit) -> None:
        """The attempt ended in a way that says nothing of health: cancelled, or the caller's own mistake."""
        if permit.generation == self._generation:
            permit.generation = SETTLED
            self._free(permit)

    def isolate(self) -> None:
        """By hand: admit nothing, not even what is forced, until `reset`."""
        if self._config.enabled and self.state != "isolated":
            self.opens_at = math.inf
            self._move("isolated")

    def reset(self) -> None:
        """By hand: closed, as new; what is under way decides nothing any more."""
        self._forget()
        self.openings = self._panics = 0
        self.opens_at = 0.0
        self._panic_at = -math.inf
        if self.state == "closed":
            self._generation += 1
        else:
            self._move("closed")

    def _free(self, permit: Permit) -> None:
        if permit.kind == "probe":
            self.probing -= 1
        elif permit.kind == "panic":
            self._panicking = False

    def _count_failure(self, now: float) -> None:
        if now >= self._slot_ends:
            self._turn(now)
        self._failures += 1
        if self._row == 0:
            self._first = now
        self._row += 1
        if not self._config.enabled:
            return
        if self._row >= self._config.failures:
            self._open(now, self._first)
        elif self._too_many():
            self._open(now, now)

    def _too_many(self) -> bool:
        failures = self._failures + sum(slot[2] for slot in self._past)
        calls = failures + self._passes + sum(slot[1] for slot in self._past)
        return calls >= self._config.min_calls and failures >= self._config.failure_rate * calls

    def _turn(self, now: float) -> None:
        """Go to the slot of `now`, and forget those that have left the window."""
        self._past.append((self._slot, self._passes, self._failures))
        self._passes = self._failures = 0
        width = self._config.window / SLOTS
        self._slot = int(now // width)
        self._slot_ends = (self._slot + 1) * width
        while self._past and self._past[0][0] <= self._slot - SLOTS:
            self._past.popleft()

    def _open(self, now: float, anchor: float) -> None:
        if self.state == "closed" and now - self._closed_at >= DECAY:
            self.openings = 0
        self.openings += 1
        length = open_length(self._config, self.openings)
        due = max(anchor + length, now + length / 2)
        self.opens_at = due - self._random.uniform(0.0, jitter(self.openings)) * length
        self._forget()
        self._move("open")

    def _close(self, now: float) -> None:
        if self.state == "open":
            self._move("half_open")
        self._forget()
        self.opens_at = 0.0
        self._panics, self._panic_at = 0, -math.inf
        self._closed_at = now
        self._move("closed")

    def _forget(self) -> None:
        self._past.clear()
        self._passes = self._failures = self._row = self._good = 0

    def _move(self, state: State) -> None:
        old, self.state = self.state, state
        self._generation += 1
        self.probing = 0
        self._panicking = False
        self._told(old, state)
