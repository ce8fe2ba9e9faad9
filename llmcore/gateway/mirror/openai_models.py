"""The mirror of OpenAI's list of models, with what more is known of each beside the four standard fields."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from llmcore.types import ModelInfo


def encode_models(models: Iterable[ModelInfo], /, *, created: int) -> dict[str, Any]:
    """`GET /v1/models`. created: UTC seconds, said where the vendor does not tell (clients take no null there)."""
    return {"object": "list", "data": [encode_model(model, created=created) for model in models]}


def encode_model(model: ModelInfo, /, *, created: int) -> dict[str, Any]:
    """`GET /v1/models/{id}`."""
    out: dict[str, Any] = {
        "id": model.id,
        "object": "model",
        "created": created if model.created is None else model.created,
        "owned_by": model.owned_by or model.provider or "llmcore",
    }
    more = {
        "display_name": model.display_name,
        "context_window": model.context_window,
        "max_output_tokens": model.max_output_tokens,
        "capabilities": None if model.capabilities is None else sorted(model.capabilities),
    }
    return out | {name: value for name, value in more.items() if value is not None}
