"""What `llmcore sim` runs: one simulator until it is interrupted. Prints nothing itself."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

from llmcore.errors import ConfigurationError
from llmcore.sim.server import Simulator


def run(
    host: str = "127.0.0.1",
    port: int = 8401,
    script_path: str | Path | None = None,
    *,
    first_token_delay: float = 0.0,
    tokens_per_second: float | None = None,
    api_key: str | None = None,
    models: Sequence[str] = (),
    seed: int = 0,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Serve until interrupted; `on_ready` gets one line to show, once it listens.

    Raises ConfigurationError for a wrong script (every complaint at once) or a port that is taken.
    """
    simulator = Simulator(
        first_token_delay=first_token_delay,
        tokens_per_second=tokens_per_second,
        script=None if script_path is None else Path(script_path),
        api_key=api_key,
        models=models,
        seed=seed,
        host=host,
        port=port,
    )
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(simulator, on_ready))


async def _serve(simulator: Simulator, on_ready: Callable[[str], None] | None) -> None:
    try:
        await simulator.start()
    except OSError as exc:
        raise ConfigurationError(f"{simulator.url} cannot be listened on: {exc.strerror or exc}") from None
    if on_ready is not None:
        on_ready(
            f"simulated providers at {simulator.url} (for example {simulator.base_url('openai')}); Ctrl-C ends it"
        )
    try:
        await asyncio.Event().wait()
    finally:
        await simulator.stop()
