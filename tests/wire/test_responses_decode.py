"""OpenAI Responses, downwards: whole answers and streams give the same, whatever is odd or missing in them."""

from __future__ import annotations

import contextlib
import json
import random
from decimal import Decimal
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from llmcore.errors import (
    ContentFilterError,
    GenerationFailedError,
    MalformedResponseError,
    ProviderError,
    RateLimitError,
    ServerError,
    StreamInterruptedError,
)
from llmcore.provider import Fold
from llmcore.types import (
    Event,
    Finished,
    GenerationRequest,
    GenerationResponse,
    JsonSchema,
    Message,
    Opaque,
    Refusal,
    Text,
    TextDelta,
    Thinking,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from llmcore.wire.base import Pending
from llmcore.wire.responses import ResponsesWire
from tests.wire.responses_answers import (
    USAGE,
    Json,
    answer,
    body,
    call,
    message,
    reasoning,
    search,
    sse,
    stream_of,
)

WIRE = ResponsesWire()
OURS = WIRE.origin
ASK = GenerationRequest("?", model="m")


def decoded(value: Any, request: GenerationRequest = ASK) -> GenerationResponse:
    response = WIRE.decode_generate(body(value), request)
    assert isinstance(response, GenerationResponse)
    return response


def fed(*chunks: bytes) -> tuple[list[Event], ProviderError | None]:
    decoder = WIRE.event_decoder(ASK)
    events = [event for chunk in chunks for event in decoder.feed(chunk)]
    return events + decoder.finish(), decoder.error


def folded(*events: Json, named: bool = True) -> GenerationResponse:
    found, error = fed(sse(*events, named=named))
    assert error is None, error
    assert [type(event) for event in found].count(Finished) == 1
    assert type(found[-1]) is Finished
    fold = Fold()
    for event in found:
        fold.add(event)
    return fold.response()


def failure(*events: Json) -> ProviderError:
    _, error = fed(sse(*events))
    assert error is not None
    return error


# ---------------------------------------------------------------------------------------------- whole answers


def test_everything_of_an_answer_in_its_order() -> None:
    thought = reasoning("First.", "Then.")
    found = decoded(answer(thought, search(), message("It is ", "42."), call()))
    assert found.message == Message.assistant(
        Thinking("First.\n\nThen.", "sealed", False, thought, OURS),
        Opaque(search(), OURS),
        Text("It is 42."),
        ToolCall("call_x", "weather", '{"city":"Oslo"}'),
    )
    assert (found.id, found.model) == ("resp_1", "gpt-x-2026")
    assert (found.finish_reason, found.raw_finish_reason) == ("tool_calls", "completed")
    assert found.usage == Usage(11, 7, 3, None, 2)
    assert found.raw["object"] == "response"


def test_sealed_reasoning_without_words_is_withheld() -> None:
    (part,) = decoded(answer(reasoning())).message.parts
    assert part == Thinking("", "sealed", True, reasoning(), OURS)


def test_shown_reasoning_wins_over_its_summary() -> None:
    thought = reasoning("short", sealed=None, shown=("long", "longer"))
    assert decoded(answer(thought)).thinking == "long\n\nlonger"


def test_a_phase_is_kept_as_the_texts_mark() -> None:
    found = decoded(answer(message("Wait.", phase="commentary"), message("42", phase="final_answer")))
    assert found.message.parts == (Text("Wait.", "commentary", OURS), Text("42", "final_answer", OURS))
    assert found.text == "Wait.42"


def test_citations_are_kept_raw_after_their_text() -> None:
    said = message("See there.")
    said["content"][0]["annotations"] = [{"type": "url_citation", "url": "https://x.test"}]
    assert decoded(answer(said)).message.parts == (
        Text("See there."),
        Opaque({"annotations": [{"type": "url_citation", "url": "https://x.test"}]}, OURS),
    )


def test_a_refusal_is_no_text() -> None:
    found = decoded(answer(message(refusal="I can't.")))
    assert (found.text, found.refusal, found.finish_reason) == ("", "I can't.", "refusal")


@pytest.mark.parametrize(
    ("fields", "finish", "raw"),
    [
        ({}, "stop", "completed"),
        ({"status": None}, "stop", None),
        (
            {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
            "length",
            "max_output_tokens",
        ),
        (
            {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}},
            "content_filter",
            "content_filter",
        ),
        ({"status": "incomplete", "incomplete_details": {"reason": "steered"}}, "unknown", "steered"),
        ({"status": "incomplete", "incomplete_details": None}, "unknown", "incomplete"),
        ({"status": "cancelled"}, "cancelled", "cancelled"),
        ({"status": "in_progress"}, "unknown", "in_progress"),
        ({"status": "tired"}, "unknown", "tired"),
    ],
)
def test_finish_reasons(fields: Json, finish: str, raw: str | None) -> None:
    found = decoded(answer(message("x"), **fields))
    assert (found.finish_reason, found.raw_finish_reason) == (finish, raw)


def test_a_call_cut_off_by_the_limit_is_a_matter_of_length() -> None:
    fields = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    assert decoded(answer(call(arguments='{"ci'), **fields)).finish_reason == "length"


@pytest.mark.parametrize(
    ("told", "arguments"),
    [('{"a": 1}', '{"a": 1}'), ("", ""), (None, "{}"), ({"a": 1}, '{"a":1}'), ("{broken", "{broken")],
)
def test_arguments_stay_as_they_were_sent(told: Any, arguments: str) -> None:
    assert decoded(answer({**call(), "arguments": told})).tool_calls[0].arguments == arguments
    assert (
        folded(*stream_of(answer({**call(), "arguments": told}), deltas=False)).tool_calls[0].arguments
        == arguments
    )


def test_calls_without_ids_are_numbered() -> None:
    bare = {"type": "function_call", "name": "weather", "arguments": "{}"}
    assert [one.id for one in decoded(answer(bare, bare)).tool_calls] == ["call_0", "call_1"]


def test_a_call_without_a_call_id_goes_by_its_item() -> None:
    bare = {"type": "function_call", "id": "fc_9", "name": "weather", "arguments": "{}"}
    assert decoded(answer(bare)).tool_calls[0].id == "fc_9"


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (None, Usage()),
        ({}, Usage()),
        ("none", Usage()),
        ({"input_tokens": 3.0, "output_tokens": "4"}, Usage(3, 4)),
        ({"input_tokens": -1, "output_tokens": True}, Usage()),
        ({"input_tokens": 2, "input_tokens_details": {"cached_tokens": 5}}, Usage(2)),
        (
            {"input_tokens": 9, "input_tokens_details": {"cache_write_tokens": 5}},
            Usage(9, cache_write_tokens=5),
        ),
        ({"input_tokens": 1, "output_tokens": 1, "cost": 0.25}, Usage(1, 1, cost_usd=Decimal("0.25"))),
    ],
)
def test_usage(usage: Any, expected: Usage) -> None:
    assert decoded(answer(message("x"), usage=usage)).usage == expected


