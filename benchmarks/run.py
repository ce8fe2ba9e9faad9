"""Runs the benchmarks: `python -m benchmarks.run --help`; `make bench` is the quick run, `make bench-full` all of it."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from benchmarks import venvs
from benchmarks.cases import CASES, Case
from benchmarks.machine import described
from benchmarks.progress import progress
from benchmarks.results import Results, Sample
from benchmarks.roster import ROSTER, Entry
from benchmarks.servers import ROOT, Upstreams, started

OUT = ROOT / "benchmarks" / "out"
LIMIT = 300
"""Seconds that one sample may take."""

Turn = tuple[int, Case, Entry]


def job(case: Case, entry: Entry, upstreams: Upstreams, seconds: float) -> dict[str, Any]:
    """What the sample's process is told."""
    good = upstreams.url(case.answer)
    urls = [good] * case.providers
    if case.fault:
        urls = [upstreams.url(case.fault), good]
    return {
        "measure": case.measure,
        "open": entry.opens,
        "setting": {"concurrency": case.concurrency, **case.settings, "urls": urls},
        "healthy": [good] * len(urls),
        "call": case.call,
        "calls": case.calls,
        "seconds": case.seconds * seconds,
        "warm_up": case.calls // 10,
        "settle": entry.settle,
    }


def command(case: Case, entry: Entry, upstreams: Upstreams, seconds: float) -> list[str]:
    python = str(venvs.python_of(entry.venv))
    if case.measure == "import":
        return [python, str(ROOT / "benchmarks" / "importing.py"), entry.module or ""]
    return [python, "-m", "benchmarks.sample", json.dumps(job(case, entry, upstreams, seconds))]


def measure(words: list[str]) -> Sample | str:
    """The figures of one sample, or the last line of what it complained about."""
    environ = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    try:
        done = subprocess.run(
            words, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=LIMIT, check=False
        )
    except subprocess.TimeoutExpired:
        return f"took more than {LIMIT} s"
    if done.returncode:
        return (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1][:300]
    sample: Sample = json.loads(done.stdout.strip().splitlines()[-1])
    return sample


def turns(cases: Sequence[Case], entries: Sequence[Entry], rounds: int) -> Iterator[Turn]:
    """Every sample of a run: round by round, and every second round backwards, so that a drift of the machine evens out."""
    for turn in range(rounds):
        whole = [
            (turn, case, entry)
            for case in cases
            if turn < case.rounds
            for entry in entries
            if entry.takes(case) and not (entry.slow and turn % 3 == 1)
        ]
        yield from whole if turn % 2 == 0 else reversed(whole)


def installed(entries: Sequence[Entry], results: Results, *, install: bool) -> list[Entry]:
    """Those whose environment is there or could be made; the reasons of the others are noted."""
    for name in dict.fromkeys(entry.venv for entry in entries):
        try:
            if install and not venvs.ready(name):
                print(f"making the environment of {name}", file=sys.stderr, flush=True)
                venvs.make(name)
            if venvs.python_of(name).exists():
                results.versions[name] = venvs.versions(name)
            else:
                results.failures[name] = {"": "not installed"}
        except (venvs.CannotInstall, subprocess.CalledProcessError) as error:
            results.failures[name] = {"": str(error)}
    return [entry for entry in entries if entry.venv in results.versions]


def run(
    cases: Sequence[Case],
    entries: Sequence[Entry],
    rounds: int,
    upstreams: Upstreams,
    results: Results,
    seconds: float,
) -> None:
    """Take every sample; a client that failed in a case is not asked for it again."""
    for case in cases:
        server = upstreams.server_for(case.answer)
        results.upstreams[case.name] = upstreams.versions[server]
    plan = [*turns(cases, entries, rounds)]
    with progress(len(plan)) as advance:
        for turn, case, entry in plan:
            advance(f"{case.name}: {entry.name}")
            if entry.name in results.failures.get(case.name, {}):
                continue
            found = measure(command(case, entry, upstreams, seconds))
            if isinstance(found, str):
                print(f"{entry.name}, {case.name}: {found}", file=sys.stderr)
                results.failures.setdefault(case.name, {})[entry.name] = found
            else:
                results.add(case.name, entry.name, turn, found)


def chosen_cases(patterns: Sequence[str]) -> list[Case]:
    """By name, group or pattern; all without any. Exits where a pattern names none."""
    if not patterns:
        return [*CASES.values()]
    for pattern in patterns:
        if not any(fnmatch(case.name, pattern) or case.group == pattern for case in CASES.values()):
            sys.exit(f"--only {pattern}: no such case; there are {', '.join(CASES)}")
    return [
        case
        for case in CASES.values()
        if any(fnmatch(case.name, pattern) or case.group == pattern for pattern in patterns)
    ]


def chosen_entries(words: Sequence[str], *, quick: bool) -> list[Entry]:
    """By key or whole name; all without any. Exits where a word names none."""
    if not words:
        return [entry for entry in ROSTER if entry.quick or not quick]
    names = {entry.name for entry in ROSTER}
    asked = [part for word in words for part in ([word] if word in names else word.split(","))]
    for word in asked:
        if not any(word in {entry.key, entry.name} for entry in ROSTER):
            sys.exit(
                f"--clients {word}: no such client; there are {', '.join(entry.key for entry in ROSTER)}"
            )
    return [entry for entry in ROSTER if entry.key in asked or entry.name in asked]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.run")
    parser.add_argument("--only", default="", help="cases, by name, group or pattern, with commas between")
    parser.add_argument(
        "--clients", nargs="+", default=[], help="clients, by key (with commas) or by whole name"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="makes every sample longer or shorter")
    parser.add_argument("--quick", action="store_true", help="the clients of `make bench` only")
    parser.add_argument("--no-install", action="store_true", help="only clients whose environment is there")
    parser.add_argument("--no-nginx", action="store_true", help="our own upstream for everything")
    parser.add_argument("--out", type=Path, default=OUT)
    return parser.parse_args()


def main() -> None:
    said = arguments()
    cases = chosen_cases([part for part in said.only.split(",") if part])
    entries = chosen_entries(said.clients, quick=said.quick)
    results = Results(described(), time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()))
    entries = installed(entries, results, install=not said.no_install)
    with started(nginx=not said.no_nginx) as upstreams:
        run(cases, entries, said.rounds, upstreams, results, said.seconds)
    said.out.mkdir(parents=True, exist_ok=True)
    results.write(said.out / "results.json")
    from benchmarks import report

    text = report.report(results)
    (said.out / "table.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
