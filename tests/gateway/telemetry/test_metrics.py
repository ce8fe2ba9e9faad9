"""The page for Prometheus: it parses, its sums are right, its labels are few."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from llmcore.gateway.telemetry.metrics import OTHER, OVERHEAD_BUCKETS, Histogram, Metrics
from llmcore.testing import Answer
from llmcore.types import Attempt, Usage
from tests.gateway.standin import client, question, stage

pytestmark = pytest.mark.anyio


def samples(text: bytes) -> dict[tuple[str, str], float]:
    return {
        (
            sample.name,
            " ".join(f"{key}={value}" for key, value in sorted(sample.labels.items())),
        ): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


async def test_calls_are_counted() -> None:
    on = stage(Answer("x", usage=Usage(7, 2)))
    async with client(on) as http:
        for _ in range(3):
            await http.post("/v1/chat/completions", json=question())
        await http.post("/v1/chat/completions", content=b"{")
    found = samples(on.desk.metrics.text())
    assert found["llmcore_requests_total", "route=chat status=2xx"] == 3
    assert found["llmcore_requests_total", "route=chat status=4xx"] == 1
    assert found["llmcore_tokens_total", "kind=input model=m provider=a"] == 21
    assert found["llmcore_overhead_seconds_count", "route=chat"] == 3
    assert found["llmcore_overhead_seconds_bucket", "le=+Inf route=chat"] == 3
    assert found["llmcore_in_flight", ""] == 0


@given(st.lists(st.floats(0, 10), max_size=50))
def test_buckets_only_grow_and_end_with_all(values: list[float]) -> None:
    histogram = Histogram(OVERHEAD_BUCKETS)
    for value in values:
        histogram.observe(value)
    counts = [count for _, count in histogram.buckets()]
    assert counts == sorted(counts)
    assert counts[-1] == len(values)
    for bound, count in histogram.buckets()[:-1]:
        assert count == sum(value <= float(bound) for value in values)


@given(st.lists(st.text(max_size=20), max_size=300))
def test_t05_names_from_outside_do_not_become_labels(models: list[str]) -> None:
    metrics = Metrics(lambda: ["a"], lambda: 0)
    for model in models:
        metrics.attempted([Attempt("evil" + model, model, "ServerError")], own=False)
    assert {(provider, model) for provider, model, _ in metrics.attempts} <= {(OTHER, OTHER)}
    metrics.text()
