"""The compact list of prices says what its library says: names, prices at any time, and where nobody knows."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from llmcore.pricelist import PriceList, Vendor, matches, price_list
from llmcore.prices import PublicPrices, warm
from llmcore.types import Usage

genai_prices = pytest.importorskip("genai_prices")

SIZES = (Usage(1000, 500, 200, 100), Usage(300_000, 500, 200), Usage(200_000, 5))
TIMES = tuple(
    datetime(2025, 1, 1, tzinfo=UTC) + timedelta(days=day, minutes=minute)
    for day in (0, 243, 720)
    for minute in (29, 30, 990)
)


@pytest.fixture(scope="module")
def listed() -> PriceList:
    assert warm()
    return price_list()


def theirs(vendor: str, model: str, usage: Usage, at: datetime) -> Decimal | None:
    said = genai_prices.Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cached_tokens or 0,
        cache_write_tokens=usage.cache_write_tokens or 0,
    )
    found: Any = genai_prices.calc_price(said, model, provider_id=vendor, genai_request_timestamp=at)
    price: Decimal = found.total_price
    return price


def test_every_name_means_the_same_model(listed: PriceList) -> None:
    from genai_prices.data_snapshot import get_snapshot

    snapshot = get_snapshot()
    for vendor in snapshot.providers:
        for model in vendor.models:
            for name in (model.id, model.id.upper(), f"{model.id}-20251211", f"x{model.id}"):
                try:
                    meant = snapshot.find_provider_model(name, None, vendor.id, None)[1].id
                except LookupError:
                    meant = None
                found = listed.find(vendor.id, name)
                assert (None if found is None else found.id) == meant, (vendor.id, name)


@pytest.mark.parametrize("vendor", ["openai", "anthropic", "google", "deepseek", "azure", "x-ai", "mistral"])
def test_prices_are_the_same_at_any_time(listed: PriceList, vendor: str) -> None:
    compared = 0
    for at in TIMES:
        prices = PublicPrices(listed, lambda at=at: at)  # type: ignore[misc]  # a loop's value as a default
        for model in listed.vendor(vendor).models[:30]:
            for usage in SIZES:
                ours = prices.cost(usage, vendor, model.id)
                if ours is not None:
                    assert ours == theirs(vendor, model.id, usage, at), (model.id, at)
                    compared += 1
    assert compared > 100


def test_a_process_of_its_own_says_the_same_and_takes_the_library_with_it(listed: PriceList) -> None:
    code = (
        "import sys\nfrom llmcore.prices import PriceBook, warm\nfrom llmcore.types import Usage\n"
        "assert warm(apart=True)\n"
        "print(PriceBook().cost('openai', 'gpt-4o-mini', Usage(1000, 500)), 'genai_prices' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    cost = PublicPrices(listed).cost(Usage(1000, 500), "openai", "gpt-4o-mini")
    assert done.stdout.split() == [str(cost), "False"]


def test_it_is_read_in_this_process_where_no_other_can_be_started() -> None:
    code = (
        "import sys\nsys.executable = '/nowhere/python'\nfrom llmcore.prices import warm\n"
        "assert warm(apart=True)\nprint('genai_prices' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


def test_what_the_list_has_not_is_unknown(listed: PriceList) -> None:
    assert listed.vendor("nobody") == Vendor()
    assert listed.find("nobody", "gpt-4o") is None
    assert listed.find("openai", "no such model") is None
    assert PublicPrices(listed).cost(Usage(1, 1), "openai", "no such model") is None


def test_each_kind_of_clause() -> None:
    assert matches(["and", [["starts_with", "gpt"], ["ends_with", "mini"]]], "gpt-4o-mini")
    assert not matches(["and", [["starts_with", "gpt"], ["ends_with", "mini"]]], "gpt-4o")
    assert matches(["or", [["equals", "a"], ["contains", "4o"]]], "gpt-4o")
    assert matches(["regex", "^o[134]$"], "o3")
    assert not matches(["regex", "^o[134]$"], "o30")
