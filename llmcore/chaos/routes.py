"""Pure: one configuration for a gateway in which every case of every scenario has providers of its own.

A gateway cannot be started anew for each case, and what one case taught it of a provider must not count in the next.
So each case is a model's name ("s04-stream") that its own providers know, and nobody else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from attrs import evolve, frozen

from llmcore.chaos.ground import models_of
from llmcore.chaos.nouns import Break, Scenario, Way
from llmcore.chaos.public import PUBLIC
from llmcore.chaos.settings import Tested
from llmcore.config import LlmConfig, ProviderConfig, Written
from llmcore.errors import ConfigurationError
from llmcore.secret import Secret

KEY = "chaos-upstream-key"
"""What the gateway sends to the simulated providers; it opens nothing, and must never come back to a caller."""
KEY_VARIABLE = "LLMCORE_CHAOS_KEY"
FIRST_PORT = 8500


@frozen
class Route:
    """One case. name: the model that a caller asks the gateway for."""

    scenario: Scenario
    broke: Break
    way: Way
    name: str

    def full(self, provider: str) -> str:
        """The provider's name within the gateway."""
        return f"{self.name}-{provider}"

    def short(self, provider: str) -> str:
        """Its name in the settings under test."""
        return provider.removeprefix(f"{self.name}-")


def routes(scenarios: Sequence[Scenario]) -> tuple[Route, ...]:
    """Every case of these scenarios. Raises ConfigurationError for what cannot be tried through a gateway."""
    distant = [scenario.id for scenario in scenarios if not scenario.public]
    if distant:
        raise ConfigurationError(
            f"--only: {', '.join(distant)} cannot be tried through a gateway; S01 to S16 can"
        )
    return tuple(route for scenario in scenarios for route in _of(scenario))


def _of(scenario: Scenario) -> Iterator[Route]:
    several = len(scenario.breaks) > 1
    for broke, way in scenario.cases:
        at = f"-{scenario.breaks.index(broke) + 1}" if several else ""
        yield Route(scenario, broke, way, f"{scenario.id.lower()}{at}-{way}")


def first_of(config: LlmConfig) -> str:
    """Who is asked first. Raises ConfigurationError where that is left to chance or to figures."""
    strategy = config.fallback.strategy
    if strategy != "priority":
        raise ConfigurationError(
            f'llm.fallback.strategy: a gateway can only be tried with "priority", where it is known who is asked first; '
            f"{strategy!r} can be tried without --endpoint and --serve"
        )
    return min(config.providers, key=lambda entry: entry.priority).name


def ports_of(names: Sequence[str], first: int) -> dict[str, dict[str, int]]:
    """Ports by the route's and the provider's name, the same whichever scenarios are chosen."""
    every = routes(PUBLIC)
    needed = len(every) * len(names)
    if not 0 < first <= 65_536 - needed:
        raise ConfigurationError(
            f"--upstream-port: {needed} ports are needed from there on, and there are none beyond 65535"
        )
    return {
        route.name: {name: first + at * len(names) + number for number, name in enumerate(names)}
        for at, route in enumerate(every)
    }


def combined(
    tested: Tested,
    found: Sequence[Route],
    urls: Mapping[str, Mapping[str, str]],
    variable: str = KEY_VARIABLE,
) -> LlmConfig:
    """The gateway's configuration. urls: base URLs by the route's and the provider's name."""
    entries = [
        _entry(
            entry, route, urls[route.name][entry.name], models_of(tested, route.broke)[entry.name], variable
        )
        for route in found
        for entry in tested.config.providers
    ]
    return evolve(tested.config, providers=tuple(entries))


def _entry(entry: ProviderConfig, route: Route, url: str, model: str, variable: str) -> ProviderConfig:
    key = Secret(KEY)
    return evolve(
        entry,
        name=route.full(entry.name),
        base_url=url,
        api_key=key,
        api_keys=(),
        text_model=None,
        models={route.name: model},
        written={("api_key",): Written(f"${{{variable}:-{KEY}}}", key)},
    )
