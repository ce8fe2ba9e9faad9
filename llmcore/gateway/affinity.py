"""Session affinity across processes: where a conversation stays, kept in Redis, so that it stays there in every process.

A call that names a session asks Redis before it chooses, for a moment at most; while Redis is away, each process goes by
what it knows itself. Redis holds a digest of the session and the provider's name: no text of anybody.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Callable, Hashable
from hashlib import sha256
from typing import TypeVar

import anyio
from attrs import frozen

from llmcore.gateway.redis_link import REST_S, Call, LinkLost, RedisLink

V = TypeVar("V")

SCRIPT = "affinity.lua"
WAIT_S = 0.05
"""The longest that a call waits for Redis here."""
FRESH_S = 1.0
"""How long what Redis has said counts without asking again."""
BEAT_S = 1.0
KEPT_MS = 3_600_000
"""How long Redis keeps a session after its last call: no vendor's prompt cache lives longer."""
MOST = 100_000
"""Sessions in Redis, some 20 MB; then those go that were not used for longest."""
CAPACITY = 10_000
BATCH = 200
"""Sessions of one round trip."""


@frozen
class AffinityState:
    """shared: whether sessions stay in all processes together. since: epoch seconds of the last change; why: the kind of
    fault.
    """

    shared: bool
    since: float
    why: str | None = None


class Affinity:
    """`learn` before a call of a session, `stayed` after its answer, `run` beside them all.

    stay(session, provider): told what another process has found. now: monotonic seconds. prefix: of all keys in Redis.
    """

    def __init__(
        self,
        link: RedisLink,
        stay: Callable[[str, str], None],
        now: Callable[[], float],
        *,
        prefix: str = "llmcore:",
        most: int = MOST,
    ) -> None:
        self._link = link
        self._stay = stay
        self._now = now
        self._keys = f"{prefix}sessions:names", f"{prefix}sessions:used"
        self._limits = str(KEPT_MS), str(most)
        self._kept: OrderedDict[str, tuple[str, float]] = OrderedDict()
        """By session the name that Redis has ("": none), and until when that counts."""
        self._asked: dict[str, anyio.Event] = {}
        self._moved: OrderedDict[str, str] = OrderedDict()
        self._wake = anyio.Event()

    def __len__(self) -> int:
        """How many sessions wait to be told or asked of."""
        return len(self._moved.keys() | self._asked.keys())

    @property
    def state(self) -> AffinityState:
        """For the status page."""
        link = self._link.state
        return AffinityState(link.up, link.since, link.why)

    async def learn(self, session: str) -> None:
        """Return when it is known here where the session stays, or after WAIT_S; at once while Redis is away."""
        kept = self._kept.get(session)
        if not self._link.state.up or (kept is not None and kept[1] > self._now()):
            return
        told = self._asked.setdefault(session, anyio.Event())
        self._wake.set()
        with anyio.move_on_after(WAIT_S):
            await told.wait()

    def stayed(self, session: Hashable, provider: str) -> None:
        """A call of the session was answered by `provider`. Never waits, never fails."""
        if not isinstance(session, str):
            return
        kept = self._kept.get(session)
        if kept is not None and kept[0] == provider and session not in self._moved:
            return
        _put(self._moved, session, provider)
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled; then the link is closed."""
        try:
            while True:
                try:
                    await (self.exchange() if self._asked or self._moved else self._link.command("PING"))
                except LinkLost:
                    await anyio.sleep(REST_S)
                await self._woken()
        finally:
            self._answered(self._asked)
            await self._link.aclose()

    async def exchange(self) -> None:
        """One round trip for those who wait and those who moved. Raises LinkLost; then nobody is left waiting."""
        asked, moved = self._taken()
        sessions = list(dict.fromkeys((*asked, *moved)))
        try:
            answers = await self._link.run(SCRIPT, [self._call(one, moved.get(one, "")) for one in sessions])
        except BaseException:
            for session, name in moved.items():
                self._moved.setdefault(session, name)
            self._kept.clear()
            self._answered(self._asked)
            raise
        else:
            self._heard(dict(zip(sessions, answers, strict=True)))
        finally:
            self._answered(asked)

    def _heard(self, answers: dict[str, bytes]) -> None:
        until = self._now() + FRESH_S
        for session, said in answers.items():
            name = said.decode("utf-8", "replace")
            _put(self._kept, session, (name, until))
            if name and session not in self._moved:  # else it has moved here meanwhile
                self._stay(session, name)

    def _taken(self) -> tuple[dict[str, anyio.Event], dict[str, str]]:
        """Those who wait come first."""
        asked = {session: self._asked.pop(session) for session in list(self._asked)[:BATCH]}
        room = BATCH - len(asked)
        chosen = [*(one for one in asked if one in self._moved), *list(self._moved)[:room]]
        return asked, {session: self._moved.pop(session) for session in dict.fromkeys(chosen)}

    def _call(self, session: str, name: str) -> Call:
        digest = urlsafe_b64encode(sha256(session.encode("utf-8", "surrogatepass")).digest()[:18])
        believed = self._kept.get(session, ("", 0.0))[0]
        return self._keys, (digest, believed, name, *self._limits)

    async def _woken(self) -> None:
        """Until somebody waits or moves, or it is time to look whether Redis is there."""
        if not (self._asked or self._moved):
            self._wake = anyio.Event()
            with anyio.move_on_after(BEAT_S):
                await self._wake.wait()

    def _answered(self, asked: dict[str, anyio.Event]) -> None:
        while asked:
            asked.popitem()[1].set()


def _put(kept: OrderedDict[str, V], session: str, value: V) -> None:
    """The newest is last; the oldest goes where there are too many."""
    kept[session] = value
    kept.move_to_end(session)
    if len(kept) > CAPACITY:
        kept.popitem(last=False)
