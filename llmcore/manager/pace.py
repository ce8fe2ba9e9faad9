"""Pure: the pace of one key at one model family, so that a limit is kept before a vendor has to enforce it.

Three sources, and the strictest decides: what the configuration says (`rpm`, `tpm`), what the vendor announces with
every answer, and, where it announces nothing, what its 429s teach.
"""

from __future__ import annotations

import re
from functools import lru_cache

from llmcore.types import Limit, RateLimits

MINUTE: float = 60.0
SLOTS: int = 60
FREE_SHARE: float = 0.5
HELD_BACK: float = 0.5
GROWTH_PER_S: float = 1.02
FORGOTTEN_S: float = 120.0
BURST_SHARE: float = 0.1
SPAN_S: float = 5.0
SLOWEST_TAUGHT: float = 2.0
"""Requests a second below which a 429 says nothing of pace; retry and backoff are enough there."""
SAME_INSTANT_S: float = 1.0

_SUFFIX = re.compile(r"(?:[-@:](?:latest|preview|\d{4}-\d{2}-\d{2}|\d{8}|\d{4}|\d{3}|v\d+(?::\d+)?))+$")


@lru_cache(maxsize=4096)
def family(model: str | None) -> str:
    """A model's name without a trailing date, number of version or "latest": what limits and outages are common to."""
    return "" if model is None else _SUFFIX.sub("", model) or model


class Configured:
    """A limit of so many a minute: never more in any 60 s, and no more than a tenth of it at once.

    The first is what fixed and sliding windows ask, the second is within every token bucket of that capacity.
    """

    __slots__ = ("_burst", "_level", "_limit", "_sent", "_since", "_slot", "_tightened", "_total")

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._burst = max(1.0, limit * BURST_SHARE)
        self._level = self._burst
        self._since = 0.0
        self._tightened = float("-inf")
        self._sent = [0.0] * SLOTS
        self._total = 0.0
        self._slot = 0

    def wait(self, amount: float, now: float) -> float:
        """Seconds until `amount` may go; more than fits at all goes when everything is free."""
        self._turn(now)
        amount = min(amount, self._limit)
        missing = min(amount, self._burst) - self._level
        bucket = max(0.0, missing) * MINUTE / self._limit
        over = self._total + amount - self._limit
        if over <= 1e-9:
            return bucket
        for step in range(SLOTS):
            over -= self._sent[(self._slot + 1 + step) % SLOTS]
            if over <= 1e-9:
                return max(bucket, (self._slot + 1 + step + 1) * MINUTE / SLOTS - now)
        return MINUTE

    def take(self, amount: float, now: float) -> None:
        """So much is sent now; a negative amount gives back."""
        self._turn(now)
        self._level = min(self._burst, self._level - amount)
        self._sent[self._slot % SLOTS] += amount
        self._total += amount

    def tighten(self, now: float) -> bool:
        """A 429 came although the limit was kept: fewer at once, if that is possible."""
        if now < self._tightened + 1.0:
            return True
        self._tightened = now
        loose = self._burst > 1.0
        self._burst = max(1.0, self._burst / 4)
        self._level = min(self._level, 0.0)
        return loose

    def room(self, now: float) -> float:
        """The share of a minute's limit that is left."""
        self._turn(now)
        return max(0.0, 1.0 - self._total / self._limit)

    def _turn(self, now: float) -> None:
        if now - self._since < 0.001:
            return
        self._level = min(self._burst, self._level + (now - self._since) * self._limit / MINUTE)
        self._since = now
        slot = int(now * SLOTS / MINUTE)
        for passed in range(self._slot + 1, min(slot, self._slot + SLOTS) + 1):
            self._total -= self._sent[passed % SLOTS]
            self._sent[passed % SLOTS] = 0.0
        self._slot = slot


