"""Errors of OpenAI Responses: by status and code over HTTP, by code inside an answer that began well."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    ServerError,
)
from llmcore.types import GenerationRequest
from llmcore.wire.responses import ResponsesWire

WIRE = ResponsesWire()
ASK = GenerationRequest("?", model="m")


def over_http(status: int, code: str | None, message: str = "x", **fields: Any) -> ProviderError:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": code, **fields}
    return WIRE.decode_error(status, {"x-request-id": "req_1"}, json.dumps({"error": error}).encode())


def in_stream(event: dict[str, Any]) -> ProviderError:
    decoder = WIRE.event_decoder(ASK)
    assert decoder.feed(f"data: {json.dumps(event)}\n\n".encode()) == []
    assert decoder.error is not None
    return decoder.error


@pytest.mark.parametrize(
    ("status", "code", "message", "expected"),
    [
        (401, "invalid_api_key", "Incorrect API key", AuthenticationError),
        (401, None, "You must be a member of an organization", PermissionDeniedError),
        (403, "unsupported_country_region_territory", "x", PermissionDeniedError),
        (404, "model_not_found", "x", ModelNotFoundError),
        (400, "model_not_found", "x", ModelNotFoundError),
        (400, "context_length_exceeded", "x", ContextLengthError),
        (400, None, "Your input exceeds the context window of this model", ContextLengthError),
        (400, "content_policy_violation", "x", ContentFilterError),
        (400, "moderation_blocked", "x", ContentFilterError),
        (400, "invalid_prompt", "flagged under our usage policy", ContentFilterError),
        (400, "invalid_prompt", "x", ContentFilterError),
        (400, "unsupported_parameter", "x", InvalidRequestError),
        (400, "unsupported_value", "x", InvalidRequestError),
        (400, "string_above_max_length", "maximum context length", InvalidRequestError),
        (400, "invalid_image", "x", InvalidRequestError),
        (400, "image_content_policy_violation", "x", ContentFilterError),
        (429, "insufficient_quota", "x", QuotaExhaustedError),
        (429, "credit_balance_exhausted", "x", QuotaExhaustedError),
        (429, "organization_spend_limit_exceeded", "x", QuotaExhaustedError),
        (429, "project_spend_limit_exceeded", "x", QuotaExhaustedError),
        (429, "organization_usage_limit_exceeded", "x", QuotaExhaustedError),
        (429, "rate_limit_exceeded", "x", RateLimitError),
        (429, "slow_down", "x", RateLimitError),
        (429, "rate_limit_exceeded", "Request too large for gpt-x on tokens per min", ContextLengthError),
        (503, "server_is_overloaded", "x", OverloadedError),
        (503, "slow_down", "x", OverloadedError),
        (500, "server_error", "x", ServerError),
    ],
)
def test_over_http(status: int, code: str | None, message: str, expected: type[ProviderError]) -> None:
    error = over_http(status, code, message)
    assert type(error) is expected
    assert (error.status, error.code, error.request_id) == (status, code, "req_1")


def test_a_wait_told_in_words_is_kept() -> None:
    error = over_http(429, "rate_limit_exceeded", "Rate limit reached. Please try again in 1m2.5s.")
    assert error.retry_after == 62.5


CODES = [
    ("server_error", ServerError),
    ("vector_store_timeout", ServerError),
    ("something_new", ServerError),
    (None, ServerError),
    ("rate_limit_exceeded", RateLimitError),
    ("insufficient_quota", QuotaExhaustedError),
    ("invalid_prompt", ContentFilterError),
    ("bio_policy", ContentFilterError),
    ("misalignment_policy_violation", ContentFilterError),
    ("image_content_policy_violation", ContentFilterError),
    ("data_residency_mismatch", PermissionDeniedError),
    ("context_length_exceeded", ContextLengthError),
    ("invalid_image", InvalidRequestError),
    ("image_too_large", InvalidRequestError),
    ("failed_to_download_image", InvalidRequestError),
    ("invalid_base64_image", InvalidRequestError),
]


@pytest.mark.parametrize(("code", "expected"), CODES)
def test_inside_an_answer(code: str | None, expected: type[ProviderError]) -> None:
    error = {"code": code, "message": "x"}
    failed = {"status": "failed", "error": error, "output": []}
    found = [
        in_stream({"type": "response.failed", "response": failed}),
        in_stream({"type": "error", "param": None, **error}),
        in_stream({"type": "error", "error": error}),
    ]
    with pytest.raises(expected) as caught:
        WIRE.decode_generate(json.dumps(failed).encode(), ASK)
    found.append(caught.value)
    assert {(type(one), one.code, one.message) for one in found} == {(expected, code, "x")}


@pytest.mark.parametrize(
    ("type_", "expected"),
    [
        ("invalid_request_error", InvalidRequestError),
        ("authentication_error", AuthenticationError),
        ("permission_error", PermissionDeniedError),
        ("too_many_requests", RateLimitError),
        ("server_error", ServerError),
    ],
)
def test_inside_an_answer_without_a_code_the_type_decides(type_: str, expected: type[ProviderError]) -> None:
    assert type(in_stream({"type": "error", "error": {"type": type_, "message": "x"}})) is expected


def test_a_request_that_can_never_fit_is_not_tried_again() -> None:
    error = in_stream(
        {"type": "error", "error": {"code": "rate_limit_exceeded", "message": "Request too large for gpt-x"}}
    )
    assert type(error) is ContextLengthError
    assert not error.retryable


@given(
    st.integers(100, 599),
    st.dictionaries(st.sampled_from(["retry-after", "x-should-retry", "x-request-id"]), st.text(max_size=8)),
    st.binary(max_size=120),
)
def test_property_any_error_is_classified(status: int, headers: dict[str, str], raw: bytes) -> None:
    assert isinstance(WIRE.decode_error(status, headers, raw), ProviderError)
    assert isinstance(WIRE.decode_error(status, headers, b'{"error": ' + raw + b"}"), ProviderError)
