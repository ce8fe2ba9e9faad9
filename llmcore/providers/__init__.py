"""Where to talk and who we are. `find(kind)` also asks the entry points in group `llmcore.providers`."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import entry_points

from llmcore.errors import ConfigurationError
from llmcore.providers.place import Place

GROUP = "llmcore.providers"

_FILES = (
    "anthropic",
    "azure_openai",
    "cohere",
    "deepseek",
    "gemini",
    "groq",
    "huggingface",
    "mistral",
    "ollama",
    "openai",
    "openai_responses",
    "openrouter",
    "perplexity",
    "replicate",
    "xai",
)
"""Kinds that have a file of their own; every other kind is a row of `table.py`."""

_FILE_ALIASES = {"azure": "azure_openai", "google": "gemini"}
"""The aliases of those places, said here so that finding one kind imports one file; a test compares them."""


def kinds() -> tuple[str, ...]:
    """Every known kind and alias, those of entry points included, sorted."""
    return tuple(sorted({*_names(), *(entry.name for entry in entry_points(group=GROUP))}))


def places() -> tuple[Place, ...]:
    """Every known place, sorted by kind, each once; those of entry points included."""
    found = {
        place.kind: place
        for place in (*_own(), *(_loaded(entry.name) for entry in entry_points(group=GROUP)))
    }
    return tuple(found[kind] for kind in sorted(found))


def find(kind: str) -> Place:
    """The place of that kind or alias. Raises ConfigurationError with the nearest names."""
    if (name := _names().get(kind)) is not None:
        return _place(name)
    if any(entry.name == kind for entry in entry_points(group=GROUP)):
        return _loaded(kind)
    near = get_close_matches(kind, kinds(), n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(kinds())}"
    raise ConfigurationError(f"provider: there is no kind {kind!r}; {hint}")


def _names() -> dict[str, str]:
    """Kinds and aliases, each to its kind."""
    names = {name: name for name in _FILES} | _FILE_ALIASES
    for row in _rows():
        names.update(dict.fromkeys((row.kind, *row.aliases), row.kind))
    return names


def _rows() -> tuple[Place, ...]:
    from llmcore.providers.table import ROWS

    return ROWS


def _own() -> list[Place]:
    return [_place(kind) for kind in {*_names().values()}]


def _place(kind: str) -> Place:
    for row in _rows():
        if row.kind == kind:
            return row
    place: Place = import_module(f"llmcore.providers.{kind}").PLACE
    return place


def _loaded(name: str) -> Place:
    found = {entry for entry in entry_points(group=GROUP) if entry.name == name}
    if len(found) > 1:
        raise ConfigurationError(f"entry point {GROUP}:{name} is claimed by more than one package")
    try:
        place = found.pop().load()
    except (ImportError, AttributeError) as exc:
        raise ConfigurationError(f"entry point {GROUP}:{name} cannot be loaded: {exc}") from exc
    if not isinstance(place, Place):
        raise ConfigurationError(f"entry point {GROUP}:{name} is a {type(place).__name__}, not a Place")
    return place
