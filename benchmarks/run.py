"""Runs the benchmarks: `python -m benchmarks.run --help`; `make bench` is the quick run, `make bench-full` all of it."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from benchmarks import venvs
from benchmarks.cases import CASES, QUICK, Case
from benchmarks.machine import described, load
from benchmarks.progress import progress
from benchmarks.results import Results, Sample
from benchmarks.roster import ROSTER, Entry
from benchmarks.servers import OURS, ROOT, Upstreams, find_nginx, started

OUT = ROOT / "benchmarks" / "out"
PUBLISHED = ROOT / "docs" / "speed"
LIMIT = 300
"""Seconds that one sample may take."""

Turn = tuple[int, Case, Entry]


def job(case: Case, entry: Entry, upstreams: Upstreams, seconds: float) -> dict[str, Any]:
    """What the sample's process is told."""
    urls = upstreams.pair() if case.fault else [upstreams.url(case.answer)] * case.providers
    return {
        "measure": case.measure,
        "open": entry.opens,
        "setting": {"concurrency": case.concurrency, **case.settings, "urls": urls},
        "fault": case.fault,
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
            if entry.takes_turn(case, turn)
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
        server = OURS if case.fault else upstreams.server_for(case.answer)
        results.upstreams[case.name] = "none" if case.measure == "import" else upstreams.versions[server]
    for entry in entries:  # once for nothing, so that no sample compiles a module
        if any(case.group == "start" and entry.takes(case) for case in cases):
            measure(
                [
                    str(venvs.python_of(entry.venv)),
                    str(ROOT / "benchmarks" / "importing.py"),
                    entry.module or "",
                ]
            )
    plan = [*turns(cases, entries, rounds)]
    with progress(len(plan)) as advance:
        for turn, case, entry in plan:
            advance(f"{case.name}: {entry.name}")
            if entry.name in results.failures.get(case.name, {}):
                continue
            began = time.monotonic()
            found = measure(command(case, entry, upstreams, seconds))
            if isinstance(found, str):
                print(f"{entry.name}, {case.name}: {found}", file=sys.stderr)
                results.failures.setdefault(case.name, {})[entry.name] = found
            else:
                took = round(time.monotonic() - began, 2)
                results.add(case.name, entry.name, turn, {**found, "took_s": took})


def chosen_cases(patterns: Sequence[str], *, quick: bool) -> list[Case]:
    """By name, group or pattern; all without any. Exits where a pattern names none."""
    if not patterns:
        return [case for case in CASES.values() if case.name in QUICK or not quick]
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
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0, help="makes every sample longer or shorter")
    parser.add_argument("--quick", action="store_true", help="the clients and cases of `make bench` only")
    parser.add_argument("--no-install", action="store_true", help="only clients whose environment is there")
    parser.add_argument("--no-nginx", action="store_true", help="our own upstream for everything")
    parser.add_argument(
        "--again", action="store_true", help="measure nothing: tables and pictures of the last run"
    )
    parser.add_argument(
        "--publish", action="store_true", help="put everything where the README shows it, too"
    )
    parser.add_argument("--install-nginx", action="store_true", help="with apt-get, where it is missing")
    parser.add_argument("--out", type=Path, default=OUT)
    return parser.parse_args()


def measured(said: argparse.Namespace) -> Results:
    cases = chosen_cases([part for part in said.only.split(",") if part], quick=said.quick)
    entries = chosen_entries(said.clients, quick=said.quick)
    results = Results(described(), time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()))
    entries = installed(entries, results, install=not said.no_install)
    if said.install_nginx and find_nginx() is None:
        subprocess.run(
            ["apt-get", "install", "--yes", "--quiet", "nginx-light"], check=True, stdout=sys.stderr
        )
    with started(nginx=not said.no_nginx) as upstreams:
        run(cases, entries, said.rounds, upstreams, results, said.seconds)
    results.machine["load"] = f"{results.machine['load']} at the start, {load()} at the end"
    return results


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the upstreams end too
    said = arguments()
    results = Results.read(said.out / "results.json") if said.again else measured(said)
    publish_to(said.out, results)
    print((said.out / "table.md").read_text())
    if said.publish:
        publish_to(PUBLISHED, results)


def publish_to(folder: Path, results: Results) -> None:
    """Results, tables and pictures; the pictures only where matplotlib is (extra `plots`)."""
    from benchmarks.report import report

    folder.mkdir(parents=True, exist_ok=True)
    results.write(folder / "results.json")
    (folder / "table.md").write_text(report(results))
    try:
        from benchmarks.plots import draw
    except ImportError as error:
        print(f"no pictures: {error}", file=sys.stderr)
    else:
        draw(results, folder)


if __name__ == "__main__":
    main()
