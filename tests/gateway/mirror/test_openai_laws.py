"""The laws of chat completions: what our own wire writes, the mirror reads, and the other way round."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import msgspec
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from llmcore.check import as_generation_request
from llmcore.errors import InvalidRequestError
from llmcore.gateway.errors import BadRequest
from llmcore.gateway.mirror.base import Asked
from llmcore.gateway.mirror.openai_chat import OpenAIChatMirror
from llmcore.types import (
    NO_USAGE,
    Event,
    Finished,
    GenerationRequest,
    GenerationResponse,
    Message,
    Part,
    PartDelta,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
)
from llmcore.wire.openai import FEATURES, OpenAIWire
from tests.gateway.mirror.openai_nouns import WIRE, foreign, requests, responses, streams, words

MIRROR = OpenAIChatMirror()
NEWER = evolve(WIRE, max_tokens_field="max_completion_tokens", system_role="developer")
ASK = GenerationRequest("?", model="m")


def asked(model: str | None = "m", *, include_usage: bool = True) -> Asked:
    return Asked(GenerationRequest("?", model), stream=True, include_usage=include_usage)


def written(events: list[Event], *, include_usage: bool = True) -> bytes:
    finished = events[-1]
    assert isinstance(finished, Finished)
    encoder = MIRROR.event_encoder(
        asked(finished.model, include_usage=include_usage), id=finished.id or "", created=7
    )
    return b"".join(map(encoder.feed, events))


def read(data: bytes) -> list[Event]:
    decoder = WIRE.event_decoder(ASK)
    events = [*decoder.feed(data), *decoder.finish()]
    assert decoder.error is None
    return events


@given(requests(), st.booleans(), st.sampled_from([WIRE, NEWER]))
def test_a_request_comes_through_the_wire_unchanged(
    request: GenerationRequest, stream: bool, wire: OpenAIWire
) -> None:
    encoded = wire.encode_generate(request, stream=stream)
    assert encoded.warnings == ()
    got = MIRROR.decode_request(msgspec.json.decode(encoded.http.body or b""))
    assert got == Asked(request, stream, include_usage=stream)


@given(responses())
def test_an_answer_comes_through_the_wire_unchanged(response: GenerationResponse) -> None:
    body = MIRROR.encode_response(response, asked(), id=response.id or "", created=7)
    assert WIRE.decode_generate(msgspec.json.encode(body), ASK) == response


@given(streams(), st.booleans())
def test_events_come_through_the_wire_unchanged(events: list[Event], include_usage: bool) -> None:
    if not include_usage:
        finished = events[-1]
        assert isinstance(finished, Finished)
        events = [*events[:-1], evolve(finished, usage=NO_USAGE)]
    assert read(written(events, include_usage=include_usage)) == events


@given(streams(), st.data())
def test_every_event_of_the_stream_is_one_line_of_json(events: list[Event], data: st.DataObject) -> None:
    *blocks, end, rest = written(events).split(b"\n\n")
    assert (end, rest) == (b"data: [DONE]", b"")
    for block in blocks:
        assert block.startswith(b"data: {")
        assert b"\n" not in block
        assert b"\r" not in block
        assert json.loads(block[6:])["object"] == "chat.completion.chunk"


# -------------------------------------------------------------------------- what only another vendor can read


def back(message: dict[str, Any]) -> tuple[Part, ...]:
    """What the gateway reads when a client sends that message back."""
    body = {"messages": [{"role": "user", "content": "?"}, json.loads(json.dumps(message))]}
    return MIRROR.decode_request(body).request.messages[1].parts


@given(foreign())
def test_what_a_vendor_sealed_comes_back_whole(message: Message) -> None:
    body = MIRROR.encode_response(GenerationResponse(message), asked(), id="x", created=7)
    assert back(body["choices"][0]["message"]) == message.parts


@given(foreign())
def test_what_a_vendor_sealed_comes_back_whole_out_of_a_stream(message: Message) -> None:
    events: list[Event] = []
    for part in message.parts:
        match part:
            case Thinking():
                events += [ThinkingDelta(part.text)] if part.text else []
                events.append(ThinkingDelta("", part.signature, part.redacted, part.raw, part.origin))
            case Text():
                events.append(TextDelta(part.text, part.signature, part.origin))
            case ToolCall():
                index = message.tool_calls.index(part)
                events.append(
                    ToolCallDelta(index, part.id, part.name, part.arguments, part.signature, part.origin)
                )
            case _:
                events.append(PartDelta(part))
    assert back(accumulated(written([*events, Finished("stop", model="m", id="x")]))) == message.parts


def accumulated(data: bytes) -> dict[str, Any]:
    """The message that a client puts together from a stream."""
    message: dict[str, Any] = {"role": "assistant", "content": None}
    for line in data.decode().split("\n\n"):
        if not line.startswith("data: {"):
            continue
        for choice in json.loads(line[6:])["choices"]:
            for name, value in choice["delta"].items():
                if isinstance(value, list):
                    message.setdefault(name, []).extend(value)
                elif name != "role" and value is not None:
                    message[name] = (message.get(name) or "") + value
    return message


@given(foreign(), words)
def test_a_gateway_behind_a_gateway_hides_nothing(message: Message, name: str) -> None:
    """Through a client of ours and a second gateway the first one's seals come back to the first as they were."""
    first = MIRROR.encode_response(GenerationResponse(message), asked(), id="x", created=7)
    between = WIRE.decode_generate(msgspec.json.encode(first), ASK).message
    second = MIRROR.encode_response(GenerationResponse(between), asked(), id="y", created=7)
    again = Message("assistant", back(second["choices"][0]["message"]))
    request = GenerationRequest([Message.user("?"), again], model=name)
    sent = msgspec.json.decode(WIRE.encode_generate(request, stream=False).http.body or b"")
    kinds = (Thinking, ToolCall)
    found = [part for part in back(sent["messages"][1]) if isinstance(part, kinds)]
    wanted = [part for part in message.parts if isinstance(part, kinds)]
    assert [p for p in found if isinstance(p, Thinking)] == [p for p in wanted if isinstance(p, Thinking)]
    assert [p.name for p in found if isinstance(p, ToolCall)] == [
        p.name for p in wanted if isinstance(p, ToolCall)
    ]


