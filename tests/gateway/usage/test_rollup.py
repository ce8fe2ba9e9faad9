"""Sums: however attempts are grouped and split, the totals are those of the attempts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from llmcore.gateway.store import UsageAttempt, UsageSums
from llmcore.gateway.usage.rollup import add, by_day, last_used, spendings, sums_of

counts = st.none() | st.integers(0, 10**6)
names = st.sampled_from(["a", "b", "c"])
attempts = st.builds(
    UsageAttempt,
    request_id=names,
    at=st.floats(0, 1e6),
    user_id=names,
    provider=names,
    wire=names,
    outcome=st.sampled_from(["success", "cancelled", "ServerError"]),
    final=st.booleans(),
    key_id=st.none() | names,
    model=st.none() | names,
    input_tokens=counts,
    output_tokens=counts,
    cost_micros=counts,
    duration_ms=st.none() | st.integers(0, 1000).map(float),
    spend_period=st.none() | st.sampled_from(["2026-10", "2026-11"]),
)


def total(rows: list[UsageSums]) -> UsageSums:
    whole = UsageSums()
    for row in rows:
        whole = add(whole, row)
    return whole


@given(st.lists(attempts, max_size=30), st.integers(0, 30))
def test_groups_and_parts_add_up(rows: list[UsageAttempt], at: int) -> None:
    whole = by_day(rows)
    assert total(list(whole.values())) == total([sums_of(row) for row in rows])
    first, second = by_day(rows[:at]), by_day(rows[at:])
    for key, sums in whole.items():
        assert add(first.get(key, UsageSums()), second.get(key, UsageSums())) == sums
    assert set(whole) == set(first) | set(second)
    assert list(whole) == sorted(whole)


@given(st.lists(attempts, max_size=30))
def test_money_and_last_use_are_those_of_keys(rows: list[UsageAttempt]) -> None:
    paid = [row for row in rows if row.key_id and row.spend_period]
    assert sum(spendings(rows).values()) == sum(row.cost_micros or 0 for row in paid)
    assert set(last_used(rows)) == {row.key_id for row in rows if row.key_id}
    for key_id, at in last_used(rows).items():
        assert at == max(row.at for row in rows if row.key_id == key_id)


def test_calls_errors_and_unknown_costs() -> None:
    rows = [
        UsageAttempt("r", 0.0, "u", "p", "w", "ServerError", final=False),
        UsageAttempt("r", 0.0, "u", "p", "w", "success"),
        UsageAttempt("s", 0.0, "u", "p", "w", "success", cost_micros=0),
        UsageAttempt("t", 0.0, "u", "p", "w", "cancelled"),
    ]
    (sums,) = by_day(rows).values()
    assert (sums.calls, sums.attempts, sums.errors, sums.unknown_cost_calls) == (3, 4, 1, 2)
