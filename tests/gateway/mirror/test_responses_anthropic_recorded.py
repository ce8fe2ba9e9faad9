"""Recorded traffic through the Anthropic and the Responses mirror: requests are understood, answers come out unchanged."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from llmcore.check import as_generation_request
from llmcore.errors import ProviderError
from llmcore.gateway.errors import BadRequest
from llmcore.gateway.mirror.anthropic import AnthropicMirror
from llmcore.gateway.mirror.base import Asked
from llmcore.gateway.mirror.responses import ResponsesMirror
from llmcore.gateway.mirror.sse import dumps
from llmcore.provider import events_of
from llmcore.types import (
    Event,
    GenerationRequest,
    GenerationResponse,
    Message,
    Part,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from llmcore.wire.anthropic import AnthropicWire
from llmcore.wire.gemini import GeminiWire
from llmcore.wire.openai import OpenAIWire
from llmcore.wire.responses import ResponsesWire
from tests.corpus import Record, records
from tests.gateway.mirror import nouns

ASK = GenerationRequest("?", model="m")
SIDES: dict[str, tuple[Any, Any]] = {
    "messages": (AnthropicWire(), AnthropicMirror()),
    "responses": (ResponsesWire(), ResponsesMirror()),
}
VENDORS: dict[str, Any] = {
    "messages": AnthropicWire(),
    "responses": ResponsesWire(),
    "chat_completions": OpenAIWire(),
    "generate_content": GeminiWire(),
}
REFUSALS = ("'s own", "stored here", "tool_addition")
"""Why a recorded request may be refused: hosted tools, stored conversations, tools that change in mid-conversation."""

ASKED = ("generate", "stream")
SERVED = [param for api in SIDES for param in records(api=api, operation=ASKED)]
ANY = [param for api in VENDORS for param in records(api=api, operation=ASKED)]


def answer_of(wire: Any, record: Record) -> GenerationResponse | None:
    """The recorded answer; None where it was an error."""
    try:
        if not record.stream:
            response: GenerationResponse = wire.decode_generate(record.body, ASK)
            return response
        return nouns.fold(read(wire, record.body))
    except ProviderError:
        return None


def read(wire: Any, body: bytes) -> list[Event]:
    decoder = wire.event_decoder(ASK)
    events = [*decoder.feed(body), *decoder.finish()]
    if decoder.error is not None:
        raise decoder.error
    return events


@pytest.mark.parametrize("record", SERVED)
def test_requests_of_clients_are_understood(record: Record) -> None:
    body = (record.request or {}).get("json")
    if record.request is None or not isinstance(body, dict):
        pytest.skip("the recorder kept no request")
    try:
        asked = SIDES[record.api][1].decode_request(body)
    except BadRequest as error:
        cut = "base64" in str(error) and record.request.get("elided")
        if cut or any(word in str(error) for word in REFUSALS):
            return
        raise
    as_generation_request(asked.request)
    assert asked.request.model == (body.get("model") or None)
    assert asked.stream is (body.get("stream") or False)
    assert len(asked.request.tools) == len(body.get("tools") or ()) or "tools" in body.get("tool_choice", ())


@pytest.mark.parametrize("record", SERVED)
def test_recorded_answers_come_out_as_they_went_in(record: Record) -> None:
    wire, mirror = SIDES[record.api]
    response = answer_of(wire, record)
    if response is None:
        return
    value = mirror.encode_response(response, Asked(ASK), id="x", created=0)
    again = wire.decode_generate(dumps(value), ASK)
    assert tidy(again.message) == tidy(response.message)
    assert again.finish_reason == response.finish_reason
    assert is_told(again.usage, response.usage)
    encoder = mirror.event_encoder(Asked(ASK), id="x", created=0)
    found = nouns.fold(read(wire, b"".join(map(encoder.feed, events_of(response)))))
    assert bare(found.message) == bare(response.message)
    assert found.finish_reason == response.finish_reason


def bare(message: Message) -> list[Part]:
    """The parts without seals, which stand in other words in a stream."""
    return [Thinking(part.text) if isinstance(part, Thinking) else part for part in message.parts]


def tidy(message: Message) -> list[Part]:
    """The parts with the arguments of calls as compact JSON (in a whole answer of Anthropic's they are no text), and with
    reasoning that nobody sealed as nobody's.
    """
    return [_tidy(part) for part in message.parts]


def _tidy(part: Part) -> Part:
    if isinstance(part, ToolCall) and not part.parse_error:
        return evolve(part, arguments=dumps(part.input).decode())
    if isinstance(part, Thinking) and part.signature is None:
        return Thinking(part.text)
    return part


FIGURES = ("input_tokens", "output_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens")


def is_told(found: Usage, given: Usage) -> bool:
    """Whether what was known is the same, and what was not is unknown still, or the 0 that the wire demands."""
    pairs = [(getattr(found, name), getattr(given, name)) for name in FIGURES]
    return all(said == known or (known is None and said == 0) for said, known in pairs)


@pytest.mark.parametrize("served", SIDES)
@pytest.mark.parametrize("record", ANY)
def test_what_a_vendor_sealed_comes_back_to_it_through_any_client(record: Record, served: str) -> None:
    mirror = SIDES[served][1]
    response = answer_of(VENDORS[record.api], record)
    sealed = signed(response.message) if response is not None else []
    if response is None or not sealed or response.finish_reason == "error":
        return
    for value in (whole(mirror, response), folded(mirror, response)):
        assert signed(sent_back(mirror, served, value)) == sealed


def signed(message: Message) -> list[Part]:
    """The parts that bear a mark; blank text counts as none, since Anthropic takes no other."""
    parts = [part for part in message.parts if getattr(part, "signature", None)]
    return [
        evolve(part, text="") if isinstance(part, Text) and not part.text.strip() else part for part in parts
    ]


def whole(mirror: Any, response: GenerationResponse) -> Any:
    return nouns.through_json(mirror.encode_response(response, Asked(ASK), id="x", created=0))


def folded(mirror: Any, response: GenerationResponse) -> Any:
    """The answer as a client folds it out of the stream."""
    encoder = mirror.event_encoder(Asked(ASK), id="x", created=0)
    body = b"".join(map(encoder.feed, events_of(response)))
    wire = AnthropicWire() if mirror.name == "anthropic" else ResponsesWire()
    again = GenerationRequest([Message.user("?"), nouns.fold(read(wire, body)).message], model="m")
    sent = nouns.body_of(wire.encode_generate(again, stream=False).http.body)
    return (
        {"content": sent["messages"][1]["content"]} if "messages" in sent else {"output": sent["input"][1:]}
    )


def sent_back(mirror: Any, served: str, value: Any) -> Message:
    if served == "messages":
        turns = [{"role": "user", "content": "?"}, {"role": "assistant", "content": value["content"]}]
        body = {"model": "m", "max_tokens": 9, "messages": turns}
    else:
        body = {"model": "m", "input": [{"role": "user", "content": "?"}, *value["output"]]}
    message: Message = mirror.decode_request(body).request.messages[1]
    return message
