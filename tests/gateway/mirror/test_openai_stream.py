"""Streams of chat completions: chunks in order, ends, faults, and text that tries to break out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from openai import omit
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk

from llmcore.errors import OverloadedError, StreamInterruptedError
from llmcore.gateway.mirror.base import Asked
from llmcore.gateway.mirror.openai_chat import OpenAIChatMirror
from llmcore.gateway.mirror.openai_stream import ChatEventEncoder
from llmcore.types import (
    Audio,
    Continued,
    Event,
    Finished,
    GenerationRequest,
    Image,
    Opaque,
    PartDelta,
    Refusal,
    Restarted,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from tests.gateway.mirror.openai_nouns import HOSTILE, streams

MIRROR = OpenAIChatMirror()
DONE = "data: [DONE]"


def encoder(*, include_usage: bool = False) -> ChatEventEncoder:
    asked = Asked(GenerationRequest("?", model="m"), stream=True, include_usage=include_usage)
    return MIRROR.event_encoder(asked, id="chatcmpl-1", created=7)


def lines(*events: Event, include_usage: bool = False) -> list[str]:
    writing = encoder(include_usage=include_usage)
    data = b"".join(map(writing.feed, events)).decode()
    assert data.endswith("\n\n") or not data
    return data.split("\n\n")[:-1]


def chunks(*events: Event, include_usage: bool = False) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in lines(*events, include_usage=include_usage) if line != DONE]


def deltas(*events: Event) -> list[dict[str, Any]]:
    """The deltas after the one that says the role; its content is null where something else than text comes first."""
    first, *rest = [chunk["choices"][0]["delta"] for chunk in chunks(*events)]
    content = "" if "content" in rest[0] else None
    assert first == {"role": "assistant", "content": content, "refusal": None}
    return rest


def test_the_role_comes_first_the_finish_reason_last_and_then_the_end() -> None:
    found = chunks(TextDelta("a"), TextDelta("b"), Finished("stop", usage=Usage(1, 2)))
    assert [chunk["choices"][0]["delta"] for chunk in found] == [
        {"role": "assistant", "content": "", "refusal": None},
        {"content": "a"},
        {"content": "b"},
        {},
    ]
    assert [chunk["choices"][0]["finish_reason"] for chunk in found] == [None, None, None, "stop"]
    assert all(
        chunk["id"] == "chatcmpl-1" and chunk["created"] == 7 and chunk["model"] == "m" for chunk in found
    )
    assert lines(TextDelta("a"), Finished("stop"))[-1] == DONE


def test_an_empty_answer_is_whole_too() -> None:
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks(Finished("stop"))] == [None, "stop"]


def test_usage_comes_only_where_it_was_asked_for_and_is_known() -> None:
    events = (TextDelta("a"), Finished("stop", usage=Usage(3, 4)))
    assert all("usage" not in chunk for chunk in chunks(*events))
    *others, last = chunks(*events, include_usage=True)
    assert all(chunk["usage"] is None for chunk in others)
    assert last["choices"] == []
    assert last["usage"] == {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    assert all(chunk["choices"] for chunk in chunks(TextDelta("a"), Finished("stop"), include_usage=True))


def test_every_kind_of_delta_has_its_form() -> None:
    found = deltas(
        ThinkingDelta("hm"),
        TextDelta("a"),
        PartDelta(Refusal("no")),
        PartDelta(Image(data=b"AB", media_type="image/png")),
        ToolCallDelta(0, "c0", "f", '{"a"'),
        ToolCallDelta(0, arguments=":1}"),
        ToolCallDelta(1, "c1", "g", "{}", "mark", "gemini"),
        PartDelta(Opaque({"citations": ["u"]}, "perplexity")),
        Finished("tool_calls"),
    )
    assert found == [
        {"reasoning_content": "hm"},
        {"content": "a"},
        {"refusal": "no"},
        {"images": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,QUI="}, "index": 0}]},
        {
            "tool_calls": [
                {"index": 0, "id": "c0", "type": "function", "function": {"name": "f", "arguments": '{"a"'}}
            ]
        },
        {"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]},
        {
            "tool_calls": [
                {
                    "index": 1,
                    "id": "c1",
                    "type": "function",
                    "function": {"name": "g", "arguments": "{}"},
                    "extra_content": {"google": {"thought_signature": "mark"}, "origin": "gemini"},
                }
            ]
        },
        {"citations": ["u"]},
        {},
    ]


def test_parts_that_come_whole_are_said_as_their_deltas() -> None:
    found = deltas(
        PartDelta(Text("a")),
        PartDelta(Thinking("hm")),
        ToolCallDelta(0, "c0", "f", "{}"),
        PartDelta(ToolCall("c1", "g", "{}")),
        PartDelta(Audio(b"AB", "audio/wav")),
    )
    assert found[:2] == [{"content": "a"}, {"reasoning_content": "hm"}]
    assert found[3]["tool_calls"][0]["index"] == 1
    assert found[4]["audio"]["data"] == "QUI="


def test_what_was_said_is_not_said_again_as_transcript() -> None:
    sound = {"id": "a", "data": "QUI=", "transcript": "hello"}
    part = PartDelta(Opaque({"audio": sound}, "openai"))
    assert deltas(TextDelta("hello"), part)[-1] == {"audio": {"id": "a", "data": "QUI="}}
    assert deltas(part)[-1] == {"audio": sound}
    assert sound["transcript"] == "hello"


def test_what_has_no_form_writes_nothing() -> None:
    nothing: list[Event] = [
        TextDelta(""),
        ThinkingDelta(""),
        ThinkingDelta("", raw="reasoning_content", origin="openai"),
        PartDelta(Opaque({"type": "server_tool_use"}, "anthropic")),
        Continued("other", "m2"),
        Restarted("other", "m2"),
    ]
    writing = encoder()
    assert [writing.feed(event) for event in nothing] == [b""] * len(nothing)


def test_a_block_that_its_vendor_sealed_follows_whole_and_the_next_one_begins_anew() -> None:
    events: list[Event] = [
        ThinkingDelta("a"),
        ThinkingDelta("b"),
        ThinkingDelta("", "sig", origin="anthropic"),
        ThinkingDelta("c"),
        ThinkingDelta("", "sig2", origin="anthropic"),
    ]
    entries = [delta["reasoning_details"][0] for delta in deltas(*events) if "reasoning_details" in delta]
    assert [(entry["index"], entry["thinking"]) for entry in entries] == [(0, "ab"), (1, "c")]


@pytest.mark.parametrize(
    ("finish", "events", "word"),
    [
        ("refusal", [PartDelta(Refusal("no"))], "stop"),
        ("refusal", [TextDelta("a")], "content_filter"),
        ("unknown", [ToolCallDelta(0, "c", "f", "{}")], "tool_calls"),
        ("pause", [TextDelta("a")], "length"),
    ],
)
def test_finish_reasons_are_the_dialects_own_words(finish: Any, events: list[Event], word: str) -> None:
    assert chunks(*events, Finished(finish))[-1]["choices"][0]["finish_reason"] == word


def test_the_last_chunks_name_the_model_that_answered() -> None:
    found = chunks(TextDelta("a"), Finished("stop", model="real", usage=Usage(1, 1)), include_usage=True)
    assert [chunk["model"] for chunk in found] == ["m", "m", "real", "real"]
    found = chunks(Restarted("p", "second"), TextDelta("a"), Finished("stop", model="second"))
    assert [chunk["model"] for chunk in found] == ["second", "second", "second"]


# ---------------------------------------------------------------------------------------------------- faults


@pytest.mark.parametrize(
    "seen",
    [TextDelta("a"), ThinkingDelta("a"), ToolCallDelta(0, "c", "f", "{}"), PartDelta(Refusal("no"))],
    ids=lambda event: type(event).__name__,
)
def test_what_was_shown_cannot_be_taken_back(seen: Event) -> None:
    writing = encoder()
    writing.feed(seen)
    with pytest.raises(StreamInterruptedError) as caught:
        writing.feed(Restarted("other", "m2"))
    told = writing.fail(caught.value, request_id="r")
    assert json.loads(told[6:])["error"]["code"] == "stream_interrupted"


def test_an_answer_that_goes_on_elsewhere_simply_goes_on() -> None:
    assert deltas(TextDelta("a"), Continued("other", "m2"), TextDelta("b")) == [
        {"content": "a"},
        {"content": "b"},
    ]


def test_an_error_in_a_stream_is_said_and_never_ends_it_cleanly() -> None:
    writing = encoder()
    writing.feed(TextDelta("a"))
    told = writing.fail(OverloadedError("full", provider="p"), request_id="r")
    assert told.endswith(b"\n\n")
    assert b"[DONE]" not in told
    error = json.loads(told.removeprefix(b"data: "))["error"]
    assert error == {
        "message": "full",
        "type": "service_unavailable_error",
        "param": None,
        "code": "server_is_overloaded",
    }


def test_keep_alives_are_comments() -> None:
    assert encoder().keep_alive() == b": keep-alive\n\n"


@pytest.mark.parametrize("text", HOSTILE)
def test_t22_text_that_looks_like_the_end_stays_text(text: str) -> None:
    events = (
        TextDelta(text),
        ThinkingDelta(text),
        PartDelta(Refusal(text)),
        ToolCallDelta(0, text, text, text, text, text),
        ToolCallDelta(0, arguments=text),
        ThinkingDelta(text, text, origin=text),
        PartDelta(Opaque({"citations": [text]}, "x")),
        Finished("stop", text, model=text, id=text),
    )
    found = lines(*events)
    assert found.count(DONE) == 1
    assert found[-1] == DONE
    assert all(line.startswith("data: {") and "\n" not in line and "\r" not in line for line in found[:-1])
    assert chunks(TextDelta(text))[1]["choices"][0]["delta"]["content"] == text


@given(streams())
def test_the_official_sdk_reads_every_chunk(events: list[Event]) -> None:
    for chunk in chunks(*events, include_usage=True):
        if chunk["usage"] is not None and "total_tokens" not in chunk["usage"]:
            continue  # its type wants all three figures, of which we never invent one
        ChatCompletionChunk.model_validate(chunk, strict=True)


# ------------------------------------------------------------------------------------- as clients fold a stream

PAGE = {"type": "url_citation", "url_citation": {"url": "https://example.org"}}


def folded(*events: Event, tools: Any = omit) -> Any:
    """The message that the official SDK puts together."""
    state: ChatCompletionStreamState[None] = ChatCompletionStreamState(input_tools=tools)
    for chunk in chunks(*events):
        state.handle_chunk(ChatCompletionChunk.model_validate(chunk))
    return state.get_final_completion().choices[0].message


def test_pictures_and_notes_that_come_one_after_another_are_all_kept() -> None:
    message = folded(
        TextDelta("look"),
        PartDelta(Image(data=b"AB", media_type="image/png")),
        PartDelta(Opaque({"annotations": [PAGE]}, "openai_responses")),
        PartDelta(Image(data=b"CD", media_type="image/png")),
        PartDelta(Opaque({"annotations": [PAGE], "citations": ["u"]}, "openai_responses")),
        Finished("stop"),
    )
    assert [image["image_url"]["url"][-4:] for image in message.images] == ["QUI=", "Q0Q="]
    assert len(message.annotations) == 2
    assert message.citations == ["u"]


def test_notes_of_an_answer_that_was_dropped_go_with_it() -> None:
    note = PartDelta(Opaque({"citations": ["u"]}, "perplexity"))
    found = chunks(note, Restarted("other", "m2"), TextDelta("a"), Finished("stop", model="m2"))
    assert all("citations" not in chunk["choices"][0]["delta"] for chunk in found)


def test_calls_alone_have_no_content_as_in_a_whole_answer() -> None:
    call = ToolCallDelta(0, "c", "f", "{}")
    assert folded(call, Finished("tool_calls")).content is None
    assert folded(call, TextDelta("a"), Finished("tool_calls")).content == "a"
    assert folded(TextDelta("a"), call, Finished("tool_calls")).content == "a"
    refused = folded(PartDelta(Refusal("no")), Finished("refusal"))
    assert (refused.content, refused.refusal) == (None, "no")
    assert folded(Finished("stop")).content is None
    thought = folded(ThinkingDelta("hm"), TextDelta("a"), Finished("stop"))
    assert (thought.content, thought.reasoning_content) == ("a", "hm")


def test_calls_that_are_written_side_by_side_come_one_after_the_other() -> None:
    """The SDK parses the arguments of a strict tool where the next call begins."""
    events = (
        ToolCallDelta(0, "c0", "f"),
        ToolCallDelta(1, "c1", "g"),
        TextDelta("meanwhile"),
        ToolCallDelta(0, arguments='{"a"'),
        ToolCallDelta(2, "c2", "h", "{}"),
        ToolCallDelta(1, arguments='{"b":1}'),
        ToolCallDelta(0, arguments=":1}"),
        Finished("tool_calls"),
    )
    calls = [delta["tool_calls"][0] for delta in deltas(*events) if "tool_calls" in delta]
    assert [call["index"] for call in calls] == [0, 0, 0, 1, 1, 2]
    tools: Any = [
        {"type": "function", "function": {"name": name, "strict": True, "parameters": {}}} for name in "fgh"
    ]
    message = folded(*events, tools=tools)
    assert [call.function.parsed_arguments for call in message.tool_calls] == [{"a": 1}, {"b": 1}, {}]


def test_a_call_without_arguments_has_an_empty_object() -> None:
    message = folded(
        ToolCallDelta(0, "c0", "f"),
        ToolCallDelta(1, "c1", "g", ""),
        ToolCallDelta(1, arguments='{"a":1}'),
        PartDelta(ToolCall("c2", "h", "")),
        Finished("tool_calls"),
    )
    assert [call.function.arguments for call in message.tool_calls] == ["{}", '{"a":1}', "{}"]
