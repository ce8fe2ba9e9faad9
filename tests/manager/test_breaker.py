"""The breaker by example and by property: invariants 22 to 25 and 27. The whole beside a model: `test_breaker_laws`."""

from __future__ import annotations

import itertools
import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmcore.config import BreakerConfig
from llmcore.manager.breaker import PANICS, Breaker, State, jitter, open_length


class Bench:
    """A breaker, and what it told."""

    def __init__(self, config: BreakerConfig | None = None, seed: int = 0) -> None:
        self.told: list[tuple[State, State]] = []
        self.breaker = Breaker(config or BreakerConfig(), Random(seed), self._tell)

    def stands(self) -> str:
        return self.breaker.state

    def _tell(self, old: State, new: State) -> None:
        assert self.breaker.state == new
        self.told.append((old, new))

    def good(self, now: float, *, forced: bool = False) -> None:
        self.breaker.succeed(self.breaker.enter(now, forced=forced), now)

    def bad(self, now: float, *, forced: bool = False) -> None:
        self.breaker.fail(self.breaker.enter(now, forced=forced), now)

    def opened(self, now: float = 0.0) -> Breaker:
        for _ in range(3):
            self.bad(now)
        assert self.stands() == "open"
        return self.breaker


def test_an_outage_of_a_minute() -> None:
    """Failures at 0, 0.3 and 4: open; probes near 20 and 60, never later; back after two good ones."""
    for seed in range(50):
        bench = Bench(seed=seed)
        breaker = bench.breaker
        for now in (0.0, 0.3, 4.0):
            assert breaker.admits(now)
            bench.bad(now)
        assert bench.stands() == "open"
        assert 19.6 <= breaker.opens_at <= 20.0
        assert not breaker.admits(19.5)
        bench.bad(20.0)
        assert 58.8 <= breaker.opens_at <= 60.0
        assert not breaker.admits(58.7)
        bench.good(60.0)
        assert bench.stands() == "half_open"
        bench.good(60.5)
        assert bench.stands() == "closed"
        assert bench.told == [
            ("closed", "open"),
            ("open", "half_open"),
            ("half_open", "open"),
            ("open", "half_open"),
            ("half_open", "closed"),
        ]


def test_probes_of_a_long_outage_are_due_at_20_60_140_260_380() -> None:
    bench = Bench()
    bench.opened(0.0)
    for due, slack in ((20, 0.05), (60, 0.15), (140, 8.15), (260, 20.15), (380, 32.15)):
        assert due - slack <= bench.breaker.opens_at <= due
        bench.bad(bench.breaker.opens_at)


def test_an_opening_lasts_half_its_length_from_now_where_traffic_is_slow() -> None:
    bench = Bench()
    for now in (0.0, 100.0, 200.0):
        bench.bad(now)
    assert 209.6 <= bench.breaker.opens_at <= 210.0
    bench.bad(1000.0)  # the probe came late: 40 s, of which half
    assert 1019.2 <= bench.breaker.opens_at <= 1020.0


def test_the_row_is_counted_from_its_first_failure_after_a_success() -> None:
    bench = Bench()
    bench.bad(0.0)
    bench.bad(1.0)
    bench.good(2.0)
    bench.bad(5.0)
    bench.bad(6.0)
    assert bench.stands() == "closed"
    bench.bad(7.0)
    assert 24.6 <= bench.breaker.opens_at <= 25.0


def test_an_opening_by_rate_is_counted_from_now() -> None:
    bench = Bench(BreakerConfig(failures=100))
    for second in range(9):
        (bench.bad if second % 2 else bench.good)(float(second))
    assert bench.stands() == "closed"
    bench.bad(9.0)
    assert bench.stands() == "open"
    assert 28.6 <= bench.breaker.opens_at <= 29.0


def test_outcomes_leave_the_window_by_slots_of_a_tenth() -> None:
    for last, state in ((29.9, "open"), (30.0, "closed"), (1e6, "closed")):
        bench = Bench(BreakerConfig(failures=100))
        for _ in range(9):
            bench.bad(2.9)
        bench.bad(last)  # with the nine it is ten calls, as long as the slot of 0 to 3 s is within the window
        assert bench.stands() == state


