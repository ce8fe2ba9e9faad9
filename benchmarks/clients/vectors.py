"""Vectors out of an embeddings answer, with the standard library."""

from __future__ import annotations

from array import array
from base64 import b64decode
from typing import Any


def numbers_in(answer: Any) -> int:
    """How many numbers the vectors of an answer hold, after they were unpacked."""
    vectors = (item["embedding"] for item in answer["data"])
    return sum(
        len(array("f", b64decode(vector)) if isinstance(vector, str) else vector) for vector in vectors
    )
