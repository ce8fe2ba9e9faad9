"""Sub-keys: one per purpose, by HKDF-SHA-256, so that what is made for one purpose proves nothing for another (T13)."""

from __future__ import annotations

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32

_PREFIX = b"llmcore gateway v1 "


def derive(key: bytes, purpose: str, length: int = KEY_BYTES) -> bytes:
    """The sub-key of `key` for `purpose`."""
    return HKDF(SHA256(), length, salt=None, info=_PREFIX + purpose.encode()).derive(key)


def key_id_of(key: bytes) -> str:
    """The public name of a master key, 12 hex digits; it says nothing about the key."""
    return derive(key, "key id", 6).hex()
