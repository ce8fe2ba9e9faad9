"""The ways in which a simulated provider fails: what the attempt sees, and when."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

from attrs import evolve, frozen

from llmcore.errors import (
    AuthenticationError,
    ConnectionRefused,
    ConnectionReset,
    ConnectTimeout,
    ContentFilterError,
    DNSError,
    FirstTokenTimeout,
    GenerationFailedError,
    InterChunkTimeout,
    InvalidRequestError,
    MalformedResponseError,
    ModelNotFoundError,
    OverloadedError,
    PermissionDeniedError,
    Phase,
    ProviderError,
    QuotaExhaustedError,
    RateLimitError,
    ReadTimeout,
    ServerError,
    StreamInterruptedError,
    TLSError,
)

Moment: TypeAlias = Literal["connecting", "never_connects", "answering", "silent", "cut", "stalled"]
"""When it fails: while connecting; at the limit for that; with the head of the answer; at the limit for the first token;
inside the answer; at the limit for silence inside it."""

ANSWERS_AFTER_S = 0.05
"""Seconds until a refusal arrives where the scenario does not say."""


@frozen
class Way:
    """One way to fail. after: seconds until it shows, for those that show by themselves; retry_after: what the vendor asks
    to wait, None where it does not say.
    """

    word: str
    error: type[ProviderError]
    moment: Moment = "answering"
    status: int | None = None
    after: float = ANSWERS_AFTER_S
    retry_after: float | None = None

    @property
    def phase(self) -> Phase:
        if self.moment in {"connecting", "never_connects"}:
            return "connect"
        if self.moment == "silent":
            return "first_token"
        return "headers" if self.moment == "answering" else "stream"

    def made(self) -> ProviderError:
        """A fresh error."""
        return self.error(
            f"simulated: {self.word}", status=self.status, retry_after=self.retry_after, phase=self.phase
        )


_ALL: tuple[Way, ...] = (
    Way("refused", ConnectionRefused, "connecting", after=0.001),
    Way("dns", DNSError, "connecting", after=0.01),
    Way("tls", TLSError, "connecting"),
    Way("unreachable", ConnectTimeout, "never_connects"),
    Way("reset", ConnectionReset),
    Way("silent", FirstTokenTimeout, "silent"),
    Way("400", InvalidRequestError, status=400),
    Way("401", AuthenticationError, status=401),
    Way("402", QuotaExhaustedError, status=402),
    Way("403", PermissionDeniedError, status=403),
    Way("404", ModelNotFoundError, status=404),
    Way("429", RateLimitError, status=429),
    Way("500", ServerError, status=500),
    Way("502", ServerError, status=502),
    Way("503", OverloadedError, status=503),
    Way("504", ReadTimeout, status=504),
    Way("529", OverloadedError, status=529),
    Way("garbage", MalformedResponseError, status=200),
    Way("unusable", GenerationFailedError, status=200),
    Way("filtered", ContentFilterError, status=400),
    Way("cut", StreamInterruptedError, "cut", status=200),
    Way("stalled", InterChunkTimeout, "stalled", status=200),
)


def _named() -> dict[str, Way]:
    """By word, and by the name of the error class: the first way of each class."""
    found = {way.word: way for way in _ALL}
    for way in _ALL:
        found.setdefault(way.error.__name__, way)
    return found


WAYS: Mapping[str, Way] = _named()

FULL: Way = evolve(WAYS["503"], word="full")
TOO_MANY: Way = evolve(WAYS["429"], word="rate limit")
