"""Orders as laws: tiers, fairness (28), chance (29), priority (30), load (31), price (32), nobody twice (33)."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from decimal import Decimal
from itertools import islice
from random import Random
from typing import Any, Literal

import anyio
import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmcore.config import STRATEGIES, FallbackConfig, Routing
from llmcore.manager import ProviderManager
from llmcore.manager.models import Choice, choices
from llmcore.manager.order import (
    MAX_RINGS,
    ByDelay,
    ByPrice,
    ByPriority,
    FirstThenNamed,
    LeastBusy,
    Order,
    RoundRobin,
    Weighted,
    order_for,
)
from llmcore.testing import Answer, run_simulated
from tests.manager.strategies import Made, Recorder


@attrs.define
class Seen:
    """A view with figures by index; counts how often it was asked."""

    loads: Sequence[float] = ()
    delays: Sequence[float | None] = ()
    prices: Sequence[Decimal | None] = ()
    asked: int = 0

    def load(self, choice: Choice, /) -> float:
        self.asked += 1
        return self.loads[choice.index] if choice.index < len(self.loads) else 0.0

    def delay(self, choice: Choice, /) -> float | None:
        self.asked += 1
        return self.delays[choice.index] if choice.index < len(self.delays) else None

    def price(self, choice: Choice, /) -> Decimal | None:
        self.asked += 1
        return self.prices[choice.index] if choice.index < len(self.prices) else None


def row(priorities: Iterable[int]) -> list[Choice]:
    return [Choice(index, None, priority) for index, priority in enumerate(priorities)]


def indexes(ranking: Iterable[Choice]) -> list[int]:
    return [choice.index for choice in ranking]


def first(order: Order, arranged: tuple[Choice, ...], view: Seen | None = None) -> int:
    return next(iter(order(arranged, view or Seen()))).index


SIZES = st.integers(1, 7)
PRIORITIES = st.lists(st.integers(0, 3), min_size=1, max_size=8)
LOADS = st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0, 3.0]), min_size=8, max_size=8)
DELAYS = st.lists(st.none() | st.sampled_from([0.1, 0.5, 1.0, 30.0]), min_size=8, max_size=8)
PRICES = st.lists(
    st.none() | st.sampled_from([Decimal(0), Decimal("0.1"), Decimal(2)]), min_size=8, max_size=8
)
VIEWS = st.builds(Seen, LOADS, DELAYS, PRICES)
WEIGHTS = st.lists(st.sampled_from([0.0, 0.001, 1.0, 2.5, 1e6]), min_size=8, max_size=8)
SEEDS = st.integers(0, 1000)


# ------------------------------------------------------------------------------------------- all strategies


@given(strategy=st.sampled_from(STRATEGIES), priorities=PRIORITIES, view=VIEWS, weights=WEIGHTS, seed=SEEDS)
def test_33_every_strategy_names_each_candidate_once(
    strategy: str, priorities: list[int], view: Seen, weights: list[float], seed: int
) -> None:
    names = [str(index) for index in range(len(priorities))]
    order = order_for(strategy, names, names, random=Random(seed), weights=weights)
    arranged = order.arrange(row(priorities))
    for _ in range(3):
        assert sorted(indexes(order(arranged, view))) == list(range(len(priorities)))


@given(
    strategy=st.sampled_from(["priority", "weighted", "least_busy", "latency", "cost"]),
    priorities=PRIORITIES,
    view=VIEWS,
    seed=SEEDS,
)
def test_30_a_lower_tier_comes_after_every_higher_one(
    strategy: str, priorities: list[int], view: Seen, seed: int
) -> None:
    order = order_for(strategy, [], [], random=Random(seed))
    ranking = list(order(order.arrange(row(priorities)), view))
    assert [choice.priority for choice in ranking] == sorted(priorities)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_nobody_is_a_set_of_candidates_too(strategy: str) -> None:
    order = order_for(strategy, ["a"], ["a"])
    assert list(order(order.arrange([]), Seen())) == []


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_an_order_takes_candidates_that_nobody_arranged(strategy: str) -> None:
    order = order_for(strategy, ["a", "b"], ["b"])
    assert sorted(indexes(order(tuple(row([1, 1])), Seen()))) == [0, 1]


@pytest.mark.parametrize("strategy", ["weighted", "least_busy", "latency", "cost"])
def test_without_a_view_every_strategy_still_answers(strategy: str) -> None:
    order = order_for(strategy, ["a", "b"], [])
    assert sorted(indexes(order(order.arrange(row([1, 1]))))) == [0, 1]


@given(strategy=st.sampled_from(STRATEGIES), priorities=PRIORITIES, weights=WEIGHTS, seed=SEEDS)
def test_a_copy_foretells_the_next_call_and_moves_nothing(
    strategy: str, priorities: list[int], weights: list[float], seed: int
) -> None:
    names = [str(index) for index in range(len(priorities))]
    order = order_for(strategy, names, names, random=Random(seed), weights=weights)
    arranged = order.arrange(row(priorities))
    for _ in range(3):
        foretold = [indexes(deepcopy(order)(arranged, Seen())) for _ in range(2)]
        assert foretold == [indexes(order(arranged, Seen()))] * 2


@pytest.mark.parametrize(("strategy", "looks"), [("weighted", 0), ("latency", 4)])
def test_the_first_choice_of_many_asks_after_few(strategy: str, looks: int) -> None:
    order = order_for(strategy, [], [], random=Random(1))
    arranged = order.arrange(row([1] * 1000))
    view = Seen()
    for _ in range(50):
        view.asked = 0
        first(order, arranged, view)
        assert view.asked <= looks


@pytest.mark.parametrize("strategy", ["least_busy", "cost", "latency"])
def test_the_first_choice_looks_at_no_tier_below(strategy: str) -> None:
    order = order_for(strategy, [], [], random=Random(1))
    view = Seen()
    assert first(order, order.arrange(row([1, 1, *[2] * 100])), view) < 2
    assert view.asked <= 4


# ------------------------------------------------------------------------------------------------- priority


@given(priorities=PRIORITIES)
def test_30_priority_sorts_and_keeps_the_configured_order_of_equals(priorities: list[int]) -> None:
    order = ByPriority()
    ranked = order(order.arrange(row(priorities)[::-1]))
    assert [(choice.priority, choice.index) for choice in ranked] == sorted(
        (priority, index) for index, priority in enumerate(priorities)
    )


# ---------------------------------------------------------------------------------------------- round robin


@given(size=SIZES, rounds=st.integers(1, 5), distinct=st.booleans())
def test_28_round_robin_gives_each_candidate_its_turn(size: int, rounds: int, distinct: bool) -> None:
    order = RoundRobin()
    arranged = order.arrange(row(range(size, 0, -1) if distinct else [1] * size))
    rankings = [indexes(order(arranged)) for _ in range(size * rounds)]
    assert Counter(ranking[0] for ranking in rankings) == dict.fromkeys(range(size), rounds)
    for ranking in rankings:
        assert sorted(ranking) == list(range(size))
        assert all((b - a) % size == 1 for a, b in itertools.pairwise(ranking))


@given(
    priorities=st.lists(st.integers(0, 2), min_size=2, max_size=8).filter(
        lambda given: 1 < len(set(given)) < len(given)
    ),
    rounds=st.integers(1, 4),
)
def test_28_where_some_priorities_are_equal_each_tier_is_a_ring(priorities: list[int], rounds: int) -> None:
    order = RoundRobin()
    arranged = order.arrange(row(priorities))
    top = [index for index, priority in enumerate(priorities) if priority == min(priorities)]
    rankings = [list(order(arranged)) for _ in range(len(top) * rounds)]
    assert Counter(ranking[0].index for ranking in rankings) == dict.fromkeys(top, rounds)
    for ranking in rankings:
        assert [choice.priority for choice in ranking] == sorted(priorities)


def test_the_configured_priorities_make_the_tiers_not_those_of_the_few_at_hand() -> None:
    order = RoundRobin([1, 1, 2])
    some = order.arrange([Choice(0, None, 1), Choice(2, None, 2)])
    assert [first(order, some) for _ in range(4)] == [0, 0, 0, 0]
    assert [first(RoundRobin(), RoundRobin().arrange(some)) for _ in range(2)] == [0, 0]
    alone = RoundRobin()
    arranged = alone.arrange(some)
    assert [first(alone, arranged) for _ in range(4)] == [0, 2, 0, 2]


@given(
    size=st.integers(2, 5),
    calls=st.lists(st.sets(st.integers(0, 4), min_size=1), min_size=1, max_size=60),
)
def test_28_calls_for_some_are_fair_and_disturb_nobody(size: int, calls: list[set[int]]) -> None:
    """However calls for different sets interleave, each set's calls begin with each member equally often."""
    order = RoundRobin([1] * size)
    began: dict[frozenset[int], Counter[int]] = {}
    for members in calls:
        some = frozenset(index % size for index in members)
        arranged = order.arrange([Choice(index, None, 1) for index in some])
        counts = began.setdefault(some, Counter(dict.fromkeys(some, 0)))
        counts[first(order, arranged)] += 1
        assert max(counts.values()) - min(counts.values()) <= 1


