"""Pure: which provider a session went to last, so that a conversation stays with one (and with its prompt cache)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from typing import Any

CAPACITY: int = 10_000


class Sticky:
    """Session to provider's name; beyond `capacity` the session that was not seen for longest is forgotten.

    told: hears of every `stayed`.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._names: OrderedDict[Hashable, str] = OrderedDict()
        self.told: Callable[[Hashable, str], None] | None = None

    def __len__(self) -> int:
        return len(self._names)

    def get(self, session: Hashable) -> str | None:
        """The name of the provider that the session stays with; None for a session that is new or forgotten."""
        name = self._names.get(session)
        if name is not None:
            self._names.move_to_end(session)
        return name

    def keep(self, session: Hashable, name: str) -> None:
        """The session is with `name` from now on."""
        self._names[session] = name
        self._names.move_to_end(session)
        if len(self._names) > self._capacity:
            self._names.popitem(last=False)

    def stayed(self, session: Hashable, name: str) -> None:
        """A call of the session was answered by `name`, which keeps it."""
        self.keep(session, name)
        if self.told is not None:
            self.told(session, name)

    def drop(self, name: str) -> None:
        """Forget all sessions of a provider that is there no longer. Takes time with their number; rare."""
        for session in [session for session, kept in self._names.items() if kept == name]:
            del self._names[session]


def session_of(metadata: Mapping[str, Any]) -> Hashable | None:
    """What names the conversation; callers may put anything there."""
    session = metadata.get("session")
    try:
        hash(session)
    except TypeError:
        return repr(session)
    return session
