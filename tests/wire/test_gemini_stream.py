"""Gemini streams: events, ends, errors in odd places, and the laws that hold for any bytes and any split of them."""

from __future__ import annotations

import json
import random
import re
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from llmcore.errors import (
    ContentFilterError,
    MalformedResponseError,
    OverloadedError,
    ProviderError,
    ServerError,
    StreamInterruptedError,
)
from llmcore.provider import Fold
from llmcore.types import (
    Event,
    Finished,
    GenerationRequest,
    GenerationResponse,
    Image,
    Opaque,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
)
from llmcore.wire.gemini import MAX_EVENT, GeminiWire

WIRE = GeminiWire()
ASKED = GenerationRequest("hi", model="gemini-2.5-flash")


def chunk(*parts: Any, reason: Any = None, **fields: Any) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": list(parts)}, "index": 0}
    if reason is not None:
        candidate["finishReason"] = reason
    return {"candidates": [candidate], **fields}


def sse(*values: Any, end: str = "\r\n\r\n") -> bytes:
    return "".join(f"data: {json.dumps(value)}{end}" for value in values).encode()


def run(body: bytes, *cuts: int) -> tuple[list[Event], ProviderError | None]:
    decoder = WIRE.event_decoder(ASKED)
    events: list[Event] = []
    for a, b in zip((0, *cuts), (*cuts, len(body)), strict=True):
        events += decoder.feed(body[a:b])
    return events + decoder.finish(), decoder.error


def folded(events: list[Event]) -> GenerationResponse:
    fold = Fold()
    for event in events:
        fold.add(event)
    return fold.response()


def whole(body: bytes) -> GenerationResponse:
    events, error = run(body)
    assert error is None
    assert type(events[-1]) is Finished
    return folded(events)


HELLO = sse(
    chunk({"text": "Hel"}, usageMetadata={"promptTokenCount": 3}, responseId="r", modelVersion="m"),
    chunk({"text": "lo"}, usageMetadata={"promptTokenCount": 3, "candidatesTokenCount": 1}),
    chunk({"text": ""}, reason="STOP", usageMetadata={"promptTokenCount": 3, "candidatesTokenCount": 2}),
)


def test_text() -> None:
    events, error = run(HELLO)
    assert error is None
    assert events[:2] == [TextDelta("Hel"), TextDelta("lo")]
    (finished,) = events[2:]
    assert isinstance(finished, Finished)
    assert (finished.finish_reason, finished.raw_finish_reason) == ("stop", "STOP")
    assert (finished.id, finished.model) == ("r", "m")
    assert (finished.usage.input_tokens, finished.usage.output_tokens) == (3, 2)


def test_nothing_is_finished_before_the_bytes_end() -> None:
    decoder = WIRE.event_decoder(ASKED)
    assert not any(isinstance(event, Finished) for event in decoder.feed(HELLO))
    assert not decoder.done
    (finished,) = decoder.finish()
    assert isinstance(finished, Finished)
    assert decoder.done
    assert decoder.feed(HELLO) == []


def test_usage_may_come_after_the_finish_reason() -> None:
    body = sse(chunk({"text": "a"}, reason="STOP"), {"usageMetadata": {"promptTokenCount": 3}})
    assert whole(body).usage.input_tokens == 3


def test_usage_that_counts_nothing_does_not_replace_one_that_does() -> None:
    body = sse(
        chunk({"text": "a"}, usageMetadata={"promptTokenCount": 3}),
        chunk(reason="STOP", usageMetadata={"trafficType": "ON_DEMAND"}),
    )
    assert whole(body).usage.input_tokens == 3


def test_thoughts_signatures_and_calls() -> None:
    body = sse(
        chunk({"text": "hm", "thought": True}),
        chunk({"text": "hm", "thought": True, "thoughtSignature": "s0"}),
        chunk({"text": "a"}),
        chunk({"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": "s1"}),
        chunk({"functionCall": {"name": "g", "id": "x", "args": {}}}, {"text": "b"}),
        chunk({"text": "", "thoughtSignature": "s2"}, reason="STOP"),
    )
    events, _ = run(body)
    assert events[:5] == [
        ThinkingDelta("hm"),
        ThinkingDelta("hm", "s0", origin="gemini"),
        TextDelta("a"),
        ToolCallDelta(0, "call_0", "f", '{"a":1}', "s1", "gemini"),
        ToolCallDelta(1, "x", "g", "{}"),
    ]
    response = folded(events)
    assert response.finish_reason == "tool_calls"
    assert response.message.parts == (
        Thinking("hmhm", "s0", origin="gemini"),
        Text("a"),
        ToolCall("call_0", "f", '{"a":1}', "s1", "gemini"),
        ToolCall("x", "g", "{}"),
        Text("b", "s2", "gemini"),
    )


