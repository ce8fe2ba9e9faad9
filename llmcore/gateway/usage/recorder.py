"""Attempts on their way to the database: taken in at once, written in batches by one task, kept for a while when it is away."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import islice
from types import TracebackType
from typing import Protocol, Self

import anyio
from attrs import frozen

from llmcore.clock import Clock
from llmcore.gateway.store.errors import StoreConflict, StoreError, StoreInvalid
from llmcore.gateway.store.records import UsageAttempt
from llmcore.group import rare_group

LONGEST_PAUSE_S = 30.0
"""Between two tries while the database is away."""


class Ledger(Protocol):
    """Where attempts go. `Store.usage` is one."""

    async def add(self, attempts: Sequence[UsageAttempt], /) -> int: ...


@frozen
class RecorderState:
    """How it goes. queued: not written yet; written, dropped, refused: since the start.

    dropped: the oldest, as the queue was full, and those that could not be written before the end. refused: rows that the
    database would not take. error: why nothing can be written now, None where all is well; since: monotonic seconds of the
    first failure.
    """

    queued: int
    written: int
    dropped: int
    refused: int
    error: str | None = None
    since: float | None = None

    @property
    def well(self) -> bool:
        return self.error is None


class Recorder:
    """`record` never waits and never fails. Use in `async with`; at its end all that is queued is written.

    bound: attempts that are kept when they cannot be written; then the oldest go. every: seconds between two batches.
    batch: at most so many at once; what a batch takes hardly depends on it, and under load a small one would be outrun.
    grace: seconds that closing may take (and a statement that is under way may take to end).
    on_lost: called with how many were dropped or refused since it was called last. on_turn: called with the
    reason when nothing can be written any more, and with None when it can again.
    """

    def __init__(
        self,
        ledger: Ledger,
        clock: Clock,
        *,
        bound: int = 50_000,
        batch: int = 5000,
        every: float = 0.5,
        grace: float = 10.0,
        on_lost: Callable[[int], None] | None = None,
        on_turn: Callable[[str | None], None] | None = None,
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._queue: deque[UsageAttempt] = deque(maxlen=bound)
        self._bound = bound
        self._batch = batch
        self._every = every
        self._grace = grace
        self._on_lost = on_lost or _nothing
        self._on_turn = on_turn or _nothing
        self._overrun = 0  # how many fell out on the left, ever
        self._dropped = 0
        self._told = 0  # of those that were dropped
        self._refused = 0
        self._written = 0
        self._error: str | None = None
        self._since: float | None = None
        self._writing = anyio.Lock()
        self._listeners: list[Callable[[Sequence[UsageAttempt]], None]] = []
        self._block: AbstractAsyncContextManager[None] | None = None

    def record(self, attempt: UsageAttempt, /) -> None:
        """Take it in. The oldest one goes where the queue is full."""
        if len(self._queue) == self._bound:
            self._overrun += 1
            self._dropped += 1
        self._queue.append(attempt)

    def listen(self, told: Callable[[Sequence[UsageAttempt]], None], /) -> None:
        """From now on call `told` with each batch that was written; it must not raise."""
        self._listeners.append(told)

    @property
    def state(self) -> RecorderState:
        return RecorderState(
            len(self._queue), self._written, self._dropped, self._refused, self._error, self._since
        )

    async def flush(self) -> bool:
        """Write what is queued now; False where the database does not take it."""
        async with self._writing:
            for _ in range(len(self._queue) // self._batch + 1):
                if not self._queue:
                    break
                if not await self._write_batch():
                    return False
        return True

    async def __aenter__(self) -> Self:
        self._block = self._open()
        await self._block.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        assert self._block is not None
        return await self._block.__aexit__(kind, error, trace)

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[None]:
        scope = anyio.CancelScope()
        try:
            async with rare_group() as group:
                group.start_soon(self._run, scope)
                try:
                    yield
                finally:
                    scope.cancel()
        finally:
            # shielded, so that a cancelled server still writes; bounded, so that it ends
            with anyio.move_on_after(self._grace, shield=True):
                while self._queue and await self.flush():
                    pass
            self._dropped += len(self._queue)  # nobody will write them
            self._queue.clear()
            self._tell()

    def _tell(self) -> None:
        """Once a round, not once an attempt: whoever is outrun has no time for a log."""
        if self._dropped > self._told:
            self._on_lost(self._dropped - self._told)
            self._told = self._dropped

    async def _run(self, scope: anyio.CancelScope) -> None:
        pause = self._every
        with scope:
            while True:
                await self._clock.sleep(pause)
                self._tell()
                well = await self.flush()
                pause = self._every if well else min(2 * pause, LONGEST_PAUSE_S)

    async def _write_batch(self) -> bool:
        """Write the oldest, and let go of them when they are safe."""
        batch = list(islice(self._queue, self._batch))
        overrun = self._overrun
        try:
            await self._ledger.add(batch)
        except (StoreInvalid, StoreConflict):
            refused = await self._write_singly(batch)
            if refused is None:
                return False
        except StoreError as error:
            self._fails(error)
            return False
        else:
            refused = 0
        fallen = min(self._overrun - overrun, len(batch))  # dropped meanwhile, and yet written
        self._dropped -= fallen
        for _ in range(len(batch) - fallen):
            self._queue.popleft()
        self._written += len(batch) - refused
        for told in self._listeners:
            told(batch)
        if self._error is not None:
            self._error = self._since = None
            self._on_turn(None)
        return True

    async def _write_singly(self, batch: list[UsageAttempt]) -> int | None:
        """One by one, as one of them is what the database does not take; how many it refused, None where it is away."""
        refused = 0
        for attempt in batch:
            try:
                await self._ledger.add([attempt])
            except (StoreInvalid, StoreConflict):
                refused += 1
            except StoreError as error:
                self._fails(error)
                return None
        self._refused += refused
        if refused:
            self._on_lost(refused)
        return refused

    def _fails(self, error: StoreError) -> None:
        self._error = str(error)
        if self._since is None:
            self._since = self._clock.now()
            self._on_turn(self._error)


def _nothing(_told: object) -> None:
    """Nobody wants to know."""
