"""Vectors out of an answer, as fast as it can be done in Python: the floor of the embedding cases."""

from __future__ import annotations

from array import array
from base64 import b64decode

import msgspec


class _Numbers(msgspec.Struct):
    embedding: list[float]


class _Packed(msgspec.Struct):
    embedding: str


class _AllNumbers(msgspec.Struct):
    data: list[_Numbers]


class _AllPacked(msgspec.Struct):
    data: list[_Packed]


_read_numbers = msgspec.json.Decoder(_AllNumbers).decode
_read_packed = msgspec.json.Decoder(_AllPacked).decode


def numbers(body: bytes) -> list[list[float]]:
    """Vectors that came as numbers."""
    return [item.embedding for item in _read_numbers(body).data]


def packed(body: bytes) -> list[array[float]]:
    """Vectors that came as base64 of float32, in this machine's byte order."""
    return [array("f", b64decode(item.embedding)) for item in _read_packed(body).data]
