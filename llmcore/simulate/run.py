"""Run a scenario: the manager's own code, simulated providers, and a clock that jumps."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from random import Random
from typing import Literal, TypeAlias

import anyio
from attrs import frozen

from llmcore.errors import ProviderError
from llmcore.manager import ProviderManager
from llmcore.simulate.load import Load
from llmcore.simulate.profile import Call, Profile, Scenario, Setup
from llmcore.simulate.provider import CALL, CHARS_PER_TOKEN, SimulatedProvider
from llmcore.simulate.tally import Seen, seen
from llmcore.testing import run_simulated
from llmcore.types import Attempt, Finished, GenerationRequest, is_visible

Tick: TypeAlias = Callable[[float], None]
"""Told how much of a run is done, from 0 to 1."""

Backend: TypeAlias = Literal["asyncio", "trio"]
PROMPT = "and " * 1024
TICKS = 200


@frozen
class Run:
    """What one configuration came to. calls: in the order in which they began. attempts: of each of them, where kept.
    openings: of the breakers, by provider: the seconds at which they were noticed.
    """

    setup: Setup
    calls: tuple[Seen, ...]
    loads: Mapping[str, Load]
    openings: Mapping[str, tuple[float, ...]]
    attempts: tuple[tuple[Call, tuple[Attempt, ...]], ...] = ()


def simulate(
    scenario: Scenario,
    setup: Setup,
    *,
    tick: Tick | None = None,
    keep: bool = False,
    backend: Backend = "asyncio",
) -> Run:
    """Play the scenario against one configuration. keep: also keep every attempt.

    Same scenario, same setup: same result, to the last bit.
    """
    return run_simulated(_Play(scenario, setup, tick, keep=keep).main, backend=backend)


def providers_of(scenario: Scenario, setup: Setup, origin: float) -> list[SimulatedProvider]:
    """The providers that take part, in the setup's order. origin: the clock's time at which the scenario begins."""
    profiles = {profile.name: profile for profile in scenario.profiles}
    names = setup.routings or dict.fromkeys(profiles)
    return [_provider(profiles[name], scenario, setup, origin) for name in names]


def _provider(profile: Profile, scenario: Scenario, setup: Setup, origin: float) -> SimulatedProvider:
    return SimulatedProvider(
        profile,
        routing=setup.routings.get(profile.name),
        timeouts=setup.timeouts.get(profile.name),
        price=setup.prices.get(profile.name),
        seed=scenario.seed,
        origin=origin,
        step=scenario.step,
    )


def steps_of(scenario: Scenario) -> int:
    """How many figures over time there are."""
    return max(1, math.ceil(scenario.duration / scenario.step))


def request_of(call: Call) -> GenerationRequest:
    """The request that a call makes: as long as its prompt, and with the call itself for the simulated providers."""
    characters = call.prompt_tokens * CHARS_PER_TOKEN
    text = (PROMPT * (characters // len(PROMPT) + 1))[:characters]
    metadata = {CALL: call} if call.session is None else {CALL: call, "session": call.session}
    return GenerationRequest(text, deadline=call.deadline, metadata=metadata)


def _chance(scenario: Scenario, what: str) -> Random:
    return Random(f"{scenario.seed}/{what}")  # noqa: S311 - a simulation


class _Watch:
    """Looks at the manager's breakers whenever a call has ended; no opening fits between two looks."""

    def __init__(self, manager: ProviderManager) -> None:
        self._guards = manager.fleet.guards
        self._known: dict[tuple[str, str], tuple[int, bool]] = {}
        self._found: dict[str, list[float]] = {guard.name: [] for guard in self._guards}

    def look(self, at: float) -> None:
        for guard in self._guards:
            for line in guard.lines.values():
                breaker = line.breaker
                if not breaker.openings:
                    continue
                is_open = breaker.state == "open"
                key = (guard.name, line.family)
                before, was_open = self._known.get(key, (0, False))
                if is_open and (breaker.openings != before or not was_open):
                    self._found[guard.name].append(at)
                self._known[key] = (breaker.openings, is_open)

    def openings(self) -> dict[str, tuple[float, ...]]:
        return {name: tuple(found) for name, found in self._found.items()}


class _Play:
    """One run of one setup."""

    def __init__(self, scenario: Scenario, setup: Setup, tick: Tick | None, *, keep: bool) -> None:
        self._scenario = scenario
        self._setup = setup
        self._tick = tick
        self._keep = keep
        self._seen: list[Seen | None] = []
        self._attempts: list[tuple[Call, tuple[Attempt, ...]]] = []

    async def main(self) -> Run:
        scenario, setup = self._scenario, self._setup
        origin = anyio.current_time()
        providers = providers_of(scenario, setup, origin)
        manager = ProviderManager(
            providers, setup.fallback, timeouts=setup.limits, random=_chance(scenario, "manager")
        )
        watch = _Watch(manager)
        told = 0
        async with anyio.create_task_group() as group:
            for call in scenario.traffic.calls(scenario.duration, _chance(scenario, "traffic")):
                wait = call.at - (anyio.current_time() - origin)
                if wait > 0:
                    await anyio.sleep(wait)
                self._seen.append(None)
                group.start_soon(self._one, manager, watch, call, len(self._seen) - 1)
                if self._tick is not None and call.at >= told * scenario.duration / TICKS:
                    told += 1
                    self._tick(call.at / scenario.duration)
        await manager.aclose()
        if self._tick is not None:
            self._tick(1.0)
        calls = tuple(call for call in self._seen if call is not None)
        loads = {provider.name: provider.load for provider in providers}
        return Run(setup, calls, loads, watch.openings(), tuple(self._attempts))

    async def _one(self, manager: ProviderManager, watch: _Watch, call: Call, place: int) -> None:
        began = anyio.current_time()
        first: float | None = None
        attempts: tuple[Attempt, ...] = ()
        outcome = "success"
        try:
            if call.stream:
                async with manager.stream(request_of(call)) as events:
                    async for event in events:
                        if type(event) is Finished:
                            attempts = event.attempts
                        elif first is None and is_visible(event):
                            first = anyio.current_time() - began
            else:
                attempts = (await manager.generate(request_of(call))).attempts
        except ProviderError as error:
            outcome, attempts = error.outcome, error.attempts
        self._seen[place] = seen(call.at, anyio.current_time() - began, outcome, first, attempts)
        watch.look(call.at + anyio.current_time() - began)
        if self._keep:
            self._attempts.append((call, attempts))
