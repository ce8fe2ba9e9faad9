"""A script of faults: rules read strictly from TOML, and the state that decides which rule fires.

The first rule that fits a request and is due decides; a rule that fits but is not due counts the request and lets
the next one decide. Faults by model name come after all rules.
"""

from __future__ import annotations

import difflib
import random
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import attrs
import tomli
from attrs import frozen

from llmcore.errors import ConfigurationError
from llmcore.sim.faults import WORDS, Fault, NamedFault, fault_of


@frozen
class Subject:
    """What a rule looks at. stage: "whole", or for APIs of several requests "begin", "follow" (polls), "events"."""

    place: str
    dialect: str
    path: str
    model: str | None
    stream: bool
    reused: bool
    stage: str = "whole"


@frozen
class Rule:
    """When a fault happens. model, path, place: with * and ?; reused: on a kept connection or on a fresh one.

    Of the requests that fit: `after` skips so many, `first` takes so many, `every` each n-th, `rate` a share by
    chance; `from_s` and `until_s` are seconds since the script was set.
    """

    fault: Fault
    name: str = ""
    model: str | None = None
    path: str | None = None
    place: str | None = None
    dialect: str | None = None
    stream: bool | None = None
    reused: bool | None = None
    after: int | None = None
    first: int | None = None
    every: int | None = None
    rate: float | None = None
    from_s: float | None = None
    until_s: float | None = None

    def fits(self, subject: Subject) -> bool:
        return (
            _like(subject.model, self.model)
            and _like(subject.path, self.path)
            and _like(subject.place, self.place)
            and self.dialect in {None, subject.dialect}
            and self.stream in {None, subject.stream}
            and self.reused in {None, subject.reused}
        )


def _like(value: str | None, pattern: str | None) -> bool:
    return pattern is None or (value is not None and fnmatchcase(value, pattern))


@frozen
class Limits:
    """Real limits: so many requests and tokens (read and written) in a window; more get 429 and the true wait."""

    requests: int | None = None
    tokens: int | None = None
    window_s: float = 60.0


@frozen
class Script:
    """All rules of a server. `seed` steers what happens by chance."""

    rules: tuple[Rule, ...] = ()
    limits: Limits | None = None
    seed: int | None = None

    @classmethod
    def of(cls, source: Script | Mapping[str, Any] | str | Path | None) -> Script:
        """A script from itself, a mapping, TOML text, or the path of a TOML file.

        Raises ConfigurationError with every complaint at once.
        """
        if source is None or isinstance(source, Script):
            return source or cls()
        if isinstance(source, Mapping):
            return _read(source)
        if isinstance(source, Path):
            try:
                source = source.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as exc:
                raise ConfigurationError(f"the script cannot be read: {exc}") from None
        try:
            return _read(tomli.loads(source))
        except tomli.TOMLDecodeError as exc:
            raise ConfigurationError(f"the script is not TOML: {exc}") from None


class ScriptRun:
    """A script at work: counts what each rule has seen."""

    def __init__(self, script: Script, *, seed: int, now: float) -> None:
        self.script = script
        self._since = now
        self._seen = [0] * len(script.rules)
        self._seen_names: dict[str, int] = {}
        self._random = random.Random(seed if script.seed is None else script.seed)  # noqa: S311 - chance, not secrecy

    def fault_for(self, subject: Subject, now: float) -> Fault | None:
        """The fault for this request; every call counts as one request."""
        for at, rule in enumerate(self.script.rules):
            if rule.fits(subject):
                self._seen[at] += 1
                if self._due(rule, self._seen[at], now - self._since):
                    return rule.fault
        return self._by_name(subject)

    def _due(self, rule: Rule, number: int, elapsed: float) -> bool:
        if not (rule.from_s or 0.0) <= elapsed < (float("inf") if rule.until_s is None else rule.until_s):
            return False
        number -= rule.after or 0
        if number < 1 or (rule.first is not None and number > rule.first):
            return False
        if rule.every is not None and number % rule.every:
            return False
        return rule.rate is None or self._random.random() < rule.rate

    def _by_name(self, subject: Subject) -> Fault | None:
        model = subject.model
        named: NamedFault | None = fault_of(model)
        if named is None or model is None:
            return None
        if subject.stage != "whole" and (subject.stage == "events") != named.fault.in_events:
            return None
        if subject.stage == "follow":
            return None
        self._seen_names[model] = self._seen_names.get(model, 0) + 1
        if named.once and self._seen_names[model] > 1:
            return None
        return named.fault if named.rate >= 1 or self._random.random() < named.rate else None


# ------------------------------------------------------------------------------------------- strict reading


def _number(value: Any) -> str | None:
    good = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < float("inf")
    return None if good else "must be a number, 0 or more"


def _count(value: Any) -> str | None:
    return (
        None
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0
        else "must be an integer, 0 or more"
    )


def _integer(value: Any) -> str | None:
    return None if isinstance(value, int) and not isinstance(value, bool) else "must be an integer"


