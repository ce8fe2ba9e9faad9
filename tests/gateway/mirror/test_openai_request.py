"""Chat requests field by field: what each becomes, what is passed on, what is lost, and what is refused with its path."""

from __future__ import annotations

from typing import Any

import pytest

from llmcore.gateway.errors import BadRequest
from llmcore.gateway.mirror.base import Asked
from llmcore.gateway.mirror.openai_chat import OpenAIChatMirror
from llmcore.types import (
    Audio,
    CachePoint,
    File,
    Image,
    JsonSchema,
    Message,
    Reasoning,
    Refusal,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)

MIRROR = OpenAIChatMirror()
HELLO = {"role": "user", "content": "hello"}


def decoded(**fields: Any) -> Asked:
    return MIRROR.decode_request({"messages": [HELLO], **fields})


def turn(**fields: Any) -> Message:
    return MIRROR.decode_request({"messages": [HELLO, fields]}).request.messages[1]


def refusal(**fields: Any) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        decoded(**fields)
    return caught.value


def fault(**fields: Any) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        turn(**fields)
    return caught.value


@pytest.mark.parametrize(
    ("field", "value", "name", "wanted"),
    [
        ("model", "openai/gpt-x", "model", "openai/gpt-x"),
        ("temperature", 1, "temperature", 1),
        ("top_p", 0.25, "top_p", 0.25),
        ("max_tokens", 9, "max_tokens", 9),
        ("max_completion_tokens", 9, "max_tokens", 9),
        ("stop", "END", "stop", ("END",)),
        ("stop", ["a", "b"], "stop", ("a", "b")),
        ("seed", -4, "seed", -4),
        ("parallel_tool_calls", False, "parallel_tool_calls", False),
        ("response_format", {"type": "text"}, "response_format", None),
        ("response_format", {"type": "json_object"}, "response_format", "json"),
        (
            "response_format",
            {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
            "response_format",
            JsonSchema({"type": "object"}, "n", strict=False),
        ),
        ("reasoning_effort", "minimal", "reasoning", Reasoning("minimal")),
        ("reasoning", {"effort": "high"}, "reasoning", Reasoning("high")),
        ("reasoning", {"max_tokens": 512}, "reasoning", Reasoning(None, 512)),
        ("reasoning", {"enabled": False}, "reasoning", Reasoning("none")),
        ("reasoning", {"enabled": True}, "reasoning", Reasoning("medium")),
        ("reasoning", {"enabled": True, "effort": "low"}, "reasoning", Reasoning("low")),
        ("reasoning", {"enabled": True, "max_tokens": 9}, "reasoning", Reasoning(None, 9)),
        ("user", "u1", "metadata", {"user": "u1"}),
        ("metadata", {"session": "s", "k": "v"}, "metadata", {"session": "s", "k": "v"}),
        ("tool_choice", "none", "tool_choice", "none"),
        ("tool_choice", "any", "tool_choice", "required"),
        *(
            (name, None, "extra", {})
            for name in ("temperature", "store", "logit_bias", "tools", "n", "stream")
        ),
    ],
)
def test_a_field_becomes_what_the_request_has_for_it(field: str, value: Any, name: str, wanted: Any) -> None:
    asked = decoded(**{field: value})
    assert getattr(asked.request, name) == wanted
    assert asked.warnings == ()
    assert name == "extra" or asked.request.extra == {}


def test_a_request_of_messages_alone_is_whole() -> None:
    asked = decoded()
    assert (asked.request.model, asked.stream, asked.include_usage, asked.warnings) == (
        None,
        False,
        False,
        (),
    )
    assert asked.request.messages == (Message.user("hello"),)


def test_streams_and_their_usage_are_asked_for() -> None:
    asked = decoded(stream=True, stream_options={"include_usage": True, "include_obfuscation": False})
    assert (asked.stream, asked.include_usage) == (True, True)


def test_fields_that_belong_together_may_come_in_any_order() -> None:
    for fields in (
        {"max_tokens": 5, "max_completion_tokens": 7},
        {"max_completion_tokens": 7, "max_tokens": 5},
    ):
        assert decoded(**fields).request.max_tokens == 7
    for pair in (("reasoning_effort", "reasoning"), ("reasoning", "reasoning_effort")):
        values: dict[str, Any] = {"reasoning_effort": "low", "reasoning": {"effort": "high", "max_tokens": 9}}
        assert decoded(**{name: values[name] for name in pair}).request.reasoning == Reasoning("low", 9)
    for pair in (("user", "metadata"), ("metadata", "user")):
        values = {"user": "u", "metadata": {"session": "s"}}
        found = decoded(**{name: values[name] for name in pair}).request.metadata
        assert found == {"user": "u", "session": "s"}


# ---------------------------------------------------------------------------------------- passed on, or not at all


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("frequency_penalty", 0.5),
        ("presence_penalty", -2),
        ("logit_bias", {"1": 5}),
        ("modalities", ["text", "audio"]),
        ("audio", {"voice": "alloy", "format": "wav"}),
        ("service_tier", "priority"),
        ("store", True),
        ("prediction", {"type": "content", "content": "x"}),
        ("verbosity", "low"),
        ("prompt_cache_key", "k"),
        ("web_search_options", {}),
        ("top_k", 40),
        ("chat_template_kwargs", {"enable_thinking": False}),
    ],
)
def test_what_we_have_no_field_for_goes_on_as_extra(field: str, value: Any) -> None:
    asked = decoded(**{field: value})
    assert asked.request.extra == {field: value}
    assert asked.warnings == ()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("frequency_penalty", 0),
        ("presence_penalty", 0.0),
        ("logit_bias", {}),
        ("modalities", ["text"]),
        ("service_tier", "auto"),
        ("store", False),
        ("n", 1),
        ("logprobs", False),
        ("top_logprobs", 0),
    ],
)
def test_a_default_is_not_passed_on_so_that_no_vendor_stumbles_over_it(field: str, value: Any) -> None:
    asked = decoded(**{field: value})
    assert asked.request.extra == {}
    assert asked.warnings == ()


