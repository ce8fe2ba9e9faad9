"""Figures for Prometheus: plain counters on the path of a call, made into its text format when somebody asks.

Labels come from closed lists (T5): routes of the table, names of configured providers, models that have answered,
classes of status, names of error classes. No name that a client chose becomes a label.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from llmcore.types import Attempt

OVERHEAD_BUCKETS = (
    *(0.00005, 0.0001, 0.00015, 0.0002, 0.0003, 0.0005, 0.00075),
    *(0.001, 0.0015, 0.002, 0.003, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0),
)
DURATION_BUCKETS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 60.0, 120.0, 300.0, 600.0)
MAX_MODELS = 200
OTHER = "other"
OWN = "own"


class Histogram:
    """Counts by upper bound, in seconds."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds: tuple[float, ...] = bounds
        self.counts: list[int] = [0] * (len(bounds) + 1)
        self.total: float = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative counts, as Prometheus wants them."""
        found, sum_so_far = [], 0
        for bound, count in zip((*map(str, self.bounds), "+Inf"), self.counts, strict=True):
            sum_so_far += count
            found.append((bound, float(sum_so_far)))
        return found


class Metrics:
    """Written by one event loop, read by whoever scrapes. in_flight: asked for at that moment."""

    def __init__(self, providers: Callable[[], Iterable[str]], in_flight: Callable[[], int]) -> None:
        self._providers = providers
        self._in_flight = in_flight
        self._known: set[str] = set()
        self._models: set[str] = set()
        self.requests: dict[tuple[str, str], int] = {}
        self.errors: dict[tuple[str, str], int] = {}
        self.attempts: dict[tuple[str, str, str], int] = {}
        self.tokens: dict[tuple[str, str, str], int] = {}
        self.cost: dict[tuple[str, str], float] = {}
        self.refused: dict[str, int] = {}
        self.overhead: dict[str, Histogram] = {}
        self.duration: dict[str, Histogram] = {}
        self.first_token: dict[str, Histogram] = {}
        self.gauges: dict[str, Callable[[], float]] = {}

    # ---------------------------------------------------------------------------------- on the path

    def answered(self, route: str, status: int, seconds: float) -> None:
        """One answer has been given, a stream's to its end."""
        key = (route, f"{status // 100}xx")
        self.requests[key] = self.requests.get(key, 0) + 1
        histogram = self.duration.get(route)
        if histogram is None:
            histogram = self.duration[route] = Histogram(DURATION_BUCKETS)
        histogram.observe(seconds)

    def added(self, route: str, seconds: float) -> None:
        """Our own share of one call."""
        histogram = self.overhead.get(route)
        if histogram is None:
            histogram = self.overhead[route] = Histogram(OVERHEAD_BUCKETS)
        histogram.observe(seconds)

    def failed(self, route: str, error: str) -> None:
        """error: the name of an error class of ours."""
        self.errors[route, error] = self.errors.get((route, error), 0) + 1

    def limited(self, reason: str) -> None:
        """A limit has refused a call. reason: its code, of a fixed few."""
        self.refused[reason] = self.refused.get(reason, 0) + 1

    def attempted(self, attempts: Iterable[Attempt], *, own: bool) -> None:
        for attempt in attempts:
            provider = OWN if own else self._provider(attempt.provider)
            model = self._model(attempt)
            key = (provider, model, attempt.outcome)
            self.attempts[key] = self.attempts.get(key, 0) + 1
            self._count(provider, model, attempt)

    # ------------------------------------------------------------------------------------- in here

    def _count(self, provider: str, model: str, attempt: Attempt) -> None:
        usage, tokens = attempt.usage, self.tokens
        if usage.input_tokens:
            key = (provider, model, "input")
            tokens[key] = tokens.get(key, 0) + usage.input_tokens
        if usage.output_tokens:
            key = (provider, model, "output")
            tokens[key] = tokens.get(key, 0) + usage.output_tokens
        if usage.cost_usd is not None:
            self.cost[provider, model] = self.cost.get((provider, model), 0.0) + float(usage.cost_usd)
        if attempt.first_token_s is not None:
            histogram = self.first_token.get(provider)
            if histogram is None:
                histogram = self.first_token[provider] = Histogram(DURATION_BUCKETS)
            histogram.observe(attempt.first_token_s)

    def _provider(self, name: str) -> str:
        if name not in self._known:
            self._known = set(self._providers())
        return name if name in self._known else OTHER

    def _model(self, attempt: Attempt) -> str:
        """Only what has answered, and only so many."""
        model = attempt.model
        if model is None or model in self._models:
            return model or OTHER
        if attempt.outcome == "success" and len(self._models) < MAX_MODELS and _plain(model):
            self._models.add(model)
            return model
        return OTHER

    # ------------------------------------------------------------------------------------ asked for

    def text(self) -> bytes:
        """The page for Prometheus, text format 0.0.4."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Page(self))
        return generate_latest(registry)

    def families(self) -> Iterator[Any]:
        yield _counter(
            "llmcore_requests", "Answers by route and class of status", "route status", self.requests
        )
        yield _counter(
            "llmcore_request_errors", "Failed calls by route and error", "route error", self.errors
        )
        names = "provider model outcome"
        yield _counter("llmcore_attempts", "Requests to providers by outcome", names, self.attempts)
        yield _counter("llmcore_tokens", "Tokens as vendors counted them", "provider model kind", self.tokens)
        yield _counter("llmcore_cost_usd", "US dollars where the price is known", "provider model", self.cost)
        refused = {(reason,): count for reason, count in self.refused.items()}
        yield _counter("llmcore_limited", "Calls refused by a limit of this gateway", "reason", refused)
        yield _histogram("llmcore_overhead_seconds", "Our own share of a call", "route", self.overhead)
        yield _histogram("llmcore_request_seconds", "Whole calls", "route", self.duration)
        yield _histogram("llmcore_first_token_seconds", "To the first token", "provider", self.first_token)
        running = GaugeMetricFamily("llmcore_in_flight", "Calls that run now")
        running.add_metric((), self._in_flight())
        yield running
        for name, read in self.gauges.items():
            gauge = GaugeMetricFamily(f"llmcore_{name}", name.replace("_", " "))
            gauge.add_metric((), read())
            yield gauge


class _Page(Collector):
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Any]:
        return self._metrics.families()


def _plain(model: str) -> bool:
    return len(model) <= 120 and model.isascii() and model.isprintable()


def _counter(name: str, what: str, labels: str, counts: dict[Any, Any]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, what, labels=labels.split())
    for values, count in counts.items():
        family.add_metric(values, count)
    return family


def _histogram(name: str, what: str, label: str, histograms: dict[str, Histogram]) -> HistogramMetricFamily:
    family = HistogramMetricFamily(name, what, labels=[label])
    for value, histogram in histograms.items():
        family.add_metric((value,), buckets=histogram.buckets(), sum_value=histogram.total)
    return family
