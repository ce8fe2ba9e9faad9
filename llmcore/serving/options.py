"""What `llmcore serve` was told: files and environment to the two configurations, and where things are kept."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import asdict, evolve, frozen

from llmcore.config import LlmConfig
from llmcore.errors import ConfigurationError
from llmcore.gateway.config import GatewayConfig
from llmcore.gateway.store.engine import sqlite_url
from llmcore.loader import load_config
from llmcore.loader.gateway import load_gateway
from llmcore.providers import kinds
from llmcore.secret import Secret


@frozen
class Options:
    """The command's own words; None: as the file says."""

    config: str | None = None
    host: str | None = None
    port: int | None = None
    workers: int | None = None
    database_url: str | None = None
    redis_url: str | None = None
    data_dir: str | None = None
    public_url: str | None = None

    def as_text(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def of_text(cls, text: str) -> Options:
        return cls(**json.loads(text))


def gateway_config(options: Options, environ: Mapping[str, str]) -> GatewayConfig:
    """The `[gateway]` table, then the variables LLMCORE_DATABASE_URL and LLMCORE_REDIS_URL, then the options.

    Raises ConfigurationError with every complaint.
    """
    config = load_gateway(None if options.config is None else Path(options.config), environ=environ)
    said: dict[str, Any] = {
        "database_url": environ.get("LLMCORE_DATABASE_URL") or None,
        "redis_url": environ.get("LLMCORE_REDIS_URL") or None,
        "data_dir": environ.get("LLMCORE_DATA_DIR") or None,
    }
    said |= {name: value for name, value in asdict(options).items() if name != "config" and value is not None}
    said = {name: value for name, value in said.items() if value is not None}
    if not said:
        return config
    shown = {name: value for name, value in said.items() if name not in {"database_url", "redis_url"}}
    checked = load_gateway({"gateway": shown}, environ={})
    changes: dict[str, Any] = {name: getattr(checked, name) for name in shown}
    changes |= {name: Secret(said[name]) for name in ("database_url", "redis_url") if name in said}
    return evolve(config, **changes)


async def llm_config(options: Options, environ: Mapping[str, str]) -> LlmConfig:
    """The providers: of the file, else what the environment offers, or a complaint."""
    if options.config is not None:
        return read_file(options.config, environ)
    from llmcore.build import from_environment

    try:
        return await from_environment(environ)
    except ConfigurationError as error:
        raise ConfigurationError(
            *error.complaints, "a gateway needs at least one provider: --config, or a key in the environment"
        ) from None


def read_file(name: str, environ: Mapping[str, str]) -> LlmConfig:
    """The providers of that file. Raises ConfigurationError, also where everybody may write it: whoever can says where the
    keys go (T24).
    """
    path = Path(name)
    if os.name == "posix" and path.is_file() and path.stat().st_mode & stat.S_IWOTH:
        raise ConfigurationError(f"{path.name}: can be written by everybody; run `chmod o-w` on it")
    return load_config(path, environ=environ, kinds=kinds())


def data_dir(config: GatewayConfig, environ: Mapping[str, str]) -> Path:
    """Where the database file and the master key are, unless they are elsewhere by name."""
    if config.data_dir is not None:
        return Path(config.data_dir).expanduser()
    base = environ.get("XDG_DATA_HOME")
    home = Path(base) if base else Path(environ.get("HOME", "~")).expanduser() / ".local" / "share"
    return home / "llmcore"


def database_url(config: GatewayConfig, environ: Mapping[str, str]) -> Secret:
    return config.database_url or Secret(sqlite_url(data_dir(config, environ) / "gateway.db"))


def master_key_file(config: GatewayConfig, environ: Mapping[str, str]) -> Path:
    if config.master_key_file is not None:
        return Path(config.master_key_file).expanduser()
    return data_dir(config, environ) / "master.key"
