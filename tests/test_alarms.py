"""Alarms: each rings once, in time and in its own context, unless it was stopped; what was stopped does not pile up."""

from __future__ import annotations

import asyncio
import contextvars
from functools import partial
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmcore.alarms import MANY, Alarms
from llmcore.clock import SystemClock
from llmcore.testing import run_simulated

SECONDS = st.floats(0, 100, allow_nan=False).map(lambda value: round(value, 3))


@given(st.lists(st.tuples(SECONDS, st.one_of(st.none(), SECONDS)), max_size=30))
def test_each_rings_in_its_time_unless_it_was_stopped_before(plan: list[tuple[float, float | None]]) -> None:
    """Each entry: rings after so many seconds; stopped after so many, or never."""
    rung: dict[int, float] = {}

    async def main() -> None:
        alarms, loop = Alarms(asyncio.get_running_loop()), asyncio.get_running_loop()
        began = loop.time()
        for number, (after, stopped) in enumerate(plan):
            stop = alarms.set(after, lambda number=number: rung.update({number: loop.time() - began}))  # type: ignore[misc]  # a default that binds
            if stopped is not None:
                loop.call_at(began + stopped, stop)
        await anyio.sleep(201)
        assert len(alarms) == 0

    run_simulated(main)
    for number, (after, stopped) in enumerate(plan):
        if stopped is None or stopped > after + 0.01:
            assert rung.pop(number) == pytest.approx(after, abs=0.005)
        elif stopped < after - 0.01:
            assert number not in rung
        else:
            rung.pop(number, None)
    assert not rung


def test_it_rings_inside_a_task_and_in_the_context_in_which_it_was_set() -> None:
    who: contextvars.ContextVar[str] = contextvars.ContextVar("who", default="nobody")
    heard: list[tuple[str, bool]] = []

    def ring() -> None:
        heard.append((who.get(), asyncio.current_task() is not None))

    async def caller(clock: SystemClock, name: str) -> None:
        who.set(name)
        assert clock.alarm(1.0, ring) is not None

    async def main() -> None:
        clock = SystemClock()
        await asyncio.gather(*(asyncio.create_task(caller(clock, name)) for name in ("a", "b", "c")))
        await anyio.sleep(2)

    run_simulated(main)
    assert heard == [("a", True), ("b", True), ("c", True)]


def test_an_alarm_that_is_stopped_between_its_time_and_its_task_does_not_ring() -> None:
    heard: list[str] = []

    async def main() -> None:
        clock = SystemClock()
        second: list[Any] = []
        clock.alarm(1.0, lambda: second[0]())
        second.append(clock.alarm(1.0, partial(heard.append, "second")))
        await anyio.sleep(2)

    run_simulated(main)
    assert heard == []


def test_what_was_stopped_does_not_pile_up() -> None:
    most = 0

    async def main() -> None:
        nonlocal most
        alarms = Alarms(asyncio.get_running_loop())
        alarms.set(50.0, lambda: None)  # stays in front of all others
        for _ in range(10 * MANY):
            alarms.set(100.0, lambda: None)()
            most = max(most, len(alarms))

    run_simulated(main)
    assert MANY < most <= 2 * MANY + 4


def test_each_loop_has_its_own() -> None:
    clock, heard = SystemClock(), list[str]()

    async def main() -> None:
        clock.alarm(1.0, partial(heard.append, "rung"))
        await anyio.sleep(2)

    run_simulated(main)
    run_simulated(main)
    assert heard == ["rung", "rung"]


def test_trio_has_none() -> None:
    async def main() -> None:
        assert SystemClock().alarm(1.0, lambda: None) is None

    run_simulated(main, backend="trio")
