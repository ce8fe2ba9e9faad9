"""The demo: a conversation answered by the second provider because the first is down, then the gateway. No key, no network.

Three simulated providers run in this process, each in the dialect of its vendor; the configuration is the documented
`config.toml`, whose addresses the vendors' own variables turn to the simulators. The gateway serves until Ctrl-C; with
`--once` it answers one request and ends.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

import anyio
import httpx
from anyio.streams.text import TextReceiveStream
from attrs import evolve

import llmcore
from llmcore.cli.generate import Answer, Show, streamed
from llmcore.cli.grid import attempts_grid, dollars, seconds, stats_grid, used
from llmcore.cli.screen import Screen
from llmcore.config import LlmConfig
from llmcore.providers import kinds
from llmcore.sim import Simulator

HERE = Path(__file__).resolve().parent
KEY = "demo-key-of-nobody"
PORT = 8400


async def main(*, once: bool) -> None:
    screen = Screen()
    began = time.monotonic()
    async with AsyncExitStack() as stack:
        openai, anthropic, ollama = [
            await stack.enter_async_context(
                Simulator(
                    dialects=[dialect],
                    api_key=key,
                    models=models,
                    first_token_delay=0.25,
                    tokens_per_second=40,
                )
            )
            for dialect, key, models in (
                ("openai", KEY, ("gpt-4o-mini", "gpt-4o", "text-embedding-3-small")),
                ("anthropic", KEY, ("claude-sonnet-4-5", "claude-haiku-4-5")),
                ("ollama", None, ("llama3.2", "nomic-embed-text")),
            )
        ]
        environ = {
            "OPENAI_API_KEY": KEY,
            "OPENAI_BASE_URL": openai.base_url("openai"),
            "ANTHROPIC_API_KEY": KEY,
            "ANTHROPIC_BASE_URL": anthropic.base_url("anthropic"),
            "OLLAMA_HOST": ollama.base_url("ollama"),
        }
        await openai.refuse()
        config = impatient(llmcore.load_config(HERE.parent / "config.toml", environ=environ, kinds=kinds()))
        await converse(config, environ, screen)
        screen.line(f"\nDone in {time.monotonic() - began:.1f} s, without a key and without the network.")
        await openai.accept()
        await gateway(environ, screen, [openai, ollama], once=once)


def impatient(config: LlmConfig) -> LlmConfig:
    """The configuration with short waits: a demo has no rate limit to respect."""
    return evolve(config, fallback=evolve(config.fallback, max_retries=2, retry_delay_ms=150))


async def converse(config: LlmConfig, environ: dict[str, str], screen: Screen) -> None:
    question = (HERE / "question.txt").read_text(encoding="utf-8").strip()
    title(screen, "Providers, from config.toml")
    for entry in config.providers:
        if entry.enabled:
            state = "down: nobody listens" if entry.name == "primary" else "up, simulated"
            screen.line(
                f"  {entry.priority}  {entry.name:<10} {entry.provider:<10} {entry.text_model:<18} {state}"
            )
    title(screen, "Question, from examples/question.txt")
    screen.line(question)
    title(screen, "Answer, streamed")
    async with llmcore.open(config, environ=environ) as llm:
        with screen.waiting("waiting for the answer") as waiting:
            answer: Answer = await streamed(llm.stream(question), Show(), screen, waiting)
        title(screen, "Who was tried")
        screen.show(attempts_grid(answer.response.attempts))
        tell(answer, screen)
        title(screen, "Stats")
        screen.show(stats_grid(llm.stats()))


async def gateway(environ: dict[str, str], screen: Screen, local: list[Simulator], *, once: bool) -> None:
    """`llmcore serve` over the same providers, with a database of its own that goes away with it.

    local: what users may enter as a server of their own, too.
    """
    title(screen, "The gateway, over the same providers (all up now)")
    with tempfile.TemporaryDirectory(prefix="llmcore-demo-") as home:
        config = written(home, local)
        command = [sys.executable, "-m", "llmcore.cli", "serve", "--config", str(config)]
        command += ["--data-dir", home, "--port", str(free(PORT))]
        async with await anyio.open_process(command, env={**os.environ, **environ}, stderr=None) as server:
            assert server.stdout is not None
            said = ""
            try:
                async for text in TextReceiveStream(server.stdout):
                    screen.out.out(text, end="")
                    said += text
                    if "sign-in#" in said and said.endswith("\n") and once:
                        await ask(said, screen)
                        return
                    if "sign-in#" in said and said.endswith("\n"):
                        invite(environ, screen)
                        said = ""
            finally:
                with anyio.CancelScope(shield=True), anyio.move_on_after(5):
                    if server.returncode is None:
                        server.terminate()
                    await server.wait()


def written(home: str, servers: list[Simulator]) -> Path:
    """The documented configuration, in which these count as local servers, as a file in that folder."""
    found = json.dumps([server.url.removeprefix("http://") for server in servers])
    documented = (HERE.parent / "config.toml").read_text(encoding="utf-8")
    path = Path(home, "config.toml")
    path.write_text(documented.replace("\n[gateway]\n", f"\n[gateway]\nlocal_servers = {found}\n"), "utf-8")
    return path


def invite(environ: dict[str, str], screen: Screen) -> None:
    """What to do with the pages."""
    screen.line("Open the link for the pages; Ctrl-C ends it.")
    screen.line("Under Settings you can enter simulated servers as your own, too:")
    screen.line(f"  Ollama  address {environ['OLLAMA_HOST']}")
    screen.line(f"  vLLM    address {environ['OPENAI_BASE_URL']}  key {KEY}")


async def ask(said: str, screen: Screen) -> None:
    """One question with the key that was shown, as any OpenAI client would ask it."""
    address, key = re.search(r"OpenAI: (\S+?)\)", said), re.search(r"llmc-\S+", said)
    assert address is not None
    assert key is not None
    body = {"messages": [{"role": "user", "content": "Why is the sky blue?"}]}
    headers = {"authorization": f"Bearer {key.group()}"}
    async with httpx.AsyncClient() as client:
        answer = await client.post(f"{address.group(1)}/chat/completions", json=body, headers=headers)
    answer.raise_for_status()
    screen.line(f"answered by {answer.headers['x-llmcore-provider']}")
    screen.line(answer.json()["choices"][0]["message"]["content"])


def free(port: int) -> int:
    """That port, or where it is taken any other."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        found: int = probe.getsockname()[1]
        return found


def tell(answer: Answer, screen: Screen) -> None:
    """Who answered, at what price in tokens, time and money."""
    response = answer.response
    screen.line()
    screen.line(f"answered by  {response.provider}, model {response.model}")
    screen.line(f"tokens       {used(response.usage)}")
    screen.line(f"first token  after {seconds(answer.first_token_s)}; {seconds(answer.took_s)} in all")
    screen.line(f"cost         {dollars(response.usage.cost_usd)}")


def title(screen: Screen, text: str) -> None:
    """A heading: bold on a terminal, plain in a pipe."""
    screen.out.print(f"\n{text}", style="bold")


if __name__ == "__main__":
    signal.signal(
        signal.SIGTERM, signal.default_int_handler
    )  # or the gateway would outlive a demo that is told to end
    try:
        anyio.run(lambda: main(once="--once" in sys.argv))
    except KeyboardInterrupt:
        sys.exit(0)
