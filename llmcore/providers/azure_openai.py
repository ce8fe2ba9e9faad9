"""Azure OpenAI: one's own resource as `base_url`; an `api_version` chooses the form with deployments in the path.

`base_url` is the endpoint, `https://{resource}.openai.azure.com`, and may end in `/openai`, `/openai/v1` or (Azure AI
resources) `/models`; `text_model` is the name of the deployment. Without `api_version` the v1 form is spoken.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from llmcore.config import ProviderConfig
from llmcore.providers.place import Place
from llmcore.wire.azure import AzureWire

MODERN = "2024-09-01"
"""From this API version on, `max_completion_tokens`, `stream_options` and JSON schemas are understood."""


def wire_of(config: ProviderConfig) -> AzureWire:
    """The wire that fits the address and the API version: a date asks for the form with deployments."""
    version = config.api_version
    path = urlsplit(config.base_url or "").path.rstrip("/")
    if path.endswith("/models"):
        return AzureWire(root="", max_tokens_field="max_tokens", api_version=version)
    if path.endswith("/v1"):
        return AzureWire(root="", api_version=version)
    root = "" if path.endswith("/openai") else "/openai"
    if version is None or not version[:1].isdigit():
        return AzureWire(root=f"{root}/v1", api_version=version)
    if version < MODERN:
        return AzureWire(
            root=root,
            deployments=True,
            api_version=version,
            max_tokens_field="max_tokens",
            stream_usage=False,
            structured="json_object",
        )
    return AzureWire(root=root, deployments=True, api_version=version)


def endpoint_of(text: str) -> str:
    """AZURE_OPENAI_ENDPOINT as the bare endpoint: many write the beginning of the path into it."""
    return text.strip().rstrip("/").removesuffix("/v1").removesuffix("/openai")


PLACE = Place(
    kind="azure_openai",
    title="Azure OpenAI",
    wire=AzureWire(),
    key_env=("AZURE_OPENAI_API_KEY",),
    base_url_env=("AZURE_OPENAI_ENDPOINT",),
    auth_header="api-key",
    auth_prefix="",
    aliases=("azure",),
    configure=wire_of,
    read_base_url=endpoint_of,
)
