"""Open the vault at start: find the master keys, prove that they open what is stored, or refuse to start."""

from __future__ import annotations

import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from contextlib import suppress

from llmcore.gateway.store.sealed import SealedPepper
from llmcore.gateway.store.store import Store
from llmcore.gateway.vault.errors import MasterKeyMissing
from llmcore.gateway.vault.keyring import MasterKeys, new_key
from llmcore.gateway.vault.seal import Place, Sealed
from llmcore.gateway.vault.vault import Vault, sealers
from llmcore.secret import Secret

PEPPER = Place("meta", "pepper", "", "value")
PEPPER_BYTES = 32


async def open_vault(
    store: Store, source: MasterKeys, entropy: Callable[[int], bytes] = secrets.token_bytes
) -> Vault:
    """The vault of that store. A master key is made only where there is none and nothing was ever sealed.

    Raises MasterKeyMissing where stored ciphertext needs a key that is not there, MasterKeyUnsafe, SealBroken, StoreError.
    """
    keys = source.load() or await _first_key(store, source, entropy)
    box = sealers(keys, entropy)
    missing = sorted(await store.sealed.key_ids() - set(box))
    if missing:
        raise MasterKeyMissing(
            f"stored keys were sealed with master key {', '.join(missing)}, which is not in {source.where}; "
            "put it back (a new one cannot read them)"
        )
    pepper = await store.sealed.pepper()
    if pepper is None:
        sealer = next(iter(box.values()))
        made = sealer.seal(PEPPER, Secret(urlsafe_b64encode(entropy(PEPPER_BYTES)).decode()))
        pepper = await store.sealed.keep_pepper(SealedPepper(made.text, made.key_id))
    if pepper.key_id not in box:  # another machine has opened the same database for the first time just now
        raise MasterKeyMissing(
            f"the database was set up with master key {pepper.key_id}; copy it to {source.where}"
        )
    text = box[pepper.key_id].open(PEPPER, Sealed(pepper.sealed, pepper.key_id))
    return Vault(source, keys, urlsafe_b64decode(text.reveal()), entropy)


async def _first_key(store: Store, source: MasterKeys, entropy: Callable[[int], bytes]) -> tuple[bytes, ...]:
    needed = sorted(await store.sealed.key_ids())
    if needed:
        raise MasterKeyMissing(
            f"there is no master key in {source.where}, but stored keys were sealed with {', '.join(needed)}; "
            "put it back (a new one cannot read them)"
        )
    with suppress(FileExistsError):  # another process was faster, and its key is ours
        source.create(new_key(entropy))
    return source.load()
