"""A loop in simulated time that stands still between steps, so that a state machine can drive it on asyncio and trio."""

from __future__ import annotations

import queue
import threading
from collections.abc import Awaitable, Callable
from typing import Any, Literal, TypeVar

import anyio
from anyio.abc import TaskGroup

from llmcore.testing import run_simulated

T = TypeVar("T")
Backend = Literal["asyncio", "trio"]
Step = Callable[[TaskGroup], Awaitable[Any]]

TURNS = 24
"""How many times every task may run before a step is over: more than any chain of awaits that needs no time."""


class Stage:
    """`do(step)` runs one coroutine function to its end; what it started in the group goes on in the steps that follow."""

    def __init__(self, backend: Backend) -> None:
        self._steps: queue.SimpleQueue[Step | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, args=(backend,), daemon=True)
        self._thread.start()

    def do(self, step: Callable[[TaskGroup], Awaitable[T]]) -> T:
        self._steps.put(step)
        result, error = self._done.get(timeout=60)
        if error is not None:
            raise error
        return result  # type: ignore[no-any-return]  # it came out of a queue

    def close(self) -> None:
        """End whatever still runs, and the thread."""
        self._steps.put(None)
        self._thread.join(60)
        assert not self._thread.is_alive(), "something does not let itself be cancelled"

    def _run(self, backend: Backend) -> None:
        run_simulated(self._main, backend=backend)

    async def _main(self) -> None:
        async with anyio.create_task_group() as group:
            while (step := self._steps.get()) is not None:
                try:
                    result = await step(group)
                    for _ in range(TURNS):
                        await anyio.lowlevel.checkpoint()
                except Exception as exc:  # noqa: BLE001 - handed to whoever asked for the step
                    self._done.put((None, exc))
                else:
                    self._done.put((result, None))
            group.cancel_scope.cancel()
