"""One sample in a process of its own: one client, one case. The job comes as JSON on the command line, the figures go out as JSON.

Nothing is imported here that the measured client does not need anyway, since memory and first calls are measured too.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from importlib import import_module
from resource import RUSAGE_SELF, getrusage
from time import perf_counter
from typing import TYPE_CHECKING, Any

from benchmarks.machine import peak_mib, pin, raise_open_files, resident_mib

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from benchmarks.clients.base import Client

Figures = dict[str, Any]
WARM_UP = 0.1
"""Share of the measured time that is spent before it, unmeasured; every caller makes at least one call."""


def opened(job: dict[str, Any]) -> Client:
    """The client of a job. job["open"] is "module:name" under benchmarks.clients, called with the setting."""
    module, _, name = job["open"].partition(":")
    from benchmarks.clients.base import Setting

    client: Client = getattr(import_module(f"benchmarks.clients.{module}"), name)(Setting(**job["setting"]))
    return client


def cpu_s() -> float:
    """CPU of this process, all its threads, user and system."""
    used = getrusage(RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def for_a_while(call: Callable[[], Awaitable[int]], callers: int, seconds: float) -> int:
    """Callers that call one after the other until the time is over; what the calls returned, added up."""
    end = perf_counter() + seconds

    async def caller() -> int:
        done = await call()
        while perf_counter() < end:
            done += await call()
        return done

    return sum(await asyncio.gather(*(caller() for _ in range(callers))))


def one(client: Client, kind: str) -> Callable[[], Awaitable[int]]:
    """A call of a kind, checked; it returns how many things it got: one answer, one batch of vectors, or the events."""
    from benchmarks.payloads import DIMENSIONS, EVENTS, VECTORS

    async def generate() -> int:
        assert len(await client.generate()) > 100
        return 1

    async def stream() -> int:
        seen = await client.stream()
        assert seen.count >= EVENTS, seen.count
        return EVENTS

    async def embed() -> int:
        assert await client.embed() == VECTORS * DIMENSIONS
        return 1

    return {"generate": generate, "stream": stream, "embed": embed}[kind]


async def throughput(job: dict[str, Any]) -> Figures:
    """CPU and wall time per call, or per event of a stream."""
    client = opened(job)
    call, callers = one(client, job["call"]), job["setting"]["concurrency"]
    await for_a_while(call, callers, job["seconds"] * WARM_UP)
    used, began = cpu_s(), perf_counter()
    made = await for_a_while(call, callers, job["seconds"])
    cpu, wall = cpu_s() - used, perf_counter() - began
    await client.aclose()
    return {"cpu_us": cpu / made * 1e6, "wall_us": wall / made * 1e6, "made": made, "peak_mib": peak_mib()}


async def first_event(job: dict[str, Any]) -> Figures:
    """From the call to the first visible event, stream after stream; all of them, so that runs can be put together."""
    client = opened(job)
    for _ in range(max(3, job["calls"] // 10)):
        await client.stream()
    taken = []
    for _ in range(job["calls"]):
        began = perf_counter()
        seen = await client.stream()
        taken.append((seen.first - began) * 1e6)
    await client.aclose()
    return {"first_us": taken}


async def soak(job: dict[str, Any]) -> Figures:
    """How much memory many calls leave behind."""
    client = opened(job)
    callers = job["setting"]["concurrency"]

    async def calls(count: int) -> None:
        async def caller(share: int) -> None:
            for _ in range(share):
                await client.generate()

        await asyncio.gather(*(caller(count // callers) for _ in range(callers)))

    await calls(job["warm_up"])
    gc.collect()
    before = resident_mib()
    await calls(job["calls"])
    gc.collect()
    after = resident_mib()
    await client.aclose()
    return {"growth_mib": after - before, "resident_mib": after}


async def failover(job: dict[str, Any]) -> Figures:
    """Calls while the first provider works, then calls after it began to fail: time and CPU that these take more.

    first_ms: the first such call. later_ms, later_cpu_us: those after the `settle` first ones (median, mean).
    """
    client = opened(job)
    healthy = job["setting"]["urls"][1]
    await turn(healthy, "ok")
    await _each(client, 10, job["seconds"])
    usual, usual_cpu = await _each(client, job["calls"], job["seconds"])
    await turn(healthy, job["fault"])
    taken, cpu = await _each(client, job["calls"], job["seconds"], at_least=job["settle"] + 1)
    await turn(healthy, "ok")
    await client.aclose()
    settled = slice(job["settle"], None)
    return {
        "usual_ms": middle(usual) * 1e3,
        "first_ms": (taken[0] - middle(usual)) * 1e3,
        "later_ms": (middle(taken[settled]) - middle(usual)) * 1e3,
        "later_cpu_us": (mean(cpu[settled]) - mean(usual_cpu)) * 1e6,
        "made": len(taken),
    }


async def turn(healthy: str, mode: str) -> None:
    """Tell the upstream how its faulty provider is to answer from now on."""
    host, port = healthy.removeprefix("http://").split("/")[0].split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"POST /turn-{mode}/ HTTP/1.1\r\nhost: x\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()


async def _each(
    client: Client, calls: int, seconds: float, at_least: int = 1
) -> tuple[list[float], list[float]]:
    """How long each call took and its CPU, one after the other; ends early where the time is over."""
    taken: list[float] = []
    cpu: list[float] = []
    end = perf_counter() + seconds
    while len(taken) < calls and (len(taken) < at_least or perf_counter() < end):
        used, began = cpu_s(), perf_counter()
        assert len(await client.generate()) > 100
        taken.append(perf_counter() - began)
        cpu.append(cpu_s() - used)
    return taken, cpu


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def middle(values: list[float]) -> float:
    """The median, without the library for it, which would count as memory of the client."""
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def first_call(job: dict[str, Any]) -> Figures:
    """From the first import of the client to its first answer; the memory that the process ever took by then."""
    used, began = cpu_s(), perf_counter()

    async def ask() -> Client:
        client = opened(job)
        assert len(await client.generate()) > 100
        return client

    with asyncio.Runner() as runner:
        client = runner.run(ask())
        wall, cpu, peak = perf_counter() - began, cpu_s() - used, peak_mib()
        runner.run(client.aclose())
    return {"wall_ms": wall * 1e3, "cpu_ms": cpu * 1e3, "peak_mib": peak}


RUNNING: dict[str, Callable[[dict[str, Any]], Awaitable[Figures]]] = {
    "throughput": throughput,
    "first_event": first_event,
    "soak": soak,
    "failover": failover,
}


def measure(job: dict[str, Any]) -> Figures:
    """The figures of a job, by its "measure"."""
    if job["measure"] == "first_call":
        return first_call(job)
    return asyncio.run(RUNNING[job["measure"]](job))  # type: ignore[arg-type]  # all of them are coroutines


if __name__ == "__main__":
    pin(0)
    raise_open_files()
    print(json.dumps(measure(json.loads(sys.argv[1]))))
