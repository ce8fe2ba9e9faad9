"""Pure: in which order candidates are asked.

`arrange` is done once for a set of candidates and may be slow; calling it is done for every call and must not grow
with their number.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Protocol

from llmcore.manager.models import Choice


class Order(Protocol):
    """First choice first."""

    def arrange(self, choices: Sequence[Choice], /) -> tuple[Choice, ...]: ...

    def __call__(self, arranged: tuple[Choice, ...], /) -> Sequence[Choice]: ...


class ByPriority:
    """Lowest `priority` first; equals in configured order."""

    def arrange(self, choices: Sequence[Choice], /) -> tuple[Choice, ...]:
        return tuple(sorted(choices, key=lambda choice: choice.priority))

    def __call__(self, arranged: tuple[Choice, ...], /) -> Sequence[Choice]:
        return arranged


class RoundRobin:
    """Each call begins one further along the configured list of `size` providers, and fails over in its order.

    The cursor moves once per call, whoever is eligible; a call for only some of the providers begins with the first of
    them at or behind it.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._cursor = 0

    def arrange(self, choices: Sequence[Choice], /) -> tuple[Choice, ...]:
        return tuple(sorted(choices, key=lambda choice: choice.index))

    def __call__(self, arranged: tuple[Choice, ...], /) -> Sequence[Choice]:
        start = self._cursor
        self._cursor = (start + 1) % self._size
        at = bisect_left(arranged, start, key=lambda choice: choice.index)
        return arranged[at:] + arranged[:at]


class FirstThenNamed:
    """The first by priority alone; after it only those named as fallbacks, in that order."""

    def __init__(self, fallbacks: Sequence[int]) -> None:
        self._fallbacks = tuple(fallbacks)

    def arrange(self, choices: Sequence[Choice], /) -> tuple[Choice, ...]:
        first = min(choices, key=lambda choice: choice.priority)
        by_index = {choice.index: choice for choice in choices if choice is not first}
        return (first, *(by_index[index] for index in self._fallbacks if index in by_index))

    def __call__(self, arranged: tuple[Choice, ...], /) -> Sequence[Choice]:
        return arranged


def order_for(strategy: str, names: Sequence[str], fallbacks: Sequence[str]) -> Order:
    """A fresh order; its state belongs to one manager."""
    made: dict[str, Callable[[], Order]] = {
        "priority": ByPriority,
        "round_robin": lambda: RoundRobin(len(names)),
        "retry": lambda: FirstThenNamed([names.index(name) for name in fallbacks]),
    }
    return made[strategy]()
