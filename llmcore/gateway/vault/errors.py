"""What can go wrong with keys and ciphertext. No message holds a key, a ciphertext or a part of one.

VaultError
├── MasterKeyMissing    there is ciphertext and no key for it: refuse to start, never make a new one
├── MasterKeyUnsafe     the file can be read by others, belongs to somebody else, or holds no key
└── SealBroken          this ciphertext was altered, moved to another row, or sealed with a key that is gone
"""

from __future__ import annotations

from llmcore.errors import LlmError


class VaultError(LlmError):
    """The vault could not do what was asked."""


class MasterKeyMissing(VaultError):
    """Stored ciphertext needs a master key that is not there."""


class MasterKeyUnsafe(VaultError):
    """The master key is kept where others can read or replace it, or cannot be read as a key."""


class SealBroken(VaultError):
    """A ciphertext does not open at this place: altered, moved, or sealed with a key that nobody has."""
