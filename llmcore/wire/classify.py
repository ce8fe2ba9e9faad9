"""Any status, headers and body to facts, and facts to one error class: the rules that hold for every vendor.

Order of evidence: machine code in the body, then its type, then the HTTP status, then (only in a vendor's own
`error_class`, or for the context-length phrases) the words. A number inside a message is never read as a status.
Classification is total: no input raises.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from html import unescape
from typing import Any

from attrs import evolve, field, frozen

from llmcore import errors
from llmcore.wire.limits import duration, exhausted_for, http_date, number

MAX_READ = 64 * 1024


_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def _without_controls(text: str) -> str:
    """A vendor's text as it may be shown on a terminal."""
    return _CONTROLS.sub("", text)


@frozen
class ErrorFacts:
    """What an error answer says, whatever its shape. `error` is the innermost error object, `body` the whole.

    page: it is an HTML page, so whoever wrote it is hardly the vendor's API.
    """

    status: int
    headers: Mapping[str, str]
    code: str | None = None
    type: str | None = None
    message: str = field(default="", converter=_without_controls)
    request_id: str | None = None
    error: Mapping[str, Any] = field(factory=dict)
    body: Any = None
    page: bool = False

    @property
    def text(self) -> str:
        """The message in lower case, for a vendor's own phrase rules."""
        return self.message.lower()

    @property
    def should_retry(self) -> bool | None:
        """`x-should-retry`, which overrides the class's `retryable`."""
        return {"true": True, "false": False}.get(self.headers.get("x-should-retry", "").lower())


def read_error(status: int, headers: Mapping[str, str], body: bytes) -> ErrorFacts:
    """The facts of an error answer of any shape; HTML gives its title, other text its beginning."""
    try:
        value = json.loads(body[: MAX_READ * 16]) if body.strip() else None
    except (ValueError, RecursionError):
        value = None
        text = body[:MAX_READ].decode("utf-8", "replace").strip()
        return ErrorFacts(
            status, headers, message=_plain(text) or _default_message(status), page=text[:1] == "<"
        )
    return facts_of(value, status, headers)


def facts_of(value: Any, status: int, headers: Mapping[str, str] | None = None) -> ErrorFacts:
    """The facts of a decoded error body, also of one found inside a 200 or a stream."""
    facts = ErrorFacts(status, headers or {}, body=value)
    if isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, str):
        return evolve(facts, message=value[: errors.MAX_MESSAGE])
    if not isinstance(value, dict):
        return evolve(facts, message=_default_message(status))
    error = value.get("error")
    if isinstance(error, list) and error:
        error = error[0]
    inner: Mapping[str, Any] = error if isinstance(error, dict) else value
    if isinstance(inner.get("error"), dict):  # one wrapper more, as proxies like to add
        inner = inner["error"]
    message = error if isinstance(error, str) else _message(inner)
    if not message and inner is not value:
        message = _message(value)
    return evolve(
        facts,
        error=inner,
        code=_word(inner.get("code")) or _word(value.get("code")),
        type=_word(inner.get("type"))
        or _word(inner.get("status"))
        or (_word(value.get("type")) if inner is value else None),
        message=(message or _default_message(status))[: errors.MAX_MESSAGE],
        request_id=_word(value.get("request_id")),
    )


def status_in_body(facts: ErrorFacts) -> int:
    """The status of an error that came inside a 200: its integer code if that is one, else 500."""
    for key in ("code", "status", "status_code", "http_code"):
        value = facts.error.get(key)
        if isinstance(value, str) and value.isdigit():
            value = int(value)
        if isinstance(value, int) and 400 <= value <= 599:
            return value
    return 500


# --------------------------------------------------------------------------------------------- generic rules

_CONTEXT_PHRASES = (
    "maximum context length",
    "context_length_exceeded",
    "exceed context limit",
    "prompt is too long",
    "prompt too long",
    "max context length",
    "input is too long",
    "exceeds the maximum number of tokens allowed",
    "exceeds the available context size",
    "exceed_context_size",
    "input length exceeds the context length",
    "longer than the context length",
    "too many tokens",
    "input tokens exceed the configured limit",
    "exceeds the context window",
)
_CONTEXT_PAIRS = (
    ("current length is", "while limit is"),
    ("maximum input length is", "tokens"),
    ("`inputs` tokens + `max_new_tokens` must be", ""),
)

