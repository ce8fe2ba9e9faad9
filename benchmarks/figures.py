"""Medians, spreads and paired ratios of samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

Rounds = Mapping[int, float]
"""One figure by the round in which it was measured."""


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of the values do not exceed (nearest rank); share above 0, at most 1."""
    ordered = sorted(values)
    rank = -(-share * len(ordered) // 1)
    return ordered[max(0, int(rank) - 1)]


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """Median, least and greatest."""
    return median(values), min(values), max(values)


def ratio(above: Rounds, below: Rounds) -> float | None:
    """The median of the ratios of figures that were measured in the same round; None where no round has both.

    What slows a whole round down (another program on the machine) is in both figures and falls out.
    """
    both = sorted(above.keys() & below.keys())
    return median(above[turn] / below[turn] for turn in both) if both else None


def difference(above: Rounds, below: Rounds) -> float | None:
    """The same for differences."""
    both = sorted(above.keys() & below.keys())
    return median(above[turn] - below[turn] for turn in both) if both else None
