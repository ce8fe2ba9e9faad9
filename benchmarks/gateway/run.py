"""Measures the gateway beside its peers: `python -m benchmarks.gateway.run --help`; `make bench-gateway` is the whole of it."""

from __future__ import annotations

import argparse
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.gateway import environments
from benchmarks.gateway.load import request
from benchmarks.gateway.ours import limited_key
from benchmarks.gateway.process import DidNotStart, Running, cpu_s, family, free_port, memory_mb, serving
from benchmarks.gateway.report import report
from benchmarks.gateway.roster import LLMCORE, RIVALS, Ask, Rival, Urls, ask_directly, ask_ours
from benchmarks.gateway.wrk import find_wrk, throughput
from benchmarks.machine import described, load
from benchmarks.payloads import EVENTS
from benchmarks.results import Results
from benchmarks.servers import OURS, ROOT, started

OUT = ROOT / "benchmarks" / "out" / "gateway"
CASES = ("idle", "latency", "first", "throughput", "streams")
CONCURRENCY, STREAMS = 64, 512
IDLE_AFTER = 3.0
"""Seconds after its first answer at which a server's memory is read: what it loads beside the first calls is there then."""

SLOWEST_CALLS, SLOWEST_STREAMS = 8.0, 60.0
"""Seconds that a sample of single calls, and the 512 streams, may take."""


def good(ask: Ask) -> bool:
    """Whether the server answers a call as it should, by now."""
    parts = urlsplit(ask.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
    try:
        body = request(asdict(ask)).split(b"\r\n\r\n", 1)[1]
        connection.request("POST", parts.path, body, {"content-type": "application/json", **ask.headers})
        answer = connection.getresponse()
        answer.read()
        return answer.status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


@contextmanager
def pacer() -> Iterator[str]:
    """The upstream of the slow streams; its base URL."""
    words = [sys.executable, "-m", "benchmarks.gateway.pacer"]
    with subprocess.Popen(
        words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/paced/v1"
        finally:
            process.terminate()


def generated(job: dict[str, Any]) -> dict[str, Any]:
    """The figures of one load; raises RuntimeError with its last words."""
    words = [sys.executable, "-m", "benchmarks.gateway.load", json.dumps(job)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=400, check=False)
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["no words"])[-1][:300])
    found: dict[str, Any] = json.loads(done.stdout)
    return found


class Bench:
    """One run. said: the command line."""

    def __init__(self, said: argparse.Namespace, urls: Urls, home: Path, results: Results) -> None:
        self.said, self.urls, self.home, self.results = said, urls, home, results
        self.seconds: float = said.seconds
        self.wrk = None if said.no_wrk else find_wrk()

    def sample(self, rival: Rival, turn: int) -> None:
        """Every case of one server in one round, on a fresh start of it."""
        port = free_port()
        start = rival.start(port, self.urls, self.home)
        first = rival.ask(port, "chat", self.urls)
        log = self.home / "server.log"
        try:
            with serving(start.command, port, lambda: good(first), log, environ=start.environ) as running:
                self.results.add("ready", rival.name, turn, {"ready_s": running.ready_s})
                for case in self.said.cases:
                    if case == "streams" and turn >= self.said.stream_rounds:
                        continue
                    self._case(case, rival, running, turn)
        except DidNotStart as error:
            self._failed("ready", rival, str(error))

    def _case(self, case: str, rival: Rival, running: Running, turn: int) -> None:
        if not rival.passes and case not in {"throughput", "idle"}:
            return
        if rival.name in self.results.failures.get(case, {}):
            return
        print(f"round {turn + 1}: {rival.name}: {case}", file=sys.stderr, flush=True)
        members, others = family(running.pid), self._others(running)
        before, before_others, began = cpu_s(members), cpu_s(others), time.perf_counter()
        try:
            found = self._measured(case, rival, running)
        except (RuntimeError, subprocess.SubprocessError) as error:
            self._failed(case, rival, str(error))
            return
        wall = time.perf_counter() - began
        found["server_cpu_s"] = cpu_s(members) - before
        found["server_busy"] = found["server_cpu_s"] / wall
        found["load_busy"] = (cpu_s(others) - before_others + found.get("generator_cpu_s", 0.0)) / wall
        self.results.add(case, rival.name, turn, {"wall_s": wall, **found})

    def _others(self, running: Running) -> list[int]:
        """Those that answer and make the load, without this process."""
        mine, theirs = family(os.getpid()), set(family(running.pid))
        return [pid for pid in mine if pid not in theirs and pid != os.getpid()]

    def _measured(self, case: str, rival: Rival, running: Running) -> dict[str, Any]:
        def ask(answer: str) -> dict[str, Any]:
            return asdict(rival.ask(running.port, answer, self.urls))

        def direct(answer: str) -> dict[str, Any]:
            return asdict(ask_directly(answer, self.urls))

        if case == "idle":
            time.sleep(max(0.0, IDLE_AFTER))
            return {"idle_mb": memory_mb(running.pid)}
        if case == "latency":
            calls = int(1000 * self.seconds)
            return generated(
                {
                    "measure": case,
                    "asks": [ask("chat"), direct("chat")],
                    "warm_up": 50,
                    "calls": calls,
                    "limit": SLOWEST_CALLS,
                }
            )
        if case == "first":
            calls = int(100 * self.seconds)
            return generated(
                {
                    "measure": case,
                    "asks": [ask("first"), direct("first")],
                    "warm_up": 10,
                    "calls": calls,
                    "limit": SLOWEST_CALLS,
                }
            )
        if case == "streams":
            return generated(
                {
                    "measure": case,
                    "asks": [ask("paced")],
                    "concurrency": STREAMS,
                    "events": EVENTS,
                    "seconds": SLOWEST_STREAMS,
                }
            )
        return self._throughput(ask("chat"), running)

    def _throughput(self, ask: dict[str, Any], running: Running) -> dict[str, Any]:
        def run(seconds: float) -> dict[str, Any]:
            if self.wrk is not None:
                return throughput(self.wrk, ask, CONCURRENCY, seconds)
            return generated(
                {"measure": "throughput", "asks": [ask], "concurrency": CONCURRENCY, "seconds": seconds}
            )

        run(1)
        members = family(running.pid)
        before, began = cpu_s(members), time.perf_counter()
        found = run(4 * self.seconds)
        wall = time.perf_counter() - began
        used = cpu_s(members) - before
        made = found["requests_per_s"] * wall
        return {**found, "requests_per_cpu_s": made / used, "cpu_us": used / made * 1e6}

    def _failed(self, case: str, rival: Rival, why: str) -> None:
        print(f"{rival.name}, {case}: {why}", file=sys.stderr)
        self.results.failures.setdefault(case, {})[rival.name] = why