_BY_CODE: dict[str, type[errors.ProviderError]] = {
    "context_length_exceeded": errors.ContextLengthError,
    "exceed_context_size_error": errors.ContextLengthError,
    "string_too_long": errors.ContextLengthError,
    "model_not_found": errors.ModelNotFoundError,
    "model_not_supported": errors.ModelNotFoundError,
    "deploymentnotfound": errors.ModelNotFoundError,
    "invalid_api_key": errors.AuthenticationError,
    "insufficient_quota": errors.QuotaExhaustedError,
    "credit_balance_exhausted": errors.QuotaExhaustedError,
    "organization_spend_limit_exceeded": errors.QuotaExhaustedError,
    "project_spend_limit_exceeded": errors.QuotaExhaustedError,
    "organization_usage_limit_exceeded": errors.QuotaExhaustedError,
    "billing_hard_limit_reached": errors.QuotaExhaustedError,
    "billing_not_active": errors.QuotaExhaustedError,
    "content_filter": errors.ContentFilterError,
    "content_policy_violation": errors.ContentFilterError,
    "moderation_blocked": errors.ContentFilterError,
    "server_is_overloaded": errors.OverloadedError,
    "rate_limit_exceeded": errors.RateLimitError,
    "unsupported_country_region_territory": errors.PermissionDeniedError,
    "insufficient_quota_error": errors.QuotaExhaustedError,
    "tool_use_failed": errors.GenerationFailedError,
    "json_validate_failed": errors.GenerationFailedError,
    "slow_down": errors.RateLimitError,
    "model_decommissioned": errors.ModelNotFoundError,
    "invalid_model": errors.ModelNotFoundError,
    "not_found_error": errors.ModelNotFoundError,
    "too_many_prompt_tokens": errors.ContextLengthError,
    "ip_not_authorized": errors.PermissionDeniedError,
    "unsupported_parameter": errors.InvalidRequestError,
    "unsupported_value": errors.InvalidRequestError,
    "authentication_error": errors.AuthenticationError,
    "permission_error": errors.PermissionDeniedError,
    "rate_limit_error": errors.RateLimitError,
    "overloaded_error": errors.OverloadedError,
}

_BY_STATUS: dict[int, type[errors.ProviderError]] = {
    400: errors.InvalidRequestError,
    401: errors.AuthenticationError,
    402: errors.QuotaExhaustedError,
    403: errors.PermissionDeniedError,
    405: errors.EndpointError,
    407: errors.ConnectionRefused,
    408: errors.ReadTimeout,
    409: errors.ServerError,
    421: errors.EndpointError,
    425: errors.RateLimitError,
    426: errors.EndpointError,
    429: errors.RateLimitError,
    495: errors.EndpointError,
    496: errors.EndpointError,
    497: errors.EndpointError,
    498: errors.OverloadedError,
    499: errors.ConnectionReset,
    501: errors.UnsupportedFeatureError,
    503: errors.OverloadedError,
    504: errors.ReadTimeout,
    524: errors.ReadTimeout,
    529: errors.OverloadedError,
}
"""405, 421, 426 and nginx's 495 to 497 (client certificates, plain HTTP on a TLS port) speak of the address, not of the request."""

_GONE = {404, 410}
"""Nothing is there: the model, where it is spoken of, else the address."""

TOO_LARGE = 413

_OWN_PAGES = {TOO_LARGE, 451}
"""What a vendor's own edge says of a request in HTML; any other page with a refusal comes from a wrong address or a proxy."""


def says_context_length(text: str) -> bool:
    """Whether `text` (lower case) is one of the known ways to say that the prompt does not fit."""
    return any(phrase in text for phrase in _CONTEXT_PHRASES) or any(
        a in text and b in text for a, b in _CONTEXT_PAIRS
    )


