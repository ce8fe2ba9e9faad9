"""Limits of keys where several processes serve and share nothing: each gives out its own equal part."""

from __future__ import annotations

from collections.abc import Callable

from llmcore.gateway.access.account import Account
from llmcore.gateway.access.limits import Hold, Want, period_of
from llmcore.gateway.access.principal import Limits

SWEEP_S = 5.0


class PartShares:
    """`Shares` of one of `parts` processes. now: monotonic seconds; wall: epoch seconds.

    All together never give out more than the limit, save where it is smaller than `parts`: each gives out one at least.
    A client that always meets the same process gets its part only.
    """

    def __init__(self, now: Callable[[], float], wall: Callable[[], float], parts: int) -> None:
        self._now = now
        self._wall = wall
        self._parts = parts
        self._accounts: dict[str, Account] = {}
        self._swept = now()

    @property
    def shared(self) -> bool:
        return False

    async def reserve(self, share: str, limits: Limits, want: Want, spent: int, /) -> Hold:
        now, wall = self._now(), self._wall()
        if limits.tpm is not None and want.tokens > limits.tpm:
            want = Want(want.requests, limits.tpm, want.micros)
        if now - self._swept >= SWEEP_S:
            self._sweep(now)
        account = self._accounts.get(share)
        if account is None:
            account = self._accounts[share] = Account(share, "")
        period = "" if limits.budget_micros is None else period_of(limits.period, wall)
        account.meet(limits, period, spent)
        return Hold(share, account.alone(want, int(now), self._parts, wall), want, period)

    async def settle(self, hold: Hold, tokens: int | None, micros: int | None, /) -> None:
        account = self._accounts.get(hold.share)
        if account is not None:
            account.settle(hold, tokens, micros, shared=False)

    def _sweep(self, now: float) -> None:
        """Forget the keys of which there is nothing to remember; their money is in the store by then."""
        self._swept = now
        self._accounts = {
            share: account for share, account in self._accounts.items() if not account.idle(int(now))
        }
