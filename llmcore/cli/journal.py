"""The journal: one JSON line for each call, without prompts, answers or keys; and the stats that it adds up to."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from llmcore.cli.grid import stats_grid
from llmcore.cli.outcome import DONE
from llmcore.cli.screen import Screen
from llmcore.errors import ConfigurationError, ProviderError
from llmcore.meter import Meter
from llmcore.types import Attempt, EmbeddingResponse, GenerationResponse, ProviderStats, Usage


def entry_of(
    answer: GenerationResponse | EmbeddingResponse | ProviderError,
    seconds: float,
    first_token: float | None = None,
) -> dict[str, Any]:
    """One call as a line of the journal."""
    usage = Usage() if isinstance(answer, ProviderError) else answer.usage
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "outcome": answer.outcome if isinstance(answer, ProviderError) else "success",
        "provider": answer.provider,
        "model": answer.model,
        "seconds": round(seconds, 6),
        "first_token_s": None if first_token is None else round(first_token, 6),
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cost_usd": None if usage.cost_usd is None else str(usage.cost_usd),
        "attempts": [_attempt(attempt) for attempt in answer.attempts],
    }


def _attempt(attempt: Attempt) -> dict[str, Any]:
    return {
        "provider": attempt.provider,
        "model": attempt.model,
        "outcome": attempt.outcome,
        "status": attempt.status,
        "seconds": None if attempt.duration_s is None else round(attempt.duration_s, 6),
    }


def append(path: Path, entry: Mapping[str, Any]) -> None:
    """Add one line, in one write. Raises ConfigurationError where the file cannot be written."""
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
    except OSError as exc:
        raise ConfigurationError(f"--stats: {path} cannot be written: {exc.strerror or exc}") from None


def read(path: Path) -> list[dict[str, Any]]:
    """Every line of a journal. Raises ConfigurationError, naming the line that is none."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
        raise ConfigurationError(
            f"{path} cannot be read: {reason}; `generate --stats FILE` writes one"
        ) from None
    found: list[dict[str, Any]] = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            value = json.loads(line) if line.strip() else {}
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise ConfigurationError(f"{path}, line {number}: is no entry of a journal; remove it")
        if value:
            found.append(value)
    return found


def added_up(entries: Sequence[Mapping[str, Any]]) -> ProviderStats:
    """The stats of all calls, with those of every provider that was tried as `children`."""
    whole, parts = Meter(), dict[str, Meter]()
    for entry in entries:
        _count(whole, entry.get("outcome"), entry.get("seconds"), entry)
        if (first := _number(entry.get("first_token_s"))) is not None:
            whole.first_token(first)
        for attempt in _tables(entry.get("attempts")):
            meter = parts.setdefault(str(attempt.get("provider")), Meter())
            _count(meter, attempt.get("outcome"), attempt.get("seconds"), entry)
    children = tuple(meter.stats(name) for name, meter in sorted(parts.items()))
    return whole.stats("all calls", children=children)


def _count(meter: Meter, outcome: Any, seconds: Any, entry: Mapping[str, Any]) -> None:
    meter.started()
    if outcome == "success":
        meter.succeeded(_number(seconds) or 0.0, _usage(entry))
    elif outcome == "cancelled":
        meter.gave_up()
    else:
        meter.failed(str(outcome))


def _usage(entry: Mapping[str, Any]) -> Usage:
    return Usage(
        _whole(entry.get("input_tokens")), _whole(entry.get("output_tokens")), cost_usd=_money(entry)
    )


def _money(entry: Mapping[str, Any]) -> Decimal | None:
    try:
        return Decimal(entry["cost_usd"])
    except (KeyError, TypeError, ValueError, InvalidOperation):
        return None


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _tables(value: Any) -> Iterable[Mapping[str, Any]]:
    return (item for item in value if isinstance(item, Mapping)) if isinstance(value, list) else ()


def show(path: Path, *, as_json: bool, screen: Screen) -> int:
    """The stats of a journal as a table, or as JSON."""
    entries = read(path)
    total = added_up(entries)
    if as_json:
        screen.line(json.dumps([_stats_json(one) for one in (*total.children, total)]))
    elif not entries:
        screen.line(f"{path}: no calls yet")
    else:
        screen.show(stats_grid(total))
    return DONE


def _stats_json(stats: ProviderStats) -> dict[str, Any]:
    return {
        "name": stats.name,
        "requests": stats.requests,
        "successes": stats.successes,
        "failures": stats.failures,
        "cancelled": stats.cancelled,
        "input_tokens": stats.input_tokens,
        "output_tokens": stats.output_tokens,
        "cost_usd": None if stats.cost_usd is None else str(stats.cost_usd),
        "latency_p50_s": stats.latency_p50_s,
        "latency_p95_s": stats.latency_p95_s,
        "first_token_mean_s": stats.first_token_mean_s,
    }