@pytest.mark.parametrize(
    "content",
    ["bare text", ["bare text"], [{"type": "text", "text": "bare text"}], [{"text": "bare text"}, None, 3]],
)
def test_content_in_other_shapes(content: Any) -> None:
    assert decoded(answer({"type": "message", "content": content})).text == "bare text"


def test_unknown_items_are_kept_and_junk_among_them_survived() -> None:
    found = decoded(answer({"type": "new_thing", "x": 1}, message("a"), None, 7, {"content": "?"}))  # type: ignore[arg-type]  # junk on purpose
    assert found.message.parts == (
        Opaque({"type": "new_thing", "x": 1}, OURS),
        Text("a"),
        Opaque({"content": "?"}, OURS),
    )


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b"not json",
        b'{"choices": []}',
        b'{"object": "response"}',
        b'{"status": "ok"}',
        b"\xff\xfe",
    ],
)
def test_what_is_no_answer_is_malformed(raw: bytes) -> None:
    with pytest.raises(MalformedResponseError):
        WIRE.decode_generate(raw, ASK)


def test_a_failed_answer_raises_what_it_failed_with() -> None:
    with pytest.raises(RateLimitError) as caught:
        decoded(answer(status="failed", error={"code": "rate_limit_exceeded", "message": "slower"}))
    assert (caught.value.code, caught.value.message) == ("rate_limit_exceeded", "slower")
    with pytest.raises(ServerError):
        decoded(answer(status="failed"))


