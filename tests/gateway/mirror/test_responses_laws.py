"""The laws of the Responses wire: what our client says the mirror reads, and what the mirror says our client reads.

In a stream an item keeps the id that it began with, so OpenAI's own seal comes inside one of ours: there the law is that
the mirror reads it as it was when the client sends it back.
"""

from __future__ import annotations

from typing import Any

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import Response as SdkResponse
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from llmcore.gateway.mirror.responses import ResponsesMirror
from llmcore.types import (
    EFFORTS,
    GenerationRequest,
    GenerationResponse,
    Message,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Text,
    Thinking,
)
from llmcore.wire.responses import ResponsesWire
from tests.gateway.mirror import nouns
from tests.gateway.mirror.laws import Pair, foreign, messages_of, without_notes

MIRROR = ResponsesMirror()
WIRE = ResponsesWire()
LAWS = Pair(MIRROR, WIRE, GenerationRequest("?", model="m"))
ORIGIN = "openai_responses"

seals = st.text("ABCab+/=", min_size=4, max_size=12)


@st.composite
def thoughts(draw: st.DrawFn) -> Thinking:
    """Reasoning as OpenAI gives it: a summary, its sealed form, and the item that both came in."""
    text, sealed = draw(st.just("") | nouns.texts), draw(seals)
    item = {
        "id": f"rs_{draw(nouns.words)}",
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": text}] if text else [],
        "encrypted_content": sealed,
    }
    return Thinking(text, sealed, not text, item, ORIGIN)


phased = st.builds(
    Text, nouns.spoken, signature=st.sampled_from(["commentary", "final_answer"]), origin=st.just(ORIGIN)
)


@st.composite
def requests(draw: st.DrawFn) -> GenerationRequest:
    tools = draw(nouns.tools(st.booleans()))
    names = [tool.name for tool in tools if tool.name not in {"auto", "none", "required"}]
    system = tuple(Message.system(text) for text in draw(st.lists(nouns.spoken, max_size=1)))
    said = draw(
        nouns.conversations(thoughts(), nouns.images.map(_detailed) | nouns.pdfs, results, joined=True)
    )
    return GenerationRequest(
        (*system, *said),
        model=draw(nouns.words),
        tools=tools,
        tool_choice=draw(st.none() | st.sampled_from(["auto", "none", "required", *names]))
        if tools
        else None,
        parallel_tool_calls=draw(st.none() | st.booleans()) if tools else None,
        temperature=draw(st.none() | st.floats(0, 2)),
        top_p=draw(st.none() | st.floats(0, 1)),
        max_tokens=draw(st.none() | st.integers(16, 9999)),
        response_format=draw(nouns.formats),
        reasoning=draw(st.none() | st.sampled_from(EFFORTS).map(Reasoning)),
    )


def _detailed(image: Any) -> Any:
    """The wire demands a detail, and our client says "auto" where there is none."""
    return evolve(image, detail="auto")


results = nouns.texts | st.lists(nouns.images.map(_detailed), min_size=1, max_size=1)


@given(requests(), st.booleans())
def test_what_our_client_asks_is_what_the_mirror_reads(request: GenerationRequest, stream: bool) -> None:
    LAWS.request_comes_through(request, stream=stream)


@st.composite
def answers(draw: st.DrawFn, *, thinking: bool = True) -> GenerationResponse:
    parts: list[Part] = list(draw(st.lists(thoughts(), max_size=2))) if thinking else []
    parts += draw(st.lists(phased, max_size=1)) or draw(st.lists(nouns.spoken.map(Text), max_size=1))
    if parts and type(parts[-1]) is Text and draw(st.booleans()):
        parts.append(Opaque({"annotations": [{"type": "url_citation", "url": draw(nouns.urls)}]}, ORIGIN))
    calls = draw(nouns.calls())
    refused = not calls and not any(type(part) is Text for part in parts)
    parts += [Refusal(text) for text in draw(st.lists(nouns.spoken, max_size=1))] if refused else []
    refused = any(type(part) is Refusal for part in parts)
    finish, raw = _ending(draw, bool(calls), refused)
    usage = draw(nouns.usages())
    if usage.reasoning_tokens is None:
        usage = evolve(usage, reasoning_tokens=0)
    return GenerationResponse(
        Message("assistant", (*parts, *calls)), finish, raw, usage, model="m", id="resp_1"
    )


