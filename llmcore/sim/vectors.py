"""Embeddings without a model: hashed bags of words, so that texts which share words lie closer together."""

from __future__ import annotations

import base64
import hashlib
import math
import re
import sys
from array import array

_WORD = re.compile(r"\w+")
_SPOTS = 8


def embed(text: str, dimensions: int) -> array[float]:
    """A unit vector of `dimensions` float32 values; equal texts give equal vectors."""
    values = [0.0] * dimensions
    for word in _WORD.findall(text.lower()):
        spots = hashlib.blake2b(word.encode(), digest_size=_SPOTS * 4).digest()
        for at in range(0, len(spots), 4):
            value = int.from_bytes(spots[at : at + 4], "big")
            values[(value >> 1) % dimensions] += 1.0 if value & 1 else -1.0
    norm = math.sqrt(sum(value * value for value in values))
    if not norm:
        values[0] = norm = 1.0
    return array("f", [value / norm for value in values])


def as_base64(vector: array[float]) -> str:
    """Little-endian float32, as OpenAI sends it."""
    if sys.byteorder == "big":
        vector = array("f", vector)
        vector.byteswap()
    return base64.b64encode(vector.tobytes()).decode("ascii")


def as_int8(vector: array[float]) -> str:
    """Base64 of signed bytes, stretched over their range, as Perplexity sends it."""
    most = max(map(abs, vector)) or 1.0
    return base64.b64encode(array("b", [round(value / most * 127) for value in vector]).tobytes()).decode(
        "ascii"
    )
