"""The tables of the newest schema, as SQLAlchemy Core sees them. `migrations/` makes them; a test holds both together."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)
from sqlalchemy.engine import Dialect

from llmcore.gateway.store.errors import StoreInvalid


class Words(TypeDecorator[str]):
    """Text that both databases can hold: neither NUL nor half of a surrogate pair. Raises StoreInvalid for others."""

    impl: type[Text] = Text
    cache_ok: bool | None = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None or (value.isascii() and "\0" not in value):
            return value
        if "\0" in value or any("\ud800" <= char <= "\udfff" for char in value):
            msg = "a text holds a character that cannot be stored"
            raise StoreInvalid(msg)
        return value


metadata: MetaData = MetaData()
"""Names the tables; holds nothing else."""


def _id(name: str = "id", *, primary_key: bool = False) -> Column[str]:
    return Column(name, String(64), nullable=False, primary_key=primary_key)


def _user() -> Column[str]:
    return Column("user_id", String(64), ForeignKey("users.id", ondelete="CASCADE"), nullable=False)


def _at(name: str, *, nullable: bool = False) -> Column[float]:
    return Column(name, Double, nullable=nullable)


users: Table = Table(
    "users",
    metadata,
    _id(primary_key=True),
    Column("name", Words, nullable=False),
    Column("name_key", Words, nullable=False, unique=True),  # NFKC and case folded: no two look the same
    Column("role", String(16), nullable=False),
    Column("password_hash", Text),
    Column("disabled", Boolean, nullable=False),
    _at("created_at"),
)

one_time_tokens: Table = Table(
    "one_time_tokens",
    metadata,
    Column("hash", String(64), primary_key=True),
    _user(),
    _at("created_at"),
    _at("expires_at"),
    _at("used_at", nullable=True),
)

web_sessions: Table = Table(
    "web_sessions",
    metadata,
    Column("id_hash", String(64), primary_key=True),
    _user(),
    _at("created_at"),
    _at("last_seen_at"),
    _at("expires_at"),
    Column("csrf", String(64), nullable=False),
    Index("web_sessions_of_user", "user_id"),
)

virtual_keys: Table = Table(
    "virtual_keys",
    metadata,
    _id(primary_key=True),
    Column("public_id", String(32), nullable=False, unique=True),
    Column("digest", String(64), nullable=False),
    _user(),
    Column("name", Words, nullable=False),
    Column("scopes", JSON, nullable=False),
    Column("models", JSON(none_as_null=True)),
    Column("rpm", BigInteger),
    Column("tpm", BigInteger),
    Column("budget_micros", BigInteger),
    Column("budget_period", String(8), nullable=False),
    Column("concurrent", BigInteger),
    Column("max_tokens", BigInteger),
    Column("spent_micros", BigInteger, nullable=False),
    Column("spent_period", String(16)),
    _at("expires_at", nullable=True),
    _at("revoked_at", nullable=True),
    _at("created_at"),
    _at("last_used_at", nullable=True),
    Index("virtual_keys_of_user", "user_id", "created_at", "id"),
)

llm_settings: Table = Table(
    "llm_settings",
    metadata,
    _id("user_id", primary_key=True),  # "" is the system, so this is no foreign key
    Column("provider", Words, nullable=False),
    Column("model", Words),
    Column("embedding_model", Words),
    Column("base_url", Words),
    Column("origin", Words),
    Column("sealed_key", Text),
    Column("key_last4", Words),
    Column("key_id", String(32)),
    Column("temperature", Double),
    Column("max_tokens", BigInteger),
    _at("updated_at"),
    Column("version", BigInteger, nullable=False),
)

chat_sessions: Table = Table(
    "chat_sessions",
    metadata,
    _id(primary_key=True),
    _user(),
    Column("title", Words, nullable=False),
    Column("provider", Words, nullable=False),
    Column("model", Words),
    Column("settings", JSON, nullable=False),
    _at("created_at"),
    _at("updated_at"),
    Index("chat_sessions_of_user", "user_id", "updated_at", "id"),
)

session_agents: Table = Table(
    "session_agents",
    metadata,
    Column("session_id", String(64), ForeignKey("chat_sessions.id", ondelete="CASCADE"), primary_key=True),
    Column("agent", Words, primary_key=True),
    Column("provider", Words, nullable=False),
    Column("model", Words),
)

connection_tests: Table = Table(
    "connection_tests",
    metadata,
    _id("user_id", primary_key=True),  # the last test of each provider
    Column("provider", Words, primary_key=True),
    _at("at"),
    Column("ok", Boolean, nullable=False),
    Column("latency_ms", Double),
    Column("error", Words),
)

COUNTS = ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens")

usage_attempts: Table = Table(
    "usage_attempts",
    metadata,
    _id(primary_key=True),
    _at("at"),
    Column("request_id", Words, nullable=False),
    _id("user_id"),  # no foreign key: what was spent stays known when a user goes
    Column("key_id", String(64)),
    Column("provider", Words, nullable=False),
    Column("model", Words),
    Column("wire", Words, nullable=False),
    Column("outcome", Words, nullable=False),
    Column("final", Boolean, nullable=False),
    Column("status", Integer),
    Column("why", Words, nullable=False),
    *(Column(name, BigInteger) for name in COUNTS),
    Column("counted", String(16), nullable=False),
    Column("cost_micros", BigInteger),
    Column("duration_ms", Double),
    Column("first_token_ms", Double),
    Column("spend_period", String(16)),
    Index("usage_attempts_of_user", "user_id", "at", "id"),
    Index("usage_attempts_at", "at", "id"),
)

usage_days: Table = Table(
    "usage_days",
    metadata,
    Column("day", String(10), primary_key=True),  # "2026-11-21", UTC
    _id("user_id", primary_key=True),
    _id("key_id", primary_key=True),  # "" where there was none
    Column("provider", Words, primary_key=True),
    Column("model", Words, primary_key=True),  # "" where there was none
    *(
        Column(name, BigInteger, nullable=False)
        for name in ("calls", "attempts", "errors", *COUNTS, "cost_micros", "unknown_cost_calls")
    ),
    Column("duration_ms", Double, nullable=False),
)

audit: Table = Table(
    "audit",
    metadata,
    _id(primary_key=True),
    _at("at"),
    Column("actor", Words, nullable=False),
    Column("source", Words, nullable=False),
    Column("action", Words, nullable=False),
    Column("target", Words, nullable=False),
    Column("detail", JSON, nullable=False),
    Index("audit_at", "at", "id"),
)

meta: Table = Table(
    "meta", metadata, Column("name", String(64), primary_key=True), Column("value", Text, nullable=False)
)
"""Single values: "pepper" (sealed), "retired_keys" (ids of master keys that may seal nothing any more)."""
