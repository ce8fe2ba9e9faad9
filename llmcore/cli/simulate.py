"""`llmcore simulate`: fallback settings against simulated providers on a virtual clock."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from attrs import evolve

from llmcore.cli.grid import UNKNOWN, Column, Grid, columns, count, dollars, plural, seconds
from llmcore.cli.outcome import DONE
from llmcore.cli.screen import Screen
from llmcore.errors import ConfigurationError
from llmcore.providers import kinds
from llmcore.simulate import page, plots
from llmcore.simulate.log import lines_of
from llmcore.simulate.profile import Scenario
from llmcore.simulate.report import as_json, report
from llmcore.simulate.run import Run, Tick
from llmcore.simulate.run import simulate as play
from llmcore.simulate.spec import STEPS, read_scenario
from llmcore.simulate.values import in_seconds

BARS = "▁▂▃▄▅▆▇█"
WIDTH = 48


def simulate(
    path: Path,
    *,
    configs: tuple[Path, ...],
    duration: str | None,
    seed: int | None,
    json: Path | None,
    plot: Path | None,
    html: Path | None,
    log: Path | None,
    screen: Screen,
) -> int:
    """Read, simulate, print and write."""
    if plot is not None:
        plots.check(plot)
    scenario = read_scenario(path, environ=os.environ, kinds=kinds(), configs=configs)
    scenario = _changed(scenario, duration, seed)
    with _progress(scenario, screen) as ticks:
        runs = [
            play(scenario, setup, tick=tick, keep=log is not None)
            for setup, tick in zip(scenario.setups, ticks, strict=True)
        ]
    found = report(scenario, runs)
    if str(json) != "-":
        _show(found, screen)
    if json is not None:
        _write(json, as_json(found), screen)
    if log is not None:
        _write_logs(log, runs, screen)
    if plot is not None:
        _guarded(plot, lambda: plots.save(found, plot), screen)
    if html is not None:
        _write(html, page.page(found, [(heading, _plain(grid)) for heading, grid in grids(found)]), screen)
    return DONE


def _changed(scenario: Scenario, duration: str | None, seed: int | None) -> Scenario:
    """The scenario with what the command line says instead."""
    if duration is not None:
        length = in_seconds(duration) or _number(duration)
        if not length:
            raise ConfigurationError(f'--duration: {duration!r} is none; write "90s", "36h" or "7d"')
        step = scenario.step if scenario.step * 2 <= length else length / STEPS
        scenario = evolve(scenario, duration=length, step=max(step, length / 1000))
    return scenario if seed is None else evolve(scenario, seed=seed)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 < value < float("inf") else None


# ------------------------------------------------------------------------------------------------ writing


def _write(path: Path, text: str, screen: Screen) -> None:
    if str(path) == "-":
        screen.write(text)
    else:
        _guarded(path, lambda: path.write_text(text, encoding="utf-8"), screen)


def _write_logs(path: Path, runs: Sequence[Run], screen: Screen) -> None:
    """One log; where several configurations ran, one for each, with its name in the file's."""
    for run in runs:
        text = "".join(f"{line}\n" for line in lines_of(run.attempts))
        slug = "".join(char if char.isalnum() else "-" for char in run.setup.name)
        _write(path if len(runs) == 1 else path.with_stem(f"{path.stem}-{slug}"), text, screen)


def _guarded(path: Path, work: Callable[[], object], screen: Screen) -> None:
    try:
        work()
    except OSError as exc:
        raise ConfigurationError(f"{path} cannot be written: {exc.strerror or exc}") from None
    screen.note(f"wrote {path}")


@contextmanager
def _progress(scenario: Scenario, screen: Screen) -> Iterator[list[Tick | None]]:
    """A bar for each configuration, where stderr is a terminal."""
    if not sys.stderr.isatty():
        yield [None] * len(scenario.setups)
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    words = TextColumn("{task.description}", markup=False)
    with Progress(words, BarColumn(), TimeElapsedColumn(), console=screen.err, transient=True) as bars:
        yield [_bar(bars, setup.name) for setup in scenario.setups]


def _bar(bars: Any, name: str) -> Tick:
    task = bars.add_task(name, total=1.0, start=False)

    def tick(done: float) -> None:
        bars.start_task(task)
        bars.update(task, completed=done)

    return tick


# ------------------------------------------------------------------------------------------------ showing


def share(value: float | None) -> str:
    """A share in per cent, with more digits near 100."""
    if value is None:
        return UNKNOWN
    return f"{value:.3%}" if 0.99 < value < 1 else f"{value:.2%}" if value % 1 else f"{value:.0%}"


def ratio(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.3f}"


def _cost(value: str | None) -> str:
    return dollars(None if value is None else Decimal(value))


def grids(found: Mapping[str, Any]) -> list[tuple[str, Grid]]:
    """The tables of a report, each with its heading."""
    return [("What callers saw", summary_grid(found)), ("What providers did", load_grid(found))]


