"""Faults 42 to 45: answers that are JSON, but odd: keys, numbers, counts, depth."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from llmcore import Price
from llmcore.config import TransportChoice
from llmcore.errors import MalformedResponseError, QuotaExhaustedError, ServerError
from tests.faults.conftest import SETUPS, Ask, Make, failure, generate, stream
from tests.faults.odd import (
    NAMED,
    answer,
    call,
    calls_in,
    chunk_of,
    refusal,
    streams,
    whole_calls,
    wholes,
)
from tests.faults.raw import DONE, MODEL, Server, completion, either, event, http, serving, streamed
from tests.providers.dialects import OF_DIALECT, TEXT

COVERED = (42, 43, 44, 45)

pytestmark = pytest.mark.anyio


@pytest.fixture(params=[name for name in SETUPS if "trio" not in name])
def setup(request: pytest.FixtureRequest) -> tuple[str, TransportChoice]:
    """Both transports on one loop: what is tested here is how bytes are read."""
    return SETUPS[request.param]


COUNTING = ("openai", "openai_responses", "anthropic", "gemini", "ollama", "cohere", "replicate")
STREAMING = COUNTING[:-1]
"""Dialects whose stream comes at the first request."""

_SEVEN = re.compile(rb'(": )7(?:\.0)?(?=[,}])')


# --------------------------------------------------------------------------------------------- duplicate keys


async def test_42_of_two_equal_keys_the_last_wins(make: Make, ask: Ask) -> None:
    before = b'{"choices":[],"usage":{"prompt_tokens":9},"model":"old","id":5,'
    usage = b'"usage":{"prompt_tokens":9,"prompt_tokens":3,"completion_tokens":2}}'
    whole = before + completion()[1:-1] + b"," + usage
    first = event("hel").replace(b"data: {", b"data: " + before)
    told = first.replace(b'"content": "hel"', b'"content": "old", "content": "hel"')
    end = event("lo", "stop").replace(b"}\n\n", b"," + usage + b"\n\n")
    assert told != first
    response = await answer(make, ask, whole, streamed(told, end, DONE))
    assert (response.text, response.model, response.id) == ("hello", MODEL, "c1")
    assert (response.usage.input_tokens, response.usage.output_tokens) == (3, 2)


async def test_42_in_an_error_too(make: Make, ask: Ask) -> None:
    body = b'{"error":{"code":"slow_down","message":"no"},"error":{"code":"x","code":"insufficient_quota"}}'
    with Server(serving(http(body, 429))) as server:
        error = await failure(ask(make(server)))
    assert type(error) is QuotaExhaustedError
    assert error.code == "insufficient_quota"


async def test_42_arguments_stay_as_they_were_written(make: Make, ask: Ask) -> None:
    told = '{"a": 1, "a": 2}'
    one = call(told, name="f", id="c1", index=0)
    response = await answer(make, ask, whole_calls(one), calls_in(one))
    assert [(found.arguments, found.input) for found in response.tool_calls] == [(told, {"a": 2})]


# ------------------------------------------------------------------------------------------------ odd numbers

ODD_NUMBERS = (b"NaN", b"Infinity", b"-Infinity", b"1e999", b"12345678901234567890", b"1e20")


def spoiled(body: bytes, number: bytes) -> bytes:
    """`body` with another number of read tokens, wherever it says them."""
    changed = _SEVEN.sub(rb"\g<1>" + number, body)
    assert changed != body
    return changed


@pytest.mark.parametrize("kind", COUNTING)
async def test_43_usage_that_is_no_count_is_unknown(make: Make, kind: str) -> None:
    bodies = [spoiled(OF_DIALECT[kind].answer(), number) for number in ODD_NUMBERS]
    for number, response in zip(ODD_NUMBERS, await wholes(make, kind, bodies), strict=True):
        assert response.text == TEXT
        assert (response.usage.input_tokens, response.usage.output_tokens) == (None, 3), number


@pytest.mark.parametrize("kind", STREAMING)
async def test_43_in_streams_too(make: Make, kind: str) -> None:
    bodies = [spoiled(OF_DIALECT[kind].stream(), number) for number in ODD_NUMBERS]
    for number, response in zip(ODD_NUMBERS, await streams(make, kind, bodies), strict=True):
        assert response.text == TEXT
        assert (response.usage.input_tokens, response.usage.output_tokens) == (None, 3), number


async def test_43_words_that_look_like_numbers_stay_words(make: Make, ask: Ask) -> None:
    text = "NaN Infinity 1e999 12345678901234567890"
    response = await answer(make, ask, completion(text), streamed(event(text, "stop"), DONE))
    assert response.text == text


@pytest.mark.parametrize("kind", ["openai", "ollama", "gemini", "cohere", "huggingface"])
async def test_43_a_vector_with_what_is_no_number_is_refused(make: Make, kind: str) -> None:
    bodies = {
        "openai": b'{"data":[{"index":0,"embedding":[0.5,%s]}]}',
        "ollama": b'{"embeddings":[[0.5,%s]]}',
        "gemini": b'{"embedding":{"values":[0.5,%s]}}',
        "cohere": b'{"embeddings":{"float":[[0.5,%s]]}}',
        "huggingface": b"[[0.5,%s]]",
    }
    numbers = (b"NaN", b"Infinity", b"-Infinity", b"1e999", b"1e39", b"null", b'"1"', b"[1]", b"9" * 400)
    with Server(serving(*(http(bodies[kind] % number) for number in numbers))) as server:
        provider = make(server, kind=kind)
        for number in numbers:
            assert type(await failure(provider.embed("hi"))) is MalformedResponseError, number


async def test_43_a_vector_may_hold_a_large_integer(make: Make) -> None:
    with Server(serving(http(b'{"data":[{"index":0,"embedding":[12345678901234567890]}]}'))) as server:
        response = await make(server).embed("hi")
    assert response.vectors[0][0] == pytest.approx(1.2345678901234567e19)


# ------------------------------------------------------------------------------------------------- odd usage

USAGES: list[tuple[dict[str, Any], tuple[int | None, ...]]] = [
    ({"prompt_tokens": -3, "completion_tokens": -2, "total_tokens": -5}, (None, None, None, None, None)),
    ({"prompt_tokens": 3.5, "completion_tokens": 2.0}, (None, 2, None, None, None)),
    ({"prompt_tokens": "three", "completion_tokens": "2"}, (None, 2, None, None, None)),
    ({"prompt_tokens": True, "completion_tokens": [2]}, (None, None, None, None, None)),
    ({"prompt_tokens": 3, "completion_tokens": 2}, (3, 2, 5, None, None)),
    ({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 999}, (3, 2, 5, None, None)),
    (
        {"prompt_tokens": 3, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 7}},
        (3, 2, 5, None, None),
    ),
    (
        {"prompt_tokens": 3, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": -1}},
        (3, 2, 5, None, None),
    ),
    (
        {"prompt_tokens": 3, "completion_tokens": 2, "completion_tokens_details": {"reasoning_tokens": 4}},
        (3, 2, 5, None, None),
    ),
    ({"prompt_tokens": 3, "completion_tokens": 2, "cost": -0.5}, (3, 2, 5, None, None)),
]


@pytest.mark.parametrize(("told", "expected"), USAGES)
async def test_44_odd_usage_is_unknown_and_never_costs_less_than_nothing(
    make: Make, ask: Ask, told: dict[str, Any], expected: tuple[int | None, ...]
) -> None:
    end = chunk_of(delta={}, finish_reason="stop").replace(
        b"}\n\n", b', "usage": %s}\n\n' % json.dumps(told).encode()
    )
    bodies = either(http(completion(usage=told)), streamed(event("hello"), end, DONE))
    with Server(serving(bodies)) as server:
        provider = make(server, config={"prices": {"*": Price(1, 2)}})
        response = await ask(provider)
    usage = response.usage
    assert response.text == "hello"
    found = (
        usage.input_tokens,
        usage.output_tokens,
        usage.total_tokens,
        usage.cached_tokens,
        usage.reasoning_tokens,
    )
    assert found == expected
    assert usage.cost_usd is None or usage.cost_usd >= 0
    assert usage.raw == told
    stats = provider.stats()
    assert (stats.input_tokens, stats.output_tokens) == (expected[0] or 0, expected[1] or 0)
    assert stats.cost_usd is None or stats.cost_usd >= 0


@pytest.mark.parametrize("kind", COUNTING)
async def test_44_in_every_dialect(make: Make, kind: str) -> None:
    numbers = (b"-7", b'"seven"', b"7.5", b"null", b"{}")
    bodies = [spoiled(OF_DIALECT[kind].answer(), number) for number in numbers]
    for number, response in zip(numbers, await wholes(make, kind, bodies), strict=True):
        assert response.text == TEXT
        assert response.usage.input_tokens is None, number


# ----------------------------------------------------------------------------------------------------- depth

DEEP = 100_000


def nested(depth: int = DEEP) -> bytes:
    return b'{"a":' * depth + b"1" + b"}" * depth


def deep_bodies() -> list[bytes]:
    where = nested()
    return [
        b"[" * DEEP + b"]" * DEEP,
        b"[" * DEEP,
        where,
        completion(extra="@").replace(b'"@"', where),
        whole_calls(call("@", name="f", id="1")).replace(b'"@"', where),
        completion(usage="@").replace(b'"@"', where),
    ]


async def test_45_depth_is_malformed_and_no_crash(make: Make, ask: Ask) -> None:
    for body in deep_bodies():
        error = await refusal(make, ask, body, streamed(event("hel"), b"data: " + body + b"\n\n", DONE))
        cause = error.__cause__ if ask is stream else error
        assert type(cause) is MalformedResponseError, body[:40]


@pytest.mark.parametrize("kind", COUNTING)
async def test_45_in_every_dialect(make: Make, kind: str) -> None:
    with Server(serving(http(nested()))) as server:
        provider = make(server, kind=kind, config=NAMED)
        for work in (generate(provider), stream(provider), provider.list_models()):
            assert type(await failure(work)) is MalformedResponseError
        if kind not in {"anthropic", "replicate"}:
            assert type(await failure(provider.embed("hi"))) is MalformedResponseError


async def test_45_an_error_body_keeps_its_status(make: Make, ask: Ask) -> None:
    with Server(serving(http(nested(), 500))) as server:
        error = await failure(ask(make(server)))
    assert type(error) is ServerError


async def test_45_text_of_arguments_may_be_deep(make: Make, ask: Ask) -> None:
    told = nested().decode()
    one = call(told, name="f", id="c1", index=0)
    response = await answer(make, ask, whole_calls(one), calls_in(one))
    assert response.tool_calls[0].arguments == told
    assert response.tool_calls[0].parse_error