def test_one_turn_under_all_names_of_a_model() -> None:
    order = RoundRobin()
    fast, plain = (order.arrange([Choice(index, model) for index in range(2)]) for model in ("fast", None))
    assert [first(order, arranged) for arranged in (fast, plain, fast, plain)] == [0, 1, 0, 1]


def test_the_turns_that_are_remembered_are_bounded() -> None:
    order = RoundRobin()
    often = order.arrange([Choice(0), Choice(1)])
    counts: Counter[int] = Counter()
    for index in range(4 * MAX_RINGS):
        first(order, order.arrange([Choice(0), Choice(2 + index)]))
        counts[first(order, often)] += 1
    assert len(order._turns) == MAX_RINGS
    assert abs(counts[0] - counts[1]) <= 5, "a turn that was forgotten begins anew, once in a while"


@given(size=st.integers(1, 4), clients=st.integers(1, 20), backend=st.sampled_from(["asyncio", "trio"]))
def test_28_round_robin_under_concurrency(
    size: int, clients: int, backend: Literal["asyncio", "trio"]
) -> None:
    async def main() -> None:
        log: list[Made] = []
        providers = [Recorder(f"p{index}", [Answer(delay=1.0)], log) for index in range(size)]
        manager = ProviderManager(providers, FallbackConfig(strategy="round_robin"))
        async with anyio.create_task_group() as group:
            for _ in range(clients):
                group.start_soon(manager.generate, "x")
        counts = [len(provider.requests) for provider in providers]
        assert max(counts) - min(counts) <= 1
        assert sum(counts) == clients

    run_simulated(main, backend=backend)


