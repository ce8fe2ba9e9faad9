"""A configuration back to TOML text, without one secret in clear."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from attrs import NOTHING, Attribute, Factory, fields

from llmcore.config import (
    BreakerConfig,
    BudgetConfig,
    FallbackConfig,
    KeyConfig,
    LlmConfig,
    ProviderConfig,
    Timeouts,
)
from llmcore.errors import ConfigurationError
from llmcore.loader.text import key_path
from llmcore.prices import Price
from llmcore.secret import Secret, redact

_SECRET_WORDS = ("key", "token", "secret", "password", "authorization", "cookie", "credential")
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def dump(config: LlmConfig) -> str:
    """TOML text from which `load_config` makes an equal configuration.

    Values that came from variables are written as those variables. Raises ConfigurationError, naming every place,
    where a secret would have to be written in clear or a value has no form in TOML.
    """
    writer = _Writer(config.timeouts.first_token)
    lines = writer.table("llm", _said(config, skip=("providers", "fallback", "timeouts")))
    for index, provider in enumerate(config.providers):
        lines += writer.provider(provider, f"llm.providers[{index}]")
    lines += writer.table("llm.fallback", _said(config.fallback, skip=("breaker", "budget")))
    lines += writer.table("llm.fallback.breaker", _said(config.fallback.breaker))
    lines += writer.table("llm.fallback.budget", _said(config.fallback.budget))
    lines += writer.table("llm.timeouts", _said(config.timeouts))
    if writer.complaints:
        raise ConfigurationError(*writer.complaints)
    return "\n".join(lines).strip() + "\n"


def _said(
    value: LlmConfig | ProviderConfig | KeyConfig | FallbackConfig | BreakerConfig | BudgetConfig | Timeouts,
    skip: tuple[str, ...] = (),
) -> dict[str, Any]:
    """The fields that differ from their defaults."""
    entries: list[Attribute[Any]] = [entry for entry in fields(type(value)) if entry.name not in skip]
    return {
        entry.name: found
        for entry in entries
        if (found := getattr(value, entry.name)) is not None and found != _default(entry)
    }


def _default(entry: Attribute[Any]) -> Any:
    if isinstance(entry.default, Factory):  # type: ignore[arg-type]  # a class at run time, a function for checkers
        return entry.default.factory()  # type: ignore[union-attr]  # same
    return None if entry.default is NOTHING else entry.default


class _Writer:
    """Writes tables, and collects what cannot be written."""

    def __init__(self, first_token: float | None) -> None:
        self.complaints: list[str] = []
        self._first_token = first_token
        self._written: dict[tuple[str, ...], tuple[str, Secret]] = {}

    def table(self, header: str, said: Mapping[str, Any]) -> list[str]:
        if not said:
            return []
        return [
            "",
            f"[{header}]",
            *(f"{key} = {self.value(item, header, (key,))}" for key, item in said.items()),
        ]

    def provider(self, provider: ProviderConfig, path: str) -> list[str]:
        self._written = {key: (origin.text, origin.value) for key, origin in provider.written.items()}
        said = _said(provider, skip=("written", "timeouts"))
        unset = {
            key: origin
            for key, origin in provider.written.items()
            if len(key) == 1 and not origin.value and key[0] not in said
        }
        lines = ["", "[[llm.providers]]"]
        lines += [f"{key} = {self.value(item, path, (key,))}" for key, item in said.items()]
        lines += [f"{key} = {quoted(origin.text)}" for (key,), origin in unset.items()]
        if provider.timeouts is not None:
            whole = {entry.name: getattr(provider.timeouts, entry.name) for entry in fields(Timeouts)}
            given = {key: item for key, item in whole.items() if item is not None}
            if provider.timeouts.first_token is None and self._first_token is not None:
                self.complaints.append(
                    f"{path}.timeouts.first_token: None cannot be written over llm.timeouts"
                )
            lines.append(f"timeouts = {self.value(given, path, ('timeouts',))}")
        self._written = {}
        return lines

    def value(self, value: Any, path: str, steps: tuple[str, ...]) -> str:
        """`value` as TOML; `steps` lead to it from `path`."""
        if isinstance(value, Secret):
            return self._text(value.reveal(), path, steps, secret=True)
        if isinstance(value, str):
            secret = steps[0] in {"headers", "extra"} and _looks_secret(steps[-1], value)
            return self._text(value, path, steps, secret=secret)
        if isinstance(value, KeyConfig):
            return self._key_config(value, path, steps)
        if isinstance(value, frozenset):
            value = sorted(value)
        if isinstance(value, Price):
            rates = {entry.name: getattr(value, entry.name) for entry in fields(Price)}
            return self.value({key: rate for key, rate in rates.items() if rate is not None}, path, steps)
        if isinstance(value, Mapping):
            pairs = (
                f"{_key(str(key))} = {self.value(item, path, (*steps, str(key)))}"
                for key, item in value.items()
            )
            return "{ " + ", ".join(pairs) + " }" if value else "{}"
        if isinstance(value, (list, tuple)):
            return (
                "["
                + ", ".join(self.value(item, path, (*steps, str(index))) for index, item in enumerate(value))
                + "]"
            )
        return self._scalar(value, path, steps)

    def _key_config(self, key: KeyConfig, path: str, steps: tuple[str, ...]) -> str:
        """A key by itself where it has nothing but the name that its place gives it, else a table."""
        said = _said(key)
        if said["name"] == f"key-{int(steps[-1]) + 1}" and "weight" not in said:
            return self.value(key.value, path, (*steps, "value"))
        return self.value({"value": key.value, **said}, path, steps)

    def _scalar(self, value: Any, path: str, steps: tuple[str, ...]) -> str:
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, (int, Decimal)):
            return str(value)
        if isinstance(value, float) and math.isfinite(value):
            return repr(value)
        if isinstance(value, (dt.datetime, dt.date, dt.time)):
            return value.isoformat()
        self.complaints.append(
            f"{_joined(path, steps)}: a {type(value).__name__} has no form in TOML; change it"
        )
        return '""'

    def _text(self, value: str, path: str, steps: tuple[str, ...], *, secret: bool) -> str:
        origin = self._written.get(steps)
        if origin is not None and origin[1].reveal() == value:
            return quoted(origin[0])
        if secret:
            self.complaints.append(
                f"{_joined(path, steps)}: is a secret in clear and is not written; put it into a variable"
            )
            return '""'
        return quoted(value.replace("${", "$${"))


def quoted(text: str) -> str:
    """`text` as a TOML string on one line."""
    return (
        '"'
        + "".join(_ESCAPES.get(char) or (char if _fits(char) else f"\\u{ord(char):04x}") for char in text)
        + '"'
    )


def _fits(char: str) -> bool:
    return char >= " " and char != "\x7f"


def _key(key: str) -> str:
    return (
        key_path("", key)
        if key.isascii() and '"' not in key and key.isprintable() and "\\" not in key
        else quoted(key)
    )


def _joined(path: str, steps: tuple[str, ...]) -> str:
    for step in steps:
        path = f"{path}[{step}]" if step.isdigit() else key_path(path, step)
    return path


def _looks_secret(name: str, value: str) -> bool:
    return any(word in name.lower() for word in _SECRET_WORDS) or redact(value) != value
