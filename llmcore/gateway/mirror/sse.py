"""Server-sent events, and the one JSON writer of the mirrors. JSON text holds no line break, so no text can end an event."""

from __future__ import annotations

import json
from typing import Any

import msgspec

DONE = b"data: [DONE]\n\n"
"""The end of a stream in the OpenAI wire."""

KEEP_ALIVE = b": keep-alive\n\n"
"""A comment: every client passes over it."""

_encode = msgspec.json.Encoder().encode


def dumps(value: Any) -> bytes:
    """Values to compact JSON. Lone surrogates and integers beyond 64 bits, which a vendor may have sent, are kept."""
    try:
        return _encode(value)
    except (UnicodeEncodeError, OverflowError):
        return json.dumps(value, separators=(",", ":")).encode()


def data(value: Any) -> bytes:
    """One event without a name."""
    return b"data: %b\n\n" % dumps(value)


def event(name: str, value: Any) -> bytes:
    """One named event; `name` is ours, never a vendor's."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), dumps(value))
