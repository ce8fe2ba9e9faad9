"""Random tokens: virtual keys, one-time tokens, web sessions. Only a keyed hash of each is ever stored (T6).

A virtual key reads `llmc-<public id>-<secret><checksum>`: 16, 43 and 6 characters of 0-9A-Za-z. The public id finds the
row, the checksum (CRC-32 of all before it) refuses typing errors without a question to the database, and the secret
(256 bits) is proved by HMAC-SHA-256 under a sub-key of the pepper, compared in constant time.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Callable
from typing import Literal, TypeAlias
from zlib import crc32

from attrs import field, frozen

from llmcore.gateway.vault.derive import derive
from llmcore.secret import Secret

Purpose: TypeAlias = Literal["virtual key", "one-time token", "web session", "csrf", "prompt"]
PURPOSES: tuple[Purpose, ...] = ("virtual key", "one-time token", "web session", "csrf", "prompt")

PREFIX = "llmc"
SECRET_BYTES = 32

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PUBLIC, _SECRET, _CHECK = 16, 43, 6
_KEY = re.compile(rf"{PREFIX}-([0-9A-Za-z]{{{_PUBLIC}}})-[0-9A-Za-z]{{{_SECRET}}}([0-9A-Za-z]{{{_CHECK}}})")
_OPAQUE = re.compile(rf"{PREFIX}[os]-[0-9A-Za-z]{{{_SECRET}}}")


@frozen
class NewVirtualKey:
    """A key that was just made. token: shown once and never stored; public_id and digest: what is stored."""

    token: Secret
    public_id: str
    digest: str = field(repr=False)


@frozen
class NewToken:
    """A one-time token or session id that was just made. token: given out once; digest: what is stored."""

    token: Secret
    digest: str = field(repr=False)


class Tokens:
    """Makes and proves tokens. pepper: 32 random bytes of this installation; entropy: `n` random bytes."""

    __slots__ = ("_entropy", "_keys")

    def __init__(self, pepper: bytes, entropy: Callable[[int], bytes] = secrets.token_bytes) -> None:
        self._keys = {purpose: derive(pepper, f"token {purpose}") for purpose in PURPOSES}
        self._entropy = entropy

    def __repr__(self) -> str:
        return "Tokens()"

    def digest(self, purpose: Purpose, token: str) -> str:
        """The keyed hash of `token` for `purpose`, 64 hex digits."""
        return hmac.digest(self._keys[purpose], token.encode("utf-8", "surrogatepass"), "sha256").hex()

    def matches(self, purpose: Purpose, token: str, digest: str) -> bool:
        """Whether `token` has that digest, in a time that says nothing about either."""
        return hmac.compare_digest(self.digest(purpose, token).encode(), digest.encode())

    def new_virtual_key(self) -> NewVirtualKey:
        public_id = _digits(self._entropy(12), _PUBLIC)
        body = f"{PREFIX}-{public_id}-{_digits(self._entropy(SECRET_BYTES), _SECRET)}"
        token = body + _checksum(body)
        return NewVirtualKey(Secret(token), public_id, self.digest("virtual key", token))

    def new_one_time_token(self) -> NewToken:
        return self._new("one-time token", "o")

    def new_session_id(self) -> NewToken:
        return self._new("web session", "s")

    def new_nonce(self) -> str:
        """What a session stores so that `csrf` can be derived: 22 characters."""
        return _digits(self._entropy(16), 22)

    def csrf(self, session_id: str, nonce: str) -> str:
        """The token that unsafe requests of that session must repeat."""
        return self.digest("csrf", f"{len(session_id)}:{session_id}{nonce}")

    def csrf_matches(self, session_id: str, nonce: str, token: str) -> bool:
        return hmac.compare_digest(
            self.csrf(session_id, nonce).encode(), token.encode("utf-8", "surrogatepass")
        )

    def _new(self, purpose: Purpose, letter: str) -> NewToken:
        token = f"{PREFIX}{letter}-{_digits(self._entropy(SECRET_BYTES), _SECRET)}"
        return NewToken(Secret(token), self.digest(purpose, token))


def public_id_of(token: str) -> str | None:
    """The public id inside a virtual key; None where it is not one (shape or checksum), without asking anybody."""
    found = _KEY.fullmatch(token)
    if found is None or _checksum(token[:-_CHECK]) != found[2]:
        return None
    return found[1]


def looks_opaque(token: str) -> bool:
    """Whether it has the shape of a one-time token or session id."""
    return _OPAQUE.fullmatch(token) is not None


def _checksum(text: str) -> str:
    return _digits(crc32(text.encode()).to_bytes(4, "big"), _CHECK)


def _digits(raw: bytes, length: int) -> str:
    """`raw` as a number of that many base-62 digits, leading zeros kept."""
    number = int.from_bytes(raw, "big")
    found = []
    for _ in range(length):
        number, digit = divmod(number, len(_DIGITS))
        found.append(_DIGITS[digit])
    return "".join(reversed(found))
