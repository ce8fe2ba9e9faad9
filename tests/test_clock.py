"""The system's clock goes on under every loop, also while a callback runs, and follows a loop of simulated time."""

from __future__ import annotations

import asyncio
import time

import pytest

from llmcore.clock import SystemClock
from llmcore.testing import run_simulated


async def _moves() -> bool:
    clock = SystemClock()
    before, ends = clock.now(), time.monotonic() + 0.01
    while time.monotonic() < ends:
        pass
    return before < clock.now()


def test_it_moves_while_a_callback_runs() -> None:
    assert asyncio.run(_moves())


def test_it_moves_under_uvloop_too_whose_own_clock_stands_still() -> None:
    uvloop = pytest.importorskip("uvloop")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(_moves())


def test_it_tells_the_time_of_the_loop() -> None:
    async def apart() -> float:
        return abs(SystemClock().now() - asyncio.get_running_loop().time())

    uvloop = pytest.importorskip("uvloop")
    for factory in (asyncio.new_event_loop, uvloop.new_event_loop):
        with asyncio.Runner(loop_factory=factory) as runner:
            assert runner.run(apart()) < 60, "clocks of different beginnings are apart by more"


def test_one_clock_follows_each_loop_that_asks_it() -> None:
    clock, read = SystemClock(), list[float]()

    async def main() -> None:
        began = clock.now()
        await clock.sleep(3600)
        read.append(clock.now() - began)

    run_simulated(main)
    run_simulated(main)
    assert read == [pytest.approx(3600), pytest.approx(3600)]
