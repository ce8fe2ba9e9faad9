"""Pure: the pace of one key at one model family, by configured limits, by what the vendor tells, and by its refusals."""

from __future__ import annotations

import re
from collections import deque
from functools import lru_cache
from math import sqrt

from llmcore.pace.quota import EPSILON, INF, Quota
from llmcore.pace.told import Told
from llmcore.pace.tried import Tried
from llmcore.types import Limit, RateLimits

_UNSURE = frozenset(
    {"tokens", "output_tokens"}
)  # limits of which a request's share is known after its answer only

NEARLY: float = 0.1  # share of a limit below which a large request may have been refused for it
STALE: float = 900.0  # seconds after which nothing that a vendor told is believed any more

_SUFFIX = re.compile(
    r"(?:[-:@]latest"
    r"|[-@_](?:20\d\d-?[01]\d(?:-?[0-3]\d)?|[01]\d-20\d\d|[01]\d[0-3]\d|2\d[01]\d|0\d\d)(?:-v\d+(?::\d+)?)?)$"
)


@lru_cache(maxsize=1024)
def family(model: str | None) -> str:
    """The model's name without a trailing date, version or "latest": what vendors count and limit together."""
    if model is None:
        return ""
    match = _SUFFIX.search(model)
    return model if match is None or match.start() == 0 else model[: match.start()]


