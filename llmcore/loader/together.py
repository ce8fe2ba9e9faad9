"""What can only be seen of a configuration as a whole: names, fallbacks, reach, weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmcore.config import FallbackConfig, ProviderConfig
from llmcore.loader.text import Notes, near


def check_together(
    providers: list[ProviderConfig | None], claimed: list[str], fallback: FallbackConfig, notes: Notes
) -> None:
    """Note what does not fit together. claimed: the name of each entry, also of those with faults."""
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
    _check_weights(enabled, fallback, notes)


def claimed_names(entries: list[Any]) -> list[str]:
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


def _check_weights(enabled: list[tuple[int, ProviderConfig]], fallback: FallbackConfig, notes: Notes) -> None:
    """Warn of weights that nobody reads, and of weights that say nothing."""
    if fallback.strategy == "weighted":
        if enabled and not any(provider.weight for _, provider in enabled):
            notes.warn("llm.providers", "every weight is 0, so all are treated alike; give one of them more")
        return
    for index, provider in enabled:
        if provider.weight != ProviderConfig("", "").weight:
            notes.warn(
                f"llm.providers[{index}].weight",
                f'is only read by strategy "weighted", not by {fallback.strategy!r}',
            )