class Announced:
    """A limit that a vendor tells: kept by a pace that depends on the share that is left.

    Above half, nothing is held back. Below, the allowed rate falls to the rate of refill at a few hundredths, so that a
    little always remains and everything that is refilled is used; the balance does not depend on how old the news is.
    A bucket refills at (limit - remaining) / reset; of a window (its end stands still while it is used up) what remains
    is spread over what is left of it.
    """

    __slots__ = ("_ends", "_limit", "_mark", "_next", "_remaining", "_since", "_taken", "_window")

    def __init__(self) -> None:
        self._limit = 0.0
        self._remaining = 0.0
        self._taken = 0.0
        self._since = 0.0
        self._ends = 0.0
        self._next = 0.0
        self._window = False
        self._mark = (0.0, 0.0)

    @property
    def known(self) -> bool:
        return self._limit > 0

    def observe(self, told: Limit, in_flight: float, now: float) -> None:
        """An answer told this limit, while so much was on its way."""
        if told.limit is None or told.remaining is None or told.limit <= 0:
            return
        ends = now + (MINUTE if told.resets_s is None else told.resets_s)
        if told.resets_s is not None:
            self._compare(told, told.resets_s, ends)
        self._limit, self._remaining, self._ends = told.limit, told.remaining, ends
        self._taken, self._since = in_flight, now

    def _compare(self, told: Limit, resets: float, ends: float) -> None:
        """Bucket or window: whether the end moves while the limit is used up."""
        assert told.limit is not None
        assert told.remaining is not None
        used = self._mark[1] - told.remaining
        if used < 0 or told.remaining >= told.limit:
            self._mark = (ends, told.remaining)
        elif (
            used * resets / (told.limit - told.remaining) > 2 * SAME_INSTANT_S
        ):  # so far a bucket's end would move
            self._window = abs(ends - self._mark[0]) < SAME_INSTANT_S
            self._mark = (ends, told.remaining)

    def wait(self, amount: float, now: float) -> float:
        """Seconds until `amount` may go."""
        if not self.known:
            return 0.0
        self._roll(now)
        if self._left(now) / self._limit > FREE_SHARE and self._left(now) >= amount:
            return 0.0
        return max(0.0, self._next - now)

    def take(self, amount: float, now: float) -> None:
        if self.known:
            self._roll(now)
            self._next = max(self._next, now) + amount / self._rate(now)
            self._taken += amount

    def room(self, now: float) -> float:
        """The share of the limit that is left."""
        return 1.0 if not self.known else min(1.0, max(0.0, self._left(now) / self._limit))

    def refused(self, wait: float | None, now: float) -> None:
        """A 429 came: whatever was believed, nothing is left."""
        if self.known:
            self._remaining, self._taken, self._since = 0.0, 0.0, now
            self._next = max(self._next, now + (wait or 0.0))

    def _roll(self, now: float) -> None:
        """A window that has ended is a new one, of which nobody has told yet."""
        if self._window and now >= self._ends:
            self._remaining, self._taken, self._since = self._limit, 0.0, now
            self._ends = now + MINUTE

    def _refill(self) -> float:
        """Units a second, as the vendor's figures say."""
        left = max(self._ends - self._since, 0.001)
        used = self._limit - self._remaining
        return max(used / left if used > 0 else self._limit / MINUTE, self._limit / 86_400.0)

    def _left(self, now: float) -> float:
        if self._window:
            return self._remaining - self._taken
        refilled = self._refill() * (now - self._since)
        return min(self._limit, self._remaining - self._taken + refilled)

    def _rate(self, now: float) -> float:
        if self._window:
            return max(self._left(now), 0.5) / max(self._ends - now, 0.05)
        share = max(-0.5, self._left(now) / self._limit)
        return self._refill() * max(HELD_BACK, 0.96 + share + 10.0 * share * abs(share))


class Guessed:
    """The pace that 429s without any announced limit teach: down by 30 %, up by 2 % a second, forgotten in two minutes."""

    __slots__ = ("_cap", "_next", "_taught")

    def __init__(self) -> None:
        self._cap = 0.0
        self._next = 0.0
        self._taught = float("-inf")

    def wait(self, now: float) -> float:
        return max(0.0, self._next - now) if self._binds(now) else 0.0

    def take(self, now: float) -> None:
        if self._binds(now):
            self._next = max(self._next, now) + 1.0 / self._grown(now)

    def refused(self, rate: float, wait: float | None, now: float) -> None:
        """A 429 came while `rate` requests a second went out."""
        if now - self._taught > 1.0:  # one lesson, however many requests were refused together
            before = min(self._grown(now), rate) if self._binds(now) else rate
            self._cap = max(0.7 * before, 1.0 / MINUTE)
            self._taught = now
        self._next = max(self._next, now + (wait or 0.0))

    def _grown(self, now: float) -> float:
        return self._cap * float(GROWTH_PER_S ** (now - self._taught))

    def _binds(self, now: float) -> bool:
        return now - self._taught < FORGOTTEN_S


