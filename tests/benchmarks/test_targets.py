"""Targets and tables, over results made by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.reasons import REASONS
from benchmarks.report import number, report
from benchmarks.results import Results
from benchmarks.roster import LEAF, MANAGER, OPENAI, RAW, ROUTER
from benchmarks.targets import verdicts

MACHINE = {"cpu": "none", "cores": "2", "system": "none", "python": "3", "load": "1"}


def results(**cpu: list[float]) -> Results:
    """generate-1 of raw, manager, openai and router, a figure a round."""
    found = Results(MACHINE, "today")
    names = {"raw": RAW, "manager": MANAGER, "openai": OPENAI, "router": ROUTER}
    for key, values in cpu.items():
        for turn, value in enumerate(values):
            found.add("generate-1", names[key], turn, {"cpu_us": value})
    return found


def judged(found: Results) -> dict[str, tuple[Any, bool | None]]:
    return {verdict.target: (verdict.figure, verdict.met) for verdict in verdicts(found)}


def test_ratios_come_from_the_same_round() -> None:
    found = judged(results(raw=[50, 100], manager=[140, 280], openai=[1400, 2800]))
    assert found["generate, 1 in flight: CPU beside raw asyncio"] == (pytest.approx(2.8), True)
    assert found["generate, 1 in flight: openai SDK takes"] == (pytest.approx(10), True)
    assert found["generate, 1 in flight: LiteLLM Router takes"] == (None, None)


def test_a_miss_says_by_how_much() -> None:
    found = next(iter(verdicts(results(raw=[50], manager=[300]))))
    assert found.met is False
    assert found.missed_by == pytest.approx(1.0)


def test_a_target_of_at_least_is_missed_from_below() -> None:
    found = next(verdict for verdict in verdicts(results(manager=[100], openai=[300])) if verdict.figure)
    assert found.missed_by == pytest.approx(0.5)


def test_what_was_not_measured_is_neither_met_nor_missed() -> None:
    assert {verdict.met for verdict in verdicts(Results(MACHINE, "today"))} == {None}


def test_growth_counts_only_upwards() -> None:
    found = Results(MACHINE, "today")
    for case, cpu in (("in-flight-64", 100.0), ("in-flight-256", 60.0), ("in-flight-2000", 105.0)):
        found.add(case, MANAGER, 0, {"cpu_us": cpu})
    figure, met = judged(found)["64 to 2,000 in flight: most CPU beside 64"]
    assert (figure, met) == (pytest.approx(1.05), True)


def test_the_first_event_is_compared_at_its_99th_percentile() -> None:
    found = Results(MACHINE, "today")
    found.add("first-event", RAW, 0, {"first_us": [100.0] * 99 + [9000.0]})
    found.add("first-event", MANAGER, 0, {"first_us": [200.0] * 98 + [700.0, 9000.0]})
    figure, met = judged(found)[
        "paced stream: added to the first event, p99 over p99 of raw of the same round"
    ]
    assert (figure, met) == (pytest.approx(0.6), True)


def test_a_page_tells_figures_failures_and_gaps() -> None:
    found = results(raw=[50, 60], manager=[140, 150])
    found.failures["generate-1"] = {OPENAI: "ValueError: no"}
    page = report(found)
    assert "| raw asyncio | 55.0 (50.0 to 60.0) |" in page
    assert "openai SDK, generate-1: ValueError: no" in page
    assert "1 of 1 met" in page


def test_results_survive_the_file(tmp_path: Path) -> None:
    found = results(raw=[50, 60], manager=[140])
    found.write(tmp_path / "results.json")
    assert Results.read(tmp_path / "results.json") == found


@pytest.mark.parametrize(
    ("value", "text"), [(0.014, "0.01"), (1.234, "1.23"), (12.34, "12.3"), (123.4, "123"), (12345, "12,345")]
)
def test_numbers_show_what_counts(value: float, text: str) -> None:
    assert number(value) == text


def test_a_miss_says_where_it_goes() -> None:
    found = Results(MACHINE, "today")
    for client, few, many in ((RAW, 20.0, 30.0), (MANAGER, 100.0, 180.0)):
        found.add("in-flight-64", client, 0, {"cpu_us": few})
        found.add("in-flight-2000", client, 0, {"cpu_us": many})
    page = report(found)
    assert "raw grew 1.5 times, we 1.8 times, and not measured with" in page


def test_a_late_first_event_says_how_much_is_the_leafs() -> None:
    found = Results(MACHINE, "today")
    for client, first in ((RAW, 200.0), (LEAF, 500.0), (MANAGER, 1900.0)):
        found.add("first-event", client, 0, {"first_us": [first] * 150})
    assert "the leaf 0.3 ms and 0.3 ms, the manager 1.7 ms and 1.7 ms" in report(found)


def test_every_reason_belongs_to_a_target() -> None:
    assert {verdict.profiled for verdict in verdicts(Results(MACHINE, "today"))} - {None} == REASONS.keys()