def test_metadata_is_told_to_a_vendor_only_where_it_stores_the_answer() -> None:
    request = decoded(store=True, metadata={"k": "v", "session": "s"}, user="u").request
    assert request.extra == {"store": True, "metadata": {"k": "v"}}
    assert request.metadata == {"k": "v", "session": "s", "user": "u"}


def test_what_no_answer_could_hold_is_a_warning() -> None:
    asked = decoded(logprobs=True, top_logprobs=5, reasoning={"effort": "low", "summary": "auto"})
    assert [warning.parameter for warning in asked.warnings] == ["logprobs", "reasoning.summary"]
    assert asked.request.extra == {}


@pytest.mark.parametrize("field", ["api_key", "api_base", "base_url", "extra_headers", "headers"])
def test_t1_no_request_says_where_it_goes_or_with_which_key(field: str) -> None:
    error = refusal(**{field: "https://evil.example"})
    assert error.param == field
    assert "evil" not in error.message


# ----------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("field", "value", "param"),
    [
        ("model", 5, "model"),
        ("model", "", "model"),
        ("messages", "hello", "messages"),
        ("messages", [], "messages"),
        ("messages", None, "messages"),
        ("messages", ["hello"], "messages[0]"),
        ("messages", [HELLO] * 10_001, "messages"),
        ("temperature", "hot", "temperature"),
        ("temperature", 2.1, "temperature"),
        ("temperature", True, "temperature"),
        ("top_p", -0.1, "top_p"),
        ("max_tokens", 0, "max_tokens"),
        ("max_tokens", 1.5, "max_tokens"),
        ("max_completion_tokens", "9", "max_completion_tokens"),
        ("stop", 5, "stop"),
        ("stop", ["a", 5], "stop[1]"),
        ("stop", ["a"] * 65, "stop"),
        ("seed", "x", "seed"),
        ("n", 2, "n"),
        ("n", "1", "n"),
        ("stream", "yes", "stream"),
        ("stream_options", True, "stream_options"),
        ("stream_options", {"include_usage": 1}, "stream_options.include_usage"),
        ("tools", {}, "tools"),
        ("tools", [{"type": "function"}] * 513, "tools"),
        ("tools", [{}], "tools[0].function"),
        ("tools", [{"type": "web_search"}], "tools[0].type"),
        ("tools", [{"type": "function"}], "tools[0].function"),
        ("tools", [{"type": "function", "function": {}}], "tools[0].function.name"),
        (
            "tools",
            [{"type": "function", "function": {"name": "f", "parameters": []}}],
            "tools[0].function.parameters",
        ),
        ("tools", [{"type": "function", "function": {"name": "f", "strict": 1}}], "tools[0].function.strict"),
        ("tools", [{"type": "function", "function": {"name": "a b"}}], "tools[0].function.name"),
        ("tools", [{"type": "function", "function": {"name": "f"}}] * 2, "tools[1].function.name"),
        (
            "tools",
            [{"type": "function", "function": {"name": "f", "parameters": {"type": "array"}}}],
            "tools[0].function.parameters.type",
        ),
        (
            "response_format",
            {"type": "json_schema", "json_schema": {"schema": {"properties": {"a": {"type": "text"}}}}},
            "response_format.json_schema.schema.properties.a.type",
        ),
        ("tool_choice", "always", "tool_choice"),
        ("tool_choice", 5, "tool_choice"),
        ("tool_choice", {"type": "custom"}, "tool_choice.type"),
        ("tool_choice", {"type": "function"}, "tool_choice.function"),
        ("tool_choice", {"type": "function", "function": {"name": "auto"}}, "tool_choice.function.name"),
        ("tool_choice", {"type": "allowed_tools", "allowed_tools": {}}, "tool_choice.allowed_tools.tools"),
        ("parallel_tool_calls", 1, "parallel_tool_calls"),
        ("functions", [], "functions"),
        ("function_call", "auto", "functions"),
        ("response_format", "json", "response_format"),
        ("response_format", {"type": "xml"}, "response_format.type"),
        ("response_format", {"type": "json_schema"}, "response_format.json_schema"),
        ("response_format", {"type": "json_schema", "json_schema": {}}, "response_format.json_schema.schema"),
        ("reasoning_effort", "much", "reasoning_effort"),
        ("reasoning", "high", "reasoning"),
        ("reasoning", {"max_tokens": "many"}, "reasoning.max_tokens"),
        ("metadata", [], "metadata"),
        ("metadata", {"session": 5}, "metadata.session"),
        ("user", 5, "user"),
        ("logit_bias", [], "logit_bias"),
        ("store", "yes", "store"),
        ("presence_penalty", 3, "presence_penalty"),
        ("modalities", "text", "modalities"),
        ("service_tier", 1, "service_tier"),
        ("logprobs", "yes", "logprobs"),
        ("logprobs", 1, "logprobs"),
        ("top_logprobs", "5", "top_logprobs"),
        ("top_logprobs", 21, "top_logprobs"),
    ],
)
def test_a_wrong_field_is_refused_with_its_path(field: str, value: Any, param: str) -> None:
    error = refusal(**{field: value})
    assert error.status == 400
    assert error.param == param
    assert error.message.startswith(f"{param}: ")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"content": "x"}, "role"),
        ({"role": "robot", "content": "x"}, "role"),
        ({"role": "function", "content": "x"}, "role"),
        ({"role": "user"}, "content"),
        ({"role": "user", "content": 5}, "content"),
        ({"role": "user", "content": [5]}, "content[0]"),
        ({"role": "user", "content": [{}]}, "content[0].type"),
        ({"role": "user", "content": [{"type": "video_url"}]}, "content[0].type"),
        ({"role": "user", "content": [{"type": "text"}]}, "content[0].text"),
        ({"role": "user", "content": [{"type": "image_url"}]}, "content[0].image_url"),
        ({"role": "user", "content": [{"type": "image_url", "image_url": {}}]}, "content[0].image_url.url"),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}]},
            "content[0].image_url.url",
        ),
        (
            {
                "role": "user",
                "content": [{"type": "image_url", "image_url": {"url": "https://a", "detail": "x"}}],
            },
            "content[0].image_url.detail",
        ),
        (
            {
                "role": "user",
                "content": [{"type": "input_audio", "input_audio": {"data": "AA==", "format": "x"}}],
            },
            "content[0].input_audio.format",
        ),
        (
            {
                "role": "user",
                "content": [{"type": "input_audio", "input_audio": {"data": "?", "format": "wav"}}],
            },
            "content[0].input_audio.data",
        ),
        ({"role": "user", "content": [{"type": "file", "file": {}}]}, "content[0].file"),
        (
            {"role": "user", "content": [{"type": "file", "file": {"file_id": "f", "file_data": "AA=="}}]},
            "content[0].file",
        ),
        ({"role": "user", "content": "x", "name": 5}, "name"),
        ({"role": "system", "content": [{"type": "image_url"}]}, "content[0].type"),
        ({"role": "tool", "content": "x"}, "tool_call_id"),
        ({"role": "tool", "tool_call_id": "c"}, "content"),
        ({"role": "assistant", "content": 0}, "content"),
        ({"role": "assistant", "function_call": {"name": "f"}}, "function_call"),
        ({"role": "assistant", "tool_calls": {}}, "tool_calls"),
        ({"role": "assistant", "tool_calls": [{"id": "c", "type": "custom"}]}, "tool_calls[0].type"),
        ({"role": "assistant", "tool_calls": [{"function": {}}]}, "tool_calls[0].id"),
        ({"role": "assistant", "tool_calls": [{"id": "c"}]}, "tool_calls[0].function"),
        (
            {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": 5}}]},
            "tool_calls[0].function.arguments",
        ),
        ({"role": "assistant", "content": "x", "audio": {"id": 5}}, "audio.id"),
        (
            {"role": "assistant", "reasoning_details": [{"type": "reasoning.sealed", "data": "llmcore1.x"}]},
            "reasoning_details[0].data",
        ),
    ],
)
def test_a_wrong_message_is_refused_with_its_path(fields: dict[str, Any], param: str) -> None:
    error = fault(**fields)
    assert error.param == f"messages[1].{param}"


