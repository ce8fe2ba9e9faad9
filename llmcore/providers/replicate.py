"""Replicate: predictions that are created, then polled or streamed from an address that it hands out.

Streams have been seen on hosts below replicate.com and below replicate.net.
"""

from __future__ import annotations

from llmcore.providers.place import Place
from llmcore.wire.replicate import ReplicateWire

PLACE = Place(
    kind="replicate",
    title="Replicate",
    wire=ReplicateWire(),
    base_url="https://api.replicate.com",
    key_env=("REPLICATE_API_TOKEN",),
    base_url_env=("REPLICATE_BASE_URL",),
    trusted_hosts=("replicate.com", "replicate.net"),
)
