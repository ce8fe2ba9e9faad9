"""Many alarms over one timer of an asyncio loop: nearly all are stopped before they ring, and cost next to nothing then."""

from __future__ import annotations

from asyncio import AbstractEventLoop, Task, TimerHandle
from collections.abc import Callable
from contextvars import Context, copy_context
from heapq import heapify, heappop, heappush
from math import inf

MANY = 512


class Alarms:
    """The alarms of one loop. asyncio compares its timers in Python and keeps stopped ones among the others; here the
    comparisons are C's, and what was stopped is dropped when it comes to the front, or where half of many are.
    """

    __slots__ = ("_due", "_number", "_rings_at", "_timer", "loop", "stopped")

    def __init__(self, loop: AbstractEventLoop) -> None:
        self.loop: AbstractEventLoop = loop
        self.stopped: int = 0
        self._due: list[tuple[float, int, Alarm]] = []
        self._number = 0
        self._rings_at = inf
        self._timer: TimerHandle | None = None

    def __len__(self) -> int:
        """How many are kept, stopped ones among them."""
        return len(self._due)

    def set(self, seconds: float, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback` after `seconds`, inside a task and the context of now; what is returned stops that."""
        due = self.loop.time() + seconds
        alarm = Alarm(self, callback)
        self._number += 1
        heappush(self._due, (due, self._number, alarm))
        if due < self._rings_at:
            self._wake(due)
        if self.stopped > MANY and self.stopped > len(self._due) // 2:
            self._due = [entry for entry in self._due if entry[2].callback is not None]
            heapify(self._due)
            self.stopped = 0
        return alarm.stop

    def _wake(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._rings_at = due
        self._timer = self.loop.call_at(due, self._ring, context=Context())

    def _ring(self) -> None:
        """Everything that is due rings; the next one sets the timer."""
        now = max(self.loop.time(), self._rings_at)
        self._timer, self._rings_at = None, inf
        while self._due and (self._due[0][0] <= now or self._due[0][2].callback is None):
            alarm = heappop(self._due)[2]
            if alarm.callback is None:
                self.stopped -= 1
            else:
                alarm.ring(self.loop)
        if self._due:
            self._wake(self._due[0][0])


class Alarm:
    """One alarm; it rings inside a task, as whatever asks for the current task needs it, which ends with its first step."""

    __slots__ = ("_alarms", "_context", "_task", "callback")

    def __init__(self, alarms: Alarms, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback
        self._alarms: Alarms | None = alarms
        self._context: Context | None = copy_context()
        self._task: Task[None] | None = None

    def stop(self) -> None:
        """Do not ring. Does nothing where it has rung."""
        self.callback = self._context = None
        if self._alarms is not None:
            self._alarms.stopped += 1
            self._alarms = None

    def ring(self, loop: AbstractEventLoop) -> None:
        """It is time."""
        self._alarms = None
        self._task = loop.create_task(self._call(), context=self._context)

    async def _call(self) -> None:
        callback, self.callback = self.callback, None
        if callback is not None:
            callback()
