"""Ollama: models on one's own machine (no key), or in its cloud at https://ollama.com with OLLAMA_API_KEY."""

from __future__ import annotations

from urllib.parse import urlsplit

from llmcore.errors import ConfigurationError
from llmcore.providers.place import Place
from llmcore.wire.ollama import OllamaWire

PORT = 11434
_HERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - replaced, never listened on


def base_url_of(host: str) -> str:
    """OLLAMA_HOST as a base URL, read as Ollama's own client reads it. Raises ConfigurationError.

    It may lack the scheme (then http, port 11434), the port (with a scheme: that scheme's own) or the host; the
    address on which a server listens everywhere ("0.0.0.0", "::") stands for this machine.
    """
    text = host.strip().strip("\"'").rstrip("/")
    bare = "://" not in text
    if bare and text.count(":") > 1 and not text.startswith("["):
        text = f"[{text}]"
    try:
        parts = urlsplit(f"http://{text}" if bare else text)
        port = parts.port or (PORT if bare else None)
    except ValueError as exc:
        raise ConfigurationError(f"OLLAMA_HOST: no address: {exc}") from None
    name = parts.hostname or ""
    name = _HERE.get(name, name)
    name = f"[{name}]" if ":" in name else name
    return f"{parts.scheme}://{name}{f':{port}' if port else ''}{parts.path}"


PLACE = Place(
    kind="ollama",
    title="Ollama",
    wire=OllamaWire(),
    base_url="http://localhost:11434",
    key_env=("OLLAMA_API_KEY",),
    base_url_env=("OLLAMA_HOST",),
    key_required=False,
    local=True,
    read_base_url=base_url_of,
)
