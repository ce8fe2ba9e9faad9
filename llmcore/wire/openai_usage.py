"""Usage in the OpenAI dialect: tokens and money by the names that its imitators use."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from llmcore.types import Usage
from llmcore.types.responses import NO_USAGE
from llmcore.wire.read import Json, as_count, as_dict


def usage_in(body: Mapping[str, Any]) -> Json:
    """The usage object: at the top, or (Groq's streams) under `x_groq`."""
    found = body.get("usage")
    return found if isinstance(found, dict) else as_dict(body.get("x_groq")).get("usage")


_STANDARD = frozenset(
    {
        "prompt_tokens",
        "completion_tokens",
        "total_tokens",
        "prompt_tokens_details",
        "completion_tokens_details",
    }
)
"""What the dialect's inventor says; other names are looked for only where there are others."""


def usage(raw: Json) -> Usage:
    """Tokens by the names that the imitators of the dialect use.

    Source: the vendors' API references. Where prompt + completion + reasoning is the total, the vendor counts
    reasoning apart from completion tokens. A part that exceeds its whole is unknown.
    """
    if not isinstance(raw, dict):
        return NO_USAGE
    prompt = count(raw, "prompt_tokens", "input_tokens")
    output = count(raw, "completion_tokens", "output_tokens")
    cached = fresh = reasoning = dollars = None
    if read := as_dict(raw.get("prompt_tokens_details")):
        cached, fresh = count(read, "cached_tokens"), count(read, "cache_write_tokens")
    if written := as_dict(raw.get("completion_tokens_details")):
        reasoning = count(written, "reasoning_tokens")
    if not _STANDARD.issuperset(raw):
        cached = first(cached, _cached_elsewhere(raw))
        fresh = first(fresh, count(raw, "cache_creation_input_tokens"))
        reasoning = first(reasoning, count(raw, "reasoning_tokens"))
        dollars = cost(raw)
    if output is not None and reasoning and _apart(raw, prompt, output, reasoning):
        output += reasoning
    return Usage(
        prompt,
        output,
        _within(cached, prompt),
        _within(fresh, prompt),
        _within(reasoning, output),
        dollars,
        raw,
    )


def _cached_elsewhere(raw: Mapping[str, Any]) -> int | None:
    return first(
        count(as_dict(raw.get("prompt_token_details")), "cached_tokens"),
        count(
            raw, "prompt_cache_hit_tokens", "num_cached_tokens", "cached_tokens", "cache_read_input_tokens"
        ),
    )


def _apart(raw: Mapping[str, Any], prompt: int | None, output: int, reasoning: int) -> bool:
    return prompt is not None and as_count(raw.get("total_tokens")) == prompt + output + reasoning


def count(raw: Mapping[str, Any], *names: str) -> int | None:
    """The first of the fields that holds a count."""
    for name in names:
        if (value := as_count(raw.get(name))) is not None:
            return value
    return None


def first(*values: int | None) -> int | None:
    for value in values:
        if value is not None:
            return value
    return None


def _within(part: int | None, whole: int | None) -> int | None:
    return None if part is not None and whole is not None and part > whole else part


def cost(raw: Mapping[str, Any]) -> Decimal | None:
    """US dollars: `cost` (OpenRouter, Vercel), `cost.total_cost` (Perplexity), 10**10 `cost_in_usd_ticks` a dollar (xAI)."""
    told = raw.get("cost")
    if (found := _money(as_dict(told).get("total_cost") if isinstance(told, dict) else told)) is not None:
        return found
    ticks = as_count(raw.get("cost_in_usd_ticks"))
    return None if ticks is None else Decimal(ticks).scaleb(-10)


def _money(value: Json) -> Decimal | None:
    if not isinstance(value, (int, float, str)) or isinstance(value, bool):
        return None
    try:
        found = Decimal(str(value)[:40])
    except InvalidOperation:
        return None
    return found if found.is_finite() and found >= 0 else None
