"""Answers and streams of the Responses wire: exact forms, endings, failures, and the official client's eyes."""

from __future__ import annotations

from typing import Any

import httpx2
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from llmcore.errors import InvalidRequestError
from llmcore.gateway.errors import BadRequest, Unavailable
from llmcore.gateway.mirror.base import Asked
from llmcore.gateway.mirror.responses import ResponsesMirror
from llmcore.gateway.mirror.responses_stream import ResponsesEvents
from llmcore.types import (
    Event,
    Finished,
    FinishReason,
    GenerationRequest,
    GenerationResponse,
    Image,
    Message,
    Opaque,
    Part,
    PartDelta,
    Refusal,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from tests.gateway.mirror import nouns
from tests.gateway.mirror.laws import messages_of

MIRROR = ResponsesMirror()
ASKED = Asked(GenerationRequest("?", model="asked"))
ORIGIN = "openai_responses"


def encoded(
    *parts: Part, finish: FinishReason = "stop", asked: Asked = ASKED, **fields: Any
) -> dict[str, Any]:
    response = GenerationResponse(Message("assistant", parts), finish, **fields)
    found: dict[str, Any] = nouns.through_json(MIRROR.encode_response(response, asked, id="x", created=7))
    return found


def encoder(asked: Asked = ASKED) -> ResponsesEvents:
    return MIRROR.event_encoder(asked, id="x", created=7)


def streamed(*events: Event) -> list[dict[str, Any]]:
    feeding = encoder()
    return messages_of(b"".join(map(feeding.feed, events)))


def kinds(messages: list[dict[str, Any]]) -> list[str]:
    return [
        f"{message['type'].removeprefix('response.')} {message.get('output_index', '')}".strip()
        for message in messages
    ]


def test_a_plain_answer() -> None:
    value = encoded(Text("Hi"), usage=Usage(10, 3, 4, 1, 2), model="m")
    assert (value["id"], value["object"], value["created_at"], value["status"]) == (
        "resp_x",
        "response",
        7,
        "completed",
    )
    assert value["output"] == [
        {
            "id": "msg_x_0",
            "type": "message",
            "status": "completed",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "Hi", "annotations": [], "logprobs": []}],
        }
    ]
    assert value["usage"] == {
        "input_tokens": 10,
        "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 1},
        "output_tokens": 3,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 13,
    }


def test_usage_that_nobody_counted_is_null() -> None:
    assert encoded(Text("Hi"))["usage"] is None


def test_a_tier_that_was_asked_for_is_not_told_to_be_another() -> None:
    assert encoded(Text("Hi"))["service_tier"] == "default"
    flexible = MIRROR.decode_request({"input": "Hi", "service_tier": "flex"})
    assert encoded(Text("Hi"), asked=flexible)["service_tier"] is None


def test_the_request_is_repeated() -> None:
    tool = {"type": "function", "name": "f"}
    body = {
        "input": "Hi",
        "instructions": "Be brief.",
        "tools": [tool],
        "tool_choice": "auto",
        "temperature": 0.5,
        "max_output_tokens": 9,
        "metadata": {"a": "b"},
        "store": True,
        "text": {"verbosity": "medium"},
    }
    value = encoded(Text("Hi"), asked=MIRROR.decode_request(body))
    assert value["tools"] == [{"parameters": None, "strict": None, **tool}]
    assert {key: value[key] for key in ("instructions", "temperature", "max_output_tokens", "metadata")} == {
        key: body[key] for key in ("instructions", "temperature", "max_output_tokens", "metadata")
    }
    assert value["text"] == {"format": {"type": "text"}, "verbosity": "medium"}
    assert value["store"] is False


@pytest.mark.parametrize(
    ("finish", "status", "why"),
    [
        ("stop", "completed", None),
        ("refusal", "completed", None),
        ("pause", "completed", None),
        ("unknown", "completed", None),
        ("length", "incomplete", {"reason": "max_output_tokens"}),
        ("content_filter", "incomplete", {"reason": "content_filter"}),
        ("cancelled", "cancelled", None),
    ],
)
def test_every_ending_has_a_status(finish: FinishReason, status: str, why: dict[str, str] | None) -> None:
    value = encoded(Text("Hi"), finish=finish)
    assert (value["status"], value["incomplete_details"], value["error"]) == (status, why, None)
    last = streamed(TextDelta("Hi"), Finished(finish))[-1]["response"]
    assert (last["status"], last["incomplete_details"]) == (status, why)


def test_an_answer_that_ended_with_an_error_has_failed() -> None:
    value = encoded(Text("Hi"), finish="error")
    assert (value["status"], value["error"]["code"]) == ("failed", "server_error")