def test_an_error_in_a_200_is_raised() -> None:
    with pytest.raises(ContentFilterError):
        decoded({"error": {"code": "content_filter", "message": "no"}})


def test_a_background_answer_is_looked_for_again_and_can_be_cancelled() -> None:
    wire = ResponsesWire(headers={"x-a": "b"})
    found = wire.decode_generate(body(answer(status="queued", background=True, id="resp/1")), ASK)
    assert isinstance(found, Pending)
    assert (found.next.method, found.next.path, found.next.headers) == (
        "GET",
        "/responses/resp%2F1",
        {"x-a": "b"},
    )
    assert found.cancel is not None
    assert (found.cancel.method, found.cancel.path) == ("POST", "/responses/resp%2F1/cancel")
    assert found.wait_s > 0


def test_a_prompted_schema_is_checked() -> None:
    wire = ResponsesWire(structured="prompt")
    asked = evolve(ASK, response_format=JsonSchema({"type": "object", "required": ["n"]}))
    found = wire.decode_generate(body(answer(message('```json\n{"n": 1}\n```'))), asked)
    assert isinstance(found, GenerationResponse)
    assert found.text == '{"n": 1}'
    with pytest.raises(GenerationFailedError):
        wire.decode_generate(body(answer(message("{}"))), asked)


def test_lone_surrogates_and_endless_numbers_can_be_sent_back() -> None:
    raw = body(answer(search())).replace(b'"q"', b'"\\ud83d", "n": 1' + b"0" * 40)
    found = WIRE.decode_generate(raw, ASK)
    assert isinstance(found, GenerationResponse)
    (part,) = found.message.parts
    assert isinstance(part, Opaque)
    assert part.raw["action"]["query"] == "\ufffd"
    again = GenerationRequest([Message.user("?"), found.message, Message.user("!")])
    assert b"web_search_call" in (WIRE.encode_generate(again, stream=False).http.body or b"")


def test_every_mark_of_an_answer_can_be_sent_back() -> None:
    output = [message("a", phase="PH"), reasoning("b", sealed="SE"), call("NAME", "{}", "CALL")]
    raw = body(answer(*output)).replace(b'"PH"', b'"\\ud83d"').replace(b'"SE"', b'"\\ud83d"')
    raw = raw.replace(b'"NAME"', b'"n\\ud83d"').replace(b'"CALL"', b'"c\\ud83d"')
    found = WIRE.decode_generate(raw, ASK)
    assert isinstance(found, GenerationResponse)
    again = WIRE.encode_generate(GenerationRequest([Message.user("?"), found.message]), stream=False)
    assert (again.http.body or b"").count("\ufffd".encode()) == 4


# --------------------------------------------------------------------------------------------------- streams

FULL = answer(
    reasoning("First.", "Then."),
    search(),
    message("It is ", "42. Å \U0001f984", phase="final_answer"),
    call(),
    call("clock", "{}", "call_y", "fc_2"),
)


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize(
    ("deltas", "dones", "final"),
    [
        (True, True, True),
        (True, True, False),
        (False, True, True),
        (False, True, False),
    ],
)
def test_whatever_a_stream_leaves_out_it_gives_the_whole_answer(
    deltas: bool, dones: bool, final: bool, named: bool
) -> None:
    assert folded(*stream_of(FULL, deltas=deltas, dones=dones, final=final), named=named) == decoded(FULL)


@pytest.mark.parametrize("final", [True, False])
def test_deltas_alone_give_text_and_calls(final: bool) -> None:
    found = folded(*stream_of(FULL, dones=False, final=final))
    assert (found.text, found.thinking) == (decoded(FULL).text, decoded(FULL).thinking)
    assert found.tool_calls == decoded(FULL).tool_calls
    assert found.finish_reason == "tool_calls"


