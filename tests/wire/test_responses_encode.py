"""OpenAI Responses, upwards: every feature as it is sent, every parameter that is not, every refusal."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from llmcore.config import ProviderConfig
from llmcore.errors import UnsupportedFeatureError
from llmcore.providers.openai_responses import PLACE
from llmcore.types import (
    Audio,
    EmbeddingRequest,
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
)
from llmcore.wire.responses import ResponsesWire

WIRE = ResponsesWire()
OURS = WIRE.origin
WEATHER = Tool("weather", "The weather", {"type": "object", "properties": {"city": {"type": "string"}}})
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
PNG = b"\x89PNG"


def sent(
    messages: Any = "Hi", *, wire: ResponsesWire = WIRE, stream: bool = False, **fields: Any
) -> dict[str, Any]:
    request = GenerationRequest(messages, **{"model": "m", **fields})
    body: dict[str, Any] = json.loads(wire.encode_generate(request, stream=stream).http.body or b"")
    return body


def warned(messages: Any = "Hi", *, wire: ResponsesWire = WIRE, **fields: Any) -> list[str]:
    request = GenerationRequest(messages, model="m", **fields)
    return [warning.parameter for warning in wire.encode_generate(request, stream=False).warnings]


def items(*messages: Message, **fields: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = sent([Message.user("Hi"), *messages], **fields)["input"][1:]
    return found


def content(*parts: Any) -> Any:
    return sent([Message.user(*parts)])["input"][0]["content"]


def test_the_least_request_is_these_bytes() -> None:
    http = WIRE.encode_generate(GenerationRequest("Hi", model="m"), stream=False).http
    assert (http.method, http.path) == ("POST", "/responses")
    assert http.body == (
        b'{"model":"m","input":[{"type":"message","role":"user","content":"Hi"}],"store":false,'
        b'"include":["reasoning.encrypted_content"]}'
    )


def test_equal_requests_are_equal_bytes() -> None:
    def body() -> bytes | None:
        request = GenerationRequest("Hi", model="m", tools=[WEATHER], reasoning="high", temperature=0.5)
        return WIRE.encode_generate(request, stream=True).http.body

    assert body() == body()


def test_a_stream_is_asked_for_in_the_body() -> None:
    assert sent(stream=True)["stream"] is True
    assert "stream" not in sent()


def test_without_a_model_none_is_sent() -> None:
    assert "model" not in sent(model=None)


# ------------------------------------------------------------------------------------- state and its seal


def test_extra_may_store_and_then_items_go_back_by_their_ids() -> None:
    bare = Thinking("", raw={"type": "reasoning", "id": "rs_1", "summary": []}, origin=OURS)
    body = sent([Message.user("Hi"), Message.assistant(bare, "x"), Message.user("?")], extra={"store": True})
    assert body["store"] is True
    assert "include" not in body
    assert body["input"][1] == {"type": "reasoning", "id": "rs_1", "summary": []}


def test_a_stateful_wire_says_nothing_of_the_store() -> None:
    body = sent(wire=ResponsesWire(stateless=False))
    assert not {"store", "include"} & set(body)


@pytest.mark.parametrize(
    "model", ["gpt-4o", "gpt-4.1-mini", "gpt-3.5-turbo", "ft:gpt-4o:acme", "chatgpt-4o-latest"]
)
def test_a_model_that_does_not_reason_is_not_asked_for_seals(model: str) -> None:
    assert isinstance(PLACE.wire, ResponsesWire)
    body = sent(wire=PLACE.wire, model=model)
    assert body["store"] is False
    assert "include" not in body


@pytest.mark.parametrize("model", ["gpt-5", "gpt-6-mini", "o4-mini", "ft:gpt-5:acme"])
def test_a_model_that_reasons_is_asked_for_seals(model: str) -> None:
    assert isinstance(PLACE.wire, ResponsesWire)
    assert sent(wire=PLACE.wire, model=model)["include"] == ["reasoning.encrypted_content"]


def test_organization_and_project_go_along() -> None:
    named = PLACE.wire_for(ProviderConfig("a", "openai_responses", organization="org-1", project="proj_1"))
    http = named.encode_generate(GenerationRequest("Hi", model="m"), stream=False).http
    assert http.headers == {"openai-organization": "org-1", "openai-project": "proj_1"}
    plain = PLACE.wire_for(ProviderConfig("a", "openai_responses"))
    assert plain.encode_generate(GenerationRequest("Hi", model="m"), stream=False).http.headers == {}


def test_extra_is_laid_over_everything() -> None:
    body = sent(
        reasoning="low", extra={"reasoning": {"summary": "auto"}, "include": [], "truncation": "auto"}
    )
    assert body["reasoning"] == {"effort": "low", "summary": "auto"}
    assert body["include"] == []
    assert body["truncation"] == "auto"


# ------------------------------------------------------------------------------------------------ messages


def test_verbosity_stands_beside_the_format() -> None:
    assert sent(extra={"verbosity": "low"})["text"] == {"verbosity": "low"}
    both = sent(extra={"verbosity": "low", "text": {"tone": "x"}}, response_format="json")
    assert both["text"] == {"format": {"type": "json_object"}, "verbosity": "low", "tone": "x"}
    assert warned(extra={"verbosity": "low"}) == []


def test_a_limit_below_the_least_is_raised() -> None:
    assert sent(max_tokens=1)["max_output_tokens"] == sent(max_tokens=16)["max_output_tokens"] == 16
    assert warned(max_tokens=1) == ["max_tokens"]
    assert warned(max_tokens=16) == []


def test_leading_system_messages_are_the_instructions() -> None:
    body = sent([Message.system("A"), Message.system("B"), Message.user("Hi"), Message.system("C")])
    assert body["instructions"] == "A\n\nB"
    assert [item["role"] for item in body["input"]] == ["user", "system"]


def test_text_alone_goes_as_a_string() -> None:
    assert content("a", "b") == "ab"


def test_an_image_by_its_bytes() -> None:
    uri = "data:image/png;base64," + base64.b64encode(PNG).decode()
    assert content("see", Image(data=PNG, media_type="image/png")) == [
        {"type": "input_text", "text": "see"},
        {"type": "input_image", "detail": "auto", "image_url": uri},
    ]


def test_an_image_by_its_url_with_its_detail() -> None:
    image = Image(url="https://x.test/a.png", detail="high")
    assert content(image) == [{"type": "input_image", "detail": "high", "image_url": "https://x.test/a.png"}]


@pytest.mark.parametrize(
    ("file", "told"),
    [
        (
            File(data=b"%PDF", media_type="application/pdf", filename="a.pdf"),
            {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERg=="},
        ),
        (File(data=b"?"), {"filename": "file", "file_data": "data:application/octet-stream;base64,Pw=="}),
        (File(url="https://x.test/a.pdf"), {"file_url": "https://x.test/a.pdf"}),
        (File(file_id="file-1"), {"file_id": "file-1"}),
    ],
)
def test_a_file(file: File, told: dict[str, str]) -> None:
    assert content(file) == [{"type": "input_file", **told}]


def test_an_own_content_part_goes_as_it_came() -> None:
    raw = {"type": "input_image", "file_id": "file-1", "detail": "auto"}
    assert content("a", Opaque(raw, OURS))[1] == raw


def test_an_own_item_goes_beside_what_the_user_said() -> None:
    raw = {"type": "custom_tool_call_output", "call_id": "c", "output": "x"}
    assert items(Message.user(Opaque(raw, OURS))) == [raw]
    assert [item["type"] for item in items(Message.user("a", Opaque(raw, OURS)))] == [raw["type"], "message"]


def test_the_assistants_words_are_joined() -> None:
    assert items(Message.assistant("a", "b"), Message.user("?"))[0] == {
        "type": "message",
        "role": "assistant",
        "content": "ab",
    }


def test_a_phase_goes_back_with_its_words() -> None:
    said = Message.assistant(Text("Let me see", "commentary", OURS), Text("42", "final_answer", OURS))
    assert [(item["phase"], item["content"]) for item in items(said)] == [
        ("commentary", "Let me see"),
        ("final_answer", "42"),
    ]


def test_anothers_signature_is_not_taken_for_a_phase() -> None:
    assert "phase" not in items(Message.assistant(Text("a", "sig", "gemini")))[0]


def test_a_refusal_goes_back() -> None:
    assert items(Message.assistant("Well.", Refusal("No.")))[0]["content"] == [
        {"type": "output_text", "text": "Well."},
        {"type": "refusal", "refusal": "No."},
    ]


def test_reasoning_goes_back_whole_before_its_call() -> None:
    raw = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "sealed"}
    said = Message.assistant(
        Thinking("", "sealed", True, raw, OURS), ToolCall("c1", "weather", '{"city":"Oslo"}')
    )
    assert items(said) == [
        raw,
        {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": '{"city":"Oslo"}'},
    ]


def test_a_seal_without_its_item_is_enough() -> None:
    assert items(Message.assistant(Thinking("why", "sealed", origin=OURS), "x"))[0] == {
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": "why"}],
        "encrypted_content": "sealed",
    }


@pytest.mark.parametrize(
    "thought",
    [
        Thinking("why", "sig", origin="anthropic"),
        Thinking("why"),
        Thinking("why", origin=OURS),
        Thinking("why", raw={"type": "reasoning", "id": "rs_1", "summary": []}, origin=OURS),
    ],
)
def test_reasoning_that_says_nothing_here_stays(thought: Thinking) -> None:
    messages = [Message.user("Hi"), Message.assistant(thought, "x"), Message.user("?")]
    assert [item["role"] for item in sent(messages)["input"]] == ["user", "assistant", "user"]
    assert warned(messages) == (["messages.thinking"] if thought.origin == "anthropic" else [])


def test_own_blocks_go_back_and_others_stay_with_a_warning() -> None:
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    notes = {"annotations": [{"type": "url_citation"}]}
    assert items(Message.assistant(Opaque(search, OURS), "x", Opaque(notes, OURS)))[0] == search
    assert len(items(Message.assistant(Opaque(search, OURS), "x", Opaque(notes, OURS)))) == 2
    assert items(Message.assistant(Opaque(search, "anthropic"), "x"))[0]["role"] == "assistant"
    assert warned([Message.user("Hi"), Message.assistant(Opaque(search, "anthropic"), "x")]) == ["messages"]


def test_a_tool_result_goes_by_its_call_id() -> None:
    call = Message.assistant(ToolCall("c1", "weather", ""))
    result = Message.tool("c1", "sunny")
    assert items(call, result) == [
        {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "sunny"},
    ]


def test_a_tool_result_may_hold_images() -> None:
    call = Message.assistant(ToolCall("c1", "look"))
    result = Message.tool("c1", [Text("here"), Image(url="https://x.test/a.png")])
    assert items(call, result)[1]["output"] == [
        {"type": "input_text", "text": "here"},
        {"type": "input_image", "detail": "auto", "image_url": "https://x.test/a.png"},
    ]


def test_a_failed_tool_is_told_by_its_text_with_a_warning() -> None:
    messages = [
        Message.user("Hi"),
        Message.assistant(ToolCall("c1", "look")),
        Message.tool("c1", "no", is_error=True),
    ]
    assert sent(messages)["input"][-1]["output"] == "no"
    assert warned(messages) == ["messages.is_error"]


def test_a_long_foreign_call_id_is_cut_the_same_way_twice() -> None:
    long = "x" * 200
    call, result = items(Message.assistant(ToolCall(long, "look")), Message.tool(long, "ok"))
    assert call["call_id"] == result["call_id"]
    assert len(call["call_id"]) <= 64


# ---------------------------------------------------------------------------------------------- parameters


def test_tools_are_flat_and_not_strict_unless_said() -> None:
    strict = Tool("other", parameters={"type": "object"}, strict=True)
    assert sent(tools=[WEATHER, strict])["tools"] == [
        {
            "type": "function",
            "name": "weather",
            "description": "The weather",
            "parameters": WEATHER.parameters,
            "strict": False,
        },
        {"type": "function", "name": "other", "parameters": {"type": "object"}, "strict": True},
    ]


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        ("auto", "auto"),
        ("none", "none"),
        ("required", "required"),
        ("weather", {"type": "function", "name": "weather"}),
    ],
)
def test_tool_choice(choice: str, told: Any) -> None:
    assert sent(tools=[WEATHER], tool_choice=choice)["tool_choice"] == told


def test_parallel_calls_may_be_switched_off() -> None:
    assert sent(tools=[WEATHER], parallel_tool_calls=False)["parallel_tool_calls"] is False
    assert "parallel_tool_calls" not in sent(tools=[WEATHER])


def test_limits() -> None:
    body = sent(temperature=0.5, top_p=0.9, max_tokens=100)
    assert (body["temperature"], body["top_p"], body["max_output_tokens"]) == (0.5, 0.9, 100)


def test_an_effort() -> None:
    assert sent(reasoning="high")["reasoning"] == {"effort": "high"}


def test_a_schema_is_native() -> None:
    answer = JsonSchema(SCHEMA, name="answer", description="A number")
    assert sent(response_format=answer)["text"]["format"] == {
        "type": "json_schema",
        "name": "answer",
        "schema": SCHEMA,
        "strict": True,
        "description": "A number",
    }


def test_any_json() -> None:
    assert sent("Say it in JSON", response_format="json")["text"] == {"format": {"type": "json_object"}}


def test_a_wire_without_schemas_says_them_in_the_prompt() -> None:
    wire = ResponsesWire(structured="prompt")
    body = sent(wire=wire, response_format=JsonSchema(SCHEMA))
    assert "text" not in body
    assert '"integer"' in body["instructions"]
    assert sent(wire=ResponsesWire(structured="json_object"), response_format=JsonSchema(SCHEMA))["text"] == {
        "format": {"type": "json_object"}
    }


@pytest.mark.parametrize(
    ("fields", "parameter"),
    [
        ({"stop": ["x"]}, "stop"),
        ({"seed": 1}, "seed"),
        ({"reasoning": Reasoning(budget_tokens=100)}, "reasoning.budget_tokens"),
        ({"messages": [Message("user", "Hi", name="Ann")]}, "name"),
    ],
)
def test_what_the_dialect_cannot_say_is_left_out_with_a_warning(
    fields: dict[str, Any], parameter: str
) -> None:
    assert warned(**fields) == [parameter]
    assert not {"stop", "seed", "reasoning"} & set(sent(**fields))


def test_what_a_vendor_does_not_take_is_left_out_with_a_warning() -> None:
    wire = ResponsesWire(without=frozenset({"temperature"}))
    assert warned(wire=wire, temperature=1) == ["temperature"]
    assert "temperature" not in sent(wire=wire, temperature=1)


def test_a_vendors_constants_are_sent() -> None:
    assert sent(wire=ResponsesWire(constants={"truncation": "auto"}))["truncation"] == "auto"


@pytest.mark.parametrize(
    "message",
    [
        Message.user(Audio(b"RIFF", "audio/wav")),
        Message.assistant(Image(url="https://x.test/a.png")),
    ],
)
def test_what_would_change_the_meaning_is_refused_before_anything_is_sent(message: Message) -> None:
    with pytest.raises(UnsupportedFeatureError):
        sent([Message.user("Hi"), message])


@pytest.mark.parametrize(
    ("missing", "fields"),
    [
        ("tools", {"tools": [WEATHER]}),
        ("images", {"messages": [Message.user(Image(url="https://x.test/a.png"))]}),
        ("files", {"messages": [Message.user(File(file_id="f"))]}),
        ("structured_output", {"response_format": JsonSchema(SCHEMA)}),
    ],
)
def test_a_vendor_without_a_feature_refuses_it(missing: str, fields: dict[str, Any]) -> None:
    wire = ResponsesWire(features=WIRE.features - {missing})
    with pytest.raises(UnsupportedFeatureError):
        sent(wire=wire, **fields)
    assert sent(**fields)


def test_embeddings_and_models_are_those_of_the_chat_dialect() -> None:
    assert WIRE.encode_embed(EmbeddingRequest(["a"], "m")).http.path == "/embeddings"
    assert WIRE.encode_models().http.path == "/models"
