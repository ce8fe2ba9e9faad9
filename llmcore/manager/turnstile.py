"""Turnstile: one provider's entrance. A slot, a key and its pace for every attempt, or a place in a fair, bounded queue.

Waiters stand in lanes, one per model family and keys to avoid; within a lane nobody overtakes, and of several lanes the
one whose head has waited longest goes first. So who waits for one family's pace keeps nobody from a free slot. A slot or
a key is given to a waiter before the waiter runs, and is given back where the waiter was cancelled meanwhile.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from random import Random
from typing import TypeAlias

import anyio

from llmcore.clock import Clock
from llmcore.config import Routing
from llmcore.errors import NoUsableKeyError, PoolTimeout, ProviderError, RateLimitError
from llmcore.manager.keys import NOBODY, Avoid, Desk, Family, Keys
from llmcore.pace import family as family_of
from llmcore.provider import Limited, Seat
from llmcore.types import RateLimits

SHORTEST: float = 0.001  # seconds that a waiter sleeps at least
SOON: float = 1e-6
INF: float = float("inf")


class Pass:
    """One admitted attempt: the right to use `seat`, until `leave`. tokens: reserved; key: the key's name."""

    __slots__ = ("_desk", "_inside", "_trial", "family", "key", "seat", "sent", "tokens")

    def __init__(self, desk: Desk, family: str, tokens: int, sent: float, trial: int) -> None:
        self._desk = desk
        self._inside = True
        self._trial = trial
        self.seat: Seat = desk.seat
        self.family: str = family
        self.tokens: int = tokens
        self.key: str | None = desk.name
        self.sent: float = sent


class _Waiter:
    """Who waits, and until when. due: when its pace will allow it, where that is all that is missing."""

    __slots__ = ("avoid", "due", "event", "family", "gives_up", "name", "number", "outcome", "tokens")

    def __init__(
        self, number: int, name: str, family: Family, tokens: int, avoid: Avoid, gives_up: float
    ) -> None:
        self.number = number
        self.name = name
        self.family = family
        self.tokens = tokens
        self.avoid = avoid
        self.gives_up = gives_up
        self.due = INF
        self.event = anyio.Event()
        self.outcome: Pass | ProviderError | None = None

    def end(self, outcome: Pass | ProviderError) -> None:
        self.outcome = outcome
        self.event.set()


_Lane: TypeAlias = OrderedDict[int, _Waiter]