def test_text_comes_as_it_is_written() -> None:
    decoder = WIRE.event_decoder(ASK)
    events = stream_of(answer(message("abcd")))
    assert decoder.feed(sse(*events[:3])) == [TextDelta("ab")]


def test_id_and_name_of_a_call_come_first_and_once() -> None:
    events, _ = fed(sse(*stream_of(answer(call(), call("clock", "{}", "call_y", "fc_2")))))
    deltas = [event for event in events if isinstance(event, ToolCallDelta)]
    assert [(one.index, one.id, one.name) for one in deltas if one.id] == [
        (0, "call_x", "weather"),
        (1, "call_y", "clock"),
    ]
    assert "".join(one.arguments for one in deltas if one.index == 0) == '{"city":"Oslo"}'


def test_parallel_calls_written_in_turns_do_not_mix() -> None:
    one, two = call(id_="a"), call("clock", '{"zone":"CET"}', "call_y", "b")
    events = [
        {"type": "response.output_item.added", "output_index": 0, "item": {**one, "arguments": ""}},
        {"type": "response.output_item.added", "output_index": 1, "item": {**two, "arguments": ""}},
        {
            "type": "response.function_call_arguments.delta",
            "output_index": 1,
            "item_id": "b",
            "delta": '{"zone":',
        },
        {
            "type": "response.function_call_arguments.delta",
            "output_index": 0,
            "item_id": "a",
            "delta": '{"city":',
        },
        {
            "type": "response.function_call_arguments.delta",
            "output_index": 1,
            "item_id": "b",
            "delta": '"CET"}',
        },
        {
            "type": "response.function_call_arguments.delta",
            "output_index": 0,
            "item_id": "a",
            "delta": '"Oslo"}',
        },
        {"type": "response.completed", "response": answer(one, two)},
    ]
    assert folded(*events).tool_calls == decoded(answer(one, two)).tool_calls


@pytest.mark.parametrize("drop", ["item_id", "output_index", "both", "sequence"])
def test_what_numbers_the_deltas_may_be_missing(drop: str) -> None:
    events = stream_of(answer(message("Hello there"), call()))
    gone = {
        "item_id": ["item_id"],
        "output_index": ["output_index"],
        "both": ["item_id", "output_index"],
        "sequence": [],
    }
    thin = [{key: value for key, value in event.items() if key not in gone[drop]} for event in events]
    assert folded(*thin).message == decoded(answer(message("Hello there"), call())).message


def test_ids_may_change_from_event_to_event() -> None:
    events = json.loads(json.dumps(stream_of(answer(message("Hello there"), call()))))
    for number, event in enumerate(events):
        for holder in (event, event.get("item", {})):
            for key in ("item_id", "id"):
                if key in holder:
                    holder[key] = f"changed_{number}"
    assert folded(*events).message == decoded(answer(message("Hello there"), call())).message


def test_every_item_may_have_the_same_index() -> None:
    whole = answer(message("Hello there"), call(), call("clock", "{}", "call_y", "fc_2"))
    events = [
        {**event, "output_index": 0} if "output_index" in event else event for event in stream_of(whole)
    ]
    assert folded(*events).message == decoded(whole).message


def test_an_item_announced_twice_is_one() -> None:
    events = stream_of(answer(call()))
    assert folded(events[0], events[1], *events[1:]).message == decoded(answer(call())).message


def test_a_part_that_is_only_told_as_done_counts() -> None:
    events = [
        {"type": "response.output_item.added", "output_index": 0, "item": message()},
        {"type": "response.output_text.done", "output_index": 0, "item_id": "msg_1", "text": "whole"},
        {
            "type": "response.function_call_arguments.done",
            "output_index": 1,
            "arguments": "{}",
            "item_id": "fc_1",
        },
        {"type": "response.completed", "response": answer()},
    ]
    found = folded(*events)
    assert (found.text, [one.arguments for one in found.tool_calls]) == ("whole", ["{}"])


