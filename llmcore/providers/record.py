"""What a leaf writes on an answer: who gave it, what it cost, the attempt that it was, and what was odd about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

from attrs import evolve

from llmcore.errors import ProviderError
from llmcore.providers.exchange import Trace
from llmcore.types import Attempt, EmbeddingResponse, GenerationResponse, RequestWarning, Usage

if TYPE_CHECKING:
    from llmcore.providers.base import HttpProvider

R = TypeVar("R", GenerationResponse, EmbeddingResponse)


def attempt_of(
    leaf: HttpProvider,
    trace: Trace,
    seconds: float,
    usage: Usage,
    *,
    error: ProviderError | None = None,
    first_token_s: float | None = None,
) -> Attempt:
    """The record of one attempt that is over."""
    read, written = usage.input_tokens is not None, usage.output_tokens is not None
    measured = read or written if error is None else read and written  # of a cut answer half a count is none
    return Attempt(
        leaf.name,
        trace.model,
        "success" if error is None else error.outcome,
        trace.status if error is None or error.status is None else error.status,
        seconds,
        0.0,
        key=leaf.key,
        phase=None if error is None else error.phase,
        first_token_s=first_token_s,
        usage=usage,
        counted="measured" if measured else "unknown",
    )


def stamped(response: R, trace: Trace, usage: Usage, attempt: Attempt) -> R:
    """The response with provider, model, request id, priced usage, warnings and its one attempt."""
    warnings = (*trace.warnings, *response.warnings) if trace.warnings else response.warnings
    model = response.model or trace.model
    if isinstance(response, EmbeddingResponse):
        return evolve(
            response,
            provider=attempt.provider,
            model=model,
            usage=usage,
            attempts=(attempt,),
            warnings=warnings,
        )
    return GenerationResponse(  # by hand: `evolve` costs three times as much, on every call
        response.message,
        response.finish_reason,
        response.raw_finish_reason,
        usage,
        model,
        attempt.provider,
        response.id,
        response.request_id or trace.request_id,
        (attempt,),
        warnings,
        response.skipped,
        response.raw,
        response.stop_sequence,
    )


def odd_type(headers: Mapping[str, str]) -> tuple[RequestWarning, ...]:
    """A warning where an answer that could be read was called something else than JSON."""
    told = headers.get("content-type")
    if told is None or "json" in told or "json" in told.lower():
        return ()
    return (
        RequestWarning(
            "content-type", f"the provider called its answer {told[:80]!r}; it was read all the same"
        ),
    )