def test_a_body_without_messages_says_so() -> None:
    with pytest.raises(BadRequest, match="messages: is required and missing"):
        MIRROR.decode_request({"model": "m"})


# ------------------------------------------------------------------------------------------------------ messages


def test_the_developers_words_are_the_systems() -> None:
    assert turn(role="developer", content="be kind") == Message.system("be kind")


def test_every_kind_of_part_is_read() -> None:
    found = turn(
        role="user",
        name="ada",
        content=[
            {"type": "text", "text": "look"},
            {"type": "image_url", "image_url": {"url": "https://a/b.png", "detail": "low"}},
            {"type": "image_url", "image_url": "data:image/png;base64,AA=="},
            {"type": "input_audio", "input_audio": {"data": "QUI=", "format": "mp3"}},
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,QUI=", "filename": "a.pdf"}},
            {"type": "file", "file": {"file_id": "file-1"}},
        ],
    )
    assert found == Message(
        "user",
        (
            Text("look"),
            Image(url="https://a/b.png", detail="low"),
            Image(url="data:image/png;base64,AA=="),
            Audio(b"AB", "audio/mpeg"),
            File(b"AB", media_type="application/pdf", filename="a.pdf"),
            File(file_id="file-1"),
        ),
        "ada",
    )


def test_an_assistants_message_comes_back_as_openais_sdk_dumps_it() -> None:
    found = turn(
        role="assistant",
        content=None,
        refusal=None,
        audio=None,
        annotations=[],
        function_call=None,
        tool_calls=[{"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}],
    )
    assert found == Message("assistant", (ToolCall("c1", "f", '{"a":1}'),))


def test_an_answer_with_reasoning_refusal_and_parts() -> None:
    found = turn(
        role="assistant",
        reasoning_content="hm",
        content=[{"type": "text", "text": "no"}, {"type": "refusal", "refusal": "I may not"}],
        tool_calls=[{"id": "c1", "function": {"name": "f", "arguments": {"a": 1}}}],
    )
    assert found.parts == (
        Thinking("hm", raw="reasoning_content", origin="openai"),
        Text("no"),
        Refusal("I may not"),
        ToolCall("c1", "f", '{"a":1}'),
    )


def test_an_empty_answer_is_an_empty_message() -> None:
    contents: list[Any] = [None, "", []]
    for content in contents:
        assert turn(role="assistant", content=content) == Message("assistant", ())


def test_results_of_tools_are_text_or_parts() -> None:
    assert turn(role="tool", tool_call_id="c", content="4", name="f") == Message(
        "tool", (ToolResult("c", "4", "f"),)
    )
    found = turn(role="tool", tool_call_id="c", content=[{"type": "text", "text": "4"}])
    assert found == Message("tool", (ToolResult("c", (Text("4"),)),))


def test_unknown_members_of_messages_are_warned_of_once() -> None:
    asked = MIRROR.decode_request(
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "a", "shade": "dark"}] * 3},
                {"role": "assistant", "content": "x", "prefix": True},
                {"role": "assistant", "content": "y", "prefix": True},
            ]
        }
    )
    found = [warning.parameter for warning in asked.warnings]
    assert found == ["messages[].text.shade", "messages[].prefix"]


