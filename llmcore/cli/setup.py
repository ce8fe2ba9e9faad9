"""Which configuration a command works with: --config, else LLMCORE_CONFIG, else what the environment offers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from attrs import evolve

from llmcore.build import from_environment
from llmcore.config import LlmConfig, ProviderConfig
from llmcore.errors import ConfigurationError
from llmcore.loader import load_config
from llmcore.loader.text import near
from llmcore.providers import kinds

CONFIG_VARIABLE = "LLMCORE_CONFIG"


async def find_config(
    path: Path | None, provider: str | None = None, *, environ: Mapping[str, str] | None = None
) -> LlmConfig:
    """The configuration, of `provider` alone where one is named. Raises ConfigurationError with every complaint."""
    environ = os.environ if environ is None else environ
    chosen = path or (Path(environ[CONFIG_VARIABLE]) if environ.get(CONFIG_VARIABLE) else None)
    if chosen is not None:
        config = load_config(chosen, environ=environ, kinds=kinds())
    elif provider is not None and provider in kinds():
        config = LlmConfig((ProviderConfig(provider, provider),))
    else:
        config = await from_environment(environ)
    return config if provider is None else only(config, provider)


def only(config: LlmConfig, name: str) -> LlmConfig:
    """The configuration with that provider alone, enabled. Raises ConfigurationError for an unknown name."""
    for entry in config.providers:
        if entry.name == name:
            return evolve(
                config,
                providers=(evolve(entry, enabled=True),),
                fallback=evolve(config.fallback, fallbacks=()),
            )
    names = [entry.name for entry in config.providers]
    raise ConfigurationError(f"--provider: there is no provider named {name!r}; {near(name, names)}")


def enabled(config: LlmConfig) -> tuple[ProviderConfig, ...]:
    return tuple(entry for entry in config.providers if entry.enabled)