def test_notes_stand_on_the_words_before_them() -> None:
    notes = Opaque({"annotations": [{"type": "url_citation"}]}, ORIGIN)
    value = encoded(Text("Hi"), notes, Text(" there"))
    assert [item["content"][0]["text"] for item in value["output"]] == ["Hi there"]
    assert value["output"][0]["content"][0]["annotations"] == [{"type": "url_citation"}]
    found = streamed(TextDelta("Hi"), PartDelta(notes), Finished("stop"))
    assert "output_text.annotation.added 0" in kinds(found)
    assert found[-1]["response"]["output"][0]["content"][0]["annotations"] == [{"type": "url_citation"}]
    assert encoded(notes)["output"] == []


def test_citations_of_chats_have_the_form_of_responses() -> None:
    told = {"start_index": 0, "end_index": 2, "title": "t", "url": "https://a"}
    notes = Opaque({"annotations": [{"type": "url_citation", "url_citation": told}]}, "openai")
    flat = [{"type": "url_citation", **told}]
    assert encoded(Text("Hi"), notes)["output"][0]["content"][0]["annotations"] == flat
    last = streamed(TextDelta("Hi"), PartDelta(notes), Finished("stop"))[-1]["response"]
    assert last["output"][0]["content"][0]["annotations"] == flat
    assert (
        encoded(Text("Hi"), Opaque({"annotations": [], "citations": []}, "openai"))["output"][0]["content"][
            0
        ]["annotations"]
        == []
    )


def test_a_picture_is_a_finished_item() -> None:
    value = encoded(Image(data=b"x", media_type="image/png"))
    assert value["output"] == [
        {"id": "ig_x_0", "type": "image_generation_call", "status": "completed", "result": "eA=="}
    ]


@pytest.mark.parametrize(
    ("error", "param", "message"),
    [
        (BadRequest("messages[3]: no picture", param="messages[3]"), "input", "input: no picture"),
        (BadRequest("max_tokens: at most 5", param="max_tokens"), "max_output_tokens", "max_output_tokens: at most 5"),
        (
            InvalidRequestError("response_format.schema: not so"),
            "text.format.schema",
            "text.format.schema: not so",
        ),
        (BadRequest("messages_of: x", param="messages_of"), "messages_of", "messages_of: x"),
        (Unavailable("full"), None, "full"),
    ],
)  # fmt: skip
def test_a_fault_found_later_bears_the_name_that_the_client_gave(
    error: Any, param: str | None, message: str
) -> None:
    told = MIRROR.encode_error(error, request_id="r").body["error"]
    assert (told["param"], told["message"]) == (param, message)


def test_sealed_reasoning_of_openai_is_the_item_that_came() -> None:
    item = {"id": "rs_vendor", "type": "reasoning", "summary": [], "encrypted_content": "s"}
    part = Thinking("", "s", redacted=True, raw=item, origin=ORIGIN)
    assert encoded(part)["output"] == [item]


# ------------------------------------------------------------------------------------------------------ streams


def test_a_stream_of_text() -> None:
    found = streamed(TextDelta("Hel"), TextDelta("lo"), TextDelta(""), Finished("stop", usage=Usage(1, 2)))
    assert kinds(found) == [
        "created",
        "in_progress",
        "output_item.added 0",
        "content_part.added 0",
        "output_text.delta 0",
        "output_text.delta 0",
        "output_text.done 0",
        "content_part.done 0",
        "output_item.done 0",
        "completed",
    ]
    assert [message["sequence_number"] for message in found] == list(range(10))
    assert found[6]["text"] == "Hello"
    assert found[-1]["response"]["usage"]["total_tokens"] == 3


def test_every_item_keeps_its_id() -> None:
    item = {"id": "rs_vendor", "type": "reasoning", "summary": [], "encrypted_content": "s"}
    found = streamed(
        ThinkingDelta("hm"),
        ThinkingDelta("", "s", raw=item, origin=ORIGIN),
        TextDelta("a"),
        PartDelta(Refusal("no")),
        ToolCallDelta(0, "c", "f", "{}"),
        Finished("tool_calls"),
    )
    added = {m["output_index"]: m["item"]["id"] for m in found if m["type"].endswith("item.added")}
    done = {m["output_index"]: m["item"]["id"] for m in found if m["type"].endswith("item.done")}
    assert added == done == {0: "rs_x_0", 1: "msg_x_1", 2: "fc_x_2"}
    assert [one["id"] for one in found[-1]["response"]["output"]] == list(done.values())


