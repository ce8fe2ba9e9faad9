"""The simulator in a thread of its own: for synchronous tests, for trio, and for the command line."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from llmcore.sim.record import Counters, Record
from llmcore.sim.script import Script
from llmcore.sim.server import Simulator

T = TypeVar("T")


class SimulatorThread:
    """A `Simulator` that runs beside synchronous code, or beside trio; takes what `Simulator` takes.

    with SimulatorThread(Simulator(seed=7)) as sim: ...
    """

    def __init__(self, simulator: Simulator | None = None) -> None:
        self._simulator = simulator or Simulator()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._ready = threading.Event()
        self._stop: asyncio.Event | None = None
        self._failed: BaseException | None = None

    def start(self) -> None:
        """Listen. Raises OSError where the port is taken."""
        self._thread = threading.Thread(target=self._run, name="llmcore-sim", daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._failed is not None:
            raise self._failed

    def stop(self) -> None:
        if self._loop is not None and self._stop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        try:
            await self._simulator.start()
        except OSError as exc:
            self._failed = exc
            return
        finally:
            self._ready.set()
        try:
            await self._stop.wait()
        finally:
            await self._simulator.stop()

    def _call(self, act: Callable[[], T]) -> T:
        """Run in the simulator's own loop, and wait for it."""

        async def inside() -> T:
            return act()

        assert self._loop is not None, "the simulator has not been started"
        return asyncio.run_coroutine_threadsafe(inside(), self._loop).result()

    # ----------------------------------------------------------------------------- as on Simulator itself

    @property
    def url(self) -> str:
        return self._simulator.url

    def base_url(self, kind: str) -> str:
        return self._simulator.base_url(kind)

    @property
    def requests(self) -> list[Record]:
        return self._call(lambda: self._simulator.requests)

    @property
    def last(self) -> Record:
        return self._call(lambda: self._simulator.last)

    @property
    def counters(self) -> Counters:
        return self._call(lambda: self._simulator.counters)

    def set_script(self, script: Script | dict[str, Any] | str | Path | None) -> None:
        self._call(lambda: self._simulator.set_script(script))

    def reset(self) -> None:
        self._call(self._simulator.reset)

    def refuse(self, seconds: float | None = None) -> None:
        """Reset all connections and refuse new ones, for so long or until `accept`."""
        assert self._loop is not None, "the simulator has not been started"
        asyncio.run_coroutine_threadsafe(self._simulator.refuse(seconds), self._loop).result()

    def accept(self) -> None:
        assert self._loop is not None, "the simulator has not been started"
        asyncio.run_coroutine_threadsafe(self._simulator.accept(), self._loop).result()
