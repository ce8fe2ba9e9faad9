"""Cohere: its own v2 wire for chat and embeddings."""

from __future__ import annotations

from llmcore.providers.place import Place
from llmcore.wire.cohere import CohereWire

PLACE = Place(
    kind="cohere",
    title="Cohere",
    wire=CohereWire(),
    base_url="https://api.cohere.com",
    key_env=("CO_API_KEY", "COHERE_API_KEY"),
    base_url_env=("CO_API_URL",),
)
