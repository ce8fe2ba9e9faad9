"""Orders as laws: priority sorts, round robin is fair (invariant 28), `retry` stays with the first."""

from __future__ import annotations

import itertools
from collections import Counter

import anyio
from hypothesis import given
from hypothesis import strategies as st

from llmcore.config import FallbackConfig, Routing
from llmcore.manager import ProviderManager
from llmcore.manager.models import Choice, choices
from llmcore.manager.order import ByPriority, FirstThenNamed, RoundRobin
from llmcore.testing import Answer, run_simulated
from tests.manager.strategies import Made, Recorder


@given(priorities=st.lists(st.integers(0, 3), min_size=1, max_size=8))
def test_priority_sorts_and_keeps_the_configured_order_of_equals(priorities: list[int]) -> None:
    ranked = ByPriority().arrange(
        [Choice(index, None, priority) for index, priority in enumerate(priorities)]
    )
    assert [(choice.priority, choice.index) for choice in ranked] == sorted(
        (p, i) for i, p in enumerate(priorities)
    )


@given(size=st.integers(1, 7), rounds=st.integers(1, 5))
def test_28_round_robin_gives_each_candidate_its_turn(size: int, rounds: int) -> None:
    order = RoundRobin(size)
    arranged = order.arrange([Choice(index) for index in range(size)])
    rankings = [order(arranged) for _ in range(size * rounds)]
    assert Counter(ranking[0].index for ranking in rankings) == dict.fromkeys(range(size), rounds)
    for ranking in rankings:
        assert sorted(choice.index for choice in ranking) == list(range(size))
        assert all((b.index - a.index) % size == 1 for a, b in itertools.pairwise(ranking))


@given(size=st.integers(1, 4), clients=st.integers(1, 20), backend=st.sampled_from(["asyncio", "trio"]))
def test_28_round_robin_under_concurrency(size: int, clients: int, backend: str) -> None:
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


def test_round_robin_over_some_begins_with_the_first_at_or_behind_the_cursor() -> None:
    order = RoundRobin(4)
    some = order.arrange([Choice(3), Choice(1)])
    assert [order(some)[0].index for _ in range(4)] == [1, 1, 3, 3]


def test_retry_stays_with_the_first_and_goes_on_only_to_those_named() -> None:
    all_of_them = [Choice(index, None, 9 - index) for index in range(4)]
    assert [choice.index for choice in FirstThenNamed(()).arrange(all_of_them)] == [3]
    assert [choice.index for choice in FirstThenNamed((2, 0)).arrange(all_of_them)] == [3, 2, 0]


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
