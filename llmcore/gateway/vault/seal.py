"""AES-256-GCM for what must be read again: each ciphertext is bound to its place, so that moving it breaks it (T13, T4).

A sealed text is "v1." and Base64url of nonce (12 bytes), ciphertext and tag. The associated data are table, row, tenant,
field, origin and key id, each with its length before it, so that no two places have the same.
"""

from __future__ import annotations

import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable

from attrs import field, frozen
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from llmcore.gateway.vault.derive import derive, key_id_of
from llmcore.gateway.vault.errors import SealBroken
from llmcore.secret import Secret

VERSION = "v1."
NONCE_BYTES = 12
TAG_BYTES = 16


@frozen
class Place:
    """Where a ciphertext lives. origin: what else it is bound to (for a vendor's key: provider and origin of its URL)."""

    table: str
    row: str
    tenant: str
    field: str
    origin: str = ""

    def associated(self, key_id: str) -> bytes:
        """The associated data under that key."""
        parts = (self.table, self.row, self.tenant, self.field, self.origin, key_id)
        raw = [part.encode("utf-8", "surrogatepass") for part in parts]
        return b"".join(len(part).to_bytes(4, "big") + part for part in raw)


@frozen
class Sealed:
    """Ciphertext as it is stored, with the id of the master key that opens it."""

    text: str = field(repr=False)
    key_id: str


class Sealer:
    """Seals and opens with one master key. `purpose` separates its sub-key; entropy: `n` random bytes, for nonces."""

    __slots__ = ("_aead", "_entropy", "key_id")

    def __init__(
        self, master: bytes, purpose: str, entropy: Callable[[int], bytes] = secrets.token_bytes
    ) -> None:
        self.key_id: str = key_id_of(master)
        self._aead = AESGCM(derive(master, f"seal {purpose}"))
        self._entropy = entropy

    def __repr__(self) -> str:
        return f"Sealer({self.key_id})"

    def seal(self, place: Place, secret: Secret) -> Sealed:
        """`secret` for that place alone; every call gives another text."""
        nonce = self._entropy(NONCE_BYTES)
        box = self._aead.encrypt(nonce, secret.reveal().encode("utf-8"), place.associated(self.key_id))
        return Sealed(VERSION + urlsafe_b64encode(nonce + box).decode(), self.key_id)

    def open(self, place: Place, sealed: Sealed) -> Secret:
        """What was sealed there. Raises SealBroken for anything else."""
        raw = _raw(sealed.text)
        try:
            plain = self._aead.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], place.associated(sealed.key_id))
        except InvalidTag:
            plain = None
        if plain is None:
            raise broken(place)
        return Secret(plain.decode("utf-8"))


def broken(place: Place) -> SealBroken:
    """The one answer to everything that does not open."""
    return SealBroken(
        f"the stored value of {place.table}.{place.field} does not open: it was altered or moved; enter it again"
    )


def _raw(text: str) -> bytes:
    """Nonce, ciphertext and tag. Only the one canonical spelling is taken."""
    body = text.removeprefix(VERSION)
    try:
        raw = urlsafe_b64decode(body.encode("ascii"))
    except ValueError:
        raw = b""
    canonical = urlsafe_b64encode(raw).decode()
    if text == body or canonical != body or len(raw) < NONCE_BYTES + TAG_BYTES:
        msg = "a stored ciphertext is damaged; enter the value again"
        raise SealBroken(msg)
    return raw
