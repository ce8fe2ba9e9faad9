"""Google's error bodies to error classes: `{"error": {code, message, status, details[]}}`, bare or in a list.

Source: google.rpc.Code and google.rpc error details (ErrorInfo, QuotaFailure, RetryInfo).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from llmcore import errors
from llmcore.wire.classify import ErrorFacts, says_context_length
from llmcore.wire.read import as_dict, as_list, as_str

_BAD_KEY = ("api key not valid", "api key expired", "reported as leaked")
_NO_QUOTA = re.compile(r"\blimit: 0(?![.\d])")

_BY_STATUS_WORD: dict[str, type[errors.ProviderError]] = {
    "UNAUTHENTICATED": errors.AuthenticationError,
    "PERMISSION_DENIED": errors.PermissionDeniedError,
    "FAILED_PRECONDITION": errors.PermissionDeniedError,
    "NOT_FOUND": errors.ModelNotFoundError,
    "INVALID_ARGUMENT": errors.InvalidRequestError,
    "OUT_OF_RANGE": errors.InvalidRequestError,
    "UNIMPLEMENTED": errors.UnsupportedFeatureError,
    "CANCELLED": errors.ConnectionReset,
    "UNKNOWN": errors.ServerError,
    "ABORTED": errors.ServerError,
    "DATA_LOSS": errors.ServerError,
    "INTERNAL": errors.ServerError,
    "UNAVAILABLE": errors.OverloadedError,
    "DEADLINE_EXCEEDED": errors.ReadTimeout,
}
"""FAILED_PRECONDITION is how the API says that a location is not served or that billing is off."""


def reason_of(error: Mapping[str, Any]) -> str | None:
    """ErrorInfo's `reason` ("API_KEY_INVALID", "SERVICE_DISABLED"), the most exact code that Google sends."""
    found = (as_str(detail.get("reason")) for detail in _details(error))
    return next((reason for reason in found if reason), None)


def error_class(facts: ErrorFacts) -> type[errors.ProviderError] | None:
    """Google's own rules; None leaves it to the generic ones."""
    word = (facts.type or "").upper()
    if facts.code == "API_KEY_INVALID" or any(phrase in facts.text for phrase in _BAD_KEY):
        return errors.AuthenticationError
    if facts.status == 402:
        return errors.QuotaExhaustedError
    if facts.status == 429 or word == "RESOURCE_EXHAUSTED":
        return errors.QuotaExhaustedError if _is_used_up(facts) else errors.RateLimitError
    if word in {"INVALID_ARGUMENT", "OUT_OF_RANGE"} and says_context_length(facts.text):
        return errors.ContextLengthError
    return _BY_STATUS_WORD.get(word)


def _is_used_up(facts: ErrorFacts) -> bool:
    """A daily cap, a limit of nothing, or a plan without money; otherwise the limit passes by itself."""
    if facts.code == "quota_exceeded" or _NO_QUOTA.search(facts.text):
        return True
    details = list(_details(facts.error))
    for detail in details:
        limits = as_dict(detail.get("metadata"))
        if "PerDay" in str(limits.get("quota_limit")) or str(limits.get("quota_limit_value")) == "0":
            return True
        for violation in as_list(detail.get("violations")):
            if isinstance(violation, dict) and _is_daily_or_nothing(violation):
                return True
    waits = any("retryDelay" in detail for detail in details)
    return "check your plan and billing" in facts.text and not waits


def _is_daily_or_nothing(violation: Mapping[str, Any]) -> bool:
    return "PerDay" in str(violation.get("quotaId")) or str(violation.get("quotaValue")) == "0"


def _details(error: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    return (detail for detail in as_list(error.get("details")) if isinstance(detail, dict))
