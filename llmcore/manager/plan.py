"""Pure: what to try next, after what wait. A generator that is sent each setback and yields the next step.

Laws (resilience, sections 2.2 and 3):
an attempt on a candidate is repeated at most `retries` times, all attempts together at most `max_attempts` times;
a candidate that was left is not asked again in the call; an error that is neither retryable nor worth a failover
ends the plan; a wait is never shorter than the vendor asked, never begun when it would end past the deadline, and
without a vendor's word is full jitter: uniform in [0, min(cap, base x 2^k)] before retry k.
Source of full jitter: AWS Architecture Blog, "Exponential Backoff and Jitter".
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from random import Random

from attrs import frozen

from llmcore.errors import OverloadedError, ProviderError, RateLimitError

BASE_S = 0.5
THROTTLED_BASE_S = 1.0


@frozen
class Policy:
    """How often and how patiently; times in seconds. `base` None: 0.5, and 1 for throttling."""

    retries: int = 1
    max_attempts: int = 12
    base: float | None = None
    cap: float = 20.0
    max_retry_after: float = 60.0
    prefer_failover_after: float = 1.0
    after_send: bool = True


@frozen
class Step:
    """Ask candidate `target` after `wait` seconds. `retry` counts earlier attempts on it in this call."""

    target: int
    wait: float = 0.0
    retry: int = 0


@frozen
class Setback:
    """What the last step led to, and the seconds that are left of the call's deadline."""

    error: ProviderError
    remaining: float


Pick = Callable[[list[int]], Step | None]
"""Which of the candidates that are left (in order) comes next, and when; None where none can come in time."""


def plan(order: Iterable[int], policy: Policy, random: Random, pick: Pick) -> Generator[Step, Setback, None]:
    """Yields steps until nothing more is worth trying; send it the setback of each."""
    left = list(order)
    attempts = 0
    while left and attempts < policy.max_attempts and (step := pick(left)) is not None:
        left.remove(step.target)
        while True:
            setback = yield step
            attempts += 1
            wait = retry_wait(setback, step.retry, policy, random)
            if (
                wait is None
                or attempts >= policy.max_attempts
                or (left and leaves_first(setback.error, policy))
            ):
                break
            step = Step(step.target, wait, step.retry + 1)
        if not setback.error.failover or not _may_repeat(setback.error, policy):
            return


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
