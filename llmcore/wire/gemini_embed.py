"""Gemini embeddings: `embedContent` for one text, `batchEmbedContents` for many.

Answers of the enterprise platform's `predict` (`predictions [{embeddings {values, statistics}}]`) are read as well.
"""

from __future__ import annotations

import math
from typing import Any

from llmcore.errors import MalformedResponseError
from llmcore.types import EmbeddingRequest, EmbeddingResponse, Usage
from llmcore.wire.read import as_count, as_dict, as_list, merged
from llmcore.wire.vectors import Vector, checked, vector_of

BATCH = 100
"""Texts that one `batchEmbedContents` may hold."""

_TASKS = {"query": "RETRIEVAL_QUERY", "document": "RETRIEVAL_DOCUMENT"}
_UNIT_ERROR = 1e-3


def embed_body(request: EmbeddingRequest, model: str) -> dict[str, Any]:
    """One text plainly, several as `requests`; `extra` (such as `title`) is said for each text."""
    each = [_one(request, text, model) for text in request.inputs]
    return each[0] if len(each) == 1 else {"requests": each}


def _one(request: EmbeddingRequest, text: str, model: str) -> dict[str, Any]:
    body: dict[str, Any] = {"model": model, "content": {"parts": [{"text": text}]}}
    if request.input_type is not None:
        body["taskType"] = _TASKS.get(request.input_type.lower(), request.input_type.upper())
    if request.dimensions is not None:
        body["outputDimensionality"] = request.dimensions
    return merged(body, request.extra)


def embed_response(value: dict[str, Any], request: EmbeddingRequest) -> EmbeddingResponse:
    """Vectors in order; made unit length where fewer dimensions were asked for, which Google does not do itself.

    Raises MalformedResponseError.
    """
    items = _items(value)
    vectors = [vector_of(as_dict(item).get("values")) for item in items]
    if request.dimensions is not None:
        vectors = [_unit(vector) for vector in vectors]
    usage = _usage(value, items)
    return EmbeddingResponse(checked(vectors, len(request.inputs)), request.model, usage=usage, raw=value)


def _items(value: dict[str, Any]) -> list[Any]:
    if isinstance(value.get("embedding"), dict):
        return [value["embedding"]]
    if isinstance(value.get("embeddings"), list):
        return as_list(value["embeddings"])
    if isinstance(value.get("predictions"), list):
        return [as_dict(item).get("embeddings") for item in value["predictions"]]
    raise MalformedResponseError("an embeddings answer without embeddings", phase="parse")


def _usage(value: dict[str, Any], items: list[Any]) -> Usage:
    """Tokens read, from `usageMetadata` or summed over `statistics.token_count`; unknown where one is missing."""
    raw = as_dict(value.get("usageMetadata"))
    if raw:
        return Usage(input_tokens=as_count(raw.get("promptTokenCount")), raw=raw)
    counts = [
        as_count(_statistics(item).get("token_count", _statistics(item).get("tokenCount"))) for item in items
    ]
    known = [count for count in counts if count is not None]
    return Usage(input_tokens=sum(known) if known and len(known) == len(counts) else None)


def _statistics(item: Any) -> dict[str, Any]:
    return as_dict(as_dict(item).get("statistics"))


def _unit(vector: Vector) -> Vector:
    norm = math.sqrt(math.fsum(value * value for value in vector))
    if norm == 0 or abs(norm - 1) < _UNIT_ERROR:
        return vector
    return type(vector)("f", [value / norm for value in vector])
