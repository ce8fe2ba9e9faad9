"""Pictures, files and sound as clients write them: text to nouns. Which addresses may go on is decided behind it."""

from __future__ import annotations

import mimetypes

from llmcore.gateway.mirror.read import a_string, data_uri, fail, from_base64
from llmcore.types import Audio, File

SOUNDS = {
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
    "aac": "audio/aac",
    "m4a": "audio/mp4",
    "opus": "audio/opus",
}
"""The words of `input_audio.format` and their media types; OpenAI itself knows the first two."""

_WEB = ("http://", "https://")


def image_address(value: object, param: str) -> str:
    """An image's address: http(s), or a data URI. Raises BadRequest."""
    url = a_string(value, param)
    if not url[:8].lower().startswith(("data:", *_WEB)):
        fail(
            param,
            "must be an https address, or the picture itself as data:image/png;base64,<data>",
            code="invalid_image_url",
        )
    return url


def file_of(data: str, filename: str | None, param: str) -> File:
    """A file by data URI, by http(s) address, or by plain base64 (its type told by its name). Raises BadRequest."""
    start = data[:8].lower()
    if start.startswith("data:"):
        media_type, content = data_uri(data, param)
        return File(content, media_type=media_type or None, filename=filename)
    if start.startswith(_WEB):
        return File(url=data, filename=filename)
    guessed = mimetypes.guess_type(filename)[0] if filename else None
    return File(from_base64(data, param), media_type=guessed, filename=filename)


def sound_of(data: str, sound: str, param: str) -> Audio:
    """Recorded sound; `sound` is one of `SOUNDS`."""
    return Audio(from_base64(data, param), SOUNDS[sound])
