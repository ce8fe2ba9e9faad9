"""Settings know their origin and version; keys get two more limits; reasoning tokens are counted; audit is append-only."""

from __future__ import annotations

from urllib.parse import urlsplit

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("llm_settings", sa.Column("origin", sa.Text))
    op.add_column(
        "llm_settings", sa.Column("version", sa.BigInteger, nullable=False, server_default=sa.text("1"))
    )
    _fill_origins()
    op.add_column("virtual_keys", sa.Column("concurrent", sa.BigInteger))
    op.add_column("virtual_keys", sa.Column("max_tokens", sa.BigInteger))
    op.add_column("usage_attempts", sa.Column("reasoning_tokens", sa.BigInteger))
    op.add_column(
        "usage_attempts", sa.Column("counted", sa.String(16), nullable=False, server_default="unknown")
    )
    op.execute("UPDATE usage_attempts SET counted = 'measured' WHERE input_tokens IS NOT NULL")
    op.create_index("usage_attempts_of_user", "usage_attempts", ["user_id", "at", "id"])
    op.add_column(
        "usage_days",
        sa.Column("reasoning_tokens", sa.BigInteger, nullable=False, server_default=sa.text("0")),
    )
    _protect_audit()


def _fill_origins() -> None:
    """Scheme, host and port of each base_url. Where there is none to be read, the key goes: nobody knows where it may."""
    settings = sa.table(
        "llm_settings",
        *(sa.column(name) for name in ("user_id", "base_url", "origin", "sealed_key", "key_last4", "key_id")),
    )
    connection = op.get_bind()
    rows = connection.execute(sa.select(settings.c.user_id, settings.c.base_url)).all()
    for user_id, base_url in rows:
        if base_url is None:
            continue
        values = {"origin": _origin(base_url)}
        if values["origin"] is None:
            values |= {"sealed_key": None, "key_last4": None, "key_id": None}
        connection.execute(settings.update().where(settings.c.user_id == user_id).values(values))


def _origin(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        port = parts.port or {"https": 443, "http": 80}[parts.scheme]
    except (ValueError, KeyError):
        return None
    host = parts.hostname or ""
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{port}" if host else None


def _protect_audit() -> None:
    """The database itself refuses to change or delete what was recorded."""
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER audit_keeps_{verb.lower()} BEFORE {verb} ON audit "
                "BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
            )
        return
    op.execute(
        "CREATE FUNCTION audit_keeps() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$"
    )
    op.execute(
        "CREATE TRIGGER audit_keeps BEFORE UPDATE OR DELETE OR TRUNCATE ON audit "
        "FOR EACH STATEMENT EXECUTE FUNCTION audit_keeps()"
    )
