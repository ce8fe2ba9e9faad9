"""Anthropic Messages: every kind of error to its class, and the list of models."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmcore import errors
from llmcore.errors import MalformedResponseError, ProviderError
from llmcore.types import GenerationRequest, ModelInfo
from llmcore.wire.anthropic import AnthropicWire

WIRE = AnthropicWire()


def body(kind: str | None, message: str = "Something", code: str | None = None, **fields: Any) -> bytes:
    error: dict[str, Any] = {
        "type": kind,
        "message": message,
        "details": {"error_code": code} if code else None,
    }
    return json.dumps({"type": "error", "error": error, "request_id": "req_1", **fields}).encode()


ROWS: list[tuple[int, str, str, str | None, type[ProviderError]]] = [
    (400, "invalid_request_error", "max_tokens: required", None, errors.InvalidRequestError),
    (
        400,
        "invalid_request_error",
        "prompt is too long: 210000 tokens > 200000 maximum",
        None,
        errors.ContextLengthError,
    ),
    (
        400,
        "invalid_request_error",
        "input length and `max_tokens` exceed context limit: 1 + 2 > 2",
        None,
        errors.ContextLengthError,
    ),
    (
        400,
        "invalid_request_error",
        "You have reached your specified API usage limits.",
        None,
        errors.QuotaExhaustedError,
    ),
    (
        400,
        "invalid_request_error",
        "Your credit balance is too low to access the API",
        None,
        errors.QuotaExhaustedError,
    ),
    (401, "authentication_error", "invalid x-api-key", None, errors.AuthenticationError),
    (
        401,
        "authentication_error",
        "CORS requests are not allowed for this organization",
        None,
        errors.EndpointError,
    ),
    (402, "billing_error", "Pay", None, errors.QuotaExhaustedError),
    (402, "billing_error", "Pay", "linked_organization_spend_limit_reached", errors.QuotaExhaustedError),
    (403, "billing_error", "Pay", "linked_organization_billing_unavailable", errors.QuotaExhaustedError),
    (403, "permission_error", "Not for you", None, errors.PermissionDeniedError),
    (404, "not_found_error", "model: claude-none", None, errors.ModelNotFoundError),
    (409, "conflict_error", "Busy", None, errors.ServerError),
    (413, "request_too_large", "Request exceeds the maximum size", None, errors.InvalidRequestError),
    (413, "request_too_large", "?", "request_body_too_large_after_decoding", errors.InvalidRequestError),
    (422, "invalid_request_error", "Odd", None, errors.InvalidRequestError),
    (429, "rate_limit_error", "Slow down", None, errors.RateLimitError),
    (429, "rate_limit_error", "Spent", "enforced_spend_limit_reached", errors.QuotaExhaustedError),
    (429, "rate_limit_error", "Spent", "contract_spend_limit_reached", errors.QuotaExhaustedError),
    (429, "rate_limit_error", "Grow slower", "ramp_limit_exceeded", errors.RateLimitError),
    (499, "client_closed", "Gone", None, errors.ConnectionReset),
    (500, "api_error", "Internal server error", None, errors.ServerError),
    (503, "api_error", "Unavailable", None, errors.OverloadedError),
    (503, "api_error", "Key", "cmek_key_unreachable", errors.ServerError),
    (504, "timeout_error", "Too slow", None, errors.ReadTimeout),
    (529, "overloaded_error", "Overloaded", None, errors.OverloadedError),
    (418, "a_new_error", "Teapot", None, errors.InvalidRequestError),
]


@pytest.mark.parametrize(("status", "kind", "message", "code", "cls"), ROWS)
def test_errors(status: int, kind: str, message: str, code: str | None, cls: type[ProviderError]) -> None:
    error = WIRE.decode_error(status, {}, body(kind, message, code))
    assert type(error) is cls
    assert (error.status, error.type, error.code, error.message) == (status, kind, code, message)
    assert error.request_id == "req_1"
    assert error.retry_after is None


IN_STREAM = {
    "invalid_request_error": (400, errors.InvalidRequestError),
    "authentication_error": (401, errors.AuthenticationError),
    "billing_error": (402, errors.QuotaExhaustedError),
    "permission_error": (403, errors.PermissionDeniedError),
    "not_found_error": (404, errors.ModelNotFoundError),
    "conflict_error": (409, errors.ServerError),
    "request_too_large": (413, errors.InvalidRequestError),
    "rate_limit_error": (429, errors.RateLimitError),
    "api_error": (500, errors.ServerError),
    "timeout_error": (504, errors.ReadTimeout),
    "overloaded_error": (529, errors.OverloadedError),
    "a_new_error": (500, errors.ServerError),
    None: (500, errors.ServerError),
}


@pytest.mark.parametrize(("kind", "expected"), IN_STREAM.items())
def test_errors_in_a_stream_have_the_status_of_their_type(
    kind: str | None, expected: tuple[int, type[ProviderError]]
) -> None:
    decoder = WIRE.event_decoder(GenerationRequest("?"))
    assert decoder.feed(b"event: error\ndata: " + body(kind) + b"\n\n") == []
    assert decoder.error is not None
    assert (decoder.error.status, type(decoder.error)) == expected


def test_the_wait_is_the_header_or_the_reset_of_the_limit_that_is_used_up() -> None:
    limits = {
        "date": "Sat, 21 Nov 2026 10:00:00 GMT",
        "anthropic-ratelimit-requests-remaining": "9",
        "anthropic-ratelimit-requests-reset": "2026-11-21T10:00:01Z",
        "anthropic-ratelimit-input-tokens-remaining": "0",
        "anthropic-ratelimit-input-tokens-reset": "2026-11-21T10:00:12Z",
    }
    assert WIRE.decode_error(429, limits, body("rate_limit_error")).retry_after == 12
    assert WIRE.decode_error(429, {**limits, "retry-after": "7"}, body("rate_limit_error")).retry_after == 7


def test_the_request_id_may_stand_in_a_header_only() -> None:
    error = WIRE.decode_error(500, {"request-id": "req_h"}, b'{"type":"error","error":{"type":"api_error"}}')
    assert error.request_id == "req_h"


def test_the_edge_may_answer_in_html() -> None:
    error = WIRE.decode_error(413, {}, b"<html><title>413 Payload Too Large</title></html>")
    assert type(error) is errors.InvalidRequestError
    assert error.message == "413 Payload Too Large"


@pytest.mark.parametrize("details", [None, [], "x", 3, {"error_code": None}, {"error_code": 7}])
def test_odd_details_are_no_code(details: Any) -> None:
    value = {"type": "error", "error": {"type": "overloaded_error", "message": "x", "details": details}}
    error = WIRE.decode_error(529, {}, json.dumps(value).encode())
    assert (type(error), error.code) == (errors.OverloadedError, None)


@settings(max_examples=max(150, settings().max_examples))
@given(
    st.integers(100, 599), st.binary(max_size=60), st.dictionaries(st.text(max_size=5), st.text(max_size=5))
)
def test_classification_is_total(status: int, data: bytes, headers: dict[str, str]) -> None:
    assert isinstance(WIRE.decode_error(status, headers, data), ProviderError)


@given(st.sampled_from([row for row in ROWS if row[3]]), st.text(max_size=20))
def test_a_code_is_not_overruled_by_words(row: tuple[Any, ...], words: str) -> None:
    status, kind, _, code, cls = row
    assert type(WIRE.decode_error(status, {}, body(kind, words or "x", code))) is cls


# --------------------------------------------------------------------------------------------------- models

MODEL = {
    "type": "model",
    "id": "claude-x",
    "display_name": "Claude X",
    "created_at": "2026-02-03T04:05:06Z",
    "max_input_tokens": 1000000,
    "max_tokens": 128000,
    "lifecycle": "active",
    "capabilities": {
        "batch": {"supported": True},
        "pdf_input": {"supported": False},
        "effort": {"supported": True, "low": {"supported": True}, "max": {"supported": False}},
        "thinking": {"supported": True, "types": {"adaptive": {"supported": True}}},
        "odd": None,
    },
}


def test_models_are_asked_for_page_by_page() -> None:
    http = WIRE.encode_models().http
    assert (http.method, http.path, http.body) == ("GET", "/v1/models?limit=1000", None)
    assert http.headers == {"anthropic-version": "2026-10-21"}
    assert WIRE.encode_models("a/b&c").http.path == "/v1/models?limit=1000&after_id=a%2Fb%26c"


def test_a_model() -> None:
    page = WIRE.decode_models(
        json.dumps({"data": [MODEL], "has_more": False, "last_id": "claude-x"}).encode()
    )
    assert page.cursor is None
    assert page.models == (
        ModelInfo(
            id="claude-x",
            display_name="Claude X",
            context_window=1_000_000,
            max_output_tokens=128_000,
            created=1770091506,
            capabilities=frozenset({"batch", "effort", "effort.low", "thinking", "thinking.types.adaptive"}),
        ),
    )
    assert page.models[0].raw == MODEL


@pytest.mark.parametrize(
    ("rest", "cursor"),
    [
        ({"has_more": True, "last_id": "z"}, "z"),
        ({"has_more": True}, "claude-x"),
        ({"has_more": False, "last_id": "z"}, None),
        ({"last_id": "z"}, None),
    ],
)
def test_cursors(rest: dict[str, Any], cursor: str | None) -> None:
    assert WIRE.decode_models(json.dumps({"data": [MODEL], **rest}).encode()).cursor == cursor


def test_an_empty_page_is_the_last() -> None:
    assert WIRE.decode_models(b'{"data":[],"has_more":true,"last_id":"z"}').cursor is None


@pytest.mark.parametrize(
    ("created", "seconds"),
    [("1970-01-01T00:00:00Z", None), ("1970-01-02", 86400), (None, None), (7, None), ("soon", None)],
)
def test_when_a_model_was_made(created: Any, seconds: int | None) -> None:
    (model,) = WIRE.decode_models(json.dumps({"data": [{"id": "m", "created_at": created}]}).encode()).models
    assert model == ModelInfo("m", created=seconds)


def test_what_is_no_model_is_left_out() -> None:
    assert WIRE.decode_models(b'{"data":[null,{"id":null},{"id":""},3]}').models == ()


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"data":{}}'])
def test_what_is_no_list_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedResponseError):
        WIRE.decode_models(data)


def test_an_error_in_place_of_the_list() -> None:
    with pytest.raises(errors.AuthenticationError):
        WIRE.decode_models(body("authentication_error"))
