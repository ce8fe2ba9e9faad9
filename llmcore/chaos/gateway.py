"""Runs the public scenarios through a gateway: its providers are ours and break, its caller is ours and judges."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

import anyio
from attrs import define, evolve, field

from llmcore.chaos.ground import Ground, prepared
from llmcore.chaos.judge import judge
from llmcore.chaos.nouns import Case, Finding, Result, Scenario, Seen
from llmcore.chaos.routes import KEY, Route, combined, first_of, ports_of, routes
from llmcore.chaos.runner import Complaints, Progress, Watch, within
from llmcore.chaos.settings import Profile, Tested, settings_for
from llmcore.chaos.through import Client, Endpoint
from llmcore.config import LlmConfig
from llmcore.errors import ConfigurationError
from llmcore.loader import dump
from llmcore.sim.places import base_path

APART_S = 3.0
"""Seconds (as published) between the beginnings of two cases: they share the gateway's retry budget, which must refill."""

Gateway = Callable[[str], AbstractAsyncContextManager[Endpoint]]
"""From the text of a configuration to a gateway that runs with it for the time of the block."""


def tested_by(config: LlmConfig, profile: Profile) -> Tested:
    """The settings under test. Raises ConfigurationError where they cannot be tried through a gateway."""
    settings = settings_for(config, profile, KEY)
    return evolve(settings, first=first_of(settings.config))


def upstreams(config: LlmConfig, scenarios: Sequence[Scenario], profile: Profile, first_port: int) -> str:
    """The configuration with which a gateway is to be started (TOML): its providers are the ones that shall break."""
    tested, found = tested_by(config, profile), routes(scenarios)
    ports = ports_of(tested.names, first_port)
    urls = {
        route.name: {
            entry.name: f"http://127.0.0.1:{ports[route.name][entry.name]}{base_path(entry.provider)}"
            for entry in tested.config.providers
        }
        for route in found
    }
    return dump(combined(tested, found, urls))


async def run_through(
    config: LlmConfig,
    scenarios: Sequence[Scenario],
    profile: Profile,
    gateway: Gateway,
    progress: Progress | None = None,
    complaints: Complaints | None = None,
    *,
    first_port: int | None = None,
) -> tuple[Result, ...]:
    """Every scenario through a gateway over these settings, in the given order.

    first_port: where the simulated providers listen, as `upstreams` has written it; None: at free ports. Raises
    ConfigurationError where a port is taken, or the gateway cannot be asked.
    """
    tested, found = tested_by(config, profile), routes(scenarios)
    with Watch() as watch:
        async with _site(tested, found, first_port) as grounds:
            urls = {name: ground.urls for name, ground in grounds.items()}
            async with gateway(dump(combined(tested, found, urls))) as endpoint, Client(endpoint) as client:
                await client.check([route.name for route in found])
                run = _Run(tested, client, grounds, watch, progress or (lambda result: None))
                async with anyio.create_task_group() as group:
                    group.start_soon(watch.run)
                    await run.all(found)
                    group.cancel_scope.cancel()
    for complaint in watch.complaints:
        if complaints is not None:
            complaints(complaint)
    return tuple(run.result(scenario) for scenario in scenarios)


@asynccontextmanager
async def _site(
    tested: Tested, found: Sequence[Route], first_port: int | None
) -> AsyncIterator[dict[str, Ground]]:
    """The upstreams of all cases, by the route's name."""
    ports = None if first_port is None else ports_of(tested.names, first_port)
    async with AsyncExitStack() as stack:
        grounds: dict[str, Ground] = {}
        for route in found:
            own = None if ports is None else ports[route.name]
            try:
                ground = await stack.enter_async_context(prepared(tested, route.broke, own))
            except OSError as error:
                raise ConfigurationError(
                    f"--upstream-port: the ports from {first_port} on cannot be had: {error.strerror or error}"
                ) from None
            grounds[route.name] = ground
        yield grounds


@define
class _Run:
    """Findings as they come, by the route's name."""

    tested: Tested
    client: Client
    grounds: dict[str, Ground]
    watch: Watch
    progress: Progress
    findings: dict[str, Finding] = field(factory=dict)
    waiting: dict[str, int] = field(factory=dict)
    names: dict[str, list[str]] = field(factory=dict)

    async def all(self, found: Sequence[Route]) -> None:
        """Every case, the longest first, one begun after the other."""
        for route in found:
            self.names.setdefault(route.scenario.id, []).append(route.name)
        ordered = sorted(found, key=lambda route: -route.scenario.traffic.calls)
        async with anyio.create_task_group() as group:
            for route in ordered:
                group.start_soon(self._one, route)
                await anyio.sleep(APART_S * self.tested.profile.factor)

    async def _one(self, route: Route) -> None:
        self.findings[route.name] = judge(await self._case(route))
        if all(name in self.findings for name in self.names[route.scenario.id]):
            self.progress(self.result(route.scenario))

    def result(self, scenario: Scenario) -> Result:
        """Of a scenario whose cases are all judged."""
        return Result(scenario, tuple(self.findings[name] for name in self.names[scenario.id]))

    async def _case(self, route: Route) -> Case:
        ground, mark = self.grounds[route.name], self.watch.mark()
        ground.begin()
        calls = await self._traffic(route, ground)
        late_s = self.watch.late_since(mark)
        quiet = await within(lambda: all(sim.counters.in_flight == 0 for sim in ground.sims.values()))
        leaks = () if quiet else ("a request still runs at a provider although its call is over",)
        facts = evolve(self.tested.facts(), remote=True)
        return Case(
            route.scenario, route.broke, route.way, facts, calls, ground.hits(), ground.met, late_s, leaks
        )

    async def _traffic(self, route: Route, ground: Ground) -> tuple[Seen, ...]:
        traffic, factor = route.scenario.traffic, self.tested.profile.factor
        calls: list[Seen | None] = [None] * traffic.calls

        async def call(at: int) -> None:
            await anyio.sleep(at * traffic.every_s * factor)
            calls[at] = await self.client.call(
                route,
                factor=factor,
                hang_s=route.scenario.bounds.hang_s * factor,
                began_s=asyncio.get_running_loop().time() - ground.began,
            )

        async with anyio.create_task_group() as around:
            around.start_soon(ground.cut_in_time)
            async with anyio.create_task_group() as group:
                for at in range(traffic.calls):
                    group.start_soon(call, at)
            around.cancel_scope.cancel()
        return tuple(call for call in calls if call is not None)
