"""Makes load, on the second core: `python -m benchmarks.gateway.load JSON`; the figures come out as JSON.

Plain sockets and llhttp, so that its own part is small; wrk makes the load of many calls where it is installed.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from resource import RUSAGE_SELF, getrusage
from time import perf_counter
from typing import Any, cast
from urllib.parse import urlsplit

import httptools

from benchmarks.figures import percentile
from benchmarks.machine import pin, raise_open_files

Figures = dict[str, Any]
CORE = 1
BLOCK = 25
"""Calls to one address before it is the other one's turn."""

STALL = 1.0
"""Seconds after which a stream whose next event has not come counts as stalled."""

EVENT = re.compile(rb'"content": ?"[^"]')
"""An event with text in it, however its JSON is spaced."""


def request(ask: Figures, *, stream: bool = False) -> bytes:
    """One POST as bytes. ask: url, headers, model."""
    parts = urlsplit(ask["url"])
    body: Figures = {
        "model": ask["model"],
        "messages": [
            {"role": "system", "content": "You are terse."},
            {"role": "user", "content": "Why is the sky blue?"},
        ],
        "max_tokens": 400,
    }
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    text = json.dumps(body, separators=(",", ":")).encode()
    headers = {"host": parts.netloc, "content-type": "application/json", "content-length": str(len(text))}
    lines = [f"{name}: {value}" for name, value in {**headers, **ask["headers"]}.items()]
    return f"POST {parts.path} HTTP/1.1\r\n".encode() + "\r\n".join(lines).encode() + b"\r\n\r\n" + text


class Answer:
    """What httptools calls back; `whole` when an answer has ended."""

    def __init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.whole = False
        self.body = b""

    def on_message_begin(self) -> None:
        self.whole, self.body = False, b""

    def on_body(self, piece: bytes) -> None:
        self.body += piece

    def on_message_complete(self) -> None:
        self.whole = True

    def check(self) -> None:
        """Raises where it is not a good one."""
        status = self.parser.get_status_code()
        if status != 200:
            msg = f"status {status}: {self.body[:200]!r}"
            raise RuntimeError(msg)


# -------------------------------------------------------------------------------------- one call at a time


class Caller:
    """One kept connection, used by blocking calls: nothing else wakes up in between."""

    def __init__(self, ask: Figures, *, stream: bool) -> None:
        parts = urlsplit(ask["url"])
        self._address = (parts.hostname, parts.port)
        self._sent = request(ask, stream=stream)
        self._socket = self._connected()
        self._answer = Answer()

    def _connected(self) -> socket.socket:
        found = socket.create_connection(self._address, timeout=60)
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return found

    def call(self, until: Callable[[Answer], bool]) -> float:
        """Seconds until `until` was true first; the answer is read to its end."""
        began = perf_counter()
        taken = 0.0
        self._socket.sendall(self._sent)
        answer = self._answer
        answer.whole = False
        while not answer.whole:
            data = self._socket.recv(65536)
            if not data:
                raise RuntimeError("the server closed the connection")
            answer.parser.feed_data(data)
            if not taken and until(answer):
                taken = perf_counter() - began
        answer.check()
        if not taken:
            msg = f"the answer has nothing in it: {answer.body[:200]!r}"
            raise RuntimeError(msg)
        if answer.parser.should_keep_alive():
            return taken
        self.close()
        self._socket, self._answer = self._connected(), Answer()
        return taken

    def close(self) -> None:
        self._socket.close()


def one_at_a_time(job: Figures) -> Figures:
    """Times of single calls to the server and to the upstream itself, in turns; µs. limit: seconds for all of them."""
    stream = job["measure"] == "first"

    def seen(answer: Answer) -> bool:
        return EVENT.search(answer.body) is not None if stream else answer.whole

    times: list[list[float]] = [[], []]
    block = min(BLOCK, job["calls"])
    with ExitStack() as stack:
        pair = [stack.enter_context(closing(Caller(ask, stream=stream))) for ask in job["asks"]]
        for caller in pair:
            for _ in range(job["warm_up"]):
                caller.call(seen)
        ends = perf_counter() + job["limit"]
        for _ in range(job["calls"] // block):
            if perf_counter() > ends:
                break
            for caller, taken in zip(pair, times, strict=True):
                taken += [caller.call(seen) * 1e6 for _ in range(block)]
    server, direct = times
    return {
        **{f"p{round(share * 100)}_us": percentile(server, share) for share in (0.5, 0.99)},
        **{f"direct_p{round(share * 100)}_us": percentile(direct, share) for share in (0.5, 0.99)},
    }


# ------------------------------------------------------------------------------------------- many at a time


class Connection(Answer, asyncio.Protocol):
    """Asks again as soon as it is answered, until the time is over."""

    def __init__(self, sent: bytes, more: Callable[[], bool]) -> None:
        super().__init__()
        self._sent, self._more = sent, more
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.times: list[float] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's are none by class
        self._ask()

    def _ask(self) -> None:
        self._began = perf_counter()
        self.transport.write(self._sent)

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)
        if not self.whole:
            return
        self.times.append(perf_counter() - self._began)
        self.whole = False
        try:
            self.check()
        except RuntimeError as error:
            self._end(error)
            return
        if self._more():
            self._ask()
        else:
            self._end(None)

    def connection_lost(self, reason: Exception | None) -> None:
        self._end(reason or ConnectionResetError("the server closed the connection"))

    def _end(self, error: Exception | None) -> None:
        self.transport.close()
        if not self.done.done():
            self.done.set_exception(error) if error else self.done.set_result(None)


