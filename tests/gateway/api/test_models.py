"""The catalogue as clients get it: what is known of each model, the default, speeds of the ledger, recommendations."""

from __future__ import annotations

import time
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pytest

from llmcore.gateway.backend import PriceTag
from llmcore.gateway.speeds import Speeds
from llmcore.gateway.store import StoreUnavailable, UsageAttempt
from llmcore.testing import ScriptedProvider
from llmcore.types import ModelInfo
from tests.gateway.whole import Whole, whole

pytestmark = pytest.mark.anyio

AT = "/api/models"
LISTED = (
    ModelInfo("small", context_window=8_000, capabilities=frozenset(("tools",))),
    ModelInfo("large", context_window=200_000, capabilities=frozenset(("tools", "images"))),
    ModelInfo("text-embedding-x"),
)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Listing(ScriptedProvider):
    async def list_models(self) -> Sequence[ModelInfo]:
        return LISTED


def priced(one: Whole) -> None:
    dollars = {"small": 1, "large": 5}
    one.backend.prices = {name: PriceTag(Decimal(usd), Decimal(usd)) for name, usd in dollars.items()}


def attempt(model: str, first_token_ms: float | None, *, at: float, outcome: str = "success") -> UsageAttempt:
    return UsageAttempt("r", at, "u", "a", "openai", outcome, model=model, first_token_ms=first_token_ms)


async def test_the_catalogue_and_what_it_recommends(tmp_path: Path) -> None:
    async with whole(tmp_path, Listing("a")) as one, one.http() as http:
        priced(one)
        told = (await http.get(AT)).json()
        by_id = {model["id"]: model for model in told["models"]}
        assert by_id["small"]["capabilities"] == ["tools"]
        assert by_id["large"]["context_window"] == 200_000
        assert by_id["text-embedding-x"]["tags"] == ["embedding"]
        assert told["recommended"]["cheapest"] == "a/small"
        able = (await http.get(AT, params={"needs": "tools, images"})).json()["recommended"]
        assert (able["cheapest"], able["sure"]["cheapest"]) == ("a/large", True)
        long = (await http.get(AT, params={"context": "8001"})).json()["recommended"]
        assert long["cheapest"] == "a/large"
        nobody = (await http.get(AT, params={"needs": "audio"})).json()["recommended"]
        assert nobody == {"cheapest": None, "fastest": None, "reasons": {}, "sure": {}}


@pytest.mark.parametrize(
    "query", [{"needs": "wings"}, {"context": "-1"}, {"context": "many"}, {"context": "٣"}]
)
async def test_what_cannot_be_needed_is_said(tmp_path: Path, query: dict[str, str]) -> None:
    async with whole(tmp_path, Listing("a")) as one, one.http() as http:
        reply = await http.get(AT, params=query)
        assert reply.status_code == 400
        assert reply.json()["error"]["param"] == next(iter(query))


async def test_a_key_is_recommended_only_what_it_may_use(tmp_path: Path) -> None:
    async with whole(tmp_path, Listing("a")) as one:
        priced(one)
        token, _ = await one.key(one.people["alice"].user.id, models=frozenset(("large",)))
        async with one.http(token=token) as http:
            told = (await http.get(AT)).json()
        assert [model["id"] for model in told["models"]] == ["large"]
        assert told["recommended"]["cheapest"] == "a/large"


async def test_speeds_are_those_of_the_ledger(tmp_path: Path) -> None:
    async with whole(tmp_path, Listing("a")) as one, one.http() as http:
        now = time.time()
        rows = [attempt("large", 200.0 + number, at=now) for number in range(4)]
        rows += [attempt("small", 900.0, at=now) for _ in range(3)]
        rows += [attempt("small", 1.0, at=now - 9 * 86400) for _ in range(9)]  # too old
        rows += [attempt("small", 1.0, at=now, outcome="ServerError") for _ in range(9)]
        rows += [
            attempt("text-embedding-x", 1.0, at=now),
            attempt("small", None, at=now),
        ]  # too few; no stream
        await one.store.usage.add(rows)
        told = (await http.get(AT)).json()
        speeds = {model["id"]: model["first_token_s"] for model in told["models"]}
        assert speeds == {"small": 0.9, "large": 0.202, "text-embedding-x": None}
        assert told["recommended"]["fastest"] == "a/large"
        own = (await http.get("/api/settings/llm/models", params={"provider": "a"})).json()
        assert own["recommended"]["fastest"] == "a/large"


async def test_speeds_of_before_count_while_the_database_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with whole(tmp_path, Listing("a")) as one:
        at = 1e9
        speeds = Speeds(one.store, lambda: at)
        await one.store.usage.add([attempt("large", 500.0, at=at) for _ in range(3)])
        known = await speeds.by_model()
        assert known["a", "large"].first_token_s == 0.5

        async def away(*_: object) -> None:
            raise StoreUnavailable("away")

        monkeypatch.setattr("llmcore.gateway.speeds.read", away)
        at += 3600
        assert await speeds.by_model() == known
