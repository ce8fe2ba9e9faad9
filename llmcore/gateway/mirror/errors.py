"""Errors as the served wires say them: one table from our classes to status, code and type in each wire's own words.

Source: the error references of the OpenAI and the Anthropic API. A provider's error keeps its meaning (a client that
is one of ours reads the same class again); its text is shown without addresses, a failed connection without any text.
"""

from __future__ import annotations

import math
import re

from attrs import frozen

from llmcore import errors as ours
from llmcore.errors import AllProvidersFailed, ProviderError
from llmcore.gateway.errors import GatewayError
from llmcore.gateway.mirror.base import ErrorAnswer, Failure
from llmcore.types import RequestWarning

INVALID = "invalid_request_error"


@frozen
class Kind:
    """How one class of errors is said: status, code and type for OpenAI; type and status (where another) for Anthropic.

    passes: whether the same request may succeed later. sentence: said in place of the provider's own text.
    lead: said before it.
    """

    status: int
    code: str
    type: str
    anthropic: str
    anthropic_status: int = 0
    passes: bool = False
    sentence: str = ""
    lead: str = ""


_CONTENT = Kind(400, "content_policy_violation", INVALID, INVALID)
_INVALID = Kind(400, "invalid_request", INVALID, INVALID)
_RATE = Kind(429, "rate_limit_exceeded", "rate_limit_error", "rate_limit_error", passes=True)
_OVERLOADED = Kind(
    503, "server_is_overloaded", "service_unavailable_error", "overloaded_error", 529, passes=True
)
_SERVER = Kind(502, "upstream_error", "server_error", "api_error", passes=True)
_TIMEOUT = Kind(504, "upstream_timeout", "timeout_error", "timeout_error", passes=True)
_UNREACHABLE = Kind(
    502,
    "upstream_unreachable",
    "server_error",
    "api_error",
    passes=True,
    sentence="The connection to the provider failed.",
)
_MALFORMED = Kind(502, "upstream_malformed", "server_error", "api_error", passes=True)
_CUT = Kind(502, "stream_interrupted", "server_error", "api_error", passes=True)
_CONTEXT = Kind(400, "context_length_exceeded", INVALID, INVALID, lead="prompt is too long: ")
_UNSUPPORTED = Kind(400, "unsupported_feature", INVALID, INVALID)
_NO_MODEL = Kind(404, "model_not_found", INVALID, "not_found_error")
_QUOTA = Kind(429, "insufficient_quota", "insufficient_quota", "billing_error", 402)
_PERMISSION = Kind(403, "permission_denied", "permission_error", "permission_error")
_AUTHENTICATION = Kind(
    401,
    "provider_authentication_error",
    "authentication_error",
    "authentication_error",
    lead="The provider refused the key that is set for it: ",
)
_ENDPOINT = Kind(
    502,
    "provider_misconfigured",
    "server_error",
    "api_error",
    sentence="The address of the provider is wrong; whoever runs this gateway must mend it.",
)

_KINDS: dict[type[ProviderError], Kind] = {
    ours.EndpointError: _ENDPOINT,
    ours.UnsupportedFeatureError: _UNSUPPORTED,
    ours.ContextLengthError: _CONTEXT,
    ours.InvalidRequestError: _INVALID,
    ours.ContentFilterError: _CONTENT,
    ours.RateLimitError: _RATE,
    ours.OverloadedError: _OVERLOADED,
    ours.PoolTimeout: _OVERLOADED,
    ours.TimeoutError: _TIMEOUT,
    ours.ConnectionError: _UNREACHABLE,
    ours.MalformedResponseError: _MALFORMED,
    ours.StreamInterruptedError: _CUT,
    ours.ServerError: _SERVER,
    ours.ModelNotFoundError: _NO_MODEL,
    ours.QuotaExhaustedError: _QUOTA,
    ours.PermissionDeniedError: _PERMISSION,
    ours.AuthenticationError: _AUTHENTICATION,
}

_TELLING = (
    *(_INVALID, _CONTENT),
    *(_RATE, _OVERLOADED, _SERVER, _TIMEOUT, _UNREACHABLE, _MALFORMED, _CUT),
    *(_CONTEXT, _UNSUPPORTED, _NO_MODEL),
    *(_QUOTA, _PERMISSION, _AUTHENTICATION, _ENDPOINT),
)
"""Which error speaks for many: what no provider would take; what passes by itself; what another request mends; the rest."""

_ANTHROPIC_BY_STATUS = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}


@frozen
class Fault:
    """One error, ready to be said in any wire. retry_after: seconds; should_retry: the header that both SDKs obey."""

    status: int
    code: str
    type: str
    message: str
    anthropic_type: str
    anthropic_status: int
    param: str | None = None
    retry_after: float | None = None
    should_retry: bool | None = None
    headers: tuple[tuple[str, str], ...] = ()


def fault_of(error: Failure) -> Fault:
    """What is said of an error, whatever the wire."""
    return _of_gateway(error) if isinstance(error, GatewayError) else _of_provider(error)


def openai_object(fault: Fault) -> dict[str, object]:
    """The object under `error` in OpenAI's wires."""
    return {"message": fault.message, "type": fault.type, "param": fault.param, "code": fault.code}


