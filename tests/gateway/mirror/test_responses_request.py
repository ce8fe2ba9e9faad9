"""Requests of the Responses wire, field by field: what is read, what is refused with which path, what is lost."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from llmcore.gateway.errors import BadRequest
from llmcore.gateway.mirror.base import Asked
from llmcore.gateway.mirror.marks import Mark
from llmcore.gateway.mirror.responses import ResponsesMirror
from llmcore.types import (
    Audio,
    CachePoint,
    File,
    GenerationRequest,
    Image,
    JsonSchema,
    Message,
    Opaque,
    Reasoning,
    Refusal,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)

MIRROR = ResponsesMirror()
ORIGIN = "openai_responses"
CALL = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"a":1}'}
TOOL = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
SCHEMA = {"type": "object"}


def asked(given: Any = "Hi", **fields: Any) -> GenerationRequest:
    return MIRROR.decode_request({"model": "m", "input": given, **fields}).request


def warned(**fields: Any) -> list[str]:
    return [warning.parameter for warning in MIRROR.decode_request({"input": "Hi", **fields}).warnings]


def said(*parts: dict[str, Any], role: str = "user") -> dict[str, Any]:
    return {"type": "message", "role": role, "content": list(parts)}


# ------------------------------------------------------------------------------------------------------- read


def test_the_least_request() -> None:
    assert MIRROR.decode_request({"input": "Hi"}) == Asked(GenerationRequest("Hi"))


def test_instructions_stand_first() -> None:
    assert asked(instructions="Be brief.").messages == (Message.system("Be brief."), Message.user("Hi"))


def test_messages_may_leave_their_type_out() -> None:
    items = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
        {"role": "assistant", "content": "Yes?"},
        {"role": "system", "content": [{"type": "input_text", "text": "In "}, {"type": "input_text", "text": "French."}]},
        {"role": "user", "content": "Go on"},
    ]  # fmt: skip
    assert asked(items).messages == (
        Message.system("Be brief."),
        Message.user("Hi"),
        Message.assistant("Yes?"),
        Message.system("In French."),
        Message.user("Go on"),
    )


def test_what_the_assistant_did_beside_each_other_is_one_message() -> None:
    reasoning = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "s"}
    spoken = said(
        {"type": "output_text", "text": "Hm"}, {"type": "refusal", "refusal": "no"}, role="assistant"
    )
    second = {**CALL, "call_id": "c2"}
    results = [
        {"type": "function_call_output", "call_id": "c1", "output": "one"},
        {
            "type": "function_call_output",
            "call_id": "c2",
            "output": [{"type": "input_image", "image_url": "https://example.org/a.png"}],
        },
    ]
    found = asked(
        [
            {"role": "user", "content": "?"},
            reasoning,
            {**spoken, "phase": "commentary"},
            CALL,
            second,
            *results,
        ]
    )
    assert found.messages[1:] == (
        Message(
            "assistant",
            (
                Thinking("", "s", redacted=True, raw=reasoning, origin=ORIGIN),
                Text("Hm", "commentary", ORIGIN),
                Refusal("no"),
                ToolCall("c1", "f", '{"a":1}'),
                ToolCall("c2", "f", '{"a":1}'),
            ),
        ),
        Message(
            "tool", (ToolResult("c1", "one"), ToolResult("c2", [Image(url="https://example.org/a.png")]))
        ),
    )


def test_a_summary_that_nobody_sealed_belongs_to_nobody() -> None:
    item = {"type": "reasoning", "id": "rs_ours", "summary": [{"type": "summary_text", "text": "hm"}]}
    empty = {"type": "reasoning", "id": "rs_ours", "summary": []}
    assert asked([said({"type": "input_text", "text": "?"}), item, empty, CALL]).messages[1].parts == (
        Thinking("hm"),
        ToolCall("c1", "f", '{"a":1}'),
    )


def test_images_files_and_sound() -> None:
    pdf, sound = base64.b64encode(b"%PDF").decode(), base64.b64encode(b"RIFF").decode()
    found = asked(
        [
            said(
                {"type": "input_image", "image_url": "https://example.org/a.png", "detail": "low"},
                {"type": "input_image", "image_url": "data:image/png;base64,iVBO", "detail": "auto"},
                {"type": "input_image", "file_id": "file_1"},
                {"type": "input_file", "file_id": "file_2"},
                {"type": "input_file", "file_url": "https://example.org/a.pdf"},
                {
                    "type": "input_file",
                    "filename": "a.pdf",
                    "file_data": f"data:application/pdf;base64,{pdf}",
                },
                {"type": "input_audio", "input_audio": {"format": "wav", "data": sound}},
            )
        ]
    )
    assert found.messages[0].parts == (
        Image(url="https://example.org/a.png", detail="low"),
        Image(data=base64.b64decode("iVBO"), media_type="image/png", detail="auto"),
        File(file_id="file_1", media_type="image/*"),
        File(file_id="file_2"),
        File(url="https://example.org/a.pdf"),
        File(b"%PDF", media_type="application/pdf", filename="a.pdf"),
        Audio(b"RIFF", "audio/wav"),
    )


def test_items_of_hosted_tools_go_back_to_openai_alone() -> None:
    item = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    assert asked([said({"type": "input_text", "text": "?"}), item]).messages[1].parts == (
        Opaque(item, ORIGIN),
    )


def test_tools_and_the_choice_among_them() -> None:
    tools = [TOOL, {"type": "function", "name": "g", "parameters": None, "strict": True, "description": "d"}]
    request = asked(tools=tools, tool_choice={"type": "function", "name": "g"}, parallel_tool_calls=False)
    assert request.tools == (Tool("f"), Tool("g", "d", strict=True))
    assert (request.tool_choice, request.parallel_tool_calls) == ("g", False)


def test_allowed_tools_are_the_only_ones_that_are_offered() -> None:
    choice = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "g"}]}
    request = asked(tools=[TOOL, {**TOOL, "name": "g"}], tool_choice=choice)
    assert ([tool.name for tool in request.tools], request.tool_choice) == (["g"], "required")


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"type": "text"}, None),
        ({"type": "json_object"}, "json"),
        ({"type": "json_schema", "name": "n", "schema": SCHEMA}, JsonSchema(SCHEMA, "n", strict=False)),
        (
            {"type": "json_schema", "name": "n", "schema": SCHEMA, "strict": True, "description": "d"},
            JsonSchema(SCHEMA, "n", "d"),
        ),
    ],
)
def test_text_formats(given: dict[str, Any], found: Any) -> None:
    assert asked(text={"format": given}).response_format == found


def test_limits_reasoning_and_metadata() -> None:
    request = asked(
        max_output_tokens=9, temperature=0, top_p=0.5, reasoning={"effort": "low"}, metadata={"session": "s"}, user="u"
    )  # fmt: skip
    assert (request.max_tokens, request.temperature, request.top_p) == (9, 0, 0.5)
    assert request.reasoning == Reasoning("low")
    assert request.metadata == {"user": "u", "session": "s"}
    assert request.extra == {}


# ------------------------------------------------------------------------------------------------------- lost


@pytest.mark.parametrize(
    ("fields", "lost"),
    [
        ({"store": False, "truncation": "disabled", "include": ["reasoning.encrypted_content"]}, []),
        ({"background": False, "previous_response_id": None, "service_tier": "auto"}, []),
        ({"stream_options": {"include_obfuscation": False}, "text": {"verbosity": "medium"}}, []),
        ({"store": True}, ["store"]),
        ({"truncation": "auto"}, ["truncation"]),
        ({"include": ["message.output_text.logprobs"]}, ["include"]),
        ({"text": {"verbosity": "low", "tone": "kind"}}, ["text.tone"]),
        ({"reasoning": {"effort": "low", "summary": "auto"}}, ["reasoning.summary"]),
        ({"moderation": {"model": "m"}, "brand_new": 1}, ["moderation", "brand_new"]),
        ({"top_logprobs": 2}, ["top_logprobs"]),
        ({"text": {"format": {"type": "json_object", "schema": {}}}}, ["text.format.schema"]),
        (
            {"stream_options": {"include_obfuscation": False, "include_usage": True}},
            ["stream_options.include_usage"],
        ),
    ],
)
def test_what_is_lost_is_said(fields: dict[str, Any], lost: list[str]) -> None:
    assert warned(**fields) == lost


def test_cache_marks_stand_behind_what_they_mark() -> None:
    mark = {"prompt_cache_breakpoint": {"mode": "explicit"}}
    text = {"type": "input_text", "text": "a", **mark}
    given = [
        {"role": "developer", "content": [text]},
        {"role": "user", "content": [text, {"type": "input_text", "text": "b"}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": [text]},
    ]
    assert asked(given).messages == (
        Message.system("a", CachePoint()),
        Message.user("a", CachePoint(), "b"),
        Message.assistant(ToolCall("c", "f", "{}")),
        Message("tool", (ToolResult("c", [Text("a")]), CachePoint())),
    )
    assert warned(input=given) == []
    tool = {"type": "function", "name": "f", "parameters": None, "cache_control": {"type": "ephemeral"}}
    assert asked(tools=[tool]).tools[0].cache == CachePoint()
    marked = {"type": "function", "name": "f", "parameters": None, **mark}
    assert asked(tools=[marked]).tools[0].cache == CachePoint()
    assert warned(tools=[marked]) == []


def test_unknown_members_of_parts_and_tools_are_told() -> None:
    part = {"type": "input_text", "text": "a", "shade": "dark"}
    assert warned(input=[{"role": "user", "content": [part, part]}]) == ["input[].input_text.shade"]
    assert warned(tools=[{"type": "function", "name": "f", "mood": 1}]) == ["tools[].mood"]


def test_unknown_members_of_items_are_told() -> None:
    result = {"type": "function_call_output", "call_id": "c1", "output": "x", "mood": 1}
    given = [{"role": "user", "content": "a", "name": "bob"}, {**CALL, "namespace": "n"}, result]
    assert warned(input=given) == [
        "input[].message.name",
        "input[].function_call.namespace",
        "input[].function_call_output.mood",
    ]
    as_dumped = {**CALL, "id": "fc_1", "status": "completed", "namespace": None, "parsed_arguments": {"a": 1}}
    assert warned(input=[as_dumped, {**result, "mood": None, "status": "completed"}]) == []


def test_a_result_may_name_its_tool() -> None:
    result = {"type": "function_call_output", "call_id": "c1", "name": "f", "output": "x"}
    assert asked([CALL, result]).messages[1] == Message("tool", (ToolResult("c1", "x", "f"),))


def test_system_messages_alone_are_asked_by_the_last_of_them() -> None:
    items = [{"role": "developer", "content": "a"}, {"role": "system", "content": "b"}]
    assert asked(items, instructions="c").messages == (
        Message.system("c"),
        Message.system("a"),
        Message.user("b"),
    )
    assert warned(input=items) == ["input"]


def test_tiers_and_hints_for_caches_go_on() -> None:
    passed = {
        "service_tier": "flex",
        "prompt_cache_key": "k",
        "prompt_cache_options": {"mode": "explicit"},
        "safety_identifier": "s",
    }
    assert asked(**passed).extra == passed
    assert warned(**passed) == []
    assert asked(service_tier="auto", prompt_cache_key=None, text={"verbosity": "medium"}).extra == {}
    assert asked(text={"verbosity": "low"}).extra == {"verbosity": "low"}
    for name, value in (
        ("service_tier", 1),
        ("prompt_cache_key", []),
        ("prompt_cache_options", "k"),
        ("text", "k"),
    ):
        with pytest.raises(BadRequest) as caught:
            asked(**{name: value})
        assert caught.value.param == name


# ---------------------------------------------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": None}, "input"),
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": 3}, "input"),
        ({"input": ["Hi"]}, "input[0]"),
        ({"input": [{"role": "tool", "content": "x"}]}, "input[0].role"),
        ({"input": [{"type": "message", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user"}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": "  "}]}, "input[0].content"),
        ({"input": [said({"type": "text", "text": "x"})]}, "input[0].content[0].type"),
        ({"input": [said({"type": "input_image"})]}, "input[0].content[0].image_url"),
        (
            {"input": [said({"type": "input_image", "image_url": "file:///etc/passwd"})]},
            "input[0].content[0].image_url",
        ),
        ({"input": [said({"type": "input_file"})]}, "input[0].content[0]"),
        (
            {"input": [said({"type": "input_file", "file_url": "gopher://x"})]},
            "input[0].content[0].file_url",
        ),
        ({"input": [said({"type": "input_text"}, role="assistant")]}, "input[0].content[0].text"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0]"),
        ({"input": [{"id": "msg_1"}]}, "input[0]"),
        ({"input": [{"type": "nonsense"}]}, "input[0].type"),
        ({"input": [{**CALL, "call_id": None}]}, "input[0].call_id"),
        ({"input": [{"type": "function_call_output", "call_id": "c9", "output": "x"}]}, "input[0].call_id"),
        ({"input": [CALL, {"type": "function_call_output", "call_id": "c1"}]}, "input[1].output"),
        (
            {"input": [{"type": "reasoning", "summary": [{"type": "x", "text": "y"}]}]},
            "input[0].summary[0].type",
        ),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"background": True}, "background"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tools": [{**TOOL, "parameters": {"type": "array"}}]}, "tools[0].parameters.type"),
        ({"tool_choice": "any"}, "tool_choice"),
        ({"tool_choice": 3}, "tool_choice"),
        ({"tool_choice": {"type": "web_search"}}, "tool_choice.type"),
        ({"tool_choice": {"type": "function", "name": "auto"}}, "tool_choice.name"),
        (
            {"tool_choice": {"type": "allowed_tools", "tools": [{"type": "function", "name": "z"}]}},
            "tool_choice.tools",
        ),
        ({"temperature": 3}, "temperature"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"text": {"format": {"type": "json_schema", "name": "n"}}}, "text.format.schema"),
        (
            {"text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "text"}}}},
            "text.format.schema.type",
        ),
        ({"stream_options": "all"}, "stream_options"),
        ({"max_tool_calls": "many"}, "max_tool_calls"),
        ({"input": [{"role": "system", "content": ""}]}, "input"),
        ({"input": [{"type": "reasoning", "summary": []}]}, "input"),
        ({"reasoning": {"effort": "huge"}}, "reasoning.effort"),
        ({"metadata": {"a": 1}}, "metadata.a"),
        ({"stream": 1}, "stream"),
        ({"truncation": "some"}, "truncation"),
        ({"include": [3]}, "include[0]"),
    ],
)
def test_every_fault_has_its_path(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        MIRROR.decode_request({"model": "m", "input": "Hi", **fields})
    assert caught.value.param == param
    assert caught.value.message.startswith(f"{param}: ")


def test_a_mark_on_a_call_that_is_missing_is_refused() -> None:
    item = {
        "type": "reasoning",
        "summary": [],
        "encrypted_content": str(Mark("call", "gemini", "s", call="c9")),
    }
    with pytest.raises(BadRequest, match="send the message back whole") as caught:
        asked([said({"type": "input_text", "text": "?"}), CALL, item])
    assert caught.value.param == "input[2].encrypted_content"
