"""What the gateway itself answers instead of a model: one class per HTTP status that a client treats differently.

    GatewayError (500)
    ├── BadRequest            400   the request cannot be understood; `param` is the path of the fault
    ├── Unauthorized          401   no key, or one that is not known
    ├── Forbidden             403   the key is good, but not for this
    ├── NotFound              404   no such route, model, session or row of this user
    ├── MethodNotAllowed      405
    ├── Conflict              409   somebody else was faster
    ├── TooLarge              413   the body exceeds the limit
    ├── UnsupportedMedia      415   a content type or encoding that is not taken
    ├── TooMany               429   a limit of ours: requests, tokens, streams, money
    └── Unavailable           503   not ready, or the work that we take at once is full

Errors of providers stay `llmcore.errors.ProviderError`; `gateway.mirror.errors` gives both a form in each wire.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from llmcore.errors import LlmError

_NO_HEADERS: Mapping[str, str] = {}


class GatewayError(LlmError):
    """An answer that is an error of this gateway. The message is shown to the client as it is.

    status: HTTP status. code: one word for programs. type: the family, in OpenAI's words. param: the path of the
    fault in the request ("messages[2].role"), or None. retry_after: seconds after which it may be asked again.
    headers: more response headers (`allow`, `www-authenticate`).
    """

    default_status: ClassVar[int] = 500
    default_code: ClassVar[str] = "internal_error"
    default_type: ClassVar[str] = "server_error"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        status: int | None = None,
        type: str | None = None,  # noqa: A002 - the wire's own word
        retry_after: float | None = None,
        headers: Mapping[str, str] = _NO_HEADERS,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status: int = self.default_status if status is None else status
        self.code: str = code or self.default_code
        self.type: str = type or self.default_type
        self.param = param
        self.retry_after = retry_after
        self.headers = headers


class BadRequest(GatewayError):
    """The request cannot be understood, or asks for what no wire of ours has."""

    default_status = 400
    default_code = "invalid_request"
    default_type = "invalid_request_error"


class Unauthorized(GatewayError):
    """No key came, or one that is not known, expired or revoked."""

    default_status = 401
    default_code = "invalid_api_key"
    default_type = "authentication_error"


class Forbidden(GatewayError):
    """Who asks is known, and may not do this."""

    default_status = 403
    default_code = "permission_denied"
    default_type = "permission_error"


class NotFound(GatewayError):
    """There is no such thing, or it belongs to somebody else (which is said in the same words)."""

    default_status = 404
    default_code = "not_found"
    default_type = "invalid_request_error"


class MethodNotAllowed(GatewayError):
    """The path exists, the method does not."""

    default_status = 405
    default_code = "method_not_allowed"
    default_type = "invalid_request_error"


class Conflict(GatewayError):
    """The thing has changed meanwhile, or exists already."""

    default_status = 409
    default_code = "conflict"
    default_type = "invalid_request_error"


class TooLarge(GatewayError):
    """The body, or a part of it, exceeds a limit."""

    default_status = 413
    default_code = "request_too_large"
    default_type = "invalid_request_error"


class UnsupportedMedia(GatewayError):
    """A content type or content encoding that is not taken."""

    default_status = 415
    default_code = "unsupported_media_type"
    default_type = "invalid_request_error"


class TooMany(GatewayError):
    """A limit of the key or of the gateway is reached; `retry_after` says when there is room again."""

    default_status = 429
    default_code = "rate_limit_exceeded"
    default_type = "rate_limit_error"


class Unavailable(GatewayError):
    """The gateway cannot serve this now."""

    default_status = 503
    default_code = "service_unavailable"
    default_type = "service_unavailable_error"
