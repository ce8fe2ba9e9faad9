"""Gemini answers: every kind of part, finish reason and count, and the ways in which answers are odd."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmcore.errors import (
    ContentFilterError,
    MalformedResponseError,
    OverloadedError,
    RateLimitError,
    ServerError,
)
from llmcore.types import (
    Audio,
    EmbeddingRequest,
    File,
    GenerationRequest,
    GenerationResponse,
    Image,
    Opaque,
    Text,
    Thinking,
    ToolCall,
)
from llmcore.wire.gemini import GeminiWire

WIRE = GeminiWire()
ASKED = GenerationRequest("hi", model="gemini-2.5-flash")


def decode(value: Any) -> GenerationResponse:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    response = WIRE.decode_generate(data, ASKED)
    assert isinstance(response, GenerationResponse)
    return response


def answer(*parts: Any, reason: Any = "STOP", **fields: Any) -> dict[str, Any]:
    candidate = {"content": {"role": "model", "parts": list(parts)}, "finishReason": reason, "index": 0}
    return {"candidates": [candidate], **fields}


def parts(*given: Any) -> tuple[Any, ...]:
    return decode(answer(*given)).message.parts


def test_a_plain_answer() -> None:
    value = answer({"text": "Hello"}, responseId="r1", modelVersion="gemini-2.5-flash-001")
    response = decode(value)
    assert response.text == "Hello"
    assert response.message.role == "assistant"
    assert (response.finish_reason, response.raw_finish_reason) == ("stop", "STOP")
    assert (response.id, response.model) == ("r1", "gemini-2.5-flash-001")
    assert response.raw == value


def test_thoughts_and_signatures() -> None:
    assert parts(
        {"text": "hm", "thought": True},
        {"text": "hm2", "thought": True, "thoughtSignature": "s0"},
        {"text": "a", "thoughtSignature": "s1"},
        {"text": "b"},
        {"thoughtSignature": "s2"},
    ) == (
        Thinking("hmhm2", "s0", origin="gemini"),
        Text("a", "s1", "gemini"),
        Text("b", "s2", "gemini"),
    )


def test_unsigned_thoughts_belong_to_nobody() -> None:
    assert parts({"text": "hm", "thought": True}, {"text": "a"}) == (Thinking("hm"), Text("a"))


def test_calls() -> None:
    response = decode(
        answer(
            {"functionCall": {"name": "f", "args": {"a": [1, "ü"]}}, "thoughtSignature": "s"},
            {"functionCall": {"name": "g", "id": "x7"}},
            {"functionCall": {"name": "h", "args": {}}},
        )
    )
    assert response.tool_calls == (
        ToolCall("call_0", "f", '{"a":[1,"ü"]}', "s", "gemini"),
        ToolCall("x7", "g", "{}"),
        ToolCall("call_2", "h", "{}"),
    )
    assert (response.finish_reason, response.raw_finish_reason) == ("tool_calls", "STOP")


@pytest.mark.parametrize(
    ("call", "name", "arguments"),
    [
        ({"args": {"a": 1}}, "", '{"a":1}'),
        ({"name": None, "args": None}, "", "{}"),
        ({"name": "f", "args": '{"a": 1}'}, "f", '{"a": 1}'),
        ({"name": "f", "args": [1]}, "f", "[1]"),
        ({"name": "f", "args": {"n": 12345678901234567890123}}, "f", '{"n":12345678901234567890123}'),
        ({"name": "f", "args": {"s": "\ud83d"}}, "f", '{"s":"\ufffd"}'),
        ({"name": 5, "args": {"s": "\ud83d\ude00"}}, "", '{"s":"😀"}'),
    ],
)
def test_odd_calls(call: Any, name: str, arguments: str) -> None:
    (found,) = decode(answer({"functionCall": call})).tool_calls
    assert (found.name, found.arguments) == (name, arguments)


def test_blobs_by_their_media_type() -> None:
    def blob(kind: Any) -> Any:
        return {"inlineData": {"mimeType": kind, "data": "AP8="}}

    assert parts(blob("image/png"), blob("audio/L16;rate=24000"), blob("video/mp4"), blob(None)) == (
        Image(data=b"\0\xff", media_type="image/png"),
        Audio(b"\0\xff", "audio/L16;rate=24000"),
        File(data=b"\0\xff", media_type="video/mp4"),
        File(data=b"\0\xff", media_type="application/octet-stream"),
    )


def test_a_signed_image_keeps_its_signature_beside_it() -> None:
    part = {"inlineData": {"mimeType": "image/png", "data": "AA=="}, "thoughtSignature": "s"}
    assert parts(part) == (
        Image(data=b"\0", media_type="image/png"),
        Opaque({"thoughtSignature": "s"}, "gemini"),
    )


@pytest.mark.parametrize(
    "part",
    [
        {"executableCode": {"language": "PYTHON", "code": "1"}},
        {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}},
        {"fileData": {"fileUri": "https://x.org"}},
        {"somethingNew": [1]},
        {"inlineData": {"mimeType": "image/png", "data": "AA=="}, "thought": True},
        {"inlineData": {"mimeType": "image/png", "data": "A"}},
        {"inlineData": {"mimeType": "image/png", "data": "ü"}},
        {"inlineData": {"mimeType": "image/png"}},
        {"functionCall": "f"},
    ],
)
def test_what_is_not_known_is_kept_raw(part: Any) -> None:
    assert parts({"text": "a"}, part) == (Text("a"), Opaque(part, "gemini"))


@pytest.mark.parametrize("part", [{}, {"text": ""}, {"text": None}, {"thought": True}, None, "x", 5])
def test_parts_without_content(part: Any) -> None:
    assert parts(part) == ()


@pytest.mark.parametrize(
    "candidate",
    [
        {"finishReason": "MAX_TOKENS"},
        {"finishReason": "MAX_TOKENS", "content": {}},
        {"finishReason": "MAX_TOKENS", "content": None},
        {"finishReason": "MAX_TOKENS", "content": {"role": "model", "parts": None}},
        {"finishReason": "MAX_TOKENS", "content": "x"},
    ],
)
def test_content_may_be_missing(candidate: Any) -> None:
    response = decode({"candidates": [candidate]})
    assert response.message.parts == ()
    assert response.finish_reason == "length"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        *[
            (word, "content_filter")
            for word in (
                "SAFETY",
                "RECITATION",
                "BLOCKLIST",
                "PROHIBITED_CONTENT",
                "SPII",
                "IMAGE_SAFETY",
                "IMAGE_PROHIBITED_CONTENT",
                "IMAGE_RECITATION",
                "MODEL_ARMOR",
                "LANGUAGE",
            )
        ],
        ("CONTINUATION", "pause"),
        *[
            (word, "error")
            for word in (
                "MALFORMED_FUNCTION_CALL",
                "UNEXPECTED_TOOL_CALL",
                "TOO_MANY_TOOL_CALLS",
                "MISSING_THOUGHT_SIGNATURE",
                "MALFORMED_RESPONSE",
            )
        ],
        *[
            (word, "unknown")
            for word in (
                "OTHER",
                "IMAGE_OTHER",
                "NO_IMAGE",
                "ESCALATION",
                "FINISH_REASON_UNSPECIFIED",
                "NEVER_SEEN",
            )
        ],
    ],
)
def test_finish_reasons(raw: str, expected: str) -> None:
    response = decode(answer({"text": "a"}, reason=raw))
    assert (response.finish_reason, response.raw_finish_reason) == (expected, raw)


@pytest.mark.parametrize(
    ("raw", "expected", "kept"),
    [
        (1, "stop", "1"),
        (2, "length", "2"),
        (3, "content_filter", "3"),
        (99, "unknown", "99"),
        (None, "unknown", None),
        ("", "unknown", None),
        ([], "unknown", None),
        ({}, "unknown", None),
    ],
)
def test_odd_finish_reasons(raw: Any, expected: str, kept: str | None) -> None:
    response = decode(answer({"text": "a"}, reason=raw))
    assert (response.finish_reason, response.raw_finish_reason) == (expected, kept)


def test_a_cut_call_is_no_finished_call() -> None:
    assert decode(answer({"functionCall": {"name": "f"}}, reason="MAX_TOKENS")).finish_reason == "length"


def test_only_the_first_candidate_counts() -> None:
    value = {
        "candidates": [
            {"content": {"parts": [{"text": "a"}]}, "finishReason": "STOP"},
            {"content": {"parts": [{"text": "b"}]}, "finishReason": "SAFETY", "index": 1},
        ]
    }
    response = decode(value)
    assert (response.text, response.finish_reason) == ("a", "stop")


# ---------------------------------------------------------------------------------------------------- usage


def usage(**figures: Any) -> tuple[Any, ...]:
    found = decode(answer({"text": "a"}, usageMetadata=figures)).usage
    return found.input_tokens, found.output_tokens, found.cached_tokens, found.reasoning_tokens


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        ({"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15}, (10, 5, None, None)),
        (
            {
                "promptTokenCount": 10,
                "toolUsePromptTokenCount": 3,
                "candidatesTokenCount": 5,
                "thoughtsTokenCount": 7,
                "cachedContentTokenCount": 4,
            },
            (13, 12, 4, 7),
        ),
        ({"promptTokenCount": 10, "thoughtsTokenCount": 7}, (10, 7, None, 7)),
        ({"promptTokenCount": 10, "totalTokenCount": 10}, (10, None, None, None)),
        ({"promptTokenCount": 10, "cachedContentTokenCount": 11}, (10, None, None, None)),
        ({"promptTokenCount": 10.0, "candidatesTokenCount": "5"}, (10, 5, None, None)),
        ({"promptTokenCount": -1, "candidatesTokenCount": None}, (None, None, None, None)),
        ({"trafficType": "ON_DEMAND"}, (None, None, None, None)),
        ({}, (None, None, None, None)),
    ],
)
def test_usage(figures: dict[str, Any], expected: tuple[Any, ...]) -> None:
    assert usage(**figures) == expected


@pytest.mark.parametrize("value", [None, [], "x", 5])
def test_usage_that_is_none(value: Any) -> None:
    assert decode(answer({"text": "a"}, usageMetadata=value)).usage.input_tokens is None


def test_usage_keeps_the_vendors_figures() -> None:
    raw = {"promptTokenCount": 1, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 1}]}
    assert decode(answer({"text": "a"}, usageMetadata=raw)).usage.raw == raw


# --------------------------------------------------------------------------------- blocked, broken, wrong


@pytest.mark.parametrize("reason", ["SAFETY", "OTHER", "JAILBREAK", "NEVER_SEEN", 1])
def test_a_blocked_prompt(reason: Any) -> None:
    with pytest.raises(ContentFilterError) as caught:
        decode({"promptFeedback": {"blockReason": reason, "blockReasonMessage": "because"}})
    assert caught.value.code == str(reason)
    assert "because" in caught.value.message


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"candidates": []},
        {"candidates": None},
        {"candidates": ["x"]},
        {"candidates": {}},
        {"candidates": [], "promptFeedback": {"safetyRatings": []}},
        {"usageMetadata": {"promptTokenCount": 1}},
        [],
        [1],
        [[]],
        "x",
        5,
        None,
        b"",
        b" \n",
        b"<html>",
        b'{"candidates": [',
        b'{"candidates": "\xff"}',
        b"[" * 100_000,
    ],
)
def test_no_answer_at_all(value: Any) -> None:
    with pytest.raises(MalformedResponseError):
        decode(value)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ({"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}, OverloadedError),
        ({"code": 429, "message": "slow", "status": "RESOURCE_EXHAUSTED"}, RateLimitError),
        ({"message": "what", "status": "UNAVAILABLE"}, OverloadedError),
        ("text", ServerError),
    ],
)
def test_an_error_inside_a_success(error: Any, expected: type[Exception]) -> None:
    for value in ({"error": error}, [{"error": error}]):
        with pytest.raises(expected) as caught:
            decode(value)
        assert type(caught.value) is expected


def test_a_list_of_responses_is_one_answer() -> None:
    response = decode([answer({"text": "a"}, reason=None), answer({"text": "b"})])
    assert (response.text, response.finish_reason) == ("ab", "stop")


def test_lone_surrogates_never_reach_the_text() -> None:
    body = (
        b'{"candidates":[{"content":{"parts":[{"text":"a\\ud83d"},{"text":"\\ude00b"},{"text":"\\ud83d"},'
        b'{"functionCall":{"name":"f\\ud83d"}}]}}]}'
    )
    response = decode(body)
    assert response.text == "a😀b\ufffd"
    assert response.tool_calls[0].name == "f\ufffd"


# -------------------------------------------------------------------------------------- embeddings, models


def vectors(value: Any, count: int = 1, **fields: Any) -> Any:
    asked = EmbeddingRequest(["a"] * count, model="m", **fields)
    return WIRE.decode_embed(json.dumps(value).encode(), asked)


def test_one_embedding() -> None:
    response = vectors({"embedding": {"values": [1.0, 2.0]}})
    assert [list(vector) for vector in response.vectors] == [[1.0, 2.0]]
    assert (response.model, response.usage.input_tokens) == ("m", None)


def test_many_embeddings() -> None:
    value = {"embeddings": [{"values": [1.0]}, {"values": [2.0]}], "usageMetadata": {"promptTokenCount": 5}}
    response = vectors(value, 2)
    assert [list(vector) for vector in response.vectors] == [[1.0], [2.0]]
    assert response.usage.input_tokens == 5


def test_predictions_of_the_enterprise_platform() -> None:
    def prediction(number: float, tokens: Any) -> Any:
        return {"embeddings": {"values": [number], "statistics": {"token_count": tokens, "truncated": False}}}

    response = vectors({"predictions": [prediction(1.0, 3.0), prediction(2.0, 4)]}, 2)
    assert [list(vector) for vector in response.vectors] == [[1.0], [2.0]]
    assert response.usage.input_tokens == 7
    assert vectors({"predictions": [prediction(1.0, 3), prediction(2.0, None)]}, 2).usage.input_tokens is None


def test_shortened_vectors_are_made_unit_length() -> None:
    assert list(vectors({"embedding": {"values": [3.0, 4.0]}}, dimensions=2).vectors[0]) == pytest.approx(
        [0.6, 0.8]
    )
    assert list(vectors({"embedding": {"values": [0.0, 0.0]}}, dimensions=2).vectors[0]) == [0.0, 0.0]
    assert list(vectors({"embedding": {"values": [0.0, 1.0001]}}, dimensions=2).vectors[0])[
        1
    ] == pytest.approx(1.0001)


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"embeddings": []},
        {"embeddings": [{"values": [1.0]}, {"values": [1.0]}]},
        {"embedding": {}},
        {"embedding": {"values": []}},
        {"embedding": {"values": ["x"]}},
        {"embedding": [1.0]},
        {"predictions": [None]},
        {"predictions": [{"embeddings": {"values": [float("nan")]}}]},
        [],
    ],
)
def test_broken_embeddings(value: Any) -> None:
    with pytest.raises(MalformedResponseError):
        vectors(value)


def test_an_error_instead_of_embeddings() -> None:
    with pytest.raises(OverloadedError):
        vectors({"error": {"code": 503, "status": "UNAVAILABLE"}})


def test_models() -> None:
    value = {
        "models": [
            {
                "name": "models/gemini-x",
                "displayName": "Gemini X",
                "inputTokenLimit": 1000,
                "outputTokenLimit": 10,
                "supportedGenerationMethods": ["generateContent", "countTokens"],
                "thinking": True,
            },
            {"name": "models/e", "supportedGenerationMethods": ["embedContent"]},
            {"name": "tunedModels/t"},
            {"name": None},
            None,
        ],
        "nextPageToken": "p2",
    }
    page = WIRE.decode_models(json.dumps(value).encode())
    first, second, third = page.models
    assert (first.id, first.display_name) == ("gemini-x", "Gemini X")
    assert (first.context_window, first.max_output_tokens) == (1000, 10)
    assert first.capabilities == {"generate", "countTokens", "reasoning"}
    assert second.capabilities == {"embeddings"}
    assert (third.id, third.capabilities) == ("tunedModels/t", None)
    assert page.cursor == "p2"


def test_the_end_of_the_models() -> None:
    assert WIRE.decode_models(b"{}").models == ()
    assert WIRE.decode_models(b'{"nextPageToken":"x"}').cursor == "x"
    assert WIRE.decode_models(b'{"models":[]}').cursor is None


@pytest.mark.parametrize("body", [b"[]", b'{"name":"operations/1","done":true}', b'{"models":5}', b""])
def test_no_list_of_models(body: bytes) -> None:
    with pytest.raises(MalformedResponseError):
        WIRE.decode_models(body)
