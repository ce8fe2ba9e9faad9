"""All scenarios, and the choice among them by id."""

from __future__ import annotations

from collections.abc import Iterable

from llmcore.chaos.faults import FAULTS
from llmcore.chaos.faults_answers import MORE_FAULTS
from llmcore.chaos.nouns import Scenario
from llmcore.chaos.public import PUBLIC
from llmcore.errors import ConfigurationError

SCENARIOS: tuple[Scenario, ...] = (*PUBLIC, *FAULTS, *MORE_FAULTS)


def chosen(only: Iterable[str]) -> tuple[Scenario, ...]:
    """The scenarios of these ids (any case), in our order; all for none. Raises ConfigurationError for unknown ids."""
    wanted = [name.strip().upper() for name in only if name.strip()]
    known = {scenario.id for scenario in SCENARIOS}
    if unknown := [name for name in wanted if name not in known]:
        raise ConfigurationError(
            f"--only: there is no scenario {', '.join(unknown)}; known: {', '.join(s.id for s in SCENARIOS)}"
        )
    return tuple(scenario for scenario in SCENARIOS if not wanted or scenario.id in wanted)
