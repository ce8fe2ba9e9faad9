"""`llmcore embed`: texts to vectors."""

from __future__ import annotations

import json
import time
from pathlib import Path

import anyio

from llmcore import build
from llmcore.cli import journal
from llmcore.cli.grid import Grid, columns, count, dollars, plural, seconds
from llmcore.cli.outcome import DONE
from llmcore.cli.screen import Screen
from llmcore.cli.setup import find_config
from llmcore.errors import ProviderError
from llmcore.types import EmbeddingRequest, EmbeddingResponse

SHOWN = 4


def embed(
    request: EmbeddingRequest,
    *,
    as_json: bool,
    config: Path | None,
    provider: str | None,
    stats: Path | None,
    screen: Screen,
) -> int:
    return anyio.run(_run, request, as_json, config, provider, stats, screen)


async def _run(
    request: EmbeddingRequest,
    as_json: bool,
    path: Path | None,
    provider: str | None,
    stats: Path | None,
    screen: Screen,
) -> int:
    config = await find_config(path, provider)
    async with build.open(config) as llm:
        began = time.monotonic()
        try:
            with screen.waiting(f"embedding {plural(len(request.inputs), 'text')}"):
                response = await llm.embed(request)
        except ProviderError as error:
            if stats:
                journal.append(stats, journal.entry_of(error, time.monotonic() - began))
            raise
    took = time.monotonic() - began
    if stats:
        journal.append(stats, journal.entry_of(response, took))
    if as_json:
        screen.line(json.dumps(_as_json(response)))
    else:
        screen.show(_grid(request, response))
        screen.note(_summary(response, took))
    for warning in response.warnings:
        screen.note(f"note: {warning}")
    return DONE


def _grid(request: EmbeddingRequest, response: EmbeddingResponse) -> Grid:
    rows = [
        (_short(text), count(len(vector)), " ".join(f"{number:+.3g}" for number in vector[:SHOWN]) + " ...")
        for text, vector in zip(request.inputs, response.vectors, strict=True)
    ]
    return Grid(columns("text", ">dimensions", "begins with"), rows)


def _short(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= 40 else words[:37] + "..."


def _summary(response: EmbeddingResponse, took: float) -> str:
    who = "/".join(part for part in (response.provider, response.model) if part)
    usage = response.usage
    return (
        f"{who} | {plural(len(response.vectors), 'vector')} | tokens {count(usage.input_tokens)} in"
        f" | {seconds(took)} | cost {dollars(usage.cost_usd)}"
    )


def _as_json(response: EmbeddingResponse) -> dict[str, object]:
    return {
        "provider": response.provider,
        "model": response.model,
        "dimensions": len(response.vectors[0]) if response.vectors else 0,
        "input_tokens": response.usage.input_tokens,
        "vectors": [list(vector) for vector in response.vectors],
    }
