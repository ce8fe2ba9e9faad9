"""The several keys of one provider: `api_keys`, texts or tables, to `KeyConfig`s; nothing of a key is ever shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmcore.config import KeyConfig, Written
from llmcore.loader.rules import BAD, Reader, api_key, kind_of, number, plain_text, table
from llmcore.loader.text import DROPPED, Notes, filled, variables_in
from llmcore.secret import Secret

_READERS: dict[str, Reader] = {"value": api_key, "name": plain_text, "weight": number()}
_WORDS = dict.fromkeys(("key", "api_key", "secret", "token"), "value")

Origins = dict[tuple[str, ...], Written]


def read_keys(
    value: Any, path: str, environ: Mapping[str, str], notes: Notes, *, quiet: bool
) -> tuple[tuple[KeyConfig, ...], Origins]:
    """The good keys of the list `value`, and where variables were used in it.

    A key whose variable is not set stays in its place, empty (`quiet`: without a complaint).
    """
    if not isinstance(value, (list, tuple)):
        notes.error(
            path, f'must be a list, not {kind_of(value)}; write api_keys = ["${{FIRST}}", "${{SECOND}}"]'
        )
        return (), {}
    if not value:
        notes.error(path, "is empty; list at least one key, or leave it out")
    keys: list[KeyConfig] = []
    origins: Origins = {}
    for index, item in enumerate(value):
        where = f"{path}[{index}]"
        entry = filled(item, where, environ, notes, quiet=quiet)
        key = _read_key(entry, where, notes, f"key-{index + 1}")
        if key is not None:
            keys.append(key)
            origins |= _origins(entry, where, notes, ("api_keys", str(index)))
    _check_twins(keys, path, notes)
    return tuple(keys), origins


def _read_key(entry: Any, path: str, notes: Notes, name: str) -> KeyConfig | None:
    """One key, given by itself or in a table."""
    if entry is DROPPED:
        return KeyConfig(name, Secret(""))
    if not isinstance(entry, Mapping):
        value = api_key(entry, path, notes)
        return None if value is BAD else KeyConfig(name, value)
    good = table(entry, path, notes, _READERS, _WORDS) or {}
    if f"{path}.value" in notes.dropped:
        good["value"] = Secret("")
    elif "value" not in entry:
        notes.error(f"{path}.value", 'is missing; write { value = "${VARIABLE}" }')
    return KeyConfig(**{"name": name, **good}) if "value" in good else None


def _origins(entry: Any, path: str, notes: Notes, steps: tuple[str, ...]) -> Origins:
    """How each value was written, by the steps that lead to it; the key itself always ends in "value"."""
    said = {key: Written(text, value) for key, (text, value) in variables_in(entry).items()}
    for key, where in (((), path), (("value",), f"{path}.value")):
        if where in notes.dropped:
            said[key] = Written(notes.dropped[where], Secret(""))
    return {(*steps, *(key or ("value",))): written for key, written in said.items()}


def _check_twins(keys: list[KeyConfig], path: str, notes: Notes) -> None:
    names: dict[str, int] = {}
    values: dict[Secret, int] = {}
    for index, key in enumerate(keys):
        if (other := names.setdefault(key.name, index)) != index:
            notes.error(
                f"{path}[{index}].name",
                f"{key.name!r} is also the name of {path}[{other}]; give each its own name",
            )
        if key.value and (other := values.setdefault(key.value, index)) != index:
            notes.warn(f"{path}[{index}]", f"is the same key as {path}[{other}]; it gives no more room")
