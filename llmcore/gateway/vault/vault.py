"""The vault: seals and opens secrets with the master keys, and holds the pepper of all tokens.

The pepper is random, sealed under the master key, and lives in the database, so that changing master keys leaves virtual
keys, sessions and tokens valid. Nothing here asks the database; `opening.py` and `credentials.py` do.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence

from llmcore.gateway.vault.errors import MasterKeyMissing
from llmcore.gateway.vault.keyring import MasterKeys
from llmcore.gateway.vault.seal import Place, Sealed, Sealer, broken
from llmcore.gateway.vault.tokens import Tokens
from llmcore.secret import Secret

PURPOSE = "credentials"


class Vault:
    """Seals with the first master key, opens with each. `tokens` makes and proves virtual keys, sessions and the like.

    One that another process put into the keyring is found by itself, when a ciphertext asks for it.
    """

    def __init__(
        self,
        source: MasterKeys,
        keys: Sequence[bytes],
        pepper: bytes,
        entropy: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._source = source
        self._entropy = entropy
        self.tokens: Tokens = Tokens(pepper, entropy)
        self._sealers = sealers(keys, entropy)

    def __repr__(self) -> str:
        return f"Vault(key_ids={self.key_ids!r})"

    @property
    def key_id(self) -> str:
        """The id of the master key that seals."""
        return self.key_ids[0]

    @property
    def key_ids(self) -> tuple[str, ...]:
        return tuple(self._sealers)

    @property
    def source(self) -> MasterKeys:
        """Where the master keys are kept."""
        return self._source

    def seal(self, place: Place, secret: Secret) -> Sealed:
        return self._sealers[self.key_id].seal(place, secret)

    def open(self, place: Place, sealed: Sealed) -> Secret:
        """Raises SealBroken for what was altered, moved, or sealed with a key that is not here."""
        sealer = self._sealers.get(sealed.key_id)
        if sealer is None:
            self.reload()
            sealer = self._sealers.get(sealed.key_id)
        if sealer is None:
            raise broken(place)
        return sealer.open(place, sealed)

    def reload(self) -> None:
        """Read the keyring again. Raises MasterKeyMissing, MasterKeyUnsafe; then what was there stays."""
        keys = self._source.load()
        if not keys:
            raise MasterKeyMissing(f"the master keys are gone from {self._source.where}; restore them")
        self._sealers = sealers(keys, self._entropy)


def sealers(
    keys: Sequence[bytes], entropy: Callable[[int], bytes] = secrets.token_bytes, purpose: str = PURPOSE
) -> dict[str, Sealer]:
    """A sealer per key, by its id, in order."""
    made = [Sealer(key, purpose, entropy) for key in keys]
    return {sealer.key_id: sealer for sealer in made}
