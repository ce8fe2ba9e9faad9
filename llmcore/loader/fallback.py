"""`[llm.fallback]` with its tables `breaker` and `budget`."""

from __future__ import annotations

from typing import Any

from llmcore.config import MID_STREAM, STRATEGIES, BreakerConfig, BudgetConfig, FallbackConfig
from llmcore.loader.rules import BAD, Reader, boolean, choice, integer, number, shown, table, words
from llmcore.loader.text import Notes

_BREAKER: dict[str, Reader] = {
    "enabled": boolean,
    "failures": integer(1),
    "window": number(above=True),
    "min_calls": integer(1),
    "failure_rate": number(0, 1, above=True),
    "open_time": number(above=True),
    "max_open_time": number(above=True),
    "probes": integer(1),
    "successes": integer(1),
    "block_sole": boolean,
}

_BUDGET: dict[str, Reader] = {
    "enabled": boolean,
    "capacity": number(),
    "cost": number(above=True),
    "per_success": number(),
    "per_second": number(),
}


def _hedge_after(value: Any, path: str, notes: Notes) -> Any:
    """Seconds, or "p95"."""
    if isinstance(value, str) and value != "p95":
        notes.error(path, f'must be a number of seconds or "p95", not {shown(value)}')
        return BAD
    return "p95" if isinstance(value, str) else number(above=True)(value, path, notes)


def _breaker(value: Any, path: str, notes: Notes) -> Any:
    good = table(value, path, notes, _BREAKER, {"threshold": "failures", "cooldown": "open_time"})
    if good is None:
        return BAD
    config = BreakerConfig(**good)
    if config.max_open_time < config.open_time:
        notes.error(
            f"{path}.max_open_time",
            f"must be at least open_time ({config.open_time:g}), not {config.max_open_time:g}",
        )
    return config


def _budget(value: Any, path: str, notes: Notes) -> Any:
    good = table(value, path, notes, _BUDGET, {"size": "capacity", "refill": "per_second"})
    if good is None:
        return BAD
    config = BudgetConfig(**good)
    if config.enabled and config.cost > config.capacity:
        notes.warn(f"{path}.cost", "is more than capacity holds; nothing will ever be retried")
    return config


_FALLBACK: dict[str, Reader] = {
    "enabled": boolean,
    "strategy": choice("strategy", STRATEGIES),
    "max_retries": integer(0),
    "retry_delay_ms": integer(0),
    "max_delay_ms": integer(0),
    "max_attempts": integer(1),
    "max_retry_after": number(),
    "prefer_failover_after": number(),
    "retry_after_send": boolean,
    "fallbacks": words,
    "mid_stream": choice("way to go on", MID_STREAM),
    "patience": number(),
    "reasoning_patience": number(),
    "hedge_after": _hedge_after,
    "generate_by_stream": boolean,
    "allow_policy_fallback": boolean,
    "pace": boolean,
    "max_queue": integer(0),
    "sticky": boolean,
    "breaker": _breaker,
    "budget": _budget,
}

_WORDS = {
    "retries": "max_retries",
    "attempts": "max_attempts",
    "retry_delay": "retry_delay_ms",
    "hedge": "hedge_after",
    "midstream": "mid_stream",
    "queue": "max_queue",
    "circuit_breaker": "breaker",
    "retry_budget": "budget",
}


def read_fallback(value: Any, notes: Notes) -> FallbackConfig:
    """What is said, over the defaults."""
    good = table(value, "llm.fallback", notes, _FALLBACK, _WORDS)
    return FallbackConfig(**(good or {}))
