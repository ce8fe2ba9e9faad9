"""Every case of every client of ours, once, against the upstream that runs everywhere."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks import run, sample
from benchmarks.cases import CASES, Case
from benchmarks.roster import OURS, ROSTER, Entry
from benchmarks.servers import ROOT, Upstreams, find_nginx, started

FIGURES = {
    "throughput": {"cpu_us", "wall_us", "made", "peak_mib"},
    "first_event": {"first_us"},
    "soak": {"growth_mib", "resident_mib"},
    "failover": {"usual_ms", "first_ms", "later_ms", "later_cpu_us", "made"},
    "first_call": {"wall_ms", "cpu_ms", "peak_mib"},
}
PAIRS = [
    (case, entry)
    for case in CASES.values()
    for entry in ROSTER
    if entry.venv == OURS and entry.takes(case) and case.measure != "import"
]


@pytest.fixture(scope="module")
def upstreams() -> Iterator[Upstreams]:
    with started(nginx=False) as found:
        yield found


def small(case: Case, entry: Entry, upstreams: Upstreams) -> dict[str, Any]:
    """The job as it is run, with few calls."""
    job = run.job(case, entry, upstreams, seconds=0)
    job["calls"] = min(job["calls"], 8)
    job["warm_up"] = min(job["warm_up"], 8)
    job["setting"]["concurrency"] = min(job["setting"]["concurrency"], 4)
    return job


@pytest.mark.parametrize(
    ("case", "entry"), PAIRS, ids=lambda value: getattr(value, "key", None) or value.name
)
def test_a_case_gives_its_figures(case: Case, entry: Entry, upstreams: Upstreams) -> None:
    found = sample.measure(small(case, entry, upstreams))
    assert found.keys() == FIGURES[case.measure]


def test_an_import_is_measured_in_a_bare_python() -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "importing.py")]
    nothing, json_too = (run.measure([*command, module]) for module in ("", "json"))
    assert isinstance(nothing, dict)
    assert isinstance(json_too, dict)
    assert nothing["modules"] == 0
    assert json_too["modules"] > 0


def test_a_sample_that_fails_says_why(upstreams: Upstreams) -> None:
    found = run.measure([sys.executable, "-c", "raise SystemExit('no such thing')"])
    assert found == "no such thing"


def test_rounds_are_interleaved_and_every_second_one_runs_backwards() -> None:
    cases = [CASES["generate-1"], CASES["generate-64"]]
    entries = [entry for entry in ROSTER if entry.key in {"raw", "leaf"}]
    order = [(turn, case.name, entry.key) for turn, case, entry in run.turns(cases, entries, 2)]
    first, second = order[:4], order[4:]
    assert [turn for turn, *_ in order] == [0] * 4 + [1] * 4
    assert [rest for _, *rest in second] == [rest for _, *rest in reversed(first)]


@pytest.mark.skipif(find_nginx() is None, reason="nginx is not installed")
def test_nginx_serves_the_same_answers() -> None:
    with started() as both:
        assert both.server_for("chat") == "nginx"
        assert both.server_for("paced") == "asyncio"
        for name in ("generate-1", "burst", "tools", "embed-float"):
            entry = next(entry for entry in ROSTER if entry.key == "raw")
            assert sample.measure(small(CASES[name], entry, both))["made"] >= 1


def test_upstreams_end_with_their_block() -> None:
    with started(nginx=False) as found:
        port = found.ports["asyncio"]
    done = subprocess.run(
        [sys.executable, "-c", f"import socket; socket.create_connection(('127.0.0.1', {port}))"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "ConnectionRefusedError" in done.stderr
