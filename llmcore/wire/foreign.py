"""Extra fields of a dialect that another one would refuse: a request may go to several vendors, its `extra` is meant for one.

Source: the OpenAI API reference (chat completions); which other APIs know the same names, from their own references.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmcore.types import Reasoning, Thinking
from llmcore.wire.base import Warnings

CHAT_COMPLETIONS: frozenset[str] = frozenset(
    {
        "audio",
        "frequency_penalty",
        "function_call",
        "functions",
        "logit_bias",
        "logprobs",
        "metadata",
        "modalities",
        "moderation",
        "n",
        "prediction",
        "presence_penalty",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "safety_identifier",
        "service_tier",
        "store",
        "stream_options",
        "top_logprobs",
        "user",
        "verbosity",
        "web_search_options",
    }
)
"""What OpenAI's chat completions know beside the fields that `GenerationRequest` has itself."""

TO_ANTHROPIC: frozenset[str] = CHAT_COMPLETIONS - {"metadata", "service_tier"}
TO_GEMINI: frozenset[str] = CHAT_COMPLETIONS
TO_COHERE: frozenset[str] = CHAT_COMPLETIONS - {"frequency_penalty", "presence_penalty", "logprobs"}
TO_OLLAMA: frozenset[str] = CHAT_COMPLETIONS - {
    "frequency_penalty",
    "presence_penalty",
    "logprobs",
    "top_logprobs",
}
TO_RESPONSES: frozenset[str] = CHAT_COMPLETIONS - {
    "metadata",
    "moderation",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "store",
    "stream_options",
    "top_logprobs",
    "user",
    "verbosity",
}


def native(extra: Mapping[str, Any], foreign: frozenset[str], warnings: Warnings) -> Mapping[str, Any]:
    """`extra` without the names in `foreign`; each of them becomes a warning."""
    if foreign.isdisjoint(extra):
        return extra
    for name in sorted(foreign.intersection(extra)):
        warnings.dropped(f"extra.{name}", extra[name], "a field of chat completions; not sent")
    return {name: value for name, value in extra.items() if name not in foreign}


def not_adaptive(reasoning: Reasoning, warnings: Warnings) -> None:
    """Adaptive thinking without a word of effort, for dialects that cannot ask for it."""
    if reasoning.adaptive:
        warnings.changed("reasoning.adaptive", "whether it thinks is left to the model's own default")


def not_thought_here(part: Thinking, origin: str, warnings: Warnings) -> None:
    """Reasoning that another vendor's model wrote or sealed: only its own vendor can read it. Told once."""
    if part.origin is None or part.origin == origin:
        return
    told = f"reasoning of {part.origin[:40]!r} means nothing to this provider; not sent"
    if all(one.message != told for one in warnings.items):
        warnings.changed("messages.thinking", told)