def generic_error_class(facts: ErrorFacts) -> type[errors.ProviderError]:
    """The class by machine code, then type, then context phrases, then status. Total."""
    if facts.status < 400:
        if facts.status >= 300:
            return errors.InvalidRequestError
        return errors.MalformedResponseError
    for word in (facts.code, facts.type):
        if word and (cls := _BY_CODE.get(word.lower())):
            return cls
    if (
        facts.status in {400, 413, 422}
        and facts.code != "string_above_max_length"
        and says_context_length(facts.text)
    ):
        return errors.ContextLengthError
    if facts.status in _GONE:
        return (
            errors.ModelNotFoundError
            if "model" in f"{facts.text} {facts.code} {facts.type}".lower()
            else errors.EndpointError
        )
    if facts.status >= 500:
        return _BY_STATUS.get(facts.status, errors.ServerError)
    cls = _BY_STATUS.get(facts.status, errors.InvalidRequestError)
    by_another = cls is errors.InvalidRequestError and facts.page and facts.status not in _OWN_PAGES
    return errors.EndpointError if by_another else cls


# ----------------------------------------------------------------------------------------------- retry-after

_TEXT_WAIT = re.compile(
    r"(?:try again in|retry in|retry after|resets in|wait)\s+(?:about\s+)?~?((?:\d+(?:\.\d+)?\s?(?:ms|s|m|h|d)(?![a-z]))+|\d+(?:\.\d+)?(?=\s*(?:sec|second)))",
    re.IGNORECASE,
)


def retry_after(facts: ErrorFacts, *, text_hints: bool = False) -> float | None:
    """Seconds to wait, by the first valid hint: ms header, seconds or HTTP-date header, RetryInfo, reset headers, text.

    NaN, negative and infinite values are no hint; a date in the past is 0; of several headers the longest wait counts.
    """
    headers = facts.headers
    if (value := _longest(headers.get("retry-after-ms"))) is not None:
        return value / 1000
    if (header := headers.get("retry-after")) is not None:
        value = _longest(header)
        if value is None:
            value = _until_date(header, headers.get("date"))
        if value is not None:
            return value
    if (value := _retry_info(facts)) is not None:
        return value
    if facts.status == 429 and (value := exhausted_for(headers)) is not None:
        return value
    if text_hints and (match := _TEXT_WAIT.search(facts.message)):
        found = match.group(1)
        value = number(found)
        return duration(found) if value is None else value
    return None


def _longest(text: str | None) -> float | None:
    """The largest number in a header that may have come more than once, joined by commas."""
    found = [number(part) for part in text.split(",")] if text else []
    return max((value for value in found if value is not None), default=None)


def _until_date(text: str, date: str | None) -> float | None:
    """Seconds from the answer's own Date header to `text`; without that header no clock is at hand, so unknown."""
    then, now = http_date(text), http_date(date)
    return None if then is None or now is None else max(0.0, then - now)


def _retry_info(facts: ErrorFacts) -> float | None:
    """Google's RetryInfo detail: {"@type": ".../google.rpc.RetryInfo", "retryDelay": "34.07s"}."""
    details = facts.error.get("details")
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict) and isinstance(detail.get("retryDelay"), str):
            return duration(detail["retryDelay"])
    return None


# --------------------------------------------------------------------------------------------------- shapes

_TITLE = re.compile(r"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)


def _message(value: Mapping[str, Any]) -> str:
    for key in ("message", "detail", "error", "error_message", "title", "msg"):
        found = value.get(key)
        if isinstance(found, str) and found:
            return found
        if isinstance(found, list) and found:
            return "; ".join(_complaint(item) for item in found[:8])
        if isinstance(found, dict) and found:
            return _message(found)
    return ""


def _complaint(item: Any) -> str:
    if not isinstance(item, dict):
        return str(item)
    path = (
        ".".join(str(step) for step in item.get("loc", ()) or ()) if isinstance(item.get("loc"), list) else ""
    )
    text = str(item.get("msg") or item.get("message") or item.get("type") or "")
    return f"{path}: {text}" if path else text


def _word(value: Any) -> str | None:
    if isinstance(value, bool) or value is None:
        return None
    return str(value)[:200] if isinstance(value, (str, int)) and value != "" else None


def _plain(text: str) -> str:
    if text[:1] == "<":
        match = _TITLE.search(text)
        return " ".join(unescape(match.group(1)).split())[:200] if match else "an HTML page"
    return text[: errors.MAX_MESSAGE]


def _default_message(status: int) -> str:
    return f"the provider answered {status} without saying why"