def _flag(value: Any) -> str | None:
    return None if isinstance(value, bool) else "must be true or false"


def _text(value: Any) -> str | None:
    return None if isinstance(value, str) else "must be a string"


def _texts(value: Any) -> str | None:
    return None if isinstance(value, list) and not any(map(_text, value)) else "must be a list of strings"


def _statuses(value: Any) -> str | None:
    good = isinstance(value, list) and all(isinstance(item, int) and 100 <= item < 200 for item in value)
    return None if good else "must be a list of statuses from 100 to 199"


def _pairs(value: Any) -> str | None:
    good = isinstance(value, list) and all(_texts(item) is None and len(item) == 2 for item in value)
    return None if good else "must be a list of pairs of strings"


def _headers(value: Any) -> str | None:
    good = isinstance(value, Mapping) and not any(map(_text, value.values()))
    return None if good else "must be a table of strings"


_CHECKS: Mapping[str, Callable[[Any], str | None]] = {
    "float | None": _number,
    "float": _number,
    "int": _count,
    "int | None": _count,
    "bool": _flag,
    "bool | None": _flag,
    "str": _text,
    "str | None": _text,
    "ErrorKind | None": _text,
    "tuple[str, ...]": _texts,
    "tuple[int, ...]": _statuses,
    "tuple[tuple[str, str], ...]": _pairs,
    "Mapping[str, str]": _headers,
}

_FAULT = {entry.name: str(entry.type) for entry in attrs.fields(Fault)}
_RULE = {entry.name: str(entry.type) for entry in attrs.fields(Rule) if entry.name != "fault"}
_LIMITS = {entry.name: str(entry.type) for entry in attrs.fields(Limits)}


def _read(value: Mapping[str, Any]) -> Script:
    complaints: list[str] = []
    _check_keys(value, {"rules": "list", "limits": "table", "seed": "int"}, "", complaints)
    rules = value.get("rules", [])
    if not isinstance(rules, Sequence) or isinstance(rules, str):
        complaints.append("rules: must be a list of tables, each written as [[rules]]")
        rules = []
    read = [_rule(rule, f"rules[{at}]", complaints) for at, rule in enumerate(rules)]
    limits = _limits(value.get("limits"), complaints)
    if "seed" in value and (complaint := _integer(value["seed"])):
        complaints.append(f"seed: {complaint}")
    if complaints:
        raise ConfigurationError(*complaints)
    return Script(tuple(rule for rule in read if rule is not None), limits, value.get("seed"))


def _limits(value: Any, complaints: list[str]) -> Limits | None:
    if value is None:
        return None
    before = len(complaints)
    if not isinstance(value, Mapping):
        complaints.append("limits: must be a table")
        return None
    _check_fields(value, _LIMITS, "limits", complaints)
    if not (value.get("requests") or value.get("tokens")) or not value.get("window_s", 60.0):
        complaints.append("limits: requests or tokens, and window_s, must be more than 0")
    return Limits(**value) if len(complaints) == before else None


def _rule(value: Any, path: str, complaints: list[str]) -> Rule | None:
    if not isinstance(value, Mapping):
        complaints.append(f"{path}: must be a table")
        return None
    before = len(complaints)
    _check_fields(value, {**_RULE, **_FAULT}, path, complaints)
    chosen = {key: _frozen(item) for key, item in value.items() if key in _FAULT}
    if not chosen and len(complaints) == before:
        complaints.append(f"{path}: says when, but not what shall happen (for example status = 503)")
    if len(complaints) > before:
        return None
    return Rule(Fault(**chosen), **{key: item for key, item in value.items() if key in _RULE})


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def _check_fields(
    value: Mapping[str, Any], types: Mapping[str, str], path: str, complaints: list[str]
) -> None:
    _check_keys(value, types, path, complaints)
    for key, item in value.items():
        if key not in types:
            continue
        check = _integer if key == "content_length_off" else _CHECKS[types[key]]
        complaint = check(item) or _range_complaint(key, item)
        if complaint:
            complaints.append(f"{path}.{key}: {complaint}")


def _range_complaint(key: str, value: Any) -> str | None:
    if key in WORDS and not set([value] if isinstance(value, str) else value) <= set(WORDS[key]):
        return f"must be of {', '.join(WORDS[key])}"
    if key == "status" and not 200 <= value <= 599:
        return "must be from 200 to 599"
    if key == "rate" and value > 1:
        return "must be from 0 to 1"
    return "must be more than 0" if key in {"every", "split", "tokens_per_second"} and not value else None


def _check_keys(value: Mapping[str, Any], known: Mapping[str, str], path: str, complaints: list[str]) -> None:
    for key in value:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = (
                f'; did you mean "{near[0]}"?' if near else f"; known: {', '.join(sorted(known)[:12])}, ..."
            )
            complaints.append(f"{path + '.' if path else ''}{key}: unknown key{hint}")
