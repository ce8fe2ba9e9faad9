"""Passwords as argon2id hashes (RFC 9106, second recommended setting: 64 MiB), made and proved in a thread."""

from __future__ import annotations

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError
from attrs import field, frozen

from llmcore.secret import Secret

LONGEST = 1024
"""Bytes of a password that are taken; a longer one never matches."""


@frozen
class Verified:
    """Whether a password is right. new_hash: to be stored instead, where the old one was made with weaker settings."""

    ok: bool
    new_hash: str | None = field(default=None, repr=False)


class Passwords:
    """Hashes and verifies; at most `at_once` at the same time, as each takes its memory.

    `hasher` may be a weaker one in tests.
    """

    def __init__(self, hasher: PasswordHasher | None = None, *, at_once: int = 2) -> None:
        self._hasher = hasher or PasswordHasher(time_cost=3, memory_cost=65536, parallelism=4, type=Type.ID)
        self._limit = CapacityLimiter(at_once)
        self._nobody: str | None = None

    async def hash(self, password: Secret) -> str:
        """The hash to be stored. Raises ValueError for an empty password or one beyond `LONGEST` bytes."""
        raw = password.reveal().encode("utf-8", "surrogatepass")
        if not raw or len(raw) > LONGEST:
            msg = f"a password has 1 to {LONGEST} bytes"
            raise ValueError(msg)
        return await run_sync(self._hasher.hash, raw, limiter=self._limit)

    async def verify(self, stored: str | None, password: Secret) -> Verified:
        """Whether `password` is the one of `stored`. None (no such user, no password) takes as long, and is never right."""
        raw = password.reveal().encode("utf-8", "surrogatepass")
        return await run_sync(self._verify, stored, raw[: LONGEST + 1], limiter=self._limit)

    def _verify(self, stored: str | None, raw: bytes) -> Verified:
        if not stored and self._nobody is None:
            self._nobody = self._hasher.hash(b"nobody's password")
        try:
            self._hasher.verify(stored or self._nobody or "", raw)
        except (VerificationError, InvalidHashError):
            return Verified(False)
        if not stored or len(raw) > LONGEST:  # the dummy's password was guessed, or the given one was cut
            return Verified(False)
        return Verified(True, self._hasher.hash(raw) if self._hasher.check_needs_rehash(stored) else None)
