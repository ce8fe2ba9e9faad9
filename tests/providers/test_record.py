"""What a leaf writes on an answer changes nothing else of it."""

from __future__ import annotations

from attrs import evolve, fields

from llmcore.providers.exchange import Trace
from llmcore.providers.record import stamped
from llmcore.types import (
    Attempt,
    EmbeddingResponse,
    GenerationResponse,
    Message,
    RequestWarning,
    Skipped,
    Usage,
)

ATTEMPT = Attempt("here", "asked", "success", usage=Usage(3, 4))
UNSENT, ODD = RequestWarning("seed", "not sent"), RequestWarning("content-type", "odd")


def full_answer() -> GenerationResponse:
    """A response in which every field holds something else than its default."""
    return GenerationResponse(
        Message.assistant("hello"),
        "length",
        "max_tokens",
        Usage(1, 2),
        "answered",
        "nobody",
        "id-1",
        "request-1",
        (Attempt("nobody", None, "success"),),
        (ODD,),
        (Skipped("other", None, "resting"),),
        {"raw": True},
        "stop here",
    )


def noted() -> Trace:
    trace = Trace("asked")
    trace.request_id, trace.warnings = "request-2", (UNSENT,)
    return trace


def test_every_field_that_the_leaf_does_not_know_better_stays() -> None:
    answer = full_answer()
    assert all(getattr(answer, field.name) != field.default for field in fields(GenerationResponse))
    found = stamped(answer, noted(), Usage(3, 4), ATTEMPT)
    assert found.raw is answer.raw
    assert found == evolve(
        answer, provider="here", usage=Usage(3, 4), attempts=(ATTEMPT,), warnings=(UNSENT, ODD)
    )


def test_what_the_answer_does_not_say_is_what_the_call_noted() -> None:
    bare = GenerationResponse(Message.assistant("hello"))
    found = stamped(bare, noted(), Usage(), ATTEMPT)
    assert (found.model, found.request_id, found.warnings) == ("asked", "request-2", (UNSENT,))


def test_vectors_are_stamped_alike() -> None:
    answer = EmbeddingResponse(((1.0,),), warnings=(ODD,), raw={"raw": True})
    found = stamped(answer, noted(), Usage(3), ATTEMPT)
    assert found == evolve(
        answer,
        provider="here",
        model="asked",
        usage=Usage(3),
        attempts=(ATTEMPT,),
        warnings=(UNSENT, ODD),
    )
    assert found.raw is answer.raw
