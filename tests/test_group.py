"""The group that costs nothing until something is started in it: it waits, cancels and raises as anyio's does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal, TypeAlias

import anyio
import pytest

from llmcore.group import RareGroup, rare_group
from llmcore.testing import run_simulated

Backend: TypeAlias = Literal["asyncio", "trio"]
BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])


def run(main: Callable[[], Awaitable[None]], backend: Backend = "asyncio") -> None:
    run_simulated(main, backend=backend)


def test_it_is_rare_only_under_asyncio() -> None:
    kinds: list[bool] = []

    async def main() -> None:
        async with rare_group() as group:
            kinds.append(isinstance(group, RareGroup))

    run(main, "asyncio")
    run(main, "trio")
    assert kinds == [True, False]


def test_an_unused_group_lets_nobody_else_run() -> None:
    async def main() -> None:
        ran: list[str] = []
        loop = asyncio.get_running_loop()
        loop.call_soon(ran.append, "other")
        async with rare_group():
            pass
        assert ran == []

    run(main)


@BACKENDS
def test_the_block_ends_when_the_last_task_has(backend: Backend) -> None:
    async def main() -> None:
        ended: list[int] = []

        async def work(number: int) -> None:
            await anyio.sleep(number)
            ended.append(number)
            if number == 2:
                group.start_soon(work, 3)  # while the block waits already

        async with rare_group() as group:
            group.start_soon(work, 1)
            group.start_soon(work, 2)
        assert ended == [1, 2, 3]
        assert anyio.current_time() == pytest.approx(5, abs=0.01)

    run(main, backend)


@BACKENDS
@pytest.mark.parametrize("inside", [True, False])
def test_a_cancelled_block_takes_its_tasks_along_and_waits_for_their_cleanup(
    backend: Backend, inside: bool
) -> None:
    async def main() -> None:
        done: list[str] = []

        async def work() -> None:
            try:
                await anyio.sleep(60)
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(1)
                done.append("cleaned")

        with anyio.move_on_after(5) as scope:
            async with rare_group() as group:
                group.start_soon(work)
                if inside:
                    await anyio.sleep(30)
            done.append("never")
        assert scope.cancelled_caught
        assert done == ["cleaned"]
        assert anyio.current_time() == pytest.approx(6, abs=0.01)

    run(main, backend)


def test_asyncios_own_cancellation_passes_and_nothing_stays() -> None:
    async def main() -> None:
        done: list[str] = []

        async def work() -> None:
            try:
                await anyio.sleep(60)
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(2)
                done.append("cleaned")

        async def block() -> None:
            async with rare_group() as group:
                group.start_soon(work)

        task = asyncio.create_task(block())
        await anyio.sleep(1)
        task.cancel()
        await anyio.sleep(1)
        task.cancel()  # once more, while it cleans up
        with pytest.raises(asyncio.CancelledError):
            await task
        assert done == ["cleaned"]
        assert len(asyncio.all_tasks()) == 1

    run(main)


@BACKENDS
def test_an_error_of_the_block_cancels_its_tasks_and_is_raised(backend: Backend) -> None:
    async def main() -> None:
        done: list[str] = []

        async def work() -> None:
            try:
                await anyio.sleep(60)
            finally:
                done.append("left")

        found: BaseException | None = None
        try:
            async with rare_group() as group:
                group.start_soon(work)
                await anyio.sleep(1)
                raise KeyError("block")
        except (KeyError, ExceptionGroup) as error:
            found = error
        assert isinstance(found.exceptions[0] if isinstance(found, ExceptionGroup) else found, KeyError)
        assert done == ["left"]

    run(main, backend)


@BACKENDS
def test_an_error_of_a_task_cancels_the_others_and_is_raised_by_the_block(backend: Backend) -> None:
    async def main() -> None:
        done: list[str] = []

        async def fails() -> None:
            await anyio.sleep(1)
            raise KeyError("task")

        async def work() -> None:
            try:
                await anyio.sleep(60)
            finally:
                done.append("left")

        found: BaseException | None = None
        try:
            async with rare_group() as group:
                group.start_soon(work)
                group.start_soon(fails)
        except (KeyError, ExceptionGroup) as error:
            found = error
        assert isinstance(found.exceptions[0] if isinstance(found, ExceptionGroup) else found, KeyError)
        assert done == ["left"]
        assert anyio.current_time() == pytest.approx(1, abs=0.01)

    run(main, backend)
