"""Pure: a short history as SVG: a line of times, a row of bars. Shapes alone; the style sheet has the colours."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Final

from attrs import frozen

WIDTH: Final = 240
HEIGHT: Final = 32
PAD: Final = 3


@frozen
class Line:
    """path: the line, with gaps where nothing is known; area: what is under it. low, high: of the values, in their unit.

    Empty, and None, where nothing is known at all.
    """

    path: str = ""
    area: str = ""
    low: float | None = None
    high: float | None = None


@frozen
class Bar:
    """One minute. bad: how much of its height, from the ground, was failures."""

    x: float
    width: float
    y: float
    height: float
    bad_y: float
    bad: float


def line(values: Sequence[float | None]) -> Line:
    """Oldest value first, from the left edge to the right one. The ground is 0."""
    known = [value for value in values if value is not None]
    if not known:
        return Line()
    high, step = max(known), WIDTH / max(1, len(values) - 1)
    paths, areas = [], []
    for there, run in groupby(enumerate(values), key=lambda pair: pair[1] is not None):
        if there:
            points = [(round(index * step, 1), _y(value or 0.0, high)) for index, value in run]
            path = "M" + "L".join(f"{x:g} {y:g}" for x, y in _wide(points, step))
            paths.append(path)
            areas.append(f"{path}L{points[-1][0]:g} {HEIGHT}L{_wide(points, step)[0][0]:g} {HEIGHT}Z")
    return Line("".join(paths), "".join(areas), min(known), high)


def _wide(points: list[tuple[float, float]], step: float) -> list[tuple[float, float]]:
    """A single value is as wide as one step, or nobody would see it."""
    if len(points) > 1:
        return points
    (x, y) = points[0]
    left = max(0.0, round(x - step, 1))
    return [(left, y), (max(x, round(left + step, 1)), y)]


def _y(value: float, high: float) -> float:
    return round(HEIGHT - PAD - (value / (high or 1.0)) * (HEIGHT - 2 * PAD), 1)


def bars(requests: Sequence[int], failures: Sequence[int]) -> tuple[Bar, ...]:
    """One bar for each minute in which something was asked; the tallest fills the height."""
    most = max(requests, default=0)
    if not most:
        return ()
    slot = WIDTH / len(requests)
    found = []
    for index, (count, failed) in enumerate(zip(requests, failures, strict=True)):
        if count:
            height = max(2.0, round(count / most * HEIGHT, 1))
            bad = round(height * failed / count, 1)
            x = round(index * slot + slot * 0.1, 1)
            found.append(
                Bar(x, round(slot * 0.8, 1), round(HEIGHT - height, 1), height, round(HEIGHT - bad, 1), bad)
            )
    return tuple(found)
