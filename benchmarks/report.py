"""Results as Markdown: the targets, a table for each group of cases, who was measured on what."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from benchmarks.cases import CASES, Case
from benchmarks.figures import difference
from benchmarks.reasons import PROFILE, REASONS
from benchmarks.results import Results
from benchmarks.roster import EVERYTHING, LEAF, MANAGER, RAW, ROSTER
from benchmarks.targets import Verdict, verdicts

TITLES = {
    "start": "Starting: import over bare Python, and from the first import to the first answer",
    "generate": "CPU per call, µs",
    "stream": "CPU per event of a stream, µs",
    "first": "From the call to the first event",
    "embeddings": "CPU per batch of embeddings, µs",
    "soak": "Memory that calls leave behind",
    "failover": "Failover: added to a call whose first provider fails",
    "providers": "CPU per call beside the number of providers, µs",
    "in-flight": "CPU per call beside the number of calls in flight, µs",
}


def number(value: float) -> str:
    """Three figures that count: 0.01, 1.23, 12.3, 123, 12,345."""
    size = abs(value)
    if size >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 10 else f"{value:.2f}"


def report(results: Results) -> str:
    """Everything that a run found, as one page."""
    parts = [
        targets(results),
        *(f"## {TITLES[group]}\n\n{table(results, cases)}" for group, cases in grouped(results)),
        beside_the_leaf(results),
        failures(results),
        measured(results),
    ]
    return "\n".join(part for part in parts if part)


def grouped(results: Results) -> Iterator[tuple[str, list[Case]]]:
    for group in TITLES:
        cases = [case for case in CASES.values() if case.group == group and case.name in results.samples]
        if cases:
            yield group, cases


def rows(head: list[str], body: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def targets(results: Results) -> str:
    """Every target that this run could judge; where it measured none of a case, that is left out."""
    found = [verdict for verdict in verdicts(results) if verdict.figure is not None]
    if not found:
        return ""
    body = [[verdict.target, _shown(verdict), _limit(verdict), _judged(verdict)] for verdict in found]
    met = sum(bool(verdict.met) for verdict in found)
    head = f"## Targets: {met} of {len(found)} met\n\n"
    table = rows(["target, llmcore manager of 2", "measured", "limit", ""], body)
    return f"{head}{table}{reasons(results, found)}"


def reasons(results: Results, found: list[Verdict]) -> str:
    """Where it goes, for what was missed; each reason once."""
    missed = {
        verdict.profiled: verdict.target for verdict in reversed(found) if verdict.missed_by is not None
    }
    lines = [
        f"* {missed[key]}: {reason(results)}."
        for key, reason in REASONS.items()
        if missed.get(key) is not None
    ]
    return "\n".join(["", f"Where it goes ({PROFILE}):", "", *lines, ""]) if lines else ""


def _shown(verdict: Verdict) -> str:
    assert verdict.figure is not None
    return f"{number(verdict.figure)} {verdict.unit}"


def _limit(verdict: Verdict) -> str:
    return f"{'≤' if verdict.at == 'most' else '≥'} {verdict.limit:,g} {verdict.unit}"


def _judged(verdict: Verdict) -> str:
    return "met" if verdict.missed_by is None else f"**missed** by {verdict.missed_by:.0%}"


def table(results: Results, cases: list[Case]) -> str:
    if cases[0].group == "first":
        return first_events(results, cases[0].name)
    if cases[0].group == "start":
        columns = [
            ("import", "wall_ms", "import, ms"),
            ("import", "modules", "modules"),
            ("import", "peak_mib", "memory, MiB"),
            ("first-call", "wall_ms", "first answer, ms"),
            ("first-call", "cpu_ms", "CPU, ms"),
            ("first-call", "peak_mib", "memory, MiB"),
        ]
    elif cases[0].group == "failover":
        columns = [
            (case.name, figure, f"{case.fault}: {title}")
            for case in cases
            for figure, title in (
                ("first_ms", "first, ms"),
                ("later_ms", "later, ms"),
                ("later_cpu_us", "later, CPU µs"),
            )
        ]
    else:
        columns = [(case.name, case.figure, f"{case.title}, {case.unit}") for case in cases]
    names = [case.name for case in cases]
    body = [
        [client, *(cell(results, case, client, figure) for case, figure, _ in columns)]
        for client in results.clients(names)
    ]
    return rows(["", *(title for _, _, title in columns)], body)


def first_events(results: Results, case: str) -> str:
    """The median and the 99th percentile, each also as what a client adds to the floor of the same round."""
    body = []
    for client in results.clients([case]):
        line = [client]
        for share in (0.5, 0.99):
            mine, floor = (results.first_events(name, share) for name in (client, RAW))
            added = difference(mine, floor)
            line += [number(median(mine.values())), "—" if added is None else f"{added:+,.0f}"]
        body.append(line)
    return rows(["", "median, µs", "added to raw", "p99, µs", "added to raw"], body)


def cell(results: Results, case: str, client: str, figure: str) -> str:
    """Median and spread; "—" where a client cannot do a case."""
    found = results.spread(case, client, figure)
    if found is None:
        return "failed" if client in results.failures.get(case, {}) else "—"
    middle, least, most = found
    if figure == "modules":
        return f"{middle:,.0f}"
    return f"{number(middle)} ({number(least)} to {number(most)})"


def beside_the_leaf(results: Results) -> str:
    """What the manager's policies cost on the happy path, above the bare leaf in the same rounds."""
    lines = []
    for client in (MANAGER, EVERYTHING):
        for case in CASES.values():
            if case.measure == "throughput":
                mine, bare = (results.by_round(case.name, name, case.figure) for name in (client, LEAF))
                more = difference(mine, bare)
                if more is not None:
                    lines.append(f"* {client}, {case.title}: {more:+.1f} µs above the bare leaf")
    return "\n".join(["## The manager above the bare leaf", "", *lines, ""]) if lines else ""


def failures(results: Results) -> str:
    found = [
        f"* {' / '.join(entry.name for entry in ROSTER if entry.venv == where) if not client else f'{client}, {where}'}: {reason}"
        for where, reasons in results.failures.items()
        for client, reason in reasons.items()
    ]
    return "\n".join(["## Not measured", "", *found, ""]) if found else ""


def measured(results: Results) -> str:
    """Machine, versions and upstreams."""
    machine = results.machine
    lines = [
        "## Measured",
        "",
        f"* {results.taken}; {machine['cpu']}, {machine['cores']} cores, {machine['system']}, Python {machine['python']}.",
        f"* Load average of the machine {machine['load']}; the benchmark itself keeps it between 1 and 2.",
        "* A cell is the median of the rounds, and the least and greatest of them.",
    ]
    servers = dict.fromkeys(results.upstreams.values())
    for server in servers:
        if server != "none":
            cases = ", ".join(case for case, name in results.upstreams.items() if name == server)
            lines.append(f"* Answered by {server}: {cases}.")
    for name, found in results.versions.items():
        lines.append(f"* {name}: {', '.join(f'{package} {version}' for package, version in found.items())}.")
    return "\n".join(lines) + "\n"
