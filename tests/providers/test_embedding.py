"""Embeddings of many texts: split by the vendor's limits, side by side under a cap, put back in order."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmcore import errors
from llmcore.providers import find
from llmcore.providers.embedding import split
from llmcore.testing import run_simulated
from llmcore.types import EmbeddingRequest
from tests.providers.dialects import Cohere, Ollama, Vendor, made

BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])
COHERE = find("cohere")


class Embedder(Vendor):
    """Cohere, whose vector of a text is its number; counts how many requests run at once. `pause` seconds each."""

    def __init__(
        self, pauses: Sequence[float] = (0.0,), failing: Sequence[int] = (), silent: Sequence[int] = ()
    ):
        super().__init__(Cohere())
        self.pauses, self.failing, self.silent = pauses, failing, silent
        self.running = self.peak = self.done = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        number = len(self.requests)
        self.requests.append(request)
        texts = json.loads(await request.aread())["texts"]
        self.running += 1
        self.peak = max(self.peak, self.running)
        try:
            await anyio.sleep(self.pauses[number % len(self.pauses)])
        finally:
            self.running -= 1
        self.done += 1
        if number in self.failing:
            return httpx.Response(503, json={"message": f"request {number}"})
        spent = {} if number in self.silent else {"meta": {"billed_units": {"input_tokens": len(texts)}}}
        return httpx.Response(200, json={"embeddings": {"float": [[float(text)] for text in texts]}, **spent})


def numbers(count: int) -> list[str]:
    return [str(number) for number in range(count)]


@BACKENDS
@pytest.mark.parametrize(("count", "requests"), [(1, 1), (96, 1), (97, 2), (960, 10)])
def test_many_texts_are_split_and_come_back_in_order(count: int, requests: int, backend: Any) -> None:
    async def main() -> None:
        vendor = Embedder(pauses=(5.0, 1.0, 3.0, 2.0, 4.0))
        provider = made(COHERE, vendor)
        response = await provider.embed(numbers(count))
        assert [vector[0] for vector in response.vectors] == [float(number) for number in range(count)]
        assert len(vendor.requests) == requests
        assert vendor.peak == min(requests, 4)
        assert response.usage.input_tokens == count
        assert [one.outcome for one in response.attempts] == ["success"]
        assert provider.stats().requests == 1
        assert provider.stats().input_tokens == count

    run_simulated(main, backend=backend)


@BACKENDS
def test_the_first_error_ends_the_others(backend: Any) -> None:
    async def main() -> None:
        vendor = Embedder(pauses=(9.0, 2.0, 9.0, 9.0, 9.0), failing=[1, 2])
        provider = made(COHERE, vendor)
        began = anyio.current_time()
        with pytest.raises(errors.OverloadedError, match="request 1") as caught:
            await provider.embed(numbers(960))
        assert anyio.current_time() - began == pytest.approx(2.0)
        assert len(vendor.requests) == 4
        assert (vendor.running, vendor.done) == (0, 1)
        assert caught.value.provider == "main"
        stats = provider.stats()
        assert (stats.requests, stats.failures, stats.in_flight) == (1, 1, 0)

    run_simulated(main, backend=backend)


@BACKENDS
def test_a_cancelled_call_ends_all_of_them(backend: Any) -> None:
    async def main() -> None:
        vendor = Embedder(pauses=(100.0,))
        provider = made(COHERE, vendor)
        with anyio.move_on_after(1.0) as scope:
            await provider.embed(numbers(960))
        assert scope.cancelled_caught
        assert vendor.running == 0
        assert (provider.stats().cancelled, provider.stats().in_flight) == (1, 0)
        with pytest.raises(errors.TotalTimeout):
            await provider.embed(EmbeddingRequest(numbers(960), deadline=1.0))
        assert (vendor.running, provider.stats().in_flight) == (0, 0)

    run_simulated(main, backend=backend)


def test_a_batch_that_does_not_say_its_tokens_makes_the_sum_unknown() -> None:
    async def main() -> None:
        response = await made(COHERE, Embedder(silent=[1])).embed(numbers(200))
        assert response.usage.input_tokens is None
        assert len(response.vectors) == 200

    run_simulated(main)


def test_warnings_of_many_batches_come_once() -> None:
    async def main() -> None:
        asked = EmbeddingRequest(numbers(200), input_type="query")
        response = await made(find("ollama"), Vendor(Ollama())).embed(asked)
        assert [warning.parameter for warning in response.warnings] == ["input_type"]

    run_simulated(main)


@pytest.mark.parametrize("inputs", [[], "", ["a", ""], ["\ud800"], [3], None])
def test_what_is_no_text_is_refused_before_anything_is_sent(inputs: Any) -> None:
    async def main() -> None:
        vendor = Embedder()
        with pytest.raises(errors.InvalidRequestError):
            await made(COHERE, vendor).embed(inputs)
        assert vendor.requests == []

    run_simulated(main)


@given(
    lengths=st.lists(st.integers(1, 30), min_size=1, max_size=40),
    count=st.integers(1, 10),
    chars=st.none() | st.integers(1, 60),
)
def test_batches_keep_the_texts_the_order_and_the_limits(
    lengths: list[int], count: int, chars: int | None
) -> None:
    texts = [str(index % 10) * length for index, length in enumerate(lengths)]
    batches = list(split(texts, count, chars))
    assert [text for batch in batches for text in batch] == texts
    for batch in batches:
        assert 1 <= len(batch) <= count
        assert chars is None or len(batch) == 1 or sum(map(len, batch)) <= chars
    for one, other in pairwise(batches):
        assert len(one) == count or (chars is not None and sum(map(len, one)) + len(other[0]) > chars)