def test_a_delta_of_an_unannounced_call_waits_for_its_name() -> None:
    events = [
        {
            "type": "response.function_call_arguments.delta",
            "output_index": 0,
            "item_id": "fc_1",
            "delta": '{"city":',
        },
        {"type": "response.output_item.done", "output_index": 0, "item": call()},
        {"type": "response.completed", "response": answer(call())},
    ]
    found, _ = fed(sse(*events))
    assert found[0] == ToolCallDelta(0, "call_x", "weather", '{"city":')
    assert folded(*events).tool_calls == decoded(answer(call())).tool_calls


def test_where_the_end_differs_from_the_deltas_the_deltas_stand() -> None:
    events = stream_of(answer(message("Hello")))
    events[-2]["item"] = message("Other")
    assert folded(*events).text == "Hello"


def test_an_item_overtaken_by_the_next_is_not_sealed_on_the_wrong_words() -> None:
    thought, said = reasoning("Hm.", sealed=None), message("4", phase="final_answer")
    events = stream_of(answer(thought, said))
    late = next(event for event in events if event["type"].endswith("item.done"))
    events.remove(late)
    events.insert(-1, late)
    assert folded(*events).message.parts == (Thinking("Hm."), Text("4", "final_answer", OURS))


def test_a_pair_split_over_two_deltas_is_joined() -> None:
    raw = (
        b'data: {"type":"response.output_text.delta","output_index":0,"delta":"a\\ud83e"}\n\n'
        b'data: {"type":"response.output_text.delta","output_index":0,"delta":"\\udd84b"}\n\n'
        b'data: {"type":"response.completed","response":{"status":"completed","output":[]}}\n\n'
    )
    events, error = fed(raw)
    assert error is None
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "a\U0001f984b"


def test_a_split_pair_that_is_never_completed_becomes_a_mark() -> None:
    raw = (
        b'data: {"type":"response.output_text.delta","output_index":0,"delta":"a\\ud83e"}\n\n'
        b'data: {"type":"response.completed","response":{"status":"completed","output":[]}}\n\n'
    )
    events, error = fed(raw)
    assert error is None
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "a\ufffd"


def test_refusals_stream_too() -> None:
    whole = answer(message(refusal="I can't do that."))
    assert folded(*stream_of(whole)) == decoded(whole)
    assert folded(*stream_of(whole)).message.parts == (Refusal("I can't do that."),)


def test_what_the_first_event_said_fills_in_for_the_last() -> None:
    events = stream_of(answer(message("x")))
    events[-1]["response"] = {"status": "completed", "usage": USAGE}
    found = folded(*events)
    assert (found.id, found.model, found.usage.input_tokens) == ("resp_1", "gpt-x-2026", 11)


@pytest.mark.parametrize(
    ("end", "finish"),
    [
        (
            {
                "type": "response.incomplete",
                "response": {"incomplete_details": {"reason": "max_output_tokens"}},
            },
            "length",
        ),
        ({"type": "response.incomplete"}, "unknown"),
        ({"type": "response.cancelled", "response": {}}, "cancelled"),
        ({"type": "response.done", "response": {"status": "completed"}}, "stop"),
        ({"type": "response.completed", "response": {"status": None}}, "stop"),
        ({"type": "response.completed", "response": None}, "stop"),
    ],
)
def test_ends_of_a_stream(end: Json, finish: str) -> None:
    found = folded(*stream_of(answer(message("Hello")))[:-1], end)
    assert (found.text, found.finish_reason) == ("Hello", finish)


def test_a_plain_answer_where_a_stream_was_asked_for() -> None:
    events, error = fed(body(FULL))
    assert error is None
    fold = Fold()
    for event in events:
        fold.add(event)
    assert fold.response() == decoded(FULL)


def test_comments_blank_data_and_unknown_events_are_passed_over() -> None:
    whole = answer(message("Hello"))
    noise = b': keepalive\n\ndata: \n\ndata: {"type":"response.new.thing","x":1}\n\ndata: 7\n\n'
    events, error = fed(noise + sse(*stream_of(whole)) + b"data: [DONE]\n\n")
    assert error is None
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "Hello"


def test_bytes_after_the_end_are_ignored() -> None:
    whole = sse(*stream_of(answer(message("Hello"))))
    assert fed(whole + whole) == fed(whole)


