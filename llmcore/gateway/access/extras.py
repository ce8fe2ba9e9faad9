"""Which fields beside the documented ones a request may hand on to a provider: none by which a key would get round its bounds."""

from __future__ import annotations

from collections.abc import Iterable

from llmcore.gateway.errors import BadRequest, Forbidden

NOT_BY_REQUEST = frozenset(
    (
        *("model", "models", "version", "deployment", "route", "provider", "preset", "plugins", "fallbacks"),
        *("messages", "contents", "input", "prompt", "system", "webhook", "webhook_events_filter"),
    )
)
"""Fields with which some vendor would let another model answer, or call an address: not over a key of the system's."""

HARMLESS = frozenset(
    (
        *("frequency_penalty", "presence_penalty", "logit_bias", "modalities", "audio", "prediction"),
        *("service_tier", "store", "metadata", "verbosity", "web_search_options", "safety_identifier"),
        *("prompt_cache_key", "prompt_cache_retention", "prompt_cache_options"),
        *("top_k", "top_a", "min_p", "typical_p", "repetition_penalty", "repeat_penalty"),
        *("user", "input_type", "truncate", "title", "task_type"),
    )
)
"""Fields that no vendor takes for a model, nor for the length of an answer."""


def check_handed_on(names: Iterable[str]) -> None:
    """What goes out over a key of the system's. Raises BadRequest."""
    for name in names:
        if name in NOT_BY_REQUEST:
            raise BadRequest(
                f"{name[:60]}: cannot be handed on to a provider here",
                param=name[:60],
                code="unsupported_parameter",
            )


def check_bounded(names: Iterable[str]) -> None:
    """What a key with a bound (models, length of an answer) may send: vendors' fields are many and change, so only those
    that are known to choose neither. Raises Forbidden.
    """
    for name in names:
        if name not in HARMLESS:
            raise Forbidden(
                f"{name[:60]}: this key is bound to some models or lengths of answers, and a provider may take this "
                "field for another; leave it out, or ask with a key without such a bound",
                param=name[:60],
                code="parameter_not_allowed",
            )
