"""Embedding vectors out of what vendors send: JSON numbers or base64 little-endian float32, into compact buffers."""

from __future__ import annotations

import binascii
import math
import sys
from array import array
from collections.abc import Sequence
from typing import Any, TypeAlias

from llmcore.errors import MalformedResponseError

Vector: TypeAlias = "array[float]"


def vector_of(value: Any) -> Vector:
    """One vector from a list of numbers or base64 text. Raises MalformedResponseError (NaN and infinity too)."""
    if isinstance(value, str):
        vector = _from_base64(value)
    elif isinstance(value, list):
        try:
            vector = array("f", value)
        except (TypeError, OverflowError):
            raise MalformedResponseError(
                "an embedding holds something that is no number", phase="parse"
            ) from None
    else:
        raise MalformedResponseError(f"an embedding is a JSON {type(value).__name__}", phase="parse")
    if not vector:
        raise MalformedResponseError("an embedding is empty", phase="parse")
    if not math.isfinite(sum(vector)) and not all(map(math.isfinite, vector)):
        raise MalformedResponseError("an embedding holds NaN or infinity", phase="parse")
    return vector


def checked(vectors: Sequence[Vector], expected: int) -> tuple[Vector, ...]:
    """The vectors of one answer: as many as there were inputs, all of one length. Raises MalformedResponseError."""
    if len(vectors) != expected:
        raise MalformedResponseError(f"{len(vectors)} embeddings for {expected} inputs", phase="parse")
    if len({len(vector) for vector in vectors}) > 1:
        raise MalformedResponseError("embeddings of different lengths in one answer", phase="parse")
    return tuple(vectors)


def _from_base64(text: str) -> Vector:
    try:
        data = binascii.a2b_base64(text)
    except (binascii.Error, ValueError):
        raise MalformedResponseError("an embedding is not base64", phase="parse") from None
    if len(data) % 4:
        raise MalformedResponseError(f"an embedding of {len(data)} bytes is not float32", phase="parse")
    vector = array("f", data)
    if sys.byteorder == "big":
        vector.byteswap()
    return vector
