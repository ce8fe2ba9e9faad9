"""Embedding vectors out of what vendors send: JSON numbers or base64 little-endian float32, into compact buffers."""

from __future__ import annotations

import binascii
import math
import struct
import sys
from array import array
from collections.abc import Sequence
from typing import Any, TypeAlias

import msgspec

from llmcore.errors import MalformedResponseError

Vector: TypeAlias = "array[float]"


def vector_of(value: Any) -> Vector:
    """One vector from a list of numbers or base64 text. Raises MalformedResponseError (NaN and infinity too)."""
    if isinstance(value, str):
        vector = _from_base64(value)
    elif isinstance(value, list):
        try:
            vector = array(
                "f", struct.pack(f"{len(value)}f", *value)
            )  # a third of what array("f", value) costs
        except struct.error:
            raise MalformedResponseError(
                "an embedding holds something that is no number", phase="parse"
            ) from None
    else:
        raise MalformedResponseError(f"an embedding is a JSON {type(value).__name__}", phase="parse")
    if not vector:
        raise MalformedResponseError("an embedding is empty", phase="parse")
    if not _all_finite(vector):
        raise MalformedResponseError("an embedding holds NaN or infinity", phase="parse")
    return vector


def checked(vectors: Sequence[Vector], expected: int) -> tuple[Vector, ...]:
    """The vectors of one answer: as many as there were inputs, all of one length. Raises MalformedResponseError."""
    if len(vectors) != expected:
        raise MalformedResponseError(f"{len(vectors)} embeddings for {expected} inputs", phase="parse")
    if len({len(vector) for vector in vectors}) > 1:
        raise MalformedResponseError("embeddings of different lengths in one answer", phase="parse")
    return tuple(vectors)


_TOP = 3 if sys.byteorder == "little" else 0
"""Where in a float32's four bytes the sign and the upper seven bits of the exponent are."""


def _all_finite(vector: Vector) -> bool:
    """Whether no number is NaN or infinite: those two have every bit of the exponent set, which few numbers come near."""
    tops = vector.tobytes()[_TOP::4]
    return (b"\x7f" not in tops and b"\xff" not in tops) or all(map(math.isfinite, vector))


def _from_base64(text: str) -> Vector:
    data = _bytes_of(text)
    if len(data) % 4:
        raise MalformedResponseError(f"an embedding of {len(data)} bytes is not float32", phase="parse")
    vector = array("f", data)
    if sys.byteorder == "big":
        vector.byteswap()
    return vector


def _bytes_of(text: str) -> bytes:
    """Strict base64 by the faster decoder; what it refuses (line breaks, lone surrogates) by the lenient one."""
    try:
        return msgspec.convert(text, bytes)
    except (msgspec.ValidationError, UnicodeEncodeError):
        pass
    try:
        return binascii.a2b_base64(text)
    except (binascii.Error, ValueError):
        raise MalformedResponseError("an embedding is not base64", phase="parse") from None
