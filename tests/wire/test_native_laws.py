"""Laws of the Ollama, Cohere and Replicate wires: any bytes, any split, any cut, and answers that go back unchanged."""

from __future__ import annotations

import json
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from attrs import evolve
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from llmcore.errors import ProviderError
from llmcore.provider import Fold
from llmcore.types import (
    EmbeddingRequest,
    Event,
    Finished,
    GenerationRequest,
    GenerationResponse,
    Message,
    Text,
    Thinking,
    ToolCall,
)
from llmcore.wire.base import Pending, Wire
from llmcore.wire.cohere import CohereWire
from llmcore.wire.ollama import OllamaWire
from llmcore.wire.replicate import ReplicateWire

WIRES: dict[str, Wire] = {"ollama": OllamaWire(), "cohere": CohereWire(), "replicate": ReplicateWire()}
ASKED = GenerationRequest("hi", model="a/b")

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
KEYS: dict[str, list[str]] = {
    "ollama": [
        "message", "content", "thinking", "tool_calls", "function", "name", "arguments", "id", "done", "done_reason",
        "error", "response", "prompt_eval_count", "model", "models", "embeddings", "details", "capabilities",
    ],
    "cohere": [
        "message", "content", "thinking", "tool_calls", "function", "name", "arguments", "id", "index", "delta",
        "type", "text", "tool_plan", "citations", "finish_reason", "usage", "tokens", "error", "embeddings", "float",
        "meta", "models", "next_page_token",
    ],
    "replicate": [
        "id", "status", "output", "error", "urls", "get", "cancel", "stream", "metrics", "results", "next", "owner",
        "name", "created_at", "detail", "title",
    ],
}  # fmt: skip
WORDS = [
    "message-start", "content-start", "content-delta", "content-end", "tool-plan-delta", "tool-call-start",
    "tool-call-delta", "tool-call-end", "citation-start", "message-end", "thinking", "text", "COMPLETE", "TOOL_CALL",
    "ERROR", "stop", "length", "load", "succeeded", "failed", "starting", "aborted", "canceled", "", "https://a/b",
    "http://[", "\ud83d", "2024-01-01T00:00:00Z",
]  # fmt: skip


def vendor_like(name: str) -> st.SearchStrategy[Any]:
    """JSON made of the dialect's own words, in places where they do not belong."""
    leaf = st.sampled_from(WORDS) | st.none() | st.booleans() | st.integers() | st.just(float("inf"))
    return st.recursive(
        leaf,
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS[name]), inner, max_size=5)
        ),
        max_leaves=12,
    )


def framed(name: str, values: list[Any]) -> bytes:
    if name == "ollama":
        return b"".join(json.dumps(value).encode() + b"\n" for value in values)
    events = ("output", "logs", "error", "done", "content-delta", "message-end")
    return b"".join(
        f"event: {events[number % len(events)]}\r\ndata: {json.dumps(value)}\r\n\r\n".encode()
        for number, value in enumerate(values)
    )


def read(wire: Wire, chunks: list[bytes]) -> tuple[list[Event], tuple[Any, ...] | None]:
    decoder = wire.event_decoder(ASKED)
    events = [event for chunk in chunks for event in decoder.feed(chunk)]
    events += decoder.finish()
    assert decoder.done
    error = decoder.error
    return events, None if error is None else (type(error), error.message, error.status, error.code)


