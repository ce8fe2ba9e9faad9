"""Whether a provider's model family has lately shown that it works: who fails over to one that does need not pay for it.

The retry budget bounds what is sent into an outage, not what is sent to a provider that answers. Without this, a burst that
meets one dead provider would be cut down to the budget although the next provider is well.
"""

from __future__ import annotations

import anyio

TRUSTED_S: float = 60.0


class Standing:
    """The latest outcomes of one model family. `now` is monotonic seconds."""

    __slots__ = ("_bad_at", "_good_at", "_told", "running")

    def __init__(self) -> None:
        self._good_at = float("-inf")
        self._bad_at = float("-inf")
        self._told: anyio.Event | None = None
        self.running: int = 0

    def proven(self, now: float) -> bool:
        """Whether its latest outcome was good, and not long ago."""
        return self._good_at > self._bad_at and now - self._good_at <= TRUSTED_S

    def open_question(self, now: float) -> bool:
        """Whether attempts are under way that will tell, and nothing speaks against it yet."""
        doubted = self._bad_at > self._good_at and now - self._bad_at <= TRUSTED_S
        return self.running > 0 and not doubted

    def begun(self) -> None:
        self.running += 1

    def good(self, now: float) -> None:
        """Something visible has come, or the whole answer."""
        self._good_at = now
        if self._told is not None:
            self._tell()

    def bad(self, now: float) -> None:
        """A fault that says something of its health."""
        self._bad_at = now
        if self._told is not None:
            self._tell()

    def ended(self) -> None:
        """One attempt is over, however."""
        self.running -= 1
        if self._told is not None:
            self._tell()

    async def answered(self, now: float) -> None:
        """Return as soon as it is no open question any more."""
        while self.open_question(now) and not self.proven(now):
            if self._told is None:
                self._told = anyio.Event()
            await self._told.wait()

    def _tell(self) -> None:
        told, self._told = self._told, None
        if told is not None:
            told.set()
