"""A scenario's TOML to frozen values, or every complaint at once, each "path: what is wrong; what to do"."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TypeGuard

from attrs import evolve

from llmcore.errors import ConfigurationError
from llmcore.loader.rules import (
    BAD,
    Reader,
    boolean,
    choice,
    integer,
    number,
    plain_text,
    provider_name,
    shown,
    table,
)
from llmcore.loader.text import Notes, read_source
from llmcore.prices import Price
from llmcore.simulate.log import Logged, read_log
from llmcore.simulate.profile import (
    FOREVER,
    Outage,
    Profile,
    Scenario,
    Slowdown,
    Source,
    UpstreamLimits,
)
from llmcore.simulate.setups import read_setups
from llmcore.simulate.shapes import Measured
from llmcore.simulate.traffic import Burst, Replay, Traffic
from llmcore.simulate.values import SHARE, TIMING, duration, errors, shape, way

DAY_S = 86_400.0
STEPS = 48
"""Figures over time where the scenario does not say how many."""

_SPAN = {"from": duration(), "until": duration(above=True)}
_SPAN_WORDS = {"start": "from", "begin": "from", "end": "until", "to": "until", "factor": "times"}


def read_scenario(
    source: str | os.PathLike[str] | Mapping[str, Any],
    *,
    environ: Mapping[str, str],
    kinds: Collection[str],
    configs: Collection[Path] = (),
) -> Scenario:
    """The scenario in `source`: a path, TOML text, or a mapping. Files that it names lie beside it.

    environ, kinds: for the configurations that it names, as `load_config` takes them. configs: further ones to compare.
    Raises ConfigurationError with every complaint.
    """
    notes = Notes()
    tree = read_source(source, notes)
    beside = Path(source).parent if _is_path(source) else Path()
    scenario = None
    if tree is not None:
        scenario = _read(tree, notes, _Reading(_stem(source), beside, environ, kinds, tuple(configs)))
    if scenario is None or notes.errors:
        raise ConfigurationError(*notes.errors)
    return scenario


class _Reading:
    """What reading depends on beside the tree."""

    def __init__(
        self,
        name: str,
        beside: Path,
        environ: Mapping[str, str],
        kinds: Collection[str],
        configs: tuple[Path, ...],
    ) -> None:
        self.name = name
        self.beside = beside
        self.environ = environ
        self.kinds = kinds
        self.configs = configs


def _is_path(source: str | os.PathLike[str] | Mapping[str, Any]) -> TypeGuard[str | os.PathLike[str]]:
    return isinstance(source, os.PathLike) or (
        isinstance(source, str) and "\n" not in source and "=" not in source
    )


def _stem(source: str | os.PathLike[str] | Mapping[str, Any]) -> str:
    return Path(source).stem if _is_path(source) else "scenario"


def _as_is(value: Any, path: str, notes: Notes) -> Any:
    return value


_ROOT: dict[str, Reader] = {
    "name": plain_text,
    "duration": duration(above=True),
    "step": duration(above=True),
    "seed": integer(),
    "log": plain_text,
    "traffic": _as_is,
    "providers": _as_is,
    "configs": _as_is,
}


def _read(tree: Mapping[str, Any], notes: Notes, reading: _Reading) -> Scenario | None:
    good = (
        table(tree, "", notes, _ROOT, {"provider": "providers", "config": "configs", "llm": "configs"}) or {}
    )
    logged = read_log(reading.beside / good["log"], notes) if "log" in good else None
    profiles = _profiles(good.get("providers"), logged, notes)
    traffic = _traffic(good.get("traffic"), logged, notes)
    names = [profile.name for profile in profiles]
    setups = read_setups(
        good.get("configs"), names, notes, reading.beside, reading.environ, reading.kinds, reading.configs
    )
    if notes.errors or traffic is None:
        return None
    length = good.get("duration", DAY_S if logged is None else max(logged.length, 1.0))
    return Scenario(
        good.get("name", reading.name),
        length,
        good.get("step", length / STEPS),
        good.get("seed", 0),
        traffic,
        tuple(profiles),
        setups,
    )


# ---------------------------------------------------------------------------------------------- providers


def _outage(value: Any, path: str, notes: Notes) -> Any:
    readers = {**_SPAN, "fails": way, "share": SHARE, "cuts": boolean, **TIMING}
    good = table(value, path, notes, readers, _SPAN_WORDS | {"way": "fails", "error": "fails"})
    if good is None or not _whole(good, value, ("from", "fails"), path, notes):
        return BAD
    timing = {key: good[key] for key in TIMING if key in good}
    start, end = _span(good, path, notes)
    return Outage(
        start, end, evolve(good["fails"], **timing), good.get("share", 1.0), good.get("cuts", False)
    )


def _slowdown(value: Any, path: str, notes: Notes) -> Any:
    good = table(value, path, notes, {**_SPAN, "times": number(above=True)}, _SPAN_WORDS)
    if good is None or not _whole(good, value, ("from", "times"), path, notes):
        return BAD
    start, end = _span(good, path, notes)
    return Slowdown(start, end, good["times"])


def _span(good: Mapping[str, Any], path: str, notes: Notes) -> tuple[float, float]:
    start, end = good["from"], good.get("until", FOREVER)
    if end <= start:
        notes.error(path, "ends before it begins; until must be after from")
    return start, end


def _whole(
    good: Mapping[str, Any], value: Mapping[str, Any], needed: tuple[str, ...], path: str, notes: Notes
) -> bool:
    """Whether every key was good and none is missing; a missing one is a complaint."""
    if len(good) < len(value):
        return False
    missing = [key for key in needed if key not in good]
    for key in missing:
        notes.error(path, f"has no {key!r}")
    return not missing


def _list_of(reader: Reader) -> Reader:
    def read(value: Any, path: str, notes: Notes) -> Any:
        if not isinstance(value, (list, tuple)):
            notes.error(path, f"must be a list of tables, not {shown(value)}; write [{{ ... }}]")
            return BAD
        items = tuple(reader(item, f"{path}[{index}]", notes) for index, item in enumerate(value))
        return BAD if any(item is BAD for item in items) else items

    return read


_LIMITS: dict[str, Reader] = {
    "rpm": number(above=True),
    "tpm": number(above=True),
    "kind": choice("kind of limit", ("bucket", "window")),
    "burst": duration(above=True),
    "announce": boolean,
    "as_of": choice("moment", ("answer", "request")),
    "tell_wait": boolean,
}


def _limits(value: Any, path: str, notes: Notes) -> Any:
    good = table(value, path, notes, _LIMITS, {"headers": "announce", "retry_after": "tell_wait"})
    return BAD if good is None or len(good) < len(value) else UpstreamLimits(**good)


def _price(value: Any, path: str, notes: Notes) -> Any:
    good = table(value, path, notes, {"input": number(), "output": number()}, {})
    if good is None or not _whole(good, value, ("input",), path, notes):
        return BAD
    return Price(**good)


_PROFILE: dict[str, Reader] = {
    "name": provider_name,
    "first_token": shape(duration()),
    "speed": shape(number(above=True)),
    "errors": errors,
    "outages": _list_of(_outage),
    "slowdowns": _list_of(_slowdown),
    "limits": _limits,
    "capacity": integer(1),
    "when_full": choice("answer", ("queue", "503", "429")),
    "price": _price,
}
_PROFILE_WORDS = {
    **dict.fromkeys(("latency", "ttft"), "first_token"),
    **dict.fromkeys(("tokens_per_second", "tps"), "speed"),
    **dict.fromkeys(("prices",), "price"),
    **dict.fromkeys(("degradations", "degraded"), "slowdowns"),
    **dict.fromkeys(("rate_limits", "limit"), "limits"),
    **dict.fromkeys(("over", "on_full"), "when_full"),
}


def _profiles(value: Any, logged: Logged | None, notes: Notes) -> list[Profile]:
    """The profiles of the log, and over them what the scenario says."""
    found = {} if logged is None else {profile.name: profile for profile in logged.profiles}
    entries = value if isinstance(value, (list, tuple)) else []
    if value is not None and not isinstance(value, (list, tuple)):
        notes.error("providers", "must be a list of tables; write [[providers]] with two brackets")
    said: set[str] = set()
    for index, entry in enumerate(entries):
        path = f"providers[{index}]"
        good = table(entry, path, notes, _PROFILE, _PROFILE_WORDS)
        if good is None:
            continue
        name = good.get("name")
        if name is None:
            if "name" not in entry:
                notes.error(path, "has no name")
        elif name in said:
            notes.error(f"{path}.name", f"{name!r} is the name of another provider too; give each its own")
        else:
            said.add(name)
            found[name] = evolve(found.get(name, Profile(name)), **good)
    if not found and not notes.errors:
        notes.error("providers", "there are none; add [[providers]] entries, or name a log")
    return list(found.values())


# ------------------------------------------------------------------------------------------------ traffic


def _burst(value: Any, path: str, notes: Notes) -> Any:
    good = table(value, path, notes, {**_SPAN, "times": number()}, _SPAN_WORDS)
    if good is None or not _whole(good, value, ("from", "until", "times"), path, notes):
        return BAD
    start, end = _span(good, path, notes)
    return Burst(start, end, good["times"])


def _hours(value: Any, path: str, notes: Notes) -> Any:
    if not isinstance(value, (list, tuple)) or len(value) != 24:
        notes.error(path, "must be a list of 24 figures, one for each hour from midnight on")
        return BAD
    items = tuple(number()(item, f"{path}[{index}]", notes) for index, item in enumerate(value))
    if any(item is BAD for item in items):
        return BAD
    if not sum(items):
        notes.error(path, "are all 0; give at least one hour some traffic")
        return BAD
    return items


_TOKENS = shape(number())
_TRAFFIC: dict[str, Reader] = {
    "rate": number(above=True),
    "hours": _hours,
    "bursts": _list_of(_burst),
    "arrivals": choice("kind of arrivals", ("poisson", "even")),
    "prompt": _TOKENS,
    "answer": _TOKENS,
    "streams": SHARE,
    "deadline": duration(above=True),
    "sessions": integer(0),
}
_TRAFFIC_WORDS = {"rps": "rate", "daily": "hours", "burst": "bursts", "input": "prompt", "output": "answer"}


def _traffic(value: Any, logged: Logged | None, notes: Notes) -> Source | None:
    good = table({} if value is None else value, "traffic", notes, _TRAFFIC, _TRAFFIC_WORDS)
    if good is None:
        return None
    if logged is None or not logged.calls:
        return Traffic(**good)
    if "rate" not in good:
        for key in good:
            notes.error(f"traffic.{key}", "has no use where the log's calls are played again; set rate too")
        return Replay(logged.calls)
    calls = logged.calls
    drawn = Traffic(
        prompt=Measured([call.prompt_tokens for call in calls]),
        answer=Measured([call.answer_tokens for call in calls]),
        streams=sum(call.stream for call in calls) / len(calls),
    )
    return evolve(drawn, **good)