def split(body: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({cut % (len(body) + 1) for cut in cuts} | {0, len(body)})
    return [body[a:b] for a, b in pairwise(places)]


def ordered(events: list[Event]) -> bool:
    """`Finished` at most once, and last."""
    return [type(event) is Finished for event in events[:-1]].count(True) == 0


def folded(events: list[Event]) -> GenerationResponse:
    fold = Fold()
    for event in events:
        fold.add(event)
    return fold.response()


def line(value: Any, kind: str = "") -> bytes:
    data = json.dumps(value) if not isinstance(value, str) else value
    return f"event: {kind}\ndata: {data}\n\n".encode() if kind else f"{data}\n".encode()


def _cohere(kind: str, **fields: Any) -> bytes:
    return line({"type": kind, **fields}, kind)


GOOD: dict[str, bytes] = {
    "ollama": b"".join(
        line({"model": "m", "message": {"role": "assistant", "content": "", **fields}, "done": False})
        for fields in (
            {"thinking": "hä"},
            {"thinking": "m"},
            {"content": "\U0001f600 a"},
            {"content": "b"},
            {"tool_calls": [{"function": {"name": "f", "arguments": {"a": "ö"}}}]},
        )
    )
    + line({"message": {"content": ""}, "done": True, "done_reason": "stop", "eval_count": 3}),
    "cohere": _cohere("message-start", id="i")
    + _cohere("content-delta", index=0, delta={"message": {"content": {"thinking": "hä"}}})
    + _cohere("content-end", index=0)
    + _cohere("content-delta", index=1, delta={"message": {"content": {"text": "\U0001f600 b"}}})
    + _cohere("tool-plan-delta", delta={"message": {"tool_plan": "plan"}})
    + _cohere(
        "tool-call-start",
        index=0,
        delta={"message": {"tool_calls": {"id": "c", "function": {"name": "f", "arguments": ""}}}},
    )
    + _cohere(
        "tool-call-delta", index=0, delta={"message": {"tool_calls": {"function": {"arguments": "{}"}}}}
    )
    + _cohere("message-end", delta={"finish_reason": "TOOL_CALL", "usage": {"tokens": {"output_tokens": 3}}})
    + b"data: [DONE]\n\n",
    "replicate": ": ü\n\nevent: output\nid: 1\ndata: hä\ndata:  \U0001f600\n\nevent: logs\ndata: x\n\n".encode()
    + line("{}", "done"),
}
LAST: dict[str, bytes] = {"ollama": b"}", "cohere": b"}\n\ndata: [DONE]", "replicate": b"}"}
"""With what the terminator ends: cut before it, no stream may end well."""


@pytest.mark.parametrize("name", WIRES)
def test_a_good_stream_split_anywhere_is_the_same(name: str) -> None:
    body = GOOD[name]
    whole = read(WIRES[name], [body])
    assert whole[1] is None
    assert type(whole[0][-1]) is Finished
    assert read(WIRES[name], [body[i : i + 1] for i in range(len(body))]) == whole
    for cut in range(len(body)):
        assert read(WIRES[name], [body[:cut], body[cut:]]) == whole
    assert read(WIRES[name], [body.replace(b"\n", b"\r\n")]) == whole


@pytest.mark.parametrize("name", WIRES)
def test_a_stream_cut_anywhere_never_stops_well(name: str) -> None:
    body = GOOD[name]
    whole, _ = read(WIRES[name], [body])
    for cut in range(body.rindex(LAST[name]) + 1):
        events, error = read(WIRES[name], [body[:cut]])
        assert error is not None, cut
        assert not any(type(event) is Finished for event in events)
        told, all_told = folded(events), folded(whole)
        assert all_told.text.startswith(told.text.rstrip("\ufffd"))


@pytest.mark.parametrize("name", WIRES)
@given(data=st.data())
@settings(max_examples=max(120, settings().max_examples))
def test_vendor_like_streams_split_anywhere_are_the_same(name: str, data: st.DataObject) -> None:
    body = framed(name, data.draw(st.lists(vendor_like(name) | json_values, max_size=5)))
    cuts = data.draw(st.lists(st.integers(0, 10_000), max_size=8))
    whole = read(WIRES[name], [body])
    assert read(WIRES[name], split(body, cuts)) == whole
    assert ordered(whole[0])
    folded(whole[0])


@pytest.mark.parametrize("name", WIRES)
@given(body=st.binary(max_size=200), cuts=st.lists(st.integers(0, 200), max_size=6))
def test_any_bytes_are_read_without_a_crash(name: str, body: bytes, cuts: list[int]) -> None:
    assert read(WIRES[name], split(body, cuts)) == read(WIRES[name], [body])


@pytest.mark.parametrize("name", WIRES)
@given(data=st.data())
@settings(max_examples=max(120, settings().max_examples))
def test_answers_give_a_value_or_one_of_our_errors(name: str, data: st.DataObject) -> None:
    wire = WIRES[name]
    body = json.dumps(data.draw(vendor_like(name) | json_values)).encode()
    for asked in (ASKED, evolve(ASKED, response_format="json")):
        try:
            response = wire.decode_generate(body, asked)
        except ProviderError:
            continue
        if not isinstance(response, Pending):
            response.text.encode()
            assert all(isinstance(call.arguments, str) for call in response.tool_calls)
    for decode in (
        lambda: wire.decode_stream_start(body, ASKED),
        lambda: wire.decode_models(body),
        lambda: wire.decode_embed(body, EmbeddingRequest("a")),
    ):
        with suppress(ProviderError):
            decode()


@pytest.mark.parametrize("name", WIRES)
@given(
    status=st.integers(100, 599),
    body=st.binary(max_size=100) | json_values.map(lambda value: json.dumps(value).encode()),
    headers=st.dictionaries(st.sampled_from(["retry-after", "x-request-id", "date"]), st.text(max_size=8)),
)
def test_every_status_and_body_is_one_error(
    name: str, status: int, body: bytes, headers: dict[str, str]
) -> None:
    error = WIRES[name].decode_error(status, headers, body)
    assert isinstance(error, ProviderError)
    assert error.status == status


words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
arguments = st.dictionaries(words, st.integers(0, 9) | words, max_size=2).map(
    lambda value: json.dumps(value, separators=(",", ":"), ensure_ascii=False)
)


@given(
    thinking=st.none() | words,
    text=st.none() | words,
    calls=st.lists(st.tuples(words, arguments), max_size=3),
)
def test_ollamas_answers_go_there_and_back(
    thinking: str | None, text: str | None, calls: list[tuple[str, str]]
) -> None:
    told = [] if thinking is None else [Thinking(thinking, raw="thinking", origin="ollama")]
    said = [] if text is None else [Text(text)]
    called = [ToolCall(f"c{i}", name, given) for i, (name, given) in enumerate(calls)]
    message = Message("assistant", [*told, *said, *called])
    assert there_and_back("ollama", message) == message


@given(
    thinking=st.none() | words,
    text=st.none() | words,
    plan=st.none() | words,
    calls=st.lists(st.tuples(words, arguments), max_size=3),
)
def test_coheres_answers_go_there_and_back(
    thinking: str | None, text: str | None, plan: str | None, calls: list[tuple[str, str]]
) -> None:
    assume(thinking is not None or text or plan is not None or calls)  # an empty message is not sent at all
    told = [] if thinking is None else [Thinking(thinking, raw="thinking", origin="cohere")]
    said = [] if text is None else [Text(text)]
    planned = [] if plan is None else [Thinking(plan, raw="tool_plan", origin="cohere")]
    called = [ToolCall(f"c{i}", name, given) for i, (name, given) in enumerate(calls)]
    message = Message("assistant", [*told, *said, *planned, *called])
    assert there_and_back("cohere", message) == message


def there_and_back(name: str, message: Message) -> Message:
    """The message as it is sent, read as if the vendor had answered it."""
    request = GenerationRequest((Message.user("q"), message), model="m")
    encoded = WIRES[name].encode_generate(request, stream=False)
    assert encoded.warnings == ()
    again = WIRES[name].encode_generate(request, stream=False)
    assert encoded.http.body == again.http.body
    sent = json.loads(encoded.http.body or b"")["messages"][1]
    body = json.dumps({"message": sent, "done": True, "finish_reason": "COMPLETE"}).encode()
    response = WIRES[name].decode_generate(body, ASKED)
    assert isinstance(response, GenerationResponse)
    return response.message
