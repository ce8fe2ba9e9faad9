"""A report as a picture: the figures over time, one colour for each configuration, and who was asked. Needs matplotlib."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmcore.errors import ConfigurationError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS: tuple[str, ...] = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#444444",
    "#B8A100",
)
"""Okabe and Ito's, which people with any colour vision tell apart."""

LAYERS: tuple[str, ...] = ("#9AA5B1", "#F0C75E", "#A9D18E", "#C9A0DC", "#7FB7BE", "#E8A598")
"""Of the providers: paler, so that nobody takes one for a configuration."""

FORMATS = (".png", ".svg", ".pdf")
_PANELS: tuple[tuple[str, tuple[tuple[str, str], ...], str], ...] = (
    ("availability", (("availability", "-"),), "availability, %"),
    ("latency", (("latency_p50_s", ":"), ("latency_p99_s", "-")), "latency, s"),
    ("first token", (("first_token_p50_s", ":"), ("first_token_p99_s", "-")), "first token, s"),
)
_UNITS: tuple[tuple[float, float, str], ...] = (
    (2 * 86_400.0, 86_400.0, "days"),
    (2 * 3600.0, 3600.0, "hours"),
    (240.0, 60.0, "minutes"),
    (0.0, 1.0, "seconds"),
)


def check(path: Path) -> None:
    """Raises ConfigurationError where nothing can be drawn into such a file."""
    if path.suffix.lower() not in FORMATS:
        raise ConfigurationError(f"--plot: {path.name} must end in {', '.join(FORMATS)}")
    if not available():
        raise ConfigurationError("--plot: needs matplotlib; install it with the extra `plots`")


def available() -> bool:
    return find_spec("matplotlib") is not None


def save(report: Mapping[str, Any], path: Path) -> None:
    """Draw into a file, in the format of its name. Raises OSError."""
    with path.open("wb") as file:
        _write(report, file, path.suffix.lower()[1:])


def svg(report: Mapping[str, Any]) -> str:
    """The picture as an SVG element, to stand inside a page."""
    buffer = io.BytesIO()
    _write(report, buffer, "svg")
    text = buffer.getvalue().decode()
    return text[text.index("<svg") :]


def _write(report: Mapping[str, Any], file: Any, form: str) -> None:
    import matplotlib as mpl

    date = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(form, {})
    with mpl.rc_context({"svg.hashsalt": "llmcore", "svg.fonttype": "none", "font.size": 9}):
        _drawn(report).savefig(file, format=form, dpi=110, metadata=date)


def _drawn(report: Mapping[str, Any]) -> Figure:
    from matplotlib.figure import Figure

    configs: Sequence[Mapping[str, Any]] = report["configs"]
    figure = Figure(figsize=(11, 11), layout="constrained")
    grid = figure.add_gridspec(len(_PANELS) + 1, len(configs), height_ratios=[2, 3, 3, 3])
    divisor, unit = next((size, name) for above, size, name in _UNITS if report["duration_s"] >= above)
    first: Axes | None = None
    for row, (name, series, label) in enumerate(_PANELS):
        axes = figure.add_subplot(grid[row, :], sharex=first)
        first = first or axes
        _panel(axes, report, series, divisor, percent=name == "availability")
        axes.set_ylabel(label)
        axes.set_title(_explained(name), loc="left", fontsize=9)
        if not row:
            axes.legend(
                loc="lower left", ncols=4, frameon=False, bbox_to_anchor=(0.0, 1.12), borderaxespad=0.0
            )
    before: Axes | None = None
    for column, config in enumerate(configs):
        below = figure.add_subplot(grid[len(_PANELS), column], sharex=first, sharey=before)
        before = before or below
        _load(below, report, config, divisor, legend=not column)
        below.set_xlabel(unit)
    figure.suptitle(f"{report['scenario']} (seed {report['seed']})", x=0.01, ha="left", weight="bold")
    return figure


def _explained(name: str) -> str:
    return name if name == "availability" else f"{name}: p99 drawn through, p50 dotted"


def _panel(
    axes: Axes,
    report: Mapping[str, Any],
    series: Sequence[tuple[str, str]],
    divisor: float,
    *,
    percent: bool,
) -> None:
    for index, config in enumerate(report["configs"]):
        over = config["over_time"]
        at = _edges(report, over, divisor)
        for key, style in series:
            values = [_plotted(value, percent=percent) for value in _held(over[key])]
            label = config["name"] if key == series[-1][0] else None
            colour = COLOURS[index % len(COLOURS)]
            axes.plot(
                at,
                values,
                style,
                color=colour,
                label=label,
                linewidth=1.4,
                drawstyle="steps-post",
                clip_on=False,
            )
    _shade(axes, report, divisor, named=not percent)
    axes.set_xlim(0, report["duration_s"] / divisor)
    if percent:
        low, _ = axes.get_ylim()
        axes.set_ylim(min(low, 99.0), 100.0 + (100.0 - min(low, 99.0)) * 0.05)
    else:
        axes.set_ylim(bottom=0)
    axes.grid(visible=True, alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def _edges(report: Mapping[str, Any], over: Mapping[str, Any], divisor: float) -> list[float]:
    """Where the steps begin, and where the last one ends."""
    return [second / divisor for second in (*over["at_s"], report["duration_s"])]


def _held(values: Sequence[Any]) -> list[Any]:
    """The values of the steps; the last one holds until its end."""
    return [*values, values[-1]]


def _plotted(value: float | None, *, percent: bool) -> float:
    if value is None:
        return float("nan")
    return value * 100 if percent else value


def _shade(axes: Axes, report: Mapping[str, Any], divisor: float, *, named: bool) -> None:
    """Outages and slowdowns, with their names."""
    for window in report["windows"]:
        start, end = window["from_s"] / divisor, window["until_s"] / divisor
        axes.axvspan(start, end, color="#000000", alpha=0.07, linewidth=0)
        if not named:
            continue
        axes.annotate(
            f" {window['provider']}: {window['what']}", (start, 1.0), xycoords=("data", "axes fraction"), va="top",
            fontsize=7, color="#666666",
        )  # fmt: skip


def _load(
    axes: Axes, report: Mapping[str, Any], config: Mapping[str, Any], divisor: float, *, legend: bool
) -> None:
    """Requests per minute, one layer for each provider."""
    over = config["over_time"]
    at = _edges(report, over, divisor)
    ends = _held([*over["at_s"][1:], report["duration_s"]])
    widths = [end - start for start, end in zip(_held(over["at_s"]), ends, strict=True)]
    layers = {
        name: [number * 60 / width for number, width in zip(_held(series["asked"]), widths, strict=True)]
        for name, series in over["providers"].items()
    }
    colours = [LAYERS[index % len(LAYERS)] for index in range(len(layers))]
    axes.stackplot(at, *layers.values(), labels=list(layers), colors=colours, step="post")
    axes.set_title(f"requests per minute: {config['name']}", loc="left", fontsize=9)
    axes.set_ylim(bottom=0)
    axes.spines[["top", "right"]].set_visible(False)
    if legend:
        axes.legend(loc="upper left", frameon=False, fontsize=8)
