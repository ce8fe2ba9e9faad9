"""A task group for what is rarely started: as anyio's, but free until something is; docs/architecture.md says why."""

from __future__ import annotations

from asyncio import CancelledError, Task, current_task, get_running_loop, wait
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self, TypeAlias, TypeVarTuple

import anyio
from anyio.abc import TaskGroup

Ts = TypeVarTuple("Ts")


def rare_group() -> Group:
    """A group for the block that follows, under any event loop."""
    try:
        ours = current_task() is not None
    except RuntimeError:  # another loop than asyncio's
        ours = False
    return RareGroup() if ours else anyio.create_task_group()


class RareGroup:
    """The one for asyncio. Entering and leaving it do not let other tasks run; anyio's group does so at each end.

    Where a task of it fails, the others are cancelled and the block raises what it failed with; the block's own body
    is not interrupted, which is for the caller to do.
    """

    __slots__ = ("_failed", "_running")

    def __init__(self) -> None:
        self._running: dict[Task[None], anyio.CancelScope] | None = None
        self._failed: BaseException | None = None

    def start_soon(self, func: Callable[[*Ts], Awaitable[Any]], /, *args: *Ts) -> None:
        """Run `func(*args)` beside the block."""
        scope = anyio.CancelScope()
        task = get_running_loop().create_task(self._run(scope, func, args))
        if self._running is None:
            self._running = {}
        self._running[task] = scope

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._running is None:
            return
        if exc is not None:
            self._cancel()
        await self._ended(left=exc is not None)
        failed, self._failed = self._failed, None
        if failed is not None and exc is None:
            raise failed

    async def _ended(self, *, left: bool) -> None:
        """Wait for all; a cancellation of the block goes on to them, and is raised when they have ended."""
        running = self._running
        again: CancelledError | None = None
        while running:
            try:
                with anyio.CancelScope(shield=left):
                    await wait(tuple(running))
            except CancelledError as cancelled:
                left, again = True, cancelled
                self._cancel()
        if again is not None:
            raise again

    async def _run(
        self, scope: anyio.CancelScope, func: Callable[[*Ts], Awaitable[Any]], args: tuple[*Ts]
    ) -> None:
        task = current_task()
        assert task is not None
        try:
            with scope:
                await func(*args)
        except CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - handed on to the block, which raises it
            self._failed = self._failed or error
            self._cancel()
        finally:
            if self._running is not None:
                self._running.pop(task, None)

    def _cancel(self) -> None:
        for scope in (self._running or {}).values():
            scope.cancel()


Group: TypeAlias = RareGroup | TaskGroup
"""Tasks that do not outlive the block: it ends when the last of them has, and takes them along where it is left."""
