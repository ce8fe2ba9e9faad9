"""Pure: calls over time. A steady, daily or bursting rate, or the calls of a log played again."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import count
from random import Random

from attrs import evolve, field, frozen

from llmcore.simulate.profile import Arrivals, Call
from llmcore.simulate.shapes import Constant, Shape

DAY_S = 86_400.0
HOUR_S = 3600.0
SLICE_S = 300.0
"""A rate that changes over the day is taken as even for so long."""


@frozen
class Burst:
    """From `start` until `end` the rate is `times` as high."""

    start: float
    end: float
    times: float


def _evened(hours: tuple[float, ...]) -> tuple[float, ...]:
    """The same curve with the mean 1."""
    mean = sum(hours) / len(hours) if hours else 1.0
    return tuple(hour / mean for hour in hours)


@frozen
class Traffic:
    """Calls that arrive by themselves.

    rate: calls per second, on average over a day. hours: the day's curve, one figure for each hour, from midnight on,
    at which the scenario begins. arrivals: "poisson" by chance, "even" at equal distances. prompt, answer: tokens.
    streams: the share of calls that are streamed. sessions: conversations that the calls belong to; 0 for none.
    """

    rate: float = 1.0
    hours: tuple[float, ...] = field(default=(), converter=_evened)
    bursts: tuple[Burst, ...] = ()
    arrivals: Arrivals = "poisson"
    prompt: Shape = field(default=Constant(500.0))
    answer: Shape = field(default=Constant(200.0))
    streams: float = 1.0
    deadline: float | None = None
    sessions: int = 0

    def rate_at(self, at: float) -> float:
        """Calls per second at a moment."""
        rate = self.rate
        if self.hours:
            place = (at % DAY_S) / DAY_S * len(self.hours) - 0.5
            low = math.floor(place)
            before, after = self.hours[low % len(self.hours)], self.hours[(low + 1) % len(self.hours)]
            rate *= before + (after - before) * (place - low)
        for burst in self.bursts:
            if burst.start <= at < burst.end:
                rate *= burst.times
        return rate

    def calls(self, duration: float, random: Random, /) -> Iterator[Call]:
        """Every call that begins before `duration`."""
        for number, at in enumerate(self._arrivals(duration, random)):
            luck = [random.random() for _ in range(4)]
            yield Call(
                number,
                at,
                max(1, round(self.prompt.at(luck[0]))),
                max(1, round(self.answer.at(luck[1]))),
                luck[2] < self.streams,
                self.deadline,
                f"session-{int(luck[3] * self.sessions)}" if self.sessions else None,
            )

    def _arrivals(self, duration: float, random: Random) -> Iterator[float]:
        """Arrivals of rate 1, stretched by the rate of every slice: exact for rates that are even within slices."""

        def gap() -> float:
            return random.expovariate(1.0) if self.arrivals == "poisson" else 1.0

        wanted = gap()
        for start, end in self._slices(duration):
            rate = self.rate_at((start + end) / 2)
            if rate <= 0:
                continue
            at = start
            while (there := at + wanted / rate) < end:
                yield there
                at, wanted = there, gap()
            wanted -= (end - at) * rate

    def _slices(self, duration: float) -> Iterator[tuple[float, float]]:
        edges = {edge for burst in self.bursts for edge in (burst.start, burst.end) if 0 < edge < duration}
        cuts = sorted(edges)
        start = 0.0
        for number in count(1):
            regular = min(number * SLICE_S, duration)
            while cuts and cuts[0] <= regular:
                end = cuts.pop(0)
                if end > start:
                    yield start, end
                    start = end
            if regular > start:
                yield start, regular
                start = regular
            if regular >= duration:
                return


@frozen
class Replay:
    """The calls of a log, at their times."""

    recorded: tuple[Call, ...]

    def calls(self, duration: float, random: Random, /) -> Iterator[Call]:
        for number, call in enumerate(self.recorded):
            if call.at >= duration:
                return
            yield evolve(call, number=number)