def test_calls_that_are_written_side_by_side() -> None:
    found = streamed(
        ToolCallDelta(0, "a", "f", '{"x":'),
        ToolCallDelta(1, "b", "g", '{"y":'),
        ToolCallDelta(0, arguments="1}"),
        ToolCallDelta(1, arguments="2}"),
        Finished("tool_calls"),
    )
    assert [item["arguments"] for item in found[-1]["response"]["output"]] == ['{"x":1}', '{"y":2}']


def test_a_call_without_arguments_has_an_empty_object() -> None:
    found = streamed(ToolCallDelta(0, "a", "f"), ToolCallDelta(1, "b", "g", "{}"), Finished("tool_calls"))
    deltas = [m["delta"] for m in found if m["type"] == "response.function_call_arguments.delta"]
    dones = [m["arguments"] for m in found if m["type"] == "response.function_call_arguments.done"]
    items = [item["arguments"] for item in found[-1]["response"]["output"]]
    assert deltas == dones == items == ["{}", "{}"]
    assert encoded(ToolCall("a", "f", ""))["output"][0]["arguments"] == "{}"


@given(st.lists(st.sampled_from([TextDelta("a"), TextDelta(""), TextDelta("", "final_answer", ORIGIN), ThinkingDelta("b"), ToolCallDelta(0, "a", "f", "{}"), PartDelta(Refusal("r"))]), max_size=8))  # fmt: skip
def test_items_are_begun_once_and_ended_once_whatever_comes(events: list[Event]) -> None:
    found = streamed(*events, Finished("stop"))
    begun = [m["output_index"] for m in found if m["type"] == "response.output_item.added"]
    ended = [m["output_index"] for m in found if m["type"] == "response.output_item.done"]
    assert begun == list(range(len(begun)))
    assert sorted(ended) == begun
    parts = [
        (m["output_index"], m.get("content_index"))
        for m in found
        if m["type"] == "response.content_part.added"
    ]
    assert parts == [
        (m["output_index"], m["content_index"]) for m in found if m["type"] == "response.content_part.done"
    ]
    assert len(found[-1]["response"]["output"]) == len(begun)


# ------------------------------------------------------------------------------------------- the official client


def client(body: bytes) -> openai.OpenAI:
    headers = {"content-type": "text/event-stream"}
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, headers=headers, content=body))
    return openai.OpenAI(
        api_key="k",
        base_url="http://gateway/v1",
        http_client=httpx2.Client(transport=transport),
        max_retries=0,
    )


class Weather(BaseModel):
    city: str


def test_the_official_client_folds_a_stream_to_the_response() -> None:
    item = {"id": "rs_vendor", "type": "reasoning", "summary": [], "encrypted_content": "s"}
    feeding = encoder()
    events: list[Event] = [
        ThinkingDelta("hm"),
        ThinkingDelta("", "s", raw=item, origin=ORIGIN),
        TextDelta('{"city":'),
        TextDelta('"Rome"}'),
        TextDelta("", "sig", "gemini"),
        ToolCallDelta(0, "a", "f", '{"x":1}', "sig", "gemini"),
        ToolCallDelta(1, "b", "g", "{}"),
        Finished("tool_calls", usage=Usage(10, 5)),
    ]
    body = feeding.keep_alive() + b"".join(map(feeding.feed, events))
    with client(body) as sdk, sdk.responses.stream(model="m", input="?", text_format=Weather) as stream:
        response = stream.get_final_response()
    assert response.output_parsed == Weather(city="Rome")
    assert [one.type for one in response.output] == [
        "reasoning",
        "message",
        "reasoning",
        "function_call",
        "reasoning",
        "function_call",
    ]
    assert response.usage is not None
    assert response.usage.total_tokens == 15


def test_the_official_client_sees_how_a_stream_failed() -> None:
    feeding = encoder()
    body = feeding.feed(TextDelta("Hel")) + feeding.fail(Unavailable("full"), request_id="r")
    with client(body) as sdk, sdk.responses.create(model="m", input="?", stream=True) as stream:
        events = list(stream)
    assert [event.type for event in events[-2:]] == ["error", "response.failed"]


def test_the_mark_of_an_empty_text_is_no_message() -> None:
    value = encoded(ToolCall("c", "f", "{}"), Text("", "sig", "gemini"), finish="tool_calls")
    assert [item["type"] for item in value["output"]] == ["function_call", "reasoning"]
    found = streamed(ToolCallDelta(0, "c", "f", "{}"), TextDelta("", "sig", "gemini"), Finished("tool_calls"))
    assert [item["type"] for item in found[-1]["response"]["output"]] == ["function_call", "reasoning"]
    assert [item["type"] for item in encoded(Text(""))["output"]] == ["message"]
