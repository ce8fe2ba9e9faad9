"""A configuration's source to a plain tree: TOML read, "${VAR}" filled in, every complaint noted with its path."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Self

from llmcore.secret import Secret

DROPPED: Any = object()
"""Stands for a value that a missing variable left empty."""

_VARIABLE = re.compile(r"\$\$\{|\$\{([^{}]*)\}|\$\{")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


class Notes:
    """Collects what is wrong (errors) and what is merely odd (warnings), each "path: what; what to do"."""

    def __init__(self) -> None:
        self.errors: list[str] = []
        self.warnings: list[str] = []
        self.dropped: dict[str, str] = {}

    def error(self, path: str, what: str) -> None:
        self.errors.append(f"{path}: {what}")

    def warn(self, path: str, what: str) -> None:
        self.warnings.append(f"{path}: {what}")


class Filled(str):
    """Text that came from variables; messages show it as it was written, never what it became."""

    __slots__ = ("written",)

    written: str

    def __new__(cls, value: str, written: str) -> Self:
        self = super().__new__(cls, value)
        self.written = written
        return self


def key_path(path: str, key: str) -> str:
    """`path` one key further; keys that TOML would quote are quoted."""
    step = key if _BARE_KEY.fullmatch(key) else '"' + key.replace('"', '\\"') + '"'
    return f"{path}.{step}" if path else step


def near(word: str, known: Iterable[str]) -> str:
    """The advice behind an unknown word: the nearest known one, or all of them."""
    known = tuple(known)
    found = get_close_matches(word.lower(), known, n=1, cutoff=0.6)
    return f"did you mean {found[0]!r}?" if found else f"known are {', '.join(known)}"


# ------------------------------------------------------------------------------------------------ reading


def read_source(source: str | os.PathLike[str] | Mapping[str, Any], notes: Notes) -> Mapping[str, Any] | None:
    """The tree, or None after a complaint. Text is TOML if it has a line break or a "=", else it is a path."""
    if isinstance(source, Mapping):
        return source
    if isinstance(source, str) and is_toml(source):
        return _parsed(source, "config", notes)
    text = _read_file(Path(source), notes)
    return None if text is None else _parsed(text, str(source), notes)


def is_toml(text: str) -> bool:
    """Whether `text` is a configuration itself and not the path of one."""
    return not text.strip() or "\n" in text or "=" in text or text.lstrip().startswith("[")


def _read_file(path: Path, notes: Notes) -> str | None:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        notes.error(str(path), "there is no such file; start from the documented config.toml")
    except UnicodeDecodeError as exc:
        notes.error(str(path), f"is not UTF-8 (byte {exc.start}); save it as UTF-8")
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
        notes.error(str(path), f"cannot be read: {reason}")
    return None


def _parsed(text: str, name: str, notes: Notes) -> Mapping[str, Any] | None:
    import tomli

    try:
        return tomli.loads(text.removeprefix("\ufeff"))
    except tomli.TOMLDecodeError as exc:
        message = exc.msg[:1].lower() + exc.msg[1:]
        notes.error(f"{name}, line {exc.lineno}, column {exc.colno}", f"broken TOML: {message}")
    except RecursionError:
        notes.error(name, "broken TOML: nested too deeply")
    except ValueError:  # the interpreter's own limit of digits
        notes.error(name, "broken TOML: a number is too long")
    return None


# ------------------------------------------------------------------------------------------------ filling


MAX_DEPTH = 32


def filled(
    tree: Any, path: str, environ: Mapping[str, str], notes: Notes, *, quiet: bool = False, depth: int = 0
) -> Any:
    """`tree` with every "${VAR}" and "${VAR:-default}" filled in; "$${" stands for "${" itself.

    A variable that is unset or empty is a complaint, and its value DROPPED (`quiet`: without the complaint).
    """
    if depth > MAX_DEPTH:
        notes.error(path[:80], "is nested too deeply; make it flatter")
        return DROPPED

    def inner(item: Any, where: str) -> Any:
        return filled(item, where, environ, notes, quiet=quiet, depth=depth + 1)

    if isinstance(tree, str):
        value = _filled_text(tree, path, environ, notes, quiet=quiet)
        if value is DROPPED:
            notes.dropped[path] = tree
        return value
    if isinstance(tree, Mapping):
        pairs = [(key, inner(item, key_path(path, str(key)))) for key, item in tree.items()]
        return {key: item for key, item in pairs if item is not DROPPED}
    if isinstance(tree, (list, tuple)):
        items = [inner(item, f"{path}[{index}]") for index, item in enumerate(tree)]
        return [item for item in items if item is not DROPPED]
    return tree


def _filled_text(text: str, path: str, environ: Mapping[str, str], notes: Notes, *, quiet: bool) -> Any:
    if "${" not in text:
        return text
    complaints: list[str] = []
    value = _VARIABLE.sub(lambda found: _replacement(found, environ, complaints.append), text)
    if not quiet:
        for complaint in complaints:
            notes.error(path, complaint)
    return DROPPED if complaints else Filled(value, text)


def _replacement(found: re.Match[str], environ: Mapping[str, str], complain: Callable[[str], None]) -> str:
    inside = found.group(1)
    if found.group() == "$${":
        return "${"
    name, has_default, default = (inside or "").partition(":-")
    if not _NAME.fullmatch(name):
        complain(
            f"{found.group()[:40]!r} is no variable; write ${{NAME}}, ${{NAME:-default}}, or $${{ for the characters"
        )
        return ""
    value = environ.get(name, "")
    if not value and not has_default:
        state = "empty" if name in environ else "not set"
        complain(f"the variable {name} is {state}; set it, or write ${{{name}:-default}}")
    return value or default


def plain(value: Any) -> Any:
    """`value` with ordinary strings where variables were filled in, all the way down."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def variables_in(tree: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], tuple[str, Secret]]:
    """Every filled-in text by its path: how it was written, and what it became."""
    if isinstance(tree, Filled):
        return {path: (tree.written, Secret(str(tree)))}
    pairs: Iterable[tuple[Any, Any]] = ()
    if isinstance(tree, Mapping):
        pairs = tree.items()
    elif isinstance(tree, (list, tuple)):
        pairs = enumerate(tree)
    found: dict[tuple[str, ...], tuple[str, Secret]] = {}
    for key, item in pairs:
        found.update(variables_in(item, (*path, str(key))))
    return found
