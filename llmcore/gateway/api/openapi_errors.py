"""Which errors a route may answer with, and how each looks: made by the very code that says them."""

from __future__ import annotations

from typing import Any

from llmcore import errors as ours
from llmcore.gateway import errors
from llmcore.gateway.api.table import Route
from llmcore.gateway.mirror.base import Failure
from llmcore.gateway.mirror.errors import anthropic_error, openai_error

_REQUEST = "req_0123456789abcdef01234567"

MEANINGS: dict[int, tuple[str, Failure]] = {
    400: (
        "The request cannot be understood; `param` names the place.",
        errors.BadRequest("limit: must be a whole number from 1 to 1000", param="limit"),
    ),
    401: ("No key, or one that is not valid.", errors.Unauthorized("the API key is missing or not valid")),
    402: ("The account at the provider has no credit left.", ours.QuotaExhaustedError("no credit is left")),
    403: ("Not for this key or user.", errors.Forbidden("only administrators may do this")),
    404: ("There is no such thing, or it is another user's.", errors.NotFound("there is no such session")),
    408: (
        "The body did not arrive in time.",
        errors.BadRequest("the request's body did not arrive in time", status=408, code="request_timeout"),
    ),
    409: (
        "Somebody was faster, or it exists already.",
        errors.Conflict("the settings were changed meanwhile"),
    ),
    413: ("The body is too large.", errors.TooLarge("the request is larger than the bytes that are taken")),
    415: ("Not JSON, or compressed.", errors.UnsupportedMedia("send JSON")),
    421: (
        "Not under this host name.",
        errors.GatewayError(
            "this gateway does not answer under that host name",
            status=421,
            code="misdirected_request",
            type="invalid_request_error",
        ),
    ),
    422: (
        "The provider cannot process it, or the Idempotency-Key came with another body before.",
        errors.BadRequest("this Idempotency-Key came with another body", status=422),
    ),
    429: ("A limit is reached; `retry-after` says for how long.", errors.TooMany("too many requests")),
    500: ("The gateway has failed.", errors.GatewayError("the gateway has failed; its log has more")),
    502: ("A provider failed.", ours.ServerError("the provider answered with an error")),
    503: ("Not now.", errors.Unavailable("the database cannot be used now; try again", retry_after=5.0)),
    504: ("A provider took too long.", ours.TimeoutError("no answer within 60 s")),
    529: ("Not now, or every provider is overloaded.", ours.OverloadedError("overloaded")),
}
_ALWAYS = (400, 421, 500)
_KNOWN_CALLER = (401, 403)
_WITH_BODY = (408, 413, 415)
_OF_MODELS = (404, 409, 422, 429, 502, 504)
_OF_BOTH = {*_ALWAYS, *_KNOWN_CALLER, 404, 503, 529}
_OPENAI = {"$ref": "#/components/schemas/Error"}
_ANTHROPIC = {"$ref": "#/components/schemas/AnthropicError"}
_SCHEMAS: dict[str, Any] = {
    "": _OPENAI,
    "Anthropic": _ANTHROPIC,
    "Either": {"anyOf": [_OPENAI, _ANTHROPIC]},
}
_HEADERS = {401: ("www-authenticate",), 429: ("retry-after",), 503: ("retry-after",), 529: ("retry-after",)}


def errors_of(route: Route) -> dict[int, str]:
    """Each status with the name of its response in the document."""
    found = {*_ALWAYS, *route.errors}
    if route.access != "open":
        found |= {*_KNOWN_CALLER, 503}
    if route.request is not None:
        found |= {*_WITH_BODY}
    if route.parameters:
        found.add(404)
    if route.asks_model:
        found |= {*_OF_MODELS}
    if route.anthropic:
        found = (found - {503}) | {529, *((402,) if route.asks_model else ())}
    if route.both and 503 in found:
        found.add(529)
    shape = "Either" if route.both else "Anthropic" if route.anthropic else ""
    return {status: f"{shape}Error{status}" for status in sorted(found)}


def error_responses() -> dict[str, Any]:
    """The responses of the document: each status in OpenAI's shape, which is ours too, in Anthropic's, or in either."""
    wanted = {"": {*MEANINGS} - {402, 529}, "Anthropic": {*MEANINGS} - {503}, "Either": _OF_BOTH}
    return {
        f"{shape}Error{status}": _response(status, shape)
        for status in MEANINGS
        for shape, statuses in wanted.items()
        if status in statuses
    }


def _response(status: int, shape: str) -> dict[str, Any]:
    description, error = MEANINGS[status]
    said = (anthropic_error if shape == "Anthropic" else openai_error)(error, request_id=_REQUEST)
    names = ("x-request-id", *_HEADERS.get(status, ()))
    return {
        "description": description,
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in names},
        "content": {"application/json": {"schema": _SCHEMAS[shape], "example": said.body}},
    }
