"""Pure: runs to figures as JSON values. Nothing in them depends on the machine: same scenario, same bytes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from llmcore.simulate.load import Load
from llmcore.simulate.profile import Scenario
from llmcore.simulate.run import Run, steps_of
from llmcore.simulate.tally import Figures, Quantiles, by_step, figures

DIGITS = 6

Report = dict[str, Any]


def report(scenario: Scenario, runs: Sequence[Run]) -> Report:
    """All figures of all configurations; docs/simulate.md names every field."""
    return {
        "scenario": scenario.name,
        "seed": scenario.seed,
        "duration_s": _rounded(scenario.duration),
        "step_s": _rounded(scenario.step),
        "windows": _windows(scenario),
        "configs": [_config(scenario, run) for run in runs],
    }


def as_json(value: Report) -> str:
    return json.dumps(value, indent=1) + "\n"


def _windows(scenario: Scenario) -> list[dict[str, Any]]:
    """Outages and slowdowns, for whoever draws them."""
    outages = [
        _window(profile.name, outage.start, min(outage.end, scenario.duration), outage.way.word)
        for profile in scenario.profiles
        for outage in profile.outages
    ]
    slowdowns = [
        _window(profile.name, slow.start, min(slow.end, scenario.duration), f"{slow.times:g}x slower")
        for profile in scenario.profiles
        for slow in profile.slowdowns
    ]
    return [window for window in (*outages, *slowdowns) if window["from_s"] < window["until_s"]]


def _window(name: str, start: float, end: float, what: str) -> dict[str, Any]:
    return {"provider": name, "from_s": _rounded(start), "until_s": _rounded(end), "what": what}


def _config(scenario: Scenario, run: Run) -> dict[str, Any]:
    whole = figures(run.calls)
    loads = run.loads
    asked = sum(load.asked for load in loads.values())
    refused = sum(load.refused for load in loads.values())
    costs = [load.cost_usd for load in loads.values() if load.cost_usd is not None]
    return {
        "name": run.setup.name,
        "strategy": run.setup.fallback.strategy,
        **_figures(whole),
        "attempts": asked,
        "amplification": _share(asked, whole.calls),
        "hedges": whole.whys.get("hedge", 0),
        "attempts_by_why": whole.whys,
        "share_429": _share(refused, asked),
        "failures": whole.failures,
        "breaker_openings": {name: len(found) for name, found in run.openings.items()},
        "cost_usd": _dollars(sum(costs, Decimal(0)) if costs else None),
        "providers": [_provider(name, load, scenario.duration, asked) for name, load in loads.items()],
        "over_time": _over_time(scenario, run),
    }


def _figures(found: Figures) -> dict[str, Any]:
    return {
        "calls": found.calls,
        "succeeded": found.succeeded,
        "availability": _rounded(found.availability),
        "latency_s": _quantiles(found.latency),
        "first_token_s": _quantiles(found.first_token),
    }


def _provider(name: str, load: Load, duration: float, asked: int) -> dict[str, Any]:
    return {
        "name": name,
        "asked": load.asked,
        "share": _share(load.asked, asked),
        "served": load.served,
        "refused_429": load.refused,
        "left": load.left,
        "failures": dict(load.failures),
        "input_tokens": load.input_tokens,
        "output_tokens": load.output_tokens,
        "cost_usd": _dollars(load.cost_usd),
        "concurrent_mean": _rounded(load.busy_s / duration),
        "concurrent_peak": load.peak,
    }


def _over_time(scenario: Scenario, run: Run) -> dict[str, Any]:
    """One list for each figure, with one value for each step."""
    steps = steps_of(scenario)
    found = by_step(run.calls, scenario.step, steps)
    return {
        "at_s": [_rounded(step * scenario.step) for step in range(steps)],
        "calls": [one.calls for one in found],
        "availability": [_rounded(one.availability) for one in found],
        "amplification": [_rounded(one.amplification) for one in found],
        **{f"latency_{name}_s": [_rounded(getattr(one.latency, name)) for one in found] for name in _NAMES},
        **{
            f"first_token_{name}_s": [_rounded(getattr(one.first_token, name)) for one in found]
            for name in _NAMES
        },
        "providers": {
            name: _steps(load, run.openings[name], scenario.step, steps) for name, load in run.loads.items()
        },
    }


_NAMES = ("p50", "p95", "p99")


def _steps(load: Load, openings: Sequence[float], step: float, steps: int) -> dict[str, list[int]]:
    opened = Counter(int(at // step) for at in openings)
    series: Mapping[str, Counter[int]] = {
        "asked": load.asked_by_step,
        "served": load.served_by_step,
        "refused_429": load.refused_by_step,
        "breaker_openings": opened,
    }
    return {what: _gathered(counted, steps) for what, counted in series.items()}


def _gathered(counted: Mapping[int, int], steps: int) -> list[int]:
    """By step; what comes after the last one counts there."""
    found = [0] * steps
    for step, number in counted.items():
        found[min(step, steps - 1)] += number
    return found


def _quantiles(found: Quantiles) -> dict[str, float | None]:
    return {name: _rounded(getattr(found, name)) for name in _NAMES}


def _share(part: int, whole: int) -> float | None:
    return _rounded(part / whole) if whole else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DIGITS)


def _dollars(value: Decimal | None) -> str | None:
    return None if value is None else f"{value:.6f}"
