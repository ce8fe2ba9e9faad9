"""`llmcore chaos`: a user's fallback settings against providers that break, and a scorecard."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

import anyio
from attrs import frozen

from llmcore import chaos as harness
from llmcore.chaos.nouns import VERDICTS, Result, Scenario
from llmcore.chaos.report import origin, summary, tally
from llmcore.chaos.settings import PROFILES
from llmcore.cli.grid import Grid, columns
from llmcore.cli.outcome import DONE, FAILED
from llmcore.cli.screen import Screen, one_line
from llmcore.errors import ConfigurationError

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


def chaos(options: Options, screen: Screen) -> int:
    """Run, print, write; 1 where the bar is missed."""
    scenarios = harness.chosen(word for words in options.only for word in words.split(","))
    config = harness.default_config() if options.config is None else harness.load(options.config)
    _check_writable(options.as_json, options.as_html)
    profile = PROFILES[options.profile]
    began = time.monotonic()
    heard: list[str] = []
    with _Progress(screen, len(scenarios)) as progress:
        results = anyio.run(partial(harness.run_all, config, scenarios, profile, progress.one, heard.append))
    for complaint in heard:
        screen.note(f"the event loop: {one_line(complaint, 160)}")
    source = "" if options.config is None else str(options.config)
    card = harness.Scorecard(results, profile, config, source, time.monotonic() - began)
    _show(card, screen)
    _write(card, options)
    held = card.holds(options.threshold)
    if not held:
        screen.note(_missed(card, options.threshold), style="red")
    return DONE if held else FAILED


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
    ours = ("llmcore, these settings", *(str(counts[verdict]) for verdict in VERDICTS))
    others = [(name, *(str(figure) for figure in figures)) for name, *figures in harness.PUBLISHED]
    heads = columns("of the 16 public scenarios", *(f">{verdict}" for verdict in VERDICTS))
    return Grid(heads, [ours, *others], ["good", *("" for _ in others)])


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
