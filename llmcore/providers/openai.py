"""OpenAI: the chat-completions wire itself; organization and project go along as headers."""

from __future__ import annotations

from typing import ClassVar

from attrs import evolve

from llmcore.config import ProviderConfig
from llmcore.providers.place import Place
from llmcore.wire.openai import FEATURES, OpenAIWire


class OpenAIHostWire(OpenAIWire):
    """The wire as OpenAI's own hosts speak it; their rate-limit texts say how long to wait."""

    retry_hints_in_text: ClassVar[bool] = True


WIRE = OpenAIHostWire(
    features=FEATURES | {"files", "audio", "refusal"},
    max_tokens_field="max_completion_tokens",
    reasoning_back=False,
    max_call_id=40,
    embed_base64=True,
    embed_batch_chars=300_000,
)


def _wire(config: ProviderConfig) -> OpenAIHostWire:
    named = {"openai-organization": config.organization, "openai-project": config.project}
    return evolve(WIRE, headers={name: value for name, value in named.items() if value})


PLACE = Place(
    kind="openai",
    title="OpenAI",
    wire=WIRE,
    base_url="https://api.openai.com/v1",
    key_env=("OPENAI_API_KEY",),
    base_url_env=("OPENAI_BASE_URL",),
    configure=_wire,
)
