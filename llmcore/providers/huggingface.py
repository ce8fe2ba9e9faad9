"""Hugging Face: the OpenAI wire of its router; embeddings are a pipeline beside it, at another path."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from attrs import evolve, frozen

from llmcore.config import ProviderConfig
from llmcore.errors import InvalidRequestError, MalformedResponseError, ModelNotFoundError, ProviderError
from llmcore.providers.place import Place
from llmcore.types import EmbeddingRequest, EmbeddingResponse
from llmcore.wire.base import Warnings
from llmcore.wire.classify import ErrorFacts
from llmcore.wire.openai import OpenAIWire, Operation
from llmcore.wire.openai_errors import ErrorRule
from llmcore.wire.read import Json, loads
from llmcore.wire.vectors import Vector, checked, vector_of

BASE_URL = "https://router.huggingface.co/v1"
MAX_LOADING_S = 60.0


@frozen
class HuggingFaceWire(OpenAIWire):
    """The router's wire; `root` is the address above `/v1`, where the pipelines begin."""

    root: str = BASE_URL.removesuffix("/v1")

    def path(self, operation: Operation, model: str | None) -> str:
        if operation != "embed":
            return super().path(operation, model)
        name = model or ""
        if {"", ".", ".."} & set(name.split("/")):
            raise InvalidRequestError(f"model: {name[:80]!r} is no name of a model")
        return f"{self.root}/hf-inference/models/{quote(name, safe='/')}/pipeline/feature-extraction"

    def embed_body(self, request: EmbeddingRequest, warnings: Warnings) -> dict[str, Any]:
        warnings.dropped("dimensions", request.dimensions)
        warnings.dropped("input_type", request.input_type)
        return {"inputs": list(request.inputs), **request.extra}

    def decode_embed(self, body: bytes, request: EmbeddingRequest, /) -> EmbeddingResponse:
        """Nested lists: one vector a text, or one a token, which are then averaged."""
        value = loads(body)
        if isinstance(value, dict):
            self.raise_error_in(value)
        if not isinstance(value, list):
            raise MalformedResponseError("the answer holds no embeddings", phase="parse")
        vectors = [self.vector(pooled(row)) for row in value]
        return EmbeddingResponse(checked(vectors, len(request.inputs)), model=request.model)

    def make_error(self, facts: ErrorFacts) -> ProviderError:
        """A model that is still loading says how long it will take, in seconds."""
        error = super().make_error(facts)
        loading = facts.body.get("estimated_time") if isinstance(facts.body, dict) else None
        if error.retry_after is None and isinstance(loading, (int, float)) and loading >= 0:
            error.retry_after = min(float(loading), MAX_LOADING_S)
        return error


def pooled(value: Json) -> Json:
    """One vector of numbers: itself, the only one of its kind, or the mean of the tokens' vectors."""
    if not (isinstance(value, list) and value and isinstance(value[0], list)):
        return value
    if len(value) == 1:
        return pooled(value[0])
    rows: list[Vector] = [vector_of(row) for row in value]
    checked(rows, len(rows))
    return [sum(column) / len(rows) for column in zip(*rows, strict=True)]


WIRE = HuggingFaceWire(
    origin="huggingface",
    embed_batch=32,
    rules=(ErrorRule(ModelNotFoundError, 400, code="model_not_supported"),),
)


def _wire(config: ProviderConfig) -> HuggingFaceWire:
    """The pipelines stand beside the configured address as they do beside the vendor's own."""
    if config.base_url is None:
        return WIRE
    return evolve(WIRE, root=config.base_url.rstrip("/").removesuffix("/v1"))


PLACE = Place(
    kind="huggingface",
    title="Hugging Face",
    wire=WIRE,
    base_url=BASE_URL,
    key_env=("HF_TOKEN", "HUGGINGFACE_API_KEY"),
    configure=_wire,
)
