"""The keys of a leaf that is used alone take turns by weight."""

from __future__ import annotations

from collections.abc import Sequence


class Rota:
    """Smooth weighted round robin: over any n turns each has had its share of them, give or take one.

    A weight of 0 gets no turn, unless all are 0; then all count alike.
    """

    __slots__ = ("_credit", "_weights")

    def __init__(self, weights: Sequence[float]) -> None:
        self._weights = tuple(weights) if any(weights) else (1.0,) * len(weights)
        self._credit = [0.0] * len(weights)

    def next(self) -> int:
        """Whose turn it is."""
        for index, weight in enumerate(self._weights):
            self._credit[index] += weight
        drawn = max(range(len(self._credit)), key=self._credit.__getitem__)
        self._credit[drawn] -= sum(self._weights)
        return drawn
