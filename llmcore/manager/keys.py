"""The keys of one provider: which of them may be used now for a model family, when the others may, and which is taken.

The rule of choice, among the keys that are neither disabled nor at rest and whose pace allows a request now: keys of
weight 0 are drained, so they count only where no other is left. Keys with less than half the room of the roomiest are
set aside. Among the rest chance decides, by weight. A key that this call has failed with (`avoid`) is taken only where
no other is left. Nobody changes to a drained or a failed key only because the pace asks for a short wait.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from random import Random
from typing import TypeAlias

from attrs import frozen

from llmcore.config import Routing
from llmcore.errors import (
    AuthenticationError,
    OverloadedError,
    PermissionDeniedError,
    ProviderError,
    QuotaExhaustedError,
    RateLimitError,
)
from llmcore.pace import Pacer
from llmcore.provider import Seat

RETRY_KEY: float = 900.0  # seconds after which a refused key is tried again
RETRY_PERMISSION: float = 300.0
MAX_FAMILIES: int = 256  # names come from callers
OTHERS: str = "*"  # the family of all that came when there were too many
CLEARLY: float = 0.5  # a key with less than this share of the roomiest key's room is set aside
NO_TRIAL: int = 0
INF: float = float("inf")

Avoid: TypeAlias = AbstractSet[str | None]
NOBODY: frozenset[str | None] = frozenset()


class Ban:
    """A key that the vendor refused: not used before `until`, and then by one attempt at a time until one succeeds."""

    __slots__ = ("outcome", "trial", "until")

    def __init__(self, outcome: str, until: float) -> None:
        self.outcome: str = outcome
        self.until: float = until
        self.trial: int = NO_TRIAL

    def holds(self, now: float) -> bool:
        return self.trial != NO_TRIAL or now < self.until


class Key:
    """One key; its ban for all models, where it has one."""

    __slots__ = ("ban", "index", "seat")

    def __init__(self, index: int, seat: Seat) -> None:
        self.index: int = index
        self.seat: Seat = seat
        self.ban: Ban | None = None


class Desk:
    """One key at one model family: its pace, and its ban for this family, where it has one."""

    __slots__ = ("ban", "family", "key", "name", "pacer", "seat", "weight")

    def __init__(self, key: Key, family: Family, pacer: Pacer) -> None:
        self.key: Key = key
        self.seat: Seat = key.seat
        self.name: str | None = key.seat.name
        self.weight: float = key.seat.weight
        self.family: Family = family
        self.pacer: Pacer = pacer
        self.ban: Ban | None = None

    def banned_until(self, now: float) -> float:
        """When this key may be tried again; 0.0 where it may be used now."""
        return max(
            (ban.until for ban in (self.key.ban, self.ban) if ban is not None and ban.holds(now)), default=0.0
        )

    def rests_until(self) -> float:
        return max(self.pacer.not_before, self.family.rests_until)


class Family:
    """One model family at this provider. rests_until: the provider as a whole wants to be left alone so long."""

    __slots__ = ("desks", "name", "overloaded_at", "rests_until", "sole")

    def __init__(self, name: str) -> None:
        self.name: str = name
        self.desks: tuple[Desk, ...] = ()
        self.sole: Desk | None = None
        self.rests_until: float = 0.0
        self.overloaded_at: float = -INF

    def is_forgettable(self, now: float) -> bool:
        return self.rests_until <= now and all(
            desk.pacer.idle and not desk.pacer.in_flight and desk.ban is None for desk in self.desks
        )


@frozen
class Outlook:
    """When a request may go by keys and pace. at: the instant; dead: no key is usable, and at `at` one is tried again."""

    at: float
    dead: bool = False


class Keys:
    """All keys of one provider, by model family."""

    def __init__(
        self,
        seats: Sequence[Seat],
        routing: Routing,
        random: Random,
        *,
        pace: bool,
        told: Callable[..., None],
    ) -> None:
        self._keys = tuple(Key(index, seat) for index, seat in enumerate(seats))
        self._routing = routing
        self._random = random
        self._pace = pace
        self._told = told
        self._families: dict[str, Family] = {}
        self._trials = 0

    def family(self, name: str, now: float) -> Family:
        """The state of a model family, made when first asked for."""
        family = self._families.get(name)
        if family is None:
            if len(self._families) >= MAX_FAMILIES and name != OTHERS:
                for old in [old for old in self._families.values() if old.is_forgettable(now)]:
                    del self._families[old.name]
                if len(self._families) >= MAX_FAMILIES:
                    return self.family(OTHERS, now)
            family = self._families[name] = Family(name)
            routing = self._routing
            family.desks = tuple(
                Desk(key, family, Pacer(routing.rpm, routing.tpm, learn=self._pace)) for key in self._keys
            )
            family.sole = family.desks[0] if len(family.desks) == 1 else None
        return family

    def pick(self, family: Family, tokens: int, avoid: Avoid, now: float) -> Desk | None:
        """The key to use now, None where none may be used now. Changes nothing but chance."""
        desk = family.sole
        if desk is not None:
            pacer = desk.pacer
            if family.rests_until > now or not (pacer.idle or pacer.wait(tokens, now) == 0.0):
                return None
            return desk
        able = [desk for desk in self._wanted(family, avoid, now) if desk.pacer.wait(tokens, now) == 0.0]
        if len(able) < 2:
            return able[0] if able else None
        rooms = [desk.pacer.room(now) for desk in able]
        least = max(rooms) * CLEARLY
        roomy = [desk for desk, room in zip(able, rooms, strict=True) if room >= least]
        weights = [desk.weight for desk in roomy]
        return self._random.choices(roomy, weights if any(weights) else None)[0]

    def outlook(self, family: Family, tokens: int, avoid: Avoid, now: float, ahead: int = 0) -> Outlook:
        """When a request may go, after `ahead` others like it."""
        usable = [desk for desk in family.desks if not desk.banned_until(now)]
        if not usable:
            return Outlook(min(desk.banned_until(now) for desk in family.desks), dead=True)
        wanted = self._wanted(family, avoid, now)
        if wanted:
            share = ahead // len(wanted)
            return Outlook(now + min(desk.pacer.wait(tokens, now, share) for desk in wanted))
        return Outlook(min(max(desk.rests_until(), now + desk.pacer.wait(tokens, now)) for desk in usable))

    def other_key(self, family: Family, excluded: Avoid, now: float) -> bool:
        """Whether a key that is not excluded may be used, if need be after a short wait for its pace."""
        return any(
            desk.name not in excluded and not desk.banned_until(now) and desk.rests_until() <= now
            for desk in family.desks
        )

    def take(self, desk: Desk, tokens: int, now: float) -> int:
        """The key is used from now on. The number of the trial, where the key was refused before."""
        desk.pacer.take(tokens, now)
        if desk.key.ban is None and desk.ban is None:
            return NO_TRIAL
        self._trials += 1
        for ban in (desk.key.ban, desk.ban):
            if ban is not None:
                ban.trial, ban.until = self._trials, now + RETRY_KEY
        return self._trials

    def end_trial(self, desk: Desk, trial: int, now: float) -> None:
        """A trial is over; where it had no verdict, the next may begin."""
        for ban in (desk.key.ban, desk.ban):
            if ban is not None and ban.trial == trial:
                ban.trial, ban.until = NO_TRIAL, now

    def learn(self, desk: Desk, error: ProviderError | None, trial: int, sent: float, now: float) -> None:
        """What became of a request that was sent with this key at `sent`; None is success."""
        if error is None:
            self._learn_success(desk, trial, sent, now)
        elif isinstance(error, RateLimitError):
            desk.pacer.refused(error.retry_after, now, sent)
        elif isinstance(error, OverloadedError):
            if error.retry_after is not None:
                family = desk.family
                family.rests_until = max(family.rests_until, now + error.retry_after)
                family.overloaded_at = now
        elif len(self._keys) > 1:
            self._learn_refusal(desk, error, now)

    def reset(self) -> None:
        """Forget bans and rests."""
        for key in self._keys:
            key.ban = None
        for family in self._families.values():
            family.rests_until = 0.0
            for desk in family.desks:
                desk.ban = None
                desk.pacer.reset()

    def states(self, now: float) -> list[tuple[str | None, str, str, float]]:
        """(name, "ok" or "disabled" or "resting", why, until) of every key; a family's own state names the family."""
        return [self._state(key, now) for key in self._keys]

    def _wanted(self, family: Family, avoid: Avoid, now: float) -> list[Desk]:
        """The keys that may be used when their pace allows, of the best kind of which there are any."""
        if family.rests_until > now:
            return []
        awake = [desk for desk in family.desks if desk.pacer.not_before <= now and not desk.banned_until(now)]
        fresh = [desk for desk in awake if desk.name not in avoid] if avoid else awake
        for kind in (fresh, awake):
            if kind:
                return [desk for desk in kind if desk.weight > 0] or kind
        return []

    def _learn_success(self, desk: Desk, trial: int, sent: float, now: float) -> None:
        """A success ends the rests that were asked for before it was sent, and the bans that it was the trial of."""
        desk.pacer.succeeded(now, sent)
        family, key = desk.family, desk.key
        if sent >= family.overloaded_at:
            family.rests_until = 0.0
        if trial != NO_TRIAL:
            if key.ban is not None and key.ban.trial == trial:
                key.ban = None
                self._told("llm.key_back", key=desk.name)
            if desk.ban is not None and desk.ban.trial == trial:
                desk.ban = None
                self._told("llm.key_back", key=desk.name, family=family.name or None)

    def _learn_refusal(self, desk: Desk, error: ProviderError, now: float) -> None:
        if isinstance(error, AuthenticationError):
            desk.key.ban = self._refused(desk.key.ban, error, now + RETRY_KEY, key=desk.name)
        elif isinstance(error, QuotaExhaustedError):
            until = now + (RETRY_KEY if error.retry_after is None else error.retry_after)
            desk.key.ban = self._refused(desk.key.ban, error, until, key=desk.name)
        elif isinstance(error, PermissionDeniedError):
            facts = {"key": desk.name, "family": desk.family.name or None}
            desk.ban = self._refused(desk.ban, error, now + RETRY_PERMISSION, **facts)

    def _refused(self, ban: Ban | None, error: ProviderError, until: float, **facts: str | None) -> Ban:
        """The ban that follows a refusal; told only where there was none."""
        if ban is None:
            self._told("llm.key_disabled", outcome=error.outcome, **facts)
            return Ban(error.outcome, until)
        ban.until = until if ban.trial != NO_TRIAL else max(ban.until, until)
        ban.outcome, ban.trial = error.outcome, NO_TRIAL
        return ban

    def _state(self, key: Key, now: float) -> tuple[str | None, str, str, float]:
        name = key.seat.name
        if key.ban is not None:
            return (name, "disabled", key.ban.outcome, key.ban.until)
        desks = [family.desks[key.index] for family in self._families.values()]
        for desk in _worst_first(desk for desk in desks if desk.ban is not None):
            if desk.ban is not None:
                return (name, "disabled", _named(desk.ban.outcome, desk), desk.ban.until)
        for desk in _worst_first(desk for desk in desks if desk.rests_until() > now):
            return (name, "resting", _named("asked to wait", desk), desk.rests_until())
        return (name, "ok", "", now)


def _worst_first(desks: Iterable[Desk]) -> list[Desk]:
    return sorted(desks, key=lambda desk: -(desk.ban.until if desk.ban is not None else desk.rests_until()))


def _named(reason: str, desk: Desk) -> str:
    return f"{reason} ({desk.family.name})" if desk.family.name else reason
