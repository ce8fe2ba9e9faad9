"""Cohere's recorded traffic against an oracle that reads the raw JSON by itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from llmcore.errors import AuthenticationError, ModelNotFoundError, ProviderError
from llmcore.provider import Fold
from llmcore.types import EmbeddingRequest, GenerationRequest, GenerationResponse, Opaque
from llmcore.wire.cohere import CohereWire
from tests.corpus import Record, chunkings, records

WIRE = CohereWire()
ASKED = GenerationRequest("hi", model="m")
SMALL = 20_000
FINISH = {"COMPLETE": "stop", "STOP_SEQUENCE": "stop", "MAX_TOKENS": "length", "TOOL_CALL": "tool_calls"}
BY_STATUS: dict[int, type[ProviderError]] = {401: AuthenticationError, 404: ModelNotFoundError}


def facts(response: GenerationResponse) -> dict[str, Any]:
    citations = [part.raw["citations"] for part in response.message.parts if isinstance(part, Opaque)]
    return {
        "text": response.text,
        "thinking": response.thinking,
        "calls": [(call.id, call.name, call.arguments) for call in response.tool_calls],
        "citations": citations[0] if citations else [],
        "finish": response.finish_reason,
        "raw": response.raw_finish_reason,
        "usage": (response.usage.input_tokens, response.usage.output_tokens),
        "cached": response.usage.cached_tokens,
        "id": response.id,
    }


def expected(
    message: dict[str, Any], ending: dict[str, Any], answer_id: str, calls: list[tuple[str, str, str]]
) -> dict[str, Any]:
    content = message.get("content") or []
    usage = ending["usage"]
    return {
        "text": "".join(part["text"] for part in content if part.get("type") == "text"),
        "thinking": "".join(part["thinking"] for part in content if part.get("type") == "thinking")
        + message.get("tool_plan", ""),
        "calls": calls,
        "citations": message.get("citations") or [],
        "finish": FINISH[ending["finish_reason"]],
        "raw": ending["finish_reason"],
        "usage": (usage["tokens"]["input_tokens"], usage["tokens"]["output_tokens"]),
        "cached": usage.get("cached_tokens"),
        "id": answer_id,
    }


def of_stream(body: bytes) -> dict[str, Any]:
    """The whole message out of the events, by hand."""
    lines = [line[5:].strip() for line in body.splitlines() if line.startswith(b"data:")]
    events = [json.loads(line) for line in lines if line != b"[DONE]"]
    message: dict[str, Any] = {"content": [], "tool_plan": "", "citations": []}
    calls: list[list[str]] = []
    for event in events:
        told = (event.get("delta") or {}).get("message") or {}
        if event["type"] == "content-start":
            message["content"].append(dict(told["content"]))
        elif event["type"] == "content-delta":
            for field, piece in told["content"].items():
                message["content"][-1][field] += piece
        elif event["type"] == "tool-plan-delta":
            message["tool_plan"] += told["tool_plan"]
        elif event["type"] == "citation-start":
            message["citations"].append(told["citations"])
        elif event["type"] == "tool-call-start":
            call = told["tool_calls"]
            calls.append([call["id"], call["function"]["name"], call["function"]["arguments"]])
        elif event["type"] == "tool-call-delta":
            calls[-1][2] += told["tool_calls"]["function"]["arguments"]
    ending = next(event["delta"] for event in events if event["type"] == "message-end")
    return expected(message, ending, events[0]["id"], [(a, b, c) for a, b, c in calls])


def some_chunkings(body: bytes) -> Iterator[list[bytes]]:
    for chunks in chunkings(body):
        if len(body) < SMALL or len(chunks) < SMALL:
            yield chunks


@pytest.mark.parametrize("record", records(api="chat_v2", operation="generate"))
def test_answers(record: Record) -> None:
    raw = record.json
    calls = [
        (call["id"], call["function"]["name"], call["function"]["arguments"])
        for call in raw["message"].get("tool_calls") or []
    ]
    response = WIRE.decode_generate(record.body, ASKED)
    assert facts(response) == expected(raw["message"], raw, raw["id"], calls)


@pytest.mark.parametrize("record", records(api="chat_v2", operation="stream"))
def test_streams(record: Record) -> None:
    oracle = of_stream(record.body)
    for chunks in some_chunkings(record.body):
        decoder, fold = WIRE.event_decoder(ASKED), Fold()
        for event in [*(event for chunk in chunks for event in decoder.feed(chunk)), *decoder.finish()]:
            fold.add(event)
        assert decoder.error is None
        assert facts(fold.response()) == oracle


@pytest.mark.parametrize("record", records(api="embeddings", operation="embed", providers=("cohere",)))
def test_embeddings(record: Record) -> None:
    found = record.json["embeddings"]
    raw = found["float"] if isinstance(found, dict) else found
    response = WIRE.decode_embed(record.body, EmbeddingRequest(["x"] * len(raw), model="m"))
    assert [list(vector) for vector in response.vectors] == [
        pytest.approx(vector, rel=1e-6) for vector in raw
    ]
    assert response.usage.input_tokens == record.json["meta"]["billed_units"].get("input_tokens")


@pytest.mark.parametrize(
    "record",
    [
        *records(api="chat_v2", operation=("generate", "stream"), ok=False),
        *records(api="embeddings", operation="embed", ok=False, providers=("cohere",)),
    ],
)
def test_errors(record: Record) -> None:
    error = WIRE.decode_error(record.status, record.headers, record.body)
    assert type(error) is BY_STATUS[record.status]
    assert error.message == record.json["message"]
