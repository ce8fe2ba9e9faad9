"""How many bytes of unfinished bodies are held at the same time: in all, and of one user (T11). Never waited for."""

from __future__ import annotations

from llmcore.gateway.errors import TooMany, Unavailable

RETRY_S = 1.0


class Uploads:
    """total, per_user: bytes. held: those of all bodies that have begun and are not whole."""

    def __init__(self, total: int, per_user: int) -> None:
        self._total = total
        self._per_user = per_user
        self._by_user: dict[str, int] = {}
        self.held: int = 0

    def begin(self, user: str) -> Upload:
        """One more body; give it back with `end`."""
        return Upload(self, user)

    def take(self, user: str, size: int) -> None:
        """So many bytes more. Raises TooMany, or Unavailable where the gateway itself holds as much as it may."""
        mine = self._by_user.get(user, 0) + size
        if mine > self._per_user:
            raise TooMany(
                f"at most {self._per_user:,} bytes of unfinished requests of one user at a time",
                retry_after=RETRY_S,
            )
        if self.held + size > self._total:
            raise Unavailable("the gateway is busy; try again in a moment", retry_after=RETRY_S)
        self._by_user[user] = mine
        self.held += size

    def give(self, user: str, size: int) -> None:
        """So many bytes are whole now, or given up."""
        self.held -= size
        left = self._by_user.get(user, 0) - size
        if left:
            self._by_user[user] = left
        else:
            self._by_user.pop(user, None)


class Upload:
    """One body that is being read."""

    __slots__ = ("_size", "_uploads", "_user")

    def __init__(self, uploads: Uploads, user: str) -> None:
        self._uploads = uploads
        self._user = user
        self._size = 0

    def take(self, size: int) -> None:
        """A piece of it has come. Raises TooMany, Unavailable."""
        self._uploads.take(self._user, size)
        self._size += size

    def end(self) -> None:
        """It is whole, or given up."""
        self._uploads.give(self._user, self._size)
        self._size = 0
