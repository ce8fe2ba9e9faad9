"""Results as Markdown: a table for each group of cases."""

from __future__ import annotations

from benchmarks.cases import CASES, Case
from benchmarks.figures import difference
from benchmarks.results import Results
from benchmarks.roster import EVERYTHING, LEAF, MANAGER


def number(value: float) -> str:
    """Three figures that count: 0.0123, 1.23, 12.3, 123, 12,345."""
    size = abs(value)
    if size >= 100:
        return f"{value:,.0f}"
    if size >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}"


def report(results: Results) -> str:
    return tables(results) + "\n" + beside_the_leaf(results) + "\n"


def tables(results: Results) -> str:
    cases = [case for case in CASES.values() if case.name in results.samples]
    groups = [*dict.fromkeys(case.group for case in cases)]
    return "\n".join(table(results, [case for case in cases if case.group == group]) for group in groups)


def table(results: Results, cases: list[Case]) -> str:
    lines = ["| | " + " | ".join(f"{case.title}, {case.unit}" for case in cases) + " |"]
    lines.append("|---|" + "---|" * len(cases))
    lines += [
        f"| {client} | " + " | ".join(cell(results, case, client) for case in cases) + " |"
        for client in results.clients([case.name for case in cases])
    ]
    return "\n".join(lines) + "\n"


def cell(results: Results, case: Case, client: str) -> str:
    if case.measure == "first_event":
        usual, late = (results.pooled(case.name, client, case.figure, share) for share in (0.5, 0.99))
        return "—" if usual is None or late is None else f"{number(usual)} (p99 {number(late)})"
    found = results.spread(case.name, client, case.figure)
    if found is None:
        return "failed" if client in results.failures.get(case.name, {}) else "—"
    middle, least, most = found
    return f"{number(middle)} ({number(least)} to {number(most)})"


def beside_the_leaf(results: Results) -> str:
    """What the manager's policies cost on the happy path, above the bare leaf in the same rounds."""
    lines = []
    for client in (MANAGER, EVERYTHING):
        for case in CASES.values():
            if case.measure != "throughput":
                continue
            more = difference(
                results.by_round(case.name, client, case.figure),
                results.by_round(case.name, LEAF, case.figure),
            )
            if more is not None:
                lines.append(f"{client}, {case.title}: {more:+.1f} µs above the bare leaf")
    return "\n".join(lines)
