"""`llmcore check` and `llmcore test`: does a configuration hold, and do its providers answer."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import anyio
from attrs import frozen

from llmcore import build
from llmcore.cli.grid import UNKNOWN, Grid, columns, count, plural, seconds
from llmcore.cli.outcome import DONE, EXTRAS, FAILED, lines
from llmcore.cli.screen import Screen, one_line
from llmcore.cli.setup import enabled, find_config
from llmcore.config import LlmConfig, ProviderConfig, Timeouts
from llmcore.errors import ConfigurationError, ProviderError, UnsupportedFeatureError
from llmcore.loader import Report, examine
from llmcore.loader.gateway import load_gateway
from llmcore.loader.text import Notes, read_source
from llmcore.provider import LlmProvider
from llmcore.providers import kinds
from llmcore.types import GenerationRequest

# -------------------------------------------------------------------------------------------------- check


def check(path: Path, *, as_json: bool, screen: Screen, environ: Mapping[str, str] | None = None) -> int:
    """All that is wrong with a configuration, and nothing started; 1 where anything is."""
    environ = os.environ if environ is None else environ
    report = whole_report(path, environ)
    if as_json:
        screen.line(json.dumps({"errors": report.errors, "warnings": report.warnings}))
        return FAILED if report.errors else DONE
    for error in report.errors:
        screen.line(f"error    {one_line(error)}")
    for warning in report.warnings:
        screen.line(f"warning  {one_line(warning)}")
    screen.line(_verdict(path, report))
    return FAILED if report.errors else DONE


def whole_report(path: Path, environ: Mapping[str, str]) -> Report:
    """What the loader says, what only making the providers can tell (keys and addresses), and the gateway's part."""
    report = examine(path, environ=environ, kinds=kinds())
    notes = Notes()
    notes.errors, notes.warnings = [*report.errors], [*report.warnings]
    for index, entry in enumerate(() if report.config is None else report.config.providers):
        if entry.enabled:
            notes.errors += [
                f"llm.providers[{index}].{complaint}" for complaint in _complaints(entry, environ)
            ]
    if "gateway" in (read_source(path, Notes()) or ()):
        _gateway(path, environ, notes)
    config = None if notes.errors else report.config
    return Report(config, tuple(notes.errors), tuple(notes.warnings))


def _gateway(path: Path, environ: Mapping[str, str], notes: Notes) -> None:
    if all(find_spec(name) for name, extra in EXTRAS.items() if extra == "gateway"):
        from llmcore.serving.examine import examine_gateway

        examine_gateway(path, environ, notes)
        return
    try:
        load_gateway(path, environ=environ)
    except ConfigurationError as error:
        notes.errors += error.complaints
    notes.error("gateway", "needs the extra `gateway`: pip install 'llmcore-kit[gateway]'")


def _complaints(entry: ProviderConfig, environ: Mapping[str, str]) -> tuple[str, ...]:
    try:
        build.create_provider(entry, transport=_Nowhere(), environ=environ)
    except ConfigurationError as error:
        return error.complaints
    return ()


class _Nowhere:
    """A transport that goes nowhere."""

    async def open(self, call: Any, timeouts: Timeouts) -> Any:
        raise ConfigurationError("nothing is sent while a configuration is checked")

    async def aclose(self) -> None:
        return


def _verdict(path: Path, report: Report) -> str:
    if report.config is None:
        return f"{path}: {plural(len(report.errors), 'error')}, {plural(len(report.warnings), 'warning')}"
    use = enabled(report.config)
    off = len(report.config.providers) - len(use)
    order = f"strategy {report.config.fallback.strategy}" if report.config.fallback.enabled else "no fallback"
    told = f"{path}: good; {plural(len(use), 'provider')}" + (f" ({off} not enabled)" if off else "")
    return f"{told}, {order}" + (f", {plural(len(report.warnings), 'warning')}" if report.warnings else "")


# --------------------------------------------------------------------------------------------------- test


@frozen
class Probe:
    """What one provider answered."""

    name: str
    kind: str
    verdict: Literal["ok", "failed", "skipped"]
    took_s: float | None
    told: str


def probe(*, config: Path | None, provider: str | None, billed: bool, timeout: float, screen: Screen) -> int:
    """Ask every enabled provider something free (its models), or with `billed` for one word."""
    return anyio.run(_probe, config, provider, billed, timeout, screen)


async def _probe(
    path: Path | None, provider: str | None, billed: bool, timeout: float, screen: Screen
) -> int:
    config = await find_config(path, provider)
    async with build.open(config) as llm:
        with screen.waiting(f"asking {plural(len(llm.providers), 'provider')}"):
            probes = await _all_probes(llm.providers, config, billed, timeout)
    screen.show(probes_grid(probes))
    return FAILED if any(one.verdict == "failed" for one in probes) else DONE


async def _all_probes(
    providers: tuple[LlmProvider, ...], config: LlmConfig, billed: bool, timeout: float
) -> list[Probe]:
    models = {entry.name: entry.text_model for entry in config.providers}
    found: dict[str, Probe] = {}

    async def ask(one: LlmProvider) -> None:
        found[one.name] = await _one_probe(one, models.get(one.name), billed, timeout)

    async with anyio.create_task_group() as group:
        for one in providers:
            group.start_soon(ask, one)
    return [found[one.name] for one in providers]


async def _one_probe(one: LlmProvider, model: str | None, billed: bool, timeout: float) -> Probe:
    began = time.monotonic()
    verdict: Literal["ok", "failed", "skipped"] = "failed"
    told = f"no answer within {timeout:g} s; try --timeout, or check the address"
    with anyio.move_on_after(timeout):
        try:
            told = await (_one_word(one) if billed else _its_models(one, model))
            verdict = "ok"
        except UnsupportedFeatureError:
            verdict, told = "skipped", "has nothing free to ask for; use --billed"
        except ProviderError as error:
            told = lines(error)[0].removeprefix(f"{error.outcome}: {one.name}: ")
            told = f"{error.outcome}: {told}"
    return Probe(one.name, one.provider_type, verdict, time.monotonic() - began, told)


async def _its_models(one: LlmProvider, model: str | None) -> str:
    ids = {info.id for info in await one.list_models()}
    told = plural(len(ids), "model")
    if model is None or not ids or model in ids or any(name.startswith(f"{model}:") for name in ids):
        return told
    return f"{told}; {model} is not among them" if f"models/{model}" not in ids else told


async def _one_word(one: LlmProvider) -> str:
    answer = await one.generate(GenerationRequest("Say only the word: ok", max_tokens=64))
    return f"answered by {answer.model}, {count(answer.usage.total_tokens)} tokens"


def probes_grid(probes: list[Probe]) -> Grid:
    rows = [
        (
            one.name,
            one.kind,
            one.verdict,
            seconds(one.took_s) if one.verdict == "ok" else UNKNOWN,
            one_line(one.told),
        )
        for one in probes
    ]
    meaning = {"ok": "good", "failed": "bad", "skipped": "dim"}
    return Grid(
        columns("name", "provider", "result", ">latency", "details"),
        rows,
        [meaning[one.verdict] for one in probes],
    )
