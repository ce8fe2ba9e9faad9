"""A running model server as the tests see it: its address, its log, and what it is doing right now."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import httpx
from attrs import frozen

HERE = Path(__file__).parent
KEY = "a-key-of-our-own"
MODEL, SLOTS, CONTEXT = "tiny", 4, 1024
START_S, END_S, IDLE_S, WEIGHTS_S = 60.0, 10.0, 20.0, 60.0
LOG_TAIL = 4000
UNSET = "LLMCORE_REAL_PYTHON is not set: `make test-real` installs a model engine and sets it"


@frozen
class Engine:
    """One server process. `base_url` is what a provider is configured with; `process` may be killed by a test."""

    base_url: str
    process: subprocess.Popen[bytes]
    log: Path

    async def busy(self) -> int:
        """How many of the server's slots are computing."""
        async with httpx.AsyncClient(timeout=IDLE_S) as client:
            answer = await client.get(
                self.base_url.removesuffix("/v1") + "/slots", headers={"authorization": f"Bearer {KEY}"}
            )
        return sum(bool(slot["is_processing"]) for slot in answer.raise_for_status().json())

    async def until_busy(self) -> None:
        """Wait until the server computes. Raises TimeoutError after a bounded time."""
        with anyio.fail_after(IDLE_S):
            while not await self.busy():  # noqa: ASYNC110 - another process has no event of ours
                await anyio.sleep(0.02)

    async def until_idle(self) -> None:
        """Wait until the server computes nothing. Raises TimeoutError after a bounded time.

        llama.cpp sees that nobody waits for a whole answer only after a second without any other request, ours included.
        """
        with anyio.fail_after(IDLE_S):
            while await self.busy():  # noqa: ASYNC110 - as above
                await anyio.sleep(1.1)


def real_python() -> Path | None:
    """The Python of the server's environment, or None where `make test-real` did not set one up."""
    named = os.environ.get("LLMCORE_REAL_PYTHON")
    return Path(named).absolute() if named else None


def write_weights(python: Path, target: Path) -> None:
    subprocess.run([python, HERE / "weights.py", target], check=True, timeout=WEIGHTS_S)


@contextmanager
def running(python: Path, weights: Path, folder: Path) -> Iterator[Engine]:
    """A server of these weights, on a free port of loopback; it is ended in every case."""
    log, address = folder / "server.log", folder / "address.txt"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [python, HERE / "server.py", weights, address, KEY],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield Engine(f"{_address(process, address, log)}/v1", process, log)
    finally:
        _end(process)


def tail(log: Path) -> str:
    return log.read_bytes()[-LOG_TAIL:].decode("utf-8", "replace")


def _address(process: subprocess.Popen[bytes], address: Path, log: Path) -> str:
    limit = time.monotonic() + START_S
    while not address.exists():
        if process.poll() is not None or time.monotonic() > limit:
            what = "did not start in time" if process.poll() is None else f"ended with {process.returncode}"
            raise RuntimeError(f"the model server {what}\n{tail(log)}")
        time.sleep(0.05)
    return address.read_text("utf-8")


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(END_S)
