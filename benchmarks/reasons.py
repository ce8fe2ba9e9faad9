"""Where it goes, for targets that are missed: the figures of the run at hand beside what profiling found."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from benchmarks.figures import difference, ratio
from benchmarks.results import Results
from benchmarks.roster import LEAF, MANAGER, MANAGER_RARE_GC, RAW

PROFILE = "benchmarks/README.md, “Where the microseconds go”"


def _told(value: float | None, unit: str) -> str:
    return "not measured" if value is None else f"{value:.3g} {unit}".strip()


def _beside_raw(results: Results, case: str) -> str:
    cpu = {name: results.by_round(case, name, "cpu_us") for name in (RAW, LEAF, MANAGER)}
    raw = results.median(case, RAW, "cpu_us")
    return (
        f"raw took {_told(raw, 'µs')}; the leaf {_told(difference(cpu[LEAF], cpu[RAW]), 'µs')} above it, the manager "
        f"{_told(difference(cpu[MANAGER], cpu[LEAF]), 'µs')} above the leaf"
    )


def _first_event(results: Results) -> str:
    added = []
    for name in (LEAF, MANAGER):
        over = [
            difference(results.first_events(name, share), results.first_events(RAW, share))
            for share in (0.5, 0.99)
        ]
        added.append(" and ".join(_told(None if one is None else one / 1e3, "ms") for one in over))
    return (
        f"median and p99 above raw: the leaf {added[0]}, the manager {added[1]}. From the call to its first event the leaf "
        "runs 5,300 opcodes and the manager 9,400, in caches that other processes had meanwhile; a p99 is the second worst "
        "of 150 streams of a round"
    )


def _floats(results: Results) -> str:
    cpu = {name: results.by_round("embed-float", name, "cpu_us") for name in (RAW, MANAGER)}
    raw = results.median("embed-float", RAW, "cpu_us")
    return (
        f"raw took {_told(None if raw is None else raw / 1e3, 'ms')}, nearly all of it msgspec reading 98,304 numbers; "
        f"we took {_told(ratio(cpu[MANAGER], cpu[RAW]), 'times')} as much"
    )


def _providers(results: Results) -> str:
    grown = [
        f"{count}: {_told(_grown(results, MANAGER, f'providers-2-c{width}', f'providers-{count}-c{width}'), '')}"
        for width in (1, 64)
        for count in (10, 50, 200)
    ]
    return (
        "the greatest of three ratios is shown, which is above 1 by noise alone; by number of providers, with 1 and with 64 "
        f"in flight: {', '.join(grown)}. A call runs as many opcodes with 200 providers as with 2"
    )


def _in_flight(results: Results) -> str:
    grown = {
        name: _told(_grown(results, name, "in-flight-64", "in-flight-2000"), "times")
        for name in (RAW, MANAGER, MANAGER_RARE_GC)
    }
    return (
        f"raw grew {grown[RAW]}, we {grown[MANAGER]}, and {grown[MANAGER_RARE_GC]} with `gc.set_threshold(50_000)`: Python's "
        "garbage collector looks at what is in flight again and again, and 10 KiB a call no longer fit into the caches"
    )


def _grown(results: Results, client: str, least: str, most: str) -> float | None:
    return ratio(results.by_round(most, client, "cpu_us"), results.by_round(least, client, "cpu_us"))


REASONS: dict[str, Callable[[Results], str]] = {
    "1 in flight": partial(_beside_raw, case="generate-1"),
    "64 in flight": partial(_beside_raw, case="generate-64"),
    "first event": _first_event,
    "floats": _floats,
    "providers": _providers,
    "in flight": _in_flight,
}
"""By the `profiled` of a verdict."""