def test_blobs_and_unknown_parts() -> None:
    code = {"executableCode": {"code": "1"}}
    body = sse(chunk({"inlineData": {"mimeType": "image/png", "data": "AA=="}}), chunk(code, reason="STOP"))
    assert whole(body).message.parts == (Image(data=b"\0", media_type="image/png"), Opaque(code, "gemini"))


def test_a_large_image_in_one_event() -> None:
    data = "A" * (3 * 1024 * 1024)
    body = sse(chunk({"inlineData": {"mimeType": "image/png", "data": data}}, reason="STOP"))
    (image,) = whole(body).message.parts
    assert isinstance(image, Image)
    assert len(image.data or b"") == len(data) * 3 // 4


def test_an_event_without_end_is_given_up() -> None:
    decoder = WIRE.event_decoder(ASKED)
    decoder.feed(b"data: " + b"x" * (MAX_EVENT + 1))
    assert type(decoder.error) is MalformedResponseError


def test_other_candidates_are_passed_over() -> None:
    def other(text: str, reason: str | None = None) -> dict[str, Any]:
        value = chunk({"text": text}, reason=reason)
        value["candidates"][0]["index"] = 1
        return value

    body = sse(chunk({"text": "a"}), other("x"), chunk({"text": "b"}, reason="STOP"), other("y", "SAFETY"))
    response = whole(body)
    assert (response.text, response.finish_reason) == ("ab", "stop")


def test_a_candidate_blocked_midway() -> None:
    response = whole(sse(chunk({"text": "a"}), {"candidates": [{"finishReason": "SAFETY"}]}))
    assert (response.text, response.finish_reason) == ("a", "content_filter")


@pytest.mark.parametrize("before", [[], [chunk({"text": "a"})]])
def test_a_blocked_prompt(before: list[Any]) -> None:
    events, error = run(sse(*before, {"promptFeedback": {"blockReason": "SAFETY"}}))
    assert type(error) is ContentFilterError
    assert len(events) == len(before)


ERROR = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}


@pytest.mark.parametrize(
    "tail",
    [
        sse(ERROR),
        sse([ERROR]),
        json.dumps(ERROR).encode(),
        json.dumps(ERROR, indent=2).encode() + b"\n",
        json.dumps([ERROR], indent=2).encode(),
        b"event: error\n" + sse(ERROR),
    ],
)
@pytest.mark.parametrize("before", [b"", sse(chunk({"text": "a"})), sse(chunk({"text": "a"}), end="\n\n")])
def test_an_error_in_the_stream(before: bytes, tail: bytes) -> None:
    events, error = run(before + tail)
    assert type(error) is OverloadedError
    assert error.status == 503
    assert events == ([TextDelta("a")] if before else [])


def test_an_error_after_the_finish_reason_is_still_one() -> None:
    _, error = run(sse(chunk({"text": "a"}, reason="STOP"), {"error": "boom"}))
    assert type(error) is ServerError


def test_a_stream_without_finish_reason_is_interrupted() -> None:
    for body in (
        b"",
        b": ping\n\n",
        sse(chunk({"text": "a"})),
        sse({}),
        json.dumps([chunk({"text": "a"})]).encode(),
    ):
        events, error = run(body)
        assert type(error) is StreamInterruptedError
        assert not any(isinstance(event, Finished) for event in events)


def test_a_done_mark_of_a_proxy_is_passed_over() -> None:
    assert whole(HELLO + b"data: [DONE]\n\n").text == "Hello"


@pytest.mark.parametrize("value", [b"null", b"5", b'"x"', b"{", b"[]"])
def test_an_event_that_is_no_response(value: bytes) -> None:
    events, error = run(b"data: " + value + b"\n\n" + HELLO)
    assert type(error) is MalformedResponseError
    assert events == []