def _ending(draw: st.DrawFn, called: bool, refused: bool) -> Any:
    if draw(st.booleans()):
        return draw(st.sampled_from([("length", "max_output_tokens"), ("content_filter", "content_filter")]))
    return "tool_calls" if called else ("refusal" if refused else "stop"), "completed"


@given(answers())
def test_what_the_mirror_answers_is_what_our_client_reads(response: GenerationResponse) -> None:
    LAWS.answer_comes_through(response)


@given(answers(thinking=False), st.data())
def test_what_the_mirror_streams_is_what_our_client_reads(
    response: GenerationResponse, data: st.DataObject
) -> None:
    LAWS.stream_comes_through(response, data)


@given(answers(), st.data())
def test_a_stream_reads_the_same_however_the_network_cuts_it(
    response: GenerationResponse, data: st.DataObject
) -> None:
    LAWS.cuts_change_nothing(response, data)


@given(answers(), st.data())
def test_a_stream_ends_with_the_same_object_as_the_whole_answer(
    response: GenerationResponse, data: st.DataObject
) -> None:
    last = messages_of(LAWS.stream(data.draw(nouns.streamed(response))))[-1]
    whole = nouns.through_json(LAWS.whole(response))
    assert {**last["response"], "output": []} == {**whole, "output": []}
    assert [item["type"] for item in last["response"]["output"]] == [item["type"] for item in whole["output"]]


# ------------------------------------------------------------------------------------------- the official types


@given(answers())
def test_the_official_types_take_every_answer(response: GenerationResponse) -> None:
    value = LAWS.whole(without_notes(response))
    SdkResponse.model_validate(nouns.through_json(value), strict=True)


EVENTS: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


@given(answers(), st.data())
def test_the_official_types_take_every_event(response: GenerationResponse, data: st.DataObject) -> None:
    body = LAWS.stream(data.draw(nouns.streamed(without_notes(response))))
    messages = messages_of(body)
    assert [message["sequence_number"] for message in messages] == list(range(len(messages)))
    for message in messages:
        EVENTS.validate_python(message, strict=True)


# ------------------------------------------------------------------------------------ marks of other vendors


foreign_thoughts = (
    thoughts()
    | st.builds(
        Thinking, nouns.texts, seals | st.none(), raw=st.just("reasoning_content"), origin=st.just("groq")
    )
    | st.builds(Thinking, st.just(""), seals, st.just(value=True), origin=st.just("anthropic"))
)


@given(foreign(foreign_thoughts, nouns.spoken | st.just(""), seals), st.data())
def test_marks_of_any_vendor_come_back_from_the_client(
    response: GenerationResponse, data: st.DataObject
) -> None:
    value = nouns.through_json(LAWS.whole(response))
    assert sent_back(value["output"]) == response.message
    body = LAWS.stream(data.draw(nouns.streamed(response)))
    assert sent_back(messages_of(body)[-1]["response"]["output"]) == response.message
    found, _ = LAWS.read(body)
    again = GenerationRequest([Message.user("?"), nouns.fold(found).message], model="m")
    items = nouns.body_of(WIRE.encode_generate(again, stream=False).http.body)["input"][1:]
    assert sent_back(items) == response.message


def sent_back(output: list[dict[str, Any]]) -> Message:
    """The assistant's message as the mirror reads it, when the client sends the answer's output back."""
    body = {"model": "m", "input": [{"role": "user", "content": "?"}, *output]}
    return MIRROR.decode_request(body).request.messages[1]


# -------------------------------------------------------------------------------------------------- hostile text


@given(st.sampled_from(nouns.HOSTILE), st.sampled_from(nouns.HOSTILE))
def test_t22_text_that_looks_like_the_end_of_a_stream_stays_text(first: str, second: str) -> None:
    LAWS.hostile_text_stays_text(first + second, b"event: response.completed\n")
