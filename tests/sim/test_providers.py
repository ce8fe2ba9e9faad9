"""Every provider kind of ours against the simulator: a call, a stream, tools, a schema, embeddings, models, both loops."""

from __future__ import annotations

import json

import pytest

from llmcore import create_provider
from llmcore.config import ProviderConfig
from llmcore.errors import UnsupportedFeatureError
from llmcore.sim import SimulatorThread
from llmcore.sim.places import PLACE_OF_KIND
from llmcore.types import GenerationRequest, GenerationResponse, Tool

KINDS = sorted(set(PLACE_OF_KIND) - {"azure", "google"})
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}

pytestmark = pytest.mark.anyio


def config(sim: SimulatorThread, kind: str, model: str = "sim/model") -> ProviderConfig:
    return ProviderConfig(
        name="x",
        provider=kind,
        api_key="test-key-0123456789",
        base_url=sim.base_url(kind),
        text_model=model,
        embedding_model="sim-embed",
    )


def told(response: GenerationResponse) -> object:
    calls = [(call.name, json.loads(call.arguments)) for call in response.tool_calls]
    return response.text, response.thinking, calls, response.finish_reason


@pytest.mark.parametrize("kind", KINDS)
async def test_a_stream_is_the_same_as_a_call(sim: SimulatorThread, kind: str) -> None:
    tool = Tool("weather", "Tells the weather.", CITY)
    requests = (
        GenerationRequest("say: hi there"),
        GenerationRequest("call weather", tools=(tool,)),
        GenerationRequest("go", response_format=CITY),
        GenerationRequest("say: hi", reasoning="low"),
    )
    provider = create_provider(config(sim, kind))
    try:
        for request in requests:
            try:
                whole = await provider.generate(request)
            except UnsupportedFeatureError:
                assert kind in {"perplexity", "replicate"}
                continue
            async with provider.stream(request) as events:
                assert told(await events.collect()) == told(whole)
        assert whole.usage.output_tokens is not None
    finally:
        await provider.aclose()


@pytest.mark.parametrize("kind", KINDS)
async def test_embeddings_and_models(sim: SimulatorThread, kind: str) -> None:
    provider = create_provider(config(sim, kind))
    try:
        assert len(await provider.list_models()) == 3
        try:
            vectors = (await provider.embed(["one", "two", "one"])).vectors
        except UnsupportedFeatureError:
            return
        assert list(vectors[0]) == list(vectors[2]) != list(vectors[1])
    finally:
        await provider.aclose()
