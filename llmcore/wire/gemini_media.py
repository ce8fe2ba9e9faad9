"""Images and documents as Gemini's `inlineData` (bytes) or `fileData` (an address that Google fetches itself).

Google fetches files of its own Files API, Cloud Storage (gs://), videos of its own, and on newer models any public or
signed https address; which model takes which is for the vendor to say. A missing media type is read from the bytes or
the address, and left out of `fileData` where neither tells.
"""

from __future__ import annotations

import binascii
from mimetypes import MimeTypes
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

from llmcore.errors import InvalidRequestError, UnsupportedFeatureError
from llmcore.types import File, Image
from llmcore.wire.base import Warnings

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"%PDF-", "application/pdf"),
)
_FETCHED = {"https", "http", "gs"}
_TYPES = MimeTypes()  # Python's own table; the machine's is not read


def image_part(image: Image, warnings: Warnings) -> dict[str, Any]:
    if image.detail != "auto":
        warnings.dropped("messages.image.detail", image.detail)
    if image.data is not None:
        return inline(image.data, image.media_type or sniffed(image.data) or "image/png")
    return _addressed(image.url or "", image.media_type)


def file_part(file: File, files_url: str) -> dict[str, Any]:
    """`files_url` is what makes a bare id ("files/abc", "abc") the address that the API wants."""
    if file.data is not None:
        kind = file.media_type or sniffed(file.data) or _guessed(file.filename or "")
        return inline(file.data, kind or "application/octet-stream")
    if file.file_id is not None:
        address = file.file_id
        if "://" not in address:
            address = f"{files_url}files/{address.removeprefix('files/')}"
        return _file_data(address, file.media_type)
    return _addressed(file.url or "", file.media_type or _guessed(file.filename or ""))


def inline(data: bytes, media_type: str) -> dict[str, Any]:
    return {"inlineData": {"mimeType": media_type, "data": binascii.b2a_base64(data, newline=False).decode()}}


def sniffed(data: bytes) -> str | None:
    """The media type by the first bytes, for the kinds that people send without saying."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for magic, kind in _MAGIC if data.startswith(magic)), None)


def _addressed(url: str, media_type: str | None) -> dict[str, Any]:
    scheme = url.partition(":")[0].lower()
    if scheme == "data":
        return _from_data_uri(url, media_type)
    if scheme not in _FETCHED:
        raise UnsupportedFeatureError(f"Gemini fetches https and gs addresses, not {scheme[:20]!r}")
    try:
        path = urlsplit(url).path
    except ValueError as exc:
        raise InvalidRequestError(f"messages: not an address: {exc}") from None
    return _file_data(url, media_type or _guessed(path))


def _file_data(address: str, media_type: str | None) -> dict[str, Any]:
    return {"fileData": {**({"mimeType": media_type} if media_type else {}), "fileUri": address}}


def _from_data_uri(url: str, media_type: str | None) -> dict[str, Any]:
    head, comma, text = url[5:].partition(",")
    if not comma:
        raise InvalidRequestError("messages: a data URI needs a comma before its data")
    kind, *marks = head.split(";")
    data = unquote_to_bytes(text)
    if "base64" in (mark.strip().lower() for mark in marks):
        try:
            data = binascii.a2b_base64(data)
        except binascii.Error:
            raise InvalidRequestError("messages: a data URI whose data is not base64") from None
    return inline(data, media_type or kind or sniffed(data) or "text/plain")


def _guessed(path: str) -> str | None:
    return _TYPES.guess_type(path, strict=False)[0]
