"""Embeddings as served: inputs, both encodings, and the law against our own wire."""

from __future__ import annotations

from array import array
from typing import Any

import msgspec
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from openai.types import CreateEmbeddingResponse

from llmcore.gateway.errors import BadRequest, TooMany
from llmcore.gateway.mirror.openai_embeddings import AskedEmbedding, OpenAIEmbeddingsMirror
from llmcore.types import NO_USAGE, EmbeddingRequest, EmbeddingResponse, Usage
from tests.gateway.mirror.openai_nouns import WIRE, texts, words

MIRROR = OpenAIEmbeddingsMirror()

requests = st.builds(
    EmbeddingRequest,
    st.lists(texts, min_size=1, max_size=4).map(tuple),
    st.none() | words,
    st.none() | st.integers(1, 4096),
    extra=st.just({}) | st.just({"truncate": "END"}),
)
floats = st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(requests, st.booleans())
def test_a_request_comes_through_the_wire_unchanged(request: EmbeddingRequest, base64: bool) -> None:
    wire = evolve(WIRE, embed_base64=base64)
    body = wire.encode_embed(request).http.body or b""
    assert MIRROR.decode_request(msgspec.json.decode(body)) == AskedEmbedding(request, base64)


@given(
    st.integers(1, 8).flatmap(
        lambda n: st.lists(st.lists(floats, min_size=n, max_size=n), min_size=1, max_size=4)
    ),
    st.booleans(),
    words,
)
def test_vectors_come_through_the_wire_to_the_last_bit(
    rows: list[list[float]], base64: bool, model: str
) -> None:
    request = EmbeddingRequest(("x",) * len(rows), model)
    response = EmbeddingResponse(tuple(array("f", row) for row in rows), model, usage=Usage(5))
    body = MIRROR.encode_response(response, AskedEmbedding(request, base64))
    found = WIRE.decode_embed(msgspec.json.encode(body), request)
    assert [list(vector) for vector in found.vectors] == [list(vector) for vector in response.vectors]
    assert (found.model, found.usage) == (model, Usage(5))
    if not base64:
        CreateEmbeddingResponse.model_validate(body, strict=True)


def test_both_encodings_and_any_sequence_of_numbers() -> None:
    response = EmbeddingResponse(((1.0, -2.5), array("d", (0.5, 0.25))), "real", usage=NO_USAGE)
    numbers = MIRROR.encode_response(response, AskedEmbedding(EmbeddingRequest(("a", "b"), "asked")))
    assert numbers == {
        "object": "list",
        "data": [
            {"object": "embedding", "index": 0, "embedding": [1.0, -2.5]},
            {"object": "embedding", "index": 1, "embedding": [0.5, 0.25]},
        ],
        "model": "real",
        "usage": {"prompt_tokens": None, "total_tokens": None},
    }
    packed = MIRROR.encode_response(
        evolve(response, model=None), AskedEmbedding(EmbeddingRequest(("a", "b"), "asked"), base64=True)
    )
    assert [row["embedding"] for row in packed["data"]] == ["AACAPwAAIMA=", "AAAAPwAAgD4="]
    assert packed["model"] == "asked"


def test_a_text_alone_and_all_its_fields() -> None:
    asked = MIRROR.decode_request(
        {
            "input": "x",
            "model": "m",
            "dimensions": 8,
            "user": "u",
            "input_type": "query",
            "encoding_format": None,
        }
    )
    assert asked == AskedEmbedding(
        EmbeddingRequest("x", "m", dimensions=8, input_type="query", metadata={"user": "u"})
    )


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({}, "input", "required"),
        ({"input": []}, "input", "at least one text"),
        ({"input": ""}, "input", "empty text"),
        ({"input": ["a", ""]}, "input[1]", "empty text"),
        ({"input": [1, 2]}, "input[0]", "is tokens"),
        ({"input": [[1, 2]]}, "input[0]", "check_embedding_ctx_length"),
        ({"input": ["a", {}]}, "input[1]", "must be a string, not an object"),
        ({"input": 5}, "input", "must be a string or a list of strings"),
        ({"input": ["a"] * 2049}, "input", "at most 2048"),
        ({"input": "a", "model": ""}, "model", "is empty"),
        ({"input": "a", "model": 5}, "model", "must be a string"),
        ({"input": "a", "dimensions": 0}, "dimensions", "at least 1"),
        ({"input": "a", "encoding_format": "int8"}, "encoding_format", "float, base64"),
        ({"input": "a", "user": 1}, "user", "must be a string"),
        ({"input": "a", "api_base": "https://evil.example"}, "api_base", "belongs to the settings"),
    ],
)
def test_bad_input_is_refused_with_its_path(fields: dict[str, Any], param: str, words: str) -> None:
    with pytest.raises(BadRequest) as caught:
        MIRROR.decode_request(fields)
    assert caught.value.param == param
    assert words in caught.value.message


def test_errors_are_in_openais_shape() -> None:
    answer = MIRROR.encode_error(TooMany("later"), request_id="r")
    assert (answer.status, answer.body["error"]["code"]) == (429, "rate_limit_exceeded")
