"""llmcore through its public face: one provider alone, a manager as it comes, and one with every policy on."""

from __future__ import annotations

import gc
from typing import Any, Literal

import llmcore
from benchmarks.clients.base import KEY, MODEL, PROMPT, TEXTS, Seen, Setting
from benchmarks.payloads import TOOL

EVERYTHING: dict[str, Any] = {
    "max_in_flight": 2000,
    "rpm": 10**9,
    "tpm": 10**12,
    "context_window": 100_000,
    "max_output_tokens": 10_000,
    "capabilities": frozenset({"tools"}),
}


def configured(
    setting: Setting, transport: Literal["fast", "httpx"], **more: Any
) -> list[llmcore.ProviderConfig]:
    """A provider for each address, first choice first. The kind "openai" asks for base64 vectors, the other for floats."""
    kind = "openai" if setting.encoding == "base64" else "openai_compatible"
    return [
        llmcore.ProviderConfig(
            f"p{index}",
            kind,
            api_key=KEY,
            base_url=url,
            text_model=MODEL,
            embedding_model=MODEL,
            transport=transport,
            priority=index + 1,
            **more,
        )
        for index, url in enumerate(setting.urls)
    ]


class Llmcore:
    """Any llmcore provider, called as a user calls it."""

    def __init__(self, llm: llmcore.LlmProvider, setting: Setting) -> None:
        self.llm = llm
        self.request: llmcore.GenerationInput = PROMPT
        if setting.tools:
            function = TOOL["function"]
            tool = llmcore.Tool(function["name"], function["description"], function["parameters"])
            self.request = llmcore.GenerationRequest(PROMPT, tools=(tool,))

    async def generate(self) -> str:
        return (await self.llm.generate(self.request)).text

    async def stream(self) -> Seen:
        seen = Seen()
        async with self.llm.stream(self.request) as events:
            async for event in events:
                if isinstance(event, (llmcore.TextDelta, llmcore.ToolCallDelta)):
                    seen.note()
        return seen

    async def embed(self) -> int:
        return sum(len(vector) for vector in (await self.llm.embed(TEXTS)).vectors)

    async def aclose(self) -> None:
        await self.llm.aclose()


def leaf(setting: Setting) -> Llmcore:
    return Llmcore(llmcore.create_provider(configured(setting, "fast")[0]), setting)


def manager(setting: Setting, **more: Any) -> Llmcore:
    """Every default on: retries, patience, breakers, budget, paces, ledger, stats. more: fields of FallbackConfig."""
    fallback = llmcore.FallbackConfig(**more)
    config = llmcore.LlmConfig(configured(setting, "fast"), fallback=fallback)
    return Llmcore(llmcore.create_manager(config), setting)


def manager_everything(setting: Setting) -> Llmcore:
    """Limits, paces, slots, windows, capabilities, latency strategy, hedging and rescue beside the defaults."""
    fallback = llmcore.FallbackConfig(strategy="latency", hedge_after=5.0, mid_stream="restart")
    config = llmcore.LlmConfig(configured(setting, "fast", **EVERYTHING), fallback=fallback)
    return Llmcore(llmcore.create_manager(config), setting)


def manager_rare_gc(setting: Setting) -> Llmcore:
    """As `manager`, in a process that looks for garbage less often, as one with thousands of calls in flight should."""
    gc.set_threshold(50_000)
    return manager(setting)


def manager_httpx(setting: Setting) -> Llmcore:
    return Llmcore(llmcore.create_manager(llmcore.LlmConfig(configured(setting, "httpx"))), setting)


def failover_at_once(setting: Setting) -> Llmcore:
    """No retries, so that no wait is asked for; nothing remembers the failures, so that every call fails over."""
    return manager(setting, max_retries=0, pace=False, breaker=llmcore.BreakerConfig(enabled=False))


def failover_no_retries(setting: Setting) -> Llmcore:
    return manager(setting, max_retries=0)
