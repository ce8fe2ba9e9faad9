"""Pure: what to try next, after what wait, and what it costs. It is told each setback and answers with the next step.

Laws (resilience, sections 2.2 and 3):
an attempt on a candidate is repeated at most `retries` times, all attempts together at most `max_attempts` times;
a candidate that was left is not asked again in the call; an error that is neither retryable nor worth a failover
ends the plan; a wait is never shorter than the vendor asked, never begun when it would end past the deadline, and
without a vendor's word is full jitter: uniform in [0, min(cap, base x 2^k)] before retry k.
Another key of the same provider is no retry. Retries, failovers after a fault of health, and attempts beside a running
one are paid from the budget; where it is spent, the plan ends and the error says so.
Source of full jitter: AWS Architecture Blog, "Exponential Backoff and Jitter".
"""

from __future__ import annotations

from random import Random
from typing import Literal, Protocol

from attrs import evolve, frozen

from llmcore.errors import (
    AuthenticationError,
    ContentFilterError,
    InvalidRequestError,
    OverloadedError,
    PermissionDeniedError,
    ProviderError,
    QuotaExhaustedError,
    RateLimitError,
)
from llmcore.types.responses import Why

BASE_S = 0.5
THROTTLED_BASE_S = 1.0

_OF_THE_KEY = (AuthenticationError, PermissionDeniedError, QuotaExhaustedError, RateLimitError)


@frozen
class Policy:
    """How often and how patiently; times in seconds. `base` None: 0.5, and 1 for throttling."""

    retries: int = 1
    max_attempts: int = 12
    base: float | None = None
    cap: float = 20.0
    max_retry_after: float = 60.0
    prefer_failover_after: float = 3.0
    after_send: bool = True
    policy_fallback: bool = False


@frozen
class Step:
    """Ask candidate `target` after `wait` seconds. `retry` counts earlier retries of it in this call.

    forced: its breaker is passed by (it is the only one; panic: all are open). paid: taken from the budget; given back
    where the attempt succeeds. waits: first for the outcome of others at the same candidate, since the budget is spent.
    """

    target: int
    wait: float = 0.0
    retry: int = 0
    why: Why = "first"
    forced: bool = False
    panic: bool = False
    paid: bool = False
    waits: bool = False


@frozen
class Setback:
    """What a step led to, and the seconds that are left of the call's deadline. sent: whether anything was (`unsent`)."""

    error: ProviderError
    remaining: float
    sent: bool = True


class Field(Protocol):
    """The candidates as the plan sees them: who may be asked, and what there is to spend."""

    def pick(self) -> Step | None:
        """Take the next candidate out of those that are left; None where none can come in time."""
        ...

    def pick_now(self) -> Step | None:
        """The same, but only one that may be asked at once."""
        ...

    def any_ready(self) -> bool:
        """Whether `pick_now` would find one."""
        ...

    def other_key(self, target: int, /) -> bool:
        """Whether the candidate has another key that this call has not used up."""
        ...

    def admits(self, target: int, /) -> bool:
        """Whether the candidate's breaker would let another attempt in."""
        ...

    def pay(self) -> bool:
        """Take one attempt's cost from the retry budget."""
        ...

    def refund(self) -> None:
        """Give it back."""
        ...

    def credit(self, target: int, /) -> Literal["free", "later", "none"]:
        """Whether the candidate works, as others have found lately, or as others are about to find out."""
        ...

    def put_back(self, target: int, /) -> None:
        """The candidate is not asked after all."""
        ...


