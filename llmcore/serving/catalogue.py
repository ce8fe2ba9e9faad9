"""Models that are known without asking anybody: those in the list of the `prices` extra, once that is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from llmcore.pricelist import known, price_list
from llmcore.types import ModelInfo

_VENDORS = {
    "openai_responses": "openai",
    "azure_openai": "azure",
    "gemini": "google",
    "xai": "x-ai",
}
"""Our kinds where that list has another word for the vendor."""

_NO_CHAT = ("embedding", "tts", "whisper", "transcribe", "dall-e", "moderation", "image", "realtime", "audio")


def priced_models(kind: str) -> Sequence[ModelInfo]:
    """The vendor's models that are not retired, with name and context window; () before `prices.warm` has run."""
    return () if known() is None else _listed(kind)


def priced_model(kind: str, name: str) -> ModelInfo | None:
    """The one that the list has for that name, dated names included; None where it has none, or is not loaded."""
    return None if known() is None else _found(kind, name)


@lru_cache(maxsize=4096)
def _found(kind: str, name: str) -> ModelInfo | None:
    model = price_list().find(_VENDORS.get(kind, kind), name)
    if model is None:
        return None
    return ModelInfo(name, kind, display_name=model.name, context_window=model.context_window)


@lru_cache(maxsize=64)
def _listed(kind: str) -> tuple[ModelInfo, ...]:
    return tuple(
        ModelInfo(
            model.id,
            kind,
            display_name=model.name,
            context_window=model.context_window,
            capabilities=frozenset(("embeddings",)) if "embedding" in model.id else None,
        )
        for model in price_list().vendor(_VENDORS.get(kind, kind)).models
        if not model.deprecated and not any(word in model.id for word in _NO_CHAT[1:])
    )
