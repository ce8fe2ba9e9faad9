"""OpenRouter: the OpenAI wire in front of many vendors; errors name their kind in `metadata.error_type`."""

from __future__ import annotations

from attrs import evolve

from llmcore.errors import (
    AuthenticationError,
    ContentFilterError,
    ContextLengthError,
    InvalidRequestError,
    ModelNotFoundError,
    OverloadedError,
    PermissionDeniedError,
    ProviderError,
    QuotaExhaustedError,
    RateLimitError,
    ReadTimeout,
    ServerError,
)
from llmcore.providers.place import Place
from llmcore.wire.classify import ErrorFacts
from llmcore.wire.openai import FEATURES, OpenAIWire
from llmcore.wire.openai_errors import ErrorRule
from llmcore.wire.read import as_dict, as_str

MAX_UPSTREAM = 300

_BY_TYPE: dict[str, type[ProviderError]] = {
    "context_length_exceeded": ContextLengthError,
    "max_tokens_exceeded": InvalidRequestError,
    "string_too_long": ContextLengthError,
    "token_limit_exceeded": QuotaExhaustedError,
    "payment_required": QuotaExhaustedError,
    "in_flight_budget_exhausted": RateLimitError,
    "authentication": AuthenticationError,
    "permission_denied": PermissionDeniedError,
    "rate_limit_exceeded": RateLimitError,
    "provider_overloaded": OverloadedError,
    "provider_unavailable": ServerError,
    "server": ServerError,
    "timeout": ReadTimeout,
    "invalid_request": InvalidRequestError,
    "invalid_prompt": InvalidRequestError,
    "precondition_failed": InvalidRequestError,
    "payload_too_large": InvalidRequestError,
    "unprocessable": InvalidRequestError,
    "not_found": ModelNotFoundError,
    "content_policy_violation": ContentFilterError,
    "refusal": ContentFilterError,
}
"""Source: OpenRouter's error reference. Image errors and what else may come go by their status."""

_RULES = (
    ErrorRule(ModelNotFoundError, 404, words=("no endpoints found", "is not a valid model")),
    ErrorRule(ModelNotFoundError, 400, words="is not a valid model"),
    ErrorRule(PermissionDeniedError, 404, words="no allowed providers"),
    ErrorRule(RateLimitError, 402, words="in_flight_budget_exhausted"),
)


class OpenRouterWire(OpenAIWire):
    """Errors are read by `metadata` first, and told with the upstream vendor's own words."""

    def error_class(self, facts: ErrorFacts) -> type[ProviderError] | None:
        metadata = as_dict(facts.error.get("metadata"))
        for word in (metadata.get("reason"), metadata.get("error_type"), facts.type, facts.code):
            if isinstance(word, str) and (cls := _BY_TYPE.get(word)):
                return cls
        if facts.status == 403 and (
            metadata.get("reasons") or "violat" in str(metadata.get("raw", "")).lower()
        ):
            return ContentFilterError
        return super().error_class(facts)

    def make_error(self, facts: ErrorFacts) -> ProviderError:
        upstream = as_str(as_dict(facts.error.get("metadata")).get("raw"))
        if upstream is not None:
            facts = evolve(facts, message=f"{facts.message}: {upstream[:MAX_UPSTREAM]}")
        return super().make_error(facts)


PLACE = Place(
    kind="openrouter",
    title="OpenRouter",
    wire=OpenRouterWire(
        origin="openrouter",
        features=FEATURES | {"files", "file_urls", "audio", "refusal"},
        reasoning="nested",
        rules=_RULES,
    ),
    base_url="https://openrouter.ai/api/v1",
    key_env=("OPENROUTER_API_KEY",),
)
