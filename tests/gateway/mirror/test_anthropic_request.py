"""Anthropic's requests, field by field: what is read, what is refused with which path, what is lost with a warning."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from llmcore.gateway.errors import BadRequest
from llmcore.gateway.mirror.anthropic import AnthropicMirror
from llmcore.gateway.mirror.base import Asked
from llmcore.gateway.mirror.count_tokens import ESTIMATE_HEADER, decode_count, encode_count
from llmcore.gateway.mirror.marks import Mark
from llmcore.types import (
    CachePoint,
    File,
    GenerationRequest,
    Image,
    Message,
    Opaque,
    Reasoning,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)

MIRROR = AnthropicMirror()
USER = {"role": "user", "content": "Hi"}
CALL = {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}}
DEEP = {"type": "reasoning", "summary": json.loads("[" * 20 + "]" * 20)}
TOOL = {"name": "f", "input_schema": {"type": "object", "properties": {}}}
PNG = base64.b64encode(b"\x89PNG").decode()


def body(*messages: Any, **fields: Any) -> dict[str, Any]:
    return {"model": "m", "max_tokens": 9, "messages": list(messages) or [USER], **fields}


def asked(*messages: Any, **fields: Any) -> GenerationRequest:
    return MIRROR.decode_request(body(*messages, **fields)).request


def warned(*messages: Any, **fields: Any) -> list[str]:
    return [warning.parameter for warning in MIRROR.decode_request(body(*messages, **fields)).warnings]


def user(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def parts(*blocks: dict[str, Any]) -> tuple[Any, ...]:
    return asked(user(*blocks)).messages[0].parts


def fault(**fields: Any) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        MIRROR.decode_request({**body(), **fields})
    assert caught.value.status == 400
    return caught.value


# ------------------------------------------------------------------------------------------------------- read


def test_the_least_request() -> None:
    assert MIRROR.decode_request(body()) == Asked(GenerationRequest("Hi", model="m", max_tokens=9))


def test_each_system_block_is_a_message() -> None:
    system = [{"type": "text", "text": "One."}, {"type": "text", "text": "Two."}]
    assert asked(system=system).messages[:2] == (Message.system("One."), Message.system("Two."))
    assert asked(system="One.").messages[0] == Message.system("One.")
    assert asked(system="").messages == (Message.user("Hi"),)


def test_results_become_a_tool_message_before_what_the_user_says() -> None:
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    result = {
        "type": "tool_result",
        "tool_use_id": "t1",
        "is_error": True,
        "content": [{"type": "text", "text": "no"}, picture],
    }
    found = asked(
        USER, {"role": "assistant", "content": [CALL]}, user({"type": "text", "text": "And?"}, result)
    )
    assert found.messages[1:] == (
        Message("assistant", (ToolCall("t1", "f", '{"a":1}'),)),
        Message(
            "tool",
            (ToolResult("t1", [Text("no"), Image(data=b"\x89PNG", media_type="image/png")], is_error=True),),
        ),
        Message.user("And?"),
    )


def test_a_result_without_content_is_empty() -> None:
    turn = user({"type": "tool_result", "tool_use_id": "t1"})
    assert asked(USER, {"role": "assistant", "content": [CALL]}, turn).messages[2].parts == (
        ToolResult("t1", ""),
    )


def test_images_and_documents() -> None:
    sources = [
        {"type": "base64", "media_type": "application/pdf", "data": base64.b64encode(b"%PDF").decode()},
        {"type": "text", "media_type": "text/plain", "data": "words"},
        {"type": "content", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"type": "url", "url": "https://example.org/a.pdf"},
        {"type": "file", "file_id": "file_1"},
    ]
    found = parts(*({"type": "document", "source": source, "title": "t"} for source in sources))
    assert found == (
        File(b"%PDF", media_type="application/pdf", filename="t"),
        File(b"words", media_type="text/plain", filename="t"),
        File(b"a\n\nb", media_type="text/plain", filename="t"),
        File(url="https://example.org/a.pdf", filename="t"),
        File(file_id="file_1", filename="t"),
    )
    pictures = [{"type": "url", "url": "https://example.org/a.png"}, {"type": "file", "file_id": "file_1"}]
    assert parts(*({"type": "image", "source": source} for source in pictures)) == (
        Image(url="https://example.org/a.png"),
        File(file_id="file_1", media_type="image/*"),
    )


def test_thinking_with_and_without_a_signature() -> None:
    blocks = [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "redacted_thinking", "data": "d"},
        {"type": "thinking", "thinking": "free", "signature": ""},
        {"type": "text", "text": "ok"},
    ]
    assert asked(USER, {"role": "assistant", "content": blocks}, USER).messages[1].parts == (
        Thinking("hm", "s", origin="anthropic"),
        Thinking(signature="d", redacted=True, origin="anthropic"),
        Thinking("free"),
        Text("ok"),
    )


def test_blocks_of_hosted_tools_go_back_to_anthropic_alone() -> None:
    block = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    found = asked(USER, {"role": "assistant", "content": [block]}, USER)
    assert found.messages[1].parts == (Opaque(block, "anthropic"),)


def test_a_call_by_code_keeps_its_caller() -> None:
    caller = {"type": "code_execution_20260120", "tool_id": "x"}
    call = (
        asked(USER, {"role": "assistant", "content": [{**CALL, "caller": caller}]}, USER).messages[1].parts[0]
    )
    assert call == ToolCall(
        "t1", "f", '{"a":1}', '{"type":"code_execution_20260120","tool_id":"x"}', "anthropic"
    )
    direct = asked(USER, {"role": "assistant", "content": [{**CALL, "caller": {"type": "direct"}}]}, USER)
    assert direct.messages[1].parts == (ToolCall("t1", "f", '{"a":1}'),)


@pytest.mark.parametrize(
    ("choice", "found", "parallel"),
    [
        ({"type": "auto"}, "auto", None),
        ({"type": "any", "disable_parallel_tool_use": True}, "required", False),
        ({"type": "tool", "name": "f"}, "f", None),
        ({"type": "none"}, "none", None),
        ({"type": "auto", "disable_parallel_tool_use": False}, "auto", None),
    ],
)
def test_tool_choices(choice: dict[str, Any], found: str, parallel: bool | None) -> None:
    request = asked(tools=[TOOL], tool_choice=choice)
    assert (request.tool_choice, request.parallel_tool_calls) == (found, parallel)


@pytest.mark.parametrize(
    ("fields", "reasoning"),
    [
        ({"thinking": {"type": "enabled", "budget_tokens": 2048}}, Reasoning(budget_tokens=2048)),
        ({"thinking": {"type": "disabled"}}, Reasoning("none")),
        ({"output_config": {"effort": "high"}}, Reasoning("high")),
        (
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}},
            Reasoning("low", adaptive=True),
        ),
        ({"thinking": {"type": "adaptive"}}, Reasoning(adaptive=True)),
        ({"thinking": {"type": "between_tools"}, "output_config": {"effort": "low"}}, Reasoning("low")),
        ({"thinking": {"type": "between_tools"}}, None),
    ],
)
def test_thinking_and_effort_are_one(fields: dict[str, Any], reasoning: Reasoning | None) -> None:
    assert asked(**fields).reasoning == reasoning


def test_thinking_that_only_anthropic_knows_warns() -> None:
    assert warned(thinking={"type": "between_tools"}) == ["thinking.type"]
    assert warned(thinking={"type": "between_tools"}, output_config={"effort": "low"}) == ["thinking.type"]
    assert warned(thinking={"type": "adaptive"}) == []


def test_a_schema_by_either_name() -> None:
    given = {"type": "json_schema", "schema": {"type": "object"}}
    assert asked(output_config={"format": given}) == asked(output_format=given)
    assert asked(output_format=given).response_format is not None


def test_the_user_is_kept_on_our_side() -> None:
    request = asked(metadata={"user_id": "u1"})
    assert request.metadata == {"user": "u1"}
    assert request.extra == {}


# ------------------------------------------------------------------------------------------------------- lost


def test_what_only_anthropic_has_is_lost_with_one_warning_each() -> None:
    fields = {"top_k": 5, "service_tier": "auto", "brand_new": 1}
    assert warned(**fields) == ["service_tier", "top_k", "brand_new"]
    assert asked(**fields).extra == {}


def test_null_is_nothing() -> None:
    assert warned(top_k=None, brand_new=None, thinking=None, tools=None, system=None) == []


# ------------------------------------------------------------------------------------------------------ caching

KEEP = {"type": "ephemeral"}
HOUR = {"type": "ephemeral", "ttl": "1h"}


def test_cache_marks_stand_behind_what_they_mark() -> None:
    request = asked(
        user({"type": "text", "text": "a", "cache_control": KEEP}, {"type": "text", "text": "b"}),
        system=[{"type": "text", "text": "s", "cache_control": HOUR}, {"type": "text", "text": "t"}],
        tools=[TOOL, {**TOOL, "name": "g", "cache_control": HOUR}],
    )
    assert request.messages == (
        Message.system("s", CachePoint("1h")),
        Message.system("t"),
        Message.user("a", CachePoint(), "b"),
    )
    assert [tool.cache for tool in request.tools] == [None, CachePoint("1h")]


def test_a_mark_on_the_whole_request_is_one_at_its_end() -> None:
    assert asked(USER, cache_control=HOUR).messages == (Message.user("Hi", CachePoint("1h")),)
    both = asked(user({"type": "text", "text": "a", "cache_control": KEEP}), cache_control=HOUR)
    assert both.messages == (Message.user("a", CachePoint()),)
    assert warned(USER, cache_control=HOUR) == []


def test_a_mark_goes_with_its_result_or_its_words() -> None:
    told = {"type": "tool_result", "tool_use_id": "t1", "content": "x", "cache_control": KEEP}
    words = {"type": "text", "text": "go on", "cache_control": HOUR}
    request = asked(USER, {"role": "assistant", "content": [CALL]}, user(words, told))
    assert request.messages[2:] == (
        Message("tool", (ToolResult("t1", "x"), CachePoint())),
        Message.user("go on", CachePoint("1h")),
    )


def test_a_mark_inside_of_a_result_stands_behind_it() -> None:
    inner = {"type": "text", "text": "x", "cache_control": HOUR}
    told = {"type": "tool_result", "tool_use_id": "t1", "content": [inner, inner]}
    request = asked(USER, {"role": "assistant", "content": [CALL]}, user(told))
    assert request.messages[2].parts == (ToolResult("t1", [Text("x"), Text("x")]), CachePoint("1h"))


def test_a_mark_inside_of_a_document_is_said_to_be_lost() -> None:
    inner = {"type": "text", "text": "x", "cache_control": KEEP}
    block = {"type": "document", "source": {"type": "content", "content": [inner]}}
    assert warned(user(block)) == ["document.cache_control"]


def test_unknown_members_of_blocks_are_told() -> None:
    block = {"type": "text", "text": "a", "shade": "dark"}
    assert warned(user(block, block)) == ["messages[].text.shade"]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"tool_choice": {"type": "auto", "shade": 1}, "tools": [TOOL]}, "tool_choice.shade"),
        ({"thinking": {"type": "adaptive", "budget_tokens": 2000}}, "thinking.budget_tokens"),
        ({"metadata": {"user_id": "u", "shade": 1}}, "metadata.shade"),
        ({"cache_control": {"type": "ephemeral", "scope": "global"}}, "cache_control.scope"),
        ({"tools": [{**TOOL, "cache_control": {"type": "ephemeral", "scope": "x"}}]}, "cache_control.scope"),
        (
            {"output_config": {"format": {"type": "json_schema", "schema": {}, "shade": 1}}},
            "output_config.format.shade",
        ),
    ],
)
def test_unknown_members_of_members_are_told(fields: dict[str, Any], told: str) -> None:
    assert warned(**fields) == [told]


def test_unknown_members_of_sources_are_told() -> None:
    source = {"type": "base64", "media_type": "image/png", "data": PNG, "shade": 1}
    assert warned(user({"type": "image", "source": source})) == ["messages[].image.source.shade"]
    text = {"type": "text", "media_type": "text/plain", "data": "x", "shade": None}
    assert warned(user({"type": "document", "source": text})) == []


def test_a_vendors_mark_finds_its_text_behind_a_cache_mark() -> None:
    content = [
        {"type": "text", "text": "so", "cache_control": KEEP},
        {"type": "redacted_thinking", "data": str(Mark("text", "gemini", "sig"))},
    ]
    request = asked(USER, {"role": "assistant", "content": content}, USER)
    assert request.messages[1].parts == (Text("so", "sig", "gemini"), CachePoint())


def test_a_mark_on_nothing_is_said_to_be_lost() -> None:
    empty = {"role": "assistant", "content": [{"type": "thinking", "thinking": "", "cache_control": KEEP}]}
    assert warned(USER, empty, USER) == ["cache_control"]


def test_a_thread_is_refused_in_the_word_by_which_the_sdk_goes_on_without_one() -> None:
    for thread in ({"type": "create"}, {"type": "continue", "previous_message_id": "msg_1"}):
        with pytest.raises(BadRequest) as caught:
            MIRROR.decode_request(body(thread=thread))
        said = MIRROR.encode_error(caught.value, request_id="r").body["error"]
        assert said["details"] == {"error_code": "thread_unsupported_request"}
    assert warned(thread=None) == []


@pytest.mark.parametrize(
    ("mark", "param"),
    [
        ("ephemeral", "cache_control"),
        ({}, "cache_control.type"),
        ({"type": "forever"}, "cache_control.type"),
        ({"type": "ephemeral", "ttl": "2h"}, "cache_control.ttl"),
        ({"type": "ephemeral", "ttl": 5}, "cache_control.ttl"),
    ],
)
def test_odd_marks_are_refused(mark: Any, param: str) -> None:
    for place, made in {
        "": body(cache_control=mark),
        "tools[0].": body(tools=[{**TOOL, "cache_control": mark}]),
        "messages[0].content[0].": body(user({"type": "text", "text": "a", "cache_control": mark})),
    }.items():
        with pytest.raises(BadRequest) as caught:
            MIRROR.decode_request(made)
        assert caught.value.param == place + param


# ---------------------------------------------------------------------------------------------------- refused


def test_the_limit_is_required_but_for_a_count() -> None:
    without = {"model": "m", "messages": [USER]}
    with pytest.raises(BadRequest) as caught:
        MIRROR.decode_request(without)
    assert (caught.value.param, caught.value.code) == ("max_tokens", "missing_required_parameter")
    assert decode_count(without).request.max_tokens is None


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "Hi"}, "messages"),
        ({"messages": ["Hi"]}, "messages[0]"),
        ({"messages": [{"content": "Hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "tool", "content": "Hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": " "}]}, "messages[0].content"),
        ({"messages": [USER, user({"type": "txt"})]}, "messages[1].content[0].type"),
        ({"messages": [user({"text": "x"})]}, "messages[0].content[0].type"),
        ({"messages": [user({"type": "text"})]}, "messages[0].content[0].text"),
        ({"messages": [user(CALL)]}, "messages[0].content[0].type"),
        (
            {"messages": [user({"type": "tool_result", "tool_use_id": "t9"})]},
            "messages[0].content[0].tool_use_id",
        ),
        (
            {"messages": [user({"type": "image", "source": {"type": "url", "url": "file:///etc/passwd"}})]},
            "messages[0].content[0].source.url",
        ),
        (
            {"messages": [user({"type": "document", "source": {"type": "url", "url": "gopher://x"}})]},
            "messages[0].content[0].source.url",
        ),
        (
            {
                "messages": [
                    user({"type": "image", "source": {"type": "base64", "media_type": "a", "data": "%"}})
                ]
            },
            "messages[0].content[0].source.data",
        ),
        (
            {"messages": [USER, {"role": "assistant", "content": [{"type": "redacted_thinking"}]}]},
            "messages[1].content[0].data",
        ),
        ({"system": 3}, "system"),
        ({"system": [{"type": "image"}]}, "system[0].type"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": "9"}, "max_tokens"),
        ({"temperature": 1.5}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"top_p": -1}, "top_p"),
        ({"stop_sequences": [1]}, "stop_sequences[0]"),
        ({"stream": "yes"}, "stream"),
        ({"model": 3}, "model"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools[0].type"),
        ({"tools": [{"name": "f"}]}, "tools[0].input_schema"),
        ({"tools": [{"name": "f", "input_schema": {"type": "array"}}]}, "tools[0].input_schema.type"),
        ({"tool_choice": {}}, "tool_choice.type"),
        ({"tool_choice": {"type": "sure"}}, "tool_choice.type"),
        ({"tool_choice": {"type": "tool", "name": "none"}}, "tool_choice.name"),
        ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
        ({"thinking": {"type": "enabled", "budget_tokens": 10}}, "thinking.budget_tokens"),
        ({"thinking": {"type": "later"}}, "thinking.type"),
        ({"output_config": {"effort": "huge"}}, "output_config.effort"),
        ({"output_config": {"format": {"type": "xml"}}}, "output_config.format.type"),
        ({"metadata": {"user_id": 3}}, "metadata.user_id"),
        ({"mcp_servers": [{"url": "https://example.org"}]}, "mcp_servers"),
    ],
)
def test_every_fault_has_its_path(fields: dict[str, Any], param: str) -> None:
    error = fault(**fields)
    assert error.param == param
    assert error.message.startswith(f"{param}: ")


def test_a_damaged_mark_is_refused_with_what_to_do() -> None:
    block = {"type": "thinking", "thinking": "x", "signature": "llmcore1.AAAA"}
    error = fault(messages=[USER, {"role": "assistant", "content": [block]}])
    assert error.param == "messages[1].content[0].signature"
    assert "send it back unchanged" in error.message


@pytest.mark.parametrize(
    "raw", ["role", "not a name", {"type": "item_reference"}, [{"type": "text"}], 3, DEEP]
)
def test_a_forged_mark_cannot_set_other_fields_of_a_message(raw: object) -> None:
    block = {"type": "thinking", "thinking": "x", "signature": str(Mark("thinking", "groq", raw=raw))}
    error = fault(messages=[USER, {"role": "assistant", "content": [block]}])
    assert error.code == "invalid_signature"


# ---------------------------------------------------------------------------------------------------- counting


def test_a_count_is_an_estimate_and_says_so() -> None:
    long = {"role": "user", "content": "word " * 400}
    counted = encode_count(decode_count({"model": "m", "messages": [long]}))
    assert counted == {"input_tokens": 500}
    assert ESTIMATE_HEADER == ("x-llmcore-estimate", "true")


def test_a_count_grows_with_all_that_is_sent() -> None:
    def count(**fields: Any) -> int:
        return encode_count(decode_count({"model": "m", "messages": [USER], **fields}))["input_tokens"]

    picture = user({"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}})
    assert count() < count(system="Be brief and kind.") < count(system="Be brief and kind." * 9)
    assert count() < count(tools=[TOOL])
    assert count(messages=[picture]) > 80
    assert count(messages=[{"role": "user", "content": "x"}]) == 1
