"""Images as addresses, for the dialects that take them so."""

from __future__ import annotations

from base64 import b64encode

from llmcore.types import Image


def image_url(image: Image) -> str:
    """The image's own address, or its bytes as a data URI (a PNG where the media type is not told)."""
    if image.data is None:
        return image.url or ""
    return f"data:{image.media_type or 'image/png'};base64,{b64encode(image.data).decode()}"
