"""Anthropic: the Messages wire; the API version is `api_version`, and older ones still take sampling values."""

from __future__ import annotations

from llmcore.config import ProviderConfig
from llmcore.providers.place import Place
from llmcore.wire.anthropic import VERSION, AnthropicWire


def _wire(config: ProviderConfig) -> AnthropicWire:
    headers = {name.lower(): value for name, value in config.headers.items()}
    betas = headers.get("anthropic-beta", "").split(",")
    return AnthropicWire(
        version=config.api_version or headers.get("anthropic-version") or VERSION,
        betas=tuple(beta.strip() for beta in betas if beta.strip()),
    )


PLACE = Place(
    kind="anthropic",
    title="Anthropic",
    wire=AnthropicWire(),
    base_url="https://api.anthropic.com",
    key_env=("ANTHROPIC_API_KEY",),
    base_url_env=("ANTHROPIC_BASE_URL",),
    auth_header="x-api-key",
    auth_prefix="",
    configure=_wire,
)
