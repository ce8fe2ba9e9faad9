"""The list of models as Anthropic's clients read it: `GET /v1/models` with the header `anthropic-version`.

The wire demands a name to show and a date: the model's own name where nobody gave another, and the epoch, which is how
Anthropic says that it does not know. Source: Anthropic's API reference and SDK 2.11.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from llmcore.types import ModelInfo

_LAST_SECOND = 253_402_300_799
"""The end of the year 9999, the last moment that has a form."""


def encode_models(models: Iterable[ModelInfo], /) -> dict[str, Any]:
    """All of them, on one page."""
    data = [encode_model(model) for model in models]
    first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    return {"data": data, "has_more": False, "first_id": first, "last_id": last}


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
