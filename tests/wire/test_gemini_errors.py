"""Google's errors: one synthetic body for each rule, to class, code and wait."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmcore import errors
from llmcore.wire.gemini import GeminiWire

WIRE = GeminiWire()
RPC = "type.googleapis.com/google.rpc."


def info(reason: str, **metadata: str) -> dict[str, Any]:
    return {"@type": RPC + "ErrorInfo", "reason": reason, "domain": "googleapis.com", "metadata": metadata}


def wait(text: str) -> dict[str, Any]:
    return {"@type": RPC + "RetryInfo", "retryDelay": text}


def quota(*violations: dict[str, str]) -> dict[str, Any]:
    return {"@type": RPC + "QuotaFailure", "violations": list(violations)}


def error(status: int, word: str, message: str = "no", *details: Any) -> errors.ProviderError:
    value = {"error": {"code": status, "message": message, "status": word, "details": list(details)}}
    plain = WIRE.decode_error(status, {}, json.dumps(value).encode())
    wrapped = WIRE.decode_error(status, {}, json.dumps([value], indent=2).encode())
    assert (type(plain), plain.code, plain.retry_after) == (type(wrapped), wrapped.code, wrapped.retry_after)
    assert (plain.status, plain.type) == (status, word)
    return plain


PER_MINUTE = {"quotaId": "GenerateRequestsPerMinutePerProjectPerModel-FreeTier", "quotaValue": "10"}
PER_DAY = {"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier", "quotaValue": "50"}
NOTHING = {"quotaId": "GenerateContentInputTokensPerModelPerMinute-FreeTier", "quotaValue": "0"}
TOO_LONG = "The input token count (2000000) exceeds the maximum number of tokens allowed (1048576)."
BILLING = "You exceeded your current quota, please check your plan and billing details."


@pytest.mark.parametrize(
    ("given", "expected", "code", "retry_after"),
    [
        ((400, "INVALID_ARGUMENT"), errors.InvalidRequestError, "400", None),
        (
            (400, "INVALID_ARGUMENT", "bad", info("API_KEY_INVALID")),
            errors.AuthenticationError,
            "API_KEY_INVALID",
            None,
        ),
        (
            (400, "INVALID_ARGUMENT", "API key not valid. Pass another."),
            errors.AuthenticationError,
            "400",
            None,
        ),
        ((400, "INVALID_ARGUMENT", "API key expired."), errors.AuthenticationError, "400", None),
        ((400, "INVALID_ARGUMENT", TOO_LONG), errors.ContextLengthError, "400", None),
        (
            (400, "FAILED_PRECONDITION", "User location is not supported for the API use."),
            errors.PermissionDeniedError,
            "400",
            None,
        ),
        ((401, "UNAUTHENTICATED"), errors.AuthenticationError, "401", None),
        ((402, "FAILED_PRECONDITION", "pay"), errors.QuotaExhaustedError, "402", None),
        ((403, "PERMISSION_DENIED"), errors.PermissionDeniedError, "403", None),
        (
            (403, "PERMISSION_DENIED", "Not used before.", info("SERVICE_DISABLED")),
            errors.PermissionDeniedError,
            "SERVICE_DISABLED",
            None,
        ),
        (
            (403, "PERMISSION_DENIED", "Your API key was reported as leaked. Use another."),
            errors.AuthenticationError,
            "403",
            None,
        ),
        ((404, "NOT_FOUND", "models/x is not found"), errors.ModelNotFoundError, "404", None),
        ((429, "RESOURCE_EXHAUSTED", "Slow down."), errors.RateLimitError, "429", None),
        (
            (429, "RESOURCE_EXHAUSTED", BILLING, quota(PER_MINUTE), wait("34.07s")),
            errors.RateLimitError,
            "429",
            34.07,
        ),
        (
            (429, "RESOURCE_EXHAUSTED", "Quota, limit: 10\nPlease retry in 12.5s."),
            errors.RateLimitError,
            "429",
            12.5,
        ),
        (
            (429, "RESOURCE_EXHAUSTED", BILLING, quota(PER_MINUTE, PER_DAY), wait("34s")),
            errors.QuotaExhaustedError,
            "429",
            34.0,
        ),
        (
            (429, "RESOURCE_EXHAUSTED", "x", quota(NOTHING), wait("34s")),
            errors.QuotaExhaustedError,
            "429",
            34.0,
        ),
        (
            (429, "RESOURCE_EXHAUSTED", "Quota exceeded, limit: 0, model: x", wait("3s")),
            errors.QuotaExhaustedError,
            "429",
            3.0,
        ),
        (
            (429, "RESOURCE_EXHAUSTED", "x", info("RATE_LIMIT_EXCEEDED", quota_limit_value="0")),
            errors.QuotaExhaustedError,
            "RATE_LIMIT_EXCEEDED",
            None,
        ),
        (
            (429, "RESOURCE_EXHAUSTED", "x", info("RATE_LIMIT_EXCEEDED", quota_limit_value="60")),
            errors.RateLimitError,
            "RATE_LIMIT_EXCEEDED",
            None,
        ),
        ((429, "RESOURCE_EXHAUSTED", BILLING), errors.QuotaExhaustedError, "429", None),
        ((499, "CANCELLED"), errors.ConnectionReset, "499", None),
        ((500, "INTERNAL"), errors.ServerError, "500", None),
        ((500, "UNKNOWN"), errors.ServerError, "500", None),
        ((501, "UNIMPLEMENTED"), errors.UnsupportedFeatureError, "501", None),
        ((503, "UNAVAILABLE", "The model is overloaded."), errors.OverloadedError, "503", None),
        ((504, "DEADLINE_EXCEEDED"), errors.ReadTimeout, "504", None),
        ((418, "NEVER_SEEN"), errors.InvalidRequestError, "418", None),
    ],
)
def test_rules(
    given: tuple[Any, ...], expected: type[Exception], code: str, retry_after: float | None
) -> None:
    found = error(*given)
    assert type(found) is expected
    assert (found.code, found.retry_after) == (code, retry_after)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (404, b"<html><title>404</title></html>", errors.EndpointError),
        (404, b"", errors.EndpointError),
        (429, b"", errors.RateLimitError),
        (429, b'{"error":{"code":"quota_exceeded","message":"x"}}', errors.QuotaExhaustedError),
        (
            429,
            b'{"error":{"details":[5,{"violations":5},{"violations":[5]},{"metadata":5}]}}',
            errors.RateLimitError,
        ),
        (502, b"<html>", errors.ServerError),
        (503, b"[]", errors.OverloadedError),
        (400, b'"API key not valid"', errors.AuthenticationError),
        (200, b"<html>", errors.MalformedResponseError),
    ],
)
def test_odd_bodies(status: int, body: bytes, expected: type[Exception]) -> None:
    assert type(WIRE.decode_error(status, {}, body)) is expected


def test_a_header_wins_over_the_body() -> None:
    body = json.dumps({"error": {"code": 429, "message": "retry in 9s", "details": [wait("8s")]}}).encode()
    assert WIRE.decode_error(429, {"retry-after": "7"}, body).retry_after == 7
    assert WIRE.decode_error(429, {}, body).retry_after == 8


def test_an_internal_error_is_tried_once_more_and_no_oftener() -> None:
    assert error(500, "INTERNAL").retry_limit == 1
    assert errors.ServerError.retry_limit is None
    assert error(502, "UNKNOWN").retry_limit is None
    assert error(429, "RESOURCE_EXHAUSTED").retry_limit is None
