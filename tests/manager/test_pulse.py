"""The pulse: laws of the estimate, its quantile, and two providers of which one is degraded for a while."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from itertools import count
from math import ceil, exp, inf, sqrt
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmcore.manager.models import Choice
from llmcore.manager.order import ByDelay
from llmcore.manager.pulse import ENOUGH, HOLD, LATE, REFRESH, TAU, UNSAID, WINDOW, Pulse

SECONDS = st.floats(0.0, 100.0)
GAPS = st.floats(0.0, 100.0)


# ------------------------------------------------------------------------------------------------- estimate


def test_nothing_is_known_at_first() -> None:
    pulse = Pulse()
    assert pulse.delay(0.0) is None
    assert pulse.p95() is None


def test_a_slower_sample_is_taken_at_once_and_a_faster_one_by_its_weight() -> None:
    pulse = Pulse()
    pulse.observe(1.0, 0.0)
    pulse.observe(9.0, 1.0)
    assert pulse.delay(1.0) == 9.0
    pulse.observe(1.0, 6.0)
    assert pulse.delay(6.0) == pytest.approx(9.0 - 8.0 * (1 - exp(-5.0 / TAU)))
    pulse.observe(0.0, 6.0)
    assert pulse.delay(6.0) == pytest.approx(9.0 - 8.0 * (1 - exp(-5.0 / TAU))), "no time, no weight"


def test_an_estimate_stands_for_a_while_and_then_decays() -> None:
    pulse = Pulse()
    pulse.observe(30.0, 0.0)
    assert pulse.delay(HOLD) == 30.0
    assert pulse.delay(HOLD + TAU) == pytest.approx(30.0 / exp(1.0))
    assert [(pulse.delay(at) or 0.0) > 1.0 for at in (50.0, 60.0)] == [True, False]


def test_one_call_tries_a_provider_that_was_left() -> None:
    pulse = Pulse()
    pulse.observe(30.0, 0.0)
    token = pulse.begun(200.0)
    assert pulse.delay(200.0) >= 30.0, "while it waits, the others keep away"  # type: ignore[operator]  # measured
    pulse.first(token, 201.0)
    assert pulse.delay(201.0) == pytest.approx(1.0, rel=1e-3), "it is well again, and all may come"


def test_one_call_tries_a_provider_that_was_never_measured() -> None:
    pulse = Pulse()
    token = pulse.begun(0.0)
    assert pulse.delay(0.1) == inf
    pulse.first(token, 2.0)
    assert pulse.delay(2.0) == 2.0


def test_calls_that_wait_too_long_are_felt_before_they_end() -> None:
    pulse = Pulse()
    pulse.observe(1.0, 0.0)
    early, late = pulse.begun(1.0), pulse.begun(3.0)
    assert pulse.delay(1.5) == pytest.approx(1.0 * sqrt(3)), "two wait, none too long"
    assert pulse.delay(3.5) == pytest.approx(2.5 * 2 * sqrt(3)), "one of them too long"
    assert pulse.delay(5.0) == pytest.approx(4.0 * 3 * sqrt(3)), "both"
    pulse.ended(early, 5.0)
    pulse.ended(late, 5.5)
    assert pulse.delay(5.5) == 4.0, "it would have taken at least so long"


def test_a_look_at_a_crowd_is_bounded() -> None:
    pulse = Pulse()
    pulse.observe(1.0, 0.0)
    for _ in range(99):
        pulse.begun(0.0)
    assert pulse.delay(5.0) == pytest.approx(5.0 * (1 + LATE) * sqrt(100))


def test_a_quick_error_is_no_speed() -> None:
    pulse = Pulse()
    pulse.ended(pulse.begun(0.0), UNSAID / 2)
    assert pulse.delay(UNSAID / 2) is None
    pulse.ended(pulse.begun(1.0), 1.0 + 2 * UNSAID)
    assert pulse.delay(4.0) == 2 * UNSAID
    pulse.observe(5.0, 10.0)
    pulse.ended(pulse.begun(10.0 + HOLD), 10.1 + HOLD)
    assert pulse.delay(10.0 + 2 * HOLD) == 5.0, "it does not make the estimate fade either"
    assert pulse.p95() is None


@given(steps=st.lists(st.tuples(GAPS, SECONDS), min_size=1, max_size=30))
def test_the_estimate_lies_between_the_samples(steps: list[tuple[float, float]]) -> None:
    pulse, now, peak = Pulse(), 0.0, 0.0
    for gap, seconds in steps:
        now += gap
        before = pulse.delay(now)
        pulse.observe(seconds, now)
        after = pulse.delay(now)
        assert after is not None
        assert after >= seconds - 1e-9, "never below the newest"
        assert after <= max(seconds, before or 0.0) + 1e-9, "never above the newest and what was felt before"
        peak = max(peak, seconds)
        assert after <= peak


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["begun", "first", "ended"]), st.integers(0, 8), GAPS), max_size=60
    )
)
def test_whatever_the_order_of_what_is_told_nothing_stays_behind(steps: list[tuple[str, int, float]]) -> None:
    """Unknown tokens, a first after the end, two ends: allowed, and no call is felt longer than it waits."""
    pulse, now, waiting, firsts = Pulse(), 0.0, dict[int, float](), 0
    for what, place, gap in steps:
        now += gap
        if what == "begun":
            waiting[pulse.begun(now)] = now
            continue
        token = [*waiting, -1][place % (len(waiting) + 1)]
        firsts += what == "first" and token in waiting
        getattr(pulse, what)(token, now)
        waiting.pop(token, None)
        if waiting:
            assert pulse.delay(now) >= now - min(waiting.values())  # type: ignore[operator]  # somebody waits
    for token in waiting:
        pulse.ended(token, now)
    assert not pulse._waiting
    assert len(pulse._times) == min(firsts, WINDOW)
    assert pulse.delay(now) != inf


# ------------------------------------------------------------------------------------------------- quantile


@given(times=st.lists(SECONDS, min_size=ENOUGH, max_size=2 * WINDOW))
def test_p95_is_that_of_the_latest_times(times: list[float]) -> None:
    pulse, asked = Pulse(), []
    for place, seconds in enumerate(times, 1):
        pulse.observe(seconds, 0.0)
        value = pulse.p95()
        assert (value is None) == (place < ENOUGH)
        if value is not None:
            asked.append(value)
            recent = [
                sorted(times[max(0, end - WINDOW) : end])
                for end in range(max(ENOUGH, place - REFRESH + 1), place + 1)
            ]
            assert value in [ordered[ceil(0.95 * len(ordered)) - 1] for ordered in recent]
    assert len(asked) == len(times) - ENOUGH + 1


def test_p95_forgets_what_is_long_past() -> None:
    pulse = Pulse()
    for seconds in [30.0] * WINDOW + [1.0] * WINDOW:
        pulse.observe(seconds, 0.0)
    assert pulse.p95() == 1.0


# ----------------------------------------------------------------------------- two providers, one degraded

Speed = Callable[[int, float, Random], float]


class World:
    """Two providers under the latency strategy, on simulated time; the log holds (when, whom) of every call.

    speed: seconds to the first token of a call to this provider at that time. patience: after it a call is given up.
    """

    def __init__(self, speed: Speed, rate: float, *, patience: float = inf, seed: int = 1) -> None:
        self.speed, self.rate, self.patience, self.random = speed, rate, patience, Random(seed)
        self.log: list[tuple[float, int]] = []
        self.pulses = [Pulse(), Pulse()]
        self.flying = [0, 0]
        self.now = 0.0

    def load(self, choice: Choice, /) -> float:
        return self.flying[choice.index]

    def delay(self, choice: Choice, /) -> float | None:
        return self.pulses[choice.index].delay(self.now)

    def price(self, choice: Choice, /) -> None:
        return None

    def run(self, seconds: float) -> World:
        order = ByDelay(self.random)
        arranged = order.arrange([Choice(0), Choice(1)])
        number = count()
        ends: list[tuple[float, int, int, int, bool]] = []
        for begins in self._arrivals(seconds):
            while ends and ends[0][0] <= begins:
                self._end(*heapq.heappop(ends))
            self.now = begins
            index = next(iter(order(arranged, self))).index
            self.log.append((begins, index))
            self.flying[index] += 1
            token = self.pulses[index].begun(begins)
            takes = self.speed(index, begins, self.random)
            heapq.heappush(
                ends,
                (begins + min(takes, self.patience), next(number), index, token, takes <= self.patience),
            )
        return self

    def _arrivals(self, seconds: float) -> Iterator[float]:
        now = 0.0
        while (now := now + self.random.expovariate(self.rate)) < seconds:
            yield now

    def _end(self, now: float, _number: int, index: int, token: int, good: bool) -> None:
        self.now = now
        if good:
            self.pulses[index].first(token, now)
        self.pulses[index].ended(token, now)
        self.flying[index] -= 1

    def asked(self, index: int, since: float, until: float) -> int:
        return sum(since <= when < until and whom == index for when, whom in self.log)

    def calls_until_left(self, index: int, since: float) -> int:
        """Calls from the first to `index` after `since` to the last before 15 seconds in which it gets none."""
        start = next(when for when, whom in self.log if when >= since and whom == index)
        after = [when for when, _ in self.log if when >= start]
        return next(place for place, when in enumerate(after) if not self.asked(index, when, when + 15.0))


DEGRADED, HEALED, END = 120.0, 420.0, 900.0


def stepped(jitter: float, slow: float = 30.0) -> Speed:
    def speed(index: int, now: float, random: Random) -> float:
        base = slow if index == 0 and DEGRADED <= now < HEALED else 1.0
        return base * random.lognormvariate(0.0, jitter) if jitter else base

    return speed


SIMULATED = [
    (rate, jitter, seed) for rate in (0.5, 2.0, 5.0, 10.0) for jitter in (0.0, 0.3) for seed in range(5)
]


@pytest.mark.parametrize(("rate", "jitter", "seed"), SIMULATED)
def test_57_a_degraded_provider_is_left_and_comes_back(rate: float, jitter: float, seed: int) -> None:
    world = World(stepped(jitter), rate, seed=seed).run(END)
    shares = [world.asked(index, 0.0, DEGRADED) for index in (0, 1)]
    assert min(shares) > 0.15 * sum(shares), "while both are well, both work"
    assert world.asked(0, DEGRADED, DEGRADED + 20.0) <= 20
    assert rate > 5.0 or world.calls_until_left(0, DEGRADED) <= 20
    tries = world.asked(0, DEGRADED + 40.0, HEALED)
    assert 1 <= tries <= 6, "tried now and then, one call at a time"
    assert world.asked(0, HEALED, HEALED + 100.0) >= 1, "and soon found well again"
    shares = [world.asked(index, HEALED + 120.0, END) for index in (0, 1)]
    assert min(shares) > 0.15 * sum(shares)


@pytest.mark.parametrize("rate", [0.5, 2.0, 10.0])
def test_57_the_same_where_patience_ends_the_slow_calls(rate: float) -> None:
    world = World(stepped(0.0, slow=inf), rate, patience=10.0).run(END)
    assert world.calls_until_left(0, DEGRADED) <= 20
    assert 1 <= world.asked(0, DEGRADED + 20.0, HEALED) <= 8
    assert world.asked(0, HEALED, HEALED + 80.0) >= 1
    shares = [world.asked(index, HEALED + 80.0, END) for index in (0, 1)]
    assert min(shares) > 0.15 * sum(shares)


def test_who_comes_back_is_not_run_down() -> None:
    """At 100 calls a second, one of them finds out; nobody follows until it has answered."""
    world = World(stepped(0.0), 100.0).run(HEALED + 100.0)
    found = next(when for when, whom in world.log if whom == 0 and when >= HEALED)
    assert world.asked(0, found, found + 0.99) == 1
    assert world.asked(0, found + 1.0, found + 11.0) < 0.8 * 1000


def test_a_provider_that_hangs_is_left_within_seconds_of_its_usual_delay() -> None:
    world = World(stepped(0.0, slow=inf), 20.0).run(DEGRADED + 60.0)
    assert world.asked(0, DEGRADED + 1.5, DEGRADED + 60.0) == 0
