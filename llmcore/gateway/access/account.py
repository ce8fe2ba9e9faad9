"""Pure: what one process knows of one key whose limits it shares with others; `shares.lua` is the other half.

Seconds are of the common clock (Redis' own) where nothing else is said. An advance is a small part of what is left, taken
beforehand so that calls need not wait; it counts as used from the start, lives a second, and its rest is given back.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import TypeAlias

from attrs import define, frozen

from llmcore.gateway.access.limits import Hold, Want, out_of_minute, out_of_money
from llmcore.gateway.access.principal import NO_LIMITS, Limits

KEEP_S = 62
"""How long a second counts: the 60 of the law, its own width, and the life of an advance."""
ADVANCE_S = 1.0
MOST_AHEAD = 10_000
WANTS = 256

GRANTED, NO_REQUESTS, NO_TOKENS, NO_MONEY = range(4)

Used: TypeAlias = "tuple[int, int, int]"
"""(second, requests, tokens); negative where something is given back."""


@frozen
class Question:
    """What is said to `shares.lua`, field by field. -1: no such limit.

    epoch: of which Redis, by when it began to count. known: it should remember us. used: not said before. held: for all calls that run, and in advance. floor: what was
    spent at least; paid: since then. wants: (requests, tokens, micros). ahead: calls in advance, each of so many
    (tokens, micros).
    """

    me: str
    epoch: int
    rpm: int
    tpm: int
    budget: int
    known: bool
    used: tuple[Used, ...]
    held: int
    floor: int
    paid: int
    wants: tuple[tuple[int, int, int], ...]
    ahead: int
    each: tuple[int, int]
    period: str = ""
    settled: bool = True


@frozen
class Verdict:
    """On one want. kind: GRANTED or what is missing. second: where it is counted; wait: seconds until it may be asked again."""

    kind: int
    second: int = 0
    wait: float = 0.0


@frozen
class Answer:
    """requests, tokens, spent: of all processes together, this question included. advance: calls that were granted ahead."""

    second: int
    requests: int
    tokens: int
    spent: int
    processes: int
    advance: int
    verdicts: tuple[Verdict, ...]

    @classmethod
    def of(cls, raw: Sequence[int]) -> Answer | None:
        """None where Redis has lost what it knew."""
        if raw[0] == 0:
            return None
        second, rest = raw[1], raw[8:]
        verdicts = [
            Verdict(kind, second, float(wait)) for kind, wait in zip(rest[::2], rest[1::2], strict=True)
        ]
        return cls(second, raw[3], raw[4], raw[5], raw[6], raw[7], tuple(verdicts))


class Minute:
    """What was used, by the second."""

    __slots__ = ("requests", "seconds", "tokens")

    def __init__(self) -> None:
        self.seconds: dict[int, tuple[int, int]] = {}
        self.requests: int = 0
        self.tokens: int = 0

    def add(self, second: int, requests: int, tokens: int) -> None:
        before = self.seconds.get(second, (0, 0))
        self.seconds[second] = (before[0] + requests, before[1] + tokens)
        self.requests += requests
        self.tokens += tokens

    def forget(self, now: int) -> None:
        for second in [one for one in self.seconds if one <= now - KEEP_S]:
            requests, tokens = self.seconds.pop(second)
            self.requests -= requests
            self.tokens -= tokens

    def room_in(self, now: int, requests: int, tokens: int) -> float:
        """Seconds until so much is forgotten."""
        for second in sorted(self.seconds):
            freed = self.seconds[second]
            requests, tokens = requests - freed[0], tokens - freed[1]
            if requests <= 0 and tokens <= 0:
                return float(max(1, second + KEEP_S - now))
        return float(KEEP_S)

    def said(self) -> tuple[Used, ...]:
        return tuple((second, *used) for second, used in self.seconds.items() if used != (0, 0))


@define
class Purse:
    """Money of one period. known: spent by all, as far as we know; base: the same when we last knew it from others;
    paid: by us, not yet said; held: by us, for calls that run and in advance.
    """

    period: str = ""
    known: int = 0
    base: int = 0
    paid: int = 0
    held: int = 0


@define
class Advance:
    """What is left of it. until: monotonic seconds; calls: how many were served from it."""

    second: int = 0
    until: float = 0.0
    requests: int = 0
    tokens: int = 0
    micros: int = 0
    calls: int = 0


class Account:
    """One key, as this process knows it. `now` is in monotonic seconds."""

    def __init__(self, share: str, me: str) -> None:
        self.share = share
        self._me = me
        self.limits: Limits = NO_LIMITS
        self.minute: Minute = Minute()
        self.unsaid: Minute = Minute()
        self.purse: Purse = Purse()
        self.advance: Advance = Advance()
        self._known = False
        self._ahead = 0
        self._asked_at = float("-inf")
        self._told: Answer | None = None
        self._mine: tuple[int, int] = (0, 0)

    @property
    def counts(self) -> bool:
        return self.limits.rpm is not None or self.limits.tpm is not None

    @property
    def changed(self) -> bool:
        """Whether others should hear of it."""
        return bool(self.unsaid.said()) or self.purse.paid > 0

    def idle(self, second: int) -> bool:
        """Whether there is nothing left to remember."""
        self.minute.forget(second)
        self.unsaid.forget(second)
        return not self.minute.seconds and not self.purse.held and not self.changed

    def meet(self, limits: Limits, period: str, spent: int) -> None:
        """The limits of today, and what the store says of the money."""
        self.limits = limits
        purse = self.purse
        if period and purse.period != period:
            self.purse = Purse(period, spent, spent)
            self.advance.micros = 0
        elif period and spent > purse.base:
            purse.base = spent
            purse.known = max(purse.known, spent)

    # ---------------------------------------------------------------------------------- in advance

    def take(self, want: Want, now: float) -> int | None:
        """From the advance; the second in which that is counted. None where it does not suffice."""
        advance, limits = self.advance, self.limits
        if now >= advance.until or advance.requests < want.requests:
            return None
        if limits.tpm is not None and advance.tokens < want.tokens:
            return None
        if limits.budget_micros is not None and advance.micros < want.micros:
            return None
        advance.requests -= want.requests
        advance.tokens -= want.tokens
        advance.micros -= want.micros
        advance.calls += 1
        return advance.second

    def expire(self, now: float) -> bool:
        """Give back the rest of an advance whose time is over; False while it goes on."""
        advance = self.advance
        if now < advance.until:
            return False
        self._ahead = min(self._ahead, advance.calls)
        self._returned(advance)
        self.advance = Advance()
        return True

    def _returned(self, advance: Advance) -> None:
        if advance.requests > 0:
            self.give_back(advance.second, Want(advance.requests, max(0, advance.tokens), 0))
        elif advance.tokens > 0:
            self.give_back(advance.second, Want(0, advance.tokens, 0))
        self.purse.held -= max(0, advance.micros)

    def give_back(self, second: int, want: Want) -> None:
        """It was granted, and nobody uses it."""
        if self.counts:
            self._use(second, -want.requests, -want.tokens)
        self.purse.held -= want.micros

    # ------------------------------------------------------------------------------------ together

    def question(self, wants: Sequence[Want], now: float, epoch: int, *, settled: bool) -> Question:
        """All that was not said yet, and what is wanted. settled: it has heard of everybody.

        To be followed by `answered`, `unheard` or `failed`.
        """
        limits, purse = self.limits, self.purse
        ahead, each = 0, (0, 0)
        if wants:
            if now - self._asked_at < ADVANCE_S:
                self._ahead = min(MOST_AHEAD, max(1, 2 * self._ahead))
            self._asked_at = now
            ahead = self._ahead if settled else 0
            each = _mean(wants, limits)
        used, self.unsaid = self.unsaid.said(), Minute()
        paid, purse.paid = purse.paid, 0
        return Question(
            me=self._me,
            epoch=epoch,
            settled=settled,
            rpm=_or_none(limits.rpm),
            tpm=_or_none(limits.tpm),
            budget=_or_none(limits.budget_micros),
            known=self._known and bool(self.minute.seconds),
            used=used,
            held=purse.held,
            floor=purse.known,
            paid=paid,
            wants=tuple((want.requests, want.tokens, want.micros) for want in wants),
            ahead=ahead,
            each=each,
            period=purse.period,
        )

    def answered(self, question: Question, answer: Answer, now: float) -> None:
        """now: when the question was sent."""
        purse, each = self.purse, question.each
        granted = [
            want for want, one in zip(question.wants, answer.verdicts, strict=True) if one.kind == GRANTED
        ]
        requests = sum(want[0] for want in granted) + answer.advance
        tokens = sum(want[1] for want in granted) + answer.advance * each[0]
        self._known = True
        self.minute.forget(answer.second)
        if requests and self.counts:
            self.minute.add(answer.second, requests, tokens)
        if purse.period == question.period and question.budget >= 0:
            purse.known = purse.base = max(purse.known, answer.spent)
            purse.held += sum(want[2] for want in granted) + answer.advance * each[1]
        if answer.advance:
            self._returned(self.advance)
            self.advance = Advance(
                answer.second,
                now + ADVANCE_S,
                answer.advance,
                answer.advance * each[0],
                answer.advance * each[1],
            )
        told = self._told
        lost = told is not None and (answer.requests < told.requests or answer.tokens < told.tokens)
        if question.settled or not lost:
            self._told = answer
            self._mine = (self.minute.requests, self.minute.tokens)

    def unheard(self, question: Question) -> None:
        """Nothing of it was taken. To be followed by `forgotten`."""
        if self.purse.period == question.period:
            self.purse.paid += question.paid

    def forgotten(self) -> None:
        """Nobody remembers us: all that still counts has to be said again."""
        self._known = False
        self.unsaid = Minute()
        for second, (requests, tokens) in self.minute.seconds.items():
            self.unsaid.add(second, requests, tokens)

    def failed(self, question: Question) -> None:
        """Perhaps it was heard, perhaps not. What counts against the key is said again, and fades in a minute."""
        for second, requests, tokens in question.used:
            self.unsaid.add(second, max(0, requests), max(0, tokens))
        if self.purse.period == question.period:
            self.purse.known += question.paid

    def cut_off(self) -> None:
        """From now on alone. What we paid is in the usage of the store by the time that others hear of us again."""
        self.purse.known += self.purse.paid
        self.purse.paid = 0

    # --------------------------------------------------------------------------------------- alone

    def alone(self, want: Want, second: int, processes: int, wall: float) -> int:
        """Take it out of our part: one of `processes` equal ones. Raises TooMany; the second in which it is counted."""
        self.check(want, second, processes, wall)
        if self.counts:
            self._use(second, want.requests, want.tokens)
        self.purse.held += want.micros if self.limits.budget_micros is not None else 0
        return second

    def check(self, want: Want, second: int, processes: int, wall: float) -> None:
        """Whether it is in our part. Raises TooMany; takes nothing."""
        if self.counts:
            self._check_part(want, second, processes)
        self._check_purse(want, processes, wall)

    def _check_part(self, want: Want, second: int, processes: int) -> None:
        minute, limits, told = self.minute, self.limits, self._told
        minute.forget(second)
        self.unsaid.forget(second)
        over = [0, 0]
        both = (limits.rpm, minute.requests, want.requests), (limits.tpm, minute.tokens, want.tokens)
        for index, (limit, used, more) in enumerate(both):
            if limit is None:
                continue
            part = max(1, limit // processes)
            more = min(more, part)  # noqa: PLW2901 - a single call that is larger than a part is let in alone
            if told is not None and second < told.second + KEEP_S:
                left = max(0, limit - (told.requests, told.tokens)[index])
                part = min(part, self._mine[index] + left // processes)
            over[index] = max(0, used + more - part)
        if any(over):
            raise out_of_minute(limits, over[0] > 0, minute.room_in(second, *over))

    def _check_purse(self, want: Want, processes: int, wall: float) -> None:
        purse, budget = self.purse, self.limits.budget_micros
        if budget is None:
            return
        mine = purse.known - purse.base + purse.paid + purse.held + want.micros
        if purse.known >= budget or mine > (budget - purse.base) // processes:
            raise out_of_money(self.limits, wall)

    # --------------------------------------------------------------------------------- afterwards

    def settle(self, hold: Hold, tokens: int | None, micros: int | None, *, shared: bool) -> None:
        """What a call did take. shared: whether others can be told."""
        if tokens is not None and self.counts and tokens != hold.want.tokens:
            self._use(hold.slot, 0, tokens - hold.want.tokens)
        purse = self.purse
        if hold.period and purse.period == hold.period:
            purse.held -= hold.want.micros
            paid = hold.want.micros if micros is None else micros
            if shared:
                purse.paid += paid
            else:
                purse.known += paid

    def _use(self, second: int, requests: int, tokens: int) -> None:
        if second in self.minute.seconds or requests > 0:
            self.minute.add(second, requests, tokens)
            self.unsaid.add(second, requests, tokens)


def verdict_error(limits: Limits, verdict: Verdict, wall: float) -> Exception:
    """The refusal in words."""
    if verdict.kind == NO_MONEY:
        return out_of_money(limits, wall)
    return out_of_minute(limits, verdict.kind == NO_REQUESTS, verdict.wait)


def _mean(wants: Sequence[Want], limits: Limits) -> tuple[int, int]:
    """Tokens and money of a usual call, where they are limited."""
    tokens = ceil(sum(want.tokens for want in wants) / len(wants))
    micros = ceil(sum(want.micros for want in wants) / len(wants))
    return (
        tokens if limits.tpm is not None else 0,
        micros if limits.budget_micros is not None else 0,
    )


def _or_none(limit: int | None) -> int:
    return -1 if limit is None else limit
