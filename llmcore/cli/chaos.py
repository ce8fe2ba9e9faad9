"""`llmcore chaos`: a user's fallback settings against providers that break, and a scorecard."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

import anyio
from attrs import evolve, field, frozen

from llmcore import chaos as harness
from llmcore.chaos.nouns import VERDICTS, Result, Scenario
from llmcore.chaos.report import origin, summary, tally
from llmcore.chaos.routes import FIRST_PORT
from llmcore.chaos.settings import PROFILES, Profile
from llmcore.cli.grid import Grid, columns
from llmcore.cli.outcome import DONE, FAILED
from llmcore.cli.screen import Screen, one_line
from llmcore.config import FallbackConfig, LlmConfig
from llmcore.errors import ConfigurationError

KEY_VARIABLE = "LLMCORE_API_KEY"
"""Where the key of the gateway is looked for, if --key does not say it."""

_MARKS = {"pass": "good", "partial": "", "safe": "dim", "fail": "bad"}


@frozen
class Options:
    """What `chaos` was asked for."""

    config: Path | None = None
    profile: str = "fast"
    only: tuple[str, ...] = ()
    threshold: int | None = None
    as_json: Path | None = None
    as_html: Path | None = None
    endpoint: str | None = None
    key: str | None = field(default=None, repr=False)
    serve: bool = False
    upstreams: Path | None = None
    upstream_port: int = FIRST_PORT

    @property
    def through(self) -> bool:
        """Whether it goes through a gateway."""
        return self.serve or self.endpoint is not None or self.upstreams is not None


def chaos(options: Options, screen: Screen) -> int:
    """Run, print, write; 1 where the bar is missed."""
    scenarios = _scenarios(options)
    config = _config(options)
    _check_writable(options.as_json, options.as_html, options.upstreams)
    profile = PROFILES[options.profile]
    if options.upstreams is not None:
        return _write_upstreams(options, options.upstreams, config, scenarios, profile, screen)
    work = _work(options, config, scenarios, profile)
    began = time.monotonic()
    heard: list[str] = []
    with _Progress(screen, len(scenarios)) as progress:
        results = anyio.run(work, progress.one, heard.append)
    for complaint in heard:
        screen.note(f"the event loop: {one_line(complaint, 160)}")
    card = harness.Scorecard(results, profile, config, _source(options), time.monotonic() - began)
    _show(card, screen)
    _write(card, options)
    held = card.holds(options.threshold)
    if not held:
        screen.note(_missed(card, options.threshold), style="red")
    return DONE if held else FAILED


def _scenarios(options: Options) -> tuple[Scenario, ...]:
    scenarios = harness.chosen(word for words in options.only for word in words.split(","))
    if options.through and not options.only:
        return tuple(scenario for scenario in scenarios if scenario.public)
    return scenarios


def _config(options: Options) -> LlmConfig:
    if options.config is not None:
        return harness.load(options.config)
    config = harness.default_config()
    return evolve(config, fallback=FallbackConfig(mid_stream="splice")) if options.through else config


def _source(options: Options) -> str:
    words = [] if options.config is None else [str(options.config)]
    if options.through:
        words.append("through its own gateway" if options.endpoint is None else f"through {options.endpoint}")
    return " ".join(words)


def _work(
    options: Options, config: LlmConfig, scenarios: Sequence[Scenario], profile: Profile
) -> Callable[..., Awaitable[tuple[Result, ...]]]:
    """What is to be run, with `progress` and `complaints` still to come."""
    if options.serve and options.endpoint is not None:
        raise ConfigurationError("--serve and --endpoint: say one of them")
    if not options.through:
        return partial(harness.run_all, config, scenarios, profile)
    from llmcore.chaos.gateway import run_through
    from llmcore.cli.chaos_gateway import running, started

    if options.endpoint is None:
        return partial(run_through, config, scenarios, profile, started)
    key = options.key or os.environ.get(KEY_VARIABLE) or ""
    gateway = partial(running, options.endpoint, key)
    return partial(run_through, config, scenarios, profile, gateway, first_port=options.upstream_port)


def _write_upstreams(
    options: Options,
    path: Path,
    config: LlmConfig,
    scenarios: Sequence[Scenario],
    profile: Profile,
    screen: Screen,
) -> int:
    from llmcore.chaos.gateway import upstreams

    _save(path, upstreams(config, scenarios, profile, options.upstream_port))
    same = "".join(
        (
            "" if options.config is None else f" {options.config}",
            "" if options.profile == "fast" else f" --profile {options.profile}",
            "" if not options.only else f" --only {','.join(options.only)}",
            "" if options.upstream_port == FIRST_PORT else f" --upstream-port {options.upstream_port}",
        )
    )
    screen.line(f"llmcore serve --config {path}")
    screen.line(f"llmcore chaos{same} --endpoint URL --key KEY")
    screen.note("start a gateway with the first, then try it with the second")
    return DONE


def _check_writable(*paths: Path | None) -> None:
    """Raises ConfigurationError before minutes are spent on what could not be written."""
    for path in paths:
        if path is not None and not path.parent.is_dir():
            raise ConfigurationError(f"{path}: there is no folder {path.parent}")


def _write(card: harness.Scorecard, options: Options) -> None:
    if options.as_json is not None:
        _save(options.as_json, json.dumps(harness.as_json(card), indent=1, ensure_ascii=False) + "\n")
    if options.as_html is not None:
        _save(options.as_html, harness.page(card))


def _save(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as exc:
        raise ConfigurationError(f"{path} cannot be written: {exc.strerror or exc}") from None


def _missed(card: harness.Scorecard, threshold: int | None) -> str:
    failed = tally(card.results)["fail"]
    if failed:
        return f"{failed} fail"
    if threshold is not None:
        return f"{tally(card.results)['pass']} pass, fewer than the threshold of {threshold}"
    return "not every public scenario passes"


# ------------------------------------------------------------------------------------------------ on the screen


def _show(card: harness.Scorecard, screen: Screen) -> None:
    if len(card.config.providers) == 1:
        screen.note("there is one provider only: nobody to fail over to")
    screen.line(one_line(origin(card)))
    screen.line()
    screen.show(_grid(card.results))
    screen.line()
    if len(card.public) == 16:
        screen.show(_beside(card))
        screen.line("The others: Failover Bench, 2026-09-12, the same faults measured by another harness.")
        screen.line()
    for line in summary(card):
        screen.line(line)
    factor = card.profile.factor
    scaled = "" if factor == 1 else f"; all times scaled by {factor:g} and shown as published"
    screen.line(f"profile {card.profile.name}, {card.seconds:.0f} s{scaled}")


def _grid(results: Sequence[Result]) -> Grid:
    rows = [
        (
            result.scenario.id,
            result.scenario.title,
            result.verdict,
            str(result.worst.attempts),
            f"{result.worst.seconds:.1f} s",
            one_line(result.worst.sentence, 160),
        )
        for result in results
    ]
    marks = [_MARKS[result.verdict] for result in results]
    return Grid(columns("id", "what breaks", "verdict", ">attempts", ">time", "what happened"), rows, marks)


def _beside(card: harness.Scorecard) -> Grid:
    """Our counts beside the published ones."""
    counts = tally(card.public)
    ours = (f"llmcore, {_which(card)}", *(str(counts[verdict]) for verdict in VERDICTS))
    others = [(name, *(str(figure) for figure in figures)) for name, *figures in harness.PUBLISHED]
    heads = columns("of the 16 public scenarios", *(f">{verdict}" for verdict in VERDICTS))
    return Grid(heads, [ours, *others], ["good", *("" for _ in others)])


def _which(card: harness.Scorecard) -> str:
    return "through a gateway" if "through " in card.source else "these settings"


class _Progress:
    """A line that counts on a terminal; nothing elsewhere."""

    def __init__(self, screen: Screen, total: int) -> None:
        self._screen = screen
        self._total = total
        self._done = 0
        self._status: Any = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            self._status = self._screen.err.status(self._words())
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()

    def one(self, result: Result) -> None:
        """A result has come."""
        self._done += 1
        if self._status is not None:
            self._status.update(self._words(result.scenario, result.verdict))

    def _words(self, scenario: Scenario | None = None, verdict: str = "") -> str:
        last = "" if scenario is None else f": {scenario.id} {scenario.title}, {verdict}"
        return f"[dim]{self._done} of {self._total} scenarios{last}[/dim]"
