"""The configurations that a scenario compares: files, or tables in the scenario, read by the loader's own rules."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from llmcore.config import LlmConfig, ProviderConfig
from llmcore.loader import examine
from llmcore.loader.rules import Reader, anything, plain_text, table
from llmcore.loader.text import Notes, near, read_source
from llmcore.prices import own_price
from llmcore.simulate.profile import Setup

KIND = "simulated"
USUAL = "defaults"

_MEANINGLESS = frozenset(
    {
        "api_key",
        "api_keys",
        "base_url",
        "headers",
        "extra",
        "organization",
        "project",
        "api_version",
        "transport",
    }
)
"""Keys of a provider that say where it is and who we are: of no meaning here, and their variables may be unset."""

_SETUP: dict[str, Reader] = {
    "name": plain_text,
    "file": plain_text,
    "fallback": anything,
    "timeouts": anything,
    "providers": anything,
}


def read_setups(
    value: Any,
    names: Sequence[str],
    notes: Notes,
    beside: Path,
    environ: Mapping[str, str],
    kinds: Collection[str],
    more: Sequence[Path] = (),
) -> tuple[Setup, ...]:
    """The setups of `[[configs]]` and of further files; the defaults alone where there are none. names: of the profiles."""
    if value is not None and not isinstance(value, (list, tuple)):
        notes.error("configs", "must be a list of tables; write [[configs]] with two brackets")
        return ()
    found: list[Setup] = []
    for index, entry in enumerate(value or ()):
        path = f"configs[{index}]"
        good = table(entry, path, notes, _SETUP, {"path": "file", "config": "file"})
        if good is None or len(good) < len(entry):
            continue
        if "file" in good:
            setup = _of_file(beside / good["file"], good, names, path, notes, environ, kinds)
        else:
            setup = _inline(good, names, path, notes)
        found += [] if setup is None else [setup]
    found += [
        setup
        for path in more
        if (setup := _of_file(path, {}, names, str(path), notes, environ, kinds)) is not None
    ]
    if not found and not notes.errors:
        inline = _inline({"name": USUAL}, names, "configs", notes)
        found += [] if inline is None else [inline]
    _check_names(found, notes)
    return tuple(found)


def _check_names(setups: Sequence[Setup], notes: Notes) -> None:
    names = [setup.name for setup in setups]
    for name in sorted({name for name in names if names.count(name) > 1}):
        notes.error("configs", f"the name {name!r} is given twice; give each its own name")


def _inline(good: Mapping[str, Any], names: Sequence[str], path: str, notes: Notes) -> Setup | None:
    """A setup of tables in the scenario: all profiles, in their order, with what `providers` says of them."""
    said = good.get("providers", {})
    for name in said:
        if name not in names:
            notes.error(f"{path}.providers", f"there is no provider named {name!r}; {near(name, names)}")
        elif not isinstance(said[name], Mapping):
            notes.error(f"{path}.providers.{name}", "must be a table, such as { priority = 1, rpm = 600 }")
            return None
    tree = {
        "providers": [
            {"text_model": KIND, **said.get(name, {}), "name": name, "provider": KIND} for name in names
        ],
        "fallback": good.get("fallback", {}),
        "timeouts": good.get("timeouts", {}),
    }
    return _examined({"llm": tree}, good.get("name", path), names, path, notes, {}, (KIND,))


def _of_file(
    file: Path,
    good: Mapping[str, Any],
    names: Sequence[str],
    path: str,
    notes: Notes,
    environ: Mapping[str, str],
    kinds: Collection[str],
) -> Setup | None:
    """A setup of a configuration file, with the scenario's own words laid over it."""
    tree = read_source(file, notes)
    if tree is None:
        return None
    llm = tree.get("llm")
    if isinstance(llm, Mapping):
        over = {key: {**_table(llm.get(key)), **good[key]} for key in ("fallback", "timeouts") if key in good}
        tree = {**tree, "llm": {**llm, **over, "providers": _stripped(llm.get("providers"))}}
    return _examined(tree, good.get("name", file.stem), names, path, notes, environ, kinds)


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _stripped(entries: Any) -> Any:
    if not isinstance(entries, (list, tuple)):
        return entries
    return [
        {key: item for key, item in entry.items() if key not in _MEANINGLESS}
        if isinstance(entry, Mapping)
        else entry
        for entry in entries
    ]


def _examined(
    tree: Mapping[str, Any],
    name: str,
    names: Sequence[str],
    path: str,
    notes: Notes,
    environ: Mapping[str, str],
    kinds: Collection[str],
) -> Setup | None:
    report = examine(tree, environ=environ, kinds=kinds)
    for complaint in report.errors:
        notes.error(path, complaint)
    if report.config is None:
        return None
    providers = [provider for provider in report.config.providers if provider.enabled]
    for provider in providers:
        if provider.name not in names:
            what = f"there is no profile for its provider {provider.name!r}; {near(provider.name, names)}"
            notes.error(path, f"{what}, or add one under [[providers]]")
    return _setup(name, report.config, providers)


def _setup(name: str, config: LlmConfig, providers: Sequence[ProviderConfig]) -> Setup:
    prices = {provider.name: own_price(provider.prices, provider.text_model) for provider in providers}
    return Setup(
        name,
        config.fallback,
        config.timeouts,
        {provider.name: provider.routing for provider in providers},
        {provider.name: provider.timeouts or config.timeouts for provider in providers},
        {name: price for name, price in prices.items() if price is not None},
    )
