"""Counters and timings of one provider."""

from __future__ import annotations

from decimal import Decimal

from attrs import frozen


@frozen
class ProviderStats:
    """Counters since start. Always: requests = successes + failures + cancelled + in_flight.

    Latencies are seconds, None before the first success; `state` is "ok" or why it is not used now;
    `possible_duplicate_charges` counts attempts repeated after one that may have been billed.
    """

    name: str
    requests: int = 0
    successes: int = 0
    failures: int = 0
    cancelled: int = 0
    in_flight: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: Decimal | None = None
    latency_mean_s: float | None = None
    latency_p50_s: float | None = None
    latency_p95_s: float | None = None
    first_token_mean_s: float | None = None
    first_token_p95_s: float | None = None
    last_error: str | None = None
    possible_duplicate_charges: int = 0
    state: str = "ok"
    children: tuple[ProviderStats, ...] = ()
