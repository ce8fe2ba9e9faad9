"""Runs scenarios: for every case a fresh upstream and a fresh manager, side by side, and a judge at the end."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from typing import Any, Self

import anyio
from attrs import define, evolve, field, frozen

from llmcore.build import create_manager
from llmcore.chaos.ask import ask
from llmcore.chaos.ground import Ground, prepared
from llmcore.chaos.judge import judge
from llmcore.chaos.nouns import Break, Case, Finding, Result, Scenario, Seen, Way
from llmcore.chaos.settings import Profile, Tested, placed, same_window, settings_for
from llmcore.config import LlmConfig
from llmcore.manager import ProviderManager

TRIES = 20
"""Managers that are made until one asks the broken provider first, where chance chooses."""
GRACE_S = 1.5
"""Real seconds within which connections and tasks must be gone once everything is closed."""
REPEATS = 3
"""Runs of a case, at most, while the machine itself stands still for longer than scaled limits can bear."""
_STALL_S = 0.15
_TICK_S = 0.02
_ON_TIME_S = 0.005

Progress = Callable[[Result], None]
Complaints = Callable[[str], None]


async def run_all(
    config: LlmConfig,
    scenarios: Sequence[Scenario],
    profile: Profile,
    progress: Progress | None = None,
    complaints: Complaints | None = None,
) -> tuple[Result, ...]:
    """Every scenario against these settings, in the given order; `progress` hears of each result as it comes.

    `complaints` hears, at the end, what nobody caught in the event loop.
    """
    key = f"chaos{secrets.token_hex(8)}"
    settings = settings_for(config, profile, key)
    settings = evolve(settings, first=await first_asked(settings))
    with Watch() as watch:
        async with anyio.create_task_group() as group:
            group.start_soon(watch.run)
            run = _Run(settings, watch, progress or (lambda result: None))
            await run.together([scenario for scenario in scenarios if not scenario.alone])
            for scenario in scenarios:
                if scenario.alone:
                    await run.together([scenario])
            group.cancel_scope.cancel()
    for complaint in watch.complaints:
        if complaints is not None:
            complaints(complaint)
    return tuple(run.results[scenario.id] for scenario in scenarios)


async def first_asked(settings: Tested) -> str:
    """Who answers a healthy call: the one that shall be broken."""
    async with prepared(settings, None) as ground:
        manager = _manager(settings, ground, Break())
        ground.begin()
        try:
            response = await manager.generate("say: hello")
        finally:
            await manager.aclose()
        return response.provider or settings.names[0]


def _manager(settings: Tested, ground: Ground, broke: Break) -> ProviderManager:
    config = same_window(settings.config) if broke.same_window else settings.config
    return create_manager(placed(config, ground.urls, ground.models, settings.key), environ={})


# ----------------------------------------------------------------------------------------------- many cases


@define
class _Run:
    """Results as they come, and the findings of scenarios that are not yet complete."""

    settings: Tested
    watch: Watch
    progress: Progress
    results: dict[str, Result] = field(factory=dict)

    async def together(self, scenarios: Iterable[Scenario]) -> None:
        """Scenarios side by side, the longest first; their cases begin one after the other."""
        ordered = sorted(scenarios, key=lambda one: -one.traffic.calls * one.traffic.every_s)
        async with anyio.create_task_group() as group:
            for scenario in ordered:
                group.start_soon(self._scenario, scenario, scenario.cases)
                await anyio.sleep(self.settings.profile.stagger_s * len(scenario.cases))

    async def _scenario(self, scenario: Scenario, cases: Sequence[tuple[Break, Way]]) -> None:
        findings: list[Finding | None] = [None] * len(cases)

        async def one(at: int, broke: Break, way: Way) -> None:
            if not scenario.alone:
                await anyio.sleep(self.settings.profile.stagger_s * at)
            _, findings[at] = await run_case(self.settings, scenario, broke, way, self.watch)

        if scenario.alone:
            for at, (broke, way) in enumerate(cases):
                await one(at, broke, way)
        else:
            async with anyio.create_task_group() as group:
                for at, (broke, way) in enumerate(cases):
                    group.start_soon(one, at, broke, way)
        result = Result(scenario, tuple(finding for finding in findings if finding is not None))
        self.results[scenario.id] = result
        self.progress(result)


# -------------------------------------------------------------------------------------------------- one case


async def run_case(
    settings: Tested, scenario: Scenario, broke: Break, way: Way, watch: Watch
) -> tuple[Case, Finding]:
    """One case and what was found; again where the machine stood still meanwhile and it did not pass."""
    for _ in range(REPEATS):
        stalls = watch.stalls
        case = await _met_case(settings, scenario, broke, way, watch)
        finding = judge(case)
        if finding.verdict == "pass" or watch.stalls == stalls:
            break
    return case, finding


async def _met_case(settings: Tested, scenario: Scenario, broke: Break, way: Way, watch: Watch) -> Case:
    """One case, again with a new manager while chance has asked a healthy provider first."""
    case = await _run_once(settings, scenario, broke, way, watch)
    for _ in range(TRIES):
        if not case.calls or _was_met(case):
            break
        case = await _run_once(settings, scenario, broke, way, watch)
    return case


def _was_met(case: Case) -> bool:
    broken = case.facts.broken
    return (
        any(hit.provider == broken for hit in case.hits)
        or case.scenario.traffic.calls > 1
        or any(attempt.provider == broken for call in case.calls for attempt in call.attempts)
        or not all(call.ended == "answered" for call in case.calls)
    )


async def _run_once(settings: Tested, scenario: Scenario, broke: Break, way: Way, watch: Watch) -> Case:
    mark = watch.mark()
    with watch.tagged() as tasks:
        async with prepared(settings, broke) as ground:
            manager = _manager(settings, ground, broke)
            ground.begin()
            calls = await _traffic(settings, scenario, way, manager, ground)
            hits, met = ground.hits(), ground.met or broke.address != "sim"
            late_s = 0.0 if scenario.alone else watch.late_since(mark)
            leaks = await _closed(manager, ground, scenario)
            trapped = ground.trapped
        leaks += await _tasks_left(tasks)
    facts = settings.facts()
    if broke.same_window:
        facts = evolve(facts, windows=tuple((name, 1) for name in settings.names))
    return Case(scenario, broke, way, facts, calls, hits, met, late_s, leaks, trapped)


async def _traffic(
    settings: Tested, scenario: Scenario, way: Way, manager: ProviderManager, ground: Ground
) -> tuple[Seen, ...]:
    traffic, factor = scenario.traffic, settings.profile.factor
    calls: list[Seen | None] = [None] * traffic.calls

    async def call(at: int) -> None:
        await anyio.sleep(at * traffic.every_s * factor)
        began_s = asyncio.get_running_loop().time() - ground.began
        hang_s = scenario.bounds.hang_s * factor
        calls[at] = await ask(
            manager, traffic, way, factor=factor, hang_s=hang_s, key=settings.key, began_s=began_s
        )

    async with anyio.create_task_group() as around:
        around.start_soon(ground.cut_in_time)
        async with anyio.create_task_group() as group:
            for at in range(traffic.calls):
                group.start_soon(call, at)
        around.cancel_scope.cancel()
    return tuple(call for call in calls if call is not None)


async def _closed(manager: ProviderManager, ground: Ground, scenario: Scenario) -> tuple[str, ...]:
    """What the manager still holds of calls that are over, and of connections once it is closed."""
    leaks: list[str] = []
    if scenario.judge == "left" and not await within(lambda: _quiet(ground)):
        leaks.append("the abandoned request was not ended at the provider")
    stats = manager.stats()
    if stats.in_flight:
        leaks.append(f"{stats.in_flight} calls in flight by its own counters")
    if stats.requests != stats.successes + stats.failures + stats.cancelled + stats.in_flight:
        leaks.append("its counters do not add up")
    await manager.aclose()
    if not await within(lambda: not any(ground.connections.values())):
        leaks.append(f"{sum(ground.connections.values())} connections left open")
    return tuple(leaks)


def _quiet(ground: Ground) -> bool:
    return all(sim.counters.in_flight == 0 for sim in ground.sims.values())


async def _tasks_left(tasks: set[asyncio.Task[Any]]) -> tuple[str, ...]:
    if await within(lambda: all(task.done() for task in tasks)):
        return ()
    left = [task.get_name() for task in tasks if not task.done()]
    return (f"{len(left)} tasks left running",)


async def within(done: Callable[[], bool]) -> bool:
    with anyio.move_on_after(GRACE_S):
        while not done():  # noqa: ASYNC110 - neither sockets nor tasks tell when they are gone
            await anyio.sleep(_TICK_S)
    return done()


# --------------------------------------------------------------------------------------------------- watching


@frozen
class _Tag:
    """The tasks that one case has started. A value of its own, whatever it holds."""

    tasks: set[asyncio.Task[Any]] = field(factory=set, eq=False)


class Watch:
    """Notes how late the machine is, and which tasks each case starts; while it is entered, in this event loop."""

    def __init__(self) -> None:
        self._late = 0.0
        self.stalls: int = 0
        self._tag: ContextVar[_Tag | None] = ContextVar("case", default=None)
        self._before: Any = None
        self.complaints: list[str] = []

    def __enter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._before = loop.get_task_factory()
        loop.set_task_factory(self._make)
        loop.set_exception_handler(self._complain)
        return self

    def __exit__(self, *_: object) -> None:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(self._before)
        loop.set_exception_handler(None)

    def _complain(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        told = "" if error is None else f" ({type(error).__name__}: {error})"
        self.complaints.append(f"{context.get('message', 'unknown')}{told}")

    def _make(self, loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=loop, **options)
        tag = self._tag.get()
        if tag is not None:
            tag.tasks.add(task)
            task.add_done_callback(tag.tasks.discard)
        return task

    def tagged(self) -> _Tagged:
        return _Tagged(self._tag)

    def mark(self) -> float:
        return self._late

    def late_since(self, mark: float) -> float:
        """Seconds by which the event loop was late since `mark`."""
        return self._late - mark

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + _TICK_S
        while True:
            await asyncio.sleep(max(due - loop.time(), 0))
            late = loop.time() - due
            self._late += late if late > _ON_TIME_S else 0.0
            self.stalls += late > _STALL_S
            due = loop.time() + _TICK_S


class _Tagged:
    """While it lasts, every task that is started here, and by those, is noted."""

    def __init__(self, variable: ContextVar[_Tag | None]) -> None:
        self._variable = variable
        self._tag = _Tag()

    def __enter__(self) -> set[asyncio.Task[Any]]:
        self._token = self._variable.set(self._tag)
        return self._tag.tasks

    def __exit__(self, *_: object) -> None:
        self._variable.reset(self._token)