def summary_grid(found: Mapping[str, Any]) -> Grid:
    """One line for each figure, one column for each configuration."""
    configs = found["configs"]
    rows = [(name, *(show(config) for config in configs)) for name, show in _ROWS]
    told = [row for row in rows if any(cell not in {"0", UNKNOWN} for cell in row[1:])]
    return Grid((Column(""), *(Column(config["name"], figures=True) for config in configs)), told)


def _quantile(of: str, name: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda config: seconds(config[of][name])


_ROWS: tuple[tuple[str, Callable[[Mapping[str, Any]], str]], ...] = (
    ("strategy", lambda config: config["strategy"]),
    ("calls", lambda config: count(config["calls"])),
    ("availability", lambda config: share(config["availability"])),
    ("failed", lambda config: count(config["calls"] - config["succeeded"])),
    *((f"latency {name}", _quantile("latency_s", name)) for name in ("p50", "p95", "p99")),
    *((f"first token {name}", _quantile("first_token_s", name)) for name in ("p50", "p95", "p99")),
    ("attempts per call", lambda config: ratio(config["amplification"])),
    ("retries", lambda config: count(config["attempts_by_why"].get("retry", 0))),
    ("failovers", lambda config: count(config["attempts_by_why"].get("failover", 0))),
    ("hedges", lambda config: count(config["hedges"])),
    ("asked beside", lambda config: count(config["attempts_by_why"].get("patience", 0))),
    ("answered 429", lambda config: share(config["share_429"])),
    ("breaker openings", lambda config: count(sum(config["breaker_openings"].values()))),
    ("cost", lambda config: _cost(config["cost_usd"])),
)


def load_grid(found: Mapping[str, Any]) -> Grid:
    """One line for each provider of each configuration."""
    rows = [
        (
            config["name"],
            one["name"],
            count(one["asked"]),
            share(one["share"]),
            count(one["served"]),
            count(one["refused_429"]),
            count(sum(one["failures"].values()) - one["refused_429"]),
            count(one["left"]),
            count(config["breaker_openings"][one["name"]]),
            f"{one['concurrent_mean']:.1f}",
            count(one["concurrent_peak"]),
            count(one["input_tokens"] + one["output_tokens"]),
            _cost(one["cost_usd"]),
        )
        for config in found["configs"]
        for one in config["providers"]
    ]
    heads = columns(
        "config", "provider", ">asked", ">share", ">served", ">429", ">failed", ">left", ">opened", ">at once",
        ">peak", ">tokens", ">cost",
    )  # fmt: skip
    return Grid(heads, rows).without_empty("429", "failed", "left", "opened", "cost")


def _show(found: Mapping[str, Any], screen: Screen) -> None:
    length = found["duration_s"]
    screen.line(f"{found['scenario']}: {_length(length)} of traffic, seed {found['seed']}")
    for _, grid in grids(found):
        screen.line()
        screen.show(grid)
    screen.line()
    screen.show(spark_grid(found))


def spark_grid(found: Mapping[str, Any]) -> Grid:
    """Figures over time as bars, on one scale for all configurations."""
    rows: list[tuple[str, str, str, str]] = []
    for key, name, show in _SPARKS:
        worst = min if key == "availability" else max
        series = [_thinned(config["over_time"][key], worst) for config in found["configs"]]
        known = [value for values in series for value in values if value is not None]
        if not known:
            continue
        low, high = (min(known), 1.0) if key == "availability" else (0.0, max(known))
        for config, values in zip(found["configs"], series, strict=True):
            rows.append((name, config["name"], spark(values, low, high), f"{show(low)} to {show(high)}"))
    return Grid(columns("over time", "config", "from start to end", ">scale"), rows)


_SPARKS: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("availability", "availability", share),
    ("latency_p95_s", "latency p95", seconds),
    ("first_token_p99_s", "first token p99", seconds),
)


def _thinned(values: Sequence[float | None], worst: Callable[[list[float]], float]) -> list[float | None]:
    """At most WIDTH of them: of neighbours the worst."""
    if len(values) <= WIDTH:
        return list(values)
    size = len(values) / WIDTH
    groups = [values[int(place * size) : int((place + 1) * size)] for place in range(WIDTH)]
    known = [[value for value in group if value is not None] for group in groups]
    return [worst(group) if group else None for group in known]


def spark(values: Sequence[float | None], low: float, high: float) -> str:
    """One bar for each value; a blank where there is none."""
    span = high - low
    return "".join(
        " " if value is None else BARS[min(7, round((value - low) / span * 7))] if span > 0 else BARS[-1]
        for value in values
    )


def _plain(grid: Grid) -> page.Table:
    return [column.title for column in grid.columns], grid.rows


def _length(length: float) -> str:
    for unit, size in (("day", 86_400.0), ("hour", 3600.0), ("minute", 60.0)):
        if length >= size and length % size == 0:
            return plural(int(length / size), unit)
    return f"{length:g} s"
