"""Reading single values of vendors' JSON."""

from __future__ import annotations

import math
from typing import Any

import pytest

from llmcore.wire.read import as_count


@pytest.mark.parametrize(
    ("value", "count"),
    [
        (7, 7),
        (7.0, 7),
        ("7", 7),
        (0, 0),
        (7.5, None),
        (-1, None),
        (-1.0, None),
        (True, None),
        ("-7", None),
        ("7.0", None),
        (10**15, None),
        (1e15, None),
        (math.nan, None),
        (math.inf, None),
        (None, None),
        ([7], None),
        ("\u0667", None),
    ],
)
def test_a_count_is_whole_and_not_negative_or_it_is_unknown(value: Any, count: int | None) -> None:
    found = as_count(value)
    assert (found, type(found)) == (count, type(count))
