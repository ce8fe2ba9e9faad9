"""An open stream tells who answers, before its end."""

from __future__ import annotations

import pytest

from llmcore import create_provider
from llmcore.config import FallbackConfig, ProviderConfig
from llmcore.errors import ServerError
from llmcore.manager import ProviderManager
from llmcore.sim import Simulator
from llmcore.testing import Answer, Fail, ScriptedProvider
from llmcore.types import GenerationRequest

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_a_leaf_names_itself_and_what_was_lost_on_the_way() -> None:
    async with Simulator() as sim:
        config = ProviderConfig("claude", "anthropic", api_key="k", base_url=sim.base_url("anthropic"))
        provider = create_provider(config)
        try:
            stream = provider.stream(GenerationRequest("say: hi", model="sim-model", temperature=0.5))
            assert stream.answering is None
            async with stream as events:
                who = events.answering
                assert who is not None
                assert (who.provider, who.model, who.attempts) == ("claude", "sim-model", 1)
                assert [warning.parameter for warning in who.warnings] == ["temperature"]
                assert (await events.collect()).warnings == who.warnings
            assert stream.answering is None
        finally:
            await provider.aclose()


async def test_a_manager_names_who_is_in_charge_and_counts_attempts() -> None:
    manager = ProviderManager(
        [ScriptedProvider("a", [Fail(ServerError("down"))] * 2), ScriptedProvider("b", [Answer("hi")])],
        FallbackConfig(retry_delay_ms=1),
    )
    async with manager.stream("hi") as events:
        who = events.answering
        assert who is not None
        end = (await events.collect()).attempts
        assert (who.provider, who.attempts) == ("b", len(end))
        assert len(end) > 1
    await manager.aclose()


async def test_a_manager_names_the_model_that_answers_where_none_was_asked_for() -> None:
    async with Simulator() as sim:
        config = ProviderConfig(
            "gpt",
            "openai",
            api_key="k",
            base_url=sim.base_url("openai"),
            text_model="usual",
            models={"q": "quick"},
        )
        manager = ProviderManager([create_provider(config)], FallbackConfig())
        for asked, told in ((None, "usual"), ("gpt/other", "other"), ("q", "quick")):
            async with manager.stream(GenerationRequest("say: hi", model=asked)) as events:
                who = events.answering
                assert who is not None
                assert who.model == told
                assert (await events.collect()).model == told
        await manager.aclose()
