"""Vectors: floats and base64 give the same numbers; what is no vector is refused."""

from __future__ import annotations

import base64
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmcore.errors import MalformedResponseError
from llmcore.wire.vectors import checked, vector_of


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=50))
def test_base64_and_numbers_agree(values: list[float]) -> None:
    packed = base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()
    assert list(vector_of(packed)) == list(vector_of(values)) == values


@pytest.mark.parametrize(
    "bad",
    [
        [],
        ["x"],
        [None],
        [1.0, float("nan")],
        [float("inf")],
        [1e300],
        "",
        "AAA=",
        "not base64!",
        None,
        5,
        {"a": 1},
    ],
)
def test_what_is_no_vector(bad: Any) -> None:
    with pytest.raises(MalformedResponseError):
        vector_of(bad)


def test_large_finite_numbers_whose_sum_overflows_are_fine() -> None:
    assert len(vector_of([3e38] * 4)) == 4


def test_as_many_as_inputs_and_of_one_length() -> None:
    one, two = vector_of([1.0]), vector_of([1.0, 2.0])
    assert checked([one, one], 2) == (one, one)
    with pytest.raises(MalformedResponseError, match="1 embeddings for 2"):
        checked([one], 2)
    with pytest.raises(MalformedResponseError, match="different lengths"):
        checked([one, two], 2)
