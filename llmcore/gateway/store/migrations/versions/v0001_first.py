"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    _people()
    _settings_and_sessions()
    _usage()
    _audit()


def _user() -> sa.Column[str]:
    return sa.Column("user_id", sa.String(64), sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False)


def _people() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("name_key", sa.Text, nullable=False, unique=True),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("password_hash", sa.Text),
        sa.Column("disabled", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
    )
    op.create_table(
        "one_time_tokens",
        sa.Column("hash", sa.String(64), primary_key=True),
        _user(),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
        sa.Column("used_at", sa.Double),
    )
    op.create_table(
        "web_sessions",
        sa.Column("id_hash", sa.String(64), primary_key=True),
        _user(),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("last_seen_at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
        sa.Column("csrf", sa.String(64), nullable=False),
    )
    op.create_index("web_sessions_of_user", "web_sessions", ["user_id"])
    op.create_table(
        "virtual_keys",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("public_id", sa.String(32), nullable=False, unique=True),
        sa.Column("digest", sa.String(64), nullable=False),
        _user(),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("scopes", sa.JSON, nullable=False),
        sa.Column("models", sa.JSON),
        sa.Column("rpm", sa.BigInteger),
        sa.Column("tpm", sa.BigInteger),
        sa.Column("budget_micros", sa.BigInteger),
        sa.Column("budget_period", sa.String(8), nullable=False),
        sa.Column("spent_micros", sa.BigInteger, nullable=False),
        sa.Column("spent_period", sa.String(16)),
        sa.Column("expires_at", sa.Double),
        sa.Column("revoked_at", sa.Double),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("last_used_at", sa.Double),
    )
    op.create_index("virtual_keys_of_user", "virtual_keys", ["user_id", "created_at", "id"])


def _settings_and_sessions() -> None:
    op.create_table(
        "llm_settings",
        sa.Column("user_id", sa.String(64), primary_key=True),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("model", sa.Text),
        sa.Column("embedding_model", sa.Text),
        sa.Column("base_url", sa.Text),
        sa.Column("sealed_key", sa.Text),
        sa.Column("key_last4", sa.Text),
        sa.Column("key_id", sa.String(32)),
        sa.Column("temperature", sa.Double),
        sa.Column("max_tokens", sa.BigInteger),
        sa.Column("updated_at", sa.Double, nullable=False),
    )
    op.create_table(
        "chat_sessions",
        sa.Column("id", sa.String(64), primary_key=True),
        _user(),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("model", sa.Text),
        sa.Column("settings", sa.JSON, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
    )
    op.create_index("chat_sessions_of_user", "chat_sessions", ["user_id", "updated_at", "id"])
    op.create_table(
        "session_agents",
        sa.Column(
            "session_id",
            sa.String(64),
            sa.ForeignKey("chat_sessions.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("agent", sa.Text, primary_key=True),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("model", sa.Text),
    )
    op.create_table(
        "connection_tests",
        sa.Column("user_id", sa.String(64), primary_key=True),
        sa.Column("provider", sa.Text, primary_key=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("ok", sa.Boolean, nullable=False),
        sa.Column("latency_ms", sa.Double),
        sa.Column("error", sa.Text),
    )


def _usage() -> None:
    op.create_table(
        "usage_attempts",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("key_id", sa.String(64)),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("model", sa.Text),
        sa.Column("wire", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("final", sa.Boolean, nullable=False),
        sa.Column("status", sa.Integer),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("input_tokens", sa.BigInteger),
        sa.Column("output_tokens", sa.BigInteger),
        sa.Column("cached_tokens", sa.BigInteger),
        sa.Column("cost_micros", sa.BigInteger),
        sa.Column("duration_ms", sa.Double),
        sa.Column("first_token_ms", sa.Double),
        sa.Column("spend_period", sa.String(16)),
    )
    op.create_index("usage_attempts_at", "usage_attempts", ["at", "id"])
    whole = ("calls", "attempts", "errors", "input_tokens", "output_tokens", "cached_tokens", "cost_micros")
    op.create_table(
        "usage_days",
        sa.Column("day", sa.String(10), primary_key=True),
        sa.Column("user_id", sa.String(64), primary_key=True),
        sa.Column("key_id", sa.String(64), primary_key=True),
        sa.Column("provider", sa.Text, primary_key=True),
        sa.Column("model", sa.Text, primary_key=True),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in whole),
        sa.Column("unknown_cost_calls", sa.BigInteger, nullable=False),
        sa.Column("duration_ms", sa.Double, nullable=False),
    )


def _audit() -> None:
    op.create_table(
        "audit",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("detail", sa.JSON, nullable=False),
    )
    op.create_index("audit_at", "audit", ["at", "id"])
    meta = op.create_table(
        "meta",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
    op.bulk_insert(meta, [{"name": "retired_keys", "value": "[]"}])