class Pacer:
    """When the next request may go. `now` is in monotonic seconds; tokens are estimates, 0 where unknown.

    Three sources, of which the strictest holds: `rpm` and `tpm` as configured; what the vendor announces (`observe`);
    and where it refuses without an explanation, a rate found by trying. Beside them the rest that a refusal asks for.

    idle: nothing limits, so that a caller may skip `wait`. in_flight: taken and neither settled nor given back.
    not_before: the end of the rest; it only ever moves later until a success of a request sent after the refusal.
    """

    __slots__ = (
        "_age",
        "_extra",
        "_learn",
        "_quotas",
        "_refused_at",
        "_spread",
        "_tightened_at",
        "_told",
        "_told_at",
        "_tried",
        "_unseen",
        "_unseen_tokens",
        "idle",
        "in_flight",
        "not_before",
    )

    def __init__(self, rpm: float | None, tpm: float | None, learn: bool = True) -> None:
        self._learn = learn
        self._quotas = tuple(
            (Quota(limit), counts_tokens)
            for limit, counts_tokens in ((rpm, False), (tpm, True))
            if limit is not None
        )
        self._told: dict[str, Told] = {}
        self._told_at = 0.0
        self._age = 1.0  # seconds by which news may be old
        self._tried = Tried()
        self._unseen: deque[tuple[float, float]] = (
            deque()
        )  # (tokens, since when) whose headers are not back yet
        self._unseen_tokens = 0.0
        self._extra = 0.0  # tokens by which a request uses more than was reserved for it, in the mean
        self._spread = 0.0  # and the mean distance from that
        self._refused_at = -INF
        self._tightened_at = -INF
        self.idle: bool = not self._quotas
        self.in_flight: int = 0
        self.not_before: float = 0.0

    def wait(self, tokens: float, now: float) -> float:
        """Seconds until a request of so many tokens may go; 0.0 is now.

        One that is larger than its limit may go when all of the limit is left.
        """
        if self.idle:
            return 0.0
        wait = self.not_before - now
        if self._quotas and wait <= 0.0 and self._is_roomy(tokens):
            return 0.0
        for quota, counts_tokens in self._quotas:
            wait = max(wait, quota.wait(tokens if counts_tokens else 1, now))
        if self._told:
            wait = max(wait, self._told_wait(tokens, now))
        if self._tried.rate is not None:
            wait = max(wait, self._tried.wait(now))
        if wait > EPSILON:
            return wait
        self.idle = not (self._quotas or self._told or self._tried.rate is not None)
        return 0.0

    def _is_roomy(self, tokens: float) -> bool:
        """Whether nothing but configured limits is known, and they are far."""
        if self._told or self._tried.rate is not None:
            return False
        return all(quota.roomy(tokens if counts else 1) for quota, counts in self._quotas)

    @property
    def counts_tokens(self) -> bool:
        """Whether an estimate of tokens is of any use here."""
        return any(counts for _, counts in self._quotas) or any(kind != "requests" for kind in self._told)

    def take(self, tokens: float, now: float) -> None:
        """One request of so many tokens goes now."""
        self.in_flight += 1
        self._tried.take(now)
        if self.idle:
            return
        for quota, counts_tokens in self._quotas:
            quota.take(tokens if counts_tokens else 1, now)
        if self._told:
            self._unseen.append((tokens, now))
            self._unseen_tokens += tokens
            for kind, told in self._told.items():
                told.take(1 if kind == "requests" else self._amount(kind, 1, tokens), now)

    def settle(self, reserved: float, used: float | None, now: float) -> None:
        """A request taken with `reserved` tokens is over, and has used so many; None keeps the reservation."""
        self.in_flight -= 1
        if self.idle:
            return
        while len(self._unseen) > self.in_flight:
            self._unseen_tokens -= self._unseen.popleft()[0]
        if used is None:
            return
        for quota, counts_tokens in self._quotas:
            if counts_tokens:
                quota.correct(used - reserved, now)
        more = used - reserved
        if more > self._extra and "tokens" in self._told:  # what was used less, the vendor tells or keeps
            self._told["tokens"].take(more - self._extra, now)
        surprise = max(0, more) - self._extra
        self._extra += surprise / 10
        self._spread += (abs(surprise) - self._spread) / 10

    def observe(self, limits: RateLimits, now: float) -> None:
        """An answer to one of the requests in flight has told limits."""
        if not self._learn:
            return
        if not self._told:
            self._unseen.extend([(0.0, now)] * (self.in_flight - len(self._unseen)))
        if self._unseen:
            tokens, since = self._unseen.popleft()
            self._unseen_tokens -= tokens
            self._age = max(0.2, 1.2 * (now - since), 0.98 * self._age)
        if limits.requests is not None:
            self._learned("requests", limits.requests, now)
        if limits.tokens is not None:
            self._learned("tokens", limits.tokens, now)
        if limits.input_tokens is not None:
            self._learned("input_tokens", limits.input_tokens, now)
        if limits.output_tokens is not None:
            self._learned("output_tokens", limits.output_tokens, now)

    def refused(self, retry_after: float | None, now: float, sent: float | None = None) -> None:
        """A request, sent at `sent` where that is known, was answered with 429."""
        self._refused_at = now
        if retry_after is not None:
            self.not_before = max(self.not_before, now + retry_after)
            self.idle = False
        sent = now if sent is None else sent
        told = False
        for kind, limit in self._told.items():
            told = limit.refused(1 if kind == "requests" else 0, now, sent) or told
        if self._learn and not told and not self._is_explained(now, sent):
            self._tried.refused(now, sent, self.not_before, self.in_flight)
            self.idle = self.idle and self._tried.rate is None

    def succeeded(self, now: float, sent: float | None = None) -> None:
        """A request was answered well. What was sent before the last refusal says nothing against it."""
        if sent is None or sent >= self._refused_at:
            self.not_before = 0.0
        if self._tried.rate is not None:
            self._tried.succeeded(now)

    def reset(self) -> None:
        """Forget all that was learned: rests, told limits and the rate found by trying. Configured limits stay in use."""
        self.not_before = 0.0
        self._tried = Tried()
        self._told.clear()
        self._unseen.clear()
        self._unseen_tokens = 0.0
        self.idle = not self._quotas

    def room(self, now: float) -> float:
        """Share of the tightest limit that is left: 0 is nothing, 1.0 also where no limit is known."""
        if self.idle:
            return 1.0
        if self.not_before > now:
            return 0.0
        left = [quota.room(now) for quota, _ in self._quotas]
        left.extend(told.room(now) for told in self._told.values())
        if self._tried.rate is not None:
            left.append(self._tried.room(now))
        return min(1.0, max(0.0, min(left, default=1.0)))

    def _is_explained(self, now: float, sent: float) -> bool:
        """Whether a refusal was to be expected of what is known, or a smaller burst may be all that it asks for."""
        if any(told.room(now) < NEARLY for told in self._told.values()):
            return True
        if sent < self._tightened_at:
            return True
        smaller = [quota.tighten(now) for quota, _ in self._quotas]
        if any(smaller):
            self._tightened_at = now
        return any(smaller)

    def _amount(self, kind: str, requests: int, tokens: float) -> float:
        """What so many requests of so many tokens together are taken to use of a limit, before their answers."""
        if kind == "requests":
            return requests
        if kind == "input_tokens":
            return tokens
        return self._extra * requests + (tokens if kind == "tokens" else 0)

    def _learned(self, kind: str, limit: Limit, now: float) -> None:
        if limit.remaining is None:
            return
        told = self._told.get(kind) or Told()
        flying = len(self._unseen)
        if told.observe(limit, self._amount(kind, flying, self._unseen_tokens), flying, self._age, now):
            self._told[kind] = told
            self._told_at = now
            self.idle = False

    def _told_wait(self, tokens: float, now: float) -> float:
        if now - self._told_at > STALE and not self.in_flight:
            self._told.clear()
            self._unseen.clear()
            self._unseen_tokens = 0.0
        wait, doubt = 0.0, -1.0
        most = 1 + tokens + self._extra
        for kind, told in self._told.items():
            if told.has_plenty(most):
                continue
            if doubt < 0:
                doubt = 3 * self._spread * sqrt(1 + len(self._unseen))
            amount = max(1, self._amount(kind, 1, tokens))
            wait = max(wait, told.wait(amount, now, doubt if kind in _UNSURE else 0.0))
        return wait
