"""Strict upstreams with the headers of several vendors, and more traffic than they allow through pacers, in simulated time."""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable
from itertools import count
from random import Random
from typing import Any, Literal, TypeAlias

from llmcore.pace import Pacer
from llmcore.types import Limit, RateLimits

Dialect: TypeAlias = Literal["openai", "anthropic", "generic", "next", "bare"]
"""How a reset is told: exactly; as an instant in whole seconds beside a date in whole seconds; in whole seconds rounded up;
until the next request only; not at all."""


class Bucket:
    """A strict token bucket that tells its state when it admits."""

    def __init__(
        self,
        limit: float,
        *,
        size: float | None = None,
        window_s: float = 60.0,
        dialect: Dialect = "openai",
    ) -> None:
        self.size = size or limit
        self.rate = limit / window_s
        self.dialect = dialect
        self.left, self.at = self.size, 0.0

    def allows(self, seconds: float) -> float:
        return self.size + self.rate * seconds

    def ask(self, now: float, amount: float) -> tuple[float | None, Limit]:
        """(seconds until it would be admitted, None where it is; what the headers say)"""
        self.fill(now)
        refused = None if self.left >= amount - 1e-9 else (amount - self.left) / self.rate
        self.left -= amount if refused is None else 0.0
        return refused, self.tell(now)

    def fill(self, now: float) -> None:
        self.left, self.at = min(self.size, self.left + (now - self.at) * self.rate), now

    def tell(self, now: float) -> Limit:
        self.fill(now)
        left = max(0, int(self.left + 1e-9))
        full = (self.size - self.left) / self.rate
        until_next = max(0.0, (1 - self.left) / self.rate)
        return Limit(self.size, left, as_told(self.dialect, now, full, until_next))


def as_told(dialect: Dialect, now: float, full: float, until_next: float) -> float | None:
    if dialect == "anthropic":
        return max(0.0, float(math.floor(1000.7 + now + full) - math.floor(1000.7 + now)))
    if dialect == "generic":
        return float(math.ceil(full))
    if dialect == "next":
        return until_next
    return None if dialect == "bare" else full


