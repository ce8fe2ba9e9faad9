"""Which key, and whose: one credential per request, looked up by a keyed hash, remembered for seconds.

What is remembered is found by the SHA-256 of the whole credential, never by a part of it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from hashlib import sha256
from typing import Protocol

from llmcore.gateway.access.principal import Principal
from llmcore.gateway.errors import BadRequest, Unauthorized
from llmcore.gateway.http import Head
from llmcore.gateway.memory import Memory

MAX_KEY = 512
_CREDENTIALS = (b"authorization", b"x-api-key", b"x-goog-api-key")


class KeySource(Protocol):
    """Where virtual keys are known."""

    async def find(self, token: str, /) -> Principal | None:
        """Who holds this key; None where it is unknown, revoked or expired, or its user disabled.

        Raises Unavailable where the store cannot be asked.
        """
        ...


def credential(head: Head) -> str | None:
    """The one credential of a request; None where there is none. Raises BadRequest for several, Unauthorized for none of ours."""
    said = [(name, value) for name in _CREDENTIALS if (value := head.get(name)) is not None]
    if not said:
        return None
    if len(said) > 1 or head.twice in _CREDENTIALS:
        raise BadRequest(
            "send exactly one of Authorization, x-api-key and x-goog-api-key", code="several_keys"
        )
    name, value = said[0]
    if name == b"authorization":
        scheme, _, value = value.partition(b" ")
        if scheme.lower() != b"bearer":
            raise unauthorized()
        value = value.strip(b" ")
    if not value or len(value) > MAX_KEY or not value.isascii():
        raise unauthorized()
    return value.decode("ascii")


def unauthorized() -> Unauthorized:
    """The one answer to every key that does not count, whatever the reason."""
    return Unauthorized(
        "the API key is missing or not valid; send it as `Authorization: Bearer` or `x-api-key`",
        headers={"www-authenticate": "Bearer"},
    )


class Authenticator:
    """Credentials to principals. `now` is monotonic seconds; `ttl` how long an answer of the store counts.

    A key that counted goes on to count for an hour while the store cannot be asked; one that was never seen does not.
    """

    def __init__(
        self, keys: KeySource, *, ttl: float, now: Callable[[], float], remembered: int = 10_000
    ) -> None:
        self._keys = keys
        self._known: Memory[bytes, Principal | None] = Memory(ttl=ttl, now=now, size=remembered)

    async def principal(self, token: str) -> Principal:
        """Whose key that is. Raises Unauthorized, Unavailable."""
        digest = sha256(token.encode("ascii")).digest()
        principal = await self._known.get(digest, partial(self._keys.find, token))
        if principal is None:
            raise unauthorized()
        return principal

    async def keep_fresh(self) -> None:
        """Look up the keys in use beside their calls, until cancelled."""
        await self._known.keep_fresh()

    def forget(self, *, key_id: str | None = None, user_id: str | None = None) -> None:
        """Remember nothing of that key, or of any key of that user, any more; with neither, of no key."""

        def meant(_: bytes, principal: Principal | None) -> bool:
            if key_id is None and user_id is None:
                return True
            if principal is None:  # a key that did not count may do so now
                return True
            return (key_id is not None and principal.key_id == key_id) or (
                user_id is not None and principal.user_id == user_id
            )

        self._known.forget(meant)
