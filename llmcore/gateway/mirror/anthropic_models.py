"""The list of models as Anthropic's clients read it: `GET /v1/models` with the header `anthropic-version`.

The wire demands a name to show and a date: the model's own name where nobody gave another, and the epoch, which is how
Anthropic says that it does not know. Source: Anthropic's API reference and SDK 2.11.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from llmcore.gateway.mirror import read
from llmcore.types import ModelInfo

MAX_PAGE = 1000
_LAST_SECOND = 253_402_300_799
"""The end of the year 9999, the last moment that has a form."""

_LIFECYCLES = ("active", "deprecated", "retired")
_ALL: Mapping[str, str] = {}


def encode_models(models: Iterable[ModelInfo], /, query: Mapping[str, str] = _ALL) -> dict[str, Any]:
    """The page that `limit`, `after_id` or `before_id` asks for; without a limit all of them. Raises BadRequest.

    `lifecycle` chooses among them: what can be asked is active.
    """
    wanted = query.get("lifecycle[]", query.get("lifecycle", "active"))
    words = [read.a_word(word.strip(), "lifecycle", _LIFECYCLES) for word in wanted.split(",")]
    page, more = _page(list(models) if "active" in words else [], query)
    data = [encode_model(model) for model in page]
    first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    return {"data": data, "has_more": more, "first_id": first, "last_id": last}


def _page(models: Sequence[ModelInfo], query: Mapping[str, str]) -> tuple[Sequence[ModelInfo], bool]:
    """Some of the models in their order, and whether there are more in the direction that was asked for."""
    limit = _limit(query.get("limit"))
    size = len(models) if limit is None else limit
    after, before = query.get("after_id"), query.get("before_id")
    if before is None:
        rest = models if after is None else models[_place(models, after, "after_id") + 1 :]
        return rest[:size], len(rest) > size
    if after is not None:
        read.fail("before_id", "cannot be given together with after_id")
    rest = models[: _place(models, before, "before_id")]
    return rest[max(0, len(rest) - size) :], len(rest) > size


def _limit(said: str | None) -> int | None:
    if said is None:
        return None
    number = int(said) if said.isascii() and said.isdigit() and len(said) <= 9 else None
    if number is None:
        read.fail("limit", f"must be a whole number, not {said[:40]!r}", code="invalid_type")
    return read.an_integer(number, "limit", low=1, high=MAX_PAGE)


def _place(models: Sequence[ModelInfo], id_: str, param: str) -> int:
    for place, model in enumerate(models):
        if model.id == id_:
            return place
    return read.fail(param, f"there is no model {id_[:120]!r} in this list", code="invalid_value")


def encode_model(model: ModelInfo, /) -> dict[str, Any]:
    return {
        "type": "model",
        "id": model.id,
        "display_name": model.display_name or model.id,
        "created_at": datetime.fromtimestamp(min(model.created or 0, _LAST_SECOND), UTC).isoformat(),
        "lifecycle": "active",
        "max_input_tokens": model.context_window,
        "max_tokens": model.max_output_tokens,
        "capabilities": None if model.capabilities is None else _tree(model.capabilities),
    }


def _tree(names: Iterable[str]) -> dict[str, Any]:
    """Dotted names as nested objects, each of which says that it is supported."""
    tree: dict[str, Any] = {}
    for name in sorted(names):
        node, steps = tree, name.split(".")
        if "supported" in steps:
            continue
        for step in steps:
            node = node.setdefault(step, {"supported": False})
        node["supported"] = True
    return tree
