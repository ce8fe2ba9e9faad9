"""Real Gemini and Vertex traffic, against an oracle that reads the raw JSON on its own."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from llmcore import errors
from llmcore.provider import Fold
from llmcore.types import EmbeddingRequest, Finished, GenerationRequest, GenerationResponse
from llmcore.wire.gemini import GeminiWire
from tests.corpus import Record, chunkings, records

WIRE = GeminiWire()
ASKED = GenerationRequest("hi", model="gemini-2.5-flash")
BOTH = ("gemini", "vertex")
BYTE_BY_BYTE = 20_000

FINISH = {
    "STOP": "stop",
    1: "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "UNEXPECTED_TOOL_CALL": "error",
}


def expected(objects: list[dict[str, Any]]) -> dict[str, Any]:
    """Text, thoughts, calls, end and counts of one answer, straight from its JSON."""
    candidates = [value["candidates"][0] for value in objects if value.get("candidates")]
    parts = [part for one in candidates for part in (one.get("content") or {}).get("parts") or []]
    calls = [part["functionCall"] for part in parts if "functionCall" in part]
    ends = [one["finishReason"] for one in candidates if "finishReason" in one]
    finish = FINISH.get(ends[-1], "unknown") if ends else "unknown"
    counts = [
        value["usageMetadata"] for value in objects if "promptTokenCount" in value.get("usageMetadata", {})
    ]
    last = counts[-1] if counts else {}
    written = [last[key] for key in ("candidatesTokenCount", "thoughtsTokenCount") if key in last]
    return {
        "text": "".join(part["text"] for part in parts if "text" in part and not part.get("thought")),
        "thinking": "".join(part["text"] for part in parts if "text" in part and part.get("thought")),
        "calls": [
            (call.get("id", f"call_{number}"), call["name"], call.get("args", {}))
            for number, call in enumerate(calls)
        ],
        "signatures": [part["thoughtSignature"] for part in parts if "thoughtSignature" in part],
        "finish": "tool_calls" if finish == "stop" and calls else finish,
        "raw_finish": str(ends[-1]) if ends else None,
        "input": last["promptTokenCount"] + last.get("toolUsePromptTokenCount", 0) if last else None,
        "output": sum(written) if written else None,
        "cached": last.get("cachedContentTokenCount"),
        "reasoning": last.get("thoughtsTokenCount"),
        "model": next(
            (value["modelVersion"] for value in reversed(objects) if value.get("modelVersion")), None
        ),
        "id": next((value["responseId"] for value in objects if value.get("responseId")), None),
    }


def seen(response: GenerationResponse) -> dict[str, Any]:
    marks = (getattr(part, "signature", None) for part in response.message.parts)
    return {
        "text": response.text,
        "thinking": response.thinking,
        "calls": [(call.id, call.name, call.input) for call in response.tool_calls],
        "signatures": [mark for mark in marks if mark],
        "finish": response.finish_reason,
        "raw_finish": response.raw_finish_reason,
        "input": response.usage.input_tokens,
        "output": response.usage.output_tokens,
        "cached": response.usage.cached_tokens,
        "reasoning": response.usage.reasoning_tokens,
        "model": response.model,
        "id": response.id,
    }


def objects_of(body: bytes) -> list[dict[str, Any]]:
    if body.lstrip()[:1] == b"[":
        listed: list[dict[str, Any]] = json.loads(body)
        return listed
    lines = body.decode().splitlines()
    return [json.loads(line.removeprefix("data:")) for line in lines if line.startswith("data:")]


def streamed(pieces: list[bytes]) -> tuple[list[Any], Any]:
    decoder = WIRE.event_decoder(ASKED)
    events = [event for piece in pieces for event in decoder.feed(piece)]
    return events + decoder.finish(), decoder.error


def splits(body: bytes) -> list[list[bytes]]:
    if len(body) <= BYTE_BY_BYTE:
        return list(chunkings(body))
    rng = random.Random(0)
    cuts = [sorted(rng.sample(range(1, len(body)), 30)) for _ in range(3)]
    return [[body[a:b] for a, b in zip([0, *at], [*at, len(body)], strict=True)] for at in cuts]


@pytest.mark.parametrize("record", records(api="generate_content", operation="generate", providers=BOTH))
def test_answers(record: Record) -> None:
    response = WIRE.decode_generate(record.body, ASKED)
    assert isinstance(response, GenerationResponse)
    assert seen(response) == expected([record.json])


@pytest.mark.parametrize("record", records(api="generate_content", operation="stream", providers=BOTH))
def test_streams(record: Record) -> None:
    objects = objects_of(record.body)
    oracle = expected(objects)
    events, error = streamed([record.body])
    fold = Fold()
    for event in events:
        fold.add(event)
    if any(value.get("promptFeedback", {}).get("blockReason") for value in objects):
        assert type(error) is errors.ContentFilterError
    elif oracle["raw_finish"] is None:
        assert type(error) is errors.StreamInterruptedError
        assert fold.message().text == oracle["text"]
    else:
        assert error is None
        assert [type(event) for event in events].count(Finished) == 1
        assert seen(fold.response()) == oracle
    for pieces in splits(record.body):
        again, failure = streamed(pieces)
        assert again == events
        assert (type(failure), str(failure)) == (type(error), str(error))


CLASSES = {
    400: errors.InvalidRequestError,
    401: errors.AuthenticationError,
    403: errors.PermissionDeniedError,
    404: errors.ModelNotFoundError,
    429: errors.RateLimitError,
    500: errors.ServerError,
    503: errors.OverloadedError,
}


def expected_class(status: int, body: bytes) -> type[Exception]:
    error = json.loads(body)
    error = (error[0] if isinstance(error, list) else error)["error"]
    details = json.dumps(error.get("details", []))
    if "API_KEY_INVALID" in details:
        return errors.AuthenticationError
    if error.get("status") == "FAILED_PRECONDITION":
        return errors.PermissionDeniedError
    if status == 429 and ("PerDay" in details or '"quota_limit_value": "0"' in details):
        return errors.QuotaExhaustedError
    return CLASSES[status]


FAILED = [
    *records(api="generate_content", operation=("generate", "stream"), ok=False, providers=BOTH),
    *records(api="embeddings", operation="embed", ok=False, providers=BOTH),
    *records(api="models", operation="list_models", ok=False, providers=BOTH),
]


@pytest.mark.parametrize("record", FAILED)
def test_errors(record: Record) -> None:
    found = WIRE.decode_error(record.status, record.headers, record.body)
    assert type(found) is expected_class(record.status, record.body)
    assert found.status == record.status
    assert found.message


@pytest.mark.parametrize("record", records(api="embeddings", operation="embed", providers=BOTH))
def test_embeddings(record: Record) -> None:
    value = record.json
    items = (
        value.get("embeddings")
        or [one["embeddings"] for one in value.get("predictions", ())]
        or [value["embedding"]]
    )
    response = WIRE.decode_embed(record.body, EmbeddingRequest(["a"] * len(items), model="m"))
    assert len(response.vectors) == len(items)
    for vector, item in zip(response.vectors, items, strict=True):
        assert list(vector) == pytest.approx(item["values"], rel=1e-6, abs=1e-9)
    tokens = [item["statistics"]["token_count"] for item in items if "statistics" in item]
    told = value.get("usageMetadata", {}).get("promptTokenCount", sum(tokens) if tokens else None)
    assert response.usage.input_tokens == told


@pytest.mark.parametrize("record", records(api="models", operation="list_models", providers=BOTH))
def test_models(record: Record) -> None:
    page = WIRE.decode_models(record.body)
    listed = record.json["models"]
    assert [model.id for model in page.models] == [item["name"].removeprefix("models/") for item in listed]
    assert [model.context_window for model in page.models] == [item["inputTokenLimit"] for item in listed]
    assert page.cursor == record.json.get("nextPageToken")
