"""What hypothesis draws for the manager: scripts of outcomes from the class table, configurations, and a recording double."""

from __future__ import annotations

from typing import Any

import anyio
import attrs
from hypothesis import strategies as st

from llmcore import errors
from llmcore.config import FallbackConfig, Routing
from llmcore.testing import Answer, Fail, Outcome, ScriptedProvider
from llmcore.types import EmbeddingRequest, GenerationRequest

CLASSES = [
    errors.AuthenticationError,
    errors.PermissionDeniedError,
    errors.QuotaExhaustedError,
    errors.ModelNotFoundError,
    errors.InvalidRequestError,
    errors.UnsupportedFeatureError,
    errors.ContextLengthError,
    errors.ContentFilterError,
    errors.RateLimitError,
    errors.OverloadedError,
    errors.ServerError,
    errors.ConnectTimeout,
    errors.ReadTimeout,
    errors.FirstTokenTimeout,
    errors.ConnectionRefused,
    errors.ConnectionReset,
    errors.DNSError,
    errors.TLSError,
    errors.MalformedResponseError,
    errors.GenerationFailedError,
]

seconds = st.sampled_from([0.0, 0.1, 0.5, 1.0, 2.0, 5.0, 30.0])
waits = st.none() | st.sampled_from([0.0, 0.2, 1.0, 1.5, 3.0, 20.0, 59.0, 61.0, 3600.0])


@st.composite
def failures(draw: st.DrawFn) -> Fail:
    cls = draw(st.sampled_from(CLASSES))
    error = cls(
        "scripted",
        retry_after=draw(waits) if cls in (errors.RateLimitError, errors.OverloadedError) else None,
    )
    if draw(st.booleans()) and draw(st.booleans()):
        error.retryable = draw(st.booleans())  # x-should-retry
    return Fail(error, delay=draw(seconds))


answers = st.builds(
    Answer, text=st.sampled_from(["ok", "a b c", "one two"]), delay=seconds, gap=st.sampled_from([0.0, 0.5])
)
outcomes = st.one_of(failures(), failures(), answers)
scripts = st.lists(outcomes, min_size=1, max_size=4)

configs = st.builds(
    FallbackConfig,
    enabled=st.sampled_from([True, True, True, False]),
    strategy=st.sampled_from(["priority", "round_robin"]),
    max_retries=st.none() | st.integers(0, 3),
    retry_delay_ms=st.none() | st.sampled_from([0, 10, 1000, 30_000]),
    max_attempts=st.none() | st.integers(1, 6),
    max_retry_after=st.sampled_from([3.0, 60.0]),
    retry_after_send=st.sampled_from([True, True, False]),
)
deadlines = st.none() | st.sampled_from([0.0, 0.05, 1.0, 4.0, 30.0, 100.0])


@attrs.define
class Made:
    """One attempt as the double saw it."""

    name: str
    start: float
    request: GenerationRequest | EmbeddingRequest
    end: float | None = None
    how: BaseException | None = None
    outcome: Outcome | None = None


class Recorder(ScriptedProvider):
    """A scripted provider that writes every attempt into a log shared by all doubles of a test."""

    def __init__(self, name: str, script: list[Outcome], log: list[Made], **more: Any) -> None:
        super().__init__(name, script, **more)
        self._log = log
        self._mine: list[Made] = []

    def begin(self, request: GenerationRequest | EmbeddingRequest) -> Outcome:
        outcome = super().begin(request)
        made = Made(self.name, anyio.current_time(), request, outcome=outcome)
        self._log.append(made)
        self._mine.append(made)
        return outcome

    def end(self, how: BaseException | None) -> None:
        super().end(how)
        made = next(one for one in self._mine if one.end is None)
        made.end = anyio.current_time()
        made.how = how


def recorders(
    scripts_: list[list[Outcome]], log: list[Made], limits: list[int | None] | None = None
) -> list[Recorder]:
    limits = limits or [None] * len(scripts_)
    return [
        Recorder(f"p{place}", script, log, routing=Routing(priority=place, max_in_flight=limit))
        for place, (script, limit) in enumerate(zip(scripts_, limits, strict=True))
    ]