def test_successes_are_counted_in_the_slot_that_they_came_in() -> None:
    bench = Bench(BreakerConfig(failures=100, failure_rate=0.1))
    bench.bad(0.0)
    for _ in range(9):
        bench.good(100.0)
    bench.bad(100.0)
    assert bench.stands() == "open"


def test_only_a_failure_opens() -> None:
    """Nine calls with five failures, then a success: half of ten have failed, and still nothing opens."""
    bench = Bench(BreakerConfig(failures=100))
    for good in (True, False) * 4:
        (bench.good if good else bench.bad)(0.0)
    bench.bad(0.0)
    bench.good(0.0)
    assert bench.stands() == "closed"
    bench.bad(0.0)
    assert bench.stands() == "open"


@given(
    steps=st.lists(st.tuples(st.sampled_from(["good", "bad", "left"]), st.floats(0, 40)), max_size=200),
    failures=st.integers(2, 5),
    min_calls=st.integers(5, 12),
)
def test_24_too_few_calls_and_too_short_a_row_never_open(
    steps: list[tuple[str, float]], failures: int, min_calls: int
) -> None:
    bench = Bench(BreakerConfig(failures=failures, min_calls=min_calls, failure_rate=0.01))
    breaker, now, row, recent = bench.breaker, 0.0, 0, list[float]()
    for step, gap in steps:
        now += gap
        recent = [when for when in recent if when > now - 30.0]
        if len(recent) >= min_calls - 1 or (step == "bad" and row == failures - 1):
            step = "left"  # noqa: PLW2901 - the step that would have opened it
        permit = breaker.enter(now)
        if step == "left":
            breaker.release(permit)
            continue
        recent.append(now)
        row = row + 1 if step == "bad" else 0
        (breaker.fail if step == "bad" else breaker.succeed)(permit, now)
        assert bench.stands() == "closed"
    assert bench.told == []


def test_23_what_says_nothing_of_health_changes_nothing() -> None:
    bench = Bench()
    breaker = bench.breaker
    bench.bad(0.0)
    bench.bad(0.0)
    for _ in range(50):
        breaker.release(breaker.enter(0.0))  # neither breaks the row nor counts as a call
    bench.bad(0.0)
    assert bench.stands() == "open"
    for _ in range(5):
        permit = breaker.enter(20.0)
        assert not breaker.admits(20.0)
        breaker.release(permit)
        breaker.release(permit)
        assert breaker.admits(20.0)
    assert breaker.probing == 0
    assert bench.told == [("closed", "open"), ("open", "half_open")]


@given(outage=st.floats(1, 3000), gap=st.floats(0.5, 30), seed=st.integers(0, 100))
def test_25_a_provider_that_recovers_is_used_again(outage: float, gap: float, seed: int) -> None:
    """With a call each `gap` seconds: within the cap and one gap after its recovery, and then for good."""
    bench, config = Bench(seed=seed), BreakerConfig()
    now, used = 0.0, list[float]()
    while now <= outage + config.max_open_time + 5 * gap:
        if bench.breaker.admits(now):
            if now < outage:
                bench.bad(now)
            else:
                bench.good(now)
                used.append(now)
        now += gap
    assert used[0] <= outage + config.max_open_time + gap
    assert bench.stands() == "closed"
    assert all(later - sooner <= gap + 1e-6 for sooner, later in itertools.pairwise(used))


@given(gap=st.floats(0.01, 5), seed=st.integers(0, 100))
def test_a_dead_provider_is_probed_about_once_in_each_opening(gap: float, seed: int) -> None:
    bench, now, asked = Bench(seed=seed), 0.0, 0
    while now < 600.0:
        if bench.breaker.admits(now):
            bench.bad(now)
            asked += 1
        now += gap
    assert asked <= 3 + 7  # at about 20, 60, then every 108 to 120


