"""The gateway's commands and their options; what they do is imported when one of them is called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from llmcore.cli.screen import Screen

Config = Annotated[Path | None, Parameter(name=["--config", "-c"], help="Configuration file (TOML).")]
DatabaseUrl = Annotated[
    str | None,
    Parameter(help="sqlite:///file or postgresql://user@host/name (default: a file in --data-dir)."),
]
DataDir = Annotated[Path | None, Parameter(help="Where the database file and the master key are.")]


def serve(
    *,
    config: Config = None,
    host: Annotated[str | None, Parameter(help="Address to listen at (default: 127.0.0.1).")] = None,
    port: Annotated[int | None, Parameter(help="Port to listen at (default: 8400).")] = None,
    workers: Annotated[int | None, Parameter(help="Processes (default: 1).")] = None,
    database_url: DatabaseUrl = None,
    redis_url: Annotated[
        str | None, Parameter(help="Shares limits, hints and where conversations stay.")
    ] = None,
    data_dir: DataDir = None,
    public_url: Annotated[str | None, Parameter(help="The address that browsers use.")] = None,
) -> int:
    """Serve the gateway: the OpenAI and Anthropic APIs over the configured providers, with users, keys and pages."""
    from llmcore.cli.serve import options_of
    from llmcore.cli.serve import serve as work

    told = options_of(config, host, port, workers, database_url, redis_url, data_dir, public_url)
    return work(told, Screen())


def upgrade(*, config: Config = None, database_url: DatabaseUrl = None, data_dir: DataDir = None) -> int:
    """Bring the database to this version's schema; `serve` does that by itself, too."""
    from llmcore.cli.serve import db_upgrade, options_of

    return db_upgrade(options_of(config, database_url=database_url, data_dir=data_dir), Screen())


def rotate(
    *,
    drop_old: Annotated[
        bool,
        Parameter(negative="", help="Instead, forget the old master keys: every process has the new one."),
    ] = False,
    config: Config = None,
    database_url: DatabaseUrl = None,
    data_dir: DataDir = None,
) -> int:
    """Seal the stored keys with a new master key, while the gateway runs."""
    from llmcore.cli.serve import keys_rotate, options_of

    told = options_of(config, database_url=database_url, data_dir=data_dir)
    return keys_rotate(told, Screen(), drop_old=drop_old)


def create(
    name: Annotated[str, Parameter(help="What the key is for.")],
    /,
    *,
    user: Annotated[str, Parameter(help="Whose key.", show_default=True)] = "admin",
    config: Config = None,
    database_url: DatabaseUrl = None,
    data_dir: DataDir = None,
) -> int:
    """Make a virtual key and show it once; in an empty database the user is made too, as an administrator."""
    from llmcore.cli.serve import keys_create, options_of

    told = options_of(config, database_url=database_url, data_dir=data_dir)
    return keys_create(told, Screen(), name=name, user=user)


def add_gateway(app: App) -> None:
    """Put them under `app`."""
    app.command(serve)
    db, keys = App(name="db", help="The gateway's database."), App(name="keys", help="The gateway's keys.")
    db.command(upgrade)
    keys.command(rotate)
    keys.command(create)
    app.command(db)
    app.command(keys)
