"""OpenAI Responses against recorded traffic of all who speak it, by an oracle that reads the raw JSON on its own."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from llmcore.errors import (
    AuthenticationError,
    InvalidRequestError,
    ModelNotFoundError,
    ProviderError,
    RateLimitError,
)
from llmcore.provider import Fold
from llmcore.types import Event, Finished, GenerationRequest, GenerationResponse, Usage
from llmcore.wire.responses import ResponsesWire
from tests.corpus import Record, chunkings, records

WIRE = ResponsesWire()
ASK = GenerationRequest("?", model="m")
BYTE_BY_BYTE = 20_000


def told(response: dict[str, Any]) -> dict[str, Any]:
    """What the raw object says, read without our code."""
    output = response["output"]
    parts = [part for item in output if item["type"] == "message" for part in item["content"]]
    calls = [(c["name"], c["arguments"], c["call_id"]) for c in output if c["type"] == "function_call"]
    usage = response.get("usage") or {}
    if any(part["type"] == "refusal" for part in parts):
        finish = "refusal"
    else:
        finish = "tool_calls" if calls else "stop"
    return {
        "text": "".join(part["text"] for part in parts if part["type"] == "output_text"),
        "refusal": "".join(part["refusal"] for part in parts if part["type"] == "refusal"),
        "calls": calls,
        "finish": {"completed": finish, "incomplete": "length"}[response["status"]],
        "input": usage.get("input_tokens"),
        "output": usage.get("output_tokens"),
        "cached": (usage.get("input_tokens_details") or {}).get("cached_tokens"),
        "reasoning": (usage.get("output_tokens_details") or {}).get("reasoning_tokens"),
        "items": Counter(item["type"] for item in output if item["type"] not in {"message", "function_call"}),
        "id": response["id"],
        "model": response["model"],
    }


def understood(response: GenerationResponse) -> dict[str, Any]:
    usage: Usage = response.usage
    raws = [getattr(part, "raw", None) for part in response.message.parts]
    return {
        "text": response.text,
        "refusal": response.refusal or "",
        "calls": [(call.name, call.arguments, call.id) for call in response.tool_calls],
        "finish": response.finish_reason,
        "input": usage.input_tokens,
        "output": usage.output_tokens,
        "cached": usage.cached_tokens,
        "reasoning": usage.reasoning_tokens,
        "items": Counter(raw["type"] for raw in raws if isinstance(raw, dict) and "type" in raw),
        "id": response.id,
        "model": response.model,
    }


@pytest.mark.parametrize("record", records(api="responses", operation="generate"))
def test_whole_answers(record: Record) -> None:
    found = WIRE.decode_generate(record.body, ASK)
    assert isinstance(found, GenerationResponse)
    assert understood(found) == told(record.json)


def read(*chunks: bytes) -> tuple[list[Event], ProviderError | None]:
    decoder = WIRE.event_decoder(ASK)
    events = [event for chunk in chunks for event in decoder.feed(chunk)]
    return events + decoder.finish(), decoder.error


def streamed(body: bytes) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """The first final object of a stream, completed with the items that were done; and the first error."""
    items: dict[int, Any] = {}
    for line in body.decode().splitlines():
        if not line.startswith("data:") or line[5:].strip() == "[DONE]":
            continue
        event = json.loads(line[5:])
        if event["type"] == "response.output_item.done":
            items[event["output_index"]] = event["item"]
        if event["type"] in {"error", "response.failed"}:
            return None, event
        if event["type"] in {"response.completed", "response.incomplete"}:
            response = event["response"]
            output = response["output"] or [item for _, item in sorted(items.items())]
            return {**response, "output": output}, None
    return None, None


@pytest.mark.parametrize("record", records(api="responses", operation="stream"))
def test_streams(record: Record) -> None:
    events, error = read(record.body)
    final, failed = streamed(record.body)
    if final is None:
        assert failed is not None
        assert error is not None
        return
    assert error is None
    assert type(events[-1]) is Finished
    fold = Fold()
    for event in events:
        fold.add(event)
    found, wanted = understood(fold.response()), told(final)
    if any(count for count in (wanted["items"] - found["items"]).values()):
        # reasoning that was overtaken by the answer before it was done has no seal, but is there
        assert wanted["items"] - found["items"] == Counter({"reasoning": 1})
        assert fold.response().thinking
        wanted["items"] = found["items"]
    assert found == wanted


@pytest.mark.parametrize("record", records(api="responses", operation="stream"))
def test_any_split_gives_the_same(record: Record) -> None:
    whole = read(record.body)
    for number, chunks in enumerate(chunkings(record.body)):
        if number == 1 and len(record.body) > BYTE_BY_BYTE:
            continue
        events, error = read(*chunks)
        assert events == whole[0]
        assert str(error) == str(whole[1])


@pytest.mark.parametrize("record", records(api="responses", operation="stream"))
def test_cut_streams_are_no_success(record: Record) -> None:
    ends = (b"response.completed", b"response.incomplete", b"response.failed")
    first = min(at for word in ends if (at := record.body.find(word)) > 0)
    for at in (0, first // 3, first // 2, first):
        events, error = read(record.body[:at])
        assert error is not None
        assert not any(isinstance(event, Finished) for event in events)


def wanted_class(record: Record) -> type[ProviderError]:
    body = record.json
    error = body.get("error")
    code = error.get("code") if isinstance(error, dict) else body.get("code")
    if code == "model_not_found":
        return ModelNotFoundError
    return {400: InvalidRequestError, 401: AuthenticationError, 429: RateLimitError}[record.status]


@pytest.mark.parametrize("record", records(api="responses", operation=("generate", "stream"), ok=False))
def test_errors(record: Record) -> None:
    error = WIRE.decode_error(record.status, record.headers, record.body)
    assert type(error) is wanted_class(record)
    assert error.status == record.status
    assert error.message
    assert "without saying why" not in error.message