LONG = "x" * 70
DATA = "data:image/png;base64,AA=="


@pytest.mark.parametrize(
    ("fields", "lost"),
    [
        ({"response_format": {"type": "json_object", "schema": {"type": "object"}}}, "response_format.schema"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {}, "mood": 1}}},
            "response_format.json_schema.mood",
        ),
        ({"stream": True, "stream_options": {"chunk_size": 5}}, "stream_options.chunk_size"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"tools": [{"function": {"name": "f"}, LONG: 1}]}, f"tools[].{LONG[:60]}"),
        *(
            ({"messages": [{"role": "user", "content": [{"type": kind, kind: {**inner, "mood": 1}}]}]}, f"messages[].{kind}.mood")
            for kind, inner in (
                ("image_url", {"url": DATA}),
                ("input_audio", {"data": "QUI=", "format": "wav"}),
                ("file", {"file_data": "data:application/pdf;base64,QUI="}),
            )
        ),
    ],
)  # fmt: skip
def test_nothing_is_dropped_in_silence(fields: dict[str, Any], lost: str) -> None:
    assert [warning.parameter for warning in decoded(**fields).warnings] == [lost]


def test_what_the_sdk_itself_adds_to_a_message_is_no_loss() -> None:
    asked = decoded(messages=[HELLO, {"role": "assistant", "content": "{}", "parsed": {}}, HELLO])
    assert asked.warnings == ()


