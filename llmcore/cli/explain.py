"""`llmcore explain`: who would be asked for a request, in which order, who not and why; nothing is sent."""

from __future__ import annotations

import json
from pathlib import Path

import anyio
import attrs

from llmcore.build import create_manager
from llmcore.cli.ask import Options, request_of
from llmcore.cli.grid import UNKNOWN, Grid, columns, plural, seconds
from llmcore.cli.outcome import DONE, FAILED
from llmcore.cli.screen import Screen
from llmcore.cli.setup import find_config
from llmcore.manager.explain import Considered, Explanation
from llmcore.types import GenerationRequest


def explain(
    options: Options, config: Path | None, only: tuple[str, ...], *, as_json: bool, screen: Screen
) -> int:
    """Print what a manager of this configuration would do with the request; 1 where nobody would be asked."""
    request = attrs.evolve(request_of(options), providers=only)
    explanation = anyio.run(_ask, config, request)
    if as_json:
        screen.line(json.dumps(attrs.asdict(explanation)))
    else:
        screen.show(_grid(explanation))
        screen.line(_policy(explanation))
    return DONE if explanation.order else FAILED


async def _ask(config: Path | None, request: GenerationRequest) -> Explanation:
    manager = create_manager(await find_config(config))
    try:
        return manager.explain(request)
    finally:
        await manager.aclose()


def _grid(explanation: Explanation) -> Grid:
    ordered = sorted(explanation.candidates, key=lambda one: (one.rank is None, one.rank or 0))
    rows = [
        (
            UNKNOWN if one.rank is None else str(one.rank),
            one.provider,
            one.model or "(its own)",
            str(one.priority),
            one.breaker,
            _why(one),
        )
        for one in ordered
    ]
    marks = ["bad" if one.rank is None else "" for one in ordered]
    return Grid(columns(">#", "provider", "model", ">priority", "breaker", "why"), rows, marks)


def _why(one: Considered) -> str:
    if one.reason:
        return f"not asked: {one.detail}" if one.rank is None else f"late: {one.detail}"
    return "asked first" if one.rank == 1 else "asked if those before it fail"


def _policy(explanation: Explanation) -> str:
    words = [
        f"strategy {explanation.strategy}",
        f"at most {plural(explanation.max_attempts, 'attempt')} of which {explanation.retries} may repeat one provider",
        f"{seconds(explanation.deadline_s)} in all",
        f"a broken stream: {explanation.mid_stream}",
    ]
    if explanation.patience_s is not None:
        words.append(f"another provider is asked beside after {seconds(explanation.patience_s)} of silence")
    return "; ".join(words)
