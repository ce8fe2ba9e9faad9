"""The OpenAI dialect, streamed: fragments of every cut to events, and every way in which a stream can end."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from llmcore.errors import (
    GenerationFailedError,
    MalformedResponseError,
    OverloadedError,
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
    Image,
    JsonSchema,
    Opaque,
    PartDelta,
    Refusal,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    Tool,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from llmcore.wire.openai import OpenAIWire
from llmcore.wire.structured import ANSWER_TOOL

WIRE = OpenAIWire()
ASK = GenerationRequest("?", model="m")
DONE = b"data: [DONE]\n\n"


def chunk(delta: Any = None, finish: Any = None, **fields: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": {} if delta is None else delta, "finish_reason": finish}
    return {"id": "r1", "object": "chat.completion.chunk", "model": "gpt-x", "choices": [choice], **fields}


def sse(*values: Any) -> bytes:
    return b"".join(b"data: " + json.dumps(value).encode() + b"\n\n" for value in values)


def read(
    body: bytes, wire: OpenAIWire = WIRE, request: GenerationRequest = ASK
) -> tuple[list[Event], ProviderError | None]:
    decoder = wire.event_decoder(request)
    events = [*decoder.feed(body), *decoder.finish()]
    assert decoder.done
    return events, decoder.error


def events_of(*values: Any, end: bytes = DONE) -> list[Event]:
    events, error = read(sse(*values) + end)
    assert error is None
    return events


def folded(*values: Any, end: bytes = DONE) -> GenerationResponse:
    fold = Fold()
    for event in events_of(*values, end=end):
        fold.add(event)
    return fold.response()


STOP = chunk(finish="stop")


def test_a_plain_stream() -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
    assert events_of(
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "Hel"}),
        chunk({"content": "lo"}),
        STOP,
        chunk(usage=usage) | {"choices": []},
    ) == [
        TextDelta("Hel"),
        TextDelta("lo"),
        Finished("stop", "stop", Usage(5, 2), "gpt-x", id="r1"),
    ]


@pytest.mark.parametrize("content", [None, "", []])
def test_deltas_without_content(content: Any) -> None:
    assert folded(chunk({"content": content}), chunk({"content": "x"}), STOP).message.parts == (Text("x"),)


def test_chunks_without_choices_anywhere() -> None:
    empty = {"choices": [], "prompt_filter_results": [{"prompt_index": 0}], "id": "", "model": ""}
    nothing = {"choices": None}
    found = folded(empty, chunk({"content": "a"}), empty, {}, nothing, chunk({"content": "b"}), STOP)
    assert (found.text, found.id, found.model) == ("ab", "r1", "gpt-x")


def test_other_choices_are_passed_over() -> None:
    other = chunk({"content": "no"})
    other["choices"][0]["index"] = 1
    both = chunk({"content": "a"})
    both["choices"].append(other["choices"][0])
    assert folded(both, other, chunk({"content": "b"}), STOP).text == "ab"


def test_messages_beside_deltas_are_passed_over() -> None:
    first, second = chunk({"content": "a"}), chunk({"content": "b"})
    first["choices"][0]["message"] = {"content": "a"}
    second["choices"][0]["message"] = {"content": "ab"}
    assert folded(first, second, STOP).text == "ab"


def test_a_message_in_place_of_a_delta_counts() -> None:
    whole = {"choices": [{"index": 0, "message": {"content": "a"}, "finish_reason": "stop"}]}
    assert folded(whole).text == "a"


def test_chunks_that_are_no_objects_are_passed_over() -> None:
    assert folded(None, 3, "ping", [], {"choices": [3, None]}, chunk({"content": "a"}), STOP).text == "a"


# ------------------------------------------------------------------------------------------- usage, notes


@pytest.mark.parametrize(
    "values",
    [
        [chunk({"content": "a"}, usage={"prompt_tokens": 1, "completion_tokens": 1}), STOP],
        [chunk({"content": "a"}), chunk(finish="stop", usage={"prompt_tokens": 1, "completion_tokens": 1})],
        [
            chunk({"content": "a"}, usage={"prompt_tokens": 9, "completion_tokens": 9}),
            chunk(finish="stop", usage={"prompt_tokens": 1, "completion_tokens": 1}),
            {"choices": [], "usage": {"prompt_tokens": None, "completion_tokens": None}},
            {"choices": [], "usage": None},
        ],
        [
            chunk({"content": "a"}),
            chunk(finish="stop", x_groq={"id": "q", "usage": {"prompt_tokens": 1, "completion_tokens": 1}}),
        ],
    ],
)
def test_usage_wherever_it_stands(values: list[Any]) -> None:
    found = folded(*values)
    assert (found.text, found.usage) == ("a", Usage(1, 1))


def test_usage_inside_a_choice() -> None:
    last = chunk(finish="stop")
    last["choices"][0]["usage"] = {"prompt_tokens": 1, "completion_tokens": 1}
    assert folded(chunk({"content": "a"}), last).usage == Usage(1, 1)


def test_citations_come_once_at_the_end() -> None:
    cited = {"citations": ["https://x"], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}
    more = cited | {"citations": ["https://x", "https://y"]}
    found = folded(chunk({"content": "a"}, **cited), chunk({"content": "b"}, **more), STOP)
    assert found.message.parts == (Text("ab"), Opaque({"citations": ["https://x", "https://y"]}, "openai"))


def test_annotations_add_up() -> None:
    found = folded(
        chunk({"content": "a", "annotations": [1]}), chunk({"annotations": [2], "content": None}), STOP
    )
    assert found.message.parts[-1] == Opaque({"annotations": [1, 2]}, "openai")


# ------------------------------------------------------------------------------------------------ reasoning


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning", "reasoning_text"])
def test_reasoning_is_sealed_with_its_field(field: str) -> None:
    found = folded(
        chunk({field: "h", "content": None}),
        chunk({field: "m", "content": ""}),
        chunk({"content": "a"}),
        STOP,
    )
    assert found.message.parts == (Thinking("hm", raw=field, origin="openai"), Text("a"))


def test_reasoning_alone_is_sealed_at_the_end() -> None:
    assert events_of(chunk({"reasoning": "hm"}), chunk(finish="length"))[:2] == [
        ThinkingDelta("hm"),
        ThinkingDelta("", raw="reasoning", origin="openai"),
    ]


def test_reasoning_between_texts_is_two_blocks() -> None:
    found = folded(
        chunk({"reasoning": "a"}),
        chunk({"content": "b"}),
        chunk({"reasoning": "c"}),
        chunk({"content": "d"}),
        STOP,
    )
    assert [(type(part).__name__, part.text) for part in found.message.parts] == [  # type: ignore[union-attr]
        ("Thinking", "a"),
        ("Text", "b"),
        ("Thinking", "c"),
        ("Text", "d"),
    ]


def detail(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": f"reasoning.{kind}", "index": 0, **fields}


def test_fragments_of_details_become_whole_entries() -> None:
    found = folded(
        chunk({"reasoning": "h", "reasoning_details": [detail("text", text="h", format=None)]}),
        chunk({"reasoning": "m", "reasoning_details": [detail("text", text="m", format="f")]}),
        chunk({"reasoning_details": [detail("text", signature="s")]}),
        chunk({"reasoning_details": [detail("encrypted", data="zz")]}),
        chunk({"reasoning_details": [detail("encrypted", data="yy")]}),
        chunk({"content": "a"}),
        STOP,
    )
    assert found.message.parts == (
        Thinking(
            "hm",
            raw=[
                detail("text", text="hm", format="f", signature="s"),
                detail("encrypted", data="zz"),
                detail("encrypted", data="yy"),
            ],
            origin="openai",
        ),
        Text("a"),
    )


def test_details_that_come_late_are_kept() -> None:
    found = folded(
        chunk({"content": "a"}), chunk({"reasoning_details": [detail("encrypted", data="z")]}), STOP
    )
    assert found.message.parts == (
        Text("a"),
        Thinking("", redacted=True, raw=[detail("encrypted", data="z")], origin="openai"),
    )


def test_details_without_a_text_of_their_own_delta() -> None:
    found = folded(chunk({"reasoning_details": [detail("summary", summary="s"), 3]}), STOP)
    assert found.message.parts == (Thinking("s", raw=[detail("summary", summary="s")], origin="openai"),)


def test_content_as_blocks() -> None:
    def think(text: str) -> dict[str, Any]:
        return chunk({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": text}]}]})

    found = folded(
        think("h"),
        think("m"),
        chunk({"content": [{"type": "text", "text": "a"}]}),
        chunk({"content": "b"}),
        STOP,
    )
    assert found.message.parts == (Thinking("hm", raw="thinking", origin="openai"), Text("ab"))


def test_sealed_and_unknown_blocks() -> None:
    block = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm", "signature": "s"}]}
    other = {"type": "reference", "reference_ids": [1]}
    found = folded(
        chunk({"content": [block]}),
        chunk({"content": [{"type": "text", "text": "a"}, other, {"type": "refusal", "refusal": "n"}, None]}),
        STOP,
    )
    assert found.message.parts == (
        Thinking("hm", raw=block, origin="openai"),
        Text("a"),
        Opaque(other, "openai"),
        Refusal("n"),
    )


# ------------------------------------------------------------------------------------------------ tool calls


def piece(
    index: Any = None, id_: Any = None, name: Any = None, arguments: Any = None, **fields: Any
) -> dict[str, Any]:
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    told = {"function": function, **fields}
    if index is not None:
        told["index"] = index
    if id_ is not None:
        told["id"] = id_
    return told


def calls_of(*groups: list[Any], finish: str = "tool_calls") -> tuple[ToolCall, ...]:
    values = [chunk({"tool_calls": group}) for group in groups]
    found = folded(*values, chunk(finish=finish))
    assert found.finish_reason == ("tool_calls" if groups and found.tool_calls else found.finish_reason)
    return found.tool_calls


def test_a_call_in_fragments_says_id_and_name_first() -> None:
    values = [
        chunk({"role": "assistant", "content": None, "tool_calls": [piece(0, "c1", "f", "")]}),
        chunk({"tool_calls": [piece(0, arguments='{"a"')]}),
        chunk({"tool_calls": [piece(0, arguments=": 1}")]}),
        chunk(finish="tool_calls"),
    ]
    assert events_of(*values)[:-1] == [
        ToolCallDelta(0, "c1", "f", '{"a"'),
        ToolCallDelta(0, arguments=": 1}"),
    ]


@pytest.mark.parametrize(
    "groups",
    [
        pytest.param([[piece(0, "c1", "f", '{"a":1}'), piece(1, "c2", "g", "{}")]], id="both whole"),
        pytest.param([[piece(0, "c1", "f", '{"a":1}')], [piece(0, "c2", "g", "{}")]], id="both on index 0"),
        pytest.param([[piece(None, "c1", "f", '{"a":1}')], [piece(None, "c2", "g", "{}")]], id="no index"),
        pytest.param(
            [
                [piece(None, "c1", "f", '{"a"')],
                [piece(None, "c1", None, ":1}")],
                [piece(None, "c2", "g", "{}")],
            ],
            id="no index, by id",
        ),
        pytest.param(
            [
                [piece(None, "c1", "f", '{"a"')],
                [piece(None, None, None, ":1}")],
                [piece(None, "c2", "g", "{}")],
            ],
            id="no index, then no id",
        ),
        pytest.param(
            [
                [piece(0, "c1", "f", ""), piece(1, "c2", "g", "")],
                [piece(0, arguments='{"a"'), piece(1, arguments="{")],
                [piece(0, arguments=":1}"), piece(1, arguments="}")],
            ],
            id="side by side",
        ),
        pytest.param(
            [
                [piece(0, "c1", "f"), piece(1, "c2", "g")],
                [piece(0, arguments='{"a":1}'), piece(1, arguments="{}")],
            ],
            id="heads without arguments",
        ),
        pytest.param(
            [[piece(0, "c1", "f", '{"a"')], [piece(0, "c1", "f", ":1}")], [piece(1, "c2", "g", "{}")]],
            id="head repeated",
        ),
        pytest.param(
            [[piece(0, "c1", "f", "")], [piece(0, "x9", None, '{"a":1}')], [piece(1, "c2", "g", "{}")]],
            id="a new id with every fragment",
        ),
        pytest.param(
            [[piece(3, "c1", "f", '{"a":1}')], [piece(7, "c2", "g", "{}")]],
            id="indices that do not begin at 0",
        ),
        pytest.param(
            [[piece("a", "c1", "f", '{"a":1}')], [piece([1], "c2", "g", "{}")]],
            id="indices that are no numbers",
        ),
        pytest.param(
            [[piece(0, None, "f", "")], [piece(0, "c1", None, '{"a":1}')], [piece(1, "c2", "g", "{}")]],
            id="id after the name",
        ),
        pytest.param(
            [[piece(0, None, "f", '{"a":')], [piece(0, "c1", None, "1}")], [piece(1, "c2", "g", "{}")]],
            id="id after the first arguments",
        ),
        pytest.param([[piece(0, "c1", "f", {"a": 1})], [piece(1, "c2", "g", {})]], id="arguments as objects"),
    ],
)
def test_two_calls_however_they_are_cut(groups: list[list[Any]]) -> None:
    assert calls_of(*groups) == (ToolCall("c1", "f", '{"a":1}'), ToolCall("c2", "g", "{}"))


def test_a_name_in_pieces() -> None:
    assert calls_of([piece(0, "c1", "get_")], [piece(0, None, "weather")], [piece(0, arguments="{}")]) == (
        ToolCall("c1", "get_weather", "{}"),
    )


@pytest.mark.parametrize("odd", [None, "", "null"])
def test_calls_without_ids(odd: Any) -> None:
    groups = [[piece(0, odd, "f", '{"a":')], [piece(0, odd, None, "1}")], [piece(1, odd, "g", "{}")]]
    assert calls_of(*groups) == (ToolCall("call_0", "f", '{"a":1}'), ToolCall("call_1", "g", "{}"))


def test_whole_calls_on_one_index_without_ids() -> None:
    assert calls_of([piece(0, None, "f", '{"a":1}')], [piece(0, None, "f", '{"a":2}')]) == (
        ToolCall("call_0", "f", '{"a":1}'),
        ToolCall("call_1", "f", '{"a":2}'),
    )


def test_whole_calls_without_index_or_id() -> None:
    assert [
        call.name for call in calls_of([piece(None, None, "f", "{}")], [piece(None, None, "g", "{}")])
    ] == [
        "f",
        "g",
    ]


def test_calls_without_arguments() -> None:
    assert calls_of([piece(0, "c1", "f", "")], [piece(1, "c2", "g")]) == (
        ToolCall("c1", "f", ""),
        ToolCall("c2", "g", "{}"),
    )


def test_fragments_that_hold_nothing_are_no_calls() -> None:
    assert calls_of([piece(0), None, 3], [{"index": 0, "function": None}], finish="stop") == ()


def test_a_signature_of_a_call() -> None:
    signed = piece(0, "c1", "f", "{}", extra_content={"google": {"thought_signature": "s"}})
    assert calls_of([signed]) == (ToolCall("c1", "f", "{}", "s", "openai"),)


def test_the_function_call_of_old() -> None:
    found = folded(
        chunk({"function_call": {"name": "f", "arguments": ""}}),
        chunk({"function_call": {"arguments": '{"a"'}}),
        chunk({"function_call": {"arguments": ":1}"}}),
        chunk(finish="function_call"),
    )
    assert found.tool_calls == (ToolCall("call_0", "f", '{"a":1}'),)
    assert found.finish_reason == "tool_calls"
    empty = chunk({"content": "a", "function_call": {"name": "", "arguments": ""}})
    assert folded(empty, STOP).tool_calls == ()


@pytest.mark.parametrize("finish", ["stop", "tool_calls", "function_call"])
def test_calls_make_the_finish_tool_calls(finish: str) -> None:
    found = folded(chunk({"tool_calls": [piece(0, "c", "f", "{}")]}), chunk(finish=finish))
    assert (found.finish_reason, found.raw_finish_reason) == ("tool_calls", finish)


# -------------------------------------------------------------------------------- refusals, pictures, sound


def test_refusals() -> None:
    found = folded(chunk({"refusal": "I "}), chunk({"refusal": "will not.", "content": None}), STOP)
    assert found.message.parts == (Refusal("I will not."),)
    assert found.finish_reason == "refusal"


def test_pictures() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    found = folded(chunk({"content": "see", "images": [picture, 3]}), STOP)
    assert found.message.parts == (Text("see"), Image(url="data:image/png;base64,AA=="))


def test_sound_is_joined() -> None:
    first, second = (base64.b64encode(data).decode() for data in (b"ab", b"c"))
    found = folded(
        chunk({"audio": {"id": "a1", "transcript": "hel"}}),
        chunk({"audio": {"data": first, "transcript": "lo"}}),
        chunk({"audio": {"data": second, "expires_at": 9}}),
        STOP,
    )
    sound = {"id": "a1", "transcript": "hello", "data": base64.b64encode(b"abc").decode(), "expires_at": 9}
    assert found.message.parts == (Text("hello"), Opaque({"audio": sound}, "openai"))


def test_sound_that_is_no_base64_is_kept_as_it_came() -> None:
    found = folded(chunk({"audio": {"data": "A"}}), chunk({"audio": {"data": "B"}}), STOP)
    assert found.message.parts == (Opaque({"audio": {"data": "AB"}}, "openai"),)


# ---------------------------------------------------------------------------------------------- odd Unicode


def test_a_surrogate_pair_over_two_deltas() -> None:
    body = b"".join(
        b'data: {"choices":[{"index":0,"delta":{"content":"%s"}}]}\n\n' % text
        for text in (b"a", b"b\\ud83d", b"\\ude00c", b"d\\ud83d")
    )
    events, error = read(body + sse(STOP) + DONE)
    assert error is None
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "ab😀cd\ufffd"


def test_surrogates_in_reasoning_and_arguments() -> None:
    body = (
        b'data: {"choices":[{"delta":{"reasoning":"\\ud83d"}}]}\n\n'
        b'data: {"choices":[{"delta":{"reasoning":"\\ude00\\ud83d"}}]}\n\n'
        b'data: {"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":"\\ud83d"}}]}}]}\n\n'
    )
    fold = Fold()
    events, _ = read(body + sse(chunk(finish="stop")) + DONE)
    for event in events:
        fold.add(event)
    assert fold.response().thinking == "😀\ufffd"
    assert fold.response().tool_calls[0].arguments == "\ufffd"


# --------------------------------------------------------------------------------------------- how it ends


def test_a_missing_sentinel_after_the_finish_is_a_success() -> None:
    assert folded(chunk({"content": "a"}), STOP, end=b"").finish_reason == "stop"


@pytest.mark.parametrize(
    "end", [b"data:[DONE]\n\n", b"data: [DONE] \r\n\r\n", b"data: [DONE]", b"\n\ndata: [DONE]\n"]
)
def test_sentinels_of_every_shape(end: bytes) -> None:
    assert folded(chunk({"content": "a"}), STOP, end=end).text == "a"


def test_what_follows_the_sentinel_is_ignored() -> None:
    assert folded(chunk({"content": "a"}), STOP, end=DONE + sse({"error": {"message": "late"}})).text == "a"


def test_a_sentinel_without_a_finish_is_unknown() -> None:
    found = folded(chunk({"content": "a"}))
    assert (found.finish_reason, found.raw_finish_reason) == ("unknown", None)


def told(arguments: str | None, **fields: Any) -> dict[str, Any]:
    function = {"name": "f"} if arguments is None else {"name": "f", "arguments": arguments}
    return chunk({"tool_calls": [{"index": 0, "id": "c", "function": function}]}, **fields)


@pytest.mark.parametrize("arguments", [None, "", '{"city": ', '{"a": 1', "[1]", '"a"'])
@pytest.mark.parametrize("before", [[], [chunk({"content": "a"})]])
def test_a_sentinel_inside_a_calls_arguments_is_a_cut(arguments: str | None, before: list[Any]) -> None:
    """Nobody has said that the call is whole, and it is not."""
    events, error = read(sse(*before, told(arguments)) + DONE)
    assert isinstance(error, StreamInterruptedError)
    assert not any(isinstance(event, Finished) for event in events)


def test_a_sentinel_inside_the_old_form_of_a_call_is_a_cut_too() -> None:
    events, error = read(sse(chunk({"function_call": {"name": "f", "arguments": '{"a"'}})) + DONE)
    assert isinstance(error, StreamInterruptedError)
    assert not any(isinstance(event, Finished) for event in events)


@pytest.mark.parametrize("arguments", ["{}", '{"a": 1}'])
def test_a_sentinel_after_a_whole_call_ends_it(arguments: str) -> None:
    found = folded(told(arguments))
    assert [call.arguments for call in found.tool_calls] == [arguments]
    assert (found.finish_reason, found.raw_finish_reason) == ("tool_calls", None)


def test_arguments_that_a_finish_reason_ends_are_the_models_own_fault() -> None:
    found = folded(told('{"a": '), chunk(finish="tool_calls"))
    assert [call.arguments for call in found.tool_calls] == ['{"a": ']


@pytest.mark.parametrize(
    "values", [[], [chunk({"content": "a"})], [chunk({"content": "a"}), chunk(finish="")]]
)
def test_a_cut_stream_is_interrupted(values: list[Any]) -> None:
    events, error = read(sse(*values))
    assert isinstance(error, StreamInterruptedError)
    assert not any(isinstance(event, Finished) for event in events)


def test_a_stream_without_any_choice_is_no_answer() -> None:
    assert isinstance(read(DONE)[1], MalformedResponseError)
    assert isinstance(read(sse({"choices": []}) + DONE)[1], MalformedResponseError)


@pytest.mark.parametrize(
    ("value", "cls"),
    [
        ({"error": {"message": "slow", "code": 429}}, RateLimitError),
        ({"error": {"message": "bad", "code": "tool_use_failed", "status_code": 400}}, GenerationFailedError),
        ({"error": "broken", "choices": []}, ServerError),
        ([{"error": {"message": "x", "code": 429}}], RateLimitError),
        (chunk({"content": ""}, "error") | {"error": {"message": "up", "code": 502}}, ServerError),
    ],
)
def test_an_error_inside_the_stream(value: Any, cls: type[Exception]) -> None:
    events, error = read(sse(chunk({"content": "a"}), value, chunk({"content": "b"}), STOP) + DONE)
    assert isinstance(error, cls)
    assert events == [TextDelta("a")]


def test_an_error_event_needs_no_error_object() -> None:
    body = b'event: error\ndata: {"message": "slow", "code": 429}\n\n'
    assert isinstance(read(body)[1], RateLimitError)


def test_a_null_error_is_none() -> None:
    assert folded(chunk({"content": "a"}, error=None), STOP).text == "a"


def test_an_early_stop_that_hides() -> None:
    cut = chunk(finish="stop", x_groq={"id": "q", "error": "over capacity"})
    events, error = read(sse(chunk({"content": "a"}), cut) + DONE)
    assert isinstance(error, StreamInterruptedError)
    assert events == [TextDelta("a")]


def test_a_finish_that_means_failure() -> None:
    wire = OpenAIWire(failures={"overrun": OverloadedError})
    events, error = read(sse(chunk({"content": "a"}), chunk(finish="overrun")) + DONE, wire)
    assert isinstance(error, OverloadedError)
    assert events == [TextDelta("a")]


def test_broken_json_ends_the_stream() -> None:
    events, error = read(sse(chunk({"content": "a"})) + b"data: {nope\n\n" + DONE)
    assert isinstance(error, MalformedResponseError)
    assert events == [TextDelta("a")]


def test_empty_events_and_comments_are_passed_over() -> None:
    body = b": keep-alive\n\n" + sse(chunk({"content": "a"})) + b"data:\n\n: x\n\n" + sse(STOP) + DONE
    events, error = read(body)
    assert (events[0], error) == (TextDelta("a"), None)


def test_a_plain_body_where_a_stream_was_asked_for() -> None:
    whole = {"choices": [{"message": {"content": "a"}, "finish_reason": "stop"}]}
    events, error = read(json.dumps(whole).encode())
    assert error is None
    assert events[0] == TextDelta("a")
    assert isinstance(read(b'{"error": {"message": "slow", "code": 429}}')[1], RateLimitError)


# ------------------------------------------------------------------------------------------ answers by a tool


def test_an_answer_by_tool_streams_as_text() -> None:
    wire = OpenAIWire(structured="tool")
    request = GenerationRequest("?", tools=[Tool("f")], response_format=JsonSchema({"type": "object"}))
    body = sse(
        chunk({"content": "Well: "}),
        chunk({"tool_calls": [piece(0, "c1", ANSWER_TOOL, '{"n"')]}),
        chunk({"tool_calls": [piece(0, arguments=":1}")]}),
        chunk(finish="tool_calls"),
    )
    events, error = read(body + DONE, wire, request)
    assert error is None
    assert events[:-1] == [TextDelta('{"n"'), TextDelta(":1}")]
    assert isinstance(events[-1], Finished)
    assert events[-1].finish_reason == "stop"


def test_a_part_that_comes_whole_is_an_event_of_its_own() -> None:
    assert events_of(chunk({"refusal": "no"}), STOP)[0] == PartDelta(Refusal("no"))


def test_a_call_told_in_the_old_and_the_new_field_at_once_is_one_call() -> None:
    def both(arguments: str) -> dict[str, Any]:
        function = {"name": "light", "arguments": arguments}
        call = {"index": 0, "id": "c1", "type": "function", "function": function}
        return {"choices": [{"index": 0, "delta": {"function_call": function, "tool_calls": [call]}}]}

    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}
    (call,) = folded(both("{"), both("}"), end).tool_calls
    assert (call.id, call.name, call.arguments) == ("c1", "light", "{}")
