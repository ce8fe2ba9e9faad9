"""`Idempotency-Key`: the same key with the same body gives the answer that was given, and is never billed twice.

Kept in this process for a day, by tenant and route, within a bound; only whole answers (no streams), and of errors only
those that would be the same again. A client that repeats a request while the first one runs is told so (409); another
body under the same key is a mistake (422).
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

from attrs import define, frozen

from llmcore.gateway.errors import BadRequest, Conflict, GatewayError
from llmcore.gateway.http import RawHeaders

LASTS_S = 86400.0
LONGEST = 255
MOST = 5000
MOST_BYTES = 64 * 1024 * 1024
AGAIN = frozenset((408, 409, 425, 429, 499, 500, 502, 503, 504, 529))
"""Statuses that may be others the next time; they are not kept."""


@frozen
class Given:
    """An answer as it was sent."""

    status: int
    headers: RawHeaders
    body: bytes


@define
class _Entry:
    digest: bytes
    until: float
    given: Given | None = None


class Repeats:
    """now: monotonic seconds. What is kept is found by the whole of user, route and key, hashed."""

    def __init__(self, now: Callable[[], float], *, most: int = MOST, most_bytes: int = MOST_BYTES) -> None:
        self._now = now
        self._most = most
        self._most_bytes = most_bytes
        self._bytes = 0
        self._kept: dict[bytes, _Entry] = {}

    def begin(self, user_id: str, route: str, key: str, body: bytes) -> Given | Ticket:
        """The answer that was given, or a ticket to be settled. Raises BadRequest, Conflict, and 422 for another body."""
        if not 0 < len(key) <= LONGEST:
            raise BadRequest(f"Idempotency-Key has 1 to {LONGEST} characters", param="idempotency-key")
        name = sha256("\0".join((user_id, route, key)).encode()).digest()
        digest = sha256(body).digest()
        entry = self._kept.get(name)
        if entry is not None and entry.until <= self._now():
            self._drop(name)
            entry = None
        if entry is None:
            self._kept[name] = _Entry(digest, self._now() + LASTS_S)
            self._shrink()
            return Ticket(self, name)
        if entry.digest != digest:
            raise GatewayError(
                "this Idempotency-Key came with another body before",
                status=422,
                code="idempotency_key_reused",
                type="invalid_request_error",
                param="idempotency-key",
            )
        if entry.given is None:
            raise Conflict("a request with this Idempotency-Key is running", code="idempotency_in_progress")
        return entry.given

    def settle(self, name: bytes, given: Given | None) -> None:
        """The answer; None where there is none to keep."""
        entry = self._kept.get(name)
        if entry is None:
            return
        if given is None or given.status in AGAIN or len(given.body) > self._most_bytes // 8:
            self._drop(name)
            return
        entry.given = given
        self._bytes += len(given.body)
        self._shrink()

    def _shrink(self) -> None:
        """The oldest go first; one that runs goes too, and is then a request like any other."""
        while len(self._kept) > self._most or self._bytes > self._most_bytes:
            self._drop(next(iter(self._kept)))

    def _drop(self, name: bytes) -> None:
        entry = self._kept.pop(name)
        if entry.given is not None:
            self._bytes -= len(entry.given.body)


class Ticket:
    """One request that runs under its key."""

    __slots__ = ("_name", "_repeats", "_settled")

    def __init__(self, repeats: Repeats, name: bytes) -> None:
        self._repeats = repeats
        self._name = name
        self._settled = False

    def settle(self, given: Given | None) -> None:
        """Call it at the end in any case; the first call counts."""
        if not self._settled:
            self._settled = True
            self._repeats.settle(self._name, given)