def installed(rivals: Sequence[Rival], results: Results, *, install: bool) -> list[Rival]:
    """Those whose environment is there or could be made; the reasons of the others are noted."""
    for name in dict.fromkeys(rival.environment for rival in rivals):
        try:
            if install and not environments.ready(name):
                print(f"making the environment {name}", file=sys.stderr, flush=True)
                environments.make(name)
            results.versions[name] = environments.versions(name)
        except (environments.CannotInstall, subprocess.CalledProcessError, OSError) as error:
            results.failures.setdefault("install", {})[name] = str(error)
    return [rival for rival in rivals if rival.environment in results.versions]


def prepared(rival: Rival, urls: Urls, home: Path) -> Rival:
    """Ours with a key: its first start makes the database, a user and the key."""
    if rival.name != LLMCORE:
        return rival
    port = free_port()
    start = rival.start(port, urls, home)
    health = Ask(f"http://127.0.0.1:{port}/readyz", {})

    def answers() -> bool:
        parts = urlsplit(health.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=5)
        try:
            connection.request("GET", parts.path)
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    with serving(start.command, port, answers, home / "first.log", environ=start.environ) as running:
        return replace(rival, ask=ask_ours(limited_key(running)))


def run(said: argparse.Namespace) -> Results:
    results = Results(described(), time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()))
    wanted = [rival for rival in RIVALS if not said.only or any(word in rival.name for word in said.only)]
    rivals = installed(wanted, results, install=not said.no_install)
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        upstreams = stack.enter_context(started(nginx=not said.no_nginx))
        urls = {
            "chat": upstreams.url("chat"),
            "first": upstreams.url("first"),
            "paced": stack.enter_context(pacer()),
        }
        results.upstreams = {
            "chat": upstreams.versions[upstreams.server_for("chat")],
            "streams": upstreams.versions[OURS],
        }
        bench = Bench(said, urls, home, results)
        ready = [prepared(rival, urls, home) for rival in rivals]
        for turn in range(said.rounds):
            for rival in ready if turn % 2 == 0 else reversed(ready):
                bench.sample(rival, turn)
    results.machine["load"] = f"{results.machine['load']} at the start, {load()} at the end"
    return results


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.gateway.run")
    parser.add_argument("--only", nargs="+", default=[], help="servers, by a part of their name")
    parser.add_argument("--cases", nargs="+", default=CASES, choices=CASES)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--stream-rounds", type=int, default=1, help="rounds in which the 512 streams run")
    parser.add_argument("--seconds", type=float, default=1.0, help="makes every sample longer or shorter")
    parser.add_argument("--no-install", action="store_true", help="only servers whose environment is there")
    parser.add_argument("--no-nginx", action="store_true", help="our own upstream for everything")
    parser.add_argument("--no-wrk", action="store_true", help="our own maker of load for everything")
    parser.add_argument("--again", action="store_true", help="measure nothing: the table of the last run")
    parser.add_argument("--out", type=Path, default=OUT)
    return parser.parse_args()


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started ends too
    said = arguments()
    results = Results.read(said.out / "results.json") if said.again else run(said)
    said.out.mkdir(parents=True, exist_ok=True)
    results.write(said.out / "results.json")
    text = report(results)
    (said.out / "table.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
