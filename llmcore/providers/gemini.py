"""Google Gemini by API key, in version v1beta of the API.

v1beta and not v1: only it serves the `*-latest` models and every field that the dialect sends, and it is what Google's
own documentation and nearly all recorded traffic speak. `api_version` chooses another for Google's own address.
"""

from __future__ import annotations

import re

from llmcore.config import ProviderConfig
from llmcore.errors import ConfigurationError
from llmcore.providers.place import Place
from llmcore.wire.base import Wire
from llmcore.wire.gemini import GeminiWire
from llmcore.wire.gemini_contents import Dialect

HOST = "https://generativelanguage.googleapis.com"
VERSION = "v1beta"


def wire_for(config: ProviderConfig) -> Wire:
    """The wire in the configured version. Raises ConfigurationError where the address already says the version."""
    version = config.api_version
    if version is None:
        return PLACE.wire
    if config.base_url is not None:
        raise ConfigurationError(f"{config.name}.api_version: write the version into base_url instead")
    if not re.fullmatch(r"v\d+[a-z0-9]*", version):
        raise ConfigurationError(f"{config.name}.api_version: {version!r} is not like 'v1' or 'v1beta'")
    root = f"{HOST}/{version}"
    return GeminiWire(root=root, notes=Dialect(files_url=f"{root}/"))


PLACE = Place(
    kind="gemini",
    wire=GeminiWire(),
    title="Google Gemini",
    base_url=f"{HOST}/{VERSION}",
    key_env=("GOOGLE_API_KEY", "GEMINI_API_KEY"),
    auth_header="x-goog-api-key",
    auth_prefix="",
    aliases=("google",),
    configure=wire_for,
)
