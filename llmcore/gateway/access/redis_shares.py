"""Limits of keys that several processes share through Redis; alone with its part of them while Redis is away.

One task speaks with Redis, for all calls that wait at that moment and all that was used meanwhile, in one round trip. A
busy key has an advance, so that most of its calls wait for nobody. Whoever must wait does so for a quarter of a second at
most; then, and until Redis answers again, each process gives out its own part of the limits.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

import anyio
import msgspec
from anyio.abc import TaskGroup
from attrs import define, frozen

from llmcore.gateway.access.account import (
    GRANTED,
    WANTS,
    Account,
    Answer,
    Question,
    Verdict,
    verdict_error,
)
from llmcore.gateway.access.limits import Hold, Want, period_of
from llmcore.gateway.access.peers import Peers
from llmcore.gateway.access.principal import Limits
from llmcore.gateway.redis_link import REST_S, LinkLost, LinkState, RedisLink
from llmcore.secret import Secret

SHARES = "access/shares.lua"
ALIVE = "access/alive.lua"
PREFIX = "llmcore:"
TICK_S = 0.1
"""How soon others hear of what a call did take in the end."""
BEAT_S = 1.0
SWEEP_S = 5.0
FAREWELL_S = 1.0
ACCOUNTS = 200
"""How many keys are spoken of in one round trip."""


@frozen
class SharesState:
    """shared: whether limits hold for all processes together. processes: how many there are, as far as is known. since:
    epoch seconds of the last change; why: the kind of fault.
    """

    shared: bool
    processes: int
    since: float
    why: str | None = None


@define(eq=False)
class _Waiter:
    want: Want
    verdict: asyncio.Future[Verdict | None]
    """None: decide it alone."""


class RedisShares:
    """`Shares` for several processes, for the time of its block. now: monotonic seconds; wall: epoch seconds.

    told(state): called when Redis has gone or come back; it must not block or raise. prefix: of all keys in Redis; who
    uses the same one shares. parts: how many processes there are at least. Raises ConfigurationError for a URL that is none.
    """

    def __init__(
        self,
        url: Secret,
        now: Callable[[], float],
        wall: Callable[[], float],
        *,
        prefix: str = PREFIX,
        parts: int = 1,
        told: Callable[[LinkState], None] | None = None,
    ) -> None:
        self._now = now
        self._wall = wall
        self._prefix = prefix
        self._link = RedisLink(url, wall, told)
        self._me = secrets.token_urlsafe(9)
        self._accounts: dict[str, Account] = {}
        self._waiting: dict[str, list[_Waiter]] = {}
        self._changed: set[str] = set()
        self._advanced: set[str] = set()
        self._late: set[str] = set()
        """Of these we have paid alone, and others may not know it yet."""
        self._wake = asyncio.Event()
        self._group: TaskGroup | None = None
        self._peers = Peers(self._me, parts)
        self._untold: set[str] = set()
        """What Redis has not heard from us since we came to it."""
        self._ahead_of_us = wall() - now()
        """What the common clock shows more than `now`."""

    @property
    def shared(self) -> bool:
        return self._link.state.up and self._peers.settled

    @property
    def state(self) -> SharesState:
        """For the status page."""
        link, shared = self._link.state, self.shared
        why = "it has not heard from all processes yet" if link.up and not shared else link.why
        return SharesState(shared, self._peers.count, link.since, why)

    async def __aenter__(self) -> Self:
        try:
            await self._alive()
        except LinkLost:
            self._cut_off()
        self._group = anyio.create_task_group()
        await self._group.__aenter__()
        self._group.start_soon(self._speak)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        assert self._group is not None
        self._group.cancel_scope.cancel()
        try:
            return await self._group.__aexit__(exc_type, exc, traceback)
        finally:
            await self._farewell()

    # ------------------------------------------------------------------------------------- Shares

    async def reserve(self, share: str, limits: Limits, want: Want, spent: int, /) -> Hold:
        if limits.tpm is not None and want.tokens > limits.tpm:
            want = Want(want.requests, limits.tpm, want.micros)
        account = self._accounts.get(share)
        if account is None:
            account = self._accounts[share] = Account(share, self._me)
        wall = self._wall()
        period = "" if limits.budget_micros is None else period_of(limits.period, wall)
        account.meet(limits, period, spent)
        second = account.take(want, self._now())
        if second is None and self._link.state.up and self._group is not None:
            second = await self._asked(account, want, wall)
        if second is None:
            second = account.alone(want, self._second(), self._peers.count, wall)
            self._changed.add(share)
        return Hold(share, second, want, period)

    async def settle(self, hold: Hold, tokens: int | None, micros: int | None, /) -> None:
        account = self._accounts.get(hold.share)
        if account is not None:
            shared = self._link.state.up
            account.settle(hold, tokens, micros, shared=shared, now=self._now())
            self._changed.add(hold.share)
            if not shared:
                self._late.add(hold.share)

    async def _asked(self, account: Account, want: Want, wall: float) -> int | None:
        """As `_granted`; while others may not have told what they used, no more than our part either."""
        if self.shared:
            return await self._granted(account, want)
        account.check(want, self._second(), self._peers.count, wall)
        account.ask(want, 1)
        try:
            return await self._granted(account, want)
        finally:
            account.ask(want, -1)

    async def _granted(self, account: Account, want: Want) -> int | None:
        """The second in which it is counted; None where nobody can be asked. Raises TooMany."""
        share = account.share
        waiter = _Waiter(want, asyncio.get_running_loop().create_future())
        self._waiting.setdefault(share, []).append(waiter)
        self._wake.set()
        try:
            verdict = await waiter.verdict
        except asyncio.CancelledError:
            if waiter.verdict.done() and not waiter.verdict.cancelled():
                self._unwanted(account, want, waiter.verdict.result())
            raise
        if verdict is None:
            return None
        if verdict.kind != GRANTED:
            raise verdict_error(account.limits, verdict, self._wall())
        return verdict.second

    def _unwanted(self, account: Account, want: Want, verdict: Verdict | None) -> None:
        if verdict is not None and verdict.kind == GRANTED:
            account.give_back(verdict.second, want)
            self._changed.add(account.share)

    def _second(self) -> int:
        return int(self._now() + self._ahead_of_us)

    # -------------------------------------------------------------------- the one that speaks with Redis

    async def _speak(self) -> None:
        beat = swept = self._now()
        while True:
            await self._woken()
            try:
                self._expired()
                if self._now() - beat >= BEAT_S or not self._link.state.up:
                    beat = self._now()
                    await self._alive()
                if self._waiting or self._changed:
                    untold = bool(self._untold)
                    await self._exchange()
                    if untold and not self._untold:
                        await self._alive()
            except LinkLost:
                self._cut_off()
                await anyio.sleep(REST_S)
            if self._now() - swept >= SWEEP_S:
                swept = self._now()
                self._forget()

    async def _woken(self) -> None:
        """Until somebody waits, or it is time to look."""
        if not self._waiting:
            self._wake.clear()
            with anyio.move_on_after(TICK_S if self._accounts else BEAT_S):
                await self._wake.wait()

    def _expired(self) -> None:
        now = self._now()
        for share in list(self._advanced):
            account = self._accounts.get(share)
            if account is None or account.expire(now):
                self._advanced.discard(share)
                self._changed.add(share)
        for share in list(self._late):
            account = self._accounts.get(share)
            if account is None or account.purse.all_known(now):
                self._late.discard(share)
                self._changed.add(share)

    async def _exchange(self) -> None:
        """Everybody who waits gets a verdict, and all that changed is said. Raises LinkLost; then nobody is left waiting."""
        asked: list[tuple[Account, Question, list[_Waiter]]] = []
        sent, settled = self._now(), self.shared
        for share in self._next():
            account = self._accounts[share]
            self._changed.discard(share)
            waiters = self._taken(share)
            question = account.question(
                [one.want for one in waiters], sent, self._peers.epoch, settled=settled
            )
            asked.append((account, question, waiters))
        try:
            calls = [self._call(question, account.share) for account, question, _ in asked]
            raw = await self._link.run(SHARES, calls)
        except BaseException:
            for account, question, waiters in asked:
                account.failed(question, sent)
                self._changed.add(account.share)
                _decided(waiters, None)
            raise
        lost = False
        for (account, question, waiters), numbers in zip(asked, raw, strict=True):
            answer = Answer.of(numbers)
            if answer is None:
                lost = True
                account.unheard(question)
                account.forgotten()
                self._changed.add(account.share)
                _decided(waiters, None)
            else:
                self._heard(account, question, answer, waiters, sent)
        if lost:
            await self._alive()

    def _heard(
        self, account: Account, question: Question, answer: Answer, waiters: list[_Waiter], sent: float
    ) -> None:
        self._untold.discard(account.share)
        account.answered(question, answer, sent)
        if answer.advance:
            self._advanced.add(account.share)
        for waiter, verdict in zip(waiters, answer.verdicts, strict=True):
            if waiter.verdict.done():
                self._unwanted(account, waiter.want, verdict)
            else:
                waiter.verdict.set_result(verdict)

    def _next(self) -> list[str]:
        """Those for whom somebody waits, then those of whom there is something to say."""
        shares = list(self._waiting)[:ACCOUNTS]
        for share in self._changed:
            if len(shares) >= ACCOUNTS:
                break
            if share in self._accounts and share not in self._waiting:
                shares.append(share)
        return shares

    def _taken(self, share: str) -> list[_Waiter]:
        waiters = [one for one in self._waiting.pop(share, ()) if not one.verdict.done()]
        if len(waiters) > WANTS:
            self._waiting[share] = waiters[WANTS:]
        return waiters[:WANTS]

    def _call(self, question: Question, share: str) -> tuple[Sequence[str], Sequence[str | bytes]]:
        keys = (
            f"{self._prefix}minute:{share}",
            f"{self._prefix}purse:{share}:{question.period}",
            f"{self._prefix}processes",
            f"{self._prefix}began",
            f"{self._prefix}in_use",
        )
        return keys, (msgspec.json.encode(question),)

    async def _alive(self) -> None:
        """Say that we are there, and learn who else is, and since when Redis counts. Raises LinkLost."""
        keys = [self._prefix + name for name in ("processes", "began", "told", "in_use")]
        sign = self._peers.sign(told=not self._untold)
        (raw,) = await self._link.run(ALIVE, [(keys, sign)])
        now = self._now()
        heard = self._peers.heard(raw, now)
        self._ahead_of_us = heard.second + heard.micros / 1_000_000 - now
        for share in heard.in_use:  # what others use counts here, too, when Redis is gone
            self._accounts.setdefault(share, Account(share, self._me))
            self._changed.add(share)
        if heard.back:
            self._nobody_decides()  # they were to be measured by all that is used, not by our part
            self._untold = set(self._accounts)
            self._changed |= self._untold
        if heard.new:
            for account in self._accounts.values():
                account.forgotten()

    def _nobody_decides(self) -> None:
        """Whoever waits goes by our part."""
        waiting, self._waiting = self._waiting, {}
        for waiters in waiting.values():
            _decided(waiters, None)

    def _cut_off(self) -> None:
        now = self._now()
        self._peers.cut_off()
        self._nobody_decides()
        for share, account in self._accounts.items():
            account.cut_off(now)
            self._changed.add(share)
            self._late.add(share)

    def _forget(self) -> None:
        second = self._second()
        idle = [
            share
            for share, account in self._accounts.items()
            if not (share in self._waiting or share in self._advanced or share in self._late)
            and account.idle(second)
        ]
        for share in idle:
            del self._accounts[share]
        self._changed.intersection_update(self._accounts)
        self._untold.intersection_update(self._accounts)

    async def _farewell(self) -> None:
        """Give back what is left, say what was paid, and be gone for the others."""
        with anyio.CancelScope(shield=True):
            try:
                with anyio.move_on_after(FAREWELL_S):
                    await self._all_said()
            except LinkLost:
                self._cut_off()
            finally:
                await self._link.aclose()

    async def _all_said(self) -> None:
        if not self._link.state.up:
            return
        for account in self._accounts.values():
            account.expire(float("inf"))
        self._changed = set(self._accounts)
        while self._changed:
            await self._exchange()
        for name in ("processes", "told"):
            await self._link.command("ZREM", self._prefix + name, self._me)


def _decided(waiters: Sequence[_Waiter], verdict: Verdict | None) -> None:
    for waiter in waiters:
        if not waiter.verdict.done():
            waiter.verdict.set_result(verdict)
