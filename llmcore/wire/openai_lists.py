"""Embeddings and model lists in the OpenAI dialect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attrs import evolve

from llmcore.errors import MalformedResponseError
from llmcore.types import EmbeddingRequest, EmbeddingResponse, ModelInfo
from llmcore.wire.openai_usage import count, first
from llmcore.wire.read import Json, as_count, as_dict, as_str, parse_object
from llmcore.wire.vectors import checked

if TYPE_CHECKING:
    from llmcore.wire.openai import OpenAIWire


def embed_response(wire: OpenAIWire, body: bytes, request: EmbeddingRequest) -> EmbeddingResponse:
    """The vectors in the order of the inputs. Raises MalformedResponseError."""
    value = parse_object(body)
    wire.raise_error_in(value)
    rows = value.pop("data", None)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise MalformedResponseError("the answer holds no embeddings", phase="parse")
    if all(type(row.get("index")) is int for row in rows):
        rows.sort(key=lambda row: row["index"])
    vectors = checked([wire.vector(row.get("embedding")) for row in rows], len(request.inputs))
    spent = wire.usage(value.get("usage"))
    if spent.input_tokens is None:  # Voyage says the total alone, and embeddings read only
        spent = evolve(spent, input_tokens=as_count(as_dict(spent.raw).get("total_tokens")))
    return EmbeddingResponse(vectors, model=as_str(value.get("model")), usage=spent, raw=value)


def model_infos(value: Json) -> tuple[ModelInfo, ...]:
    """The models of `{data: [...]}`, `{models: [...]}` or a bare list."""
    rows = value
    if isinstance(value, dict):
        rows = value.get("data") if isinstance(value.get("data"), list) else value.get("models")
    if not isinstance(rows, list):
        raise MalformedResponseError("the answer is no list of models", phase="parse")
    found = (
        _model_info({"id": row} if isinstance(row, str) else row)
        for row in rows
        if isinstance(row, (dict, str))
    )
    return tuple(info for info in found if info is not None)


def _model_info(row: Mapping[str, Any]) -> ModelInfo | None:
    name = as_str(row.get("id")) or as_str(row.get("name")) or as_str(row.get("model"))
    if name is None:
        return None
    top, meta = as_dict(row.get("top_provider")), as_dict(row.get("meta"))
    window = count(
        row,
        "context_length",
        "context_window",
        "max_context_length",
        "max_model_len",
        "max_context_window_tokens",
    )
    written = count(row, "max_output_tokens", "max_completion_tokens", "max_output_length")
    title = as_str(row.get("display_name")) or as_str(row.get("name"))
    return ModelInfo(
        name,
        display_name=title if title != name else None,
        context_window=first(window, count(top, "context_length"), count(meta, "n_ctx_train")),
        max_output_tokens=first(written, count(top, "max_completion_tokens")),
        created=as_count(row.get("created")),
        owned_by=as_str(row.get("owned_by")),
        capabilities=_capabilities(row),
        raw=row,
    )


def _capabilities(row: Mapping[str, Any]) -> frozenset[str] | None:
    """What the vendor says that the model can: names that are true, or a list of names."""
    told = row.get("capabilities") or row.get("supported_features") or row.get("supported_parameters")
    if isinstance(told, dict):
        return frozenset(name for name, value in told.items() if value is True)
    return frozenset(item for item in told if isinstance(item, str)) if isinstance(told, list) else None
