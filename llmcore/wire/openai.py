"""The OpenAI chat-completions dialect, and through its constructor's data every dialect that differs from it in words.

Source: the OpenAI API reference (chat, embeddings, models) and the deviations of its many imitators. What one vendor
does otherwise is data of the instance, or a small subclass next to the vendor's place; nothing here asks who is served.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, TypeAlias

from attrs import field, frozen

from llmcore.errors import ProviderError, UnsupportedFeatureError
from llmcore.types import (
    Audio,
    Effort,
    EmbeddingRequest,
    EmbeddingResponse,
    File,
    GenerationRequest,
    GenerationResponse,
    Image,
    Reasoning,
    Usage,
)
from llmcore.wire import openai_decode as decode
from llmcore.wire import openai_encode as encode
from llmcore.wire import openai_lists as lists
from llmcore.wire import openai_messages as turns
from llmcore.wire import openai_usage as counts
from llmcore.wire.base import Encoded, HttpRequest, ModelPage, Warnings, Wire
from llmcore.wire.caching import unmarked
from llmcore.wire.classify import ErrorFacts
from llmcore.wire.openai_errors import ErrorRule, general_error_class
from llmcore.wire.openai_stream import OpenAIStreamDecoder
from llmcore.wire.read import Json, dumps, loads
from llmcore.wire.structured import AnswerEvents, from_tool, validated
from llmcore.wire.vectors import Vector, vector_of

Operation: TypeAlias = Literal["chat", "embed", "models"]
ReasoningStyle: TypeAlias = Literal["effort", "nested", "thinking", "enabled", "none"]
StructuredMode: TypeAlias = Literal["json_schema", "json_object", "tool", "prompt"]

FEATURES = frozenset({"stream", "tools", "images", "structured_output", "reasoning", "embeddings", "models"})
"""What most vendors of this dialect have; a wire may also have "files", "file_urls", "audio", "refusal",
"tool_images" and "assistant_images"."""

_PATHS: dict[Operation, str] = {"chat": "/chat/completions", "embed": "/embeddings", "models": "/models"}


@frozen
class OpenAIWire(Wire):
    """One vendor's way of speaking the dialect.

    origin: whose private notes (reasoning, opaque blocks) go back to it, and to no other.
    without: parameters that are left out with a warning: "temperature", "top_p", "stop", "seed",
        "parallel_tool_calls", "strict", "name", "detail", "dimensions".
    max_tokens_field, seed_field, dimensions_field: the vendor's names. input_type_field: None where it has none.
    system_role, required_word: "system" or "developer"; "required" or "any".
    one_system: whether all system messages go as one at the top, since models' templates may take no other.
    stream_usage: whether `stream_options.include_usage` is sent.
    reasoning: how an effort is asked for: `reasoning_effort`; `reasoning {effort | max_tokens}`; `thinking {type}`
        with `reasoning_effort`; `reasoning {enabled}` with `reasoning_effort`; or not at all.
    efforts: the words that the vendor knows; another one becomes the nearest, with a warning. Empty: all.
    reasoning_back: whether the vendor's reasoning goes back to it: plain text with the tool calls it led to, in the
        field in which it came; sealed blocks and `reasoning_details` with every message.
    structured: schemas natively, by a tool, by `json_object` and a prompt, or by a prompt alone (the answer is then
        checked).
    max_call_id: longer tool-call ids (another vendor's) are shortened, calls and results alike.
    embed_base64: whether vectors are asked for as base64, a quarter of the bytes.
    json_object: whether "json" is asked for as `json_object`, or as a schema that fits every object.
    headers, constants: sent with every request; laid into every chat body.
    failures: finish reasons that mean that the vendor failed. rules: its errors, see `ErrorRule`.
    """

    dialect: ClassVar[str] = "openai"

    origin: str = "openai"
    features: frozenset[str] = FEATURES
    without: frozenset[str] = frozenset()
    max_tokens_field: str = "max_tokens"
    seed_field: str = "seed"
    system_role: Literal["system", "developer"] = "system"
    one_system: bool = False
    required_word: Literal["required", "any"] = "required"
    stream_usage: bool = True
    reasoning: ReasoningStyle = "effort"
    efforts: tuple[Effort, ...] = ()
    reasoning_back: bool = True
    structured: StructuredMode = "json_schema"
    max_call_id: int | None = None
    embed_batch: int = 2048
    embed_batch_chars: int | None = None
    embed_base64: bool = False
    dimensions_field: str = "dimensions"
    input_type_field: str | None = None
    json_object: bool = True
    headers: Mapping[str, str] = field(factory=dict)
    constants: Mapping[str, Any] = field(factory=dict)
    failures: Mapping[str, type[ProviderError]] = field(factory=dict)
    rules: tuple[ErrorRule, ...] = ()

    # ------------------------------------------------------------------------------------------- generate

    def encode_generate(self, request: GenerationRequest, /, *, stream: bool) -> Encoded:
        warnings = Warnings()
        body = encode.chat_body(self, unmarked(request, warnings), warnings, stream=stream)
        return Encoded(self._post("chat", request.model, body), warnings.done())

    def decode_generate(self, body: bytes, request: GenerationRequest, /) -> GenerationResponse:
        response = decode.chat_response(self, body)
        wanted = request.response_format
        if wanted is None or self.structured == "json_schema":
            return response
        return from_tool(response, wanted) if self.structured == "tool" else validated(response, wanted)

    def event_decoder(self, request: GenerationRequest, /) -> OpenAIStreamDecoder:
        wanted = request.response_format
        answer = AnswerEvents(wanted) if wanted is not None and self.structured == "tool" else None
        return OpenAIStreamDecoder(self, request, answer)

    # ------------------------------------------------------------------------------- embeddings and models

    def encode_embed(self, request: EmbeddingRequest, /) -> Encoded:
        self.need("embeddings", "this provider has no embeddings")
        warnings = Warnings()
        body = self.embed_body(request, warnings)
        return Encoded(self._post("embed", request.model, body), warnings.done())

    def decode_embed(self, body: bytes, request: EmbeddingRequest, /) -> EmbeddingResponse:
        return lists.embed_response(self, body, request)

    def encode_models(self, cursor: str | None = None, /) -> Encoded:
        self.need("models", "this provider does not list its models")
        return Encoded(HttpRequest("GET", self.path("models", None), headers=self.headers))

    def decode_models(self, body: bytes, /) -> ModelPage:
        value = loads(body)
        if isinstance(value, dict):
            self.raise_error_in(value)
        return ModelPage(lists.model_infos(value))

    def _post(self, operation: Operation, model: str | None, body: Json) -> HttpRequest:
        return HttpRequest("POST", self.path(operation, model), dumps(body), self.headers)

    # --------------------------------------------------------------------------------------------- errors

    def error_class(self, facts: ErrorFacts) -> type[ProviderError] | None:
        for rule in self.rules:
            if rule.fits(facts):
                return rule.error
        return general_error_class(facts)

    # --------------------------------------------------------- what a vendor's subclass may say differently

    def path(self, operation: Operation, model: str | None) -> str:
        return _PATHS[operation]

    def messages(self, request: GenerationRequest, warnings: Warnings) -> list[Json]:
        return turns.messages(self, request, warnings)

    def assistant_message(self, message: Json) -> Json:
        """The last word on an encoded assistant message."""
        return message

    def image_part(self, image: Image, warnings: Warnings) -> Json:
        return turns.image_part(self, image, warnings)

    def file_part(self, file: File, warnings: Warnings) -> Json:
        return turns.file_part(self, file)

    def audio_part(self, audio: Audio) -> Json:
        return turns.audio_part(audio)

    def reasoning_fields(self, reasoning: Reasoning, warnings: Warnings) -> dict[str, Any]:
        return encode.reasoning_fields(self, reasoning, warnings)

    def call_id(self, call_id: str) -> str:
        return turns.short_id(call_id, self.max_call_id)

    def usage(self, raw: Json) -> Usage:
        """The vendor's usage object, which may be anything."""
        return counts.usage(raw)

    def usage_in(self, body: Mapping[str, Any]) -> Json:
        """The usage object of an answer or chunk, where it has one."""
        return counts.usage_in(body)

    def embed_body(self, request: EmbeddingRequest, warnings: Warnings) -> dict[str, Any]:
        return encode.embed_body(self, request, warnings)

    def vector(self, value: Json) -> Vector:
        return vector_of(value)

    def need(self, feature: str, why: str) -> None:
        """Raise UnsupportedFeatureError unless the wire has that feature."""
        if feature not in self.features:
            raise UnsupportedFeatureError(why)
