"""The OpenAPI document, made of the table of routes: what is not in the table is not in it, and the other way round.

OpenAPI 3.1 has no word of its own for streams of server-sent events: under `text/event-stream` stands, as is usual, the
schema of one event.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from llmcore._version import __version__
from llmcore.gateway.access.idempotency import LONGEST
from llmcore.gateway.access.policy import Access
from llmcore.gateway.api.anthropic_schemas import ANTHROPIC_ERROR
from llmcore.gateway.api.openai_schemas import OPENAI_ERROR
from llmcore.gateway.api.openapi_errors import error_responses, errors_of
from llmcore.gateway.api.schemas import COUNT, TEXT, Schema, told
from llmcore.gateway.api.table import Route

JSON = "application/json"
SSE = "text/event-stream"

_KEYS = ("bearer", "x-api-key", "x-goog-api-key")
_WHO: dict[Access, str] = {
    "open": "Open to everybody.",
    "inference": "Needs a key with the scope `inference`.",
    "account": "Needs a key with the scope `account`, or a signed-in browser.",
    "admin": "For administrators: a key with the scope `admin`, or their browser.",
}
_ABOUT = (
    "One address for every model: the OpenAI and Anthropic wires, and the gateway's own affairs. `/proxy/llm/v1/...` is"
    " another name of `/v1/...`. Send exactly one credential. A browser's session is told by its cookie, and with"
    " anything but GET also by `Origin` and `x-csrf-token`."
)
_HEADERS: dict[str, dict[str, Any]] = {
    "x-request-id": {
        "description": "Names the request in the gateway's log; yours, where you sent one.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,128}$"},
    },
    "retry-after": {"description": "Seconds.", "schema": COUNT},
    "www-authenticate": {"description": "Which credential is taken.", "schema": TEXT},
    "x-llmcore-provider": {"description": "Who answered.", "schema": TEXT},
    "x-llmcore-model": {"description": "The model that answered.", "schema": TEXT},
    "x-llmcore-attempts": {"description": "How many requests to providers it took.", "schema": COUNT},
    "x-llmcore-overhead-ms": {
        "description": "Time that was the gateway's own.",
        "schema": {"type": "number"},
    },
    "x-llmcore-warnings": {"description": "What was lost in translation.", "schema": TEXT},
}
_OF_CALLS = tuple(name for name in _HEADERS if name.startswith("x-llmcore-"))
_CALL_PARAMETERS: dict[str, Schema] = {
    "x-llmcore-session": told(TEXT, "A session (`/api/sessions`), which says who answers."),
    "x-llmcore-agent": told(TEXT, "An agent of that session."),
    "x-request-timeout-ms": told(
        {"type": "string", "pattern": "^0*[1-9][0-9]*$", "maxLength": 12},
        "When the answer is of no use any more.",
    ),
    "idempotency-key": told(
        {"type": "string", "pattern": "^[!-~]([ -~]*[!-~])?$", "maxLength": LONGEST},
        "A repeated whole request gets the answer that was given.",
    ),
}


def document(routes: Iterable[Route], *, server: str | None = None) -> dict[str, Any]:
    """OpenAPI 3.1."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.shown_path, {})[route.method.lower()] = _operation(route)
    found: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "llmcore gateway", "version": __version__, "description": _ABOUT},
        "paths": paths,
        "components": _components(),
    }
    if server is not None:
        found["servers"] = [{"url": server}]
    return found


def _components() -> dict[str, Any]:
    return {
        "securitySchemes": {
            "bearer": {"type": "http", "scheme": "bearer"},
            "x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            "x-goog-api-key": {"type": "apiKey", "in": "header", "name": "x-goog-api-key"},
            "browser": {
                "type": "apiKey",
                "in": "cookie",
                "name": "llmcore",
                "description": "Set by `POST /api/sign-in`; with TLS its name is `__Host-llmcore`.",
            },
        },
        "schemas": {"Error": OPENAI_ERROR, "AnthropicError": ANTHROPIC_ERROR},
        "responses": error_responses(),
        "headers": _HEADERS,
    }


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": f"{route.method.lower()}_{route.shown_path.strip('/').replace('/', '_')}".translate(
            _PLAIN
        ),
        "summary": route.summary,
        "description": _WHO[route.access],
        "tags": [route.tag or "gateway"],
        "security": _security(route),
        "parameters": [
            *_path_parameters(route),
            *_parameters("query", route.query),
            *_header_parameters(route),
        ],
        "responses": _responses(route),
    }
    if route.request is not None:
        operation["requestBody"] = {
            "required": bool(route.request.get("required")),
            "content": _content(route.request),
        }
    return operation


def _security(route: Route) -> list[dict[str, list[str]]]:
    """Any one of these."""
    if route.access == "open":
        return []
    browser = route.cookies and route.access != "inference"
    return [{name: []} for name in (*_KEYS, *(("browser",) if browser else ()))]


_PLAIN = str.maketrans({"{": "", "}": "", ":": "_", ".": "_", "-": "_"})


def _content(schema: Schema | Mapping[str, Any]) -> dict[str, Any]:
    """A JSON body; the examples of its schema stand beside it, where tools look for them."""
    plain = {name: value for name, value in schema.items() if name != "examples"}
    values = schema.get("examples", ())
    told_ones = {f"example-{number}": {"value": value} for number, value in enumerate(values, 1)}
    return {JSON: {"schema": plain, "examples": told_ones} if told_ones else {"schema": plain}}


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    schema = {"type": "string", "minLength": 1, "pattern": "^[^/]+$"}
    return [{"name": name, "in": "path", "required": True, "schema": schema} for name in route.parameters]


def _parameters(place: str, schemas: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": place,
            "required": False,
            "description": schema["description"],
            "schema": {key: value for key, value in schema.items() if key != "description"},
        }
        for name, schema in schemas.items()
    ]


def _header_parameters(route: Route) -> list[dict[str, Any]]:
    return _parameters("header", {**(_CALL_PARAMETERS if route.asks_model else {}), **route.headers})


def _responses(route: Route) -> dict[str, Any]:
    errors = {
        str(status): {"$ref": f"#/components/responses/{name}"} for status, name in errors_of(route).items()
    }
    return {str(route.status): _good(route), **errors}


def _good(route: Route) -> dict[str, Any]:
    content: dict[str, Any] = {}
    if route.media_type == JSON:
        content |= _content(route.response or {})
    elif route.media_type != SSE:
        content[route.media_type] = {"schema": TEXT}
    if route.events is not None:
        content[SSE] = {"schema": route.events}
    names = ("x-request-id", *(_OF_CALLS if route.asks_model else ()))
    headers = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
    return {"description": route.summary, "headers": headers, "content": content}
