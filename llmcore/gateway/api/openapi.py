"""The OpenAPI document, made of the table of routes: what is not in the table is not in it, and the other way round."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from llmcore._version import __version__
from llmcore.gateway.api import schemas
from llmcore.gateway.api.table import Route

_SECURITY: dict[str, list[dict[str, list[str]]]] = {
    "open": [],
    "inference": [{"bearer": []}, {"x-api-key": []}],
    "account": [{"bearer": []}, {"x-api-key": []}, {"browser": []}],
    "admin": [{"bearer": []}, {"x-api-key": []}, {"browser": []}],
}
_WHO = {
    "open": "Open to everybody.",
    "inference": "Needs a key with the scope `inference`.",
    "account": "Needs a key with the scope `account`, or a signed-in browser.",
    "admin": "For administrators.",
}
_ERRORS = {
    "400": "The request cannot be understood; `param` names the place.",
    "401": "No key, or one that is not valid.",
    "403": "Not for this key or user.",
    "404": "There is no such thing, or it is another user's.",
    "405": "Not with this method.",
    "408": "The body did not arrive in time.",
    "409": "It was changed meanwhile.",
    "413": "The body is too large.",
    "415": "Not JSON, or compressed.",
    "421": "Not under this host name.",
    "429": "A limit is reached; `retry-after` says for how long.",
    "500": "The gateway has failed.",
    "503": "Not now.",
}
_UPSTREAM = {
    "402": "A provider wants to be paid.",
    "422": "The same Idempotency-Key came with another body.",
    "502": "A provider failed.",
    "504": "A provider took too long.",
    "529": "Every provider is overloaded (Anthropic's wire).",
}


def document(routes: Iterable[Route], *, server: str | None = None) -> dict[str, Any]:
    """OpenAPI 3.1."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        path = route.path.replace(":path}", "}")
        paths.setdefault(path, {})[route.method.lower()] = _operation(route)
    found: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "llmcore gateway",
            "version": __version__,
            "description": "One address for every model: the OpenAI and Anthropic wires, and the gateway's own affairs."
            " `/proxy/llm/v1/...` is another name of `/v1/...`.",
        },
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
                "browser": {"type": "apiKey", "in": "cookie", "name": "llmcore"},
            },
            "schemas": {"Error": schemas.ERROR},
        },
    }
    if server is not None:
        found["servers"] = [{"url": server}]
    return found


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": f"{route.method.lower()}_{route.path.strip('/').replace('/', '_')}".translate(_PLAIN),
        "summary": route.summary,
        "description": _WHO[route.access],
        "tags": [route.tag or "gateway"],
        "security": _SECURITY[route.access],
        "parameters": [*_path_parameters(route), *_query_parameters(route)],
        "responses": _responses(route),
    }
    if route.request is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": route.request}},
        }
    return operation


_PLAIN = str.maketrans({"{": "", "}": "", ":": "_", ".": "_", "-": "_"})


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    names = [part[1:-1].removesuffix(":path") for part in route.path.split("/") if part.startswith("{")]
    schema = {"type": "string", "minLength": 1, "pattern": "^[^/]+$"}
    return [{"name": name, "in": "path", "required": True, "schema": schema} for name in names]


def _query_parameters(route: Route) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "query", "description": what, "schema": {"type": "string"}}
        for name, what in route.query.items()
    ]


def _responses(route: Route) -> dict[str, Any]:
    schema = route.response if route.response is not None else {}
    good: dict[str, Any] = {"description": "Good."}
    content = {
        route.media_type: {"schema": schema if route.media_type == "application/json" else {"type": "string"}}
    }
    if route.access == "inference" and route.method == "POST":
        content["text/event-stream"] = {"schema": {"type": "string"}}
    good["content"] = content
    errors = {**_ERRORS, **(_UPSTREAM if route.access == "inference" else {})}
    error: dict[str, Any] = {"application/json": {"schema": {}}}
    return {
        str(route.status): good,
        **{status: {"description": what, "content": error} for status, what in errors.items()},
    }
