"""Pure: figures and tables."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmcore.cli.grid import (
    Grid,
    aligned,
    attempts_grid,
    columns,
    count,
    dollars,
    plural,
    seconds,
    stats_grid,
    used,
)
from llmcore.cli.screen import clean, one_line
from llmcore.types import Attempt, ProviderStats, Usage


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0.0, "0 ms"),
        (0.0004, "0 ms"),
        (0.25, "250 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1.00 s"),
        (75.0, "75.00 s"),
    ],
)
def test_seconds(value: float | None, text: str) -> None:
    assert seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        ("0", "$0"),
        ("0.0000004", "<$0.000001"),
        ("0.000059", "$0.000059"),
        ("0.001005", "$0.001005"),
        ("0.5", "$0.5"),
        ("1.239", "$1.24"),
    ],
)
def test_dollars(value: str | None, text: str) -> None:
    assert dollars(None if value is None else Decimal(value)) == text


def test_counts() -> None:
    assert [count(None), count(0), count(1234567)] == ["-", "0", "1,234,567"]
    assert [plural(0, "model"), plural(1, "model"), plural(1200, "model")] == [
        "0 models",
        "1 model",
        "1,200 models",
    ]


def test_usage_in_words() -> None:
    assert used(Usage()) == "- in, - out"
    assert used(Usage(1000, 5, 200, None, 3)) == "1,000 in, 5 out (200 cached, 3 reasoning)"


def test_plain_tables_are_aligned() -> None:
    grid = Grid(columns("name", ">n"), [("a", "1"), ("long name", "1,000")])
    assert aligned(grid) == ["NAME           N", "a              1", "long name  1,000"]


@given(st.lists(st.tuples(st.text(max_size=9), st.text(max_size=9)), max_size=5))
def test_a_plain_table_has_a_line_for_every_row(rows: list[tuple[str, str]]) -> None:
    assert len(aligned(Grid(columns("a", ">b"), rows))) == len(rows) + 1


def test_a_column_without_figures_can_be_left_out() -> None:
    grid = Grid(columns("a", ">b", ">c"), [("x", "-", "0"), ("y", "0", "3")])
    assert [column.title for column in grid.without_empty("b", "c").columns] == ["a", "c"]
    assert grid.without_empty("b", "c").rows == (("x", "0"), ("y", "3"))


def test_attempts() -> None:
    grid = attempts_grid(
        [Attempt("a", None, "ServerError", 500, 0.1, wait_s=0.2), Attempt("b", "m", "success", 200, 1.5)]
    )
    assert grid.rows == (
        ("1", "a", "-", "ServerError", "500", "200 ms", "100 ms"),
        ("2", "b", "m", "success", "200", "-", "1.50 s"),
    )
    assert grid.marks == ("bad", "good")


def test_stats_show_every_provider_and_then_the_whole() -> None:
    nested = ProviderStats("inner", 1, 1, children=(ProviderStats("leaf", 1, 1),))
    grid = stats_grid(ProviderStats("manager", 3, 2, 1, children=(ProviderStats("a", 2, 0, 2), nested)))
    assert [row[0] for row in grid.rows] == ["a", "inner", "leaf", "manager"]
    assert grid.marks[0] == "bad"


def test_a_terminal_is_given_nothing_to_obey() -> None:
    assert clean("a\x1b[31mb\r\x07\u202ec\x9b0m\n\tü") == "a[31mbc0m\n\tü"


@given(st.text())
def test_a_complaint_is_one_short_line(text: str) -> None:
    line = one_line(text)
    assert len(line) <= 400
    assert line.isprintable() or not line.isascii()
    assert "\n" not in line
