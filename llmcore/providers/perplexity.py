"""Perplexity: the OpenAI wire over searched answers; no tools, turns alternate, vectors are bytes."""

from __future__ import annotations

import binascii
from array import array
from base64 import b64encode
from typing import Any

from attrs import evolve

from llmcore.errors import MalformedResponseError, QuotaExhaustedError
from llmcore.providers.place import Place
from llmcore.types import EmbeddingRequest, File, GenerationRequest, Message, Text
from llmcore.wire.base import Warnings
from llmcore.wire.openai import FEATURES, OpenAIWire, Operation
from llmcore.wire.openai_errors import ErrorRule
from llmcore.wire.read import Json
from llmcore.wire.vectors import Vector

_PATHS: dict[Operation, str] = {
    "chat": "/chat/completions",
    "embed": "/v1/embeddings",
    "models": "/v1/models",
}


class PerplexityWire(OpenAIWire):
    """Turns of one role are joined, and embeddings come as base64 of signed bytes."""

    def path(self, operation: Operation, model: str | None) -> str:
        return _PATHS[operation]

    def messages(self, request: GenerationRequest, warnings: Warnings) -> list[Json]:
        return super().messages(evolve(request, messages=alternating(request.messages)), warnings)

    def file_part(self, file: File, warnings: Warnings) -> Json:
        address = file.url or b64encode(file.data or b"").decode()
        named = {"file_name": file.filename} if file.filename else {}
        return {"type": "file_url", "file_url": {"url": address}, **named}

    def embed_body(self, request: EmbeddingRequest, warnings: Warnings) -> dict[str, Any]:
        return {"encoding_format": "base64_int8", **super().embed_body(request, warnings)}

    def vector(self, value: Json) -> Vector:
        """One vector from base64 of int8; its length is arbitrary, its direction is what counts."""
        if not isinstance(value, str):
            return super().vector(value)
        try:
            return array("f", array("b", binascii.a2b_base64(value)))
        except (binascii.Error, ValueError):
            raise MalformedResponseError("an embedding is not base64", phase="parse") from None


def alternating(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Neighbours of one role as one message, a blank line between them."""
    out: list[Message] = []
    for message in messages:
        if out and out[-1].role == message.role:
            out[-1] = evolve(out[-1], parts=(*out[-1].parts, Text("\n\n"), *message.parts))
        else:
            out.append(message)
    return tuple(out)


PLACE = Place(
    kind="perplexity",
    title="Perplexity",
    wire=PerplexityWire(
        origin="perplexity",
        features=(FEATURES - {"tools"}) | {"files", "file_urls"},
        without=frozenset({"seed", "name"}),
        reasoning_back=False,
        json_object=False,
        embed_batch=512,
        rules=(ErrorRule(QuotaExhaustedError, 401, words=("credit", "quota", "billing")),),
    ),
    base_url="https://api.perplexity.ai",
    key_env=("PERPLEXITY_API_KEY", "PPLX_API_KEY"),
)
