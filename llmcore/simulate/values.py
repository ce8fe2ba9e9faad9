"""Readers of single values of a scenario: times, shapes, ways to fail. Each returns the value, or complains and returns BAD."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from attrs import evolve

from llmcore.loader.rules import BAD, Reader, number, plain_text, shown, table
from llmcore.loader.text import Notes, near
from llmcore.simulate.shapes import Constant, LogNormal, Measured, Mixture, Shape, Slow, Uniform
from llmcore.simulate.ways import WAYS, Way

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_PIECE = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)\s*")

SHARE: Reader = number(0, 1)
_SHAPE_KEYS = ("constant", "uniform", "median", "p95", "mixture", "measured", "slow", "share")
_SHAPE_HINT = "write a number, { median = 0.4, p95 = 1.2 }, { uniform = [0.2, 0.6] } or { mixture = [...] }"


def in_seconds(text: str) -> float | None:
    """Seconds of a text such as "90s", "1h30m", "250ms" or "7d"; None where it is none."""
    total, end = 0.0, 0
    for piece in _PIECE.finditer(text.strip()):
        if piece.start() != end:
            return None
        total, end = total + float(piece[1]) * _UNITS[piece[2]], piece.end()
    return total if end and end == len(text.strip()) else None


def duration(*, above: bool = False) -> Reader:
    """Seconds as a number, or a text with units."""
    plain = number(above=above)

    def read(value: Any, path: str, notes: Notes) -> Any:
        if isinstance(value, str):
            if (seconds := in_seconds(value)) is None:
                notes.error(
                    path, f'{shown(value)} is no duration; write seconds, or a text such as "90s" or "1h30m"'
                )
                return BAD
            value = seconds
        return plain(value, path, notes)

    return read


# ------------------------------------------------------------------------------------------------- shapes


def shape(amount: Reader) -> Reader:
    """A distribution of amounts that `amount` reads; a plain amount is a constant."""

    def read(value: Any, path: str, notes: Notes) -> Any:
        if not isinstance(value, Mapping):
            if isinstance(value, (list, tuple, bool)):
                notes.error(path, f"must be a distribution, not {shown(value)}; {_SHAPE_HINT}")
                return BAD
            found = amount(value, path, notes)
            return BAD if found is BAD else Constant(found)
        readers: dict[str, Reader] = {
            "constant": amount,
            "uniform": _pair(amount),
            "median": amount,
            "p95": amount,
            "mixture": _parts(read),
            "measured": _several(amount),
            "slow": _slow,
            "share": SHARE,
        }
        good = table(value, path, notes, readers, {"lognormal": "median", "mean": "median"})
        if good is None or len(good) < len(value):
            return BAD
        found = _made(good, path, notes)
        slow = good.get("slow")
        return found if found is BAD or slow is None else Slow(found, *slow)

    return read


def _made(good: Mapping[str, Any], path: str, notes: Notes) -> Any:
    kinds = [key for key in ("constant", "uniform", "median", "mixture", "measured") if key in good]
    if len(kinds) != 1:
        notes.error(path, f"must be one distribution; {_SHAPE_HINT}")
    elif ("p95" in good) != (kinds == ["median"]):
        notes.error(path, "median and p95 belong together")
    elif kinds == ["median"]:
        if 0 < good["median"] <= good["p95"]:
            return LogNormal(good["median"], good["p95"])
        notes.error(path, "p95 must be at least median, and median above 0")
    elif kinds == ["uniform"]:
        return Uniform(*good["uniform"])
    elif kinds == ["constant"]:
        return Constant(good["constant"])
    elif kinds == ["measured"]:
        return Measured(good["measured"])
    else:
        return Mixture(good["mixture"])
    return BAD


def _pair(amount: Reader) -> Reader:
    def read(value: Any, path: str, notes: Notes) -> Any:
        if not isinstance(value, (list, tuple)) or len(value) != 2:
            notes.error(path, f"must be [lowest, highest], not {shown(value)}")
            return BAD
        low, high = (amount(item, f"{path}[{index}]", notes) for index, item in enumerate(value))
        if low is BAD or high is BAD:
            return BAD
        if low > high:
            notes.error(path, "the lowest stands above the highest; turn them round")
            return BAD
        return low, high

    return read


def _several(amount: Reader) -> Reader:
    def read(value: Any, path: str, notes: Notes) -> Any:
        if not isinstance(value, (list, tuple)) or not value:
            notes.error(path, f"must be a list of figures, not {shown(value)}")
            return BAD
        items = tuple(amount(item, f"{path}[{index}]", notes) for index, item in enumerate(value))
        return BAD if any(item is BAD for item in items) else items

    return read


def _parts(inner: Reader) -> Reader:
    def read(value: Any, path: str, notes: Notes) -> Any:
        if not isinstance(value, (list, tuple)) or not value:
            notes.error(path, f"must be a list of distributions, each with its share, not {shown(value)}")
            return BAD
        found: list[tuple[float, Shape]] = []
        for index, item in enumerate(value):
            where = f"{path}[{index}]"
            shaped = inner(item, where, notes)
            share = item.get("share") if isinstance(item, Mapping) else None
            if share is None or not share:
                notes.error(where, "has no share; write { share = 0.02, median = 4.0, p95 = 9.0 }")
            elif shaped is not BAD:
                found.append((float(share), shaped))
        return tuple(found) if len(found) == len(value) else BAD

    return read


def _slow(value: Any, path: str, notes: Notes) -> Any:
    good = table(value, path, notes, {"share": SHARE, "times": number(above=True)}, {"factor": "times"})
    if good is None or len(good) < len(value):
        return BAD
    if len(good) < 2 or not 0 < good["share"] < 1:
        notes.error(path, "needs both; write { share = 0.02, times = 10 }")
        return BAD
    return good["share"], good["times"]


# --------------------------------------------------------------------------------------------------- ways


def way(value: Any, path: str, notes: Notes) -> Any:
    """A way to fail by its word, its status, or the name of its class of error."""
    word = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    word = plain_text(word, path, notes)
    if word is BAD:
        return BAD
    if word not in WAYS:
        hint = near(word, WAYS)
        notes.error(path, f"{word[:40]!r} is no way to fail; {hint}")
        return BAD
    return WAYS[word]


def errors(value: Any, path: str, notes: Notes) -> Any:
    """`{ ServerError = 0.01, "429" = { rate = 0.02, retry_after = 5 } }` as pairs of rate and way."""
    if not isinstance(value, Mapping):
        notes.error(path, f"must be a table, not {shown(value)}; write {{ ServerError = 0.01 }}")
        return BAD
    found: list[tuple[float, Way]] = []
    for word, item in value.items():
        where = f"{path}.{word}"
        failing = way(word, where, notes)
        given = item if isinstance(item, Mapping) else {"rate": item}
        good = table(given, where, notes, {"rate": SHARE, **TIMING}, {"share": "rate"})
        if failing is BAD or good is None or len(good) < len(given):
            continue
        if "rate" not in good:
            notes.error(where, "has no rate; write { rate = 0.01 }")
            continue
        found.append((good.pop("rate"), evolve(failing, **good)))
    if sum(rate for rate, _ in found) > 1:
        notes.error(path, "the rates add up to more than 1")
        return BAD
    return tuple(found) if len(found) == len(value) else BAD


TIMING: dict[str, Reader] = {"after": duration(), "retry_after": duration()}
"""When a failure shows, and what wait the vendor asks for."""
