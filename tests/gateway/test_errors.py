"""The gateway's own errors: each class has its status, code and type, and an instance may say more."""

from __future__ import annotations

import pytest

from llmcore.errors import LlmError
from llmcore.gateway import errors
from llmcore.gateway.errors import GatewayError


@pytest.mark.parametrize(
    ("cls", "status", "code"),
    [
        (errors.GatewayError, 500, "internal_error"),
        (errors.BadRequest, 400, "invalid_request"),
        (errors.Unauthorized, 401, "invalid_api_key"),
        (errors.Forbidden, 403, "permission_denied"),
        (errors.NotFound, 404, "not_found"),
        (errors.MethodNotAllowed, 405, "method_not_allowed"),
        (errors.Conflict, 409, "conflict"),
        (errors.TooLarge, 413, "request_too_large"),
        (errors.UnsupportedMedia, 415, "unsupported_media_type"),
        (errors.TooMany, 429, "rate_limit_exceeded"),
        (errors.Unavailable, 503, "service_unavailable"),
    ],
)
def test_each_class_has_its_status(cls: type[GatewayError], status: int, code: str) -> None:
    error = cls("what to do")
    assert isinstance(error, LlmError)
    assert (error.status, error.code, str(error), error.message) == (status, code, "what to do", "what to do")
    assert (error.param, error.retry_after, dict(error.headers)) == (None, None, {})


def test_an_instance_may_say_more_than_its_class() -> None:
    error = errors.TooMany(
        "later", code="budget", param="model", status=402, type="x", retry_after=3.0, headers={"a": "b"}
    )
    assert (error.code, error.param, error.status, error.type) == ("budget", "model", 402, "x")
    assert (error.retry_after, error.headers) == (3.0, {"a": "b"})