async def throughput(job: Figures) -> Figures:
    """Answers per second with so many connections."""
    ask = job["asks"][0]
    end = perf_counter() + job["seconds"]
    began = perf_counter()
    connections = await _opened(
        job, lambda: Connection(request(ask), lambda: perf_counter() < end), job["concurrency"]
    )
    try:
        await asyncio.gather(*(one.done for one in connections))
    finally:
        close(connections)
    taken = perf_counter() - began
    times = [each for one in connections for each in one.times]
    return {
        "requests_per_s": len(times) / taken,
        "loaded_p99_ms": percentile(times, 0.99) * 1e3,
        "generator": "asyncio",
    }


class Streamed(Answer, asyncio.Protocol):
    """One stream: how many events, and the longest time between two."""

    def __init__(self, sent: bytes) -> None:
        super().__init__()
        self._sent, self._rest = sent, b""
        self.events, self.longest = 0, 0.0
        self.gaps: list[float] = []
        self.ended_well = False
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's are none by class
        self._last = perf_counter()
        self.transport.write(self._sent)

    def on_body(self, piece: bytes) -> None:
        whole, end, rest = (self._rest + piece).rpartition(b"\n\n")
        self._rest = rest
        found = len(EVENT.findall(whole + end))
        if found:
            now = perf_counter()
            self.gaps.append(now - self._last)
            self._last = now
            self.events += found
        self.ended_well = self.ended_well or b"[DONE]" in whole

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self.transport.close()

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def connection_lost(self, _reason: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


async def streams(job: Figures) -> Figures:
    """Many streams at the same time."""
    sent = request(job["asks"][0], stream=True)
    began = perf_counter()
    found = await _opened(job, lambda: Streamed(sent), job["concurrency"])
    _, late = await asyncio.wait([one.done for one in found], timeout=job["seconds"])
    taken = perf_counter() - began
    close(found)
    gaps = [gap for one in found for gap in one.gaps[1:]]
    whole = [one for one in found if one.ended_well and one.events >= job["events"]]
    return {
        "streams": len(found),
        "whole": len(whole),
        "stalled": sum(one.done in late or any(gap > STALL for gap in one.gaps[1:]) for one in found),
        "first_ms": max((one.gaps[0] for one in found if one.gaps), default=0.0) * 1e3,
        "gap_p99_ms": percentile(gaps, 0.99) * 1e3 if gaps else 0.0,
        "gap_max_ms": max(gaps, default=0.0) * 1e3,
        "took_s": taken,
        "events_per_s": sum(one.events for one in found) / taken,
    }


def close(connections: list[Any]) -> None:
    for one in connections:
        one.transport.abort()


async def _opened(job: Figures, make: Callable[[], Any], count: int) -> list[Any]:
    parts = urlsplit(job["asks"][0]["url"])
    loop = asyncio.get_running_loop()

    async def one() -> Any:
        return (await loop.create_connection(make, parts.hostname, parts.port))[1]

    return await asyncio.gather(*(one() for _ in range(count)))


def measure(job: Figures) -> Figures:
    if job["measure"] in {"latency", "first"}:
        return one_at_a_time(job)
    run = throughput if job["measure"] == "throughput" else streams
    factory = None
    try:
        import uvloop

        factory = uvloop.new_event_loop
    except ModuleNotFoundError:
        pass

    async def whole() -> Figures:
        try:
            return await run(job)
        finally:
            await asyncio.sleep(0)  # closed transports let go of their sockets

    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(whole())


if __name__ == "__main__":
    if os.cpu_count() != 1:
        pin(CORE)
    raise_open_files()
    figures = measure(json.loads(sys.argv[1]))
    used = getrusage(RUSAGE_SELF)
    print(json.dumps({**figures, "generator_cpu_s": used.ru_utime + used.ru_stime}))
