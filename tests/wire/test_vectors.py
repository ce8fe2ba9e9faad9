"""Vectors: floats and base64 give the same numbers; what is no vector is refused."""

from __future__ import annotations

import base64
import binascii
import math
import struct
from array import array
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


NUMBERS = st.one_of(
    st.floats(), st.floats(min_value=1e38, max_value=1e39), st.integers(-(10**400), 10**400), st.booleans()
)


@given(st.lists(st.one_of(NUMBERS, NUMBERS, st.none(), st.text(max_size=2)), min_size=1, max_size=20))
def test_a_list_is_what_an_array_of_it_is_or_refused_where_that_is_not_finite(values: list[Any]) -> None:
    try:
        plain = array("f", values)
    except (TypeError, OverflowError):
        plain = array("f", [math.nan])
    if all(map(math.isfinite, plain)):
        assert vector_of(values) == plain
    else:
        with pytest.raises(MalformedResponseError):
            vector_of(values)


@given(
    st.text(alphabet="AZaz09+/=-_\n é\ud800", max_size=40)
    | st.binary(max_size=40).map(lambda data: base64.b64encode(data).decode())
)
def test_base64_is_read_as_leniently_as_the_standard_library_does(text: str) -> None:
    try:
        plain = array("f", binascii.a2b_base64(text))
    except ValueError:  # no base64, or not whole floats
        plain = array("f")
    if plain and all(map(math.isfinite, plain)):
        assert vector_of(text) == plain
    else:
        with pytest.raises(MalformedResponseError):
            vector_of(text)


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
