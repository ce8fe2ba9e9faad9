"""`llmcore providers` and `llmcore models`: what there is."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio

from llmcore import build
from llmcore.cli.grid import UNKNOWN, Grid, columns, count, plural
from llmcore.cli.outcome import DONE, FAILED, lines
from llmcore.cli.screen import Screen
from llmcore.cli.setup import find_config
from llmcore.errors import ProviderError
from llmcore.provider import LlmProvider
from llmcore.providers import places
from llmcore.providers.place import Place
from llmcore.types import ModelInfo

# ---------------------------------------------------------------------------------------------- providers


def list_providers(*, as_json: bool, screen: Screen, environ: Mapping[str, str] | None = None) -> int:
    environ = os.environ if environ is None else environ
    known = places()
    if as_json:
        screen.line(json.dumps([_place_json(place, environ) for place in known]))
        return DONE
    screen.show(providers_grid(known, environ))
    screen.note("Aliases, addresses and the finer features are in --json.")
    return DONE


_SHOWN = {
    "tools": "tools",
    "json": "structured_output",
    "image": "images",
    "file": "files",
    "embed": "embeddings",
}


def providers_grid(known: Sequence[Place], environ: Mapping[str, str]) -> Grid:
    """Every kind: what it can do, its key variable, and whether that is set."""
    rows = [
        (
            place.kind,
            *("yes" if feature in place.wire.features else UNKNOWN for feature in _SHOWN.values()),
            next((name for name in place.key_env if environ.get(name)), (*place.key_env, UNKNOWN)[0]),
            key_state(place, environ),
        )
        for place in known
    ]
    marks = ["good" if row[-1] == "yes" else "" for row in rows]
    return Grid(columns("provider", *_SHOWN, "key variable", "set"), rows, marks)


def key_state(place: Place, environ: Mapping[str, str]) -> str:
    """Whether the vendor's key is there: yes, no, or "-" where none is needed; the key itself is not looked at."""
    if any(environ.get(name) for name in place.key_env):
        return "yes"
    return "no" if place.key_required else UNKNOWN


def _place_json(place: Place, environ: Mapping[str, str]) -> dict[str, Any]:
    return {
        "provider": place.kind,
        "aliases": list(place.aliases),
        "title": place.title,
        "features": sorted(place.wire.features),
        "base_url": place.base_url,
        "local": place.local,
        "key_variables": list(place.key_env),
        "key_required": place.key_required,
        "key_set": key_state(place, environ) == "yes",
    }


# ------------------------------------------------------------------------------------------------- models


def list_models(*, as_json: bool, config: Path | None, provider: str | None, screen: Screen) -> int:
    return anyio.run(_models, as_json, config, provider, screen)


async def _models(as_json: bool, path: Path | None, provider: str | None, screen: Screen) -> int:
    config = await find_config(path, provider)
    async with build.open(config) as llm:
        with screen.waiting("asking for models"):
            found, errors = await _ask_all(llm.providers)
    for error in errors:
        screen.complain(lines(error)[0])
    models = [model for some in found for model in some]
    if as_json:
        screen.line(json.dumps([_model_json(model) for model in models]))
    elif models:
        screen.show(models_grid(models))
        screen.note(plural(len(models), "model"))
    return FAILED if len(errors) == len(found) else DONE


async def _ask_all(
    providers: Sequence[LlmProvider],
) -> tuple[list[Sequence[ModelInfo]], list[ProviderError]]:
    """The models of each provider, side by side, and the errors of those that gave none."""
    found: list[Sequence[ModelInfo]] = [()] * len(providers)
    errors: dict[int, ProviderError] = {}

    async def ask(index: int, one: LlmProvider) -> None:
        try:
            found[index] = await one.list_models()
        except ProviderError as error:
            errors[index] = error

    async with anyio.create_task_group() as group:
        for index, one in enumerate(providers):
            group.start_soon(ask, index, one)
    return found, [errors[index] for index in sorted(errors)]


def models_grid(models: Sequence[ModelInfo]) -> Grid:
    rows = [
        (
            model.provider or UNKNOWN,
            model.id,
            count(model.context_window),
            count(model.max_output_tokens),
            ", ".join(sorted(model.capabilities or ())) or UNKNOWN,
        )
        for model in models
    ]
    return Grid(columns("provider", "model", ">context", ">max output", "can"), rows).without_empty(
        "context", "max output", "can"
    )


def _model_json(model: ModelInfo) -> dict[str, Any]:
    return {
        "provider": model.provider,
        "id": model.id,
        "display_name": model.display_name,
        "context_window": model.context_window,
        "max_output_tokens": model.max_output_tokens,
        "capabilities": None if model.capabilities is None else sorted(model.capabilities),
    }
