"""Classification: total, by code before type before status before words; every form of retry-after."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmcore import errors
from llmcore.wire.base import Wire
from llmcore.wire.classify import (
    facts_of,
    generic_error_class,
    read_error,
    retry_after,
    status_in_body,
)
from llmcore.wire.limits import duration

DATE = "Sat, 21 Nov 2026 10:00:00 GMT"


def classify(status: int, body: Any, headers: dict[str, str] | None = None) -> errors.ProviderError:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Wire().decode_error(status, headers or {}, raw)


@pytest.mark.parametrize(
    ("status", "cls"),
    [
        (400, errors.InvalidRequestError),
        (401, errors.AuthenticationError),
        (402, errors.QuotaExhaustedError),
        (403, errors.PermissionDeniedError),
        (404, errors.EndpointError),
        (405, errors.EndpointError),
        (408, errors.ReadTimeout),
        (409, errors.ServerError),
        (410, errors.EndpointError),
        (413, errors.InvalidRequestError),
        (421, errors.EndpointError),
        (422, errors.InvalidRequestError),
        (426, errors.EndpointError),
        (451, errors.InvalidRequestError),
        (495, errors.EndpointError),
        (497, errors.EndpointError),
        (425, errors.RateLimitError),
        (429, errors.RateLimitError),
        (498, errors.OverloadedError),
        (499, errors.ConnectionReset),
        (500, errors.ServerError),
        (501, errors.UnsupportedFeatureError),
        (502, errors.ServerError),
        (503, errors.OverloadedError),
        (504, errors.ReadTimeout),
        (522, errors.ServerError),
        (524, errors.ReadTimeout),
        (529, errors.OverloadedError),
        (530, errors.ServerError),
    ],
)
def test_by_status_where_nothing_else_speaks(status: int, cls: type[errors.ProviderError]) -> None:
    assert type(classify(status, b"")) is cls


PAGE = b"<!DOCTYPE html><html><head><title>Bad Request</title></head></html>"


@pytest.mark.parametrize("status", [400, 406, 411, 422])
def test_a_page_that_refuses_comes_from_a_wrong_address(status: int) -> None:
    error = classify(status, b" \n" + PAGE)
    assert type(error) is errors.EndpointError
    assert (error.failover, error.retryable, error.health) == (True, False, False)
    assert error.message == "Bad Request"
    assert type(classify(status, {"error": {"message": "<b>bad</b>"}})) is errors.InvalidRequestError


@pytest.mark.parametrize(
    ("status", "cls"),
    [
        (401, errors.AuthenticationError),
        (403, errors.PermissionDeniedError),
        (451, errors.InvalidRequestError),
        (502, errors.ServerError),
    ],
)
def test_a_page_changes_nothing_where_the_status_says_more(
    status: int, cls: type[errors.ProviderError]
) -> None:
    assert type(classify(status, PAGE)) is cls


def test_what_is_gone_is_the_model_where_it_is_spoken_of() -> None:
    assert type(classify(410, {"error": "the model m was retired"})) is errors.ModelNotFoundError


@pytest.mark.parametrize("body", [b"", PAGE, b'{"error":{"type":"request_too_large","message":"too large"}}'])
def test_what_is_too_large_here_may_fit_elsewhere(body: bytes) -> None:
    error = classify(413, body)
    assert type(error) is errors.InvalidRequestError
    assert (error.failover, error.retryable, error.health) == (True, False, False)
    assert not classify(422, body).failover or body == PAGE


@pytest.mark.parametrize(
    ("body", "message", "code", "type_"),
    [
        ({"error": {"message": "m", "code": "c", "type": "t"}}, "m", "c", "t"),
        ({"error": "text"}, "text", None, None),
        ([{"error": {"message": "m", "status": "INVALID", "code": 400}}], "m", "400", "INVALID"),
        ({"message": "flat", "code": 7}, "flat", "7", None),
        ({"detail": "why"}, "why", None, None),
        ({"detail": [{"loc": ["body", "x"], "msg": "bad", "type": "t"}]}, "body.x: bad", None, None),
        ({"object": "error", "message": "m", "code": 40, "type": "T"}, "m", "40", "T"),
        (
            {"type": "error", "error": {"type": "overloaded_error", "message": "m"}},
            "m",
            None,
            "overloaded_error",
        ),
        ({"code": "some", "error": "text"}, "text", "some", None),
        ({"title": "Bad", "status": 422, "detail": "problem"}, "problem", None, "422"),
        ("just text", "just text", None, None),
    ],
)
def test_every_shape_of_an_error_body(body: Any, message: str, code: str | None, type_: str | None) -> None:
    error = classify(418, body)
    assert (error.message, error.code, error.type) == (message, code, type_)


def test_html_gives_its_title_and_text_its_beginning() -> None:
    assert (
        classify(502, b"<html><title>Bad &amp; ugly\n gateway</title><script>x</script>").message
        == "Bad & ugly gateway"
    )
    assert classify(500, b"upstream connect error").message == "upstream connect error"
    assert classify(500, b"").message


@pytest.mark.parametrize(
    "text",
    [
        "This model's maximum context length is 4096 tokens",
        "prompt is too long: 210000 tokens > 200000 maximum",
        "Current length is 9000 while limit is 8192",
        "`inputs` tokens + `max_new_tokens` must be <= 4096",
        "the request exceeds the available context size, try increasing it",
    ],
)
def test_the_ways_to_say_that_it_does_not_fit(text: str) -> None:
    assert type(classify(400, {"error": {"message": text}})) is errors.ContextLengthError
    assert type(classify(500, {"error": {"message": text}})) is errors.ServerError


def test_code_beats_status_and_words() -> None:
    body = {"error": {"code": "insufficient_quota", "message": "maximum context length"}}
    assert type(classify(429, body)) is errors.QuotaExhaustedError


@given(
    message=st.text(max_size=60),
    code=st.sampled_from(["insufficient_quota", "invalid_api_key", "rate_limit_exceeded"]),
)
def test_with_a_code_the_words_do_not_matter(message: str, code: str) -> None:
    assert type(classify(400, {"error": {"code": code, "message": message}})) is type(
        classify(400, {"error": {"code": code}})
    )


def test_the_vendor_may_forbid_or_allow_a_retry() -> None:
    assert classify(500, b"", {"x-should-retry": "false"}).retryable is False
    assert classify(409, b"", {"x-should-retry": "true"}).retryable is True
    assert classify(500, b"", {"x-should-retry": "perhaps"}).retryable is True


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "abc"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "Sat, 21 Nov 2026 10:00:30 GMT", "date": DATE}, 30.0),
        ({"retry-after": "Sat, 21 Nov 2026 09:00:00 GMT", "date": DATE}, 0.0),
        ({"retry-after": "Sat, 21 Nov 2026 10:00:30 GMT"}, None),
        ({"retry-after": "1000000000"}, 1e9),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m0s"}, 360.0),
        (
            {
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "17ms",
                "x-ratelimit-remaining-requests": "9",
                "x-ratelimit-reset-requests": "1s",
            },
            0.017,
        ),
        (
            {
                "anthropic-ratelimit-tokens-remaining": "0",
                "anthropic-ratelimit-tokens-reset": "2026-11-21T10:01:00Z",
                "date": DATE,
            },
            60.0,
        ),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1795255230000", "date": DATE}, None),
        ({}, None),
    ],
)
def test_retry_after_in_its_forms(headers: dict[str, str], seconds: float | None) -> None:
    found = retry_after(read_error(429, headers, b"{}"))
    if "x-ratelimit-reset" in headers:
        assert found is not None
        assert found >= 0
    else:
        assert found == (pytest.approx(seconds) if seconds is not None else None)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "abc"}, None),
        ({"retry-after": "1e9"}, 1e9),
        ({"retry-after": "Sat, 21 Nov 2026 09:59:00 GMT"}, 0.0),
        ({"retry-after": "Sat, 21 Nov 2026 10:01:00 GMT"}, 60.0),
        ({"retry-after": "2, 5"}, 5.0),
        ({"retry-after": "abc, 5"}, 5.0),
        ({"retry-after": "-1, -2"}, None),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250, 750"}, 0.75),
        ({"retry-after-ms": "-1", "retry-after": "2"}, 2.0),
        ({"retry-after-ms": "abc", "retry-after": "2"}, 2.0),
        ({"retry-after": "9" * 400}, None),
        ({"retry-after": "9" * 30}, 1e30),
        ({"retry-after": ""}, None),
        ({"retry-after": "abc", "ratelimit": '"a";r=0;t=8'}, 8.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1795255230000"}, 30.0),
    ],
)
def test_51_every_odd_wait(headers: dict[str, str], seconds: float | None) -> None:
    error = classify(429, b"{}", {**headers, "date": DATE})
    assert type(error) is errors.RateLimitError
    assert error.retry_after == (None if seconds is None else pytest.approx(seconds))


def test_a_reset_is_no_hint_where_the_rate_is_not_the_matter() -> None:
    headers = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "7"}
    assert classify(503, b"{}", headers).retry_after is None
    assert classify(429, b"{}", headers).retry_after == 7.0


def test_the_first_hint_that_can_be_read_wins() -> None:
    body = {"error": {"details": [{"retryDelay": "3s"}], "message": "try again in 4s"}}
    everything = {
        "retry-after-ms": "1000",
        "retry-after": "2",
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": "9s",
    }
    found = []
    for name in [*everything, None]:
        facts = facts_of(body, 429, everything)
        found.append(retry_after(facts, text_hints=True))
        everything.pop(name or "", None)
    assert found == [1.0, 2.0, 3.0, 3.0, 3.0]
    facts = facts_of({"error": {"message": "try again in 4s"}}, 429)
    assert retry_after(facts, text_hints=True) == 4.0


def test_retry_info_of_google_and_the_words_of_some() -> None:
    body = {
        "error": {"details": [{"@type": "x/google.rpc.RetryInfo", "retryDelay": "34.07s"}], "message": "m"}
    }
    assert retry_after(facts_of(body, 429)) == pytest.approx(34.07)
    for text, seconds in (
        ("Please try again in 5.289s.", 5.289),
        ("try again in 120ms", 0.12),
        ("Please retry in 1m2s", 62.0),
        ("Request was throttled. Your rate limit resets in ~30s.", 30.0),
        ("no number here", None),
    ):
        facts = facts_of({"error": {"message": text}}, 429)
        assert retry_after(facts, text_hints=True) == (
            pytest.approx(seconds) if seconds is not None else None
        )
        assert retry_after(facts) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1h2m3s", 3723.0),
        ("6m0s", 360.0),
        ("20ms", 0.02),
        ("1.5s", 1.5),
        ("", None),
        ("5", None),
        ("s", None),
    ],
)
def test_durations(text: str, seconds: float | None) -> None:
    assert duration(text) == (pytest.approx(seconds) if seconds is not None else None)


@given(
    status=st.integers(100, 599),
    body=st.binary(max_size=300)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["error", "message", "code", "type", "detail", "details", "status", "retryDelay"]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=10,
    ).map(lambda value: json.dumps(value).encode()),
    headers=st.dictionaries(
        st.sampled_from(
            [
                "retry-after",
                "retry-after-ms",
                "date",
                "x-should-retry",
                "x-ratelimit-reset",
                "x-ratelimit-remaining",
            ]
        ),
        st.text(max_size=30),
    ),
)
def test_classification_is_total(status: int, body: bytes, headers: dict[str, str]) -> None:
    error = Wire().decode_error(status, headers, body)
    assert isinstance(error, errors.ProviderError)
    assert error.retry_after is None or 0 <= error.retry_after < float("inf")
    assert str(error)
    facts = read_error(status, headers, body)
    assert 400 <= status_in_body(facts) <= 599
    assert issubclass(generic_error_class(facts), errors.ProviderError)


def test_a_deep_or_huge_body_does_not_hurt() -> None:
    assert type(classify(500, b"[" * 200_000)) is errors.ServerError
    assert len(classify(500, b"x" * 2_000_000).message) <= errors.MAX_MESSAGE
