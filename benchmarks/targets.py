"""What llmcore is to reach, each figure taken from the run at hand: ratios from the same rounds, through a manager of two."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import Literal

from benchmarks.cases import CASES, FAILOVER
from benchmarks.figures import difference, ratio
from benchmarks.results import Results
from benchmarks.roster import FAILOVER_AT_ONCE, FAILOVER_DEFAULT, MANAGER, OPENAI, RAW, ROUTER

FLAT = 1.10
STRAIGHT_MS = 0.2
"""What a call may take more while a breaker is open and still count as going straight to the healthy provider."""


@dataclass(frozen=True)
class Verdict:
    """figure: None where the run did not measure it. at: "most" or "least" what `limit` is. profiled: its reason, in `reasons`."""

    target: str
    figure: float | None
    limit: float
    unit: str
    at: Literal["most", "least"] = "most"
    profiled: str | None = None

    @property
    def met(self) -> bool | None:
        if self.figure is None:
            return None
        return self.figure <= self.limit if self.at == "most" else self.figure >= self.limit

    @property
    def missed_by(self) -> float | None:
        """Share of the limit by which it was missed; None where it was met or not measured."""
        if self.figure is None or self.met:
            return None
        return abs(self.figure - self.limit) / self.limit


def verdicts(results: Results) -> list[Verdict]:
    """Every target, in the order of the cases."""
    return [
        *_generate(results),
        *_streams(results),
        *_embeddings(results),
        *_starting(results),
        *_failover(results),
        *_growth(results),
    ]


def _times(results: Results, case: str, above: str, below: str) -> float | None:
    figure = CASES[case].figure
    return ratio(results.by_round(case, above, figure), results.by_round(case, below, figure))


def _generate(results: Results) -> Iterator[Verdict]:
    for case, raw, openai, router in (("generate-1", 3, 6, 18), ("generate-64", 5, 9, 24)):
        title = CASES[case].title
        beside = _times(results, case, MANAGER, RAW)
        why = f"{case.removeprefix('generate-')} in flight"
        yield Verdict(f"{title}: CPU beside raw asyncio", beside, raw, "times", profiled=why)
        for peer, factor in ((OPENAI, openai), (ROUTER, router)):
            times = _times(results, case, peer, MANAGER)
            yield Verdict(f"{title}: {peer} takes", times, factor, "times", "least")


def _streams(results: Results) -> Iterator[Verdict]:
    cpu = results.median("burst", MANAGER, "cpu_us")
    yield Verdict("stream burst: CPU per event", cpu, 6, "µs")
    yield Verdict(
        f"stream burst: {OPENAI} takes", _times(results, "burst", OPENAI, MANAGER), 16, "times", "least"
    )
    ours, floor = (results.first_events(client, 0.99) for client in (MANAGER, RAW))
    late = difference(ours, floor)
    added = None if late is None else late / 1e3
    title = "paced stream: added to the first event, p99 over p99 of raw of the same round"
    yield Verdict(title, added, 1, "ms", profiled="first event")


def _embeddings(results: Results) -> Iterator[Verdict]:
    for encoding, limit in (("float", 4.5), ("base64", 2.0)):
        taken = results.median(f"embed-{encoding}", MANAGER, "cpu_us")
        yield Verdict(
            f"64 vectors of 1536 as {encoding}: CPU",
            None if taken is None else taken / 1e3,
            limit,
            "ms",
            profiled="floats" if encoding == "float" else None,
        )


def _starting(results: Results) -> Iterator[Verdict]:
    yield Verdict("import: added to bare Python", results.median("import", MANAGER, "wall_ms"), 80, "ms")
    peak = results.median("first-call", MANAGER, "peak_mib")
    yield Verdict("memory after the first call", peak, 45, "MiB")
    growth = results.spread("soak", MANAGER, "growth_mib")
    yield Verdict("10,000 calls: memory grown, worst round", None if growth is None else growth[2], 1, "MiB")


def _failover(results: Results) -> Iterator[Verdict]:
    for case in FAILOVER:
        each = results.median(case.name, FAILOVER_AT_ONCE, "later_ms")
        yield Verdict(f"failover, {case.fault}: added where no wait is asked for", each, 1.5, "ms")
    for case in FAILOVER:
        first = results.spread(case.name, FAILOVER_DEFAULT, "first_ms")
        yield Verdict(
            f"failover, {case.fault}, defaults: first call, worst round", first and first[2], 1000, "ms"
        )
        later = results.median(case.name, FAILOVER_DEFAULT, "later_ms")
        yield Verdict(f"failover, {case.fault}, defaults: once the breaker is open", later, STRAIGHT_MS, "ms")


def _growth(results: Results) -> Iterator[Verdict]:
    for width in (1, 64):
        steepest = _steepest(
            results, f"providers-2-c{width}", (f"providers-{n}-c{width}" for n in (10, 50, 200))
        )
        target = f"2 to 200 providers, {width} in flight: most CPU beside 2"
        yield Verdict(target, steepest, FLAT, "times", profiled="providers")
    steepest = _steepest(results, "in-flight-64", (f"in-flight-{width}" for width in (256, 1000, 2000)))
    yield Verdict("64 to 2,000 in flight: most CPU beside 64", steepest, FLAT, "times", profiled="in flight")


def _steepest(results: Results, least: str, others: Iterable[str]) -> float | None:
    """The greatest of the ratios to the least case; getting cheaper is not held against anybody."""
    base = results.by_round(least, MANAGER, "cpu_us")
    ratios = [
        median(found[turn] / base[turn] for turn in found.keys() & base.keys())
        for found in (results.by_round(other, MANAGER, "cpu_us") for other in others)
        if found.keys() & base.keys()
    ]
    return max(ratios) if ratios else None
