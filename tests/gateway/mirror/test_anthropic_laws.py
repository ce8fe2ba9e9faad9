"""The laws of Anthropic's wire: what our client says the mirror reads, and what the mirror says our client reads."""

from __future__ import annotations

from typing import Any

from anthropic.types import Message as SdkMessage
from anthropic.types import RawMessageStreamEvent
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from llmcore.gateway.mirror.anthropic import AnthropicMirror
from llmcore.gateway.mirror.sse import dumps
from llmcore.types import (
    GenerationRequest,
    GenerationResponse,
    JsonSchema,
    Message,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Text,
    Thinking,
)
from llmcore.wire.anthropic import AnthropicWire
from tests.gateway.mirror import nouns
from tests.gateway.mirror.laws import Pair, foreign, messages_of, without_notes

MIRROR = AnthropicMirror()
WIRE = AnthropicWire(version="2023-06-01")
LAWS = Pair(MIRROR, WIRE, GenerationRequest("?", model="m", max_tokens=9))

signatures = st.text("ABCab+/=", min_size=4, max_size=12)
thoughts = st.builds(Thinking, nouns.texts, signatures, origin=st.just("anthropic")) | st.builds(
    Thinking, st.just(""), signatures, st.just(value=True), origin=st.just("anthropic")
)
results = nouns.texts | st.lists(nouns.images | nouns.spoken.map(Text), min_size=1, max_size=2)
formats = nouns.formats.map(lambda one: one and evolve(one, strict=False)) | nouns.schemas.map(
    lambda schema: JsonSchema({**schema, "required": [*schema["properties"]], "additionalProperties": False})
)
"""This wire does not say whether a schema is held strictly: it is where it can be."""

hosted = st.builds(
    Opaque,
    st.fixed_dictionaries({"type": st.just("server_tool_use"), "id": nouns.words}),
    st.just("anthropic"),
)


@st.composite
def requests(draw: st.DrawFn) -> GenerationRequest:
    tools = draw(nouns.tools(st.none() | st.booleans()))
    names = [tool.name for tool in tools if tool.name not in {"auto", "none", "required"}]
    choice = draw(st.none() | st.sampled_from(["auto", "none", "required", *names])) if tools else None
    reasoning = draw(
        st.none()
        | st.sampled_from([Reasoning("none"), Reasoning("low"), Reasoning("max"), Reasoning("high", 2000)])
        | st.sampled_from([Reasoning(adaptive=True), Reasoning("high", adaptive=True)])
    )
    system = tuple(Message.system(text) for text in draw(st.lists(nouns.spoken, max_size=2)))
    said = draw(nouns.conversations(thoughts, nouns.images | nouns.pdfs, results, joined=False))
    if draw(st.booleans()):
        tools = tuple(evolve(tool, cache=draw(st.none() | nouns.points)) for tool in tools)
        system, said = draw(nouns.kept(system)), draw(nouns.kept(said))
    return GenerationRequest(
        (*system, *said),
        model=draw(nouns.words),
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=False if choice not in {None, "none"} and draw(st.booleans()) else None,
        temperature=draw(st.none() | st.floats(0, 1)),
        top_p=draw(st.none() | st.floats(0, 1)),
        max_tokens=draw(st.integers(4096, 9999)),
        stop=draw(st.lists(nouns.spoken, max_size=2)),
        response_format=draw(formats),
        reasoning=reasoning,
    )


@given(requests(), st.booleans())
def test_what_our_client_asks_is_what_the_mirror_reads(request: GenerationRequest, stream: bool) -> None:
    LAWS.request_comes_through(request, stream=stream)


@st.composite
def answers(draw: st.DrawFn, thinking: st.SearchStrategy[Thinking] = thoughts) -> GenerationResponse:
    parts: list[Part] = draw(st.lists(thinking, max_size=2))
    parts += draw(st.lists(nouns.spoken.map(Text), max_size=1))
    parts += draw(st.lists(hosted, max_size=1))
    calls = draw(nouns.calls())
    finish: Any = "tool_calls" if calls else draw(st.sampled_from(["stop", "length", "pause", "refusal"]))
    if finish == "refusal":
        parts += [Refusal(text) for text in draw(st.lists(nouns.spoken, max_size=1))]
    parts += calls
    raw = {"stop": "end_turn", "length": "max_tokens", "pause": "pause_turn", "refusal": "refusal"}
    stop = draw(st.none() | nouns.spoken) if finish == "stop" else None
    ending = raw.get(finish, "tool_use") if stop is None else "stop_sequence"
    return GenerationResponse(
        Message("assistant", tuple(parts)),
        finish,
        ending,
        draw(nouns.usages()),
        model="m",
        id="msg_1",
        stop_sequence=stop,
    )


@given(answers())
def test_what_the_mirror_answers_is_what_our_client_reads(response: GenerationResponse) -> None:
    LAWS.answer_comes_through(response)


@given(answers(), st.data())
def test_what_the_mirror_streams_is_what_our_client_reads(
    response: GenerationResponse, data: st.DataObject
) -> None:
    LAWS.stream_comes_through(response, data)


@given(answers(), st.data())
def test_a_stream_reads_the_same_however_the_network_cuts_it(
    response: GenerationResponse, data: st.DataObject
) -> None:
    LAWS.cuts_change_nothing(response, data)


@given(answers())
def test_the_official_types_take_every_answer(response: GenerationResponse) -> None:
    value = LAWS.whole(without_notes(response))
    SdkMessage.model_validate(nouns.through_json(value), strict=True)


EVENTS: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)


@given(answers(), st.data())
def test_the_official_types_take_every_event(response: GenerationResponse, data: st.DataObject) -> None:
    for message in messages_of(LAWS.stream(data.draw(nouns.streamed(without_notes(response))))):
        EVENTS.validate_json(dumps(message), strict=True)


# ------------------------------------------------------------------------------------ marks of other vendors


foreign_thoughts = st.builds(
    Thinking,
    nouns.texts,
    signatures | st.none(),
    raw=st.just("reasoning_content"),
    origin=st.just("deepseek"),
) | st.builds(
    Thinking,
    st.just(""),
    signatures,
    st.just(value=True),
    raw=st.just({"type": "reasoning", "id": "rs_1"}),
    origin=st.just("openai_responses"),
)


@given(foreign(foreign_thoughts, nouns.spoken, signatures), st.data())
def test_marks_of_other_vendors_come_back_from_the_client(
    response: GenerationResponse, data: st.DataObject
) -> None:
    value = nouns.through_json(LAWS.whole(response))
    assert sent_back(value["content"]) == response.message
    found, _ = LAWS.read(LAWS.stream(data.draw(nouns.streamed(response))))
    encoded = WIRE.encode_generate(
        GenerationRequest([Message.user("?"), nouns.fold(found).message], model="m"), stream=False
    )
    assert sent_back(nouns.body_of(encoded.http.body)["messages"][1]["content"]) == response.message


def sent_back(content: list[dict[str, Any]]) -> Message:
    """The assistant's message as the mirror reads it, when the client sends the answer's content back."""
    messages = [{"role": "user", "content": "?"}, {"role": "assistant", "content": content}]
    body = {"model": "m", "max_tokens": 9, "messages": messages}
    return MIRROR.decode_request(body).request.messages[1]


# -------------------------------------------------------------------------------------------------- hostile text


@given(st.sampled_from(nouns.HOSTILE), st.sampled_from(nouns.HOSTILE))
def test_t22_text_that_looks_like_the_end_of_a_stream_stays_text(first: str, second: str) -> None:
    LAWS.hostile_text_stays_text(first + second, b"event: message_stop\n")