# ------------------------------------------------------------------------------------------------- odd requests

leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
KEYS = (
    *(
        "messages",
        "role",
        "content",
        "type",
        "text",
        "image_url",
        "url",
        "detail",
        "file",
        "file_data",
        "data",
    ),
    *(
        "input_audio",
        "format",
        "tool_calls",
        "function",
        "name",
        "arguments",
        "id",
        "tool_call_id",
        "refusal",
    ),
    *("reasoning_content", "reasoning_details", "thinking", "summary", "audio", "images", "extra_content"),
    *("google", "thought_signature", "tools", "parameters", "strict", "json_schema", "schema", "mode"),
    *("allowed_tools", "effort", "max_tokens", "include_usage", "session"),
)
WORDS = (
    *("user", "assistant", "tool", "system", "text", "image_url", "input_audio", "file", "function", "auto"),
    *("json_schema", "reasoning.sealed", "thinking", "data:;base64,AA", "llmcore1.AAAA", "http://", "wav"),
)
trees = st.recursive(
    leaves | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=20,
)
FIELDS = (
    *(
        "messages",
        "model",
        "temperature",
        "top_p",
        "max_tokens",
        "max_completion_tokens",
        "stop",
        "seed",
        "n",
    ),
    *("stream", "stream_options", "tools", "tool_choice", "parallel_tool_calls", "response_format", "user"),
    *("reasoning_effort", "reasoning", "metadata", "logprobs", "logit_bias", "store", "modalities", "audio"),
    *("functions", "service_tier", "presence_penalty", "base_url", "whatever"),
)


@given(st.dictionaries(st.sampled_from(FIELDS), trees, max_size=4), trees, st.sampled_from(WORDS))
def test_odd_requests_are_refused_and_never_crash(body: dict[str, Any], tree: Any, role: str) -> None:
    turn = tree if isinstance(tree, dict) else {"content": tree}
    for value in (
        body,
        {"messages": [{"role": "user", "content": "?"}], **body},
        {"messages": [{**turn, "role": role}]},
        {"messages": [{"role": role, "content": [tree]}]},
        {"messages": [{"role": "assistant", "tool_calls": [tree], "reasoning_details": [tree]}]},
        {"messages": [{"role": "user", "content": "?"}], "tools": [tree], "tool_choice": tree},
    ):
        with suppress(BadRequest, InvalidRequestError):
            as_generation_request(MIRROR.decode_request(value).request)


@given(st.dictionaries(st.sampled_from(FIELDS), trees, max_size=4))
def test_every_refusal_names_its_field(body: dict[str, Any]) -> None:
    param = fault_in(body)
    assert param is None or param.partition(".")[0].partition("[")[0] in {*FIELDS}


def fault_in(body: dict[str, Any]) -> str | None:
    """The path of the fault, with which its sentence begins; None where there is none."""
    try:
        MIRROR.decode_request(body)
    except BadRequest as error:
        return error.param if error.param and error.message.startswith(f"{error.param}: ") else ""
    return None


def test_the_mirror_reads_what_the_plain_wire_writes() -> None:
    body = OpenAIWire(features=FEATURES).encode_generate(ASK, stream=True).http.body
    assert MIRROR.decode_request(json.loads(body or b"")) == Asked(ASK, True, True)
