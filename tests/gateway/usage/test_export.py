"""CSV: what a spreadsheet opens is what was recorded, and never a formula."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmcore.gateway.store import UsageAttempt, UsageGroup, UsageSums, open_store, sqlite_url
from llmcore.gateway.usage.export import ATTEMPT_COLUMNS, attempts_csv, dollars, groups_csv, guard, lines

FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001 - the wide forms are the point


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), min_size=1, max_size=6))
def test_t08_no_cell_is_a_formula_and_nothing_is_lost(cells: list[str]) -> None:
    (line,) = lines([cells])
    (found,) = csv.reader(io.StringIO(line, newline=""))
    for cell, said in zip(found, cells, strict=True):
        assert not cell.startswith(FORMULAS)
        assert not cell.lstrip().startswith(FORMULAS)
        assert cell in {said, f"'{said}"}


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\n\n =cmd|' /C calc'!A0"]
)
def test_t08_formulas_are_defused(text: str) -> None:
    assert guard(text) == f"'{text}"


def test_numbers_stay_numbers_and_nothing_is_nothing() -> None:
    assert [guard(cell) for cell in (-5, -0.5, 0, None, "a-b", True)] == [
        "-5",
        "-0.5",
        "0",
        "",
        "a-b",
        "True",
    ]


@given(st.integers(0, 10**15))
def test_dollars_are_exact(micros: int) -> None:
    from decimal import Decimal

    said = dollars(micros)
    assert said is not None
    assert Decimal(said) * 1_000_000 == micros
    assert dollars(None) is None


def test_sums_with_their_groups() -> None:
    groups = [UsageGroup(("2026-11-21", "=evil()"), UsageSums(calls=1, attempts=2, cost_micros=1_500_000))]
    rows = list(csv.reader("".join(groups_csv(groups, ("day", "model"))).splitlines()))
    assert rows[0][:4] == ["day", "model", "calls", "attempts"]
    assert rows[1][:4] == ["2026-11-21", "'=evil()", "1", "2"]
    assert rows[1][rows[0].index("cost_usd")] == "1.500000"


@pytest.mark.anyio
async def test_t14_attempts_of_one_user_or_of_all(tmp_path: Path) -> None:
    async with open_store(sqlite_url(tmp_path / "db")) as store:
        await store.usage.add(
            [
                UsageAttempt("r", float(number), f"u{number % 2}", "openai", "openai", "success", model="=x")
                for number in range(2500)
            ]
        )
        mine = list(csv.DictReader([line async for line in attempts_csv(store.usage, "u1")]))
        everybody = [line async for line in attempts_csv(store.usage, None)]
        some = [line async for line in attempts_csv(store.usage, None, most=1500)]
    assert {row["user_id"] for row in mine} == {"u1"}
    assert (len(mine), len(everybody), len(some)) == (1250, 2501, 1501)
    assert tuple(mine[0]) == ATTEMPT_COLUMNS
    assert mine[0]["at"] == "1970-01-01T00:41:39.000+00:00"
    assert mine[0]["model"] == "'=x"
    assert mine[0]["cost_usd"] == mine[0]["input_tokens"] == ""
