"""What became of one call, for whoever keeps books; written after the answer, never waited for."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal
from typing import Protocol

from attrs import frozen

from llmcore.gateway.access.principal import Principal
from llmcore.types import Attempt

_MICROS = Decimal(1_000_000)


@frozen
class CallRecord:
    """One ended call. at: epoch seconds of its beginning; wire: which API was asked; period: that pays, "" for none.

    outcome: "success", "cancelled" or the name of an error class. own: whether a provider of the user's own was asked.
    """

    request_id: str
    at: float
    principal: Principal
    wire: str
    outcome: str
    attempts: tuple[Attempt, ...] = ()
    period: str = ""
    own: bool = False


class Books(Protocol):
    """Where ended calls are noted."""

    def add(self, record: CallRecord, /) -> None:
        """Note it; must not block or raise."""
        ...


def micros(cost: Decimal | None) -> int | None:
    """Millionths of a US dollar, rounded up; None where the cost is not known."""
    return None if cost is None else int((cost * _MICROS).to_integral_value(ROUND_CEILING))


def taken(attempts: tuple[Attempt, ...]) -> tuple[int | None, int | None]:
    """Tokens and millionths of a dollar of all attempts; None where not one of them is known."""
    tokens: int | None = None
    money: int | None = None
    for attempt in attempts:
        total = attempt.usage.total_tokens
        if total is not None:
            tokens = (tokens or 0) + total
        cost = attempt.usage.cost_usd
        if cost is not None:
            money = (money or 0) + (micros(cost) or 0)
    return tokens, money
