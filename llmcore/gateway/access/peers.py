"""Pure: which processes share through one Redis, and whether it has heard from all of them since we came to it.

Whoever was cut off has given out its part alone. So Redis decides by itself only when every process that was there has
told it, after we came (back), all that it has used; until then each goes by its own part, too. `alive.lua` is the other half.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from attrs import frozen

SETTLED_S = 3
"""Age before which an emptied Redis does not decide alone: processes that know of no others meet in that time."""


@frozen
class Heard:
    """What Redis says to a sign of life. second, micros: its clock; epoch: by when it began to count; new: whether it has
    forgotten what we said; back: whether we were cut off, or it was started again; in_use: keys that somebody uses.
    """

    second: int
    micros: int
    epoch: int
    new: bool
    back: bool
    in_use: tuple[str, ...] = ()


class Peers:
    """least: how many there are, where nobody knows better. `now` is in monotonic seconds."""

    def __init__(self, me: str, least: int = 1) -> None:
        self._me = me
        self._least = least
        self._others: dict[str, int] = {}
        """Seconds since they were heard, when we last knew."""
        self._redis = ""
        """Which one we are with, by its epoch and its run; "" while we are cut off."""
        self._since = 0
        """The second (of its clock) in which we came back to it; 0 where it is our first."""
        self._young = float("-inf")
        self.epoch: int = 0
        self.settled: bool = False

    @property
    def count(self) -> int:
        """How many share."""
        return max(self._least, 1 + len(self._others))

    def sign(self, *, told: bool) -> tuple[str, ...]:
        """The arguments of `alive.lua`. told: whether this Redis has heard from us all that we have used."""
        others = msgspec.json.encode(self._others).decode()
        return self._me, self._redis, str(int(told)), others

    def heard(self, raw: Sequence[Any], now: float) -> Heard:
        """The answer of `alive.lua`."""
        second, micros, epoch, age, run, keys, *rest = raw
        redis = f"{epoch}:{run.decode()}"
        back, new = redis != self._redis, epoch != self.epoch
        if back:
            # whoever has just started has missed nothing that others were to tell it
            self._since = second if self.epoch else 0
            self._redis, self.epoch, self.settled = redis, epoch, False
        if new:
            self._young = now + max(0, SETTLED_S - age)
        told = dict(self._met(rest, second))
        self.settled |= now >= self._young and all(one > self._since for one in told.values())
        return Heard(second, micros, epoch, new, back, tuple(key.decode() for key in keys))

    def _met(self, rest: Sequence[Any], second: int) -> list[tuple[str, int]]:
        triples = [
            (name.decode(), seen, told)
            for name, seen, told in zip(rest[::3], rest[1::3], rest[2::3], strict=True)
        ]
        others = [one for one in triples if one[0] != self._me]
        self._others = {name: max(0, second - seen) for name, seen, _ in others}
        return [(name, told) for name, _, told in others]

    def cut_off(self) -> None:
        """Redis does not answer."""
        self._redis, self.settled = "", False
