"""One way to Redis: short timeouts, no retries of its own, and no question for a second after a failure."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from typing import Any, TypeAlias

import anyio
from attrs import frozen

from llmcore.errors import ConfigurationError
from llmcore.secret import Secret

TIMEOUT_S = 0.25
GLANCES = 5
"""In so many parts the time is counted: a process that was stopped itself must not take that for Redis' silence."""
REST_S = 1.0
NEW = "not asked yet"

Call: TypeAlias = "tuple[Sequence[str], Sequence[str | bytes]]"
"""The keys and the arguments of one run of a script."""


class LinkLost(Exception):
    """Redis does not answer, or not as it should. Whether it has done what it was asked is not known."""


@frozen
class LinkState:
    """up: whether it answered last. since: epoch seconds of the last change. why: the kind of fault; never an address."""

    up: bool
    since: float
    why: str | None = None


class RedisLink:
    """Raises ConfigurationError for an address that is none, without repeating it. wall: epoch seconds.

    told(state): called at each change; it must not block or raise.
    """

    def __init__(
        self, url: Secret, wall: Callable[[], float], told: Callable[[LinkState], None] | None = None
    ) -> None:
        try:
            from redis import asyncio as redis
            from redis.asyncio.retry import Retry
            from redis.backoff import NoBackoff
        except ModuleNotFoundError:
            raise ConfigurationError(
                "gateway.redis_url: needs the extra `redis`: pip install 'llmcore-kit[redis]'"
            ) from None
        try:
            self._client = redis.Redis.from_url(
                url.reveal(),
                socket_timeout=None,  # `_patience` does that
                socket_connect_timeout=None,
                retry=Retry(NoBackoff(), 0),
            )
        except ValueError:
            raise ConfigurationError(
                "gateway.redis_url: must be redis://, rediss:// or unix://, such as redis://127.0.0.1:6379/0"
            ) from None
        self._wall = wall
        self._told = told
        self._scripts: dict[str, str] = {}
        self.state: LinkState = LinkState(up=False, since=wall(), why=NEW)

    async def aclose(self) -> None:
        """Close every socket."""
        with anyio.CancelScope(shield=True), anyio.move_on_after(TIMEOUT_S):
            await self._client.aclose()

    async def run(self, script: str, calls: Sequence[Call]) -> list[Any]:
        """One run of the script for each call, in one round trip. script: its file beside this package. Raises LinkLost."""
        from redis.exceptions import NoScriptError

        answers: list[Any] = await self._guarded(self._run_all, script, calls)
        if any(isinstance(one, NoScriptError) for one in answers):  # it was restarted; then none was run
            self._scripts.pop(script, None)
            answers = await self._guarded(self._run_all, script, calls)
        for one in answers:
            if isinstance(one, Exception):
                raise self._lost(one) from None
        return answers

    async def command(self, *words: str | bytes | int) -> Any:
        """Raises LinkLost."""
        return await self._guarded(self._client.execute_command, *words)

    async def _run_all(self, script: str, calls: Sequence[Call]) -> list[Any]:
        digest = self._scripts.get(script)
        if digest is None:
            text = files("llmcore.gateway").joinpath(script).read_text("utf-8")
            digest = self._scripts[script] = await self._client.script_load(text)
        pipeline = self._client.pipeline(transaction=False)
        for keys, arguments in calls:
            pipeline.evalsha(digest, len(keys), *keys, *arguments)
        answers: list[Any] = await pipeline.execute(raise_on_error=False)
        return answers

    async def _guarded(self, work: Callable[..., Any], *arguments: Any) -> Any:
        from redis.exceptions import RedisError

        try:
            with _patience():
                answer = await work(*arguments)
        except (RedisError, OSError, TimeoutError) as error:
            await self._dropped()
            raise self._lost(error) from None
        except BaseException:
            await self._dropped()
            raise
        if not self.state.up:
            self._now(LinkState(up=True, since=self._wall()))
        return answer

    async def _dropped(self) -> None:
        """An answer that is late must not be taken for that of the next question."""
        with anyio.CancelScope(shield=True), anyio.move_on_after(TIMEOUT_S):
            await self._client.connection_pool.disconnect()

    def _lost(self, error: Exception) -> LinkLost:
        why = type(error).__name__
        if self.state.up or self.state.why != why:
            since = self._wall() if self.state.up else self.state.since
            self._now(LinkState(up=False, since=since, why=why))
        return LinkLost(why)

    def _now(self, state: LinkState) -> None:
        changed = state.up != self.state.up or self.state.why == NEW
        self.state = state
        if changed and self._told is not None:
            self._told(state)


@contextmanager
def _patience() -> Iterator[None]:
    """Raises TimeoutError after `TIMEOUT_S` in which this loop could have seen an answer."""
    loop, scope = asyncio.get_running_loop(), anyio.CancelScope()
    timers: deque[asyncio.TimerHandle] = deque(maxlen=1)

    def wait(glances: int) -> None:
        if glances:
            timers.append(loop.call_later(TIMEOUT_S / GLANCES, wait, glances - 1))
        else:
            scope.cancel()

    wait(GLANCES)
    try:
        with scope:
            yield
    finally:
        timers[-1].cancel()
    if scope.cancelled_caught:
        raise TimeoutError
