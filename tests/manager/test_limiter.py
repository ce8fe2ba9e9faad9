"""The entrance as a state machine beside a plain model: slots, one fair queue per model family, patience, cancellation."""

from __future__ import annotations

from random import Random

import anyio
from anyio.abc import TaskGroup
from attrs import define, field
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from llmcore.clock import SystemClock
from llmcore.config import Routing
from llmcore.errors import PoolTimeout
from llmcore.manager.entrance import Entrance, Pass
from llmcore.provider import Seat
from llmcore.testing import ScriptedProvider
from tests.manager.stage import Backend, Stage

PATIENCE = 8.0
TICK = 1 / 1024


@define(eq=False)
class Visitor:
    """One who asks to be let in. state: waiting, inside, left, refused (full or out of patience) or gone (cancelled)."""

    number: int
    family: str
    came: float
    state: str = "waiting"
    entered: float | None = None
    passed: Pass | None = None
    scope: anyio.CancelScope = field(factory=anyio.CancelScope)

    async def enter(self, gate: Entrance, now: float) -> None:
        with self.scope:
            try:
                self.passed = gate.try_enter(self.family, 0, now) or await gate.enter(
                    self.family, 0, now + 1000.0
                )
            except PoolTimeout:
                self.state = "refused"
            else:
                self.state, self.entered = "inside", anyio.current_time()
        if self.state == "waiting":
            self.state = "gone"


class LimiterMachine(RuleBasedStateMachine):
    """Invariant 34: never more inside than the limit, never a free slot while somebody waits, nobody overtaken in a queue."""

    stage: Stage | None = None

    @initialize(
        backend=st.sampled_from(["asyncio", "trio"]), limit=st.integers(1, 3), max_queue=st.integers(0, 4)
    )
    def begin(self, backend: Backend, limit: int, max_queue: int) -> None:
        self.limit, self.max_queue = limit, max_queue
        self.now = 0.0
        self.visitors: list[Visitor] = []
        self.stage = Stage(backend)

        async def made(group: TaskGroup) -> Entrance:
            return Entrance(
                "p",
                (Seat(None, 1.0, ScriptedProvider("p")),),
                Routing(max_in_flight=limit),
                SystemClock(),
                Random(0),
                max_queue=max_queue,
                pace=False,
                patience=PATIENCE,
                told=lambda event, **facts: None,
            )

        self.gate = self.stage.do(made)

    def some(self, state: str) -> list[Visitor]:
        return [one for one in self.visitors if one.state == state]

    @rule(seconds=st.sampled_from([0.0, 1.0, 3.0, 7.0, 9.0]))
    def wait(self, seconds: float) -> None:
        async def sleep(group: TaskGroup) -> None:
            await anyio.sleep(seconds + TICK)

        assert self.stage is not None
        self.stage.do(sleep)
        self.now += seconds + TICK

    @rule(family=st.sampled_from(["a", "b"]))
    def come(self, family: str) -> None:
        """Who comes gets in where there is room, waits where there is a place in the queue, and else is sent away."""
        self.wait(0.0)
        inside, waiting = len(self.some("inside")), self.some("waiting")

        async def start(group: TaskGroup) -> Visitor:
            made = Visitor(len(self.visitors), family, self.now)
            group.start_soon(made.enter, self.gate, self.now)
            return made

        assert self.stage is not None
        visitor = self.stage.do(start)
        self.visitors.append(visitor)
        if inside < self.limit:
            assert visitor.state == "inside"
        else:
            assert visitor.state == ("waiting" if len(waiting) < self.max_queue else "refused")

    @rule(which=st.integers(0, 9))
    def leave(self, which: int) -> None:
        self.wait(0.0)
        inside = self.some("inside")
        if not inside:
            return
        visitor = inside[which % len(inside)]

        async def go(group: TaskGroup) -> None:
            assert visitor.passed is not None
            visitor.state = "left"
            self.gate.leave(visitor.passed, anyio.current_time())
            self.gate.leave(visitor.passed, anyio.current_time())

        assert self.stage is not None
        self.stage.do(go)

    @rule(which=st.integers(0, 9))
    def cancel(self, which: int) -> None:
        self.wait(0.0)
        waiting = self.some("waiting")
        if not waiting:
            return

        async def go(group: TaskGroup) -> None:
            waiting[which % len(waiting)].scope.cancel()

        assert self.stage is not None
        self.stage.do(go)

    @invariant()
    def counts_are_true(self) -> None:
        if self.stage is not None:
            assert self.gate.in_flight == len(self.some("inside")) <= self.limit
            assert self.gate.waiting == len(self.some("waiting")) <= self.max_queue

    @invariant()
    def no_slot_is_idle_while_somebody_waits(self) -> None:
        if self.stage is not None and self.some("waiting"):
            assert len(self.some("inside")) == self.limit

    @invariant()
    def nobody_is_overtaken(self) -> None:
        """Of one family whoever came first went in first; those still waiting came later than all that went in."""
        if self.stage is None:
            return
        for family in ("a", "b"):
            entered = [one for one in self.visitors if one.family == family and one.entered is not None]
            assert [one.entered for one in entered] == sorted(one.entered or 0.0 for one in entered)
            last = max((one.number for one in entered), default=-1)
            assert all(one.number > last for one in self.some("waiting") if one.family == family)

    @invariant()
    def patience_ends_in_time(self) -> None:
        if self.stage is None:
            return
        for one in self.visitors:
            if one.state == "waiting":
                assert self.now - one.came < PATIENCE
            if one.entered is not None:
                assert one.entered - one.came <= PATIENCE

    def teardown(self) -> None:
        if self.stage is not None:
            self.stage.close()
            assert self.gate.waiting == 0


TestLimiterMachine = LimiterMachine.TestCase