# ------------------------------------------------------------------------------------------- broken streams


def test_a_failed_stream_keeps_what_came_and_raises() -> None:
    events = stream_of(answer(message("Hello")))[:-2]
    failed = {
        "type": "response.failed",
        "response": {"status": "failed", "error": {"code": "server_error", "message": "!"}},
    }
    found, error = fed(sse(*events, failed))
    assert [event.text for event in found if isinstance(event, TextDelta)] == ["Hel", "lo"]
    assert isinstance(error, ServerError)
    assert not any(isinstance(event, Finished) for event in found)


@pytest.mark.parametrize(
    "event",
    [
        {"type": "error", "code": "rate_limit_exceeded", "message": "slower", "param": None},
        {"type": "error", "error": {"type": "tokens", "code": "rate_limit_exceeded", "message": "slower"}},
        {"type": "error", "error": {"type": "rate_limit_error", "code": None, "message": "slower"}},
    ],
)
def test_error_events_flat_and_nested(event: Json) -> None:
    error = failure(*stream_of(answer(message("Hello")))[:2], event)
    assert isinstance(error, RateLimitError)
    assert error.message == "slower"


def test_an_error_without_a_type_is_one_too() -> None:
    _, error = fed(b'data: {"error": {"message": "boom", "code": 503}}\n\n')
    assert error is not None
    assert (error.status, error.message) == (503, "boom")


@pytest.mark.parametrize("tail", [b"", b"data: [DONE]\n\n"])
def test_a_stream_without_its_last_event_was_cut(tail: bytes) -> None:
    found, error = fed(sse(*stream_of(answer(message("Hello")))[:-1]) + tail)
    assert isinstance(error, StreamInterruptedError)
    assert not any(isinstance(event, Finished) for event in found)


def test_a_message_that_is_no_json_is_malformed() -> None:
    _, error = fed(b"data: {oops\n\n")
    assert isinstance(error, MalformedResponseError)


# ---------------------------------------------------------------------------------------------- properties

words = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=12)
said_words = words.filter(bool)
names = st.sampled_from(["weather", "clock"])


def _numbered(output: list[Json]) -> Json:
    for number, item in enumerate(output):
        item["id"] = f"item_{number}"
        if "call_id" in item:
            item["call_id"] = f"call_{number}"
    return answer(*output)


answers = st.lists(
    st.one_of(
        st.builds(
            lambda texts, phase: message(*texts, phase=phase),
            st.lists(words, max_size=3),
            st.sampled_from([None, "final_answer"]),
        ),
        st.builds(lambda text: message(refusal=text), said_words),
        st.builds(lambda texts: reasoning(*texts), st.lists(said_words, max_size=3)),
        st.builds(
            lambda texts: reasoning(sealed=None, shown=tuple(texts)),
            st.lists(said_words, min_size=1, max_size=3),
        ),
        st.builds(lambda name, told: call(name, json.dumps({"a": told})), names, words),
        st.builds(search),
    ),
    max_size=6,
).map(_numbered)


@given(answers, st.integers(1, 5), st.booleans(), st.booleans())
def test_property_streams_fold_to_the_whole(whole: Json, pieces: int, deltas: bool, final: bool) -> None:
    assert folded(*stream_of(whole, deltas=deltas, final=final, pieces=pieces)) == decoded(whole)


@given(answers, st.sampled_from([(True, True), (True, False), (False, True)]))
def test_property_without_ends_of_items_all_is_seen(whole: Json, told: tuple[bool, bool]) -> None:
    deltas, final = told
    found, wanted = folded(*stream_of(whole, deltas=deltas, dones=False, final=final)), decoded(whole)
    assert (found.text, found.tool_calls, found.refusal) == (wanted.text, wanted.tool_calls, wanted.refusal)
    assert (found.thinking, found.finish_reason) == (wanted.thinking, wanted.finish_reason)


