"""One provider's entrance: slots, keys and pace, behind queues that are fair, bounded, and let go of whoever leaves."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from weakref import ReferenceType, ref

import anyio

from llmcore.clock import Clock
from llmcore.config import Routing
from llmcore.errors import (
    AuthenticationError,
    NoUsableKeyError,
    OverloadedError,
    PermissionDeniedError,
    PoolTimeout,
    ProviderError,
    QuotaExhaustedError,
    RateLimitError,
)
from llmcore.pace import Pacer, family
from llmcore.provider import Limited, Seat
from llmcore.types import RateLimits

NEVER = float("inf")
TRIED_AGAIN_S = 900.0
PERMISSION_S = 300.0
CLEARLY_MORE = 0.2
SHORTEST_S = 0.001
MAX_FAMILIES = 1024
NO_KEYS: frozenset[str | None] = frozenset()


class Pass:
    """One admitted attempt: the seat that it is made on, since when, and the tokens reserved for it."""

    __slots__ = ("at", "chair", "family", "held", "pacer", "tokens")

    def __init__(self, chair: Chair, name: str, pacer: Pacer, tokens: float, at: float) -> None:
        self.at: float = at
        self.chair: Chair = chair
        self.family: str = name
        self.pacer: Pacer = pacer
        self.tokens: float = tokens
        self.held: bool = True

    @property
    def seat(self) -> Seat:
        return self.chair.seat

    @property
    def key(self) -> str | None:
        return self.chair.seat.name


class Chair:
    """A seat, and what is known of its key: disabled until when, its pace, its rests and what it may not do by family."""

    __slots__ = ("disabled_until", "pacers", "refused", "rested", "rests", "seat", "turn")

    def __init__(self, seat: Seat) -> None:
        self.seat: Seat = seat
        self.disabled_until: float = 0.0
        self.rests: dict[str, float] = {}
        self.refused: dict[str, float] = {}
        self.rested: dict[str, float] = {}
        self.pacers: dict[str, Pacer] = {}
        self.turn: float = 0.0

    def ready_at(self, name: str, now: float) -> float:
        """The instant from which this key may be used for the family, its pace aside."""
        return max(now, self.disabled_until, self.rests.get(name, 0.0))

    def refused_until(self, name: str) -> float:
        """Until when the vendor's refusal of this key holds, for everything or for the family."""
        return max(self.disabled_until, self.refused.get(name, 0.0))


class _Waiter:
    __slots__ = ("event",)

    def __init__(self) -> None:
        self.event = anyio.Event()


