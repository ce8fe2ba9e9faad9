"""Change the master key while everything runs: add a new one, seal all anew in small steps, remove the old one on demand.

At every moment each ciphertext opens with one of the keys in the keyring, so a rotation may be killed and run again.
Where several machines have a keyring each, give all of them the new key first (`add_key` prints nothing: copy the file).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

from attrs import evolve, frozen

from llmcore.gateway.store.records import LlmSettings
from llmcore.gateway.store.sealed import SealedPepper
from llmcore.gateway.store.store import Store
from llmcore.gateway.vault.credentials import api_key, seal_key
from llmcore.gateway.vault.derive import key_id_of
from llmcore.gateway.vault.errors import SealBroken
from llmcore.gateway.vault.keyring import new_key
from llmcore.gateway.vault.opening import PEPPER
from llmcore.gateway.vault.seal import Sealed
from llmcore.gateway.vault.vault import Vault

BATCH = 50


@frozen
class Rotation:
    """What came of it. added: whether a key was made (not where an earlier rotation had to be finished).

    resealed: values that were sealed anew. broken: users whose stored key opens with no key, and stays as it is.
    """

    key_id: str
    added: bool
    resealed: int
    broken: tuple[str, ...] = ()


async def rotate(
    store: Store, vault: Vault, entropy: Callable[[int], bytes] = secrets.token_bytes
) -> Rotation:
    """Seal everything with a new master key; or with the present one, where an earlier rotation was not finished.

    The old keys stay in the keyring. Raises MasterKeyMissing where the keyring is the operator's (environment).
    """
    vault.reload()
    unfinished = await store.sealed.key_ids() - {vault.key_id}
    if not unfinished:
        add_key(vault, entropy)
    resealed, broken = await reseal(store, vault)
    return Rotation(vault.key_id, not unfinished, resealed, broken)


def add_key(vault: Vault, entropy: Callable[[int], bytes] = secrets.token_bytes) -> str:
    """Put a new key first in the keyring; its id."""
    keys = vault.source.load()
    vault.source.replace(keys, (new_key(entropy), *keys))
    vault.reload()
    return vault.key_id


async def reseal(store: Store, vault: Vault) -> tuple[int, tuple[str, ...]]:
    """Seal with the first key whatever is sealed with another one; how many, and whose value opens with none."""
    resealed = int(await _reseal_pepper(store, vault))
    broken: set[str] = set()
    while True:
        found = await store.sealed.not_under(vault.key_id, limit=BATCH + len(broken))
        left = [settings for settings in found if settings.user_id not in broken]
        if not left:
            return resealed, tuple(sorted(broken))
        for settings in left:
            try:
                resealed += await _reseal_one(store, vault, settings)
            except SealBroken:
                broken.add(settings.user_id)


async def remove_old(store: Store, vault: Vault) -> tuple[str, ...]:
    """Drop all keys but the first from the keyring; their ids. Raises StoreConflict where something still needs one.

    They are retired first: a process that still seals with one is refused by the database, and reads the keyring again.
    """
    vault.reload()
    old = vault.key_ids[1:]
    if old:
        await store.sealed.retire(old)
        keys = vault.source.load()  # another one may have been put first meanwhile
        vault.source.replace(keys, tuple(key for key in keys if key_id_of(key) not in old))
        vault.reload()
    return old


async def _reseal_one(store: Store, vault: Vault, settings: LlmSettings) -> bool:
    plain = api_key(vault, settings)
    if plain is None or settings.key is None:
        return False
    fresh = evolve(seal_key(vault, settings, plain), last4=settings.key.last4)
    return await store.sealed.reseal(settings.user_id, settings.key, fresh)


async def _reseal_pepper(store: Store, vault: Vault) -> bool:
    old = await store.sealed.pepper()
    if old is None or old.key_id == vault.key_id:
        return False
    sealed = vault.seal(PEPPER, vault.open(PEPPER, Sealed(old.sealed, old.key_id)))
    return await store.sealed.reseal_pepper(old, SealedPepper(sealed.text, sealed.key_id))
