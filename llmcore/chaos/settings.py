"""The settings under test: a user's own, with every address and key replaced, and every time scaled by one factor."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from attrs import evolve, field, frozen

from llmcore.chaos.nouns import Facts
from llmcore.config import BudgetConfig, FallbackConfig, KeyConfig, LlmConfig, Price, ProviderConfig, Timeouts
from llmcore.errors import ConfigurationError
from llmcore.loader import load_config
from llmcore.providers import find, kinds
from llmcore.sim.places import PLACE_OF_KIND

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_WINDOW = 32_768
_PRICES: Mapping[str, Price] = {"*": Price(1, 2)}
LOCAL_FIRST_TOKEN_S = 300.0
FIRST_TOKEN_S = 60.0


@frozen
class Profile:
    """How fast it goes: all times of settings, faults and bounds times `factor`; `stagger_s` real seconds between the
    starts of two cases.
    """

    name: str
    factor: float
    stagger_s: float = 0.05


FULL = Profile("full", 1.0, 0.1)
FAST = Profile("fast", 0.2)
PROFILES: Mapping[str, Profile] = {profile.name: profile for profile in (FAST, FULL)}


def load(path: Path) -> LlmConfig:
    """A user's configuration; keys that are not set stay unset, since none is used. Raises ConfigurationError."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigurationError(f"{path} cannot be read: {exc}") from None
    unset = {name: f"unset-{name.lower()}" for name in _VARIABLE.findall(text) if not os.environ.get(name)}
    return load_config(path, environ={**os.environ, **unset}, kinds=kinds())


def default_config() -> LlmConfig:
    """The defaults, over two providers."""
    return LlmConfig(
        (ProviderConfig("primary", "openai", priority=1), ProviderConfig("secondary", "openai", priority=2))
    )


def adopted(config: LlmConfig) -> LlmConfig:
    """The enabled providers in their shape, without anything that is secret or belongs to a vendor's account."""
    entries = tuple(_adopted(entry) for entry in config.providers if entry.enabled)
    if not entries:
        raise ConfigurationError("llm.providers: none is enabled; there is nothing to try")
    return evolve(config, providers=entries, prices="own")


def _adopted(entry: ProviderConfig) -> ProviderConfig:
    return evolve(
        entry,
        provider=_spoken(entry.provider),
        api_key=None,
        api_keys=tuple(KeyConfig(key.name, f"key-{at}", key.weight) for at, key in enumerate(entry.api_keys)),
        base_url=None,
        text_model="sim-model",
        embedding_model=None,
        max_tokens=None,
        models={},
        organization=None,
        project=None,
        headers={},
        extra={},
        prices=_PRICES,
        written={},
        capabilities=_capable(entry.capabilities),
    )


def _spoken(kind: str) -> str:
    """The kind, where the simulator speaks it, else "openai"."""
    known = find(kind).kind
    return known if known in PLACE_OF_KIND else "openai"


def _capable(capabilities: frozenset[str] | None) -> frozenset[str] | None:
    return None if capabilities is None else capabilities | {"tools"}


def placed(config: LlmConfig, urls: Mapping[str, str], models: Mapping[str, str], key: str) -> LlmConfig:
    """The configuration with these addresses and models, by provider's name. `key` is every provider's, in variations."""
    entries = (
        evolve(
            entry,
            base_url=urls[entry.name],
            api_key=None if entry.api_keys else f"{key}-{entry.name.encode().hex()}",
            api_keys=tuple(
                KeyConfig(one.name, f"{key}-{entry.name.encode().hex()}-{at}", one.weight)
                for at, one in enumerate(entry.api_keys)
            ),
            text_model=models[entry.name],
        )
        for entry in config.providers
    )
    return evolve(config, providers=tuple(entries))


def same_window(config: LlmConfig) -> LlmConfig:
    """All context windows known, and equal."""
    return evolve(config, providers=tuple(evolve(e, context_window=_WINDOW) for e in config.providers))


# ------------------------------------------------------------------------------------------------------ scale


def scaled(config: LlmConfig, factor: float) -> LlmConfig:
    """Every time in the configuration times `factor`, every rate divided by it."""
    if factor == 1.0:
        return config
    entries = tuple(_scaled_entry(entry, config.timeouts, factor) for entry in config.providers)
    return evolve(
        config,
        providers=entries,
        timeouts=scaled_timeouts(config.timeouts, factor),
        fallback=scaled_fallback(config.fallback, factor),
    )


def _scaled_entry(entry: ProviderConfig, common: Timeouts, factor: float) -> ProviderConfig:
    timeouts = entry.timeouts or common
    if timeouts.first_token is None:
        usual = LOCAL_FIRST_TOKEN_S if find(entry.provider).local else FIRST_TOKEN_S
        timeouts = evolve(timeouts, first_token=usual)
    return evolve(
        entry,
        timeouts=scaled_timeouts(timeouts, factor),
        rpm=None if entry.rpm is None else max(1, round(entry.rpm / factor)),
        tpm=None if entry.tpm is None else max(1, round(entry.tpm / factor)),
    )


def scaled_timeouts(timeouts: Timeouts, factor: float) -> Timeouts:
    return Timeouts(
        timeouts.connect * factor,
        timeouts.pool * factor,
        timeouts.write * factor,
        None if timeouts.first_token is None else timeouts.first_token * factor,
        timeouts.inter_chunk * factor,
        timeouts.total * factor,
    )


def scaled_fallback(fallback: FallbackConfig, factor: float) -> FallbackConfig:
    """The times within [llm.fallback]; a backoff that was left to us becomes the scaled 500 ms."""
    breaker = fallback.breaker
    hedge = fallback.hedge_after
    return evolve(
        fallback,
        retry_delay_ms=round((500 if fallback.retry_delay_ms is None else fallback.retry_delay_ms) * factor),
        max_delay_ms=round(fallback.max_delay_ms * factor),
        max_retry_after=fallback.max_retry_after * factor,
        prefer_failover_after=fallback.prefer_failover_after * factor,
        patience=fallback.patience * factor,
        reasoning_patience=fallback.reasoning_patience * factor,
        hedge_after=hedge * factor if isinstance(hedge, float) else hedge,
        breaker=evolve(
            breaker,
            window=breaker.window * factor,
            open_time=breaker.open_time * factor,
            max_open_time=breaker.max_open_time * factor,
        ),
        budget=_scaled_budget(fallback.budget, factor),
    )


def _scaled_budget(budget: BudgetConfig, factor: float) -> BudgetConfig:
    return evolve(budget, per_second=budget.per_second / factor)


# ------------------------------------------------------------------------------------------------------ facts


@frozen
class Tested:
    """The settings under test: scaled and without addresses. `first`: the provider that is asked first."""

    config: LlmConfig
    profile: Profile
    first: str = ""
    key: str = field(default="", repr=False)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(entry.name for entry in self.config.providers)

    @property
    def others(self) -> tuple[str, ...]:
        return tuple(name for name in self.names if name != self.first)

    def facts(self) -> Facts:
        fallback = self.config.fallback
        return Facts(
            self.names,
            self.first,
            fallback.retries,
            fallback.allow_policy_fallback,
            tuple((entry.name, entry.context_window) for entry in self.config.providers),
            self.profile.factor,
        )


def settings_for(config: LlmConfig, profile: Profile, key: str, first: str = "") -> Tested:
    return Tested(scaled(adopted(config), profile.factor), profile, first, key)