# ---------------------------------------------------------------------------------------------------- retry


def test_retry_stays_with_the_first_and_goes_on_only_to_those_named() -> None:
    all_of_them = row([9, 8, 7, 6])
    assert indexes(FirstThenNamed(()).arrange(all_of_them)) == [3]
    order = FirstThenNamed((2, 0))
    assert indexes(order(order.arrange(all_of_them))) == [3, 2, 0]
    assert indexes(FirstThenNamed((0, 1)).arrange(row([1, 1])[::-1])) == [0, 1]


# ------------------------------------------------------------------------------------------------- weighted

CHI_SQUARE_99_9 = {1: 10.83, 2: 13.82, 3: 16.27, 4: 18.47, 5: 20.52, 11: 31.26}
"""By degrees of freedom: what a true hypothesis exceeds once in a thousand times."""


def chi_square(counts: Mapping[Any, int], expected: Mapping[Any, float]) -> float:
    assert set(counts) <= set(expected)
    return sum((counts[key] - many) ** 2 / many for key, many in expected.items())


@pytest.mark.parametrize("weights", [[1, 1], [3, 1], [0.5, 2, 7], [1, 2, 3, 4], [10, 0.1, 1]])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_29_weighted_frequencies_pass_a_chi_square(weights: list[float], seed: int) -> None:
    draws = 20_000
    order = Weighted(weights, Random(seed))
    arranged = order.arrange(row([1] * len(weights)))
    counts = Counter(first(order, arranged) for _ in range(draws))
    expected = {index: draws * weight / sum(weights) for index, weight in enumerate(weights)}
    assert chi_square(counts, expected) < CHI_SQUARE_99_9[len(weights) - 1]


def test_29_the_next_ones_are_drawn_again_without_replacement() -> None:
    weights, draws = [1.0, 2.0, 3.0, 4.0], 60_000
    order = Weighted(weights, Random(5))
    arranged = order.arrange(row([1] * 4))
    counts = Counter(tuple(indexes(islice(order(arranged), 2))) for _ in range(draws))
    expected = {
        (a, b): draws * weights[a] / 10 * weights[b] / (10 - weights[a])
        for a, b in itertools.permutations(range(4), 2)
    }
    assert chi_square(counts, expected) < CHI_SQUARE_99_9[11]


@given(weights=WEIGHTS, priorities=PRIORITIES, seed=SEEDS)
def test_29_weight_0_is_the_last_resort_of_all_tiers(
    weights: list[float], priorities: list[int], seed: int
) -> None:
    order = Weighted(weights, Random(seed))
    ranking = list(order(order.arrange(row(priorities)), Seen()))
    live = [choice for choice in ranking if weights[choice.index]]
    drained = [choice for choice in ranking if not weights[choice.index]]
    assert ranking == live + drained
    assert [choice.priority for choice in live] == sorted(choice.priority for choice in live)
    assert indexes(drained) == sorted(indexes(drained))


