"""Errors in each wire's words: status, code, type, headers; nothing of what the gateway keeps to itself."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmcore import errors as ours
from llmcore.errors import AllProvidersFailed, ProviderError
from llmcore.gateway import errors as gateway
from llmcore.gateway.mirror.base import Failure
from llmcore.gateway.mirror.errors import anthropic_error, fault_of, openai_error, warnings_header
from llmcore.types import RequestWarning
from llmcore.wire.anthropic import AnthropicWire
from llmcore.wire.openai import OpenAIWire

CLASSES: dict[type[ProviderError], tuple[int, str, str, int, str]] = {
    ours.AuthenticationError: (401, "provider_authentication_error", "authentication_error", 401, "authentication_error"),
    ours.NoUsableKeyError: (401, "provider_authentication_error", "authentication_error", 401, "authentication_error"),
    ours.PermissionDeniedError: (403, "permission_denied", "permission_error", 403, "permission_error"),
    ours.QuotaExhaustedError: (429, "insufficient_quota", "insufficient_quota", 402, "billing_error"),
    ours.ModelNotFoundError: (404, "model_not_found", "invalid_request_error", 404, "not_found_error"),
    ours.InvalidRequestError: (400, "invalid_request", "invalid_request_error", 400, "invalid_request_error"),
    ours.UnsupportedFeatureError: (400, "unsupported_feature", "invalid_request_error", 400, "invalid_request_error"),
    ours.ContextLengthError: (400, "context_length_exceeded", "invalid_request_error", 400, "invalid_request_error"),
    ours.ContentFilterError: (400, "content_policy_violation", "invalid_request_error", 400, "invalid_request_error"),
    ours.RateLimitError: (429, "rate_limit_exceeded", "rate_limit_error", 429, "rate_limit_error"),
    ours.OverloadedError: (503, "server_is_overloaded", "service_unavailable_error", 529, "overloaded_error"),
    ours.PoolTimeout: (503, "server_is_overloaded", "service_unavailable_error", 529, "overloaded_error"),
    ours.ServerError: (502, "upstream_error", "server_error", 502, "api_error"),
    ours.ReadTimeout: (504, "upstream_timeout", "timeout_error", 504, "timeout_error"),
    ours.TotalTimeout: (504, "upstream_timeout", "timeout_error", 504, "timeout_error"),
    ours.ConnectionRefused: (502, "upstream_unreachable", "server_error", 502, "api_error"),
    ours.DNSError: (502, "upstream_unreachable", "server_error", 502, "api_error"),
    ours.EndpointError: (502, "provider_misconfigured", "server_error", 502, "api_error"),
    ours.MalformedResponseError: (502, "upstream_malformed", "server_error", 502, "api_error"),
    ours.StreamInterruptedError: (502, "stream_interrupted", "server_error", 502, "api_error"),
    ours.ProviderError: (502, "upstream_error", "server_error", 502, "api_error"),
}  # fmt: skip


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_each_class_in_the_words_of_both_wires(cls: type[ProviderError]) -> None:
    status, code, kind, anthropic_status, anthropic_kind = CLASSES[cls]
    error = cls("why", provider="p", status=599)
    told = openai_error(error, request_id="r")
    assert told.status == status
    assert (told.body["error"]["code"], told.body["error"]["type"]) == (code, kind)
    assert told.headers["x-request-id"] == "r"
    other = anthropic_error(error, request_id="r")
    assert other.status == anthropic_status
    assert other.body["type"] == "error"
    assert other.body["error"]["type"] == anthropic_kind
    assert other.body["error"]["details"] == {"error_code": code}
    assert (other.body["request_id"], other.headers["request-id"]) == ("r", "r")


KEPT = [
    *(
        ours.AuthenticationError,
        ours.PermissionDeniedError,
        ours.QuotaExhaustedError,
        ours.ModelNotFoundError,
    ),
    *(ours.InvalidRequestError, ours.ContextLengthError, ours.RateLimitError, ours.OverloadedError),
    *(ours.ServerError, ours.ReadTimeout),
]


@pytest.mark.parametrize("cls", KEPT, ids=lambda cls: cls.__name__)
def test_a_client_of_ours_reads_the_same_class_again(cls: type[ProviderError]) -> None:
    error = cls("no model says why", retry_after=7.2)
    for wire, answer in (
        (OpenAIWire(), openai_error(error, request_id="r")),
        (AnthropicWire(), anthropic_error(error, request_id="r")),
    ):
        read = wire.decode_error(answer.status, answer.headers, json.dumps(answer.body).encode())
        assert type(read) is cls, wire
        assert read.retry_after == 8


def test_a_content_filter_stays_one_in_openais_words() -> None:
    answer = openai_error(ours.ContentFilterError("no"), request_id="r")
    body = json.dumps(answer.body).encode()
    assert type(OpenAIWire().decode_error(answer.status, {}, body)) is ours.ContentFilterError


def error_of(failure: Failure) -> dict[str, Any]:
    found: dict[str, Any] = openai_error(failure, request_id="r").body["error"]
    return found


def test_a_gateway_error_says_its_path_and_headers() -> None:
    error = gateway.BadRequest(
        "messages[0].role: is wrong", param="messages[0].role", headers={"allow": "POST"}
    )
    answer = openai_error(error, request_id="r")
    assert (answer.status, answer.headers["allow"]) == (400, "POST")
    assert answer.body == {
        "error": {
            "message": "messages[0].role: is wrong",
            "type": "invalid_request_error",
            "param": "messages[0].role",
            "code": "invalid_request",
        }
    }


@pytest.mark.parametrize(
    ("error", "kind", "status"),
    [
        (gateway.Unauthorized("x"), "authentication_error", 401),
        (gateway.Forbidden("x"), "permission_error", 403),
        (gateway.NotFound("x"), "not_found_error", 404),
        (gateway.TooLarge("x"), "request_too_large", 413),
        (gateway.TooMany("x"), "rate_limit_error", 429),
        (gateway.Unavailable("x"), "overloaded_error", 529),
        (gateway.GatewayError("x"), "api_error", 500),
        (gateway.UnsupportedMedia("x"), "invalid_request_error", 415),
    ],
)
def test_gateway_errors_in_anthropics_words(error: gateway.GatewayError, kind: str, status: int) -> None:
    answer = anthropic_error(error, request_id="r")
    assert (answer.status, answer.body["error"]["type"]) == (status, kind)


@pytest.mark.parametrize("wait", [0.0, 0.4, 12.0, 12.01])
def test_retry_after_is_in_whole_seconds(wait: float) -> None:
    headers = openai_error(gateway.TooMany("later", retry_after=wait), request_id="r").headers
    assert wait <= int(headers["retry-after"]) < wait + 1
    assert "retry-after" not in openai_error(gateway.TooMany("later"), request_id="r").headers
    odd = openai_error(gateway.TooMany("later", retry_after=float("inf")), request_id="r").headers
    assert "retry-after" not in odd


def test_only_what_passes_by_itself_may_be_asked_again() -> None:
    refused = openai_error(ours.AuthenticationError("x"), request_id="r").headers
    assert refused["x-should-retry"] == "false"
    assert "x-should-retry" not in openai_error(ours.OverloadedError("x"), request_id="r").headers


def test_t19_addresses_are_not_shown() -> None:
    told = error_of(ours.ServerError("GET https://10.0.0.7:8443/v1/chat?key=abc failed, see http://wiki/x"))
    assert told["message"] == "GET (address) failed, see (address)"
    for cls in (ours.ConnectionRefused, ours.EndpointError, ours.DNSError):
        told = error_of(cls("nobody listens at models.internal:8000"))
        assert "internal" not in told["message"]


def test_an_error_without_words_still_says_something() -> None:
    assert "ServerError" in error_of(ours.ServerError())["message"]
    assert len(error_of(ours.ServerError("x" * 5000))["message"]) == 1024


def test_the_vendors_code_is_kept_where_the_request_is_wrong() -> None:
    assert (
        error_of(ours.InvalidRequestError("x", code="string_above_max_length"))["code"]
        == "string_above_max_length"
    )
    assert error_of(ours.InvalidRequestError("x", code="no word\r\n"))["code"] == "invalid_request"
    assert error_of(ours.ServerError("x", code="their_code"))["code"] == "upstream_error"


@pytest.mark.parametrize(("status", "shown"), [(413, 413), (422, 422), (404, 400), (None, 400)])
def test_statuses_that_say_more_of_a_wrong_request_stay(status: int | None, shown: int) -> None:
    assert openai_error(ours.InvalidRequestError("x", status=status), request_id="r").status == shown


def test_the_path_in_a_complaint_of_ours_becomes_the_param() -> None:
    assert (
        error_of(ours.InvalidRequestError("tools[0].name: 'x y' must be letters"))["param"] == "tools[0].name"
    )
    vendor = ours.InvalidRequestError("model: is wrong", status=400)
    assert error_of(vendor)["param"] is None


def test_context_is_said_in_the_words_that_anthropics_clients_look_for() -> None:
    told = anthropic_error(ours.ContextLengthError("9000 tokens do not fit"), request_id="r").body["error"]
    assert told["message"] == "prompt is too long: 9000 tokens do not fit"
    again = anthropic_error(ours.ContextLengthError("Prompt is too long: 9"), request_id="r").body["error"]
    assert again["message"] == "Prompt is too long: 9"


# --------------------------------------------------------------------------------------------- many errors as one


def all_of(*errors: ProviderError, **facts: Any) -> AllProvidersFailed:
    return AllProvidersFailed("2 candidates failed", errors, **facts)


@pytest.mark.parametrize(
    ("errors", "code"),
    [
        ((ours.AuthenticationError("k"), ours.OverloadedError("o")), "server_is_overloaded"),
        ((ours.RateLimitError("r"), ours.RateLimitError("r")), "rate_limit_exceeded"),
        ((ours.OverloadedError("o"), ours.InvalidRequestError("i")), "invalid_request"),
        ((ours.ContextLengthError("c"), ours.ServerError("s")), "upstream_error"),
        ((ours.ContextLengthError("c"), ours.AuthenticationError("a")), "context_length_exceeded"),
        ((ours.QuotaExhaustedError("q"), ours.AuthenticationError("a")), "insufficient_quota"),
    ],
    ids=str,
)
def test_of_many_errors_the_one_counts_that_says_what_the_client_can_do(
    errors: tuple[ProviderError, ...], code: str
) -> None:
    assert error_of(all_of(*errors))["code"] == code


def test_many_errors_are_named_each_and_the_shortest_wait_counts() -> None:
    error = all_of(
        ours.RateLimitError("slow", provider="a", retry_after=9),
        ours.OverloadedError("full", provider="b", retry_after=4),
        ours.QuotaExhaustedError("no money", provider="c", retry_after=1),
        ours.RateLimitError("slow", provider="a", retry_after=9),
    )
    fault = fault_of(error)
    assert fault.message == "2 candidates failed: a: slow; b: full; c: no money"
    assert fault.retry_after == 4
    assert fault_of(all_of(ours.ServerError("x"), retry_after=3.5)).retry_after == 3.5
    assert fault_of(all_of(ours.AuthenticationError("x"), retry_after=3.5)).retry_after is None


def test_groups_inside_groups_are_read_through() -> None:
    inner = all_of(ours.RateLimitError("r", provider="a"))
    assert (
        error_of(all_of(inner, ours.AuthenticationError("k", provider="b")))["code"] == "rate_limit_exceeded"
    )


def test_t10_warnings_make_a_harmless_header() -> None:
    value = warnings_header(
        (RequestWarning("seed\r\nx: y", "is \u00e9\x00 lost"), RequestWarning("stop", "too"))
    )
    assert value == "seed x: y: is ?  lost; stop: too"
    assert len(warnings_header((RequestWarning("a", "b" * 9000),))) == 2048


def test_what_is_lost_several_times_is_told_once_and_leaves_room_for_the_rest() -> None:
    strict = RequestWarning("tools.strict", "not supported by this provider; not sent")
    value = warnings_header((strict,) * 100 + (RequestWarning("seed", "not sent"),))
    assert value == f"{strict}; seed: not sent"