@pytest.mark.parametrize("indent", [None, 2])
def test_one_list_instead_of_events(indent: int | None) -> None:
    values = [chunk({"text": "a"}), chunk({"functionCall": {"name": "f"}}, reason="STOP")]
    listed, sent = whole(json.dumps(values, indent=indent).encode()), whole(sse(*values))
    assert listed == sent
    assert listed.finish_reason == "tool_calls"


def test_one_answer_instead_of_events() -> None:
    assert whole(json.dumps(chunk({"text": "a"}, reason="STOP")).encode()).text == "a"
    _, error = run(b"{}")
    assert type(error) is MalformedResponseError


def test_a_pair_of_surrogates_split_over_two_events() -> None:
    def event(text: str, tail: str = "") -> str:
        return 'data: {"candidates":[{"content":{"parts":[{"text":"' + text + '"}]}' + tail + "}]}\n\n"

    body = event("a\\ud83d") + event("\\ude00b") + event("c\\ud83d", ',"finishReason":"STOP"')
    assert whole(body.encode()).text == "a😀bc\ufffd"


# ------------------------------------------------------------------------------------ arguments in pieces


def pieces(*calls: Any) -> GenerationResponse:
    return whole(sse(*(chunk({"functionCall": call}) for call in calls), chunk(reason="STOP")))


def piece(path: str, more: bool = False, **value: Any) -> dict[str, Any]:
    return {"jsonPath": path, **value, **({"willContinue": True} if more else {})}


def test_arguments_in_pieces_become_one_call() -> None:
    response = pieces(
        {"name": "f", "id": "x", "willContinue": True},
        {"partialArgs": [piece("$.city", True, stringValue="New ")], "willContinue": True},
        {"partialArgs": [piece("$.city", stringValue="York")], "willContinue": True},
        {
            "partialArgs": [piece("$.days[1].n", numberValue=2), piece("$['a b']", boolValue=True)],
            "willContinue": True,
        },
        {"partialArgs": [piece("$.none", nullValue="NULL_VALUE")], "willContinue": True},
        {},
        {"name": "g", "args": {"a": 1}},
    )
    assert response.tool_calls == (
        ToolCall("x", "f", '{"city":"New York","days":[null,{"n":2}],"a b":true,"none":null}'),
        ToolCall("call_1", "g", '{"a":1}'),
    )


def test_a_call_that_is_never_closed_ends_with_the_answer() -> None:
    assert pieces({"name": "f", "willContinue": True}).tool_calls == (ToolCall("call_0", "f", "{}"),)


def test_another_call_closes_the_open_one() -> None:
    response = pieces({"name": "f", "willContinue": True}, {"name": "g", "id": "y"})
    assert [call.name for call in response.tool_calls] == ["f", "g"]


@pytest.mark.parametrize(
    "bad",
    [
        piece("nonsense", numberValue=1),
        piece("$", numberValue=1),
        piece("$.a"),
        piece("$.a[99999]", numberValue=1),
        piece("$" + ".a" * 100, numberValue=1),
        piece("$.a b[x]", numberValue=1),
        {"jsonPath": 5, "numberValue": 1},
        5,
    ],
)
def test_odd_pieces_do_no_harm(bad: Any) -> None:
    (call,) = pieces({"name": "f", "partialArgs": [bad, piece("$.ok", numberValue=1)]}).tool_calls
    assert json.loads(call.arguments)["ok"] == 1


# ----------------------------------------------------------------------------------------------------- laws

texts = st.text(st.characters(codec="utf-8"), max_size=8)
part = st.one_of(
    st.builds(lambda text: {"text": text}, texts),
    st.builds(lambda text: {"text": text, "thought": True}, texts),
    st.builds(lambda text, mark: {"text": text, "thoughtSignature": mark}, texts, st.just("c2ln")),
    st.builds(
        lambda name, args: {"functionCall": {"name": name, "args": args}},
        texts,
        st.dictionaries(texts, st.one_of(texts, st.integers(), st.booleans()), max_size=2),
    ),
    st.just({"executableCode": {"code": "1"}}),
)
counts = st.fixed_dictionaries(
    {"promptTokenCount": st.integers(0, 99), "thoughtsTokenCount": st.integers(0, 99)}
)
chunks = st.lists(
    st.builds(lambda parts, usage: chunk(*parts, usageMetadata=usage), st.lists(part, max_size=3), counts)
)
reasons = st.sampled_from(["STOP", "MAX_TOKENS", "SAFETY", "X"])


