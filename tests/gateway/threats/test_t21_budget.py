"""T21: a tenant whose every call fails takes nothing from the others: neither their retries, nor their share of places."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from llmcore.config import BreakerConfig, BudgetConfig, FallbackConfig
from llmcore.gateway.config import GatewayConfig, LimitsConfig
from tests.gateway.threats.ground import Ground, Seen, answer, friendly, ground, provider, question, upstream

pytestmark = pytest.mark.anyio

OFTEN = 150
FALLBACK = FallbackConfig(
    max_retries=1, retry_delay_ms=1, budget=BudgetConfig(), breaker=BreakerConfig(enabled=False)
)


class Flaky:
    """Fails every call for the model "broken", and of each two others the first."""

    def __init__(self) -> None:
        self.turn = 0

    def __call__(self, seen: Seen) -> bytes:
        self.turn += 1
        if seen.json["model"] == "broken" or (b"flaky" in seen.body and self.turn % 2):
            return answer({"error": {"message": "no"}}, 503)
        return friendly(seen)


async def rate(on: Ground, who: str, model: str, count: int, text: str = "flaky") -> Counter[int]:
    codes: Counter[int] = Counter()
    async with on.http(who) as http:
        for _ in range(count):
            codes[
                (await http.post("/v1/chat/completions", json=question(text, model=model))).status_code
            ] += 1
    return codes


async def test_t21_others_succeed_as_before(tmp_path: Path) -> None:
    play = Flaky()
    async with upstream(play) as server, ground(tmp_path, provider("a", server), fallback=FALLBACK) as on:
        play.turn = 0
        before = await rate(on, "bob", "m", 20)
        assert set(await rate(on, "alice", "broken", OFTEN)) & {200} == set()
        asked = len(server.seen)
        assert set(await rate(on, "alice", "broken", 20)) == {503}
        assert len(server.seen) - asked == 20  # her own budget is empty: no retry is left to her
        play.turn = 0
        assert await rate(on, "bob", "m", 20) == before == Counter({200: 20})


async def test_t21_the_breaker_of_one_model_leaves_the_others(tmp_path: Path) -> None:
    """With the usual breaker: it opens for the model that fails, and bob's goes on."""
    play = Flaky()
    async with upstream(play) as server, ground(tmp_path, provider("a", server)) as on:
        await rate(on, "alice", "broken", OFTEN, "plain")
        assert await rate(on, "bob", "m", 20, "plain") == Counter({200: 20})


async def test_t21_one_user_does_not_take_every_place(tmp_path: Path) -> None:
    config = GatewayConfig(limits=LimitsConfig(concurrent=10, per_user=4))
    async with upstream() as server, ground(tmp_path, provider("a", server), config=config) as on:
        desk = on.services.desk
        seats, hers = desk.seats, await desk.authenticator.principal(on.keys["alice"])
        for _ in range(4):
            seats.take(hers)
        async with on.http("alice") as http, on.http("bob") as other:
            full = await http.post("/v1/chat/completions", json=question())
            assert full.status_code == 429
            assert full.headers["retry-after"]
            assert (await other.post("/v1/chat/completions", json=question())).status_code == 200
        for _ in range(4):
            seats.give(hers)
        async with on.http("alice") as http:
            assert (await http.post("/v1/chat/completions", json=question())).status_code == 200
