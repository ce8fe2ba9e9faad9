"""Ollama's recorded traffic against an oracle that reads the raw JSON by itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from llmcore.errors import ProviderError
from llmcore.provider import Fold
from llmcore.types import EmbeddingRequest, GenerationRequest, GenerationResponse
from llmcore.wire.ollama import OllamaWire
from tests.corpus import Record, chunkings, records

WIRE = OllamaWire()
ASKED = GenerationRequest("hi", model="m")
SMALL = 20_000


def facts(response: GenerationResponse) -> dict[str, Any]:
    return {
        "text": response.text,
        "thinking": response.thinking,
        "calls": [(call.name, json.loads(call.arguments)) for call in response.tool_calls],
        "ids": [call.id for call in response.tool_calls],
        "finish": response.finish_reason,
        "raw": response.raw_finish_reason,
        "usage": (response.usage.input_tokens, response.usage.output_tokens),
        "model": response.model,
    }


def oracle(objects: list[Any]) -> dict[str, Any]:
    """What the objects of one answer say, put together by hand."""
    messages = [value.get("message") or {} for value in objects]
    calls = [call for message in messages for call in message.get("tool_calls") or []]
    last = objects[-1]
    finish = {"stop": "tool_calls" if calls else "stop", "length": "length"}[last["done_reason"]]
    return {
        "text": "".join(
            m.get("content") or v.get("response") or "" for m, v in zip(messages, objects, strict=True)
        ),
        "thinking": "".join(
            m.get("thinking") or v.get("thinking") or "" for m, v in zip(messages, objects, strict=True)
        ),
        "calls": [(call["function"]["name"], call["function"]["arguments"]) for call in calls],
        "ids": [call.get("id") or f"call_{index}" for index, call in enumerate(calls)],
        "finish": finish,
        "raw": last["done_reason"],
        "usage": (last.get("prompt_eval_count"), last.get("eval_count")),
        "model": last["model"],
    }


def some_chunkings(body: bytes) -> Iterator[list[bytes]]:
    for chunks in chunkings(body):
        if len(body) < SMALL or len(chunks) < SMALL:
            yield chunks


@pytest.mark.parametrize("record", records(api="native", operation="generate"))
def test_answers(record: Record) -> None:
    assert facts(WIRE.decode_generate(record.body, ASKED)) == oracle([record.json])


@pytest.mark.parametrize("record", records(api="native", operation="stream"))
def test_streams(record: Record) -> None:
    expected = oracle([json.loads(line) for line in record.body.splitlines() if line.strip()])
    for chunks in some_chunkings(record.body):
        decoder, fold = WIRE.event_decoder(ASKED), Fold()
        for event in [*(event for chunk in chunks for event in decoder.feed(chunk)), *decoder.finish()]:
            fold.add(event)
        assert decoder.error is None
        assert facts(fold.response()) == expected


@pytest.mark.parametrize("record", records(api="native", operation="stream"))
def test_streams_cut_short_are_interrupted(record: Record) -> None:
    decoder = WIRE.event_decoder(ASKED)
    decoder.feed(record.body.rstrip()[:-1])
    decoder.finish()
    assert isinstance(decoder.error, ProviderError)


@pytest.mark.parametrize("record", records(api="native", operation="list_models"))
def test_models(record: Record) -> None:
    assert [info.id for info in WIRE.decode_models(record.body).models] == [
        item["model"] for item in record.json["models"]
    ]


@pytest.mark.parametrize("record", records(api="embeddings", operation="embed", providers=("ollama",)))
def test_embeddings(record: Record) -> None:
    if "embeddings" not in record.json:
        assert "data" in record.json  # the OpenAI door's shape is another wire's
        return
    raw = record.json["embeddings"]
    response = WIRE.decode_embed(record.body, EmbeddingRequest(["x"] * len(raw), model="m"))
    assert [len(vector) for vector in response.vectors] == [len(vector) for vector in raw]
    assert [list(vector) for vector in response.vectors] == [
        pytest.approx(vector, rel=1e-6) for vector in raw
    ]
    assert response.usage.input_tokens == record.json["prompt_eval_count"]