def test_system_messages_alone_are_asked_by_the_last_of_them() -> None:
    asked = decoded(messages=[{"role": "developer", "content": "a"}, {"role": "system", "content": "b"}])
    assert asked.request.messages == (Message.system("a"), Message.user("b"))
    assert [warning.parameter for warning in asked.warnings] == ["messages"]
    later = [HELLO, {"role": "system", "content": "b"}]
    assert decoded(messages=later).request.messages == (Message.user("hello"), Message.system("b"))


def test_unknown_members_of_tools_are_warned_of() -> None:
    tool = {"type": "function", "mood": 1, "function": {"name": "f", "title": "F"}}
    asked = decoded(messages=[HELLO], tools=[tool])
    assert [warning.parameter for warning in asked.warnings] == ["tools[].mood", "tools[].function.title"]


def test_a_cache_mark_on_a_tool_is_kept_and_not_told_to_be_lost() -> None:
    mark = {"prompt_cache_breakpoint": {"mode": "explicit"}}
    asked = decoded(messages=[HELLO], tools=[{"type": "function", "function": {"name": "f"}, **mark}])
    assert asked.request.tools[0].cache == CachePoint()
    assert asked.warnings == ()


def test_cache_marks_by_either_name_stand_behind_what_they_mark() -> None:
    hour = {"type": "ephemeral", "ttl": "1h"}
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    asked = decoded(
        messages=[
            {"role": "system", "content": [{"type": "text", "text": "s", "cache_control": hour}]},
            {
                "role": "user",
                "content": [
                    {
                        "type": "text",
                        "text": "a",
                        "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "30m"},
                    },
                    {"type": "text", "text": "b"},
                ],
            },
            {"role": "assistant", "tool_calls": [call]},
            {
                "role": "tool",
                "tool_call_id": "c",
                "content": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}],
            },
        ],
        tools=[{"type": "function", "function": {"name": "f"}, "cache_control": hour}],
    )
    assert asked.request.messages == (
        Message.system("s", CachePoint("1h")),
        Message.user("a", CachePoint(), "b"),
        Message.assistant(ToolCall("c", "f")),
        Message("tool", (ToolResult("c", [Text("x")]), CachePoint())),
    )
    assert asked.request.tools[0].cache == CachePoint("1h")
    assert [warning.parameter for warning in asked.warnings] == ["prompt_cache_breakpoint.ttl"]


