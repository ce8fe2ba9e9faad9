"""Rows as frozen values. Ids are random url-safe strings, times UTC epoch seconds, money millionths of a US dollar.

None means unknown or unset, never 0. `user_id` "" stands for the system where a row may belong to it.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from enum import Enum
from typing import Any, Final, Generic, Literal, TypeAlias, TypeVar

from attrs import field, frozen

from llmcore.gateway.access.principal import ALL_SCOPES, NO_LIMITS, Limits, Role

T = TypeVar("T")

SYSTEM = ""
"""Instead of a user's id: what counts where a user has nothing of their own."""


class Unset(Enum):
    """Type of `UNSET`: this field is not to be changed."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET


def new_id() -> str:
    """A random id of 22 url-safe characters (128 bits)."""
    return secrets.token_urlsafe(16)


@frozen
class Page(Generic[T]):
    """A piece of a list. next: the cursor of what follows; None at the end."""

    items: tuple[T, ...]
    next: str | None = None


@frozen
class User:
    """password_hash: argon2id, None for who signs in with tokens or keys only."""

    id: str
    name: str
    role: Role
    disabled: bool
    created_at: float
    password_hash: str | None = field(default=None, repr=False)


@frozen
class WebSession:
    """A signed-in browser. csrf: a nonce; the token that forms carry is derived from it by the vault."""

    id_hash: str = field(repr=False)
    user_id: str
    created_at: float
    last_seen_at: float
    expires_at: float
    csrf: str = field(repr=False)


@frozen
class VirtualKey:
    """A key of ours. public_id finds it, digest (keyed hash, hex) proves it. models: None for all.

    spent_micros: what it used up in `spent_period` (as `access.limits.period_of` names it).
    """

    id: str
    public_id: str
    digest: str = field(repr=False)
    user_id: str
    name: str
    created_at: float
    scopes: frozenset[str] = ALL_SCOPES
    models: frozenset[str] | None = None
    limits: Limits = NO_LIMITS
    expires_at: float | None = None
    revoked_at: float | None = None
    last_used_at: float | None = None
    spent_micros: int = 0
    spent_period: str | None = None

    def usable(self, now: float) -> bool:
        """Whether it is neither revoked nor expired at `now`."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@frozen
class KeyOwner:
    """A virtual key with whose it is, as authentication needs both."""

    key: VirtualKey
    user: User


@frozen
class SealedKey:
    """A vendor's key as it is stored: ciphertext, the id of the master key that opens it, the last four characters."""

    sealed: str = field(repr=False)
    key_id: str
    last4: str


@frozen
class LlmSettings:
    """What one user (or the system) chose. origin: scheme, host and port of base_url, to which the key is bound.

    version: 1 for the first write, one more with each; hand it back as `expected` to notice a change by others.
    """

    user_id: str
    provider: str
    version: int
    updated_at: float
    model: str | None = None
    embedding_model: str | None = None
    base_url: str | None = None
    origin: str | None = None
    key: SealedKey | None = None
    temperature: float | None = None
    max_tokens: int | None = None


@frozen
class SettingsChange:
    """A PATCH: what is UNSET stays, None clears. provider must be there in the first write.

    Another provider or base_url drops the stored key unless `key` comes with it.
    """

    provider: str | Unset = UNSET
    model: str | Unset | None = UNSET
    embedding_model: str | Unset | None = UNSET
    base_url: str | Unset | None = UNSET
    temperature: float | Unset | None = UNSET
    max_tokens: int | Unset | None = UNSET
    key: SealedKey | Unset | None = UNSET


@frozen
class SessionAgent:
    """The provider and model of one agent in a session."""

    agent: str
    provider: str
    model: str | None = None


@frozen
class ChatSession:
    """A conversation or agent run with a provider of its own. agents: those that use another one."""

    id: str
    user_id: str
    title: str
    provider: str
    model: str | None
    created_at: float
    updated_at: float
    settings: Mapping[str, Any] = field(factory=dict)
    agents: tuple[SessionAgent, ...] = ()


@frozen
class ConnectionTest:
    """What a connection test found. latency_ms: of the test call; error: one redacted sentence."""

    user_id: str
    provider: str
    at: float
    ok: bool
    latency_ms: float | None = None
    error: str | None = None


Counted: TypeAlias = Literal["measured", "estimated", "unknown"]


@frozen
class UsageAttempt:
    """One HTTP request to a provider. final: the one whose outcome the caller got (so calls are attempts that are final).

    wire: which API was asked ("openai", "responses", "anthropic", "embeddings"). outcome: "success", "cancelled" or the
    name of an error class. spend_period: the budget period that pays (`access.limits.period_of`), None where none does.
    """

    request_id: str
    at: float
    user_id: str
    provider: str
    wire: str
    outcome: str
    final: bool = True
    key_id: str | None = None
    model: str | None = None
    status: int | None = None
    why: str = "first"
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    counted: Counted = "unknown"
    cost_micros: int | None = None
    duration_ms: float | None = None
    first_token_ms: float | None = None
    spend_period: str | None = None
    id: str = field(factory=new_id)


@frozen
class UsageSums:
    """Sums over attempts. cost_micros: of those whose cost is known; unknown_cost_calls: how many are not in it."""

    calls: int = 0
    attempts: int = 0
    errors: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cost_micros: int = 0
    unknown_cost_calls: int = 0
    duration_ms: float = 0.0


@frozen
class UsageGroup:
    """The sums of one group: by holds the value of each dimension that was asked for, in that order."""

    by: tuple[str, ...]
    sums: UsageSums


@frozen
class AuditEntry:
    """Who did what to what. actor: user id, or "system"; source: address of the client. detail never holds a secret."""

    id: str
    at: float
    actor: str
    source: str
    action: str
    target: str
    detail: Mapping[str, Any] = field(factory=dict)