class Turnstile:
    """One provider's entrance: at most `routing.max_in_flight` attempts inside, each with a key that may be used now.

    patience: seconds that anybody waits at most; max_queue: how many may wait. pace: learn limits from the vendor's
    answers (configured `rpm` and `tpm` hold in any case). told(event, **facts) is called once per change of state:
    llm.key_disabled, llm.key_back, llm.queue_full.
    """

    def __init__(
        self,
        name: str,
        seats: Sequence[Seat],
        routing: Routing,
        clock: Clock,
        random: Random,
        *,
        max_queue: int,
        pace: bool,
        patience: float,
        told: Callable[..., None],
    ) -> None:
        self.name: str = name
        self._keys = Keys(seats, routing, random, pace=pace, told=told)
        self._clock = clock
        self._limit = INF if routing.max_in_flight is None else routing.max_in_flight
        self._max_queue = max_queue
        self._patience = patience
        self._told = told
        self._in_flight = 0
        self._waiting = 0
        self._arrivals = 0
        self._is_full = False
        self._lanes: dict[tuple[str, Avoid], _Lane] = {}
        if pace:
            for index, seat in enumerate(seats):
                if isinstance(seat.provider, Limited):
                    seat.provider.listen(_listener(self, index))

    @property
    def in_flight(self) -> int:
        return self._in_flight

    @property
    def waiting(self) -> int:
        return self._waiting

    @property
    def has_room(self) -> bool:
        """Whether a slot is free and nobody waits."""
        return not self._waiting and self._in_flight < self._limit

    def __repr__(self) -> str:
        return f"<Turnstile {self.name}: {self._in_flight} inside, {self._waiting} waiting>"

    def try_enter(self, family: str, tokens: int, now: float, avoid: Avoid = NOBODY) -> Pass | None:
        """A pass, if there is one at once and nobody waits. avoid: keys that this call has failed with."""
        if self._waiting or self._in_flight >= self._limit:
            return None
        state = self._keys.family(family, now)
        desk = self._keys.pick(state, tokens, avoid, now)
        return None if desk is None else self._admit(desk, family, tokens, now)

    async def enter(self, family: str, tokens: int, ends: float, avoid: Avoid = NOBODY) -> Pass:
        """A pass, after waiting for it if need be. ends: the call's deadline, an instant.

        Raises PoolTimeout where no slot comes free in time or too many wait already, RateLimitError where the pace does
        not allow the request in time, NoUsableKeyError where every key is disabled. Then nothing was sent.
        """
        now = self._clock.now()
        passed = self.try_enter(family, tokens, now, avoid)
        if passed is not None:
            return passed
        avoid = frozenset(avoid)
        gives_up = min(now + self._patience, ends)
        state = self._keys.family(family, now)
        lane = self._lanes.get((state.name, avoid), ())
        if hopeless := self._hopeless(state, tokens, avoid, gives_up, now, len(lane)):
            raise hopeless
        if self._waiting >= self._max_queue:
            raise self._crowded()
        self._arrivals += 1
        waiter = _Waiter(self._arrivals, family, state, tokens, avoid, gives_up)
        self._lanes.setdefault((state.name, avoid), OrderedDict())[waiter.number] = waiter
        self._waiting += 1
        try:
            self._serve(now)
            return await self._wait(waiter)
        except BaseException:
            self._withdraw(waiter)
            raise

    def leave(self, passed: Pass, used_tokens: int | None = None) -> None:
        """Give the slot back; a second time does nothing. used_tokens: what the attempt has used, None for unknown."""
        if passed._inside:
            now = self._clock.now()
            passed._desk.pacer.settle(passed.tokens, used_tokens, now)
            self._left(passed, now)

    def learn(self, passed: Pass, error: ProviderError | None) -> None:
        """What became of the attempt: None for success. To be told before `leave`."""
        now = self._clock.now()
        self._keys.learn(passed._desk, error, passed._trial, passed.sent, now)
        if self._waiting:
            self._serve(now)

    def other_key(self, family: str, excluded: Avoid, now: float) -> bool:
        """Whether there is another usable key, not at rest, that is not among the excluded."""
        return self._keys.other_key(self._keys.family(family, now), excluded, now)

    def ready_at(self, family: str, now: float) -> float:
        """The soonest instant, by keys, rests and pace, at which a call could be made; slots left aside."""
        state = self._keys.family(family, now)
        desk = state.sole
        if desk is not None and desk.pacer.idle:
            return max(now, state.rests_until)
        return max(now, self._keys.outlook(state, 0, NOBODY, now).at)

    def has_usable_key(self, family: str, now: float) -> bool:
        """Whether any key is not disabled for this family."""
        return not self._keys.outlook(self._keys.family(family, now), 0, NOBODY, now).dead

    def key_states(self, now: float) -> list[tuple[str | None, str, str, float]]:
        """(name, "ok" or "disabled" or "resting", why, until) of every key."""
        return self._keys.states(now)

    def reset(self) -> None:
        """Forget disabled keys and rests."""
        self._keys.reset()
        self._serve(self._clock.now())

    def observe(self, index: int, model: str | None, limits: RateLimits) -> None:
        """The vendor has told limits with an answer to the `index`-th key."""
        now = self._clock.now()
        self._keys.family(family_of(model), now).desks[index].pacer.observe(limits, now)
        if self._waiting:
            self._serve(now)

    # ------------------------------------------------------------------------------------------ the queue

    async def _wait(self, waiter: _Waiter) -> Pass:
        while waiter.outcome is None:
            now = self._clock.now()
            too_late = now >= waiter.gives_up - SOON
            if too_late or waiter.due <= now:
                waiter.due = INF
                self._serve(now)
                if too_late and waiter.outcome is None:
                    raise self._gave_up(waiter, now)
                continue
            with anyio.move_on_after(max(min(waiter.due, waiter.gives_up) - now, SHORTEST)):
                await waiter.event.wait()
            if waiter.outcome is None and waiter.event.is_set():
                waiter.event = anyio.Event()
        if isinstance(waiter.outcome, ProviderError):
            raise waiter.outcome
        return waiter.outcome

    def _serve(self, now: float) -> None:
        """Admit whoever can be, the longest waiting first; tell heads of lanes that wait for their pace until when."""
        blocked: set[tuple[str, Avoid]] = set()
        while self._waiting and self._in_flight < self._limit:
            open_lanes = [lane for key, lane in self._lanes.items() if key not in blocked]
            if not open_lanes:
                return
            waiter = min((next(iter(lane.values())) for lane in open_lanes), key=lambda head: head.number)
            desk = self._keys.pick(waiter.family, waiter.tokens, waiter.avoid, now)
            if desk is not None:
                self._drop(waiter)
                waiter.end(self._admit(desk, waiter.name, waiter.tokens, now))
                continue
            outlook = self._keys.outlook(waiter.family, waiter.tokens, waiter.avoid, now)
            if outlook.dead or outlook.at > waiter.gives_up:
                self._drop(waiter)
                waiter.end(self._turned_away(outlook.at - now, dead=outlook.dead))
                continue
            blocked.add((waiter.family.name, waiter.avoid))
            if outlook.at < waiter.due - SOON:
                waiter.due = outlook.at
                waiter.event.set()

    def _drop(self, waiter: _Waiter) -> None:
        """Take the waiter out of its lane, if it is still there."""
        key = (waiter.family.name, waiter.avoid)
        lane = self._lanes.get(key)
        if lane is not None and lane.pop(waiter.number, None) is not None:
            self._waiting -= 1
            if not lane:
                del self._lanes[key]
            if self._waiting * 2 <= self._max_queue:
                self._is_full = False

    def _withdraw(self, waiter: _Waiter) -> None:
        """The waiter goes away; a pass that it was given meanwhile goes to the next."""
        now = self._clock.now()
        self._drop(waiter)
        if isinstance(waiter.outcome, Pass):
            passed = waiter.outcome
            passed._desk.pacer.give_back(passed.tokens, now)
            self._left(passed, now)
        else:
            self._serve(now)

    def _admit(self, desk: Desk, name: str, tokens: int, now: float) -> Pass:
        self._in_flight += 1
        return Pass(desk, name, tokens, now, self._keys.take(desk, tokens, now))

    def _left(self, passed: Pass, now: float) -> None:
        passed._inside = False
        self._in_flight -= 1
        if passed._trial:
            self._keys.end_trial(passed._desk, passed._trial, now)
        if self._waiting:
            self._serve(now)

    # ------------------------------------------------------------------------------------------ refusals

    def _hopeless(
        self, family: Family, tokens: int, avoid: Avoid, gives_up: float, now: float, ahead: int
    ) -> ProviderError | None:
        """Why it makes no sense to wait, if it makes none."""
        outlook = self._keys.outlook(family, tokens, avoid, now, ahead)
        if outlook.dead or outlook.at > gives_up:
            return self._turned_away(outlook.at - now, dead=outlook.dead)
        return None

    def _turned_away(self, wait: float, *, dead: bool) -> ProviderError:
        if dead:
            return NoUsableKeyError("every key has been refused", provider=self.name, retry_after=wait)
        return RateLimitError(
            "not sent: its rate limits allow no request so soon", provider=self.name, retry_after=wait
        )

    def _gave_up(self, waiter: _Waiter, now: float) -> ProviderError:
        if self._in_flight < self._limit:
            outlook = self._keys.outlook(waiter.family, waiter.tokens, waiter.avoid, now)
            return self._turned_away(max(outlook.at - now, SHORTEST), dead=outlook.dead)
        return PoolTimeout(
            f"all {self._limit} slots were busy for {self._patience:g} s; raise max_in_flight or send less",
            provider=self.name,
            phase="connect",
        )

    def _crowded(self) -> PoolTimeout:
        if not self._is_full:
            self._is_full = True
            self._told("llm.queue_full", waiting=self._waiting)
        return PoolTimeout(
            f"{self._waiting} calls wait already; raise max_queue or max_in_flight, or send less",
            provider=self.name,
            phase="connect",
        )


def _listener(turnstile: Turnstile, index: int) -> Callable[[str | None, RateLimits], None]:
    """Tells `turnstile` what is heard, as long as it lives; a provider may outlive it."""
    heard_by = weakref.ref(turnstile)

    def told(model: str | None, limits: RateLimits) -> None:
        alive = heard_by()
        if alive is not None:
            alive.observe(index, model, limits)

    return told
