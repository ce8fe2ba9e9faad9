"""Results as pictures, each as PNG and SVG: bars of llmcore in colour, everybody else in grey, the floor in between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import floor, log10
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.cases import CASES, FAILOVER
from benchmarks.report import number
from benchmarks.results import Results
from benchmarks.roster import BARE_LOOP, EVERYTHING, MANAGER, MANAGER_RARE_GC, RAW

OURS, FLOOR, OTHERS, INK = "#d9480f", "#4a6fa5", "#adb5bd", "#343a40"
STYLE: dict[Any, Any] = {
    "font.size": 10,
    "font.family": "DejaVu Sans",
    "text.color": INK,
    "axes.edgecolor": "#ced4da",
    "axes.labelcolor": INK,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.grid": True,
    "grid.color": "#e9ecef",
    "axes.axisbelow": True,
    "figure.dpi": 110,
    "svg.hashsalt": "llmcore",
}
LEAST_MS = 0.01
"""Where a logarithmic axis of milliseconds ends; what is less is drawn there."""


def colour(client: str) -> str:
    if client in {RAW, BARE_LOOP}:
        return FLOOR
    return OURS if client.startswith("llmcore") else OTHERS


def draw(results: Results, folder: Path) -> list[str]:
    """Every picture that the results have figures for; their names."""
    drawn = []
    with plt.rc_context(STYLE):
        for name, picture in PICTURES.items():
            figure = picture(results)
            if figure is not None:
                figure.savefig(folder / f"{name}.png", dpi=150)
                figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
                plt.close(figure)
                drawn.append(name)
    return drawn


def bars(axes: Axes, found: dict[str, float], title: str, shown: Callable[[float], str]) -> None:
    """One bar a client, least on top, each with its figure; on a logarithmic axis where they differ much."""
    clients = sorted(found, key=lambda client: -found[client])
    values = [found[client] for client in clients]
    axes.barh(clients, values, color=[colour(client) for client in clients], height=0.68)
    if max(values) > 20 * min(values):
        axes.set_xscale("log")
        axes.set_xlim(10 ** floor(log10(min(values) / 1.2)), max(values) * 3.2)
        title = f"{title} (logarithmic)"
    else:
        axes.set_xlim(0, max(values) * 1.18)
    axes.set_title(title)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.set_xticks([], minor=True)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    for place, value in enumerate(values):
        axes.annotate(
            shown(value), (value, place), (4, 0), textcoords="offset points", va="center", fontsize=9
        )
    for label in axes.get_yticklabels():
        label.set_color(OURS if label.get_text().startswith("llmcore") else INK)


def medians(results: Results, case: str, figure: str) -> dict[str, float]:
    found = {client: results.median(case, client, figure) for client in results.clients([case])}
    return {client: value for client, value in found.items() if value is not None}


def panels(
    results: Results, wanted: Sequence[tuple[str, str, str, Callable[[float], str]]], heading: str
) -> Figure | None:
    """Bars side by side; None where any of them has no figures."""
    found = [medians(results, case, figure) for case, figure, _, _ in wanted]
    if not all(found):
        return None
    height = 1.5 + 0.3 * max(len(values) for values in found)
    figure, axes = plt.subplots(
        1, len(wanted), figsize=(6.4 * len(wanted), height), layout="constrained", squeeze=False
    )
    figure.suptitle(heading, x=0.01, ha="left", fontweight="bold", fontsize=13)
    for place, values, (_, _, title, shown) in zip(axes[0], found, wanted, strict=True):
        bars(place, values, title, shown)
    return figure


def _us(value: float) -> str:
    return f"{number(value)} µs" if value < 1000 else f"{value / 1000:.1f} ms"


def _ms(value: float) -> str:
    return f"{value:,.0f} ms"


def _mib(value: float) -> str:
    return f"{value:,.0f} MiB"


def calls(results: Results) -> Figure | None:
    wanted = [(f"generate-{width}", "cpu_us", f"{width} in flight", _us) for width in (1, 64)]
    return panels(results, wanted, "CPU per call (less is better)")


def events(results: Results) -> Figure | None:
    wanted = [
        ("burst", "cpu_us", "300 events in a burst", _us),
        ("paced", "cpu_us", "one event each 2 ms", _us),
    ]
    return panels(results, wanted, "CPU per streamed event (less is better)")


def starting(results: Results) -> Figure | None:
    wanted = [
        ("import", "wall_ms", "import, added to bare Python", _ms),
        ("first-call", "peak_mib", "memory after the first call", _mib),
    ]
    return panels(results, wanted, "Starting (less is better)")


def failover(results: Results) -> Figure | None:
    """For each fault: what the first call takes more, and what those after it take more."""
    names = [case.name for case in FAILOVER]
    clients = [*reversed(results.clients(names))]
    if not clients:
        return None
    figure, row = plt.subplots(
        1, len(names), figsize=(13.5, 1.9 + 0.34 * len(clients)), sharey=True, layout="constrained"
    )
    figure.suptitle(
        "Failover: added to a call whose first provider fails (logarithmic, less is better)",
        x=0.01, ha="left", fontweight="bold", fontsize=13,
    )  # fmt: skip
    titles = {"500": "answers 500", "429": "answers 429", "refused": "refuses the connection"}
    for axes, case in zip(row, FAILOVER, strict=True):
        _dots(axes, results, case.name, clients)
        axes.set_title(titles[str(case.fault)])
    row[0].set_yticks(range(len(clients)), clients)
    for label in row[0].get_yticklabels():
        label.set_color(OURS if label.get_text().startswith("llmcore") else INK)
    handles: list[Any] = [
        row[0].scatter([], [], s=70, color=INK, label="first call after the provider went down"),
        row[0].scatter(
            [], [], s=70, facecolor="white", edgecolor=INK, linewidth=1.8, label="later calls, median"
        ),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False)
    return figure


def _dots(axes: Axes, results: Results, case: str, clients: Sequence[str]) -> None:
    for place, client in enumerate(clients):
        first, later = (results.median(case, client, figure) for figure in ("first_ms", "later_ms"))
        if first is None or later is None:
            continue
        low, high = (max(value, LEAST_MS) for value in (later, first))
        axes.plot([low, high], [place, place], color=colour(client), alpha=0.45, linewidth=2, zorder=1)
        axes.scatter(high, place, s=70, color=colour(client), zorder=2)
        axes.scatter(low, place, s=70, facecolor="white", edgecolor=colour(client), linewidth=1.8, zorder=3)
    axes.set_xscale("log")
    axes.set_xlim(LEAST_MS / 1.5, 20_000)
    ticks = {0.01: "≤ 0.01", 0.1: "0.1", 1: "1", 10: "10", 100: "100", 1000: "1 s", 10_000: "10 s"}
    axes.set_xticks([*ticks], [*ticks.values()])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("ms")
    axes.tick_params(axis="y", length=0)


def growth(results: Results) -> Figure | None:
    """CPU per call beside the number of providers, and beside the calls in flight."""
    by_providers = {
        f"{client.removeprefix('llmcore manager of 2, ').replace('fast', 'defaults')}, {width} in flight": (
            colour_, style, [(count, f"providers-{count}-c{width}", client) for count in (2, 10, 50, 200)],
        )
        for client, colour_ in ((MANAGER, OURS), (EVERYTHING, INK))
        for width, style in ((1, "o-"), (64, "s--"))
    }  # fmt: skip
    by_calls = {
        title: (colour_, "o-", [(width, f"in-flight-{width}", client) for width in (1, 64, 256, 1000, 2000)])
        for title, client, colour_ in (
            ("defaults", MANAGER, OURS),
            ("everything on", EVERYTHING, INK),
            ("raw asyncio", RAW, FLOOR),
        )
    }
    by_calls["gc threshold 50,000"] = (
        OURS,
        "o:",
        [(width, f"in-flight-{width}", MANAGER_RARE_GC) for width in (1, 64, 256, 1000, 2000)],
    )
    if not all(
        any(
            results.samples.get(case, {}).get(client)
            for *_, points in lines.values()
            for _, case, client in points
        )
        for lines in (by_providers, by_calls)
    ):
        return None
    figure, axes = plt.subplots(1, 2, figsize=(12, 4.4), layout="constrained")
    figure.suptitle(
        "Growth: CPU µs per call of llmcore's manager", x=0.01, ha="left", fontweight="bold", fontsize=13
    )
    _lines(axes[0], results, by_providers, "providers")
    _lines(axes[1], results, by_calls, "calls in flight")
    return figure


def _lines(axes: Axes, results: Results, lines: dict[str, Any], label: str) -> None:
    for title, (colour_, style, points) in lines.items():
        found = [(x, results.median(case, client, CASES[case].figure)) for x, case, client in points]
        known = [(x, y) for x, y in found if y is not None]
        if known:
            axes.plot(*zip(*known, strict=True), style, color=colour_, label=title)
    axes.set_xscale("log")
    axes.set_xticks([points[0] for points in next(iter(lines.values()))[2]])
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    axes.set_xticks([], minor=True)
    axes.set_ylim(bottom=0)
    axes.set_xlabel(label)
    axes.legend(
        frameon=False,
        fontsize=9,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.16),
        ncols=2 if label == "providers" else 3,
    )


PICTURES: dict[str, Callable[[Results], Figure | None]] = {
    "calls": calls,
    "events": events,
    "failover": failover,
    "starting": starting,
    "growth": growth,
}
