"""The gate: so many at the same time, by turn, and no place is lost however a wait ends."""

from __future__ import annotations

import anyio
import pytest

from llmcore.errors import PoolTimeout
from llmcore.transport.limits import Gate
from tests.transport.faults import GUARD

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_at_once_while_there_are_places() -> None:
    gate = Gate(2)
    assert [gate.entered() for _ in range(3)] == [True, True, False]
    gate.leave()
    await gate.enter(0)
    assert not gate.entered()


async def test_those_that_wait_come_in_by_turn() -> None:
    gate = Gate(1)
    await gate.enter(GUARD)
    came: list[int] = []

    async def one(number: int) -> None:
        await gate.enter(GUARD)
        came.append(number)
        gate.leave()

    async with anyio.create_task_group() as tasks:
        for number in range(5):
            tasks.start_soon(one, number)
            await anyio.wait_all_tasks_blocked()
        gate.leave()
        assert not gate.entered(), "nobody overtakes"
    assert came == [0, 1, 2, 3, 4]
    assert gate.entered()


async def test_no_place_in_time() -> None:
    gate = Gate(1)
    await gate.enter(GUARD)
    with pytest.raises(PoolTimeout, match="1 calls are under way"):
        await gate.enter(0.01)
    gate.leave()
    assert gate.entered()
    assert not gate.entered()


@pytest.mark.parametrize("handed_over", [False, True])
async def test_a_cancelled_wait_takes_no_place(handed_over: bool) -> None:
    gate = Gate(1)
    await gate.enter(GUARD)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(gate.enter, GUARD)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
        if handed_over:
            gate.leave()
    if not handed_over:
        gate.leave()
    assert gate.entered()
    assert not gate.entered()
