"""OpenAI by its Responses API: reasoning that goes on over tool calls, hosted tools, files. Stateless: nothing is stored.

With `base_url = "https://{resource}.openai.azure.com/openai/v1"` it speaks to Azure OpenAI, whose v1 form takes the
key as a Bearer token too.
"""

from __future__ import annotations

from attrs import evolve

from llmcore.config import ProviderConfig
from llmcore.providers.place import Place
from llmcore.wire.responses import ResponsesWire

WITHOUT_REASONING = ("gpt-3.5", "gpt-4", "chatgpt-", "ft:gpt-3.5", "ft:gpt-4", "gpt-5-chat")
"""Models that answer 400 where sealed reasoning is asked for; the families are closed, later models all reason."""

WIRE = ResponsesWire(unsealed_models=WITHOUT_REASONING, embed_base64=True, embed_batch_chars=300_000)


def wire_of(config: ProviderConfig) -> ResponsesWire:
    """The wire with the headers that name organization and project."""
    named = {"openai-organization": config.organization, "openai-project": config.project}
    return evolve(WIRE, headers={name: value for name, value in named.items() if value})


PLACE = Place(
    kind="openai_responses",
    title="OpenAI (Responses)",
    wire=WIRE,
    base_url="https://api.openai.com/v1",
    key_env=("OPENAI_API_KEY",),
    base_url_env=("OPENAI_BASE_URL",),
    configure=wire_of,
)
