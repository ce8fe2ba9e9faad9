"""Spans and metrics after the GenAI conventions, without a word of a prompt."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from llmcore.errors import ServerError
from llmcore.gateway.telemetry.tracing import Tracing
from llmcore.testing import Answer, Fail, ScriptedProvider
from llmcore.types import Usage
from tests.gateway.standin import client, question, stage

pytestmark = pytest.mark.anyio


async def test_a_call_and_its_attempts_are_spans_of_the_clients_trace() -> None:
    spans, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    a = ScriptedProvider("a", [Fail(ServerError("down", status=500))])
    b = ScriptedProvider("b", [Answer("fine", usage=Usage(7, 2))])
    on = stage(a, b)
    on.desk.tracing = Tracing(tracers, MeterProvider([reader]))
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    async with client(on) as http:
        await http.post(
            "/v1/chat/completions",
            json=question("CANARY-PROMPT"),
            headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"},
        )
    found = spans.get_finished_spans()
    *attempts, call = found
    assert f"{call.context.trace_id:032x}" == trace  # type: ignore[union-attr]
    assert call.attributes["gen_ai.operation.name"] == "chat"  # type: ignore[index]
    assert call.attributes["gen_ai.usage.output_tokens"] == 2  # type: ignore[index]
    assert [span.attributes["gen_ai.provider.name"] for span in attempts][-1] == "b"  # type: ignore[index]
    assert attempts[0].attributes["error.type"] == "ServerError"  # type: ignore[index]
    assert all(span.parent.span_id == call.context.span_id for span in attempts)  # type: ignore[union-attr]
    assert "CANARY" not in "".join(span.to_json() for span in found)
    data = reader.get_metrics_data()
    assert data is not None
    assert "gen_ai.client.operation.duration" in data.to_json()
    assert "CANARY" not in data.to_json()
