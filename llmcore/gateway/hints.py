"""What processes tell each other through Redis of providers that fail: a reason to ask somebody else first, never a wall."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence

import anyio
import msgspec
from attrs import frozen

from llmcore.gateway.redis_link import REST_S, LinkLost, RedisLink

SCRIPT = "hints.lua"
EVERY_S = 1.0
LONGEST_S = 60.0
MOST = 200


@frozen
class Hint:
    """A model family ("" for the default one) of a provider is left alone by somebody's breaker, for `seconds` more."""

    provider: str
    family: str
    seconds: float


class Hints:
    """Tells others once a second what `found` says, and `heard` what others tell; `run` it beside the calls.

    Only what this process has found out by itself may be told, never what it has heard: else a hint would feed itself.
    """

    def __init__(
        self,
        link: RedisLink,
        found: Callable[[], Sequence[Hint]],
        heard: Callable[[Hint], None],
        *,
        prefix: str = "llmcore:",
    ) -> None:
        self._link = link
        self._found = found
        self._heard = heard
        self._key = f"{prefix}hints"
        self._me = secrets.token_urlsafe(9)

    async def run(self) -> None:
        """Until cancelled; a Redis that is away is nothing to worry about here."""
        try:
            while True:
                try:
                    await self.exchange()
                except LinkLost:
                    await anyio.sleep(REST_S)
                await anyio.sleep(EVERY_S)
        finally:
            await self._link.aclose()

    async def exchange(self) -> None:
        """One round. Raises LinkLost."""
        mine = [
            (hint.provider, hint.family, min(hint.seconds, LONGEST_S)) for hint in list(self._found())[:MOST]
        ]
        (told,) = await self._link.run(SCRIPT, [((self._key,), (self._me, msgspec.json.encode(mine)))])
        for member, lasts in zip(told[::2], told[1::2], strict=True):
            _, provider, family = msgspec.json.decode(member, type=tuple[str, str, str])
            self._heard(Hint(provider, family, min(lasts / 1000, LONGEST_S)))