class Plan:
    """The steps of one call."""

    __slots__ = ("_field", "_made", "_policy", "_random", "ended", "overlapped")

    def __init__(self, policy: Policy, random: Random, field: Field) -> None:
        self._policy = policy
        self._random = random
        self._field = field
        self._made = 0
        self.overlapped: bool = False
        self.ended: bool = False

    def first(self) -> Step | None:
        """The first step, or None where nobody may be asked."""
        return self._go(self._field.pick())

    def beside(self, why: Why) -> Step | None:
        """Another candidate to be asked beside one that still runs; from then on nobody is asked twice."""
        if self.ended or self._made >= self._policy.max_attempts:
            return None
        step = self._field.pick_now()
        if step is None:
            return None
        paid = self._field.pay()
        credit = "none" if paid or why == "hedge" else self._field.credit(step.target)
        if not paid and credit == "none":
            self._field.put_back(step.target)
            return None
        self.overlapped = True
        return self._go(evolve(step, why=why, paid=paid, waits=credit == "later"))

    def after(self, step: Step, setback: Setback) -> Step | None:
        """What follows a setback; None where nothing more is worth trying."""
        following = None if self.ended else self._after(step, setback)
        self.ended = following is None
        return self._go(following)

    def unsent(self, step: Step) -> None:
        """Nothing of this step was sent: it is no attempt, and what was paid for it is given back."""
        self._made -= 1
        if step.paid:
            self._field.refund()

    def resume(self, error: ProviderError, why: Why) -> Step | None:
        """Who goes on with a stream that broke after it had shown something; None where nobody can."""
        if self._made >= self._policy.max_attempts or not self._policy.after_send:
            return None
        self.ended = False
        step = self._field.pick()
        return None if step is None else self._go(self._afforded(evolve(step, why=why), error))

    def _go(self, step: Step | None) -> Step | None:
        if step is not None:
            self._made += 1
        return step

    def _after(self, step: Step, setback: Setback) -> Step | None:
        error, policy = setback.error, self._policy
        if not setback.sent:
            return self._over(error, free=not step.paid)
        if self._made >= policy.max_attempts:
            return None
        if isinstance(error, _OF_THE_KEY) and self._field.other_key(step.target):
            return Step(step.target, retry=step.retry, why="key", forced=step.forced)
        if step.why == "continue" and isinstance(error, InvalidRequestError):
            return Step(step.target, why="restart", forced=step.forced)
        wait = None if self.overlapped else retry_wait(setback, step.retry, policy, self._random)
        if wait is not None and self._field.admits(step.target):
            over = leaves_first(error, policy) and self._field.any_ready()
            if not over and self._paid(error):
                return Step(step.target, wait, step.retry + 1, "retry", step.forced, paid=True)
        return self._over(error, free=not error.health)

    def _over(self, error: ProviderError, *, free: bool) -> Step | None:
        if not goes_over(error, self._policy):
            return None
        step = self._field.pick()
        if step is None:
            return None
        step = evolve(step, why="failover")
        return step if free else self._afforded(step, error)

    def _afforded(self, step: Step, error: ProviderError) -> Step | None:
        """The step, where its candidate works, or can be paid for, or others are about to find out whether it works."""
        credit = self._field.credit(step.target)
        if credit == "free":
            return step
        if self._field.pay():
            return evolve(step, paid=True)
        if credit == "later":
            return evolve(step, waits=True)
        error.budget_exhausted = True
        return None

    def _paid(self, error: ProviderError) -> bool:
        if self._field.pay():
            return True
        error.budget_exhausted = True
        return False


def goes_over(error: ProviderError, policy: Policy) -> bool:
    """Whether another candidate may be asked after this error."""
    wanted = error.failover or (policy.policy_fallback and isinstance(error, ContentFilterError))
    return wanted and _may_repeat(error, policy)


def retry_wait(setback: Setback, done: int, policy: Policy, random: Random) -> float | None:
    """Seconds before retry number `done` of the same candidate, or None where it must not be asked again."""
    error = setback.error
    limit = policy.retries if error.retry_limit is None else min(policy.retries, error.retry_limit)
    if not error.retryable or done >= limit or not _may_repeat(error, policy):
        return None
    wait = backoff(error, done, policy, random)
    asked = error.retry_after
    if wait >= setback.remaining or (asked is not None and asked > policy.max_retry_after):
        return None
    return wait


def backoff(error: ProviderError, done: int, policy: Policy, random: Random) -> float:
    """The vendor's wait plus up to a quarter of it (at most 1 s), else full jitter."""
    asked = error.retry_after
    if asked is not None:
        return asked + random.uniform(0.0, min(1.0, 0.25 * asked))
    throttled = isinstance(error, (RateLimitError, OverloadedError))
    base = policy.base if policy.base is not None else THROTTLED_BASE_S if throttled else BASE_S
    return random.uniform(0.0, min(policy.cap, base * 2.0 ** min(done, 60)))


def leaves_first(error: ProviderError, policy: Policy) -> bool:
    """Whether another candidate is asked before this one again, where both would be allowed."""
    if not error.failover:
        return False
    if isinstance(error, RateLimitError):
        return error.retry_after is not None and error.retry_after > policy.prefer_failover_after
    return isinstance(error, OverloadedError)


def _may_repeat(error: ProviderError, policy: Policy) -> bool:
    return policy.after_send or not error.maybe_billed
