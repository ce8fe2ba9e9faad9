"""`llmcore sim`: simulated providers until one interrupts them."""

from __future__ import annotations

from pathlib import Path

from llmcore.cli.grid import Grid, columns
from llmcore.cli.outcome import DONE
from llmcore.cli.screen import Screen
from llmcore.sim import fault_names, run


def serve(
    *,
    host: str,
    port: int,
    script: Path | None,
    first_token_delay: float,
    tokens_per_second: float | None,
    models: tuple[str, ...],
    faults: bool,
    screen: Screen,
) -> int:
    """Serve, or with `faults` only list the models' names that break."""
    if faults:
        screen.show(Grid(columns("model name", "what happens"), fault_names()))
        return DONE
    run(
        host,
        port,
        script,
        first_token_delay=first_token_delay,
        tokens_per_second=tokens_per_second,
        models=models,
        on_ready=screen.line,
    )
    return DONE
