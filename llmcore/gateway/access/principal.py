"""Who is asking: the noun that every endpoint gets."""

from __future__ import annotations

from collections.abc import Container
from typing import Literal, TypeAlias

from attrs import frozen

Role: TypeAlias = Literal["admin", "user"]
Via: TypeAlias = Literal["key", "session", "single"]
Period: TypeAlias = Literal["day", "week", "month", "total"]

PERIODS: tuple[Period, ...] = ("day", "week", "month", "total")

INFERENCE = "inference"
ACCOUNT = "account"
ADMIN = "admin"
SCOPES: tuple[str, ...] = (INFERENCE, ACCOUNT, ADMIN)
"""inference: ask models. account: one's own settings, sessions and usage. admin: what administrators may, if one is."""

ALL_SCOPES = frozenset(SCOPES)


@frozen
class Limits:
    """rpm, tpm: requests and tokens in any 60 seconds. budget_micros: millionths of a US dollar per `period`.

    None for no limit. concurrent: calls at the same time. max_tokens: cap on what one answer may be asked to hold.
    """

    rpm: int | None = None
    tpm: int | None = None
    budget_micros: int | None = None
    period: Period = "month"
    concurrent: int | None = None
    max_tokens: int | None = None

    @property
    def free(self) -> bool:
        """Whether nothing needs to be counted."""
        return (
            self.rpm is None and self.tpm is None and self.budget_micros is None and self.concurrent is None
        )


NO_LIMITS = Limits()


@frozen
class Principal:
    """key_id: of the virtual key, None for a browser's session. models: those allowed, None for all.

    session_id: of the browser's session, whose `csrf` token unsafe requests must repeat. spent_micros: what the key had
    used up in `spent_period` (such as "2026-11") when it was last read.
    """

    user_id: str
    name: str
    role: Role
    via: Via
    key_id: str | None = None
    scopes: frozenset[str] = ALL_SCOPES
    models: frozenset[str] | None = None
    limits: Limits = NO_LIMITS
    csrf: str | None = None
    session_id: str | None = None
    spent_micros: int = 0

    @property
    def admin(self) -> bool:
        return self.role == "admin" and ADMIN in self.scopes

    @property
    def share(self) -> str:
        """What limits are counted by."""
        return self.key_id or self.user_id

    def may_use(self, model: str | None, names: Container[str]) -> bool:
        """Whether the allow-list has `model`, as the client wrote it or without its provider. names: of the system's
        providers; where the head of "name/model" is none of them, the slash is part of another model's name.
        """
        if self.models is None or model in self.models:
            return True
        head, _, tail = (model or "").partition("/")
        return tail in self.models and head in names
