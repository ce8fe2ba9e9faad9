"""`llmcore generate`: one answer on stdout, while it is written; everything about it on stderr."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
from attrs import frozen

from llmcore import build
from llmcore.cli import journal
from llmcore.cli.ask import Options, request_of
from llmcore.cli.grid import attempts_grid, dollars, seconds, used
from llmcore.cli.outcome import DONE, FAILED
from llmcore.cli.screen import Screen, Waiting
from llmcore.cli.setup import find_config
from llmcore.errors import ProviderError
from llmcore.provider import EventStream, Fold, LlmProvider
from llmcore.types import (
    Attempt,
    GenerationRequest,
    GenerationResponse,
    PartDelta,
    Restarted,
    TextDelta,
    ThinkingDelta,
)

_ENDINGS = {
    "length": "the answer was cut off at the limit of tokens; raise --max-tokens",
    "content_filter": "the answer was stopped by the provider's content filter",
    "refusal": "the model refused to answer",
    "error": "the provider ended the answer with an error",
    "pause": "the provider paused the answer; ask it to go on",
}
_BAD_ENDINGS = {"content_filter", "refusal", "error"}


@frozen
class Show:
    """How an answer is shown."""

    stream: bool = True
    as_json: bool = False
    verbose: bool = False
    stats: Path | None = None


@frozen
class Answer:
    """A response, and how long it took: in all, and to its first word."""

    response: GenerationResponse
    took_s: float
    first_token_s: float | None = None


def generate(options: Options, show: Show, config: Path | None, provider: str | None, screen: Screen) -> int:
    request = request_of(options)
    return anyio.run(_run, request, show, config, provider, screen)


async def _run(
    request: GenerationRequest, show: Show, path: Path | None, provider: str | None, screen: Screen
) -> int:
    config = await find_config(path, provider)
    async with build.open(config) as llm:
        began = time.monotonic()
        try:
            with screen.waiting("waiting for the answer") as waiting:
                answer = await ask(llm, request, show, screen, waiting)
        except ProviderError as error:
            if show.verbose:
                trail(error.attempts, screen)
            if show.stats:
                journal.append(show.stats, journal.entry_of(error, time.monotonic() - began))
            raise
    return tell(answer, show, screen)


async def ask(
    llm: LlmProvider, request: GenerationRequest, show: Show, screen: Screen, waiting: Waiting
) -> Answer:
    """The answer, written to stdout on the way where it is streamed. Raises ProviderError."""
    began = time.monotonic()
    if show.stream and not show.as_json:
        return await streamed(llm.stream(request), show, screen, waiting)
    response = await llm.generate(request)
    return Answer(response, time.monotonic() - began)


async def streamed(stream: EventStream, show: Show, screen: Screen, waiting: Waiting) -> Answer:
    """Every piece of text to stdout as it comes. Raises ProviderError; then what was shown stays."""
    began = time.monotonic()
    first: float | None = None
    fold = Fold()
    printer = Printer(screen, verbose=show.verbose)
    try:
        async with stream as events:
            async for event in events:
                fold.add(event)
                if isinstance(event, (TextDelta, ThinkingDelta, PartDelta)) and first is None:
                    first = time.monotonic() - began
                    waiting.over()
                printer.event(event)
    finally:
        waiting.over()
        printer.end()
    return Answer(fold.response(), time.monotonic() - began, first)


class Printer:
    """Writes events as they come: text to stdout; thinking (where `verbose`) and restarts to stderr."""

    def __init__(self, screen: Screen, *, verbose: bool = False) -> None:
        self._screen = screen
        self._verbose = verbose
        self._open: Callable[[str], None] | None = None
        """How the line that is being written goes on; None at the beginning of one."""

    def event(self, event: object) -> None:
        match event:
            case TextDelta():
                self._write(self._screen.write, event.text)
            case ThinkingDelta() if self._verbose:
                self._write(self._screen.murmur, event.text)
            case Restarted():
                self.end()
                self._screen.note(f"--- what stands above was given up; {event.provider} answers anew ---")

    def _write(self, how: Callable[[str], None], text: str) -> None:
        if text:
            if self._open != how:
                self.end()
            how(text)
            self._open = None if text.endswith("\n") else how

    def end(self) -> None:
        """Close the last line."""
        if self._open is not None:
            self._open("\n")
            self._open = None


def tell(answer: Answer, show: Show, screen: Screen) -> int:
    """What is left to say once the answer is whole; the exit code."""
    response = answer.response
    if show.as_json:
        screen.line(json.dumps(as_json(answer), ensure_ascii=False))
    elif not show.stream:
        screen.line(response.text)
    if response.refusal and not show.as_json:
        screen.note(response.refusal, style="yellow")
    for warning in response.warnings:
        screen.note(f"note: {warning}")
    if response.finish_reason in _ENDINGS and not show.as_json:
        screen.note(f"llmcore: {_ENDINGS[response.finish_reason]}", style="yellow")
    if show.verbose:
        trail(response.attempts, screen)
        screen.note(summary(answer))
    if show.stats:
        journal.append(show.stats, journal.entry_of(response, answer.took_s, answer.first_token_s))
    return FAILED if response.finish_reason in _BAD_ENDINGS else DONE


def trail(attempts: tuple[Attempt, ...], screen: Screen) -> None:
    """Who was tried."""
    if attempts:
        screen.show(attempts_grid(attempts), on_stderr=True)


def summary(answer: Answer) -> str:
    """Who answered, tokens, time and cost on one line."""
    response = answer.response
    who = "/".join(part for part in (response.provider, response.model) if part)
    first = "" if answer.first_token_s is None else f"first token {seconds(answer.first_token_s)}, "
    cost = dollars(response.usage.cost_usd)
    return f"{who} | {used(response.usage)} | {first}all {seconds(answer.took_s)} | cost {cost}"


def as_json(answer: Answer) -> dict[str, Any]:
    """Everything about an answer, for programs."""
    response = answer.response
    usage = response.usage
    return {
        "text": response.text,
        "thinking": response.thinking or None,
        "refusal": response.refusal,
        "finish_reason": response.finish_reason,
        "provider": response.provider,
        "model": response.model,
        "id": response.id,
        "usage": {
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "cached_tokens": usage.cached_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
            "reasoning_tokens": usage.reasoning_tokens,
            "cost_usd": None if usage.cost_usd is None else str(usage.cost_usd),
        },
        "seconds": round(answer.took_s, 6),
        "attempts": journal.entry_of(response, answer.took_s)["attempts"],
        "warnings": [str(warning) for warning in response.warnings],
    }
