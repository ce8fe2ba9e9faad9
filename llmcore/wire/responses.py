"""The OpenAI Responses dialect: flat items in and out, named events in streams. Embeddings, models and errors are the
chat dialect's. Source: the OpenAI OpenAPI specification 2.3, and recorded traffic of those who imitate it.
"""

from __future__ import annotations

from typing import ClassVar
from urllib.parse import quote

from attrs import evolve, frozen

from llmcore.errors import (
    ContentFilterError,
    InvalidRequestError,
    MalformedResponseError,
    PermissionDeniedError,
    ProviderError,
    ServerError,
)
from llmcore.provider import Fold
from llmcore.types import Finished, GenerationRequest, GenerationResponse
from llmcore.wire.base import Encoded, HttpRequest, Pending, Warnings
from llmcore.wire.caching import unmarked
from llmcore.wire.classify import ErrorFacts, facts_of, status_in_body
from llmcore.wire.openai import FEATURES, OpenAIWire, Operation
from llmcore.wire.openai_errors import ErrorRule
from llmcore.wire.read import Json, as_list, as_str, parse_object
from llmcore.wire.responses_decode import Output
from llmcore.wire.responses_encode import response_body
from llmcore.wire.responses_end import STATUSES, finish_of, usage_of
from llmcore.wire.responses_stream import ResponsesDecoder
from llmcore.wire.structured import validated

POLL_S = 2.0
"""The pause between looks at an answer that is written in the background."""

_RULES = (
    ErrorRule(ServerError, code=("server_error", "vector_store_timeout")),
    ErrorRule(
        ContentFilterError,
        code=(
            "invalid_prompt",
            "bio_policy",
            "misalignment_policy_violation",
            "image_content_policy_violation",
        ),
    ),
    ErrorRule(PermissionDeniedError, code="data_residency_mismatch"),
)

_STATUS_OF = {
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "too_many_requests": 429,
    "tokens": 429,
    "invalid_request_error": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
}
"""The status that a code or type would have come with, had it not come inside an answer that began with 200."""


@frozen
class ResponsesWire(OpenAIWire):
    """One vendor's way of speaking the dialect; see OpenAIWire for the fields that both have.

    stateless: whether `store: false` is sent, and sealed reasoning asked for.
    unsealed_models: beginnings of the names of models that do not reason, and refuse to be asked for sealed reasoning.
    """

    dialect: ClassVar[str] = "openai_responses"
    retry_hints_in_text: ClassVar[bool] = True

    origin: str = "openai_responses"
    features: frozenset[str] = FEATURES | {"files", "file_urls", "refusal", "tool_images"}
    max_call_id: int | None = 64
    rules: tuple[ErrorRule, ...] = _RULES
    stateless: bool = True
    unsealed_models: tuple[str, ...] = ()

    def path(self, operation: Operation, model: str | None) -> str:
        return "/responses" if operation == "chat" else OpenAIWire.path(self, operation, model)

    def encode_generate(self, request: GenerationRequest, /, *, stream: bool) -> Encoded:
        warnings = Warnings()
        body = response_body(self, unmarked(request, warnings), warnings, stream=stream)
        return Encoded(self._post("chat", request.model, body), warnings.done())

    def decode_generate(self, body: bytes, request: GenerationRequest, /) -> GenerationResponse | Pending:  # type: ignore[override]  # a background answer is not there yet
        value = parse_object(body)
        status = as_str(value.get("status"))
        if status not in {"completed", "incomplete"}:
            self.raise_error_in(value)
        if not isinstance(value.get("output"), list) and status not in STATUSES:
            raise MalformedResponseError("the body is no Responses answer: it has no output", phase="parse")
        if status in {"queued", "in_progress"} and value.get("background") and value.get("id"):
            return self._pending(str(value["id"]))
        response = self.response_of(value)
        if self.structured != "json_schema" and request.response_format is not None:
            return validated(response, request.response_format)
        return response

    def event_decoder(self, request: GenerationRequest, /) -> ResponsesDecoder:  # type: ignore[override]  # another decoder for another dialect
        return ResponsesDecoder(self, request)

    def response_of(self, value: dict[str, Json]) -> GenerationResponse:
        """A whole `Response` object. Raises what it failed with."""
        output, fold = Output(self.origin), Fold()
        for event in [*output.complete(as_list(value.get("output"))), self.finished(value, output)]:
            fold.add(event)
        return evolve(fold.response(), raw=value)

    def finished(self, value: dict[str, Json], output: Output) -> Finished:
        """The end of an answer, from its final `Response` object. Raises what it failed with."""
        if value.get("status") == "failed":
            raise self.error_in(value)
        reason, raw = finish_of(value, output)
        return Finished(
            reason, raw, usage_of(value.get("usage")), as_str(value.get("model")), id=as_str(value.get("id"))
        )

    def error_in(self, value: Json) -> ProviderError:
        facts = facts_of(value, 500)
        status = status_in_body(facts)
        if status == 500:
            status = next((_STATUS_OF[word] for word in (facts.code, facts.type) if word in _STATUS_OF), 500)
        return self.make_error(evolve(facts, status=status))

    def error_class(self, facts: ErrorFacts) -> type[ProviderError] | None:
        code = (facts.code or "").lower()
        if "image" in code and "policy" not in code:
            return InvalidRequestError
        return OpenAIWire.error_class(self, facts)

    def _pending(self, id_: str) -> Pending:
        path, _, query = self.path("chat", None).partition("?")
        path, query = f"{path}/{quote(id_, safe='')}", query and f"?{query}"
        return Pending(
            HttpRequest("GET", path + query, headers=self.headers),
            POLL_S,
            HttpRequest("POST", f"{path}/cancel{query}", headers=self.headers),
        )