def test_who_has_no_weight_has_weight_1() -> None:
    order = Weighted([0.0], Random(1))
    assert indexes(order(order.arrange(row([1, 1]))))[-1] == 0


# ----------------------------------------------------------------------------------------------- least busy


@given(view=VIEWS, priorities=PRIORITIES)
def test_31_least_busy_never_prefers_the_busier(view: Seen, priorities: list[int]) -> None:
    order = LeastBusy()
    ranking = list(order(order.arrange(row(priorities)[::-1]), view))
    keys = [(choice.priority, view.loads[choice.index], choice.index) for choice in ranking]
    assert keys == sorted(keys)


def test_31_the_load_is_asked_anew_for_the_next() -> None:
    order, view = LeastBusy(), Seen([0.1, 0.2, 0.3])
    ranking = iter(order(order.arrange(row([1, 1, 1])), view))
    assert next(ranking).index == 0
    view.loads = [0.1, 0.9, 0.3]
    assert indexes(ranking) == [2, 1]


# -------------------------------------------------------------------------------------------------- latency


@given(view=VIEWS, size=st.integers(2, 8), seed=SEEDS)
def test_latency_takes_the_faster_of_two_and_then_all_by_delay(view: Seen, size: int, seed: int) -> None:
    def felt(index: int) -> tuple[float, float]:
        return view.delays[index] or 0.0, view.loads[index]

    order = ByDelay(Random(seed))
    began, *rest = indexes(order(order.arrange(row([1] * size)), view))
    assert any(felt(began) <= felt(other) for other in rest)
    assert [felt(index) for index in rest] == sorted(felt(index) for index in rest)


def test_latency_of_two_always_takes_the_faster_and_tries_the_unmeasured() -> None:
    order = ByDelay(Random(1))
    arranged = order.arrange(row([1, 1]))
    assert {first(order, arranged, Seen(delays=[1.0, 2.0])) for _ in range(50)} == {0}
    assert {first(order, arranged, Seen(delays=[1.0, None])) for _ in range(50)} == {1}
    assert {first(order, arranged, Seen([2.0, 1.0])) for _ in range(50)} == {1}
    assert {first(order, arranged, Seen()) for _ in range(50)} == {0, 1}


def test_latency_does_not_herd_to_the_one_fastest_of_many() -> None:
    order = ByDelay(Random(1))
    arranged = order.arrange(row([1] * 10))
    view = Seen(delays=[1.0 + index / 100 for index in range(10)])
    counts = Counter(first(order, arranged, view) for _ in range(9000))
    for index in range(10):  # the one at rank r is the faster one of a pair with probability 2 (9 - r) / 90
        assert counts[index] == pytest.approx(9000 * 2 * (9 - index) / 90, abs=150)


# ----------------------------------------------------------------------------------------------------- cost


@given(view=VIEWS, priorities=PRIORITIES)
def test_32_cost_takes_the_cheapest_and_the_unknown_last(view: Seen, priorities: list[int]) -> None:
    order = ByPrice()
    ranking = list(order(order.arrange(row(priorities)[::-1]), view))
    prices = [view.prices[choice.index] for choice in ranking]
    keys = [
        (choice.priority, price is None, price or 0, choice.index)
        for choice, price in zip(ranking, prices, strict=True)
    ]
    assert keys == sorted(keys)


# --------------------------------------------------------------------------------------------- model names

NAMES = ["openai", "claude", "local"]
ROUTINGS = [
    Routing(1, text_model="gpt-4o-mini", models={"fast": "gpt-4o-mini", "big": "gpt-4o"}),
    Routing(2, text_model="claude-x", models={"fast": "claude-haiku"}),
    Routing(3),
]


def chosen(model: str | None) -> list[tuple[int, str | None]]:
    return [(choice.index, choice.model) for choice in choices(model, NAMES, ROUTINGS)]


def test_a_models_name_means_those_who_know_it() -> None:
    assert chosen(None) == [(0, None), (1, None), (2, None)]
    assert chosen("fast") == [(0, "fast"), (1, "fast")]
    assert chosen("big") == [(0, "big")]
    assert chosen("claude-x") == [(1, "claude-x")]
    assert chosen("local/meta/llama-3") == [(2, "meta/llama-3")]
    assert chosen("meta/llama-3") == [(0, "meta/llama-3"), (1, "meta/llama-3"), (2, "meta/llama-3")]
