"""Errors of the OpenAI dialect: the rules that hold for all who speak it, and the shape of a vendor's own."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import evolve, field, frozen

from llmcore.errors import (
    ContentFilterError,
    ContextLengthError,
    OverloadedError,
    PermissionDeniedError,
    ProviderError,
)
from llmcore.wire.classify import ErrorFacts, generic_error_class


def _as_set(value: int | Iterable[int]) -> frozenset[int]:
    return frozenset((value,) if isinstance(value, int) else value)


def _as_words(value: str | tuple[str, ...]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else value


@frozen
class ErrorRule:
    """One vendor's rule: an error with one of these statuses, codes (or types), and words in its text is an `error`.

    What is left empty is not asked. Codes are compared in lower case, words are found in the lower-case message.
    """

    error: type[ProviderError]
    status: frozenset[int] = field(default=frozenset(), converter=_as_set)
    code: tuple[str, ...] = field(default=(), converter=_as_words)
    words: tuple[str, ...] = field(default=(), converter=_as_words)

    def fits(self, facts: ErrorFacts) -> bool:
        if self.status and facts.status not in self.status:
            return False
        if self.code and not {(facts.code or "").lower(), (facts.type or "").lower()} & set(self.code):
            return False
        return not self.words or any(word in facts.text for word in self.words)


_GENERAL = (
    ErrorRule(OverloadedError, 503, code="slow_down"),
    ErrorRule(ContextLengthError, 429, words="request too large for"),
    ErrorRule(ContentFilterError, 400, code="invalid_prompt", words=("usage polic", "safety")),
    ErrorRule(PermissionDeniedError, 401, words="must be a member of an organization"),
)


def general_error_class(facts: ErrorFacts) -> type[ProviderError] | None:
    """The dialect's own rules; None where the generic ones say enough."""
    for rule in _GENERAL:
        if rule.fits(facts):
            return rule.error
    inner = facts.error.get("innererror") or facts.error.get("inner_error")
    if isinstance(inner, dict) and str(inner.get("code")).lower() == "responsibleaipolicyviolation":
        return ContentFilterError
    if facts.status == 500 and facts.type == "invalid_request_error":
        return generic_error_class(evolve(facts, status=400))
    return None