class Entrance:
    """Who waits for the same model family passes in the order of coming.

    patience: seconds that anybody waits at most. max_queue: how many may wait. told(event, **facts): once per change.
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
        self._name = name
        self._clock = clock
        self._random = random
        self._routing = routing
        self._learn = pace
        self._max_queue = max_queue
        self._patience = patience
        self._told = told
        self._limit = routing.max_in_flight
        self._chairs = tuple(Chair(seat) for seat in seats)
        self._several = len(self._chairs) > 1
        self._queues: dict[str, deque[_Waiter]] = {}
        self._full = False
        self._closed = False
        self.keys: int = len(self._chairs)
        self.in_flight: int = 0
        self.waiting: int = 0
        for chair in self._chairs:
            if isinstance(chair.seat.provider, Limited):
                chair.seat.provider.listen(partial(_heard, ref(self), chair))

    # ------------------------------------------------------------------------------------- looking

    @property
    def has_room(self) -> bool:
        """Whether a slot is free and nobody waits for one."""
        return (self._limit is None or self.in_flight < self._limit) and not self.waiting

    def counts_tokens(self, name: str) -> bool:
        """Whether an estimate of a request's tokens is of any use."""
        if self._routing.tpm is not None:
            return True
        for chair in self._chairs:
            pacer = chair.pacers.get(name)
            if pacer is not None and not pacer.idle and pacer.counts_tokens:
                return True
        return False

    def ready_at(self, name: str, now: float) -> float:
        """The soonest instant at which a call could be made, slots aside; `now` where that is at once."""
        soonest = NEVER
        for chair in self._chairs:
            at = chair.ready_at(name, now)
            pacer = chair.pacers.get(name)
            if pacer is not None and not pacer.idle:
                at = max(at, now + pacer.wait(0.0, now))
            if at <= now:
                return now
            soonest = min(soonest, at)
        return soonest

    def all_disabled(self, now: float, name: str | None = None) -> bool:
        """Whether every key has been refused, for the family; without a name, for any family."""
        families = {one for chair in self._chairs for one in chair.refused} | {""} if name is None else {name}
        return any(all(chair.refused_until(one) > now for chair in self._chairs) for one in families)

    def other_key(self, name: str, excluded: frozenset[str | None], now: float) -> bool:
        """Whether another key could be used at once."""
        return self._several and any(
            chair.seat.name not in excluded and chair.ready_at(name, now) <= now for chair in self._chairs
        )

    # ------------------------------------------------------------------------------------ entering

    def try_enter(
        self, name: str, tokens: float, now: float, avoid: frozenset[str | None] = NO_KEYS
    ) -> Pass | None:
        """Pass at once: a free slot, nobody waiting for this family, a usable key with room."""
        if self._queues.get(name):
            return None
        return self._pass(name, tokens, now, avoid)[0]

    async def enter(
        self, name: str, tokens: float, ends: float, avoid: frozenset[str | None] = NO_KEYS
    ) -> Pass:
        """Wait for one's turn, until `ends` at the latest.

        Raises PoolTimeout (no slot in time, or the queue is full), RateLimitError (the pace cannot be met in time) or
        NoUsableKeyError; nothing was sent then.
        """
        if self.waiting >= self._max_queue:
            raise self._queue_full()
        waiter = _Waiter()
        queue = self._queues.setdefault(name, deque())
        queue.append(waiter)
        self.waiting += 1
        latest = min(self._clock.now() + self._patience, ends)
        try:
            return await self._turn(waiter, queue, name, tokens, latest, avoid)
        finally:
            queue.remove(waiter)
            self.waiting -= 1
            if queue:
                queue[0].event.set()
            else:
                self._queues.pop(name, None)
            if self._full and self.waiting <= self._max_queue // 2:  # told anew only after it was half empty
                self._full = False

    def leave(self, passed: Pass, now: float, used_tokens: float | None = None) -> None:
        """Give the slot back; once."""
        if passed.held:
            passed.held = False
            self.in_flight -= 1
            passed.pacer.settle(passed.tokens, used_tokens, now)
            if self.waiting:
                self._nudge()

    def close(self) -> None:
        """Nobody waits here any more."""
        self._closed = True
        for queue in self._queues.values():
            for waiter in queue:
                waiter.event.set()

    # ------------------------------------------------------------------------------------ learning

    def learn(self, passed: Pass, error: ProviderError | None, now: float) -> None:
        """What an attempt taught of its key: refused, resting, or (None) that all is well."""
        chair = passed.chair
        if error is None:
            if chair.disabled_until:
                chair.disabled_until = 0.0
                self._told("llm.key_back", key=chair.seat.name)
            if chair.rests and passed.at >= chair.rested.get(passed.family, 0.0):
                chair.rests.pop(passed.family, None)
                chair.refused.pop(passed.family, None)
            passed.pacer.succeeded(now, passed.at)
            return
        if isinstance(error, RateLimitError):
            passed.pacer.refused(error.retry_after, now, passed.at)
            if error.retry_after is not None:
                self._rest((chair,), passed.family, now + error.retry_after)
        elif isinstance(error, OverloadedError) and error.retry_after is not None:
            self._rest(self._chairs, passed.family, now + error.retry_after)
        elif self._several:
            self._judge(chair, passed.family, error, now)
        if self.waiting:
            self._nudge()

    def reset(self) -> None:
        """Forget what was learned of the keys."""
        for chair in self._chairs:
            chair.disabled_until = 0.0
            chair.rests.clear()
            chair.refused.clear()
            chair.pacers = {name: pacer for name, pacer in chair.pacers.items() if pacer.in_flight}
            for pacer in chair.pacers.values():
                pacer.reset()
        if self.waiting:
            self._nudge()

    # ------------------------------------------------------------------------------------- in here

    def _judge(self, chair: Chair, name: str, error: ProviderError, now: float) -> None:
        """A fault of one key among several: it is left out, and tried again after a while."""
        if isinstance(error, PermissionDeniedError):
            self._rest((chair,), name, now + PERMISSION_S)
            chair.refused[name] = now + PERMISSION_S
            return
        if not isinstance(error, (AuthenticationError, QuotaExhaustedError)):
            return
        if chair.disabled_until <= now:
            self._told("llm.key_disabled", key=chair.seat.name, outcome=error.outcome)
        chair.disabled_until = now + (error.retry_after or TRIED_AGAIN_S)

    def _rest(self, chairs: Sequence[Chair], name: str, until: float) -> None:
        for chair in chairs:
            chair.rests[name] = max(chair.rests.get(name, 0.0), until)
            chair.rested[name] = self._clock.now()

    def heard(self, chair: Chair, model: str | None, limits: RateLimits) -> None:
        """An answer told limits."""
        self._pacer(chair, family(model)).observe(limits, self._clock.now())

    def _pacer(self, chair: Chair, name: str) -> Pacer:
        pacer = chair.pacers.get(name)
        if pacer is None:
            if len(chair.pacers) >= MAX_FAMILIES:  # names come from callers
                chair.pacers.pop(next(iter(chair.pacers)))
            pacer = chair.pacers[name] = Pacer(self._routing.rpm, self._routing.tpm, self._learn)
        return pacer

    def _pass(
        self, name: str, tokens: float, now: float, avoid: frozenset[str | None]
    ) -> tuple[Pass | None, float]:
        """A pass, or the instant from which there may be one (never: only somebody who leaves can help)."""
        if self._limit is not None and self.in_flight >= self._limit:
            return None, NEVER
        if not self._several:
            chair = self._chairs[0]
            pacer = chair.pacers.get(name) or self._pacer(chair, name)
            if not pacer.idle and (wait := pacer.wait(tokens, now)) > 0.0:
                return None, now + wait
        else:
            found, at = self._choose(name, tokens, now, avoid)
            if found is None:
                return None, at
            chair, pacer = found
        pacer.take(tokens, now)
        self.in_flight += 1
        return Pass(chair, name, pacer, tokens, now), now

    def _choose(
        self, name: str, tokens: float, now: float, avoid: frozenset[str | None]
    ) -> tuple[tuple[Chair, Pacer] | None, float]:
        """Among usable keys the one with clearly most room, else by weight in turns; weight 0 only as a last resort."""
        usable: list[tuple[Chair, Pacer, float]] = []
        soonest = NEVER
        for chair in self._chairs:
            if chair.seat.name in avoid:
                continue
            pacer = self._pacer(chair, name)
            at = chair.ready_at(name, now)
            if not pacer.idle:
                at = max(at, now + pacer.wait(tokens, now))
            if at > now:
                soonest = min(soonest, at)
            else:
                usable.append((chair, pacer, pacer.room(now)))
        weighted = [one for one in usable if one[0].seat.weight > 0] or usable
        if not weighted:
            return None, soonest
        most = max(room for _, _, room in weighted)
        roomy = [one for one in weighted if one[2] >= most - CLEARLY_MORE]
        return self._by_weight(roomy), now

    def _by_weight(self, chairs: list[tuple[Chair, Pacer, float]]) -> tuple[Chair, Pacer]:
        """Smooth weighted turns (as nginx does): each gains its weight, the richest is taken and pays for all."""
        total = sum(chair.seat.weight or 1.0 for chair, _, _ in chairs)
        for chair, _, _ in chairs:
            chair.turn += chair.seat.weight or 1.0
        chair, pacer, _ = max(chairs, key=lambda one: one[0].turn)
        chair.turn -= total
        return chair, pacer

    async def _turn(
        self,
        waiter: _Waiter,
        queue: deque[_Waiter],
        name: str,
        tokens: float,
        latest: float,
        avoid: frozenset[str | None],
    ) -> Pass:
        while True:
            if self._closed:
                raise ProviderError("not sent: the manager is closed", provider=self._name, phase="encode")
            now, at = self._clock.now(), NEVER
            if queue[0] is waiter:
                passed, at = self._pass(name, tokens, now, avoid)
                if passed is not None:
                    return passed
                if at != NEVER and at >= latest:
                    raise self._too_soon(name, at - now, now)
                if at == NEVER and (self._limit is None or self.in_flight < self._limit):
                    raise self._no_key(name, now)
            if now >= latest:
                raise self._no_slot()
            waiter.event = anyio.Event()
            with anyio.move_on_after(max(SHORTEST_S, min(at, latest) - now)):
                await waiter.event.wait()

    def _nudge(self) -> None:
        """Wake the first of each queue; whoever cannot pass waits on."""
        for queue in self._queues.values():
            if queue:
                queue[0].event.set()

    # -------------------------------------------------------------------------------------- errors

    def _too_soon(self, name: str, wait: float, now: float) -> ProviderError:
        if self.all_disabled(now, name):
            return self._no_key(name, now)
        return RateLimitError(
            f"not sent: the pace of {name or 'this provider'} allows the next call in {wait:.3g} s",
            provider=self._name,
            retry_after=wait,
        )

    def _no_key(self, name: str, now: float) -> NoUsableKeyError:
        soonest = min((chair.refused_until(name) for chair in self._chairs), default=now)
        return NoUsableKeyError(
            f"none of the {len(self._chairs)} keys can be used; check them, then reset or reload",
            provider=self._name,
            retry_after=max(0.0, soonest - now) or None,
        )

    def _no_slot(self) -> ProviderError:
        if self._limit is None or self.in_flight < self._limit:
            words = f"not sent: others waited for the pace before it, for {self._patience:g} s"
            return RateLimitError(words, provider=self._name)
        words = (
            f"all {self._limit} slots were busy for {self._patience:g} s; raise max_in_flight or send less"
        )
        return PoolTimeout(words, provider=self._name, phase="connect")

    def _queue_full(self) -> PoolTimeout:
        if not self._full:
            self._told("llm.queue_full", waiting=self.waiting)
        self._full = True
        words = f"{self.waiting} calls wait already; raise max_queue or send less"
        return PoolTimeout(words, provider=self._name, phase="connect")


def _heard(entrance: ReferenceType[Entrance], chair: Chair, model: str | None, limits: RateLimits) -> None:
    """Hand on what a provider told; a provider that is kept over reloads must not keep old entrances alive."""
    if (living := entrance()) is not None:
        living.heard(chair, model, limits)
