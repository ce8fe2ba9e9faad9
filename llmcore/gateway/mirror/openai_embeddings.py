"""The mirror of OpenAI's embeddings: texts in; vectors out as numbers or as base64 of little-endian float32."""

from __future__ import annotations

import sys
from array import array
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from attrs import frozen

from llmcore.gateway.mirror import read
from llmcore.gateway.mirror.base import ErrorAnswer, Failure
from llmcore.gateway.mirror.errors import openai_error
from llmcore.gateway.mirror.openai_request import OURS
from llmcore.types import EmbeddingRequest, EmbeddingResponse

MAX_INPUTS = 2048
"""As OpenAI takes; the providers cut it into batches of their own."""

Vector: TypeAlias = "array[float]"


@frozen
class AskedEmbedding:
    """One request for vectors, understood. base64: whether they are wanted as base64."""

    request: EmbeddingRequest
    base64: bool = False


class OpenAIEmbeddingsMirror:
    """`POST /v1/embeddings`."""

    def decode_request(self, body: Mapping[str, Any], /) -> AskedEmbedding:
        """Raises BadRequest with the path of the fault."""
        texts = _texts(body.get("input"))
        model = read.string(body, "model")
        if model == "":
            read.missing("model", "is empty; name a model, or leave it out for the default one")
        user = read.string(body, "user")
        request = EmbeddingRequest(
            texts,
            model,
            dimensions=read.integer(body, "dimensions", low=1),
            input_type=read.string(body, "input_type"),
            metadata={} if user is None else {"user": user},
            extra=_extra(body),
        )
        return AskedEmbedding(request, read.word(body, "encoding_format", ("float", "base64")) == "base64")

    def encode_response(self, response: EmbeddingResponse, asked: AskedEmbedding, /) -> dict[str, Any]:
        """Usage that nobody counted is null, not left out: clients look for both figures."""
        form = _base64 if asked.base64 else _numbers
        rows = [
            {"object": "embedding", "index": index, "embedding": form(vector)}
            for index, vector in enumerate(response.vectors)
        ]
        spent = response.usage.input_tokens
        return {
            "object": "list",
            "data": rows,
            "model": response.model or asked.request.model or "",
            "usage": {"prompt_tokens": spent, "total_tokens": spent},
        }

    def encode_error(self, error: Failure, /, *, request_id: str) -> ErrorAnswer:
        return openai_error(error, request_id=request_id)


_KNOWN = frozenset({"input", "model", "dimensions", "encoding_format", "user", "input_type"})


def _extra(body: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: value for name, value in body.items() if name not in _KNOWN and value is not None}
    for name in found:
        if name in OURS:
            read.fail(name, "cannot be set by a request; it belongs to the settings of the gateway")
    return found


def _texts(value: object) -> tuple[str, ...]:
    if value is None:
        read.missing("input")
    if type(value) not in (str, list):
        read.wrong(value, "input", "a string or a list of strings")
    found = (value,) if type(value) is str else read.a_list(value, "input", most=MAX_INPUTS)
    if not found:
        read.missing("input", "is empty; give at least one text")
    for index, text in enumerate(found):
        at = "input" if type(value) is str else f"input[{index}]"
        if type(text) in (int, list):
            read.fail(
                at,
                "is tokens; only texts are taken here, as every model has tokens of its own"
                " (LangChain: check_embedding_ctx_length=False)",
                code="invalid_type",
            )
        if not read.a_string(text, at):
            read.fail(at, "is an empty text, of which no vector can be made", code="invalid_value")
    return tuple(found)


def _floats(vector: Sequence[float]) -> Vector:
    return vector if isinstance(vector, array) and vector.typecode == "f" else array("f", vector)


def _numbers(vector: Sequence[float]) -> list[float]:
    return list(vector)


def _base64(vector: Sequence[float]) -> str:
    floats = _floats(vector)
    if sys.byteorder == "big":
        floats = array("f", floats)
        floats.byteswap()
    return b64encode(floats).decode()
