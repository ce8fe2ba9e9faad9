"""The OpenAI dialect: every row of its error table is one case here."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmcore import errors
from llmcore.errors import ProviderError
from llmcore.wire.openai import OpenAIWire
from llmcore.wire.openai_errors import ErrorRule

WIRE = OpenAIWire()


def error(
    status: int, body: Any, headers: dict[str, str] | None = None, wire: OpenAIWire = WIRE
) -> ProviderError:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return wire.decode_error(status, headers or {}, raw)


def told(message: str = "", **fields: Any) -> dict[str, Any]:
    return {"error": {"message": message, **fields}}


ROWS: list[tuple[int, Any, type[ProviderError]]] = [
    (401, told("Incorrect API key provided", code="invalid_api_key"), errors.AuthenticationError),
    (401, told("You must be a member of an organization to use the API"), errors.PermissionDeniedError),
    (401, told("no", code="ip_not_authorized"), errors.PermissionDeniedError),
    (403, told("no", code="unsupported_country_region_territory"), errors.PermissionDeniedError),
    (404, told("The model `x` does not exist", code="model_not_found"), errors.ModelNotFoundError),
    (400, told("no such model", code="model_not_found"), errors.ModelNotFoundError),
    (404, told("Not Found"), errors.EndpointError),
    (400, told("long", code="context_length_exceeded"), errors.ContextLengthError),
    (400, told("This model's maximum context length is 8 tokens"), errors.ContextLengthError),
    (400, told("request (9 tokens) exceeds the available context size"), errors.ContextLengthError),
    (400, told("prompt too long; exceeded max context length by 3 tokens"), errors.ContextLengthError),
    (400, told("no", code="content_policy_violation"), errors.ContentFilterError),
    (400, told("no", code="moderation_blocked"), errors.ContentFilterError),
    (400, told("it violates our usage policies", code="invalid_prompt"), errors.ContentFilterError),
    (400, told("empty", code="invalid_prompt"), errors.InvalidRequestError),
    (
        400,
        told("filtered", code="content_filter", innererror={"code": "ResponsibleAIPolicyViolation"}),
        errors.ContentFilterError,
    ),
    (400, told("f", innererror={"code": "ResponsibleAIPolicyViolation"}), errors.ContentFilterError),
    (400, told("no", code="unsupported_parameter"), errors.InvalidRequestError),
    (400, told("no", code="unsupported_value"), errors.InvalidRequestError),
    (400, told("maximum context length", code="string_above_max_length"), errors.InvalidRequestError),
    (429, told("no", code="insufficient_quota", type="insufficient_quota"), errors.QuotaExhaustedError),
    (429, told("no", type="insufficient_quota"), errors.QuotaExhaustedError),
    (429, told("no", code="credit_balance_exhausted", type="insufficient_quota"), errors.QuotaExhaustedError),
    (429, told("no", code="project_spend_limit_exceeded"), errors.QuotaExhaustedError),
    (429, told("no", code="billing_not_active", type="rate_limit_error"), errors.QuotaExhaustedError),
    (429, told("no", code="rate_limit_exceeded", type="tokens"), errors.RateLimitError),
    (429, told("no", code="slow_down", type="rate_limit_error"), errors.RateLimitError),
    (429, told("Request too large for model `x` on tokens per min"), errors.ContextLengthError),
    (503, told("no", code="server_is_overloaded"), errors.OverloadedError),
    (503, told("no", code="slow_down"), errors.OverloadedError),
    (500, told("no", type="server_error"), errors.ServerError),
    (500, told("bad", type="invalid_request_error"), errors.InvalidRequestError),
    (402, told("pay"), errors.QuotaExhaustedError),
    (409, told("lock"), errors.ServerError),
    (504, b"<html><title>504 Gateway Time-out</title>", errors.ReadTimeout),
    (502, b"", errors.ServerError),
    (
        400,
        {"object": "error", "message": "bad", "type": "BadRequestError", "code": 400},
        errors.InvalidRequestError,
    ),
    (
        404,
        {"error": {"code": 404, "message": "The model `x` does not exist.", "type": "NotFoundError"}},
        errors.ModelNotFoundError,
    ),
    (
        503,
        {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}},
        errors.OverloadedError,
    ),
    (404, {"error": "Specified model not found: x"}, errors.ModelNotFoundError),
    (422, {"detail": [{"loc": ["body", "messages"], "msg": "missing"}]}, errors.InvalidRequestError),
    (401, {"detail": "Invalid API Key"}, errors.AuthenticationError),
    (404, {"code": "not there", "error": "The model x was deprecated"}, errors.ModelNotFoundError),
    (
        400,
        {"object": "error", "message": "Invalid model: x", "type": "invalid_model", "code": "1500"},
        errors.ModelNotFoundError,
    ),
    (400, told("The model has been decommissioned", code="model_decommissioned"), errors.ModelNotFoundError),
]


@pytest.mark.parametrize(("status", "body", "cls"), ROWS)
def test_the_table_of_errors(status: int, body: Any, cls: type[ProviderError]) -> None:
    found = error(status, body)
    assert type(found) is cls
    assert found.status == status


def test_what_an_error_carries() -> None:
    found = error(
        429,
        told("slow down", code="rate_limit_exceeded", type="requests"),
        {"x-request-id": "req_1", "retry-after": "2"},
    )
    assert (found.code, found.type, found.message) == ("rate_limit_exceeded", "requests", "slow down")
    assert (found.request_id, found.retry_after) == ("req_1", 2.0)
    assert error(429, told("x"), {"retry-after-ms": "250"}).retry_after == 0.25


def test_words_say_how_long_to_wait_only_where_the_vendor_means_them() -> None:
    assert error(429, told("Please try again in 5.5s.")).retry_after is None


def test_the_vendor_may_forbid_a_retry() -> None:
    found = error(500, told("x"), {"x-should-retry": "false"})
    assert (found.retryable, found.failover) == (False, True)


def test_a_vendors_rules_come_first() -> None:
    wire = OpenAIWire(
        rules=(
            ErrorRule(errors.QuotaExhaustedError, (402, 429), words=("credit", "billing")),
            ErrorRule(errors.OverloadedError, code="queue_exceeded"),
        )
    )
    assert type(error(429, told("No CREDIT left"), wire=wire)) is errors.QuotaExhaustedError
    assert type(error(400, told("no credit"), wire=wire)) is errors.InvalidRequestError
    assert type(error(429, told("x", code="Queue_Exceeded"), wire=wire)) is errors.OverloadedError
    assert type(error(429, told("x", type="queue_exceeded"), wire=wire)) is errors.OverloadedError
    assert type(error(429, told("x"), wire=wire)) is errors.RateLimitError
