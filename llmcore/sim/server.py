"""The simulator as a server: raw asyncio, so that it can break a connection as real networks do.

async with Simulator() as sim:
    sim.base_url("openai")          # put this where the vendor's address would stand
    sim.requests[-1].understood     # what it understood of the last request
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, cast

from attrs import evolve

from llmcore.sim.desk import Desk
from llmcore.sim.http import BadRequest, HttpRequest, RequestReader
from llmcore.sim.places import base_path
from llmcore.sim.plan import Speed, plan
from llmcore.sim.record import Counters, Record
from llmcore.sim.script import Script
from llmcore.sim.steps import Close, Flood, Hang, Send, Step, Wait
from llmcore.sim.values import whole

_RST = struct.pack("ii", 1, 0)
_LINGER_S = 1.0


class Simulator:
    """A simulated provider on loopback that speaks every dialect, for tests, demos and benchmarks.

    dialects: "all" or some of openai, responses, azure, anthropic, gemini, ollama, cohere, replicate.
    first_token_delay: seconds; tokens_per_second: None for as fast as it goes. script: faults, as a `Script`, a
    mapping, TOML text or a path. api_key: what callers must send (None: anything goes). models: the only models
    there are (empty: any name). seed: another seed gives other answers and other chances. port 0: any free one.
    Raises ConfigurationError for a wrong script, ValueError for an unknown dialect.
    """

    def __init__(
        self,
        *,
        dialects: Literal["all"] | Iterable[str] = "all",
        first_token_delay: float = 0.0,
        tokens_per_second: float | None = None,
        script: Script | dict[str, Any] | str | Path | None = None,
        api_key: str | None = None,
        models: Sequence[str] = (),
        seed: int = 0,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self._desk = Desk(
            dialects=None if dialects == "all" else dialects,
            speed=Speed(first_token_delay, 1 / tokens_per_second if tokens_per_second else 0.0),
            script=Script.of(script),
            api_key=api_key,
            models=models,
            seed=seed,
            now=time.monotonic,
            wall=time.time,
        )
        self._host = host
        self._port = port
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    # ------------------------------------------------------------------------------------------ life

    async def start(self) -> None:
        """Listen. Raises OSError where the port is taken."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Connection(self), self._host, self._port, backlog=1024
        )
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close everything; nothing outlives this."""
        await self._stop_listening()
        for connection in tuple(self._connections):
            connection.end()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def refuse(self, seconds: float | None = None) -> None:
        """Reset all connections and refuse new ones, for so long or until `accept`."""
        await self._stop_listening()
        for connection in tuple(self._connections):
            connection.end(reset=True)
        if seconds is not None:
            self._spawn(self._accept_after(seconds))

    async def accept(self) -> None:
        """Listen again, on the same port."""
        if self._server is None:
            await self.start()

    async def _accept_after(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self.accept()

    async def _stop_listening(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()
            await asyncio.sleep(0)

    def _spawn(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # ------------------------------------------------------------------------------------------ looking

    @property
    def url(self) -> str:
        """The address without a path; vendors' own paths work here too."""
        return f"http://{self._host}:{self._port}"

    def base_url(self, kind: str) -> str:
        """What to set as base URL for a provider kind ("openai", "groq", "anthropic", ...). Raises KeyError."""
        return self.url + base_path(kind)

    @property
    def requests(self) -> list[Record]:
        """What was asked, oldest first (the last 10,000)."""
        return list(self._desk.records)

    @property
    def last(self) -> Record:
        """The last request. Raises IndexError where there was none."""
        return self._desk.records[-1]

    @property
    def counters(self) -> Counters:
        return evolve(self._desk.tally.snapshot(), connections_open=len(self._connections))

    def set_script(self, script: Script | dict[str, Any] | str | Path | None) -> None:
        """Other faults from now on. Raises ConfigurationError; then the old script stays."""
        self._desk.set_script(script)

    def reset(self) -> None:
        """Forget all requests and counters; the script begins anew."""
        self._desk.reset()