@pytest.mark.parametrize(
    ("mark", "param"),
    [
        ({"cache_control": {}}, "cache_control.type"),
        ({"cache_control": {"type": "ephemeral", "ttl": "1d"}}, "cache_control.ttl"),
        ({"prompt_cache_breakpoint": "here"}, "prompt_cache_breakpoint"),
        ({"prompt_cache_breakpoint": {"mode": "odd"}}, "prompt_cache_breakpoint.mode"),
    ],
)
def test_odd_cache_marks_are_refused(mark: dict[str, Any], param: str) -> None:
    part = {"type": "text", "text": "a", **mark}
    assert refusal(messages=[{"role": "user", "content": [part]}]).param == f"messages[0].content[0].{param}"


# --------------------------------------------------------------------------------------------------------- tools

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
TOOLS = [
    {
        "type": "function",
        "function": {"name": "f", "description": "does f", "parameters": SCHEMA, "strict": True},
    },
    {"type": "function", "function": {"name": "g"}},
]


def test_tools_and_the_choice_of_one() -> None:
    asked = decoded(tools=TOOLS, tool_choice={"type": "function", "function": {"name": "g"}})
    assert asked.request.tools == (Tool("f", "does f", SCHEMA, True), Tool("g"))
    assert asked.request.tool_choice == "g"


@pytest.mark.parametrize("mode", ["auto", "required"])
def test_only_allowed_tools_are_offered(mode: str) -> None:
    allowed = {"mode": mode, "tools": [{"type": "function", "function": {"name": "g"}}]}
    choice = {"type": "allowed_tools", "allowed_tools": allowed}
    for fields in ({"tools": TOOLS, "tool_choice": choice}, {"tool_choice": choice, "tools": TOOLS}):
        request = decoded(**fields).request
        assert [tool.name for tool in request.tools] == ["g"]
        assert request.tool_choice == mode
    assert refusal(tool_choice=choice).param == "tool_choice.allowed_tools.tools"
