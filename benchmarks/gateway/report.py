"""The run as Markdown: a table of the servers, and the targets of the gateway with met or missed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from statistics import median

from benchmarks.figures import ratio
from benchmarks.gateway.roster import LITELLM, LLMCORE, PORTKEY_NAME, RIVALS
from benchmarks.results import Results
from benchmarks.targets import Verdict

Column = tuple[str, Callable[[Results, str], str]]


def added(results: Results, name: str, case: str, share: str) -> float | None:
    """Milliseconds that the server adds to the upstream itself: the median of the differences of each round."""
    found = [
        sample[f"{share}_us"] - sample[f"direct_{share}_us"]
        for sample in results.samples.get(case, {}).get(name, [])
    ]
    return median(found) / 1e3 if found else None


def verdicts(results: Results) -> Iterator[Verdict]:
    """The targets, from this run alone."""
    rate = results.by_round("throughput", LLMCORE, "requests_per_s")
    middle = results.median("throughput", LLMCORE, "requests_per_s")
    yield Verdict("requests/s, 64 in flight", middle, 3000, "/s", "least")
    yield Verdict("the same, as far as hoped", middle, 5000, "/s", "least")
    for peer, factor in ((LITELLM, 30.0), (PORTKEY_NAME, 3.5)):
        theirs = results.by_round("throughput", peer, "requests_per_s")
        yield Verdict(f"requests/s beside {peer}", ratio(rate, theirs), factor, "times", "least")
    yield Verdict("added, one in flight, p50", added(results, LLMCORE, "latency", "p50"), 0.8, "ms")
    yield Verdict("added, one in flight, p99", added(results, LLMCORE, "latency", "p99"), 3, "ms")
    yield Verdict("added to the first token, p50", added(results, LLMCORE, "first", "p50"), 1.5, "ms")
    streams = results.samples.get("streams", {}).get(LLMCORE, [])
    flowing = min((sample["whole"] - sample["stalled"] for sample in streams), default=None)
    yield Verdict("512 streams of 300 events, whole and without a stall", flowing, 512, "streams", "least")
    yield Verdict("memory, idle", results.median("idle", LLMCORE, "idle_mb"), 90, "MB")
    yield Verdict("first answer after the start", results.median("ready", LLMCORE, "ready_s"), 1.5, "s")


def report(results: Results) -> str:
    return "\n".join(
        [
            *_head(results),
            "",
            *_servers(results),
            "",
            *_targets(results),
            "",
            *_notes(results),
            "",
        ]
    )


def _head(results: Results) -> Iterator[str]:
    machine = results.machine
    yield "# The gateway beside others"
    yield ""
    yield (
        f"{results.taken}; {machine['cpu']}, {machine['cores']} cores, {machine['system']}, "
        f"Python {machine['python']}; load {machine['load']}."
    )
    yield (
        f"Each server alone on the first core; upstream ({results.upstreams.get('chat')}; for streams "
        f"{results.upstreams.get('streams')}) and the maker of load on the second. Medians of the rounds."
    )


def _figure(case: str, figure: str, digits: int, factor: float = 1.0) -> Callable[[Results, str], str]:
    def cell(results: Results, name: str) -> str:
        found = results.median(case, name, figure)
        return "—" if found is None else f"{found * factor:,.{digits}f}"

    return cell


def _added(case: str, share: str) -> Callable[[Results, str], str]:
    def cell(results: Results, name: str) -> str:
        found = added(results, name, case, share)
        return "—" if found is None else f"{found:.2f}"

    return cell


def _streamed(results: Results, name: str) -> str:
    found = results.samples.get("streams", {}).get(name, [])
    if not found:
        return "—"
    worst = max(found, key=lambda sample: (sample["stalled"], sample["gap_max_ms"]))
    return f"{worst['whole']} whole, {worst['stalled']} stalled, {worst['took_s']:.0f} s"


def _per_event(results: Results, name: str) -> str:
    found = [
        sample["server_cpu_s"] / (sample["events_per_s"] * sample["took_s"]) * 1e6
        for sample in results.samples.get("streams", {}).get(name, [])
        if sample["events_per_s"]
    ]
    return f"{median(found):.0f}" if found else "—"


COLUMNS: list[Column] = [
    ("requests/s, c=64", _figure("throughput", "requests_per_s", 0)),
    ("per second of its CPU", _figure("throughput", "requests_per_cpu_s", 0)),
    ("p99 at c=64, ms", _figure("throughput", "loaded_p99_ms", 0)),
    ("added p50, ms", _added("latency", "p50")),
    ("added p99, ms", _added("latency", "p99")),
    ("added to first token, ms", _added("first", "p50")),
    ("512 streams", _streamed),
    ("longest gap, ms", _figure("streams", "gap_max_ms", 0)),
    ("CPU µs/event", _per_event),
    ("idle, MB", _figure("idle", "idle_mb", 0)),
    ("first answer after, s", _figure("ready", "ready_s", 2)),
]


def _servers(results: Results) -> Iterator[str]:
    yield "| server | " + " | ".join(title for title, _ in COLUMNS) + " |"
    yield "|---|" + "---:|" * len(COLUMNS)
    for rival in RIVALS:
        if rival.name in results.samples.get("ready", {}):
            yield f"| {rival.name} | " + " | ".join(cell(results, rival.name) for _, cell in COLUMNS) + " |"


def _targets(results: Results) -> Iterator[str]:
    yield "| target | is | wanted | |"
    yield "|---|---:|---:|---|"
    for verdict in verdicts(results):
        wanted = f"{'≥' if verdict.at == 'least' else '≤'} {verdict.limit:,g} {verdict.unit}"
        if verdict.figure is None:
            yield f"| {verdict.target} | — | {wanted} | not measured |"
            continue
        digits = 0 if verdict.figure >= 100 else 2
        missed = verdict.missed_by
        said = "met" if missed is None else f"missed by {missed:.0%}"
        yield f"| {verdict.target} | {verdict.figure:,.{digits}f} | {wanted} | {said} |"


def _notes(results: Results) -> Iterator[str]:
    for rival in RIVALS:
        versions = results.versions.get(rival.environment)
        if versions is None:
            why = results.failures.get("install", {}).get(rival.environment, "not run")
            yield f"* {rival.name}: {why}"
            continue
        told = ", ".join(f"{package} {version}" for package, version in versions.items())
        yield f"* {rival.name}: {rival.note} ({told})"
    for case, failures in results.failures.items():
        if case != "install":
            yield from (f"* {name}, {case}: {why}" for name, why in failures.items())
    yield from _load(results)


def _load(results: Results) -> Iterator[str]:
    """Whether the maker of load or the upstream was the limit."""
    for name, samples in results.samples.get("throughput", {}).items():
        server = median(sample["server_busy"] for sample in samples)
        others = median(sample["load_busy"] for sample in samples)
        generator = samples[0]["generator"]
        yield (
            f"* load, {name}: the server took {server:.0%} of its core; {generator} and the upstream {others:.0%} of theirs"
        )
