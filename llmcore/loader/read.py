"""TOML text to a frozen `LlmConfig`, or all complaints at once, each "path: what is wrong; what to do".

`load_config` raises them together; `examine` hands them out beside warnings, for whoever shows them.
Nothing here starts anything: environment and known kinds are handed in.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from typing import Any

from attrs import evolve, fields, frozen

from llmcore.config import STRATEGIES, FallbackConfig, LlmConfig, ProviderConfig, Timeouts, Written
from llmcore.errors import ConfigurationError
from llmcore.loader.rules import (
    BAD,
    Reader,
    anything,
    api_key,
    boolean,
    choice,
    header_value,
    integer,
    mapping,
    number,
    plain_text,
    provider_name,
    shown,
    table,
    url,
    words,
)
from llmcore.loader.text import Notes, filled, key_path, near, read_source, variables_in
from llmcore.prices import Price
from llmcore.secret import Secret

LATER_STRATEGIES = ("weighted", "least_busy", "latency", "cost")
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
    report = examine(source, environ=environ, kinds=kinds)
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


def _provider_readers(kinds: Collection[str]) -> dict[str, Reader]:
    return {
        "name": provider_name,
        "provider": choice("provider", sorted(kinds)),
        "api_key": api_key,
        "base_url": url,
        "text_model": plain_text,
        "embedding_model": plain_text,
        "max_tokens": integer(1),
        "temperature": number(0, 2),
        "priority": integer(),
        "weight": number(),
        "max_in_flight": integer(1),
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
    **dict.fromkeys(("url", "api_base", "endpoint", "host", "base"), "base_url"),
    **dict.fromkeys(("model", "chat_model", "default_model"), "text_model"),
    **dict.fromkeys(("embed_model", "embeddings_model"), "embedding_model"),
    **dict.fromkeys(("timeout", "request_timeout"), "timeouts"),
    **dict.fromkeys(("aliases", "alias"), "models"),
    **dict.fromkeys(("concurrency", "max_concurrency", "max_parallel"), "max_in_flight"),
}

_FALLBACK: dict[str, Reader] = {
    "enabled": boolean,
    "strategy": choice("strategy", STRATEGIES, LATER_STRATEGIES),
    "max_retries": integer(0),
    "retry_delay_ms": integer(0),
    "max_delay_ms": integer(0),
    "max_attempts": integer(1),
    "max_retry_after": number(),
    "prefer_failover_after": number(),
    "retry_after_send": boolean,
    "fallbacks": words,
}

_FALLBACK_WORDS = {"retries": "max_retries", "attempts": "max_attempts", "retry_delay": "retry_delay_ms"}


def _as_is(value: Any, path: str, notes: Notes) -> Any:
    return value


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
    fallback = _read_fallback(root.get("fallback", {}), notes)
    _check_together(providers, _claimed_names(entries), fallback, notes)
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
        if key != "llm":
            meant = f"llm.{key}" if key in _ROOT else "llm" if "llm" in str(key).lower() else None
            hint = (
                f"did you mean {meant!r}?" if meant else "llmcore reads the table llm and nothing beside it"
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
    return ProviderConfig(**{"name": good["provider"], **good}, written=written)


def _read_fallback(value: Any, notes: Notes) -> FallbackConfig:
    good = table(value, "llm.fallback", notes, _FALLBACK, _FALLBACK_WORDS)
    return FallbackConfig(**(good or {}))


# --------------------------------------------------------------------------------------- cross-checks


def _check_together(
    providers: list[ProviderConfig | None], claimed: list[str], fallback: FallbackConfig, notes: Notes
) -> None:
    _check_names(claimed, notes)
    known = [(index, provider) for index, provider in enumerate(providers) if provider is not None]
    enabled = [(index, provider) for index, provider in known if provider.enabled]
    if known and len(known) == len(providers) and not enabled:
        notes.error("llm.providers", "no provider is enabled; set enabled = true on one")
    for index, provider in enabled:
        if not (provider.text_model or provider.embedding_model or provider.models):
            where = f"llm.providers[{index}]"
            notes.warn(where, "has no text_model; only calls that name a model can be answered here")
    _check_fallbacks([provider for _, provider in known], claimed, fallback, notes)
    _check_reach(enabled, fallback, notes)


def _claimed_names(entries: list[Any]) -> list[str]:
    """The name that each entry gives itself, whatever its other faults; "" where it gives none."""
    names = [
        entry.get("name", entry.get("provider")) if isinstance(entry, Mapping) else None for entry in entries
    ]
    return [name if isinstance(name, str) else "" for name in names]


def _check_names(claimed: list[str], notes: Notes) -> None:
    first: dict[str, int] = {}
    for index, name in enumerate(claimed):
        other = first.setdefault(name, index)
        if name and other != index:
            notes.error(
                f"llm.providers[{index}].name",
                f"{name!r} is also the name of llm.providers[{other}]; give each its own name",
            )


def _check_fallbacks(
    known: list[ProviderConfig], claimed: list[str], fallback: FallbackConfig, notes: Notes
) -> None:
    names = {provider.name: provider for provider in known}
    for index, name in enumerate(fallback.fallbacks):
        path = f"llm.fallback.fallbacks[{index}]"
        if name not in claimed:
            notes.error(path, f"there is no provider named {name!r}; {near(name, claimed)}")
        elif name in names and not names[name].enabled:
            notes.warn(path, f"{name!r} is not enabled and will never be asked; set enabled = true there")
    if fallback.fallbacks and fallback.strategy != "retry":
        notes.warn(
            "llm.fallback.fallbacks", f'is only read by strategy "retry", not by {fallback.strategy!r}'
        )


def _check_reach(enabled: list[tuple[int, ProviderConfig]], fallback: FallbackConfig, notes: Notes) -> None:
    """Warn of enabled providers that no call will reach, unless it names them."""
    if fallback.enabled and fallback.strategy != "retry":
        return
    why = 'with strategy "retry"' if fallback.enabled else "while llm.fallback.enabled = false"
    advice = "name it in llm.fallback.fallbacks" if fallback.enabled else "enable the fallback"
    reached = fallback.fallbacks if fallback.enabled else ()
    first = min(enabled, key=lambda item: item[1].priority, default=None)
    for item in enabled:
        index, provider = item
        if item is not first and provider.name not in reached:
            notes.warn(
                f"llm.providers[{index}]",
                f"{provider.name!r} is never asked {why}, except by calls that name it; {advice}",
            )
