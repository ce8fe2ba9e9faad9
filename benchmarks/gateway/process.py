"""A measured server: started on the first core, asked until it answers, its memory and CPU with all its children, ended."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.machine import PAGE, pin
from benchmarks.servers import ROOT

TICK = os.sysconf("SC_CLK_TCK")
LOOK_EVERY = 0.01
PATIENCE = 120.0
"""Seconds in which a server must answer."""


class DidNotStart(Exception):
    """Says why, in a line."""


@dataclass(frozen=True)
class Running:
    """port: where it listens. ready_s: from its start to its first good answer. log: what it wrote."""

    pid: int
    port: int
    ready_s: float
    log: Path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def serving(
    command: Sequence[str],
    port: int,
    answers: Callable[[], bool],
    log: Path,
    *,
    core: int = 0,
    environ: Mapping[str, str] | None = None,
) -> Iterator[Running]:
    """The server, once `answers` says so, until the block ends; with every process that it started. Raises DidNotStart."""
    clean = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    began = time.perf_counter()
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**clean, **(environ or {})},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            preexec_fn=partial(pin, core),  # noqa: PLW1509 - this process has no other thread
        )
    try:
        while not answers():
            if process.poll() is not None or time.perf_counter() - began > PATIENCE:
                raise DidNotStart(last_line(log))
            time.sleep(LOOK_EVERY)
        yield Running(process.pid, port, time.perf_counter() - began, log)
    finally:
        end(process)


def last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it did not start, and said nothing"


def end(process: subprocess.Popen[bytes]) -> None:
    """The whole group: some servers have workers."""
    for number, seconds in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
        try:
            os.killpg(process.pid, number)
            process.wait(seconds)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue
    if process.poll() is None:
        print(f"process {process.pid} did not end", file=sys.stderr)


def family(pid: int) -> list[int]:
    """The process and all that it started, directly or not."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                after_name = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(after_name[1])
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def memory_mb(pid: int) -> float:
    """Resident memory of the family, in 10^6 bytes; what they share counts for each."""
    return sum(_number(one, "statm", 1) for one in family(pid)) * PAGE / 1e6


def cpu_s(pids: Sequence[int]) -> float:
    """CPU that these processes took so far."""
    return sum(_ticks(one) for one in pids) / TICK


def _number(pid: int, name: str, index: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/{name}").read_text().split()[index])
    except OSError:
        return 0


def _ticks(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return int(fields[11]) + int(fields[12])