@settings(deadline=None, max_examples=60)
@given(chunks, reasons, st.sampled_from(["\n\n", "\r\n\r\n", "\r\r"]), st.randoms(use_true_random=False))
def test_any_split_gives_the_same(values: list[Any], reason: str, end: str, rng: random.Random) -> None:
    body = sse(*values, chunk(reason=reason), end=end)
    expected, error = run(body)
    assert error is None
    assert run(body, *range(1, len(body))) == (expected, None)
    for _ in range(3):
        cuts = sorted(rng.sample(range(1, len(body)), min(len(body) - 1, 7)))
        assert run(body, *cuts) == (expected, None)


@settings(deadline=None, max_examples=30)
@given(chunks, reasons, st.sampled_from([None, 1]), st.sampled_from(["", "\ufeff", " \n"]))
def test_any_split_of_a_list_gives_the_same(values: list[Any], reason: str, indent: Any, before: str) -> None:
    body = (before + json.dumps([*values, chunk(reason=reason)], indent=indent)).encode()
    expected, error = run(body)
    assert error is None
    assert run(body, *range(1, len(body))) == (expected, None)


@settings(deadline=None, max_examples=60)
@given(chunks, reasons)
def test_a_stream_says_what_the_whole_answer_says(values: list[Any], reason: str) -> None:
    everything = [part for value in values for part in value["candidates"][0]["content"]["parts"]]
    usage = values[-1]["usageMetadata"] if values else {}
    plain = WIRE.decode_generate(
        json.dumps(chunk(*everything, reason=reason, usageMetadata=usage)).encode(), ASKED
    )
    assert whole(sse(*values, chunk(reason=reason))) == evolve(plain, raw=None)


@settings(deadline=None, max_examples=40)
@given(chunks, st.integers(0, 10_000))
def test_a_cut_stream_never_stops(values: list[Any], at: int) -> None:
    body = sse(*values, chunk({"text": "end"}))
    last = sse(chunk(reason="STOP"), end="")
    for cut in (at % (len(body) + 1), len(body) + at % (len(last) - 1)):
        events, error = run((body + last)[:cut])
        assert isinstance(error, StreamInterruptedError)
        assert not any(isinstance(event, Finished) for event in events)


WORDS = re.findall(
    r"\w+",
    """candidates content parts text thought functionCall name args partialArgs jsonPath inlineData data mimeType
    finishReason index usageMetadata promptTokenCount promptFeedback blockReason error code message details violations
    responseId modelVersion embedding embeddings values predictions models""",
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(WORDS),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=20,
)
anything = st.one_of(
    st.binary(max_size=200),
    JSON.map(lambda value: json.dumps(value).encode()),
    JSON.map(lambda value: json.dumps({"candidates": [{"content": {"parts": [value]}}]}).encode()),
    JSON.map(lambda value: json.dumps({"candidates": [value], "usageMetadata": value}).encode()),
)


@settings(deadline=None, max_examples=300)
@given(anything, st.integers(100, 599))
def test_no_bytes_crash_anything(data: bytes, status: int) -> None:
    error = WIRE.decode_error(status, {}, data)
    assert isinstance(error, ProviderError)
    assert isinstance(str(error), str)
    for call in (WIRE.decode_generate, WIRE.decode_models):
        try:
            call(data, *([ASKED] if call == WIRE.decode_generate else []))  # type: ignore[operator]
        except ProviderError:
            continue
    for body in (data, b"data: " + data + b"\n\n", b"data: {}\n\n" + data):
        events, failure = run(body)
        assert (failure is None) == (bool(events) and type(events[-1]) is Finished)


@pytest.mark.parametrize("depth", [100, 400, 900, 3000, 100_000])
def test_deep_nesting_is_read_or_refused(depth: int) -> None:
    deep = "[" * depth + "]" * depth
    call = '{"functionCall":{"args":{"a":' + deep + "}}}"
    body = '{"candidates":[{"content":{"parts":[' + call + ']},"finishReason":"STOP"}]}'
    try:
        response = WIRE.decode_generate(body.encode(), ASKED)
    except MalformedResponseError:
        assert depth > 100
    else:
        assert isinstance(response, GenerationResponse)
        assert response.tool_calls[0].arguments == '{"a":' + deep + "}"
