"""TOML text to a frozen `LlmConfig`, or all complaints at once, each "path: what is wrong; what to do".

`load_config` raises them together; `examine` hands them out beside warnings, for whoever shows them.
Nothing here starts anything: environment and known kinds are handed in.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from typing import Any

from attrs import evolve, fields, frozen

from llmcore.config import CAPABILITIES, LlmConfig, ProviderConfig, Timeouts, Written
from llmcore.errors import ConfigurationError
from llmcore.loader.fallback import read_fallback
from llmcore.loader.keys import Origins, read_keys
from llmcore.loader.rules import (
    BAD,
    Reader,
    anything,
    api_key,
    boolean,
    choice,
    choices,
    header_value,
    integer,
    mapping,
    number,
    plain_text,
    provider_name,
    shown,
    table,
    url,
)
from llmcore.loader.text import Notes, filled, key_path, read_source, variables_in
from llmcore.loader.together import check_together, claimed_names
from llmcore.prices import Price
from llmcore.secret import Secret, Veiled

TRANSPORTS = ("auto", "httpx", "fast")
PRICE_SOURCES = ("auto", "own", "off")


@frozen
class Report:
    """What `examine` found. config: None where there are errors."""

    config: LlmConfig | None
    errors: tuple[str, ...]
    warnings: tuple[str, ...]


def load_config(
    source: str | os.PathLike[str] | Mapping[str, Any], *, environ: Mapping[str, str], kinds: Collection[str]
) -> LlmConfig:
    """The configuration in `source`: a path, TOML text (with a line break or "="), or a mapping with the key `llm`.

    environ: where "${VAR}" is looked up. kinds: the known kinds of provider. Raises ConfigurationError with every
    complaint.
    """
    environ = Veiled(environ)
    report = examine(source, environ=environ, kinds=kinds)
    del source  # a text may hold keys, and a traceback may show it
    if report.config is None:
        raise ConfigurationError(*report.errors)
    return report.config


def examine(
    source: str | os.PathLike[str] | Mapping[str, Any], *, environ: Mapping[str, str], kinds: Collection[str]
) -> Report:
    """Like `load_config`, but never raises: the configuration if it can work, its errors, its warnings."""
    notes = Notes()
    tree = read_source(source, notes)
    config = None if tree is None else _read_root(tree, environ, kinds, notes)
    return Report(None if notes.errors else config, tuple(notes.errors), tuple(notes.warnings))


# ------------------------------------------------------------------------------------------------- tables


def _prices(value: Any, path: str, notes: Notes) -> Any:
    dollars = number()
    readers = dict.fromkeys(("input", "output", "cached_input", "cache_write"), dollars)
    good = table(value, path, notes, readers, {})
    if good is None or len(good) < len(value):
        return BAD
    if "input" not in good:
        notes.error(
            path, "has no input price; write { input = 0.15, output = 0.60 } (dollars per million tokens)"
        )
        return BAD
    return Price(**good)


_TIMEOUTS: dict[str, Reader] = {entry.name: number(above=True) for entry in fields(Timeouts)}


def _timeouts(value: Any, path: str, notes: Notes) -> Any:
    """Only the keys that were said; what they are laid over is known to the caller."""
    good = table(value, path, notes, _TIMEOUTS, {"read": "inter_chunk", "timeout": "total"})
    return BAD if good is None else good


def _as_is(value: Any, path: str, notes: Notes) -> Any:
    return value


def _provider_readers(kinds: Collection[str]) -> dict[str, Reader]:
    return {
        "name": provider_name,
        "provider": choice("provider", sorted(kinds)),
        "api_key": api_key,
        "api_keys": _as_is,  # read before, since a missing variable must not move the others up
        "base_url": url,
        "text_model": plain_text,
        "embedding_model": plain_text,
        "max_tokens": integer(1),
        "temperature": number(0, 2),
        "priority": integer(),
        "weight": number(),
        "max_in_flight": integer(1),
        "rpm": integer(1),
        "tpm": integer(1),
        "context_window": integer(1),
        "max_output_tokens": integer(1),
        "capabilities": choices("capability", CAPABILITIES),
        "enabled": boolean,
        "models": mapping(plain_text, '{ alias = "the vendor\'s name" }'),
        "api_version": plain_text,
        "organization": plain_text,
        "project": plain_text,
        "headers": mapping(header_value, '{ X-Name = "value" }'),
        "extra": anything,
        "timeouts": _timeouts,
        "transport": choice("transport", TRANSPORTS),
        "prices": mapping(_prices, '{ "model" = { input = 0.15, output = 0.60 } }'),
    }


_PROVIDER_WORDS = {
    **dict.fromkeys(("type", "kind", "vendor"), "provider"),
    **dict.fromkeys(("apikey", "api-key", "key", "token", "secret"), "api_key"),
    **dict.fromkeys(("keys", "apikeys", "api-keys"), "api_keys"),
    **dict.fromkeys(("url", "api_base", "endpoint", "host", "base"), "base_url"),
    **dict.fromkeys(("model", "chat_model", "default_model"), "text_model"),
    **dict.fromkeys(("embed_model", "embeddings_model"), "embedding_model"),
    **dict.fromkeys(("timeout", "request_timeout"), "timeouts"),
    **dict.fromkeys(("aliases", "alias"), "models"),
    **dict.fromkeys(("concurrency", "max_concurrency", "max_parallel"), "max_in_flight"),
    "requests_per_minute": "rpm",
    "tokens_per_minute": "tpm",
    **dict.fromkeys(("context", "context_length", "max_context"), "context_window"),
    **dict.fromkeys(("max_output", "output_limit"), "max_output_tokens"),
    **dict.fromkeys(("features", "supports"), "capabilities"),
}

_ROOT: dict[str, Reader] = {
    "providers": _as_is,
    "fallback": _as_is,
    "timeouts": _timeouts,
    "transport": choice("transport", TRANSPORTS),
    "prices": choice("price source", PRICE_SOURCES),
}


# ------------------------------------------------------------------------------------------------ reading


def _read_root(
    tree: Mapping[str, Any], environ: Mapping[str, str], kinds: Collection[str], notes: Notes
) -> LlmConfig | None:
    _check_top(tree, notes)
    llm = tree.get("llm")
    if not isinstance(llm, Mapping):
        return None
    entries = _entries(llm.get("providers"), notes)
    rest = filled({key: item for key, item in llm.items() if key != "providers"}, "llm", environ, notes)
    root = table({**rest, "providers": entries}, "llm", notes, _ROOT, {"provider": "providers"}) or {}
    timeouts = Timeouts(**root.get("timeouts", {}))
    readers = _provider_readers(kinds)
    providers = [
        _read_provider(entry, f"llm.providers[{index}]", environ, notes, readers, timeouts)
        for index, entry in enumerate(entries)
    ]
    fallback = read_fallback(root.get("fallback", {}), notes)
    check_together(providers, claimed_names(entries), fallback, notes)
    if notes.errors:
        return None
    return LlmConfig(
        providers=tuple(provider for provider in providers if provider is not None),
        fallback=fallback,
        timeouts=timeouts,
        transport=root.get("transport", "auto"),
        prices=root.get("prices", "auto"),
    )


def _check_top(tree: Mapping[str, Any], notes: Notes) -> None:
    for key in tree:
        if key not in {"llm", "gateway"}:  # the latter is read by `loader.gateway`
            meant = f"llm.{key}" if key in _ROOT else "llm" if "llm" in str(key).lower() else None
            hint = (
                f"did you mean {meant!r}?"
                if meant
                else "llmcore reads the tables llm and gateway and nothing beside them"
            )
            notes.error(key_path("", str(key)), f"unknown key; {hint}")
    if "llm" not in tree:
        notes.error("llm", "is missing; begin with a [[llm.providers]] entry, as config.toml shows")
    elif not isinstance(tree["llm"], Mapping):
        notes.error("llm", f"must be a table, not {shown(tree['llm'])}; write [llm]")


def _entries(value: Any, notes: Notes) -> list[Any]:
    if value is None or value == []:
        notes.error("llm.providers", "there are no providers; add at least one [[llm.providers]] entry")
    elif isinstance(value, Mapping):
        notes.error("llm.providers", "must be a list of tables; write [[llm.providers]] with two brackets")
    elif not isinstance(value, (list, tuple)):
        notes.error("llm.providers", f"must be a list of tables, not {shown(value)}; write [[llm.providers]]")
    else:
        return list(value)
    return []


def _read_provider(
    entry: Any,
    path: str,
    environ: Mapping[str, str],
    notes: Notes,
    readers: Mapping[str, Reader],
    timeouts: Timeouts,
) -> ProviderConfig | None:
    unused = isinstance(entry, Mapping) and entry.get("enabled") is False
    entry, origins = _with_keys(entry, path, environ, notes, quiet=unused)
    entry = filled(entry, path, environ, notes, quiet=unused)
    good = table(entry, path, notes, readers, _PROVIDER_WORDS)
    if good is None:
        return None
    if "provider" not in entry and f"{path}.provider" not in notes.dropped:
        notes.error(f"{path}.provider", 'is missing; say which kind of provider this is, such as "openai"')
    if "provider" not in good:
        return None
    if (own := good.pop("timeouts", None)) is not None:
        good["timeouts"] = evolve(timeouts, **own)
    written = {key: Written(text, value) for key, (text, value) in variables_in(entry).items()}
    written |= {
        (key,): Written(notes.dropped[where], Secret(""))
        for key in readers
        if (where := f"{path}.{key}") in notes.dropped
    }
    return ProviderConfig(**{"name": good["provider"], **good}, written=written | origins)


def _with_keys(
    entry: Any, path: str, environ: Mapping[str, str], notes: Notes, *, quiet: bool
) -> tuple[Any, Origins]:
    """The entry with its `api_keys` read, and where variables were used in them."""
    if not isinstance(entry, Mapping) or "api_keys" not in entry:
        return entry, {}
    where = f"{path}.api_keys"
    if "api_key" in entry:
        notes.error(where, "is given beside api_key; keep one of the two")
    keys, origins = read_keys(entry["api_keys"], where, environ, notes, quiet=quiet)
    return {**entry, "api_keys": keys}, origins