@given(
    waits=st.lists(st.floats(0, 100), min_size=1, max_size=12),
    open_time=st.floats(0.1, 50),
    growth=st.floats(1, 40),
    seed=st.integers(0, 100),
)
def test_27_openings_grow_up_to_the_cap(
    waits: list[float], open_time: float, growth: float, seed: int
) -> None:
    """Each wait is how late the probe of an opening comes, in seconds after it was due."""
    config = BreakerConfig(open_time=open_time, max_open_time=open_time * growth)
    bench = Bench(config, seed)
    breaker = bench.opened(0.0)
    lengths = [open_length(config, opening) for opening in range(1, len(waits) + 2)]
    assert lengths == sorted(lengths)
    assert lengths[0] == open_time
    assert max(lengths) <= config.max_open_time
    for opening, late in enumerate(waits, 1):
        due, now = breaker.opens_at, breaker.opens_at + late
        bench.bad(now)
        assert breaker.openings == opening + 1
        length = lengths[opening]
        share = jitter(opening + 1)
        shortest, longest = length * (1 - share) - 1e-9, length + 1e-9
        assert max(0.5 - share, 0.0) * length - 1e-9 <= breaker.opens_at - now <= longest
        assert breaker.opens_at - due >= shortest
        if late <= length / 2:
            assert breaker.opens_at - due <= longest  # a late probe does not put the next one off


def test_openings_are_counted_without_end() -> None:
    config = BreakerConfig(open_time=1.0, max_open_time=2.0**40)
    assert open_length(config, 41) == 2.0**40
    assert open_length(config, 10**9) == 2.0**40


def test_processes_drift_apart() -> None:
    dues = []
    for seed in range(20):
        bench = Bench(seed=seed)
        bench.opened()
        for _ in range(2):
            bench.bad(bench.breaker.opens_at)
        dues.append(bench.breaker.opens_at)
    assert len(set(dues)) == 20
    assert max(dues) - min(dues) > 4.0


def reopened(bench: Bench, closed_for: float) -> float:
    """Open, recover, stay closed for that long, fail again: how long it is open then."""
    breaker = bench.opened(0.0)
    bench.good(20.0)
    bench.good(20.0)
    assert bench.stands() == "closed"
    assert breaker.opens_at == 0.0
    bench.opened(20.0 + closed_for)
    return breaker.opens_at - (20.0 + closed_for)


def test_the_count_of_openings_decays_after_ten_minutes_closed() -> None:
    assert 39.2 <= reopened(Bench(), 599.0) <= 40.0
    assert 19.6 <= reopened(Bench(), 600.0) <= 20.0


def test_closing_forgets_the_window_and_the_row() -> None:
    bench = Bench(BreakerConfig(min_calls=3, failures=3, failure_rate=0.9))
    bench.opened(0.0)
    bench.good(20.0)
    bench.good(20.0)
    bench.bad(20.0)
    bench.bad(20.0)
    assert bench.stands() == "closed"


def test_a_half_open_one_admits_no_more_than_its_probes() -> None:
    bench = Bench(BreakerConfig(probes=2, successes=3))
    breaker = bench.opened(0.0)
    first, second = breaker.enter(20.0), breaker.enter(20.0)
    assert not breaker.admits(20.0)
    with pytest.raises(RuntimeError):
        breaker.enter(20.0)
    breaker.succeed(first, 21.0)
    third = breaker.enter(21.0)
    assert not breaker.admits(21.0)
    breaker.fail(second, 22.0)  # and the others' outcomes come too late
    assert bench.stands() == "open"
    for permit in (first, second, third):
        breaker.succeed(permit, 23.0)
    assert bench.stands() == "open"
    assert breaker.probing == 0
    bench.good(60.0)
    assert bench.stands() == "half_open"  # the good probe before the failure is forgotten


def test_what_was_let_in_before_an_opening_decides_nothing_after_it() -> None:
    bench = Bench(BreakerConfig(successes=1))
    breaker = bench.breaker
    early = [breaker.enter(0.0) for _ in range(8)]
    bench.opened(1.0)
    opens_at = breaker.opens_at
    breaker.succeed(early[0], 2.0)
    breaker.fail(early[1], 2.0)
    assert (bench.stands(), breaker.opens_at) == ("open", opens_at)
    probe = breaker.enter(21.0)
    breaker.succeed(early[2], 22.0)
    breaker.fail(early[3], 22.0)
    breaker.release(early[4])
    assert bench.stands() == "half_open"
    assert not breaker.admits(22.0)
    breaker.succeed(probe, 23.0)
    for permit in early[5:]:
        breaker.fail(permit, 24.0)
    assert bench.stands() == "closed"


