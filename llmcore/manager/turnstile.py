"""stub"""

import anyio

from llmcore.errors import *
from llmcore.errors import OverloadedError, PoolTimeout, RateLimitError


class Pass:
    __slots__ = ("family", "key", "seat", "tokens")

    def __init__(s, seat, family):
        s.seat = seat
        s.family = family
        s.tokens = 0
        s.key = seat.name


class Turnstile:
    def __init__(self, name, seats, routing, clock, random, *, max_queue, pace, patience, told):
        self.name = name
        self.seats = seats
        self.clock = clock
        self.patience = patience
        self.limit = routing.max_in_flight
        self.slots = (
            None
            if self.limit is None
            else anyio.Semaphore(self.limit, max_value=self.limit, fast_acquire=True)
        )
        self.in_flight = 0
        self.waiting = 0
        self.rests = 0.0

    has_room = property(lambda s: s.slots is None or s.slots.value > 0)

    def try_enter(self, family, tokens, now, avoid=frozenset()):
        if self.slots is not None:
            try:
                self.slots.acquire_nowait()
            except anyio.WouldBlock:
                return None
        self.in_flight += 1
        return Pass(self.seats[0], family)

    async def enter(self, family, tokens, ends, avoid=frozenset()):
        with anyio.move_on_after(self.patience):
            await self.slots.acquire()
            self.in_flight += 1
            return Pass(self.seats[0], family)
        raise PoolTimeout("busy", provider=self.name, phase="connect")

    def leave(self, p, used=None):
        self.in_flight -= 1
        if self.slots is not None:
            self.slots.release()

    def learn(self, p, error):
        if error is None:
            self.rests = 0.0
        elif isinstance(error, (RateLimitError, OverloadedError)) and error.retry_after is not None:
            self.rests = max(self.rests, self.clock.now() + error.retry_after)

    def other_key(self, family, ex, now):
        return False

    def ready_at(self, family, now):
        return max(now, self.rests)

    def reset(self):
        self.rests = 0.0
