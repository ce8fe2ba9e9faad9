"""OpenTelemetry by the `otel` extra: a span per call and per attempt, duration and tokens as metrics (GenAI conventions).

Made when a call has ended, from what the books get: no prompt, no answer, no key is in it. Where spans go is decided by
whoever runs this (`opentelemetry-instrument llmcore serve`, or a provider set up in code); without one, nothing is made.
Source: OpenTelemetry semantic conventions for generative AI, 1.38.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry import metrics, propagate, trace
from opentelemetry.trace import SpanKind, Status, StatusCode

from llmcore.gateway.ledger import CallRecord
from llmcore.types import Attempt

NAME = "llmcore.gateway"
_BILLION = 1_000_000_000
_OPERATIONS = {"embeddings": "embeddings"}


class Tracing:
    """tracers, meters: providers of OpenTelemetry; left out, the global ones."""

    def __init__(
        self, tracers: trace.TracerProvider | None = None, meters: metrics.MeterProvider | None = None
    ) -> None:
        self._tracer = trace.get_tracer(NAME, tracer_provider=tracers)
        meter = metrics.get_meter(NAME, meter_provider=meters)
        self._duration = meter.create_histogram("gen_ai.client.operation.duration", "s")
        self._tokens = meter.create_histogram("gen_ai.client.token.usage", "{token}")

    def called(self, record: CallRecord, ended: float, traceparent: str | None) -> None:
        """One ended call. ended: epoch seconds; traceparent: the client's header (W3C Trace Context)."""
        carrier = {} if traceparent is None else {"traceparent": traceparent}
        operation = _OPERATIONS.get(record.wire, "chat")
        last = record.attempts[-1] if record.attempts else None
        span = self._tracer.start_span(
            f"{operation} {last.model}" if last is not None and last.model else operation,
            context=propagate.extract(carrier),
            kind=SpanKind.SERVER,
            start_time=_ns(record.at),
            attributes=_facts(
                operation, last, {"llmcore.request_id": record.request_id, "llmcore.wire": record.wire}
            ),
        )
        _mark(span, record.outcome)
        inside = trace.set_span_in_context(span)
        for attempt in record.attempts:
            self._attempted(attempt, operation, record.at, inside)
        span.end(_ns(ended))
        self._measured(operation, last, ended - record.at, record.outcome)

    def _attempted(self, attempt: Attempt, operation: str, at: float, inside: Any) -> None:
        begins = at + (attempt.started_s or 0.0)
        span = self._tracer.start_span(
            f"{operation} {attempt.model}" if attempt.model else operation,
            context=inside,
            kind=SpanKind.CLIENT,
            start_time=_ns(begins),
            attributes=_facts(operation, attempt, {"llmcore.why": attempt.why}),
        )
        _mark(span, attempt.outcome)
        span.end(_ns(begins + (attempt.duration_s or 0.0)))

    def _measured(self, operation: str, last: Attempt | None, seconds: float, outcome: str) -> None:
        labels = _facts(operation, last, {}, usage=False)
        failed = {} if outcome == "success" else {"error.type": outcome}
        self._duration.record(max(0.0, seconds), {**labels, **failed})
        if last is None:
            return
        for kind, count in (("input", last.usage.input_tokens), ("output", last.usage.output_tokens)):
            if count is not None:
                self._tokens.record(count, {**labels, "gen_ai.token.type": kind})


def _facts(
    operation: str, attempt: Attempt | None, more: Mapping[str, str], *, usage: bool = True
) -> dict[str, str | int]:
    """What the conventions say of one call or attempt; unknown figures are left out."""
    found: dict[str, str | int] = {"gen_ai.operation.name": operation, **more}
    if attempt is None:
        return found
    found["gen_ai.provider.name"] = attempt.provider
    if attempt.model:
        found["gen_ai.request.model"] = attempt.model
    if attempt.status is not None and usage:
        found["http.response.status_code"] = attempt.status
    if usage and attempt.usage.input_tokens is not None:
        found["gen_ai.usage.input_tokens"] = attempt.usage.input_tokens
    if usage and attempt.usage.output_tokens is not None:
        found["gen_ai.usage.output_tokens"] = attempt.usage.output_tokens
    return found


def _mark(span: trace.Span, outcome: str) -> None:
    if outcome not in {"success", "cancelled"}:
        span.set_status(Status(StatusCode.ERROR))
        span.set_attribute("error.type", outcome)


def _ns(seconds: float) -> int:
    return int(seconds * _BILLION)
