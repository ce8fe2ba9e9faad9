"""What the manager tells other processes through Redis, and hears of them: breakers that are open, where sessions stay."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from math import isfinite
from typing import Any

from anyio.abc import TaskGroup
from attrs import asdict

from llmcore.errors import ConfigurationError
from llmcore.gateway.affinity import Affinity
from llmcore.gateway.hints import Hint, Hints
from llmcore.gateway.redis_link import RedisLink
from llmcore.gateway.resolve import Resolver
from llmcore.manager.manager import ProviderManager
from llmcore.secret import Secret

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


def shared(
    url: Secret, manager: ProviderManager, resolver: Resolver, group: TaskGroup
) -> Callable[[], dict[str, Any]]:
    """Tell and hear in `group` until that is cancelled; how it goes, for the status page. Raises ConfigurationError."""
    hints = Hints(RedisLink(url, time.time), partial(found, manager), partial(heard, manager))
    affinity = Affinity(RedisLink(url, time.time), manager.stay, time.monotonic)

    async def learn(session: str) -> None:
        if manager.fleet.fallback.sticky:
            await affinity.learn(session)

    manager.on_stay(affinity.stayed)
    resolver.learn = learn
    group.start_soon(hints.run)
    group.start_soon(affinity.run)
    return lambda: asdict(affinity.state)
