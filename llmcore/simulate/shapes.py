"""Pure: how a figure is distributed. Every shape turns one number of luck into one value, so that the same luck is comparable."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable
from itertools import accumulate
from statistics import NormalDist
from typing import Protocol

from attrs import field, frozen

NORMAL = NormalDist()
Z95: float = NORMAL.inv_cdf(0.95)
_TINY = 1e-12


class Shape(Protocol):
    """A distribution by its inverse: `at(luck)` for luck in [0, 1] is one value; more luck is never less inside one part."""

    def at(self, luck: float, /) -> float: ...


@frozen
class Constant:
    """Always the same."""

    value: float

    def at(self, luck: float, /) -> float:
        return self.value


@frozen
class Uniform:
    """Anything from low to high."""

    low: float
    high: float

    def at(self, luck: float, /) -> float:
        return self.low + (self.high - self.low) * luck


@frozen
class LogNormal:
    """Half are below `median`, one in twenty is above `p95`."""

    median: float
    p95: float

    def at(self, luck: float, /) -> float:
        z = NORMAL.inv_cdf(min(max(luck, _TINY), 1.0 - _TINY))
        return self.median * math.exp(math.log(self.p95 / self.median) * z / Z95)


@frozen
class Slow:
    """`of`, but a `share` of the draws is `times` as much."""

    of: Shape
    share: float
    times: float

    def at(self, luck: float, /) -> float:
        usual = 1.0 - self.share
        if luck < usual:
            return self.of.at(luck / usual)
        return self.times * self.of.at((luck - usual) / self.share)


def _sorted(values: Iterable[float]) -> tuple[float, ...]:
    return tuple(sorted(values))


def _running(parts: tuple[tuple[float, Shape], ...]) -> tuple[float, ...]:
    return tuple(accumulate(share for share, _ in parts))


@frozen
class Mixture:
    """One of several shapes, each with its share of the draws; shares need not add up to 1."""

    parts: tuple[tuple[float, Shape], ...]
    _ends: tuple[float, ...] = field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "_ends", _running(self.parts))

    def at(self, luck: float, /) -> float:
        place = luck * self._ends[-1]
        index = min(bisect_left(self._ends, place), len(self.parts) - 1)
        share, shape = self.parts[index]
        return shape.at((place - self._ends[index] + share) / share)


@frozen
class Measured:
    """What was measured, in rising order; values between two of them are on the line."""

    values: tuple[float, ...] = field(converter=_sorted)

    def at(self, luck: float, /) -> float:
        place = luck * (len(self.values) - 1)
        low = int(place)
        if low + 1 >= len(self.values):
            return self.values[-1]
        return self.values[low] + (self.values[low + 1] - self.values[low]) * (place - low)
