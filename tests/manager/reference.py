"""The manager as a plain model: who is asked when, what comes of it, breakers, budget and rests; told every event, it says the rest.

Written from resilience, section 2, and the manager's documentation, not from its code. Everything happens at instants
that the model is told of; chance always falls on 0 for jitter and on the largest value for a pause.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from llmcore.config import BreakerConfig, FallbackConfig
from llmcore.errors import (
    AuthenticationError,
    ModelNotFoundError,
    OverloadedError,
    PermissionDeniedError,
    ProviderError,
    QuotaExhaustedError,
    RateLimitError,
    StreamInterruptedError,
)
from tests.manager.asking import Asking, Go, Place
from tests.manager.test_breaker_laws import Plain, Taken
from tests.manager.test_budget import Ledger

ASIDE = {
    ModelNotFoundError: 300.0,
    PermissionDeniedError: 300.0,
    AuthenticationError: 900.0,
    QuotaExhaustedError: 900.0,
}


class Reference:
    """All calls of one manager."""

    def __init__(self, size: int, fallback: FallbackConfig, total: float) -> None:
        self.fallback = fallback
        self.total = total
        self.places = [Place(Plain(fallback.breaker)) for _ in range(size)]
        self.ledger = Ledger(fallback.budget)
        self.now = 0.0
        self.turn = 0
        self.calls: list[Asking] = []
        self.most = fallback.max_attempts or min(12, size * (1 + fallback.retries))
        self.tie: Callable[[Asking], int] = lambda call: call.number

    # ------------------------------------------------------------------------------------ events

    def advance(self, until: float) -> None:
        """Let time pass: pauses end, and so do calls whose time is over."""
        while True:
            due = [(call.waits.at, self.tie(call), call) for call in self.open() if call.waits]
            due += [(call.ends, -1, call) for call in self.open() if not call.waits]
            at, _, call = min(due, default=(math.inf, 0, None), key=lambda one: one[:2])
            if call is None or at > until:
                break
            self.now = at
            if call.waits:
                go, call.waits = call.waits, None
                self._enter(call, go)
            else:
                self._end(call, "TotalTimeout")
            self._ask_who_hangs()
        self.now = until

    def start(self, *, stream: bool) -> Asking:
        size = len(self.places)
        first = self.turn % size if self.fallback.strategy == "round_robin" else 0
        self.turn += 1
        order = [(first + step) % size for step in range(size)]
        call = Asking(len(self.calls), stream, self.now, self.now + self.total, order)
        self.calls.append(call)
        go = self._pick(call)
        if go is None:
            alone = len(call.left) == 1 and self.places[call.left[0]].breaker.state == "isolated"
            call.outcome = "OverloadedError" if alone else "AllProvidersFailed"
        else:
            go.first = True
            self._go(call, go)
        self._ask_who_hangs()
        return call

    def settle(self, call: Asking, error: ProviderError | None) -> None:
        """The attempt that runs has shown something, has ended well (a whole answer, or shown before), or has failed."""
        go = call.runs
        assert go is not None
        place = self.places[go.target]
        if error is None:
            place.good = self.now
        elif error.health:
            place.bad = self.now
        self._settle(call, go, error)
        self._ask_who_hangs()

    def _settle(self, call: Asking, go: Go, error: ProviderError | None) -> None:
        if error is None:
            if call.stream and not call.shown:
                call.shown = True
                return
            self._won(go)
            self._learn(call, go, None)
            self._end(call, "success")
        elif call.shown:
            self._cut(call, go, error)
        else:
            self._learn(call, go, error)
            call.errors.append(error)
            self._follow(call, self._after(call, go, error))

    def cancel(self, call: Asking) -> None:
        if call.waits is not None and call.waits.paid:
            self._move(self.fallback.budget.cost)
        self._end(call, "cancelled")
        self._ask_who_hangs()

    def isolate(self, target: int) -> None:
        breaker = self.places[target].breaker
        if breaker.state != "isolated":
            breaker.move("isolated")
            breaker.due = math.inf

    def reset(self, target: int) -> None:
        place = self.places[target]
        place.breaker.reset()
        place.rests = place.aside = 0.0

    # ---------------------------------------------------------------------------------- questions

    def open(self) -> list[Asking]:
        return [call for call in self.calls if call.outcome is None]

    def in_flight(self, target: int) -> int:
        return sum(call.runs is not None and call.runs.target == target for call in self.open())

    def tokens(self) -> float:
        return self.ledger.tokens(self.now)

    # ------------------------------------------------------------------------------------- choice

    def _blocked(self, target: int) -> bool:
        """Whether the breaker forbids the candidate; for an only one it merely records."""
        breaker = self.places[target].breaker
        if len(self.places) == 1:
            return breaker.state == "isolated"
        return not breaker.admits(self.now)

    def _ready(self, target: int) -> bool:
        place = self.places[target]
        return not self._blocked(target) and place.rests <= self.now and place.aside <= self.now

    def _pick(self, call: Asking) -> Go | None:
        alone = len(self.places) == 1
        ready = [target for target in call.left if self._ready(target)]
        aside = [t for t in call.left if not self._blocked(t) and self.places[t].rests <= self.now]
        for target in (*ready, *aside):
            call.left.remove(target)
            return Go(target, self.now, forced=alone)
        return self._last_resort(call, alone)

    def _last_resort(self, call: Asking, alone: bool) -> Go | None:
        """One probe where all are open; else whoever may be asked soonest."""
        breakers = [self.places[target].breaker for target in call.left]
        if (
            breakers
            and all(self._blocked(t) for t in call.left)
            and all(b.state != "isolated" for b in breakers)
        ):
            for target in call.left:
                if self.places[target].breaker.panics(self.now):
                    call.left.remove(target)
                    return Go(target, self.now, forced=True, panic=True)
        soonest: tuple[float, int] | None = None
        for target in call.left:
            place = self.places[target]
            if self._blocked(target):
                at = place.breaker.due if place.breaker.state == "open" else math.inf
                longest = self.fallback.prefer_failover_after
            else:
                at, longest = place.rests, self.fallback.max_retry_after
            within = at - self.now < min(longest, call.ends - self.now)
            if within and (soonest is None or at < soonest[0]):
                soonest = at, target
        if soonest is None:
            return None
        call.left.remove(soonest[1])
        return Go(soonest[1], soonest[0], forced=alone)

    def _after(self, call: Asking, go: Go, error: ProviderError) -> Go | None:
        if call.made >= self.most:
            return None
        wait = self._retry_wait(call, go, error)
        if wait is not None and not self._blocked(go.target):
            leaves = self._leaves(error) and any(self._looks_ready(target) for target in call.left)
            if not leaves and self._pay(error):
                return Go(go.target, self.now + wait, go.retry + 1, forced=go.forced, paid=True)
        return self._over(call, error, free=not error.health)

    def _looks_ready(self, target: int) -> bool:
        """As `_ready`, but even of those that are rather left for others."""
        place = self.places[target]
        return place.breaker.admits(self.now) and place.rests <= self.now

    def _leaves(self, error: ProviderError) -> bool:
        """Whether somebody else goes before a repetition."""
        if isinstance(error, RateLimitError):
            return error.retry_after is not None and error.retry_after > self.fallback.prefer_failover_after
        return isinstance(error, OverloadedError)

    def _retry_wait(self, call: Asking, go: Go, error: ProviderError) -> float | None:
        limit = min(
            self.fallback.retries, self.fallback.retries if error.retry_limit is None else error.retry_limit
        )
        if not error.retryable or go.retry >= limit:
            return None
        asked = error.retry_after
        if asked is None:
            throttled = isinstance(error, (RateLimitError, OverloadedError))
            wait = min(20.0, (1.0 if throttled else 0.5) * 2.0**go.retry)
        else:
            wait = asked + widest(min(1.0, asked / 4))
        if wait >= call.ends - self.now or (asked is not None and asked > self.fallback.max_retry_after):
            return None
        return wait

    def _over(self, call: Asking, error: ProviderError, *, free: bool) -> Go | None:
        if not error.failover:
            return None
        go = self._pick(call)
        return go if go is None or free else self._afforded(go, error)

    def _afforded(self, go: Go, error: ProviderError) -> Go | None:
        """Free where the candidate works, else paid, else once others have found out that it works."""
        place = self.places[go.target]
        if place.proven(self.now):
            return go
        if self.tokens() >= self.fallback.budget.cost:
            go.paid = self._pay(error)
            return go
        if self.in_flight(go.target) and not place.doubted(self.now):
            go.hangs = True
            return go
        error.budget_exhausted = True
        return None

    def _ask_who_hangs(self) -> None:
        """Those who wait for what others find out: on they go, or they end."""
        told = True
        while told:
            told = False
            for call in sorted((call for call in self.open() if call.hangs), key=self.tie):
                go, place = call.hangs, self.places[call.hangs.target] if call.hangs else None
                assert go is not None
                assert place is not None
                if place.proven(self.now):
                    call.hangs, go.hangs, told = None, False, True
                    self._begin(call, go)
                    break
                if place.doubted(self.now) or not self.in_flight(go.target):
                    call.hangs, told = None, True
                    if call.errors:
                        call.errors[-1].budget_exhausted = True
                    self._follow(call, None)
                    break

    # ------------------------------------------------------------------------------------- course

    def _follow(self, call: Asking, go: Go | None) -> None:
        if go is not None:
            self._go(call, go)
            return
        failed = call.errors or call.refusals
        last = failed[-1]
        several = len(failed) > 1 and (last.failover or last.budget_exhausted)
        self._end(call, "AllProvidersFailed" if several else type(last).__name__)

    def _go(self, call: Asking, go: Go) -> None:
        call.made += 1
        call.runs = None
        if go.hangs:
            go.pause = go.at - self.now
            call.hangs = go
        else:
            self._begin(call, go)

    def _begin(self, call: Asking, go: Go) -> None:
        if go.pause:  # after all that it waited for, for as long as it was told
            go.at, go.pause = self.now + go.pause, 0.0
        if go.at > self.now:
            call.waits = go
        else:
            self._enter(call, go)

    def _enter(self, call: Asking, go: Go) -> None:
        breaker = self.places[go.target].breaker
        past = go.forced and breaker.state != "isolated" and (not go.panic or breaker.panics(self.now))
        if not past and not breaker.admits(self.now):
            call.made -= 1
            if go.paid:
                self._move(self.fallback.budget.cost)
            refusal = OverloadedError("not sent")
            call.refusals.append(refusal)
            self._follow(call, self._over(call, refusal, free=not go.paid))
            return
        kind = breaker.kind(self.now, go.panic)
        call.taken = Taken(None, kind, breaker.period)  # type: ignore[arg-type]  # a model has no permits
        breaker.taken.append(call.taken)
        call.runs = go
        call.attempts.append((go.target, self.now))

    def _won(self, go: Go) -> None:
        if go.paid:
            self._move(self.fallback.budget.cost)
        elif go.first:
            self._move(self.fallback.budget.per_success)

    def _learn(self, call: Asking, go: Go, error: ProviderError | None) -> None:
        place = self.places[go.target]
        assert call.taken is not None
        if error is None or error.health:
            due = place.breaker.settle(call.taken, self.now, error is None)
            place.breaker.due = place.breaker.due if due is None else due
        call.taken.settled = True
        if error is None:
            place.aside = 0.0
            if call.attempts[-1][1] >= place.rested:
                place.rests = 0.0
            return
        for cls, seconds in ASIDE.items():
            if isinstance(error, cls):
                asked = error.retry_after if seconds > 300 else None
                place.aside = self.now + (asked or seconds)
        if isinstance(error, (RateLimitError, OverloadedError)) and error.retry_after is not None:
            place.rests = max(place.rests, self.now + error.retry_after)
            place.rested = self.now

    def _cut(self, call: Asking, go: Go, error: ProviderError) -> None:
        """A stream breaks after it has shown something."""
        cut = StreamInterruptedError(str(error))
        self._learn(call, go, error)
        call.runs, call.shown = None, False
        following = None
        if self.fallback.mid_stream == "restart" and call.made < self.most and error.failover:
            following = self._pick(call)
            following = following and self._afforded(following, cut)
        if following is None:
            self._end(call, "StreamInterruptedError")
            return
        call.errors.append(cut)
        self._go(call, following)

    def _end(self, call: Asking, outcome: str) -> None:
        if call.taken is not None:
            call.taken.settled = True
        broken = any(isinstance(error, StreamInterruptedError) for error in call.errors)
        said = outcome not in {"success", "cancelled"}
        call.outcome = "StreamInterruptedError" if broken and said else outcome
        call.runs = call.waits = call.hangs = None

    def _pay(self, error: ProviderError) -> bool:
        if self.tokens() >= self.fallback.budget.cost:
            self._move(-self.fallback.budget.cost)
            return True
        error.budget_exhausted = True
        return False

    def _move(self, amount: float) -> None:
        self.ledger.moves.append((self.now, amount))


def widest(most: float) -> float:
    """What chance says in these tests: nothing of a small span (jitter), all of a large one."""
    return most if most >= 0.2 else 0.0


def small(failures: int, probes: int, successes: int) -> BreakerConfig:
    """A breaker whose times are exact in binary."""
    return BreakerConfig(True, failures, 10.0, 4, 0.75, 8.0, 40.0, probes, successes)
