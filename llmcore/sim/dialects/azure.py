"""Azure OpenAI: the deployments URLs with api-version, the v1 URLs, the `api-key` header, filter results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from llmcore.sim.dialects.base import Ask, dumps, sse
from llmcore.sim.dialects.openai import OpenAIDialect
from llmcore.sim.dialects.responses import ResponsesDialect
from llmcore.sim.values import ApiError, Frame, Operation, Understood

_DEPLOYMENT = r"/openai/deployments/(?P<model>[^/]+)"
_SAFE = {
    name: {"filtered": False, "severity": "safe"} for name in ("hate", "self_harm", "sexual", "violence")
}


class AzureDialect(OpenAIDialect):
    """`/openai/deployments/{deployment}/...?api-version=` and `/openai/v1/...`."""

    name = "azure"
    routes: ClassVar[Sequence[tuple[str, str, Operation]]] = (
        ("POST", _DEPLOYMENT + r"/chat/completions", "generate"),
        ("POST", _DEPLOYMENT + r"/embeddings", "embed"),
        ("POST", r"/openai/v1/chat/completions", "generate"),
        ("POST", r"/openai/v1/embeddings", "embed"),
        ("GET", r"/openai(?:/v1)?/models", "models"),
    )

    def __init__(self) -> None:
        super().__init__("azure")

    def understand(self, ask: Ask) -> Understood:
        needs_version(ask)
        return super().understand(ask)

    def key_of(self, ask: Ask) -> str | None:
        return ask.headers.get("api-key") or super().key_of(ask)

    def choice_extra(self) -> dict[str, Any]:
        return {"content_filter_results": _SAFE}

    def body_extra(self) -> dict[str, Any]:
        return {"prompt_filter_results": [{"prompt_index": 0, "content_filter_results": _SAFE}]}

    def first_frames(self, chunk: Any) -> list[Frame]:
        body = {"id": "", "object": "", "created": 0, "model": "", "choices": [], **self.body_extra()}
        return [Frame(sse(dumps(body)))]

    def error_body(self, error: ApiError) -> dict[str, Any]:
        body = super().error_body(error)
        match error.kind:
            case "filter":
                inner = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": _SAFE}
                body["error"] |= {"code": "content_filter", "innererror": inner, "status": 400}
            case "auth":
                body["error"] = {"code": "401", "message": "Access denied due to invalid subscription key."}
            case "not_found":
                message = "The API deployment for this resource does not exist."
                body["error"] = {"code": "DeploymentNotFound", "message": message}
            case "endpoint":
                body["error"] = {"code": "404", "message": "Resource not found"}
            case "rate_limit":
                body["error"]["code"] = "429"
            case _:
                pass
        return body

    def request_id(self, number: str) -> tuple[tuple[str, str], ...]:
        return (("apim-request-id", f"req_{number}"), ("x-request-id", f"req_{number}"))


class AzureResponses(ResponsesDialect):
    """`POST /openai/v1/responses`, and the same with an api-version."""

    routes: ClassVar[Sequence[tuple[str, str, Operation]]] = (
        ("POST", r"/openai(?:/v1)?/responses", "generate"),
    )

    def understand(self, ask: Ask) -> Understood:
        needs_version(ask)
        return super().understand(ask)

    def key_of(self, ask: Ask) -> str | None:
        return ask.headers.get("api-key") or super().key_of(ask)


def needs_version(ask: Ask) -> None:
    """Outside v1 every call must say its api-version. Raises ApiError."""
    if "/openai/v1/" not in ask.path + "/" and not ask.query.get("api-version"):
        raise ApiError("endpoint", "Resource not found")