def test_a_permit_is_settled_once() -> None:
    bench = Bench()
    permit = bench.breaker.enter(0.0)
    for _ in range(10):
        bench.breaker.fail(permit, 0.0)
    assert bench.stands() == "closed"


def test_forced_successes_close_and_forced_failures_do_not_lengthen() -> None:
    bench = Bench()
    breaker = bench.opened(0.0)
    opens_at = breaker.opens_at
    bench.good(5.0, forced=True)
    bench.bad(6.0, forced=True)
    bench.good(7.0, forced=True)
    assert (bench.stands(), breaker.opens_at, breaker.openings) == ("open", opens_at, 1)
    bench.good(8.0, forced=True)
    assert bench.stands() == "closed"
    assert bench.told == [("closed", "open"), ("open", "half_open"), ("half_open", "closed")]


def test_a_forced_one_beside_the_probe_takes_no_slot_and_may_reopen() -> None:
    bench = Bench()
    breaker = bench.opened(0.0)
    probe = breaker.enter(20.0, forced=True)
    beside = breaker.enter(20.0, forced=True)
    assert (probe.kind, beside.kind) == ("probe", "forced")
    breaker.release(beside)
    assert not breaker.admits(20.0)
    bench.bad(20.0, forced=True)
    assert (bench.stands(), breaker.openings) == ("open", 2)


def test_panic_lets_one_past_at_a_time_and_pauses_where_that_fails() -> None:
    bench = Bench()
    breaker = bench.breaker
    assert not breaker.panic(0.0)
    bench.opened(0.0)
    assert breaker.panic(1.0)
    breaker.enter(1.0, forced=True)  # a sole candidate's does not use it up
    assert breaker.panic(1.0)
    permit = breaker.enter(1.0, forced=True, panic=True)
    assert permit.kind == "panic"
    assert not breaker.panic(1.0)
    with pytest.raises(RuntimeError):
        breaker.enter(1.0, forced=True, panic=True)
    breaker.fail(permit, 2.0)
    for _ in range(PANICS - 1):  # may be chance
        assert breaker.panic(2.0)
        breaker.fail(breaker.enter(2.0, forced=True, panic=True), 3.0)
    assert not breaker.panic(3.4)
    assert breaker.panic(3.5)
    breaker.release(breaker.enter(3.5, forced=True, panic=True))  # says nothing
    breaker.fail(breaker.enter(3.5, forced=True, panic=True), 4.0)
    assert not breaker.panic(4.9)
    assert breaker.panic(5.0)
    breaker.succeed(breaker.enter(5.0, forced=True, panic=True), 5.0)
    assert breaker.panic(5.0)
    assert not breaker.panic(60.0)  # it is due: whoever comes is a probe


def test_panic_attempts_that_succeed_close_it() -> None:
    bench = Bench()
    breaker = bench.breaker
    bench.opened(0.0)
    for _ in range(BreakerConfig().successes):
        assert breaker.state == "open"
        breaker.succeed(breaker.enter(1.0, forced=True, panic=True), 1.0)
    assert breaker.state == "closed"


def test_an_isolated_one_admits_nothing_until_it_is_reset() -> None:
    bench = Bench()
    breaker = bench.breaker
    before = breaker.enter(0.0)
    breaker.isolate()
    breaker.isolate()
    assert breaker.opens_at == math.inf
    assert not breaker.admits(1e9)
    assert not breaker.panic(1.0)
    with pytest.raises(RuntimeError):
        breaker.enter(1.0, forced=True)
    breaker.succeed(before, 1.0)
    breaker.reset()
    assert breaker.opens_at == 0.0
    assert breaker.admits(1.0)
    assert bench.told == [("closed", "isolated"), ("isolated", "closed")]


def test_a_reset_forgets_everything() -> None:
    bench = Bench()
    breaker = bench.breaker
    under_way = breaker.enter(0.0)
    bench.bad(0.0)
    bench.bad(0.0)
    breaker.reset()
    breaker.fail(under_way, 0.0)
    bench.bad(0.0)
    bench.bad(0.0)
    assert bench.stands() == "closed"
    assert bench.told == []
    bench.bad(0.0)
    breaker.reset()
    bench.opened(0.0)
    assert breaker.openings == 1
    assert bench.told == [("closed", "open"), ("open", "closed"), ("closed", "open")]
