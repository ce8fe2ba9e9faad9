"""Recorded traffic through chat completions: what real clients sent is understood, real answers come out as they went in."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from llmcore.check import as_generation_request
from llmcore.errors import ProviderError
from llmcore.gateway.errors import BadRequest
from llmcore.gateway.mirror.base import Asked
from llmcore.gateway.mirror.openai_chat import OpenAIChatMirror
from llmcore.gateway.mirror.openai_embeddings import OpenAIEmbeddingsMirror
from llmcore.provider import Fold
from llmcore.types import (
    Event,
    GenerationRequest,
    GenerationResponse,
    Image,
    Message,
    Part,
    Refusal,
    Thinking,
    ToolCall,
)
from llmcore.wire.anthropic import AnthropicWire
from llmcore.wire.gemini import GeminiWire
from llmcore.wire.openai import OpenAIWire
from llmcore.wire.responses import ResponsesWire
from tests.corpus import Record, records

MIRROR = OpenAIChatMirror()
WIRE = OpenAIWire()
ASK = GenerationRequest("?", model="m")
ASKED = Asked(ASK, stream=True, include_usage=True)
VENDORS: dict[str, Any] = {
    "messages": AnthropicWire(),
    "responses": ResponsesWire(),
    "chat_completions": WIRE,
    "generate_content": GeminiWire(),
}
OPERATIONS = ("generate", "stream")
OWN = records(api="chat_completions", operation=OPERATIONS)
ANY = [param for api in VENDORS for param in records(api=api, operation=OPERATIONS)]
REFUSALS = (
    *(
        "old form",
        "send the request n times",
        "only tools of the type function",
        "is not one of function, allowed",
    ),
    *(
        "document_url",
        "file_url",
        "input_audio: must be an object",
        "tool_call_id: is required",
        "id: is required",
    ),
    "name: '' must be letters",
)
"""Why a recorded request may be refused: what other vendors alone understand, and requests that are wrong."""


def read(wire: Any, body: bytes) -> list[Event]:
    decoder = wire.event_decoder(ASK)
    events = [*decoder.feed(body), *decoder.finish()]
    if decoder.error is not None:
        raise decoder.error
    return events


def fold(events: list[Event]) -> GenerationResponse:
    folding = Fold()
    for event in events:
        folding.add(event)
    return folding.response()


def answer_of(record: Record) -> tuple[GenerationResponse, list[Event]] | None:
    """The recorded answer, with its events where it was streamed; None where it was an error."""
    wire = VENDORS[record.api]
    try:
        if not record.stream:
            return wire.decode_generate(record.body, ASK), []
        events = read(wire, record.body)
    except ProviderError:
        return None
    return fold(events), events


@pytest.mark.parametrize("record", OWN)
def test_requests_of_clients_are_understood(record: Record) -> None:
    body = (record.request or {}).get("json")
    if not isinstance(body, dict):
        pytest.skip("the recorder kept no request")
    try:
        asked = MIRROR.decode_request(body)
    except BadRequest as error:
        cut = "base64" in str(error) and (record.request or {}).get("elided")
        if cut or any(word in str(error) for word in REFUSALS):
            return
        raise
    if any(message.role != "system" for message in asked.request.messages):
        as_generation_request(asked.request)
    assert asked.request.model == body.get("model")
    assert asked.stream is (body.get("stream") or False)
    assert len(asked.request.messages) == len(body["messages"])
    assert len(asked.request.tools) == len(body.get("tools") or ())


@pytest.mark.parametrize("record", records(api="embeddings", operation="embed"))
def test_embeddings_of_clients_are_understood(record: Record) -> None:
    body = (record.request or {}).get("json")
    if not isinstance(body, dict) or "input" not in body:
        pytest.skip("the recorder kept no request")
    if body["input"] and not isinstance(body["input"][0], str):
        with pytest.raises(BadRequest, match="is tokens"):
            OpenAIEmbeddingsMirror().decode_request(body)
        return
    found = OpenAIEmbeddingsMirror().decode_request(body)
    assert found.request.model == body.get("model")


@pytest.mark.parametrize("record", ANY)
def test_recorded_answers_come_out_as_they_went_in(record: Record) -> None:
    found = answer_of(record)
    if found is None:
        return
    response, events = found
    body = MIRROR.encode_response(response, ASKED, id="x", created=0)
    again = WIRE.decode_generate(msgspec.json.encode(body), ASK)
    assert said(again.message) == said(response.message)
    assert again.usage == plain(response)
    if events:
        encoder = MIRROR.event_encoder(ASKED, id="x", created=0)
        streamed = fold(read(WIRE, b"".join(map(encoder.feed, events))))
        assert said(streamed.message) == said(response.message)
        assert streamed.finish_reason == again.finish_reason
        assert streamed.usage == plain(response)


def said(message: Message) -> dict[str, Any]:
    """What a reader sees, each kind joined, since a message of this wire holds each kind once."""
    return {
        "text": message.text,
        "thinking": message.thinking,
        "refusal": "".join(part.text for part in message.parts if isinstance(part, Refusal)),
        "calls": [
            (call.id, call.name, call.input if not call.parse_error else call.arguments)
            for call in message.tool_calls
        ],
        "images": len([part for part in message.parts if isinstance(part, Image)]),
    }


def plain(response: GenerationResponse) -> Any:
    """The usage without the cost, which this wire does not say."""
    usage = response.usage
    return type(usage)(
        usage.input_tokens,
        usage.output_tokens,
        usage.cached_tokens,
        usage.cache_write_tokens,
        usage.reasoning_tokens,
    )


@pytest.mark.parametrize("record", ANY)
def test_what_a_vendor_sealed_comes_back_to_it(record: Record) -> None:
    """What only the vendor can read, through a client that sends the message back as it got it."""
    found = answer_of(record)
    sealed = signed(found[0].message) if found is not None else []
    if found is None or not sealed:
        return
    body = MIRROR.encode_response(found[0], ASKED, id="x", created=0)
    turn = msgspec.json.decode(msgspec.json.encode(body["choices"][0]["message"]))
    turn.pop("audio", None)
    back = MIRROR.decode_request({"messages": [{"role": "user", "content": "?"}, turn]})
    assert signed(back.request.messages[1]) == sealed


def signed(message: Message) -> list[Part]:
    """The parts that bear a mark of their vendor, those of one kind in their order."""
    found = [
        part
        for part in message.parts
        if isinstance(part, (Thinking, ToolCall)) and part.signature is not None
    ]
    return sorted(found, key=lambda part: isinstance(part, ToolCall))
