"""In which order candidates are asked: a class for each strategy, chance handed in.

`arrange` is done once for a set of candidates and may be slow. Calling is done for every call and yields lazily, first
choice first: taking only the first costs the same for three candidates as for a thousand, save where a strategy has to
look at all of them (least_busy and cost: at those of one tier).

Candidates of equal priority form a tier. A strategy chooses inside a tier; tiers fail over in order.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from itertools import accumulate, groupby
from math import log
from random import Random
from typing import Protocol

from attrs import frozen

from llmcore.manager.models import Choice

MAX_RINGS: int = 1024
"""Sets of candidates whose turn round robin remembers; callers may name any subset, so the memory is bounded."""


class View(Protocol):
    """What an order may ask about a candidate as it is now."""

    def load(self, choice: Choice, /) -> float:
        """Calls in flight over their limit; calls in flight where there is no limit."""
        ...

    def delay(self, choice: Choice, /) -> float | None:
        """Seconds to the first token or answer, grown by the calls that wait already (see `pulse`); None: not measured."""
        ...

    def price(self, choice: Choice, /) -> Decimal | None:
        """US dollars that the request at hand will cost about; None where not known."""
        ...


class _Blank:
    """A view of candidates of which nothing is known."""

    def load(self, _choice: Choice, /) -> float:
        return 0.0

    def delay(self, _choice: Choice, /) -> float | None:
        return None

    def price(self, _choice: Choice, /) -> Decimal | None:
        return None


BLANK: View = _Blank()


class Order(Protocol):
    """A strategy. What `arrange` returns is for `__call__` of this order, or of a copy of it, and never changes.

    All that changes is in the order itself: a deep copy tells what the next call would get, and moves nothing.
    """

    def arrange(self, choices: Sequence[Choice], /) -> tuple[Choice, ...]: ...

    def __call__(self, arranged: tuple[Choice, ...], view: View = BLANK, /) -> Iterable[Choice]: ...


@frozen(eq=False)
class Tier:
    """Candidates of equal rank. sums: their weights added up (weighted). members: their indexes (round robin)."""

    choices: tuple[Choice, ...]
    sums: tuple[float, ...] = ()
    members: frozenset[int] = frozenset()


class Arranged(tuple[Choice, ...]):  # noqa: SLOT001 - Python gives tuples no slots for attributes
    """Candidates tier by tier; the tiers stand beside them, so that no call has to find them again."""

    tiers: tuple[Tier, ...]

    @classmethod
    def of(cls, tiers: Iterable[Tier]) -> Arranged:
        made = tuple(tiers)
        arranged = cls(choice for tier in made for choice in tier.choices)
        arranged.tiers = made
        return arranged


class Tiered(ABC):
    """Tiers in order; a subclass says in which order the candidates of one tier are asked."""

    def arrange(self, choices: Sequence[Choice], /) -> tuple[Choice, ...]:
        return Arranged.of(Tier(tier) for tier in _by_priority(choices))

    def __call__(self, arranged: tuple[Choice, ...], view: View = BLANK, /) -> Iterable[Choice]:
        for tier in self._tiers(arranged):
            yield from self._inside(tier, view)

    def _tiers(self, arranged: tuple[Choice, ...]) -> tuple[Tier, ...]:
        if not isinstance(arranged, Arranged):
            arranged = self.arrange(arranged)
            assert isinstance(arranged, Arranged)
        return arranged.tiers

    @abstractmethod
    def _inside(self, tier: Tier, view: View) -> Iterable[Choice]:
        """The candidates of one tier, first choice first."""


class ByPriority:
    """Lowest `priority` first; equals in configured order."""

    def arrange(self, choices: Sequence[Choice], /) -> tuple[Choice, ...]:
        return tuple(sorted(choices, key=_rank))

    def __call__(self, arranged: tuple[Choice, ...], _view: View = BLANK, /) -> tuple[Choice, ...]:
        return arranged


class RoundRobin(Tiered):
    """Each call begins one further in its tier and fails over in configured order, then to the next tier.

    A tier's turn moves once for every call that begins in it, whoever is eligible. Every set of candidates has a turn of
    its own, so that calls for some of the providers get each of them equally often, and leave the others' turns alone.

    priorities: of all configured providers; without them, those of the candidates at hand decide on the tiers. Where
    no two are equal, the whole list is one ring: tiers of one candidate each would never rotate, and who chose round
    robin and numbered the providers meant the numbers as their order.
    """

    def __init__(self, priorities: Sequence[int] = ()) -> None:
        self._priorities = tuple(priorities)
        self._turns: dict[frozenset[int], int] = {}

    def arrange(self, choices: Sequence[Choice], /) -> tuple[Choice, ...]:
        known = self._priorities or [choice.priority for choice in choices]
        distinct = len(set(known)) == len(known)
        tiers = [tuple(sorted(choices, key=_index))] if distinct else _by_priority(choices)
        return Arranged.of(
            Tier(tier, members=frozenset(choice.index for choice in tier)) for tier in tiers if tier
        )

    def _inside(self, tier: Tier, _view: View) -> Iterable[Choice]:
        choices = tier.choices
        size = len(choices)
        start = self._turn(tier.members)
        return (choices[place % size] for place in range(start, start + size))

    def _turn(self, members: frozenset[int]) -> int:
        turn = self._turns.get(members, 0)
        self._turns[members] = turn + 1
        if len(self._turns) > MAX_RINGS:
            del self._turns[next(iter(self._turns))]
        return turn


class FirstThenNamed:
    """Strategy "retry": the first by priority alone; after it only those named as fallbacks, in that order."""

    def __init__(self, fallbacks: Sequence[int]) -> None:
        self._fallbacks = tuple(fallbacks)

    def arrange(self, choices: Sequence[Choice], /) -> tuple[Choice, ...]:
        if not choices:
            return ()
        first = min(choices, key=_rank)
        by_index = {choice.index: choice for choice in choices if choice is not first}
        return (first, *(by_index[index] for index in self._fallbacks if index in by_index))

    def __call__(self, arranged: tuple[Choice, ...], _view: View = BLANK, /) -> tuple[Choice, ...]:
        return arranged


class Weighted(Tiered):
    """Drawn with probability weight / sum of weights of the tier; the next ones are drawn from the rest.

    Weight 0 means drained: after all others of all tiers, in configured order, as the last resort. weights: by index;
    1 where there is none.
    """

    def __init__(self, weights: Sequence[float], random: Random) -> None:
        self._weights = weights
        self._random = random

    def arrange(self, choices: Sequence[Choice], /) -> tuple[Choice, ...]:
        live = [choice for choice in choices if self._weight(choice) > 0]
        drained = sorted((choice for choice in choices if self._weight(choice) <= 0), key=_index)
        tiers = [Tier(tier, tuple(accumulate(map(self._weight, tier)))) for tier in _by_priority(live)]
        return Arranged.of([*tiers, *(Tier((choice,)) for choice in drained)])

    def _weight(self, choice: Choice) -> float:
        return self._weights[choice.index] if choice.index < len(self._weights) else 1.0

    def _inside(self, tier: Tier, _view: View) -> Iterable[Choice]:
        choices, sums = tier.choices, tier.sums
        if len(choices) == 1:
            yield choices[0]
            return
        place = bisect(sums, self._random.random() * sums[-1], 0, len(sums) - 1)
        yield choices[place]
        yield from sorted(choices[:place] + choices[place + 1 :], key=self._arrival)

    def _arrival(self, choice: Choice) -> float:
        """Sorted by these, candidates are in the order of weighted draws without replacement.

        The instants of exponential clocks that run at the speed of the weights (Efraimidis and Spirakis 2006).
        """
        return -log(1.0 - self._random.random()) / self._weight(choice)


class LeastBusy(Tiered):
    """The smallest load now, asked anew for each; ties in configured order."""

    def _inside(self, tier: Tier, view: View) -> Iterable[Choice]:
        first = min(tier.choices, key=view.load)
        yield first
        rest = [choice for choice in tier.choices if choice is not first]
        while rest:
            least = min(rest, key=view.load)
            rest.remove(least)
            yield least


class ByDelay(Tiered):
    """Strategy "latency": of two drawn at random, the one with the shorter delay; after it all others by delay.

    Two random choices do not send every caller to the same fastest one, as the minimum of all would (Mitzenmacher 2001).
    Who is not measured counts as fastest, so that it is tried; ties go to the smaller load.
    """

    def __init__(self, random: Random) -> None:
        self._random = random

    def _inside(self, tier: Tier, view: View) -> Iterable[Choice]:
        choices = tier.choices
        if len(choices) == 1:
            yield choices[0]
            return
        first = self._of_two(choices, view)
        yield first
        yield from sorted(
            (choice for choice in choices if choice is not first),
            key=lambda choice: (view.delay(choice) or 0.0, view.load(choice)),
        )

    def _of_two(self, choices: tuple[Choice, ...], view: View) -> Choice:
        size = len(choices)
        place = int(self._random.random() * size)
        other = int(self._random.random() * (size - 1))
        one, two = choices[place], choices[other + (other >= place)]
        a, b = view.delay(one) or 0.0, view.delay(two) or 0.0
        if a == b:
            a, b = view.load(one), view.load(two)
        return one if a <= b else two


class ByPrice(Tiered):
    """Strategy "cost": the lowest price for the request at hand; unknown last, ties in configured order."""

    def _inside(self, tier: Tier, view: View) -> Iterable[Choice]:
        if len(tier.choices) == 1:
            return tier.choices
        return sorted(tier.choices, key=lambda choice: _known_first(view.price(choice)))


def order_for(
    strategy: str,
    names: Sequence[str],
    fallbacks: Sequence[str],
    *,
    random: Random | None = None,
    weights: Sequence[float] = (),
    priorities: Sequence[int] = (),
) -> Order:
    """A fresh order; its state belongs to one manager. weights, priorities: of the providers in `names`."""
    dice = random or Random()  # noqa: S311 - spreads load, keeps no secret
    made: dict[str, Callable[[], Order]] = {
        "priority": ByPriority,
        "round_robin": lambda: RoundRobin(priorities),
        "retry": lambda: FirstThenNamed([names.index(name) for name in fallbacks]),
        "weighted": lambda: Weighted(weights, dice),
        "least_busy": LeastBusy,
        "latency": lambda: ByDelay(dice),
        "cost": ByPrice,
    }
    return made[strategy]()


def _by_priority(choices: Sequence[Choice]) -> list[tuple[Choice, ...]]:
    return [tuple(tier) for _, tier in groupby(sorted(choices, key=_rank), key=lambda one: one.priority)]


def _rank(choice: Choice) -> tuple[int, int]:
    return choice.priority, choice.index


def _index(choice: Choice) -> int:
    return choice.index


def _known_first(price: Decimal | None) -> tuple[bool, Decimal]:
    return price is None, price or Decimal(0)
