"""Usage in the OpenAI dialect: tokens and money by the names that its imitators use."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from llmcore.types import Usage
from llmcore.wire.read import Json, as_count, as_dict


def usage_in(body: Mapping[str, Any]) -> Json:
    """The usage object: at the top, or (Groq's streams) under `x_groq`."""
    found = body.get("usage")
    return found if isinstance(found, dict) else as_dict(body.get("x_groq")).get("usage")


def usage(raw: Json) -> Usage:
    """Tokens by the names that the imitators of the dialect use.

    Source: the vendors' API references. Where prompt + completion + reasoning is the total, the vendor counts
    reasoning apart from completion tokens. A part that exceeds its whole is unknown.
    """
    if not isinstance(raw, dict):
        return Usage()
    read, written = as_dict(raw.get("prompt_tokens_details")), as_dict(raw.get("completion_tokens_details"))
    prompt = count(raw, "prompt_tokens", "input_tokens")
    output = count(raw, "completion_tokens", "output_tokens")
    reasoning = first(count(written, "reasoning_tokens"), count(raw, "reasoning_tokens"))
    if output is not None and reasoning and _apart(raw, prompt, output, reasoning):
        output += reasoning
    cached = first(
        count(read, "cached_tokens"),
        count(as_dict(raw.get("prompt_token_details")), "cached_tokens"),
        count(
            raw, "prompt_cache_hit_tokens", "num_cached_tokens", "cached_tokens", "cache_read_input_tokens"
        ),
    )
    fresh = first(count(read, "cache_write_tokens"), count(raw, "cache_creation_input_tokens"))
    return Usage(
        prompt,
        output,
        _within(cached, prompt),
        _within(fresh, prompt),
        _within(reasoning, output),
        cost(raw),
        raw,
    )


def _apart(raw: Mapping[str, Any], prompt: int | None, output: int, reasoning: int) -> bool:
    return prompt is not None and as_count(raw.get("total_tokens")) == prompt + output + reasoning


def count(raw: Mapping[str, Any], *names: str) -> int | None:
    return first(*(as_count(raw.get(name)) for name in names))


def first(*values: int | None) -> int | None:
    return next((value for value in values if value is not None), None)


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
