"""A vendor's key of one user: sealed for its owner, provider and origin, opened for that provider and origin alone (T4)."""

from __future__ import annotations

from attrs import evolve

from llmcore.gateway.store.errors import StoreConflict, StoreInvalid
from llmcore.gateway.store.records import UNSET, LlmSettings, SealedKey, SettingsChange, Unset
from llmcore.gateway.store.settings import RetiredKey, changed, cleared
from llmcore.gateway.store.store import Store
from llmcore.gateway.vault.seal import Place, Sealed
from llmcore.gateway.vault.vault import Vault
from llmcore.secret import Secret

TRIES = 5
LONGEST = 8192
SHOWN_FROM = 12
"""A key of fewer characters shows none of them."""


def place_of(settings: LlmSettings) -> Place:
    """Where the key of these settings lives. The origin is part of it: with another one the key does not open."""
    origin = f"{settings.provider} {settings.origin or ''}"
    return Place("llm_settings", settings.user_id, settings.user_id, "sealed_key", origin)


def api_key(vault: Vault, settings: LlmSettings) -> Secret | None:
    """The stored key, for the address of these settings; None where there is none. Raises SealBroken."""
    if settings.key is None:
        return None
    return vault.open(place_of(settings), Sealed(settings.key.sealed, settings.key.key_id))


def seal_key(vault: Vault, settings: LlmSettings, key: Secret) -> SealedKey:
    """`key` as it is stored for these settings."""
    sealed = vault.seal(place_of(settings), key)
    text = key.reveal()
    return SealedKey(sealed.text, sealed.key_id, text[-4:] if len(text) >= SHOWN_FROM else "")


async def save_settings(
    store: Store,
    vault: Vault,
    user_id: str,
    change: SettingsChange,
    *,
    api_key: Secret | Unset | None = UNSET,
    now: float,
    expected: int | None = None,
    replace: bool = False,
) -> LlmSettings:
    """Store settings, with the key sealed for the address that they end up with.

    api_key: a new one, None to remove it, UNSET to keep it (it goes by itself with another provider or address).
    expected: as `Settings.patch`. replace: a PUT instead of a PATCH. Raises StoreConflict, StoreInvalid, StoreUnavailable, and
    with an `api_key` MasterKeyMissing where the master keys are gone.
    """
    write = store.settings.put if replace else store.settings.patch
    if api_key is None or api_key is UNSET:
        return await write(user_id, evolve(change, key=api_key), now=now, expected=expected)
    _check(api_key)
    vault.reload()  # a key that another process has put first seals from now on; one that is gone seals nothing
    for attempt in range(TRIES):
        before = await store.settings.get(user_id)
        after = changed(before, user_id, cleared(change) if replace else change, now)
        version = 0 if before is None else before.version
        sealed = evolve(change, key=seal_key(vault, after, api_key))
        try:
            # the version pins the address that the key was sealed for
            return await write(user_id, sealed, now=now, expected=version if expected is None else expected)
        except RetiredKey:
            vault.reload()
        except StoreConflict:
            if expected is not None or attempt == TRIES - 1:
                raise
    msg = "the settings are being changed all the time; try again"
    raise StoreConflict(msg)


def _check(key: Secret) -> None:
    """A key that a header can carry. Raises StoreInvalid."""
    text = key.reveal()
    if not text or len(text) > LONGEST or not all("!" <= char <= "~" for char in text):
        raise StoreInvalid(f"an API key has 1 to {LONGEST} printable ASCII characters, no blanks")
