"""The manager's breakers as hints to other processes, and theirs as a reason to ask a provider later."""

from __future__ import annotations

from contextlib import suppress
from math import isfinite

from llmcore.errors import ConfigurationError
from llmcore.gateway.hints import Hint
from llmcore.manager.manager import ProviderManager

WHY = "failing_elsewhere"


def found(manager: ProviderManager) -> list[Hint]:
    """What this process's own breakers leave alone now; what was isolated by hand is this process's matter."""
    now = manager.clock.now()
    return [
        Hint(guard.name, line.family, line.breaker.opens_at - now)
        for guard in manager.fleet.guards
        for line in guard.lines.values()
        if line.breaker.state == "open" and isfinite(line.breaker.opens_at) and line.breaker.opens_at > now
    ]


def heard(manager: ProviderManager, hint: Hint) -> None:
    """Ask that provider after the others for so long, or until it answers here. Unknown names mean nothing."""
    with suppress(ConfigurationError):
        until = manager.clock.now() + hint.seconds
        manager.advise(hint.provider, until, model=hint.family or None, reason=WHY)
