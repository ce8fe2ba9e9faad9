"""Anthropic Messages against recorded traffic, checked by an oracle that reads the raw JSON by itself."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmcore import errors
from llmcore.errors import ProviderError
from llmcore.provider import Fold
from llmcore.types import Event, GenerationRequest, GenerationResponse, Opaque
from llmcore.wire.anthropic import AnthropicWire
from tests.corpus import Record, chunkings, records

WIRE = AnthropicWire()
ASK = GenerationRequest("?", model="m")
BYTES = 20_000

FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "pause_turn": "pause",
    "refusal": "refusal",
}
KNOWN = {"text", "thinking", "redacted_thinking", "tool_use"}


# ------------------------------------------------------------------------------------------------ the oracle


def oracle_message(raw: dict[str, Any]) -> dict[str, Any]:
    """What a message holds, straight from its JSON."""
    content = raw["content"]
    calls = [(b["id"], b["name"], b["input"]) for b in content if b["type"] == "tool_use"]
    finish = FINISH.get(raw["stop_reason"], "unknown")
    usage = raw["usage"]
    cached = usage.get("cache_read_input_tokens")
    written = usage.get("cache_creation_input_tokens")
    return {
        "text": "".join(b["text"] for b in content if b["type"] == "text"),
        "thinking": "".join(b["thinking"] for b in content if b["type"] == "thinking"),
        "signatures": [b["signature"] for b in content if b["type"] == "thinking" and b["signature"]],
        "calls": calls,
        "own": [b for b in content if b["type"] not in KNOWN],
        "finish": "tool_calls" if finish == "stop" and calls else finish,
        "raw_finish": raw["stop_reason"],
        "usage": (
            usage["input_tokens"] + (cached or 0) + (written or 0),
            usage["output_tokens"],
            cached,
            written,
            (usage.get("output_tokens_details") or {}).get("thinking_tokens"),
        ),
        "id": raw["id"],
        "model": raw["model"],
    }


def oracle_stream(body: bytes) -> dict[str, Any]:
    """The first message of a stream put together as the documentation tells, then read like a whole one."""
    message: dict[str, Any] = {}
    inputs: dict[int, str] = {}
    for line in body.decode().splitlines():
        if not line.startswith("data:"):
            continue
        event = json.loads(line[5:])
        match event["type"]:
            case "message_start":
                message = event["message"]
            case "content_block_start":
                message["content"].append(event["content_block"])
            case "content_block_delta":
                _oracle_delta(message["content"][event["index"]], event, inputs)
            case "message_delta":
                message.update(event["delta"])
                message["usage"].update({k: v for k, v in event["usage"].items() if v is not None})
            case "message_stop":
                break
    for index, text in inputs.items():
        if text:
            message["content"][index]["input"] = json.loads(text)
    return oracle_message(message)


def _oracle_delta(block: dict[str, Any], event: dict[str, Any], inputs: dict[int, str]) -> None:
    delta = event["delta"]
    match delta["type"]:
        case "text_delta":
            block["text"] += delta["text"]
        case "thinking_delta":
            block["thinking"] += delta["thinking"]
        case "signature_delta":
            block["signature"] = delta["signature"]
        case "input_json_delta":
            inputs[event["index"]] = inputs.get(event["index"], "") + delta["partial_json"]


def seen(answer: GenerationResponse) -> dict[str, Any]:
    usage = answer.usage
    parts = answer.message.parts
    return {
        "text": answer.text,
        "thinking": answer.thinking,
        "signatures": [
            p.signature for p in parts if type(p).__name__ == "Thinking" and p.signature and not p.redacted
        ],
        "calls": [(call.id, call.name, call.input) for call in answer.tool_calls],
        "own": [part.raw for part in parts if isinstance(part, Opaque)],
        "finish": answer.finish_reason,
        "raw_finish": answer.raw_finish_reason,
        "usage": (
            usage.input_tokens,
            usage.output_tokens,
            usage.cached_tokens,
            usage.cache_write_tokens,
            usage.reasoning_tokens,
        ),
        "id": answer.id,
        "model": answer.model,
    }


# ------------------------------------------------------------------------------------------------- the tests


def bedrock_messages() -> list[Any]:
    """Messages by another door: Bedrock's InvokeModel hands on the same body."""
    return [
        case
        for case in records(api="invoke_model", operation="generate")
        if case.values[0] is None or case.values[0].json.get("type") == "message"
    ]


@pytest.mark.parametrize("record", [*records(api="messages", operation="generate"), *bedrock_messages()])
def test_recorded_answers(record: Record) -> None:
    answer = WIRE.decode_generate(record.body, ASK)
    assert isinstance(answer, GenerationResponse)
    assert seen(answer) == oracle_message(record.json)


def read(chunks: list[bytes]) -> tuple[list[Event], ProviderError | None]:
    decoder = WIRE.event_decoder(ASK)
    events = [event for chunk in chunks for event in decoder.feed(chunk)]
    return [*events, *decoder.finish()], decoder.error


@pytest.mark.parametrize("record", records(api="messages", operation="stream"))
def test_recorded_streams(record: Record) -> None:
    events, error = read([record.body])
    assert error is None
    fold = Fold()
    for event in events:
        fold.add(event)
    assert seen(fold.response()) == oracle_stream(record.body)


@pytest.mark.parametrize("record", records(api="messages", operation="stream"))
def test_recorded_streams_in_pieces(record: Record) -> None:
    expected = read([record.body])
    for chunks in chunkings(record.body, seed=len(record.body)):
        if len(chunks) <= BYTES:
            assert read(chunks) == expected


STATUS = {
    400: (errors.InvalidRequestError, errors.ContextLengthError, errors.QuotaExhaustedError),
    401: (errors.AuthenticationError,),
    404: (errors.ModelNotFoundError,),
    429: (errors.RateLimitError,),
    500: (errors.ServerError,),
    529: (errors.OverloadedError,),
}


@pytest.mark.parametrize(
    "record",
    [
        *records(api="messages", operation=("generate", "stream"), ok=False),
        *records(api="models", operation="list_models", ok=False, providers=("anthropic",)),
        *records(api="other", operation="other", ok=False, providers=("anthropic",)),
    ],
)
def test_recorded_errors(record: Record) -> None:
    error = WIRE.decode_error(record.status, record.headers, record.body)
    said = record.json["error"]
    if record.status == 400 and "prompt is too long" in said["message"]:
        assert type(error) is errors.ContextLengthError
    else:
        assert type(error) is STATUS[record.status][0]
    assert (error.type, error.message) == (said["type"], said["message"])
    assert error.request_id == (record.json.get("request_id") or record.headers.get("request-id"))


@pytest.mark.parametrize("record", records(api="models", operation="list_models", providers=("anthropic",)))
def test_recorded_models(record: Record) -> None:
    page = WIRE.decode_models(record.body)
    assert [(m.id, m.display_name, m.context_window, m.max_output_tokens) for m in page.models] == [
        (m["id"], m["display_name"], m.get("max_input_tokens"), m.get("max_tokens"))
        for m in record.json["data"]
    ]
    assert page.cursor == (record.json["last_id"] if record.json["has_more"] else None)
