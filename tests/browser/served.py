"""`llmcore sim` and `llmcore serve` as people start them: two processes on loopback, ended with the block."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
from attrs import frozen

STARTS_S = 60.0
HOSTILE = "<img src=x onerror=window.hit=1>"
MODELS = ("gpt-4o-mini", "gpt-4o", "text-embedding-3-small", "claude-sonnet-4-5", "llama3.2", HOSTILE)

CONFIG = """\
[gateway]
local_servers = ["{sim}"]

[[llm.providers]]
name = "primary"
provider = "openai"
api_key = "sk-simulated"
base_url = "http://{sim}/openai/v1"
text_model = "gpt-4o-mini"
embedding_model = "text-embedding-3-small"
priority = 1

[[llm.providers]]
name = "secondary"
provider = "anthropic"
api_key = "sk-simulated"
base_url = "http://{sim}/anthropic"
text_model = "claude-sonnet-4-5"
max_tokens = 1000
priority = 2

[[llm.providers]]
name = "closed"
provider = "openai"
api_key = "sk-simulated"
base_url = "http://127.0.0.1:{closed}/v1"
text_model = "gpt-4o"
priority = 3

[llm.fallback]
max_retries = 0
"""


@frozen
class Served:
    """A gateway that runs. link: signs in once; key: the API key that was shown; sim: host and port of the providers."""

    address: str
    link: str
    key: str
    sim: str
    folder: Path

    def ask(self, token: str | None = None, model: str = "primary/gpt-4o-mini") -> httpx.Response:
        """One call through the API, as a program makes it."""
        headers = {"authorization": f"Bearer {token or self.key}"}
        body = {"model": model, "messages": [{"role": "user", "content": "hello"}]}
        return httpx.post(f"{self.address}/v1/chat/completions", json=body, headers=headers, timeout=20)


@contextmanager
def served(folder: Path) -> Iterator[Served]:
    models = [f"--model={model}" for model in MODELS]
    speed = ("--first-token-delay", "0.15", "--tokens-per-second", "10")
    sim_command = llmcore("sim", "--port", "0", *speed, *models)
    with running(sim_command, into=folder / "sim.log", until="http://") as sim_said:
        sim = found_in(sim_said, r"http://(127\.0\.0\.1:\d+)")
        config = folder / "config.toml"
        config.write_text(CONFIG.format(sim=sim, closed=_free_port()))
        data = ("--config", str(config), "--data-dir", str(folder / "data"), "--port", str(_free_port()))
        with running(llmcore("serve", *data), into=folder / "serve.log", until="#token=") as said:
            yield Served(
                found_in(said, r"gateway at (http://\S+)"),
                found_in(said, r"(http://\S+#token=\S+)"),
                found_in(said, r"(llmc-\S+)"),
                sim,
                folder,
            )


def llmcore(*words: str) -> list[str]:
    """The command line, as installed."""
    return [sys.executable, "-m", "llmcore.cli", *words]


@contextmanager
def running(
    command: Sequence[str], *, into: Path, until: str, env: Mapping[str, str] | None = None
) -> Iterator[str]:
    """The command, once it has said `until`; what it said so far. It ends with the block."""
    with into.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, cwd=into.parent, env=env)
        try:
            yield _said(process, into, until)
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _said(process: subprocess.Popen[bytes], into: Path, until: str) -> str:
    ends = time.monotonic() + STARTS_S
    while time.monotonic() < ends:
        said = into.read_text(errors="replace")
        if until in said and said.endswith("\n"):
            return said
        if process.poll() is not None:
            break
        time.sleep(0.05)
    msg = f"it did not start:\n{into.read_text(errors='replace')[-2000:]}"
    raise AssertionError(msg)


def found_in(said: str, pattern: str) -> str:
    """The first group of `pattern`."""
    found = re.search(pattern, said)
    assert found is not None, said
    return found[1]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
