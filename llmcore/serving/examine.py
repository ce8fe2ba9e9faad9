"""Whether a gateway could start with a configuration: every complaint at once, with nothing started and nothing made.

Files are looked at, nobody is asked: a server that is away, or a database without users, is known at the start only.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Mapping
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from llmcore.errors import ConfigurationError
from llmcore.gateway.config import GatewayConfig
from llmcore.gateway.redis_link import RedisLink
from llmcore.gateway.store import StoreError
from llmcore.gateway.store.engine import read_url
from llmcore.gateway.vault import VaultError, choose
from llmcore.loader.text import Notes
from llmcore.serving.options import Options, database_url, gateway_config, master_key_file


def examine_gateway(path: Path, environ: Mapping[str, str], notes: Notes) -> None:
    """Note what is wrong with the `[gateway]` table of that file, and with what it names."""
    try:
        config = gateway_config(Options(config=str(path)), environ)
    except ConfigurationError as error:
        notes.errors += error.complaints
        return
    file = _database(config, environ, notes)
    _master_key(config, environ, notes)
    _redis(config, notes)
    _reach(config, file, notes)
    if config.tracing and find_spec("opentelemetry") is None:
        notes.error("gateway.tracing", _needs("otel"))


def _database(config: GatewayConfig, environ: Mapping[str, str], notes: Notes) -> Path | None:
    """The database's file; None where it is none, or an address that cannot be used."""
    where = "gateway.data_dir" if config.database_url is None else "gateway.database_url"
    try:
        url = read_url(database_url(config, environ))
    except StoreError as error:
        notes.error("gateway.database_url", str(error).removeprefix("database_url "))
        return None
    if url.get_backend_name() != "sqlite":
        if find_spec("asyncpg") is None:
            notes.error(where, _needs("postgres"))
        return None
    file = Path(url.database or "")
    if (wrong := _unusable(file)) is not None:
        notes.error(where, wrong)
    return file


def _master_key(config: GatewayConfig, environ: Mapping[str, str], notes: Notes) -> None:
    file = master_key_file(config, environ)
    where = "gateway.data_dir" if config.master_key_file is None else "gateway.master_key_file"
    try:
        source = choose(file, environ)
        keys = source.load()
    except VaultError as error:
        notes.error(where, str(error))
        return
    if not keys and config.master_key_file is not None:
        notes.warn(
            where,
            f"there is no file {file}; the first start makes one, any other needs the one that was there before",
        )
    if not keys and (wrong := _unusable(file)) is not None:
        notes.error(where, wrong)


def _redis(config: GatewayConfig, notes: Notes) -> None:
    if config.redis_url is not None:
        try:
            RedisLink(config.redis_url, lambda: 0.0)  # it opens nothing before it is asked
        except ConfigurationError as error:
            notes.errors += error.complaints


def _reach(config: GatewayConfig, file: Path | None, notes: Notes) -> None:
    if config.loopback:
        return
    refuses = (
        f"{config.host} can be reached by others, and without a user the gateway refuses to start there; make one "
        "with `llmcore keys create NAME`"
    )
    has_user = None if file is None else _has_user(file)
    if has_user is False:
        notes.error("gateway.host", refuses)
    elif has_user is None:
        notes.warn("gateway.host", f"{refuses}, if there is none yet")
    if config.host in {"0.0.0.0", "::"} and config.public_url is None and not config.allowed_hosts:  # noqa: S104 - compared with, not bound to
        notes.warn(
            "gateway.public_url",
            'is not set, so it answers under "localhost" alone; set the address that people use',
        )
    elif config.public_url is not None and not config.secure:
        notes.warn("gateway.public_url", "is not https: what is sent there, keys too, can be read on the way")


def _has_user(file: Path) -> bool | None:
    """Whether anybody is in that database; None where it cannot be told."""
    if not file.exists():
        return False
    running = file.with_name(f"{file.name}-wal").exists()
    how = "mode=ro" if running else "immutable=1"  # the latter makes no files beside it
    try:
        with closing(sqlite3.connect(f"file:{quote(str(file))}?{how}", uri=True, timeout=1.0)) as database:
            return database.execute("SELECT 1 FROM users LIMIT 1").fetchone() is not None
    except sqlite3.Error:
        return None


def _unusable(file: Path) -> str | None:
    """Why that file can be neither opened nor made."""
    try:
        found = file.stat()
    except (FileNotFoundError, NotADirectoryError):
        folder = next(one for one in file.absolute().parents if one.exists())
        if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
            return f"{file} cannot be made: {folder} {_why(folder)}; choose another place"
        return None
    except OSError as error:
        return f"{file} cannot be used: {error.strerror}"
    if not stat.S_ISREG(found.st_mode):
        return f"{file} is no file; choose another place"
    if not os.access(file, os.R_OK | os.W_OK):
        return f"{file} cannot be read and written by this user; run `chown` on it, or choose another place"
    return None


def _why(folder: Path) -> str:
    return "cannot be written by this user" if folder.is_dir() else "is no directory"


def _needs(extra: str) -> str:
    return f"needs the extra `{extra}`: pip install 'llmcore-kit[{extra}]'"