def anthropic_object(fault: Fault, request_id: str) -> dict[str, object]:
    """The whole error body of Anthropic's wire, which is the data of its `error` event too.

    `details.error_code` is a word for programs: Anthropic's SDK goes on without a thread where it says so.
    """
    return {
        "type": "error",
        "error": {
            "type": fault.anthropic_type,
            "message": fault.message,
            "details": {"error_code": fault.code},
        },
        "request_id": request_id,
    }


def openai_error(error: Failure, /, *, request_id: str) -> ErrorAnswer:
    fault = fault_of(error)
    return ErrorAnswer(
        fault.status, {"error": openai_object(fault)}, {"x-request-id": request_id, **_headers(fault)}
    )


def anthropic_error(error: Failure, /, *, request_id: str) -> ErrorAnswer:
    fault = fault_of(error)
    return ErrorAnswer(
        fault.anthropic_status,
        anthropic_object(fault, request_id),
        {"request-id": request_id, **_headers(fault)},
    )


def warnings_header(warnings: tuple[RequestWarning, ...]) -> str:
    """The value of `x-llmcore-warnings`: each once, ASCII without control characters, at most 2 KiB."""
    text = "; ".join(dict.fromkeys(map(str, warnings))).encode("ascii", "replace").decode()
    return _CONTROLS.sub(" ", text)[:2048]


_CONTROLS = re.compile(r"[\x00-\x1f\x7f]+")


def _headers(fault: Fault) -> dict[str, str]:
    found = dict(fault.headers)
    if fault.retry_after is not None and math.isfinite(fault.retry_after):
        found["retry-after"] = str(max(0, math.ceil(fault.retry_after)))
    if fault.should_retry is not None:
        found["x-should-retry"] = "true" if fault.should_retry else "false"
    return found


# ------------------------------------------------------------------------------------------------- the gateway


def _of_gateway(error: GatewayError) -> Fault:
    known = _ANTHROPIC_BY_STATUS.get(error.status)
    return Fault(
        error.status,
        error.code,
        error.type,
        error.message,
        known or (INVALID if error.status < 500 else "api_error"),
        529 if error.status == 503 else error.status,
        error.param,
        error.retry_after,
        headers=tuple(error.headers.items()),
    )


# ----------------------------------------------------------------------------------------------- the providers


def _of_provider(error: ProviderError) -> Fault:
    if isinstance(error, AllProvidersFailed):
        return _of_many(error)
    kind = kind_of(error)
    code, param = kind.code, None
    if kind is _INVALID:
        code = _plain_word(error.code) or code
        param = _param_of(error)
    return _fault(kind, _said(error, kind), error.retry_after, code, param, error.status)


def _of_many(error: AllProvidersFailed) -> Fault:
    """Every candidate failed: the most telling of their errors gives status and code, the text names them all."""
    leaves = error.leaves()
    kinds = [kind_of(leaf) for leaf in leaves]
    kind = min(kinds, key=_TELLING.index, default=_SERVER)
    each = dict.fromkeys(
        f"{leaf.provider or 'provider'}: {_said(leaf, one)}" for leaf, one in zip(leaves, kinds, strict=True)
    )
    waits = [
        leaf.retry_after
        for leaf, one in zip(leaves, kinds, strict=True)
        if one.passes and leaf.retry_after is not None
    ]
    wait = error.retry_after if error.retry_after is not None else min(waits, default=None)
    text = f"{_scrubbed(error.message) or 'every provider failed'}: {'; '.join(each)}"
    return _fault(kind, text, wait if kind.passes else None, kind.code)


def _fault(
    kind: Kind,
    message: str,
    retry_after: float | None,
    code: str,
    param: str | None = None,
    status: int | None = None,
) -> Fault:
    shown = status if kind is _INVALID and status in {413, 422} else kind.status
    return Fault(
        shown,
        code,
        kind.type,
        message[: ours.MAX_MESSAGE],
        "request_too_large" if shown == 413 else kind.anthropic,
        shown if kind is _INVALID else kind.anthropic_status or kind.status,
        param,
        retry_after,
        None if kind.passes else False,
    )


def kind_of(error: ProviderError) -> Kind:
    """The row of the error's nearest known class."""
    return next((_KINDS[cls] for cls in type(error).__mro__ if cls in _KINDS), _SERVER)


def _said(error: ProviderError, kind: Kind) -> str:
    if kind.sentence:
        return kind.sentence
    text = _scrubbed(error.message) or f"The provider answered with an error ({error.outcome})."
    return text if not kind.lead or text.lower().startswith(kind.lead.lower()) else kind.lead + text


_ADDRESS = re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s'\"<>)\]]+", re.IGNORECASE)


def _scrubbed(text: str) -> str:
    """A text without addresses: where a provider lives is the gateway's own business."""
    return _ADDRESS.sub("(address)", text)


_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")


def _plain_word(code: str | None) -> str | None:
    return code if code and _WORD.fullmatch(code) else None


_PARAM = re.compile(r"([a-z_]+(?:\[\d+\])*(?:\.[A-Za-z_]+(?:\[\d+\])*)*): ")


def _param_of(error: ProviderError) -> str | None:
    """The path at the head of a complaint of our own check ("messages[0].content: ..."), which no vendor answered."""
    found = _PARAM.match(error.message) if error.status is None else None
    return found.group(1) if found else None
