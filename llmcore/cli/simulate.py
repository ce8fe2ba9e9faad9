"""`llmcore simulate`: fallback settings against simulated providers on a virtual clock."""

from __future__ import annotations

from pathlib import Path

from llmcore.cli.screen import Screen
from llmcore.errors import ConfigurationError


def simulate(
    scenario: Path,
    *,
    configs: tuple[Path, ...],
    duration: str | None,
    seed: int | None,
    json: Path | None,
    plot: Path | None,
    html: Path | None,
    log: Path | None,
    screen: Screen,
) -> int:
    """Read, simulate, print and write."""
    raise ConfigurationError("simulate: not there yet")