class Pacer:
    """One key at one model family. rpm, tpm: configured requests and tokens a minute. learn: heed what the vendor says.

    `now` is monotonic seconds. Laws: what is configured is never exceeded in any minute; a wait that the vendor asked for
    is never shortened before a success.
    """

    __slots__ = (
        "_before",
        "_counted",
        "_guess",
        "_learn",
        "_requests",
        "_since",
        "_tokens",
        "in_flight",
        "told_requests",
        "told_tokens",
    )

    def __init__(self, rpm: float | None, tpm: float | None, learn: bool = True) -> None:
        self._requests = None if rpm is None else Configured(rpm)
        self._tokens = None if tpm is None else Configured(tpm)
        self._learn = learn
        self._guess: Guessed | None = None
        self._since = 0.0
        self._counted = 0
        self._before = 0.0
        self.told_requests: Announced | None = None
        self.told_tokens: Announced | None = None
        self.in_flight: int = 0

    @property
    def idle(self) -> bool:
        """Whether nothing limits, so that nothing needs to be asked."""
        return (
            self._requests is None
            and self._tokens is None
            and self.told_requests is None
            and self.told_tokens is None
            and self._guess is None
        )

    def wait(self, tokens: float, now: float) -> float:
        """Seconds until a request of about `tokens` may go; 0.0 for now."""
        waits = [0.0]
        if self._requests is not None:
            waits.append(self._requests.wait(1.0, now))
        if self._tokens is not None:
            waits.append(self._tokens.wait(tokens, now))
        if self.told_requests is not None:
            waits.append(self.told_requests.wait(1.0, now))
        if self.told_tokens is not None:
            waits.append(self.told_tokens.wait(tokens, now))
        if self._guess is not None:
            waits.append(self._guess.wait(now))
        return max(waits)

    def take(self, tokens: float, now: float) -> None:
        """A request goes out."""
        self.in_flight += 1
        if now - self._since > SPAN_S:
            self._before = self._counted / SPAN_S if now - self._since < 2 * SPAN_S else 0.0
            self._counted, self._since = 0, now
        self._counted += 1
        if self._requests is not None:
            self._requests.take(1.0, now)
        if self._tokens is not None:
            self._tokens.take(tokens, now)
        if self.told_requests is not None:
            self.told_requests.take(1.0, now)
        if self.told_tokens is not None:
            self.told_tokens.take(tokens, now)
        if self._guess is not None:
            self._guess.take(now)

    def settle(self, reserved: float, used: float | None, now: float) -> None:
        """The request has ended; `used` tokens, where that is known."""
        self.in_flight = max(0, self.in_flight - 1)
        if self._tokens is not None and used is not None and used != reserved:
            self._tokens.take(used - reserved, now)

    def observe(self, limits: RateLimits, now: float) -> None:
        """What the headers of an answer told."""
        if not self._learn:
            return
        self._guess = None
        if limits.requests is not None:
            self.told_requests = self.told_requests or Announced()
            self.told_requests.observe(limits.requests, self.in_flight, now)
        tokens = limits.tokens or limits.input_tokens
        if tokens is not None:
            self.told_tokens = self.told_tokens or Announced()
            self.told_tokens.observe(tokens, 0.0, now)

    def refused(self, wait: float | None, now: float) -> None:
        """A 429 came, with the vendor's wait where it told one."""
        if not self._learn:
            return
        known = [told for told in (self.told_requests, self.told_tokens) if told is not None and told.known]
        for told in known:
            if told.room(now) < FREE_SHARE or len(known) == 1:
                told.refused(wait, now)
        if not known and not (self._requests is not None and self._requests.tighten(now)):
            rate = max(self._before, self._counted / max(now - self._since, 1.0))
            if rate >= SLOWEST_TAUGHT:
                self._guess = self._guess or Guessed()
                self._guess.refused(rate, wait, now)

    def room(self, now: float) -> float:
        """The share of the tightest limit that is left; 1.0 where nothing is known."""
        gauges = (self._requests, self._tokens, self.told_requests, self.told_tokens)
        return min((gauge.room(now) for gauge in gauges if gauge is not None), default=1.0)
