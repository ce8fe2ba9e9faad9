"""The recorder: it takes in at once, writes in batches, outlives a database that is away, and ends with its block."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from llmcore.clock import SystemClock
from llmcore.gateway.store import (
    StoreInvalid,
    StoreUnavailable,
    UsageAttempt,
    open_store,
    sqlite_url,
)
from llmcore.gateway.usage.recorder import LONGEST_PAUSE_S, Recorder
from llmcore.testing import FakeClock

pytestmark = pytest.mark.anyio


def attempt(number: int = 0) -> UsageAttempt:
    return UsageAttempt("r", 1000.0 + number, "u", "openai", "openai", "success", id=f"a{number:06}")


class Ledger:
    """A ledger in memory. `away`: it cannot be asked; `poison`: an id that it does not take; `hangs`: it never answers."""

    def __init__(self) -> None:
        self.rows: dict[str, UsageAttempt] = {}
        self.batches: list[int] = []
        self.away = False
        self.hangs = False
        self.poison: str | None = None
        self.forgets = False
        self.asked = anyio.Event()

    async def add(self, attempts: Sequence[UsageAttempt], /) -> int:
        self.batches.append(len(attempts))
        self.asked.set()
        await anyio.lowlevel.checkpoint()
        if self.hangs:
            await anyio.sleep_forever()
        if self.away:
            raise StoreUnavailable("the database is away")
        if any(one.id == self.poison for one in attempts):
            raise StoreInvalid("no")
        self.rows |= {one.id: one for one in attempts}
        if self.forgets:  # committed, but the answer was lost
            raise StoreUnavailable("the connection was cut")
        return len(attempts)


async def until(condition: object, recorder: Recorder) -> None:
    for _ in range(1000):
        if condition():  # type: ignore[operator]
            return
        await anyio.lowlevel.checkpoint()
    raise AssertionError(recorder.state)


async def test_what_is_recorded_is_written_in_batches() -> None:
    ledger = Ledger()
    async with Recorder(ledger, FakeClock(), batch=10) as recorder:
        for number in range(25):
            recorder.record(attempt(number))
        assert recorder.state.queued == 25
        await until(lambda: recorder.state.queued == 0, recorder)
    assert ledger.batches == [10, 10, 5]
    assert (len(ledger.rows), recorder.state.written, recorder.state.well) == (25, 25, True)


async def test_the_end_of_the_block_writes_the_rest_also_when_it_fails_or_is_cancelled() -> None:
    for ending in ("clean", "error", "cancelled"):
        ledger = Ledger()
        with anyio.CancelScope() as scope:
            try:
                async with Recorder(ledger, SystemClock(), every=3600.0) as recorder:
                    for number in range(900):
                        recorder.record(attempt(number))
                    if ending == "error":
                        raise ZeroDivisionError
                    if ending == "cancelled":
                        scope.cancel()
                        await anyio.sleep_forever()
            except ZeroDivisionError:
                assert ending == "error"
        assert len(ledger.rows) == 900, ending
        assert recorder.state.queued == 0


async def test_a_database_that_is_away_loses_nothing_within_the_bound() -> None:
    ledger, clock = Ledger(), FakeClock()
    ledger.away = True
    async with Recorder(ledger, clock, batch=10) as recorder:
        for number in range(30):
            recorder.record(attempt(number))
        await until(lambda: len(ledger.batches) >= 12, recorder)
        state = recorder.state
        assert (state.queued, state.written, state.dropped) == (30, 0, 0)
        assert not state.well
        assert state.error == "the database is away"
        assert state.since is not None
        assert max(clock.sleeps) == LONGEST_PAUSE_S
        assert clock.sleeps[:4] == [0.5, 1.0, 2.0, 4.0]
        ledger.away = False
        await until(lambda: recorder.state.queued == 0, recorder)
        assert recorder.state.well
        assert recorder.state.since is None
    assert sorted(ledger.rows) == [attempt(number).id for number in range(30)]


async def test_beyond_the_bound_the_oldest_go_and_are_counted() -> None:
    ledger = Ledger()
    lost: list[int] = []
    ledger.away = True
    async with Recorder(ledger, FakeClock(), bound=10, batch=4, on_lost=lost.append) as recorder:
        for number in range(25):
            recorder.record(attempt(number))
        await until(lambda: ledger.batches != [], recorder)
        assert (recorder.state.queued, recorder.state.dropped, lost) == (10, 15, [15])
        ledger.away = False
    assert sorted(ledger.rows) == [attempt(number).id for number in range(15, 25)]


async def test_what_falls_out_while_it_is_being_written_is_not_lost() -> None:
    ledger = Ledger()
    recorder = Recorder(ledger, FakeClock(), bound=6, batch=4)
    for number in range(6):
        recorder.record(attempt(number))
    async with anyio.create_task_group() as group:
        group.start_soon(recorder.flush)
        await until(lambda: ledger.batches != [], recorder)
        recorder.record(attempt(6))
        recorder.record(attempt(7))
    await recorder.flush()
    assert sorted(ledger.rows) == [attempt(number).id for number in range(8)]
    assert (recorder.state.dropped, recorder.state.written, recorder.state.queued) == (0, 8, 0)


async def test_one_bad_row_does_not_hold_up_the_others() -> None:
    ledger = Ledger()
    lost: list[int] = []
    ledger.poison = attempt(3).id
    async with Recorder(ledger, FakeClock(), on_lost=lost.append) as recorder:
        for number in range(8):
            recorder.record(attempt(number))
    assert len(ledger.rows) == 7
    assert (recorder.state.refused, recorder.state.written, recorder.state.queued, lost) == (1, 7, 0, [1])


async def test_a_database_that_hangs_cannot_hold_up_the_end_and_what_is_lost_by_it_is_said() -> None:
    ledger, lost = Ledger(), list[int]()
    ledger.hangs = True
    async with Recorder(ledger, SystemClock(), every=0.001, grace=0.05, on_lost=lost.append) as recorder:
        recorder.record(attempt())
        await ledger.asked.wait()
        recorder.record(attempt(1))
    assert (recorder.state.queued, recorder.state.dropped, recorder.state.written) == (0, 2, 0)
    assert lost == [2]


@given(
    bound=st.integers(1, 12),
    batch=st.integers(1, 5),
    steps=st.lists(st.sampled_from(["record", "flush", "away", "back", "cut"]), max_size=60),
)
def test_each_attempt_is_written_once_dropped_or_queued(bound: int, batch: int, steps: list[str]) -> None:
    ledger = Ledger()
    recorder = Recorder(ledger, FakeClock(), bound=bound, batch=batch)

    async def run() -> int:
        recorded = 0
        for step in steps:
            if step == "record":
                recorder.record(attempt(recorded))
                recorded += 1
            elif step == "flush":
                await recorder.flush()
            else:
                ledger.away, ledger.forgets = step == "away", step == "cut"
        return recorded

    recorded = anyio.run(run)
    state = recorder.state
    assert state.queued <= bound
    assert state.written + state.dropped + state.queued == recorded
    assert len(ledger.rows) >= state.written
    newest = [attempt(number).id for number in range(recorded - state.queued, recorded)]
    assert [one.id for one in recorder._queue] == newest


async def test_through_a_real_database_that_is_taken_away(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("data")
    async with open_store(sqlite_url(folder / "db")) as store:
        async with Recorder(store.usage, SystemClock(), every=0.002) as recorder:
            for number in range(500):
                recorder.record(evolve(attempt(number), input_tokens=1))
                if number % 100 == 0:
                    await anyio.sleep(0.003)
        (whole,) = await store.usage.of_user("u", by=(), since=0.0, until=2000.0)
    assert (whole.sums.attempts, whole.sums.input_tokens) == (500, 500)
    assert recorder.state.written == 500


async def test_whoever_runs_it_is_told_when_nothing_can_be_written_and_when_it_can_again() -> None:
    ledger, turns = Ledger(), list[str | None]()
    async with Recorder(ledger, FakeClock(), on_turn=turns.append) as recorder:
        ledger.away = True
        recorder.record(attempt(1))
        for _ in range(3):
            assert not await recorder.flush()
        assert turns == ["the database is away"]
        ledger.away = False
        assert await recorder.flush()
        recorder.record(attempt(2))
        assert await recorder.flush()
    assert turns == ["the database is away", None]
    assert len(ledger.rows) == 2
