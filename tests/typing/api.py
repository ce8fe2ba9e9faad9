"""Usages that only the type checker reads: the face as people type it, and proof that leaf, gate and composite fit the contract."""

from __future__ import annotations

from decimal import Decimal
from typing import assert_type

import attrs

import llmcore
from llmcore.testing import ScriptedProvider


@attrs.frozen
class City:
    name: str
    people: int


def leaf_and_composite(leaf: llmcore.HttpProvider, composite: llmcore.ProviderManager) -> None:
    providers: list[llmcore.LlmProvider] = [leaf, composite, ScriptedProvider("a")]
    nested: llmcore.LlmProvider = llmcore.ProviderManager(providers, llmcore.FallbackConfig())
    assert_type(nested.name, str)


async def generate(llm: llmcore.LlmProvider) -> None:
    assert_type(await llm.generate("hi"), llmcore.GenerationResponse)
    await llm.generate(llmcore.Message.user("look", llmcore.Image(url="https://example.org/a.png")))
    await llm.generate([llmcore.Message.system("be brief"), llmcore.Message.user("hi")])
    answer = await llm.generate(
        llmcore.GenerationRequest("hi", response_format=City, reasoning="low", stop=".")
    )
    assert_type(answer.parsed(City), City)
    assert_type(answer.usage.input_tokens, "int | None")
    assert_type(answer.usage.cost_usd, "Decimal | None")
    assert_type(answer.tool_calls, "tuple[llmcore.ToolCall, ...]")
    assert_type(answer.attempts, "tuple[llmcore.Attempt, ...]")


async def stream(llm: llmcore.LlmProvider) -> None:
    async with llm.stream("hi") as events:
        async for event in events:
            match event:
                case llmcore.TextDelta(text):
                    assert_type(text, str)
                case llmcore.Finished(finish_reason=reason):
                    assert_type(reason, llmcore.FinishReason)
                case _:
                    pass
    assert_type(await llm.stream("hi").collect(), llmcore.GenerationResponse)


async def embed(llm: llmcore.LlmProvider) -> None:
    response = await llm.embed(["a", "b"])
    assert_type(response.vectors[0][0], float)
    assert_type(await llmcore.is_model_available(llm, "m"), bool)


async def build() -> None:
    config = llmcore.ProviderConfig(name="a", provider="openai", api_key="k")
    assert_type(llmcore.create_provider(config), llmcore.HttpProvider)
    async with llmcore.open("config.toml") as llm:
        assert_type(llm, llmcore.ProviderManager)
    with llmcore.open_sync() as sync:
        assert_type(sync.generate("hi"), llmcore.GenerationResponse)
        with sync.stream("hi") as events:
            for event in events:
                assert_type(event, llmcore.Event)


def cost(total: Decimal) -> Decimal:
    return total