@given(answers, st.randoms(use_true_random=False))
def test_property_lost_deltas_are_made_good(whole: Json, rng: random.Random) -> None:
    events = []
    lost: set[Any] = set()
    for event in stream_of(whole, pieces=4):
        if event["type"].endswith("delta"):
            if rng.random() < 0.3:
                lost.add(event["item_id"])
            if event["item_id"] in lost:
                continue
        events.append(event)
    assert folded(*events) == decoded(whole)


@given(answers, st.randoms(use_true_random=False))
def test_property_any_split_gives_the_same(whole: Json, rng: random.Random) -> None:
    raw = sse(*stream_of(whole))
    cuts = sorted(rng.randrange(len(raw)) for _ in range(12))
    assert fed(*(raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True))) == fed(raw)


@given(answers)
@settings(max_examples=settings().max_examples // 2)
def test_property_what_was_said_goes_back_and_comes_again(whole: Json) -> None:
    said = decoded(whole).message
    request = GenerationRequest([Message.user("?"), said])
    sent = json.loads(WIRE.encode_generate(request, stream=False).http.body or b"")["input"][1:]
    assert decoded(answer(*sent)).message == said


def test_truncation_at_any_byte_is_never_a_success() -> None:
    raw = sse(*stream_of(answer(reasoning("Hm."), message("Hi \U0001f984"), call())))
    whole = len(raw.rstrip(b"\n"))
    for at in range(whole):
        found, error = fed(raw[:at])
        assert error is not None, raw[:at][-80:]
        assert not any(isinstance(event, Finished) for event in found)
    assert fed(raw[:whole])[1] is None


junk: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 600)
    | st.floats()
    | st.sampled_from(["", "message", "completed", "\ud83d", "x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "type",
                    "id",
                    "text",
                    "content",
                    "summary",
                    "arguments",
                    "name",
                    "call_id",
                    "code",
                    "message",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
odd_items = st.dictionaries(
    st.sampled_from(
        ["id", "call_id", "name", "arguments", "content", "summary", "encrypted_content", "phase", "action"]
    ),
    junk,
    max_size=5,
).flatmap(
    lambda item: st.sampled_from(["message", "reasoning", "function_call", "web_search_call", None, 3]).map(
        lambda kind: {**item, "type": kind}
    )
)
odd_events = st.builds(
    lambda stem, last, fields, item: {"type": f"response.{stem}.{last}", "item": item, **fields},
    st.sampled_from(
        [
            "output_text",
            "refusal",
            "reasoning_text",
            "reasoning_summary_text",
            "function_call_arguments",
            "output_item",
        ]
    ),
    st.sampled_from(["added", "delta", "done"]),
    st.dictionaries(
        st.sampled_from(
            [
                "delta",
                "text",
                "arguments",
                "refusal",
                "output_index",
                "item_id",
                "content_index",
                "summary_index",
            ]
        ),
        junk,
        max_size=5,
    ),
    odd_items | junk,
)


@given(
    st.dictionaries(
        st.sampled_from(
            ["status", "output", "usage", "error", "id", "model", "incomplete_details", "background"]
        ),
        junk,
    )
)
def test_property_odd_answers_never_crash(value: Json) -> None:
    with contextlib.suppress(ProviderError):
        WIRE.decode_generate(json.dumps(value).encode(), ASK)


@given(st.lists(odd_items, max_size=4), junk)
def test_property_odd_items_never_crash(output: list[Json], usage: Any) -> None:
    response = decoded(answer(*output, usage=usage))
    again = GenerationRequest([Message.user("?"), response.message])
    WIRE.encode_generate(again, stream=False)


@given(st.lists(odd_events, max_size=6), st.booleans())
def test_property_odd_streams_never_crash(events: list[Json], ends: bool) -> None:
    end = [{"type": "response.completed", "response": {"output": []}}] if ends else []
    found, error = fed(sse(*events, *end))
    assert (error is None) == any(isinstance(event, Finished) for event in found)


@given(st.binary(max_size=200))
def test_property_any_bytes_never_crash(raw: bytes) -> None:
    with contextlib.suppress(ProviderError):
        WIRE.decode_generate(raw, ASK)
    fed(raw)
    fed(b"data: " + raw + b"\n\n")
