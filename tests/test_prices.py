"""Own prices win, the vendor's own figure wins over all, and unknown is None."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmcore.prices import Ladder, Price, PriceBook, own_price, warm
from llmcore.types import Usage

CHEAP = Price(Decimal(1), Decimal(2), Decimal("0.5"), Decimal(4))


@pytest.mark.parametrize(
    ("price", "usage", "cost"),
    [
        (CHEAP, Usage(1_000_000, 1_000_000), "3"),
        (CHEAP, Usage(1_000_000, 0, cached_tokens=1_000_000), "0.5"),
        (CHEAP, Usage(1_000_000, 0, cached_tokens=400_000, cache_write_tokens=100_000), "1.1"),
        (CHEAP, Usage(1000, 500, reasoning_tokens=400), "0.002"),
        (CHEAP, Usage(10, 0, cached_tokens=99), "0.000005"),
        (Price(1, 2), Usage(1_000_000, 0, cached_tokens=500_000, cache_write_tokens=500_000), "1"),
        (CHEAP, Usage(None, 5), None),
        (CHEAP, Usage(5, None), None),
        (Price(1), Usage(1_000_000, None), "1"),
        (Price(1), Usage(1_000_000, 0), "1"),
        (Price(1), Usage(1_000_000, 7), None),
        (Price(0, 0), Usage(5, 5), "0"),
    ],
)
def test_cost_of_usage(price: Price, usage: Usage, cost: str | None) -> None:
    assert price.cost(usage) == (None if cost is None else Decimal(cost))


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**9))
def test_a_cost_lies_between_all_cheap_and_all_dear(read: int, cached: int, fresh: int, wrote: int) -> None:
    cost = CHEAP.cost(Usage(read, wrote, cached, fresh))
    assert cost is not None
    assert Decimal(read) / 2 <= cost * 1_000_000 - 2 * wrote <= 4 * Decimal(read)


@pytest.mark.parametrize(
    ("model", "found"),
    [
        ("gpt-4o-mini", 2),
        ("gpt-4o-mini-2024-07-18", 2),
        ("gpt-4o-2024-08-06", 1),
        ("gpt-4o-audio", 9),
        ("claude@20250101", 3),
        (None, 9),
    ],
)
def test_which_own_price_holds(model: str | None, found: int) -> None:
    own = {"gpt-4o": Price(1), "gpt-4o-mini": Price(2), "claude": Price(3), "*": Price(9)}
    assert own_price(own, model) == Price(found)


def test_without_a_star_an_unknown_model_has_no_own_price() -> None:
    assert own_price({"a": Price(1)}, "b") is None


def test_the_vendors_own_figure_wins() -> None:
    usage = Usage(10, 10, cost_usd=Decimal("0.25"))
    assert PriceBook({"*": Price(1, 1)}).cost("openai", "m", usage) == Decimal("0.25")


def test_a_price_book_that_is_off_prices_nothing() -> None:
    assert PriceBook({"*": Price(1, 1)}, mode="off").cost("openai", "gpt-4o-mini", Usage(1, 1)) is None


def test_the_ladder_takes_the_step_that_the_input_exceeds() -> None:
    ladder = Ladder(((-1, Price(1, 0)), (100, Price(2, 0)), (200, Price(3, 0))))
    found = [ladder.cost(Usage(size, 0)) for size in (0, 100, 101, 200, 201)]
    assert [cost * 1_000_000 for cost in found if cost is not None] == [0, 100, 202, 200 * 2, 201 * 3]


@pytest.fixture(scope="module")
def book() -> PriceBook:
    pytest.importorskip("genai_prices")
    assert warm()
    return PriceBook()


def test_only_own_prices_never_ask_the_extra(book: PriceBook) -> None:
    assert book.cost("openai", "gpt-4o-mini", Usage(1, 1)) is not None
    assert PriceBook(mode="own").cost("openai", "gpt-4o-mini", Usage(1, 1)) is None


def test_before_warm_only_own_prices_are_known_and_nothing_is_imported() -> None:
    code = (
        "import sys\nfrom llmcore.prices import Price, PriceBook\nfrom llmcore.types import Usage\n"
        "book = PriceBook({'x': Price(3, 3)})\n"
        "print(book.cost('openai', 'gpt-4o-mini', Usage(1, 1)), book.cost('openai', 'x', Usage(1000000, 0)),"
        " 'genai_prices' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["None", "3", "False"]


def test_public_prices_agree_with_their_library(book: PriceBook) -> None:
    import genai_prices

    sizes = (Usage(1000, 500, 200, 100), Usage(300_000, 500, 200), Usage(200_000, 5))
    for kind, vendor, model in (
        ("openai", "openai", "gpt-4o-mini"),
        ("openai_responses", "openai", "gpt-4o-mini-2024-07-18"),
        ("anthropic", "anthropic", "claude-sonnet-4-5"),
        ("gemini", "google", "gemini-2.5-pro"),
        ("mistral", "mistral", "mistral-large-latest"),
        ("openrouter", "openrouter", "openai/gpt-4o"),
    ):
        for usage in sizes:
            theirs = genai_prices.calc_price(
                genai_prices.Usage(
                    input_tokens=usage.input_tokens,
                    output_tokens=usage.output_tokens,
                    cache_read_tokens=usage.cached_tokens or 0,
                    cache_write_tokens=usage.cache_write_tokens or 0,
                ),
                model,
                provider_id=vendor,
            )
            assert book.cost(kind, model, usage) == theirs.total_price, (kind, model)


def test_own_prices_win_over_public_ones(book: PriceBook) -> None:
    mine = PriceBook({"gpt-4o-mini": Price(1000, 1000)})
    assert mine.cost("openai", "gpt-4o-mini", Usage(1_000_000, 0)) == Decimal(1000)
    assert mine.cost("openai", "gpt-4o", Usage(1_000_000, 0)) == book.cost(
        "openai", "gpt-4o", Usage(1_000_000, 0)
    )


@pytest.mark.parametrize(
    ("kind", "model"),
    [
        ("openai", "no-such-model"),
        ("ollama", "llama3.2"),
        ("openai_compatible", "gpt-4o-mini"),
        ("openai", None),
        ("openai", ""),
    ],
)
def test_an_unknown_price_is_none(book: PriceBook, kind: str, model: str | None) -> None:
    assert book.cost(kind, model, Usage(1, 1)) is None


def test_a_price_per_request_is_not_told_by_tokens(book: PriceBook) -> None:
    assert book.cost("perplexity", "sonar", Usage(1, 1)) is None


def test_embeddings_have_no_output_to_pay(book: PriceBook) -> None:
    assert book.cost("openai", "text-embedding-3-small", Usage(1_000_000)) == Decimal("0.02")
