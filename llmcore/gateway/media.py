"""Pictures, files and sound in a request: what may go to a provider. Nothing is ever fetched here.

An address is handed on only to vendors that fetch it from their own network, never to a server in ours; data is
looked at, so that a picture is one.
"""

from __future__ import annotations

import binascii
import ipaddress
from base64 import b64decode
from collections.abc import Iterator
from urllib.parse import urlsplit

from attrs import frozen

from llmcore.gateway.errors import BadRequest
from llmcore.types import Audio, File, Image, Message, Text, Thinking, ToolCall, ToolResult

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"RIFF", "image/webp"),
    (b"BM", "image/bmp"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
)
_HEIF = (b"heic", b"heix", b"mif1", b"avif", b"heif")
_PLAIN = (Text, Thinking, ToolCall)


@frozen
class Media:
    """What a request carries beside text. addresses: whether some of it must be fetched by the vendor; vendor_files:
    whether it names files that lie with the vendor.
    """

    addresses: bool = False
    vendor_files: bool = False


NONE = Media()


def media_of(messages: tuple[Message, ...]) -> Media | None:
    """What there is; None where there is only text. Raises BadRequest for what may not be sent."""
    found: Media | None = None
    for index, message in enumerate(messages):
        for part in message.parts:
            if type(part) in _PLAIN:
                continue
            here = _checked(part, f"messages[{index}]")
            if here is not None:
                known = found or NONE
                found = Media(known.addresses or here.addresses, known.vendor_files or here.vendor_files)
    return found


def _checked(part: object, where: str) -> Media | None:
    if isinstance(part, ToolResult):
        inner = [_checked(one, where) for one in _inside(part)]
        return next((one for one in inner if one is not None), None)
    if isinstance(part, Image):
        return _image(part, where)
    if isinstance(part, File):
        if part.url is not None:
            return _address(part.url, where)
        return Media(vendor_files=part.file_id is not None)
    return NONE if isinstance(part, Audio) else None


def _inside(part: ToolResult) -> Iterator[object]:
    return iter(()) if isinstance(part.content, str) else iter(part.content)


def _image(part: Image, where: str) -> Media:
    if part.url is not None and part.url[:5].lower() != "data:":
        return _address(part.url, where)
    start = part.data[:16] if part.data is not None else _start(part.url or "", where)
    if not _is_picture(start):
        raise BadRequest(
            f"{where}: this is no PNG, JPEG, GIF, WebP, BMP, TIFF or HEIC picture",
            param=where,
            code="invalid_image",
        )
    return NONE


def _start(url: str, where: str) -> bytes:
    """The first bytes of a data URI."""
    head, comma, data = url.partition(",")
    if not comma or not head.lower().endswith(";base64"):
        raise BadRequest(f"{where}: a data URI must be base64", param=where, code="invalid_image")
    try:
        return b64decode(data[:24], validate=True)
    except (binascii.Error, ValueError):
        raise BadRequest(f"{where}: the data URI is not base64", param=where, code="invalid_image") from None


def _is_picture(start: bytes) -> bool:
    if start[:4] == b"RIFF":
        return start[8:12] == b"WEBP"
    if start[4:8] == b"ftyp":
        return start[8:12] in _HEIF
    return any(start.startswith(magic) for magic, _ in _MAGIC)


def _address(url: str, where: str) -> Media:
    """Only https, and only to what looks like a public name; what it resolves to is the vendor's business."""
    try:
        parts = urlsplit(url)
        host, good = parts.hostname or "", parts.scheme.lower() == "https" and "\\" not in url
    except ValueError:
        host, good = "", False
    if not good or not _public_name(host) or "@" in urlsplit(url).netloc:
        raise BadRequest(
            f"{where}: pictures and files are taken as data URIs, or as https addresses with a public host name",
            param=where,
            code="invalid_url",
        )
    return Media(addresses=True)


def _public_name(host: str) -> bool:
    host = host.rstrip(".").lower()
    if "." not in host or host.endswith((".local", ".localhost", ".internal", ".lan", ".home.arpa")):
        return False
    if not host.isascii() or not host.rpartition(".")[2][:1].isalpha():
        return False  # a numeric last label is an address in some spelling
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return True
    return False