class _Connection(asyncio.Protocol):
    """One client's connection: reads requests one after the other and performs the steps of each answer."""

    def __init__(self, sim: Simulator) -> None:
        self._sim = sim
        self._desk = sim._desk
        self._reader = RequestReader()
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None
        self._record: Record | None = None
        self._served = 0
        self._closing: asyncio.TimerHandle | None = None
        self._writable = asyncio.Event()
        self._writable.set()

    # --------------------------------------------------------------------------------- what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._sim._connections.add(self)
        self._desk.tally.add("connections")
        self._desk.tally.add("connections_open")

    def connection_lost(self, exc: Exception | None) -> None:
        self._sim._connections.discard(self)
        self._desk.tally.add("connections_open", -1)
        self._transport = None
        self._writable.set()
        if self._closing is not None:
            self._closing.cancel()
        if self._task is not None:
            self._task.cancel()
        self._finish("left")

    def data_received(self, data: bytes) -> None:
        if self._closing is not None:
            return
        self._reader.feed(data)
        if self._record is None and self._task is None:
            self._serve()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def end(self, *, reset: bool = False) -> None:
        """Close, orderly or not."""
        if self._transport is None:
            return
        if reset:
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
            self._transport.abort()
        else:
            self._transport.close()

    # ------------------------------------------------------------------------------------------ requests

    def _serve(self) -> None:
        """Answer what has come, as long as answers go out at once."""
        while self._transport is not None and self._task is None and not self._transport.is_closing():
            try:
                request = self._reader.next()
            except BadRequest as error:
                self._refuse(error)
                return
            if request is None:
                if self._reader.expects_continue:
                    self._reader.expects_continue = False
                    self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                return
            self._answer(request)

    def _answer(self, request: HttpRequest) -> None:
        origin = f"http://{request.headers['host']}" if request.headers.get("host") else self._sim.url
        self._record, steps = self._desk.answer(request, origin, reused=self._served > 0)
        self._served += 1
        if len(steps) == 1 and isinstance(steps[0], Send):
            self._write(steps[0])
            self._finish("answered")
        else:
            self._task = self._sim._spawn(self._perform(steps))

    def _refuse(self, error: BadRequest) -> None:
        body = f'{{"error":"{error}"}}'.encode()
        for step in plan(whole(body, error.status), keep_alive=False):
            if isinstance(step, Send):
                self._write(step)
        self._linger()

    def _linger(self) -> None:
        """Say that no more comes, and drop what the client still sends: a close now would reset the answer away."""
        if self._transport is not None:
            self._transport.write_eof()
            self._closing = asyncio.get_running_loop().call_later(_LINGER_S, self.end)

    def _write(self, step: Send) -> None:
        if self._transport is not None:
            self._transport.write(step.data)
            if self._record is not None:
                self._record.sent_tokens += step.tokens

    def _finish(self, outcome: Literal["answered", "broken", "left"]) -> None:
        record, self._record = self._record, None
        if record is not None:
            self._desk.tally.end(record, outcome, self._desk.now())

    async def _perform(self, steps: Sequence[Step]) -> None:
        """The steps in order; sleeping is measured from the begin, so that waits do not add up their errors."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        for step in steps:
            if isinstance(step, Send):
                self._write(step)
                await self._writable.wait()
            elif isinstance(step, Wait):
                due = max(due + step.seconds, loop.time()) if step.seconds else due
                await asyncio.sleep(max(due - loop.time(), 0))
            elif isinstance(step, Close):
                await self._close(step)
                return
            else:
                await self._go_on(step)
        self._finish("answered")
        self._task = None
        self._serve()

    async def _close(self, step: Close) -> None:
        record = self._record
        refuse_s = record.fault.refuse_s if record is not None and record.fault is not None else None
        self._finish("broken" if record is not None and _is_broken(record) else "answered")
        self._task = None
        self.end(reset=step.reset)
        if refuse_s is not None:
            await self._sim.refuse(refuse_s)

    async def _go_on(self, step: Hang | Flood) -> None:
        """For ever: the client's leaving cancels it."""
        while isinstance(step, Flood) and self._transport is not None:
            self._transport.write(step.data)
            await self._writable.wait()
            await asyncio.sleep(step.pause_s)
        await asyncio.Event().wait()


def _is_broken(record: Record) -> bool:
    """Whether a close was the fault's work, not the client's wish."""
    fault = record.fault
    return fault is not None and not fault.replaces_answer
