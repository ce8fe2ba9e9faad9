"""Pure: what one process knows of one key whose limits it shares with others; `shares.lua` is the other half.

Seconds are of the common clock (Redis' own) where nothing else is said. An advance is a small part of what is left, taken
beforehand so that calls need not wait; it counts as used from the start, lives a second, and its rest is given back.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from attrs import define, frozen

from llmcore.gateway.access.limits import Hold, Want, out_of_minute, out_of_money
from llmcore.gateway.access.principal import NO_LIMITS, Limits
from llmcore.gateway.access.used import KEEP_S, Minute, Purse, Used

ADVANCE_S = 1.0
MOST_AHEAD = 10_000
WANTS = 256

GRANTED, NO_REQUESTS, NO_TOKENS, NO_MONEY = range(4)


@frozen
class Question:
    """What is said to `shares.lua`, field by field. -1: no such limit.

    epoch: of which Redis, by when it began to count. turn: the number of this one; heard: of the last that this Redis has
    answered, 0 where it need not remember us. looks: only to know what others use. used: not said before. held: for all calls that run, and in advance. floor: what was
    spent at least; paid: since then. wants: (requests, tokens, micros). ahead: calls in advance, each of so many
    (tokens, micros).
    """

    me: str
    share: str
    epoch: int
    rpm: int
    tpm: int
    budget: int
    turn: int
    heard: int
    used: tuple[Used, ...]
    held: int
    floor: int
    paid: int
    wants: tuple[tuple[int, int, int], ...]
    ahead: int
    each: tuple[int, int]
    period: str = ""
    settled: bool = True
    looks: bool = False


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
    advance: int
    verdicts: tuple[Verdict, ...]

    @classmethod
    def of(cls, raw: Sequence[int]) -> Answer | None:
        """None where Redis has lost what it knew."""
        if raw[0] == 0:
            return None
        second, rest = raw[1], raw[7:]
        verdicts = [
            Verdict(kind, second, float(wait)) for kind, wait in zip(rest[::2], rest[1::2], strict=True)
        ]
        return cls(second, raw[3], raw[4], raw[5], raw[6], tuple(verdicts))


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
        self._turn = self._heard = 0
        self._ahead = 0
        self._asked_at = float("-inf")
        self._told: Answer | None = None
        self._mine: tuple[int, int] = (0, 0)
        self._asking: Want = Want(0)
        """What is wanted out of our part just now, and neither granted nor refused yet."""

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
        told = self._told
        others = told is not None and second < told.second + KEEP_S and (told.requests > 0 or told.tokens > 0)
        return not (self.minute.seconds or self.purse.held or self.changed or others)

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
        self._turn += 1
        used, self.unsaid = self.unsaid.said(), Minute()
        paid, purse.paid = purse.paid, 0
        return Question(
            me=self._me,
            share=self.share,
            looks=self.limits is NO_LIMITS,
            epoch=epoch,
            settled=settled,
            rpm=_or_none(limits.rpm),
            tpm=_or_none(limits.tpm),
            budget=_or_none(limits.budget_micros),
            turn=self._turn,
            heard=self._heard if self.minute.seconds else 0,
            used=used,
            held=purse.all_held,
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
        self._heard = question.turn
        self.minute.forget(answer.second)
        if requests and self.counts:
            self.minute.add(answer.second, requests, tokens)
        if purse.period == question.period and question.budget >= 0:
            purse.known = max(purse.known, answer.spent)
            if question.settled:
                purse.base = purse.known
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
        self._heard = 0
        self.unsaid = Minute()
        for second, (requests, tokens) in self.minute.seconds.items():
            self.unsaid.add(second, requests, tokens)

    def failed(self, question: Question, now: float) -> None:
        """Perhaps it was heard, perhaps not. What counts against the key is said again, and fades in a minute."""
        for second, requests, tokens in question.used:
            self.unsaid.add(second, max(0, requests), max(0, tokens))
        if self.purse.period == question.period:
            self.purse.pay_alone(question.paid, now)

    def cut_off(self, now: float) -> None:
        """From now on alone. What we paid is in the usage of the store soon; it must not be told a second time."""
        self.purse.pay_alone(self.purse.paid, now)
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

    def ask(self, want: Want, times: int) -> None:
        """It counts against our part while Redis is asked (1), and does so no longer (-1)."""
        before = self._asking
        self._asking = Want(
            before.requests + times * want.requests,
            before.tokens + times * want.tokens,
            before.micros + times * want.micros,
        )

    def _check_part(self, want: Want, second: int, processes: int) -> None:
        minute, limits, told = self.minute, self.limits, self._told
        minute.forget(second)
        self.unsaid.forget(second)
        over = [0, 0]
        requests, tokens = minute.requests + self._asking.requests, minute.tokens + self._asking.tokens
        both = (limits.rpm, requests, want.requests), (limits.tpm, tokens, want.tokens)
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
        asked = self._asking.micros + want.micros
        late = purse.all_held - purse.held  # the store may have told us of others' before ours
        mine = max(purse.known - purse.base, late) + purse.paid + purse.held + asked
        if purse.known >= budget or mine > (budget - purse.base) // processes:
            raise out_of_money(self.limits, wall)

    # --------------------------------------------------------------------------------- afterwards

    def settle(
        self, hold: Hold, tokens: int | None, micros: int | None, *, shared: bool, now: float | None = None
    ) -> None:
        """What a call did take. shared: whether others can be told; now: where they can be told later."""
        if tokens is not None and self.counts and tokens != hold.want.tokens:
            self._use(hold.slot, 0, tokens - hold.want.tokens)
        purse = self.purse
        if hold.period and purse.period == hold.period:
            purse.held -= hold.want.micros
            paid = hold.want.micros if micros is None else micros
            if shared:
                purse.paid += paid
            else:
                purse.pay_alone(paid, now)

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
