"""A gateway of our own for `llmcore chaos --serve`: `llmcore serve` in a process of its own, over an empty folder."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import anyio
import anyio.abc

from llmcore.chaos.through import Endpoint
from llmcore.errors import ConfigurationError

READY_S = 60.0
STOP_S = 15.0
_PAUSE_S = 0.05
_ADDRESS = re.compile(r"^llmcore gateway at (\S+)", re.MULTILINE)
_KEY = re.compile(r"^API key, shown once: (\S+)$", re.MULTILINE)


@asynccontextmanager
async def running(url: str, key: str, config: str) -> AsyncIterator[Endpoint]:
    """One that runs already, with the configuration that was written for it. Raises ConfigurationError."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise ConfigurationError(f"--endpoint: {url!r} is no address; http://127.0.0.1:8400 is one")
    if not key:
        raise ConfigurationError("--key: the gateway's key is missing; say it there, or in LLMCORE_API_KEY")
    yield Endpoint(url.rstrip("/").removesuffix("/v1"), key)


@asynccontextmanager
async def started(config: str) -> AsyncIterator[Endpoint]:
    """A gateway with this configuration (TOML), at a free port of this machine; ended with the block.

    Raises ConfigurationError with what it said where it does not start.
    """
    with TemporaryDirectory(prefix="llmcore-chaos-") as name:
        folder = Path(name)
        file, said = folder / "config.toml", folder / "said"
        file.write_text(config, encoding="utf-8")
        command = [sys.executable, "-m", "llmcore.cli", "serve", "--config", str(file)]
        command += ["--host", "127.0.0.1", "--port", "0", "--data-dir", str(folder / "data")]
        with said.open("wb") as out:
            process = await anyio.open_process(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=_environment()
            )
        try:
            yield await _ready(process, said)
        finally:
            with anyio.CancelScope(shield=True):
                await _stopped(process)


def _environment() -> dict[str, str]:
    """Ours, without what would change the gateway that is tried."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LLMCORE_")}
    return {**kept, "PYTHONUNBUFFERED": "1"}


async def _ready(process: anyio.abc.Process, said: Path) -> Endpoint:
    with anyio.move_on_after(READY_S):
        while process.returncode is None:
            text = await _text(said)
            address, key = _ADDRESS.search(text), _KEY.search(text)
            if address and key:
                return Endpoint(address[1], key[1])
            await anyio.sleep(_PAUSE_S)
    text = (await _text(said))[-500:].strip()
    raise ConfigurationError(f"--serve: the gateway does not start: {text or 'it says nothing'}")


async def _text(said: Path) -> str:
    return await anyio.Path(said).read_text(encoding="utf-8", errors="replace")


async def _stopped(process: anyio.abc.Process) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
        with anyio.move_on_after(STOP_S):
            await process.wait()
    if process.returncode is None:
        process.kill()
        await process.wait()
