"""Laws of the OpenAI dialect: cuts do not matter, a stream folds to the whole, and nothing crashes."""

from __future__ import annotations

import copy
import json
from contextlib import suppress
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
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
    Part,
    Text,
    Thinking,
    ToolCall,
)
from llmcore.wire import openai_stream
from llmcore.wire.openai import OpenAIWire

WIRE = OpenAIWire()
ASK = GenerationRequest("?", model="m")

texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
words = st.text("abcdefghij_", min_size=1, max_size=8)
arguments = st.dictionaries(words, texts | st.integers(-99, 99), max_size=3).map(json.dumps)


@st.composite
def messages(draw: st.DrawFn) -> Message:
    """An assistant message as the dialect can say it: reasoning, text, calls, each once or not at all."""
    parts: list[Part] = []
    calls = [
        ToolCall(f"c{index}", name, told)
        for index, (name, told) in enumerate(draw(st.lists(st.tuples(words, arguments), max_size=3)))
    ]
    if calls and draw(st.booleans()):
        parts.append(Thinking(draw(texts), raw="reasoning_content", origin="openai"))
    if draw(st.booleans()) or not calls:
        parts.append(Text(draw(texts)))
    return Message("assistant", (*parts, *calls))


def said(message: Message) -> dict[str, Any]:
    """The message as the encoder says it."""
    request = GenerationRequest([Message.user("?"), message], model="m")
    body = WIRE.encode_generate(request, stream=False).http.body
    found: dict[str, Any] = json.loads(body or b"")["messages"][1]
    return found


def whole(message: dict[str, Any], finish: str) -> GenerationResponse:
    choice = {"index": 0, "message": message, "finish_reason": finish}
    usage = {"prompt_tokens": 3, "completion_tokens": 4}
    value = {"id": "r", "model": "m", "choices": [choice], "usage": usage}
    return WIRE.decode_generate(json.dumps(value).encode(), ASK)


def cut(data: st.DataObject, text: str) -> list[str]:
    places = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=3)))
    return [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]


def streamed(data: st.DataObject, message: dict[str, Any], finish: str) -> bytes:
    """The same message as a vendor would stream it, cut anywhere."""
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"reasoning_content": piece} for piece in cut(data, message.get("reasoning_content") or "")]
    deltas += [{"content": piece} for piece in cut(data, message["content"] or "")]
    for index, call in enumerate(message.get("tool_calls", ())):
        function = call["function"]
        head = {"index": index, "id": call["id"], "function": {"name": function["name"], "arguments": ""}}
        deltas.append({"tool_calls": [head]})
        deltas += [
            {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}
            for piece in cut(data, function["arguments"])
        ]
    values = [{"id": "r", "model": "m", "choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    values.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})  # type: ignore[dict-item]  # a last chunk
    values.append({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}})  # type: ignore[dict-item]  # usage
    return (
        b"".join(b"data: " + json.dumps(value).encode() + b"\n\n" for value in values) + b"data: [DONE]\n\n"
    )


def read(pieces: list[bytes]) -> tuple[list[Event], ProviderError | None]:
    decoder = WIRE.event_decoder(ASK)
    events = [event for piece in pieces for event in decoder.feed(piece)]
    events += decoder.finish()
    assert decoder.done
    return events, decoder.error


def fold(events: list[Event]) -> GenerationResponse:
    folding = Fold()
    for event in events:
        folding.add(event)
    return folding.response()


@given(messages())
def test_what_is_sent_back_is_what_came(message: Message) -> None:
    assert whole(said(message), "stop").message == message


@given(messages(), st.data())
def test_a_stream_folds_to_the_whole(message: Message, data: st.DataObject) -> None:
    spoken = said(message)
    finish = "tool_calls" if message.tool_calls else "stop"
    body = streamed(data, spoken, finish)
    events, error = read([body])
    assert error is None
    wanted = whole(spoken, finish)
    found = fold(events)
    assert found.message == wanted.message
    assert (found.finish_reason, found.usage, found.id, found.model) == (
        wanted.finish_reason,
        wanted.usage,
        wanted.id,
        wanted.model,
    )
    places = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=8)))
    split = [body[a:b] for a, b in zip([0, *places], [*places, len(body)], strict=True)]
    assert read(split) == (events, None)


@given(messages(), st.data())
def test_a_truncated_stream_never_says_stop(message: Message, data: st.DataObject) -> None:
    body = streamed(data, said(message), "stop")
    end = data.draw(st.integers(0, len(body)))
    events, error = read([body[:end]])
    if b'"finish_reason": "stop"' not in body[:end]:
        assert error is not None
        assert not any(isinstance(event, Finished) for event in events)


leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("\ud83d")
keys = st.sampled_from(
    [
        *(
            "choices",
            "message",
            "delta",
            "content",
            "tool_calls",
            "function",
            "name",
            "arguments",
            "index",
            "id",
        ),
        *("usage", "prompt_tokens", "completion_tokens", "finish_reason", "error", "code", "type", "text"),
        *("reasoning", "reasoning_details", "thinking", "refusal", "audio", "images", "image_url", "data"),
        *("x_groq", "embedding", "custom", "function_call", "transcript", "citations", "metadata", "summary"),
    ]
)
trees = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=25,
)


def _answers(tree: Any) -> list[Any]:
    """The tree itself, and in every place where a decoder looks deeper."""
    choice = {"message": tree, "delta": tree, "finish_reason": "stop", "index": 0}
    inner = {"content": tree, "tool_calls": tree, "reasoning_details": tree, "audio": tree, "images": tree}
    return [
        tree,
        {"choices": tree},
        {"choices": [choice], "usage": tree},
        {"choices": [{**choice, "message": inner, "delta": inner}]},
        {"data": [tree], "error": None},
        {"error": tree},
    ]


@given(trees)
def test_odd_json_never_crashes(tree: Any) -> None:
    for value in _answers(tree):
        body = json.dumps(value).encode()
        for attempt in (
            lambda body=body: WIRE.decode_generate(body, ASK),
            lambda body=body: WIRE.decode_embed(body, EmbeddingRequest("x")),
            lambda body=body: WIRE.decode_models(body),
        ):
            with suppress(ProviderError):
                attempt()  # type: ignore[no-untyped-call]  # a lambda
        read([b"data: " + body + b"\n\n", b"data: " + body + b"\n\ndata: [DONE]\n\n"])
        assert isinstance(WIRE.decode_error(400, {}, body), ProviderError)


@given(st.binary(max_size=200), st.integers(100, 599))
def test_odd_bytes_never_crash(body: bytes, status: int) -> None:
    for data in (body, b"data: " + body + b"\n\n", b'{"choices":[' + body):
        read([data])
        with suppress(ProviderError):
            WIRE.decode_generate(data, ASK)
        assert isinstance(WIRE.decode_error(status, {}, data), ProviderError)


ODD: tuple[Any, ...] = (
    *(None, "", 0, False, [], {}, "x", 1, ["x"], [{"text": "x"}], {"name": "f"}),
    *({"error": {"message": "cut"}}, {"prompt_tokens": 3}, {"transcript": "x"}, {"type": "length"}),
)
BESIDE = [
    "usage",
    "error",
    "citations",
    "annotations",
    "search_results",
    "x_groq",
    "obfuscation",
    "id",
    "model",
    "choices",
]
IN_CHOICE = ["index", "finish_reason", "finish_details", "logprobs", "usage", "message", "delta"]
IN_DELTA = [
    "role",
    "name",
    "refusal",
    "tool_calls",
    "function_call",
    "audio",
    "images",
    "annotations",
    "citations",
    "content",
    "reasoning",
    "reasoning_content",
    "reasoning_text",
    "reasoning_details",
    "something_new",
]


def _decoded(values: list[dict[str, Any]]) -> tuple[list[Event], str]:
    decoder = WIRE.event_decoder(ASK)
    events = [
        event for value in values for event in decoder.feed(b"data: " + json.dumps(value).encode() + b"\n\n")
    ]
    return [*events, *decoder.finish()], repr(decoder.error)


@pytest.mark.parametrize(
    ("place", "name"),
    [("value", name) for name in BESIDE]
    + [("choice", name) for name in IN_CHOICE]
    + [("delta", name) for name in IN_DELTA],
)
def test_the_short_way_through_plain_chunks_is_the_long_way(place: str, name: str) -> None:
    for odd in ODD:
        delta: dict[str, Any] = {"content": "text"}
        choice: dict[str, Any] = {"index": 0, "delta": delta}
        value: dict[str, Any] = {"id": "r", "model": "m", "choices": [choice]}
        plain = copy.deepcopy(value)
        {"value": value, "choice": choice, "delta": delta}[place][name] = odd
        stop = {**plain, "choices": [{"finish_reason": "stop"}]}
        for values in ([plain, value], [plain, plain, value, plain, stop]):
            with patch.object(openai_stream, "MAX_UNFIT", 0):
                long_way = _decoded(values)
            assert _decoded(values) == long_way, odd
