"""The demo: a conversation answered by the second provider because the first is down. No key, no network.

Three simulated providers run in this process, each in the dialect of its vendor; the configuration is the documented
`config.toml`, whose addresses the vendors' own variables turn to the simulators.
"""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from pathlib import Path

import anyio
from attrs import evolve

import llmcore
from llmcore.cli.generate import Answer, Show, streamed
from llmcore.cli.grid import attempts_grid, dollars, seconds, stats_grid, used
from llmcore.cli.screen import Screen
from llmcore.config import LlmConfig
from llmcore.providers import kinds
from llmcore.sim import Simulator

HERE = Path(__file__).resolve().parent
KEY = "demo-key"


async def main() -> None:
    screen = Screen()
    began = time.monotonic()
    async with AsyncExitStack() as stack:
        openai, anthropic, ollama = [
            await stack.enter_async_context(
                Simulator(dialects=[dialect], api_key=key, first_token_delay=0.25, tokens_per_second=40)
            )
            for dialect, key in (("openai", KEY), ("anthropic", KEY), ("ollama", None))
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
    anyio.run(main)
