"""Embeddings of any number of texts: split by the vendor's limits, sent side by side under a cap, put back in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import anyio
from attrs import evolve

from llmcore.errors import ProviderError
from llmcore.providers.exchange import Exchange, Trace
from llmcore.types import EmbeddingRequest, EmbeddingResponse, Usage
from llmcore.wire.base import Encoded, Wire

Encoder = Callable[[Callable[[EmbeddingRequest], Encoded], EmbeddingRequest], Encoded]

MAX_PARALLEL = 4


async def embed_all(
    exchange: Exchange, wire: Wire, request: EmbeddingRequest, encode: Encoder, trace: Trace
) -> EmbeddingResponse:
    """One response for all inputs. Raises the first ProviderError; the other requests are then cancelled."""
    batches = [
        evolve(request, inputs=inputs)
        for inputs in split(request.inputs, wire.embed_batch, wire.embed_batch_chars)
    ]
    if len(batches) == 1:
        return await _embed(exchange, wire, request, encode, trace)
    found: list[EmbeddingResponse | None] = [None] * len(batches)
    slots = anyio.CapacityLimiter(MAX_PARALLEL)
    failure: list[ProviderError] = []

    async def run(index: int) -> None:
        async with slots:
            try:
                found[index] = await _embed(exchange, wire, batches[index], encode, trace)
            except ProviderError as error:
                failure.append(error)
                group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        for index in range(len(batches)):
            group.start_soon(run, index)
    if failure:
        raise failure[0]
    return joined([response for response in found if response is not None])


async def _embed(
    exchange: Exchange, wire: Wire, request: EmbeddingRequest, encode: Encoder, trace: Trace
) -> EmbeddingResponse:
    encoded = encode(wire.encode_embed, request)
    body, _ = await exchange.fetch(encoded.http, trace)
    response = wire.decode_embed(body, request)
    return (
        evolve(response, warnings=(*encoded.warnings, *response.warnings)) if encoded.warnings else response
    )


def split(inputs: Sequence[str], count: int, chars: int | None) -> Iterator[tuple[str, ...]]:
    """`inputs` in runs of at most `count` texts and about `chars` characters (one text is never split)."""
    batch: list[str] = []
    size = 0
    for text in inputs:
        if batch and (len(batch) == count or (chars is not None and size + len(text) > chars)):
            yield tuple(batch)
            batch, size = [], 0
        batch.append(text)
        size += len(text)
    yield tuple(batch)


def joined(responses: Sequence[EmbeddingResponse]) -> EmbeddingResponse:
    """The batches' answers as one, in order; usage summed, warnings each once."""
    first = responses[0]
    usage = first.usage
    for response in responses[1:]:
        usage = _both(usage, response.usage)
    warnings = dict.fromkeys(warning for response in responses for warning in response.warnings)
    vectors = tuple(vector for response in responses for vector in response.vectors)
    return evolve(
        first,
        vectors=vectors,
        usage=usage,
        warnings=tuple(warnings),
        raw=[response.raw for response in responses],
    )


def _both(a: Usage, b: Usage) -> Usage:
    """The sum, where both know; a batch that does not say its tokens makes the sum unknown."""
    total = a + b
    return evolve(total, input_tokens=None) if a.input_tokens is None or b.input_tokens is None else total
