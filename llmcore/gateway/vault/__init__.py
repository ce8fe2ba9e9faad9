"""Secrets of the gateway: sealed where they must be read again, hashed with a key where they must only be recognised.

`open_vault(store, choose(path, environ))` at start; `save_settings` and `api_key` for vendors' keys; `vault.tokens` for
virtual keys, one-time tokens and browser sessions; `Passwords` for passwords; `rotate` and `remove_old` for the master key.
"""

from __future__ import annotations

from llmcore.gateway.vault.credentials import api_key, save_settings, seal_key
from llmcore.gateway.vault.errors import MasterKeyMissing, MasterKeyUnsafe, SealBroken, VaultError
from llmcore.gateway.vault.keyring import EnvironmentKeys, FileKeys, MasterKeys, SystemKeys, choose
from llmcore.gateway.vault.opening import open_vault
from llmcore.gateway.vault.passwords import Passwords, Verified
from llmcore.gateway.vault.rotate import Rotation, remove_old, reseal, rotate
from llmcore.gateway.vault.seal import Place, Sealed, Sealer
from llmcore.gateway.vault.tokens import NewToken, NewVirtualKey, Tokens, looks_opaque, public_id_of
from llmcore.gateway.vault.vault import Vault

__all__ = [
    "EnvironmentKeys",
    "FileKeys",
    "MasterKeyMissing",
    "MasterKeyUnsafe",
    "MasterKeys",
    "NewToken",
    "NewVirtualKey",
    "Passwords",
    "Place",
    "Rotation",
    "SealBroken",
    "Sealed",
    "Sealer",
    "SystemKeys",
    "Tokens",
    "Vault",
    "VaultError",
    "Verified",
    "api_key",
    "choose",
    "looks_opaque",
    "open_vault",
    "public_id_of",
    "remove_old",
    "reseal",
    "rotate",
    "save_settings",
    "seal_key",
]
