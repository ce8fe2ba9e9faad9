"""The ledger beside the simulator's own records over 300 mixed calls: as many attempts as requests, the same tokens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any

import anyio
import attrs
import pytest

import llmcore
from llmcore.config import BreakerConfig, BudgetConfig, FallbackConfig, LlmConfig, ProviderConfig
from llmcore.errors import ProviderError
from llmcore.manager import ProviderManager
from llmcore.sim import Simulator, SimulatorThread
from llmcore.sim.record import Record
from llmcore.types import EmbeddingRequest, GenerationRequest

pytestmark = pytest.mark.anyio

CALLS = 300
AT_ONCE = 12
KINDS = ("openai", "anthropic", "gemini", "cohere")
EMBEDDERS = ("openai", "gemini", "cohere")
SCRIPT: dict[str, Any] = {
    "rules": [
        {"dialect": "openai", "every": 5, "status": 503, "retry_after": 0},
        {"dialect": "openai", "reused": False, "every": 3, "reset": True},
        {"dialect": "openai", "stream": True, "every": 4, "cut_after_events": 6},
        {"dialect": "openai", "stream": False, "every": 13, "body": '{"id": "x", "choi'},
        {"dialect": "anthropic", "every": 6, "status": 529},
        {"dialect": "anthropic", "stream": True, "every": 3, "cut_after_events": 3, "cut_how": "reset"},
        {"dialect": "anthropic", "every": 17, "status": 401},
        {"dialect": "gemini", "stream": True, "every": 4, "error_after_events": 2, "error": "server"},
        {"dialect": "gemini", "every": 7, "status": 429, "retry_after": 0},
        {"dialect": "gemini", "every": 19, "error": "filter"},
        {"dialect": "cohere", "reused": False, "every": 2, "close": True},
    ]
}


@pytest.fixture(scope="module")
def sim() -> Iterator[SimulatorThread]:
    with SimulatorThread(Simulator(seed=3)) as running:
        yield running


def config(sim: SimulatorThread) -> LlmConfig:
    """Four vendors taking turns; nothing is ever left alone, so that every fault is met again and again."""
    providers = [
        ProviderConfig(
            kind,
            kind,
            api_key="k",
            base_url=sim.base_url(kind),
            text_model="m",
            embedding_model="e",
            priority=1,
        )
        for kind in KINDS
    ]
    fallback = FallbackConfig(
        strategy="round_robin",
        retry_delay_ms=0,
        mid_stream="restart",
        patience=0,
        breaker=BreakerConfig(enabled=False),
        budget=BudgetConfig(enabled=False),
    )
    return LlmConfig(providers, fallback, transport="httpx")


async def one(manager: ProviderManager, number: int, dice: Random) -> str:
    prompt = f"count: {dice.randint(8, 60)}"
    kind = dice.choice(["generate", "generate", "stream", "stream", "embed", "left"])
    try:
        if kind == "generate":
            await manager.generate(GenerationRequest(prompt))
        elif kind == "stream":
            await manager.stream(prompt).collect()
        elif kind == "embed":
            await manager.embed(EmbeddingRequest(["a", f"text {number}"], providers=EMBEDDERS))
        else:
            async with manager.stream(GenerationRequest(f"leave: {number}")) as events:
                await anext(events)
    except ProviderError as error:
        return type(error).__name__
    return kind


def was_answered(record: Record) -> bool:
    """Whether the whole answer went out, and to somebody who wanted it."""
    left = record.understood is not None and "leave: " in (record.understood.prompt or "")
    return record.outcome == "answered" and record.fault is None and record.status < 400 and not left


def tells_tokens(record: Record) -> bool:
    """Gemini does not say what an embedding cost."""
    assert record.understood is not None
    return not (record.dialect == "gemini" and record.understood.operation == "embed")


async def test_the_ledger_is_what_the_vendors_saw(sim: SimulatorThread) -> None:
    sim.reset()
    sim.set_script(SCRIPT)
    dice, outcomes = Random(11), Counter[str]()
    async with llmcore.open(config(sim), environ={}) as manager:
        limiter = anyio.CapacityLimiter(AT_ONCE)

        async def client(number: int) -> None:
            async with limiter:
                outcomes[await one(manager, number, Random(dice.random()))] += 1

        async with anyio.create_task_group() as group:
            for number in range(CALLS):
                group.start_soon(client, number)
        tallies, kept = manager.ledger.tallies, manager.ledger.attempts
    records = sim.requests
    assert sum(outcomes.values()) == CALLS
    assert {"generate", "stream", "embed", "left"} <= set(outcomes)
    for kind in KINDS:
        theirs = [record for record in records if record.dialect == kind]
        whole = [record for record in theirs if was_answered(record)]
        tally = tallies[kind]
        assert tally.attempts == len(theirs), kind
        assert tally.successes == len(whole), kind
        told = [record for record in whole if tells_tokens(record)]
        assert tally.input_tokens == sum(record.counts.input for record in told), kind
        assert tally.output_tokens == sum(record.counts.output for record in told), kind
    why = Counter(attempt.why for attempt in kept)
    ends = Counter(attempt.outcome for attempt in kept)
    assert {"first", "retry", "failover", "restart"} <= set(why), why
    assert {"success", "cancelled", "StreamInterruptedError", "OverloadedError", "RateLimitError"} <= set(
        ends
    ), ends
    assert manager.stats().in_flight == 0


async def test_what_was_never_sent_is_no_attempt(sim: SimulatorThread) -> None:
    """Anthropic has no embeddings: the wire refuses, and the next vendor is asked."""
    sim.set_script(None)
    sim.reset()
    both = config(sim)
    both = attrs.evolve(both, providers=(both.providers[1], both.providers[0]))
    async with llmcore.open(both, environ={}) as manager:
        response = await manager.embed("text")
        assert response.provider == "openai"
        assert len(sim.requests) == 1
        assert manager.ledger.total().attempts == 1
        assert [attempt.provider for attempt in response.attempts] == ["openai"]
        assert [skip.provider for skip in response.skipped] == ["anthropic"]