class Window:
    """A strict fixed window."""

    def __init__(
        self,
        limit: float,
        *,
        window_s: float = 60.0,
        begun: float = 17.0,
        whole: bool = False,
        dialect: Dialect = "openai",
    ) -> None:
        self.limit, self.window_s, self.begun, self.whole = limit, window_s, begun, whole
        self.dialect = dialect
        self.rate = limit / window_s
        self.window, self.used = -1.0, 0.0

    def allows(self, seconds: float) -> float:
        return self.limit * ((seconds + self.begun) // self.window_s + 1)

    def ask(self, now: float, amount: float) -> tuple[float | None, Limit]:
        ends = self.turn(now)
        refused = None if self.used + amount <= self.limit else ends
        self.used += amount if refused is None else 0.0
        return refused, self.tell(now)

    def turn(self, now: float) -> float:
        """Seconds until this window ends."""
        window = (now + self.begun) // self.window_s
        if window != self.window:
            self.window, self.used = window, 0.0
        return (window + 1) * self.window_s - self.begun - now

    def tell(self, now: float) -> Limit:
        ends = self.turn(now)
        resets = (
            float(int(ends))
            if self.whole
            else as_told(self.dialect, now, ends, ends if self.used >= self.limit else 0.0)
        )
        return Limit(self.limit, self.limit - self.used, resets)


Upstream: TypeAlias = Bucket | Window


class Traffic:
    """More calls than an upstream allows, first come first served through one pacer; time is simulated.

    Headers and answers come after `latency`, refusals within 0.2 s; requests travel for `travel`. as_of: whether headers
    tell the state when the answer begins, or when the request came. lead: seconds of learning that are not measured.
    pacers: users of the same limit. throughput: share of what was allowed; refusals: share of the requests sent.
    """

    def __init__(
        self,
        upstream: Upstream,
        per_second: float,
        *,
        seconds: float = 900.0,
        lead: float = 0.0,
        latency: tuple[float, float] = (0.2, 1.5),
        travel: tuple[float, float] = (0.03, 0.12),
        headers: bool = True,
        refusals_tell: bool = True,
        as_of: Literal["request", "answer"] = "request",
        hints: bool | Literal["whole"] = True,
        sizes: tuple[int, ...] = (0,),
        estimate: Callable[[int], int] = lambda size: size,
        kind: str = "requests",
        pacer: Pacer | None = None,
        pacers: int = 1,
        at_once: int = 0,
        seed: int = 1,
    ) -> None:
        self.random, self.upstream, self.kind, self.estimate = Random(seed), upstream, kind, estimate
        self.latency, self.travel, self.lead = latency, travel, lead
        self.headers, self.refusals_tell, self.hints = headers, refusals_tell, hints
        self.as_of = as_of
        self.users = [User(self, pacer or Pacer(None, None)) for _ in range(pacers)]
        self.events: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self.numbers = count()
        self.admitted, self.sent, self.refused = 0.0, 0, 0
        for _ in range(at_once):
            self.at(0.0, self.users[0].arrive, self.random.choice(sizes))
        now = 0.0
        turn = 0
        while now < lead + seconds:
            now += self.random.expovariate(per_second)
            turn += 1
            self.at(now, self.users[turn % pacers].arrive, self.random.choice(sizes))
        while self.events and self.events[0][0] <= lead + seconds:
            now, _, happen, facts = heapq.heappop(self.events)
            happen(now, *facts)
        self.throughput = self.admitted / (upstream.rate * seconds if lead else upstream.allows(seconds))
        self.refusals = self.refused / max(1, self.sent)

    @property
    def pacer(self) -> Pacer:
        return self.users[0].pacer

    def at(self, when: float, happen: Callable[..., None], *facts: Any) -> None:
        heapq.heappush(self.events, (when, next(self.numbers), happen, facts))


class User:
    """One who sends calls through a pacer of its own."""

    def __init__(self, traffic: Traffic, pacer: Pacer) -> None:
        self.traffic, self.pacer = traffic, pacer
        self.queue: deque[int] = deque()
        self.wakes = -1.0

    def arrive(self, now: float, size: int) -> None:
        if len(self.queue) < 500:
            self.queue.append(size)
        self.pump(now)

    def pump(self, now: float) -> None:
        traffic = self.traffic
        while self.queue:
            reserved = traffic.estimate(self.queue[0])
            wait = self.pacer.wait(reserved, now)
            if wait:
                if not now < self.wakes <= now + wait:
                    self.wakes = now + max(wait, 0.001)
                    traffic.at(self.wakes, self.pump)
                return
            size = self.queue.popleft()
            self.pacer.take(reserved, now)
            traffic.at(now + traffic.random.uniform(*traffic.travel), self.serve, now, size)

    def serve(self, now: float, sent: float, size: int) -> None:
        traffic = self.traffic
        refused, limit = traffic.upstream.ask(now, 1 if traffic.kind == "requests" else size)
        if now >= traffic.lead:
            traffic.sent += 1
            if refused is None:
                traffic.admitted += 1 if traffic.kind == "requests" else size
            else:
                traffic.refused += 1
        seconds = traffic.random.uniform(*traffic.latency)
        after = seconds if refused is None else min(seconds, 0.2)
        traffic.at(now + after, self.answer, sent, size, refused, limit)

    def answer(self, now: float, sent: float, size: int, refused: float | None, limit: Limit) -> None:
        traffic = self.traffic
        if traffic.headers and (traffic.refusals_tell or refused is None):
            if traffic.as_of == "answer":
                limit = traffic.upstream.tell(now)
            self.pacer.observe(RateLimits(**{traffic.kind: limit}), now)
        if refused is None:
            self.pacer.succeeded(now, sent)
        else:
            wait = math.ceil(refused) if traffic.hints == "whole" else refused
            self.pacer.refused(wait if traffic.hints else None, now, sent)
        self.pacer.settle(traffic.estimate(size), size if refused is None else None, now)
        self.pump(now)
