"""Anthropic Messages, upwards: every feature as it is sent, every parameter that is not, every refusal."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmcore.config import ProviderConfig
from llmcore.errors import InvalidRequestError, UnsupportedFeatureError
from llmcore.providers.anthropic import PLACE
from llmcore.types import (
    Audio,
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
from llmcore.wire.anthropic import FILES_BETA, AnthropicWire
from llmcore.wire.structured import ANSWER_TOOL

NEW = AnthropicWire()
OLD = AnthropicWire(version="2023-06-01")
BY_TOOL = AnthropicWire(structured_output="tool")
WEATHER = Tool("weather", "The weather", {"type": "object", "properties": {"city": {"type": "string"}}})
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
PNG = b"\x89PNG\r\n\x1a\n...."


def sent(wire: AnthropicWire, messages: Any = "Hi", *, stream: bool = False, **fields: Any) -> dict[str, Any]:
    request = GenerationRequest(messages, **{"model": "claude-x", **fields})
    body: dict[str, Any] = json.loads(wire.encode_generate(request, stream=stream).http.body or b"")
    return body


def warned(wire: AnthropicWire, messages: Any = "Hi", **fields: Any) -> list[str]:
    request = GenerationRequest(messages, model="claude-x", **fields)
    return [warning.parameter for warning in wire.encode_generate(request, stream=False).warnings]


def blocks(*parts: Any, role: str = "user", wire: AnthropicWire = NEW) -> list[dict[str, Any]]:
    """The blocks of one message of `parts`."""
    content: list[dict[str, Any]] = sent(wire, [Message(role, parts)])["messages"][0]["content"]
    return content


def test_the_least_request_is_these_bytes() -> None:
    http = NEW.encode_generate(GenerationRequest("Hi", model="claude-x"), stream=False).http
    assert (http.method, http.path) == ("POST", "/v1/messages")
    assert http.headers == {"anthropic-version": "2026-10-21"}
    assert http.body == (
        b'{"model":"claude-x","messages":[{"role":"user","content":[{"type":"text","text":"Hi"}]}],"max_tokens":4096}'
    )


def test_equal_requests_are_equal_bytes() -> None:
    def body() -> bytes | None:
        request = GenerationRequest("Hi", model="m", tools=[WEATHER], stop=["x"], reasoning="high")
        return NEW.encode_generate(request, stream=True).http.body

    assert body() == body()


def test_a_stream_is_asked_for_in_the_body() -> None:
    assert sent(NEW, stream=True)["stream"] is True
    assert "stream" not in sent(NEW)


# ----------------------------------------------------------------------------------------------- messages


def test_leading_system_messages_stand_at_top_level() -> None:
    body = sent(NEW, [Message.system("Be brief."), Message.user("Hi")])
    assert body["system"] == "Be brief."
    assert [turn["role"] for turn in body["messages"]] == ["user"]


def test_several_system_texts_are_blocks() -> None:
    body = sent(NEW, [Message.system("One."), Message.system("Two."), Message.user("Hi")])
    assert body["system"] == [{"type": "text", "text": "One."}, {"type": "text", "text": "Two."}]


def test_a_later_system_message_stays_in_its_place() -> None:
    body = sent(NEW, [Message.user("Hi"), Message.system("Now in French."), Message.user("Go on")])
    assert [turn["role"] for turn in body["messages"]] == ["user", "system", "user"]
    assert "system" not in body


def test_the_older_version_has_a_later_system_message_moved_and_says_so() -> None:
    messages = [Message.user("Hi"), Message.system("Now in French."), Message.user("Go on")]
    body = sent(OLD, messages)
    assert body["system"] == "Now in French."
    assert [block["text"] for block in body["messages"][0]["content"]] == ["Hi", "Go on"]
    assert warned(OLD, messages) == ["messages"]


def test_turns_of_one_role_are_merged() -> None:
    body = sent(NEW, [Message.user("a"), Message.user("b"), Message.assistant("c"), Message.assistant("d")])
    assert [(turn["role"], [block["text"] for block in turn["content"]]) for turn in body["messages"]] == [
        ("user", ["a", "b"]),
        ("assistant", ["c", "d"]),
    ]


def test_blank_texts_and_empty_turns_are_left_out() -> None:
    body = sent(NEW, [Message.user("a"), Message.assistant(" \n"), Message.user("b")])
    assert [block["text"] for block in body["messages"][0]["content"]] == ["a", "b"]


def test_a_name_of_a_message_is_not_sent() -> None:
    assert warned(NEW, [Message("user", "Hi", name="Ann")]) == ["message.name"]


def test_results_of_a_turn_are_one_user_message_and_stand_first() -> None:
    calls = Message.assistant(ToolCall("a", "weather", '{"city":"Oslo"}'), ToolCall("b", "weather"))
    body = sent(
        NEW,
        [
            Message.user("?"),
            calls,
            Message.user("Well?"),
            Message.tool("a", "rain"),
            Message.tool("b", "sun"),
        ],
    )
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
    assert body["messages"][1]["content"] == [
        {"type": "tool_use", "id": "a", "name": "weather", "input": {"city": "Oslo"}},
        {"type": "tool_use", "id": "b", "name": "weather", "input": {}},
    ]
    assert body["messages"][2]["content"] == [
        {"type": "tool_result", "tool_use_id": "a", "content": "rain"},
        {"type": "tool_result", "tool_use_id": "b", "content": "sun"},
        {"type": "text", "text": "Well?"},
    ]


def test_a_result_may_be_an_error_and_hold_an_image() -> None:
    result = ToolResult("a", [Text("seen"), Image(data=PNG)], is_error=True)
    body = sent(NEW, [Message.user("?"), Message.assistant(ToolCall("a", "look")), Message("tool", result)])
    (block,) = body["messages"][2]["content"]
    assert block["is_error"] is True
    assert [inner["type"] for inner in block["content"]] == ["text", "image"]


def test_ids_of_other_vendors_are_made_fit_and_unique() -> None:
    turn = [Message.assistant(ToolCall("call.0:x", "f")), Message.tool("call.0:x", "1")]
    body = sent(NEW, [Message.user("?"), *turn, *turn])
    used = [turn["content"][0] for turn in body["messages"][1:]]
    assert used[0]["id"] == used[1]["tool_use_id"] == "call_0_x"
    assert used[2]["id"] == used[3]["tool_use_id"] == "call_0_x_2"


def test_arguments_that_are_no_object_are_wrapped() -> None:
    messages = [
        Message.user("?"),
        Message.assistant(ToolCall("a", "f", '{"city": "Os')),
        Message.tool("a", "bad"),
    ]
    assert sent(NEW, messages)["messages"][1]["content"][0]["input"] == {"INVALID_JSON": '{"city": "Os'}
    assert warned(NEW, messages) == ["tool_call.arguments"]


def test_refusals_go_back_as_text() -> None:
    assert sent(NEW, [Message.user("?"), Message.assistant(Refusal("No."))])["messages"][1]["content"] == [
        {"type": "text", "text": "No."}
    ]


def test_thinking_goes_back_with_its_signature() -> None:
    answer = Message.assistant(
        Thinking("hm", "c2ln", origin="anthropic"),
        Thinking(signature="c2VhbA", redacted=True, origin="anthropic"),
        "So.",
    )
    assert sent(NEW, [Message.user("?"), answer])["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "c2VhbA"},
        {"type": "text", "text": "So."},
    ]


@pytest.mark.parametrize(
    "foreign", [Thinking("hm", "sig", origin="gemini"), Thinking("hm", origin="anthropic"), Thinking("hm")]
)
def test_thinking_without_our_signature_stays_here(foreign: Thinking) -> None:
    messages = [Message.user("?"), Message.assistant(foreign, "So.")]
    assert [block["type"] for block in sent(NEW, messages)["messages"][1]["content"]] == ["text"]
    assert warned(NEW, messages) == (["messages.thinking"] if foreign.origin == "gemini" else [])


def test_own_blocks_go_back_as_they_came_and_others_not_at_all() -> None:
    raw = {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "x"}}
    messages = [
        Message.user("?"),
        Message.assistant("a", Opaque(raw, "anthropic"), Opaque({"type": "x"}, "openai")),
    ]
    assert sent(NEW, messages)["messages"][1]["content"] == [{"type": "text", "text": "a"}, raw]
    assert warned(NEW, messages) == ["message.opaque"]


def test_the_caller_of_a_call_goes_back() -> None:
    caller = {"type": "code_execution_20250825", "tool_id": "s1"}
    call = ToolCall("a", "f", "{}", json.dumps(caller), "anthropic")
    sent_back = sent(NEW, [Message.user("?"), Message.assistant(call), Message.tool("a", "1")])
    assert sent_back["messages"][1]["content"][0]["caller"] == caller
    foreign = ToolCall("a", "f", "{}", "sig", "gemini")
    sent_back = sent(NEW, [Message.user("?"), Message.assistant(foreign), Message.tool("a", "1")])
    assert "caller" not in sent_back["messages"][1]["content"][0]


# --------------------------------------------------------------------------------------- images and files


@pytest.mark.parametrize(
    ("image", "source"),
    [
        (Image(url="https://x.test/a.png"), {"type": "url", "url": "https://x.test/a.png"}),
        (
            Image(url="data:image/png;base64,aGk="),
            {"type": "base64", "media_type": "image/png", "data": "aGk="},
        ),
        (
            Image(data=b"hi", media_type="image/gif"),
            {"type": "base64", "media_type": "image/gif", "data": "aGk="},
        ),
    ],
)
def test_images(image: Image, source: dict[str, Any]) -> None:
    assert blocks("see", image) == [{"type": "text", "text": "see"}, {"type": "image", "source": source}]


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF1234WEBPVP8", "image/webp"),
    ],
)
def test_the_kind_of_an_image_is_read_from_its_first_bytes(data: bytes, media_type: str) -> None:
    assert blocks(Image(data=data))[0]["source"]["media_type"] == media_type


def test_the_detail_of_an_image_is_not_sent() -> None:
    assert warned(NEW, [Message.user("?", Image(url="https://x.test/a.png", detail="low"))]) == [
        "image.detail"
    ]


@pytest.mark.parametrize(
    ("file", "block"),
    [
        (
            File(data=b"%PDF-1", filename="a.pdf"),
            {
                "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0x"},
                "title": "a.pdf",
            },
        ),
        (
            File(data=b"hi", media_type="application/pdf"),
            {"source": {"type": "base64", "media_type": "application/pdf", "data": "aGk="}},
        ),
        (
            File(data="é".encode(), media_type="text/markdown"),
            {"source": {"type": "text", "media_type": "text/plain", "data": "é"}},
        ),
        (
            File(data=b"{}", media_type="application/json"),
            {"source": {"type": "text", "media_type": "text/plain", "data": "{}"}},
        ),
        (
            File(url="https://x.test/a.pdf"),
            {"source": {"type": "url", "url": "https://x.test/a.pdf"}},
        ),
        (
            File(url="data:application/pdf;base64,aGk="),
            {"source": {"type": "base64", "media_type": "application/pdf", "data": "aGk="}},
        ),
        (File(file_id="file_1"), {"source": {"type": "file", "file_id": "file_1"}}),
    ],
)
def test_files(file: File, block: dict[str, Any]) -> None:
    assert blocks(file) == [{"type": "document", **block}]


def test_a_file_that_is_an_image_is_sent_as_one() -> None:
    assert blocks(File(file_id="f", media_type="image/png")) == [
        {"type": "image", "source": {"type": "file", "file_id": "f"}}
    ]
    assert (
        blocks(File(data=PNG, media_type="image/png"))[0]["source"]["data"] == base64.b64encode(PNG).decode()
    )


def test_a_stored_file_needs_the_beta_header_beside_the_configured_ones() -> None:
    request = GenerationRequest([Message.user("?", File(file_id="f"))], model="m")
    headers = NEW.encode_generate(request, stream=False).http.headers
    assert headers["anthropic-beta"] == FILES_BETA
    wire = AnthropicWire(betas=("context-1m",))
    assert (
        wire.encode_generate(request, stream=False).http.headers["anthropic-beta"]
        == f"context-1m,{FILES_BETA}"
    )


@pytest.mark.parametrize(
    ("wire", "message"),
    [
        (NEW, Message.user(Audio(b"x", "audio/wav"))),
        (NEW, Message.user(Image(data=b"x", media_type="image/tiff"))),
        (NEW, Message.user(Image(data=b"what is this"))),
        (NEW, Message.user(Image(url="data:image/tiff;base64,aGk="))),
        (NEW, Message.user(File(data=b"\xff\xfe", filename="x.bin"))),
        (NEW, Message.user(File(data=b"hi", media_type="application/zip"))),
        (NEW, Message.assistant(File(data=b"%PDF-1"))),
        (NEW, Message.assistant(Image(data=PNG))),
    ],
)
def test_what_would_change_the_meaning_is_refused(wire: AnthropicWire, message: Message) -> None:
    with pytest.raises(UnsupportedFeatureError):
        sent(wire, [Message.user("?"), message])


def test_the_older_version_takes_documents_in_assistant_messages() -> None:
    body = sent(OLD, [Message.user("?"), Message.assistant(File(data=b"%PDF-1"))])
    assert body["messages"][1]["content"][0]["type"] == "document"


# -------------------------------------------------------------------------------------------------- tools


def test_tools() -> None:
    strict = Tool("f", parameters={}, strict=True)
    assert sent(NEW, tools=[WEATHER, strict])["tools"] == [
        {"name": "weather", "description": "The weather", "input_schema": WEATHER.parameters},
        {"name": "f", "input_schema": {"type": "object"}, "strict": True},
    ]


@pytest.mark.parametrize(
    ("fields", "choice"),
    [
        ({}, None),
        ({"tool_choice": "auto"}, {"type": "auto"}),
        ({"tool_choice": "required"}, {"type": "any"}),
        ({"tool_choice": "none"}, {"type": "none"}),
        ({"tool_choice": "weather"}, {"type": "tool", "name": "weather"}),
        ({"parallel_tool_calls": True}, None),
        ({"parallel_tool_calls": False}, {"type": "auto", "disable_parallel_tool_use": True}),
        (
            {"parallel_tool_calls": False, "tool_choice": "required"},
            {"type": "any", "disable_parallel_tool_use": True},
        ),
        ({"parallel_tool_calls": False, "tool_choice": "none"}, {"type": "none"}),
    ],
)
def test_tool_choice(fields: dict[str, Any], choice: dict[str, Any] | None) -> None:
    assert sent(NEW, tools=[WEATHER], **fields).get("tool_choice") == choice


def test_without_tools_there_is_no_choice() -> None:
    assert "tool_choice" not in sent(NEW, tool_choice="auto", parallel_tool_calls=False)


# -------------------------------------------------------------------------------------- structured output


def test_a_schema_is_asked_for_natively() -> None:
    body = sent(NEW, response_format=JsonSchema(SCHEMA))
    assert body["output_config"] == {"format": {"type": "json_schema", "schema": SCHEMA}}
    assert "tools" not in body


def test_a_schema_may_be_asked_for_by_a_tool() -> None:
    body = sent(BY_TOOL, response_format=JsonSchema(SCHEMA))
    assert body["tools"][0]["input_schema"] == SCHEMA
    assert body["tool_choice"] == {"type": "tool", "name": ANSWER_TOOL, "disable_parallel_tool_use": True}
    assert "output_config" not in body


@pytest.mark.parametrize(
    ("asked", "choice"),
    [
        (None, {"type": "any"}),
        ("auto", {"type": "any"}),
        ("required", {"type": "any"}),
        ("weather", {"type": "tool", "name": "weather"}),
        ("none", {"type": "tool", "name": ANSWER_TOOL, "disable_parallel_tool_use": True}),
    ],
)
def test_json_comes_by_a_tool_beside_the_callers_own(asked: str | None, choice: dict[str, Any]) -> None:
    body = sent(NEW, tools=[WEATHER], tool_choice=asked, response_format="json")
    assert [tool["name"] for tool in body["tools"]] == ["weather", ANSWER_TOOL]
    assert body["tool_choice"] == choice


@pytest.mark.parametrize("reasoning", [Reasoning(budget_tokens=2000), Reasoning(adaptive=True)])
def test_thinking_forbids_a_forced_answer_and_it_is_said(reasoning: Reasoning) -> None:
    fields: dict[str, Any] = {"response_format": "json", "reasoning": reasoning}
    assert sent(NEW, **fields)["tool_choice"] == {"type": "auto"}
    assert warned(NEW, **fields) == ["response_format"]


# ------------------------------------------------------------------------------- reasoning, limits, sampling


@pytest.mark.parametrize("effort", ["low", "medium", "high", "xhigh", "max"])
def test_effort(effort: str) -> None:
    body = sent(NEW, reasoning=effort)
    assert body["output_config"] == {"effort": effort}
    assert "thinking" not in body


def test_minimal_effort_is_low() -> None:
    assert sent(NEW, reasoning="minimal")["output_config"] == {"effort": "low"}
    assert warned(NEW, reasoning="minimal") == ["reasoning.effort"]


@pytest.mark.parametrize("reasoning", ["none", Reasoning(budget_tokens=0)])
def test_no_reasoning(reasoning: Any) -> None:
    body = sent(NEW, reasoning=reasoning)
    assert body["thinking"] == {"type": "disabled"}
    assert "output_config" not in body


def test_adaptive_thinking() -> None:
    assert sent(NEW, reasoning=Reasoning(adaptive=True))["thinking"] == {"type": "adaptive"}
    body = sent(NEW, reasoning=Reasoning("high", adaptive=True))
    assert (body["thinking"], body["output_config"]) == ({"type": "adaptive"}, {"effort": "high"})
    assert sent(NEW, reasoning=Reasoning("none", adaptive=True))["thinking"] == {"type": "disabled"}
    assert sent(NEW, reasoning=Reasoning(None, 2000, adaptive=True))["thinking"]["type"] == "enabled"
    assert warned(NEW, reasoning=Reasoning(adaptive=True)) == []


def test_a_budget_is_added_to_the_default_limit() -> None:
    body = sent(NEW, reasoning=Reasoning(budget_tokens=5000))
    assert body["thinking"] == {"type": "enabled", "budget_tokens": 5000}
    assert body["max_tokens"] == 9096
    assert sent(NEW, reasoning=Reasoning(budget_tokens=5000), max_tokens=6000)["max_tokens"] == 6000


@pytest.mark.parametrize(("budget", "limit"), [(5000, 5000), (5000, 4096), (1, 1024), (1024, 1000)], ids=str)
def test_a_budget_that_leaves_no_answer_is_refused_before_it_is_sent(budget: int, limit: int) -> None:
    with pytest.raises(InvalidRequestError, match="raise max_tokens") as caught:
        sent(NEW, reasoning=Reasoning(budget_tokens=budget), max_tokens=limit)
    assert caught.value.failover is False
    raised = {"max_tokens": 9000}
    assert (
        sent(NEW, reasoning=Reasoning(budget_tokens=budget), max_tokens=limit, extra=raised)["max_tokens"]
        == 9000
    )
    between_calls = sent(NEW, reasoning=Reasoning(budget_tokens=budget), max_tokens=limit, tools=[WEATHER])
    assert between_calls["max_tokens"] == limit


def test_a_budget_below_the_least_is_raised() -> None:
    assert sent(NEW, reasoning=Reasoning(budget_tokens=1))["thinking"]["budget_tokens"] == 1024
    assert warned(NEW, reasoning=Reasoning(budget_tokens=1)) == ["reasoning.budget_tokens"]


def test_the_default_limit_is_data() -> None:
    assert sent(AnthropicWire(max_tokens=100))["max_tokens"] == 100
    assert sent(AnthropicWire(max_tokens=100), max_tokens=7)["max_tokens"] == 7


def test_the_new_version_gets_no_sampling_values() -> None:
    body = sent(NEW, temperature=1.0, top_p=1.0)
    assert "temperature" not in body
    assert "top_p" not in body
    assert warned(NEW, temperature=1.0, top_p=1.0) == ["temperature", "top_p"]


def test_the_older_version_gets_them() -> None:
    body = sent(OLD, temperature=0, top_p=0.9)
    assert (body["temperature"], body["top_p"]) == (0, 0.9)
    assert warned(OLD, temperature=0, top_p=0.9) == []


def test_a_temperature_above_one_is_lowered() -> None:
    assert sent(OLD, temperature=1.5)["temperature"] == 1
    assert warned(OLD, temperature=1.5) == ["temperature"]


def test_stop_sequences_but_blank_ones() -> None:
    assert sent(NEW, stop=["END", "\n"])["stop_sequences"] == ["END"]
    assert warned(NEW, stop=["END", "\n"]) == ["stop"]
    assert "stop_sequences" not in sent(NEW, stop=["\n"])


def test_a_seed_is_not_sent() -> None:
    assert warned(NEW, seed=1) == ["seed"]
    assert "seed" not in sent(NEW, seed=1)


def test_extra_is_laid_over_and_our_own_notes_stay_here() -> None:
    body = sent(
        NEW,
        reasoning="low",
        metadata={"team": "x"},
        deadline=3.0,
        extra={"output_config": {"effort": "max"}, "service_tier": "auto"},
    )
    assert body["output_config"] == {"effort": "max"}
    assert body["service_tier"] == "auto"
    assert "metadata" not in body
    assert "deadline" not in body


# -------------------------------------------------------------------------------------------------- place


def configured(**fields: Any) -> AnthropicWire:
    wire = PLACE.wire_for(ProviderConfig("a", "anthropic", **fields))
    assert isinstance(wire, AnthropicWire)
    return wire


def test_the_place_is_anthropics() -> None:
    assert (PLACE.kind, PLACE.auth_header, PLACE.auth_prefix) == ("anthropic", "x-api-key", "")
    assert configured() == PLACE.wire


def test_the_configured_version_is_the_wires() -> None:
    wire = configured(api_version="2023-06-01")
    assert wire == OLD
    assert wire.encode_models().http.headers == {"anthropic-version": "2023-06-01"}
    assert configured(headers={"Anthropic-Version": "2023-06-01"}) == OLD


def test_configured_betas_are_kept_beside_ours() -> None:
    assert configured(headers={"anthropic-beta": "a, b"}).betas == ("a", "b")


# ------------------------------------------------------------------------------------- there and back again

words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12).filter(lambda text: text.strip())
identifiers = st.from_regex(r"[a-zA-Z0-9_-]{1,8}", fullmatch=True)
inputs = st.dictionaries(st.text(max_size=4), st.integers() | st.text(max_size=4) | st.none(), max_size=3)


@st.composite
def conversations(draw: st.DrawFn) -> list[Message]:
    """User and assistant in turn; every call of an assistant answered at once; every id used once."""
    messages: list[Message] = [Message.system(draw(words))] if draw(st.booleans()) else []
    ids = iter(draw(st.lists(identifiers, unique=True, min_size=9, max_size=9)))
    for _ in range(draw(st.integers(1, 3))):
        messages.append(Message.user(draw(words)))
        calls = [
            ToolCall(next(ids), draw(identifiers), json.dumps(draw(inputs)))
            for _ in range(draw(st.integers(0, 3)))
        ]
        said = [Text(draw(words))] if draw(st.booleans()) or not calls else []
        messages.append(Message("assistant", (*said, *calls)))
        if calls:
            results = [ToolResult(call.id, draw(words), is_error=draw(st.booleans())) for call in calls]
            messages.extend(Message("tool", result) for result in results)
            messages.append(Message.assistant(draw(words)))
    return messages


def mirrored(body: dict[str, Any]) -> list[tuple[str, list[Any]]]:
    """The turns of a body as Anthropic would read them; an assistant's by our own decoder."""
    turns: list[tuple[str, list[Any]]] = []
    for turn in body["messages"]:
        if turn["role"] == "assistant":
            answer = NEW.decode_generate(
                json.dumps({"type": "message", "content": turn["content"]}).encode(), GenerationRequest("?")
            )
            turns.append(("assistant", [_plain(part) for part in answer.message.parts]))
            continue
        results = [block for block in turn["content"] if block["type"] == "tool_result"]
        texts = [block["text"] for block in turn["content"] if block["type"] == "text"]
        if results:
            turns.append(
                ("tool", [(r["tool_use_id"], r["content"], r.get("is_error", False)) for r in results])
            )
        if texts:
            turns.append(("user", texts))
    return turns


def _plain(part: Any) -> Any:
    return (part.id, part.name, part.input) if isinstance(part, ToolCall) else part.text


def expected(messages: list[Message]) -> list[tuple[str, list[Any]]]:
    turns: list[tuple[str, list[Any]]] = []
    for message in messages:
        parts: list[Any] = [
            (part.call_id, part.content, part.is_error) if isinstance(part, ToolResult) else _plain(part)
            for part in message.parts
        ]
        if turns and turns[-1][0] == message.role:
            turns[-1][1].extend(parts)
        elif message.role != "system":
            turns.append((message.role, parts))
    return turns


@settings(max_examples=max(60, settings().max_examples))
@given(conversations())
def test_what_is_said_comes_through(messages: list[Message]) -> None:
    body = sent(NEW, messages)
    assert mirrored(body) == expected(messages)
    assert body.get("system") == next((m.text for m in messages if m.role == "system"), None)
