"""Anthropic's Messages API, and everyone who speaks it: `POST /v1/messages`, `GET /v1/models`.

Source: Anthropic's API reference and SDK 2.11. Every request names its API version; see `anthropic_encode` for what
the versions take, `anthropic_content` for messages and blocks, `anthropic_decode` and `anthropic_stream` for answers.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import ClassVar, Literal
from urllib.parse import quote

from attrs import evolve, frozen

from llmcore import errors
from llmcore.errors import ProviderError
from llmcore.types import GenerationRequest, GenerationResponse, ModelInfo
from llmcore.wire import structured
from llmcore.wire.anthropic_decode import decode_message
from llmcore.wire.anthropic_encode import RequestEncoder, Rules
from llmcore.wire.anthropic_stream import AnthropicDecoder
from llmcore.wire.base import Encoded, HttpRequest, ModelPage, Wire
from llmcore.wire.classify import ErrorFacts, facts_of, says_context_length, status_in_body
from llmcore.wire.read import Json, as_count, as_dict, as_list, as_str, dumps, parse_object

VERSION = "2026-10-21"
FILES_BETA = "files-api-2025-04-14"
FEATURES = frozenset(
    {
        "stream",
        "tools",
        "tool_images",
        "images",
        "files",
        "file_urls",
        "structured_output",
        "reasoning",
        "models",
    }
)


@frozen
class AnthropicWire(Wire):
    """The dialect in one API version.

    max_tokens: the limit where a request sets none (the API needs one). structured_output: "native" asks for a JSON schema
    by `output_config.format`, "tool" by a forced tool, for models without the former. betas: values of the
    `anthropic-beta` header that the configuration sets, kept beside the wire's own.
    """

    version: str = VERSION
    max_tokens: int = 4096
    structured_output: Literal["native", "tool"] = "native"
    betas: tuple[str, ...] = ()

    dialect: ClassVar[str] = "anthropic"
    features = FEATURES

    @property
    def rules(self) -> Rules:
        return Rules(
            self.dialect, self.version >= VERSION, self.max_tokens, self.structured_output == "native"
        )

    # ------------------------------------------------------------------------------------------- messages

    def encode_generate(self, request: GenerationRequest, /, *, stream: bool) -> Encoded:
        encoder = RequestEncoder(request, self.rules)
        body = dumps(encoder.body(stream=stream))
        headers = self._headers(uses_files=encoder.uses_files)
        return Encoded(HttpRequest("POST", "/v1/messages", body, headers), encoder.warnings.done())

    def decode_generate(self, body: bytes, request: GenerationRequest, /) -> GenerationResponse:
        value = parse_object(body)
        if value.get("type") == "error":
            raise self.error_in(value)
        self.raise_error_in(value)
        response = decode_message(value, self.dialect)
        asked = request.response_format
        if asked is None or not self.rules.answers_by_tool(request):
            return response
        return structured.from_tool(response, asked)

    def event_decoder(self, request: GenerationRequest, /) -> AnthropicDecoder:
        asked = request.response_format
        if asked is None or not self.rules.answers_by_tool(request):
            return AnthropicDecoder(self, request, None)
        return AnthropicDecoder(self, request, structured.AnswerEvents(asked))

    def _headers(self, *, uses_files: bool = False) -> dict[str, str]:
        headers = {"anthropic-version": self.version}
        if uses_files and FILES_BETA not in self.betas:
            headers["anthropic-beta"] = ",".join((*self.betas, FILES_BETA))
        return headers

    # --------------------------------------------------------------------------------------------- models

    def encode_models(self, cursor: str | None = None, /) -> Encoded:
        after = f"&after_id={quote(cursor, safe='')}" if cursor else ""
        return Encoded(HttpRequest("GET", f"/v1/models?limit=1000{after}", headers=self._headers()))

    def decode_models(self, body: bytes, /) -> ModelPage:
        value = parse_object(body)
        self.raise_error_in(value)
        if not isinstance(value.get("data"), list):
            raise errors.MalformedResponseError("the list of models has no data", phase="parse")
        models = tuple(info for item in as_list(value["data"]) if (info := _model(as_dict(item))))
        if value.get("has_more") is not True or not models:
            return ModelPage(models)
        return ModelPage(models, as_str(value.get("last_id")) or models[-1].id)

    # --------------------------------------------------------------------------------------------- errors

    def make_error(self, facts: ErrorFacts) -> ProviderError:
        code = as_str(as_dict(facts.error.get("details")).get("error_code"))
        return super().make_error(evolve(facts, code=code) if code else facts)

    def error_in(self, value: Json) -> ProviderError:
        """The error inside a 200 or a stream; the status is that of its type."""
        facts = facts_of(value, 500)
        status = _STATUS.get(facts.type or "") or status_in_body(facts)
        return self.make_error(evolve(facts, status=status))

    def error_class(self, facts: ErrorFacts) -> type[ProviderError] | None:
        if cls := _BY_CODE.get(facts.code or ""):
            return cls
        if facts.type == "invalid_request_error" and facts.status == 400:
            return _invalid(facts)
        if facts.type == "authentication_error" and facts.text.startswith("cors requests are not allowed"):
            return errors.EndpointError
        return _BY_TYPE.get(facts.type or "")


def _invalid(facts: ErrorFacts) -> type[ProviderError]:
    """Money, policy and length come as invalid requests too, told apart by their words alone."""
    if "usage limits" in facts.text or "credit balance is too low" in facts.text:
        return errors.QuotaExhaustedError
    if "content filtering policy" in facts.text:
        return errors.ContentFilterError
    return errors.ContextLengthError if says_context_length(facts.text) else errors.InvalidRequestError


_BY_CODE: dict[str, type[ProviderError]] = {
    "enforced_spend_limit_reached": errors.QuotaExhaustedError,
    "contract_spend_limit_reached": errors.QuotaExhaustedError,
    "linked_organization_spend_limit_reached": errors.QuotaExhaustedError,
    "linked_organization_billing_unavailable": errors.QuotaExhaustedError,
    "ramp_limit_exceeded": errors.RateLimitError,
    "request_body_too_large_after_decoding": errors.InvalidRequestError,
    "cmek_key_unreachable": errors.ServerError,
}

_BY_TYPE: dict[str, type[ProviderError]] = {
    "authentication_error": errors.AuthenticationError,
    "billing_error": errors.QuotaExhaustedError,
    "permission_error": errors.PermissionDeniedError,
    "not_found_error": errors.ModelNotFoundError,
    "conflict_error": errors.ServerError,
    "request_too_large": errors.InvalidRequestError,
    "rate_limit_error": errors.RateLimitError,
    "timeout_error": errors.ReadTimeout,
    "overloaded_error": errors.OverloadedError,
}
"""`api_error` is not here: its status tells a failure (500) from a lack of capacity (503, 529)."""

_STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "conflict_error": 409,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}


def _model(item: dict[str, Json]) -> ModelInfo | None:
    name = as_str(item.get("id"))
    if name is None:
        return None
    tree = item.get("capabilities")
    return ModelInfo(
        id=name,
        display_name=as_str(item.get("display_name")),
        context_window=as_count(item.get("max_input_tokens")),
        max_output_tokens=as_count(item.get("max_tokens")),
        created=_seconds(item.get("created_at")),
        capabilities=frozenset(_supported(tree)) if isinstance(tree, dict) else None,
        raw=item,
    )


def _supported(tree: dict[str, Json], path: str = "") -> list[str]:
    """Names of all that is supported, as dotted paths: "thinking", "effort.high"."""
    found: list[str] = []
    for key, node in tree.items():
        if isinstance(node, dict):
            if node.get("supported") is True:
                found.append(path + key)
            found += _supported(node, f"{path}{key}.")
    return found


def _seconds(text: Json) -> int | None:
    """RFC 3339 to seconds since the epoch; the epoch itself is how Anthropic says that it does not know."""
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return int(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()) or None
