"""The `[gateway]` table of a configuration to a `GatewayConfig`, or all complaints at once. Left out, the defaults hold."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from llmcore.errors import ConfigurationError
from llmcore.gateway.config import LOG_LEVELS, GatewayConfig, LimitsConfig
from llmcore.loader.rules import (
    BAD,
    Reader,
    boolean,
    choice,
    integer,
    number,
    plain_text,
    shown,
    table,
    words,
)
from llmcore.loader.text import Notes, filled, read_source
from llmcore.secret import Secret, Veiled

_LIMITS: dict[str, Reader] = {
    **dict.fromkeys(
        (
            "body",
            "media_body",
            "header",
            "messages",
            "tools",
            "inputs",
            "max_tokens",
            "uploads",
            "user_uploads",
        ),
        integer(1),
    ),
    **dict.fromkeys(("concurrent", "per_user", "json_depth"), integer(1)),
    **dict.fromkeys(
        ("headers", "upload", "request", "max_request", "stream", "idle_write"), number(above=True)
    ),
}


def _limits(value: Any, path: str, notes: Notes) -> Any:
    good = table(value, path, notes, _LIMITS, {"max_body": "body", "timeout": "request"})
    return BAD if good is None else LimitsConfig(**good)


def _port(value: Any, path: str, notes: Notes) -> Any:
    port = integer(0)(value, path, notes)
    if port is not BAD and port > 65535:
        notes.error(path, f"must be at most 65535, not {port}")
        return BAD
    return port


def _host(value: Any, path: str, notes: Notes) -> Any:
    text = plain_text(value, path, notes)
    if text is not BAD and ("/" in text or " " in text):
        notes.error(path, f"must be a host or address to listen at, not {shown(value)}")
        return BAD
    return text


def _public_url(value: Any, path: str, notes: Notes) -> Any:
    text = plain_text(value, path, notes)
    if text is BAD:
        return BAD
    try:
        parts = urlsplit(text)
        good = (
            parts.scheme in {"http", "https"}
            and parts.hostname
            and parts.path in {"", "/"}
            and parts.port != 0
        )
    except ValueError:
        good, parts = False, urlsplit("")
    if not good or parts.query or parts.fragment or "@" in parts.netloc:
        notes.error(path, 'must be the address that browsers use, such as "https://llm.example.org"')
        return BAD
    return text.rstrip("/").lower()


def _secret_url(schemes: tuple[str, ...], example: str) -> Reader:
    """An address with a password in it; nothing of it is ever shown."""

    def read(value: Any, path: str, notes: Notes) -> Any:
        if isinstance(value, Secret):
            return value
        if not isinstance(value, str) or not value.startswith(schemes):
            notes.error(path, f"must be an address such as {example!r}")
            return BAD
        return Secret(str(value))

    return read


_GATEWAY: dict[str, Reader] = {
    "host": _host,
    "port": _port,
    "workers": integer(1),
    "public_url": _public_url,
    "allowed_hosts": words,
    "trusted_proxies": words,
    "data_dir": plain_text,
    "database_url": _secret_url(("sqlite", "postgres"), "postgresql://user@host/name"),
    "redis_url": _secret_url(("redis://", "rediss://", "unix://"), "redis://host:6379/0"),
    "master_key_file": plain_text,
    "local_servers": words,
    "users_set_base_url": boolean,
    "allow_http": boolean,
    "keep_alive": number(above=True),
    "key_cache": number(),
    "session_days": number(above=True),
    "models_ttl": number(),
    "models_retry": number(),
    "open_metrics": boolean,
    "usage_days": integer(1),
    "tracing": boolean,
    "log_level": choice("log level", LOG_LEVELS),
    "drain": number(),
    "limits": _limits,
}

_WORDS = {
    **dict.fromkeys(("bind", "address", "listen"), "host"),
    **dict.fromkeys(("database", "db", "db_url"), "database_url"),
    **dict.fromkeys(("redis", "cache_url"), "redis_url"),
    **dict.fromkeys(("url", "base_url"), "public_url"),
    **dict.fromkeys(("hosts",), "allowed_hosts"),
    **dict.fromkeys(("master_key", "key_file"), "master_key_file"),
    "retention_days": "usage_days",
}


def load_gateway(
    source: str | os.PathLike[str] | Mapping[str, Any] | None, *, environ: Mapping[str, str]
) -> GatewayConfig:
    """The `[gateway]` table of a path, TOML text or mapping; the defaults where there is none, or no source.

    environ: where "${VAR}" is looked up. Raises ConfigurationError with every complaint.
    """
    if source is None:
        return GatewayConfig()
    notes = Notes()
    tree = read_source(source, notes)
    del source  # a text may hold passwords, and a traceback may show it
    config = GatewayConfig() if tree is None else _read(tree.get("gateway", {}), Veiled(environ), notes)
    if notes.errors:
        raise ConfigurationError(*notes.errors)
    return config


def _read(value: Any, environ: Mapping[str, str], notes: Notes) -> GatewayConfig:
    good = table(filled(value, "gateway", environ, notes), "gateway", notes, _GATEWAY, _WORDS)
    return GatewayConfig(**(good or {}))
