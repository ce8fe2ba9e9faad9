"""The OpenAI dialect, upwards: every feature as it is sent, every parameter that is not, every refusal."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmcore.errors import UnsupportedFeatureError
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
    ToolResult,
)
from llmcore.wire.openai import FEATURES, OpenAIWire
from llmcore.wire.structured import ANSWER_TOOL

WIRE = OpenAIWire()
FULL = OpenAIWire(
    features=FEATURES | {"files", "file_urls", "audio", "refusal", "tool_images", "assistant_images"}
)
WEATHER = Tool(
    "weather", "Tells the weather.", {"type": "object", "properties": {"city": {"type": "string"}}}
)
SCHEMA = JsonSchema({"type": "object", "properties": {"n": {"type": "integer"}}}, name="count")


def body(wire: OpenAIWire = WIRE, messages: Any = "hi", *, stream: bool = False, **fields: Any) -> Any:
    request = GenerationRequest(messages, **{"model": "m", **fields})
    encoded = wire.encode_generate(request, stream=stream)
    assert encoded.http.body is not None
    return json.loads(encoded.http.body)


def warned(wire: OpenAIWire = WIRE, messages: Any = "hi", **fields: Any) -> list[str]:
    request = GenerationRequest(messages, model="m", **fields)
    return [warning.parameter for warning in wire.encode_generate(request, stream=False).warnings]


def sent(*parts: Any, role: str = "user", wire: OpenAIWire = FULL) -> Any:
    return body(wire, [Message(role, parts)])["messages"][0]  # type: ignore[arg-type]


def test_the_smallest_request() -> None:
    encoded = WIRE.encode_generate(GenerationRequest("hi", model="m"), stream=False)
    assert encoded.http.method == "POST"
    assert encoded.http.path == "/chat/completions"
    assert encoded.http.body == b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'
    assert encoded.warnings == ()


def test_without_a_model_the_server_chooses() -> None:
    assert "model" not in body(model=None)


def test_equal_requests_are_equal_bytes() -> None:
    def once() -> bytes | None:
        request = GenerationRequest("hi", model="m", tools=[WEATHER], seed=1, extra={"b": 1, "a": 2})
        return WIRE.encode_generate(request, stream=True).http.body

    assert once() == once()


def test_a_stream_asks_for_usage_where_the_vendor_knows_how() -> None:
    assert body(stream=True)["stream_options"] == {"include_usage": True}
    silent = body(OpenAIWire(stream_usage=False), stream=True)
    assert silent["stream"] is True
    assert "stream_options" not in silent


@pytest.mark.parametrize(
    ("field", "value", "name", "told"),
    [
        ("temperature", 0.0, "temperature", 0.0),
        ("top_p", 0.5, "top_p", 0.5),
        ("max_tokens", 7, "max_tokens", 7),
        ("stop", "x", "stop", ["x"]),
        ("seed", 0, "seed", 0),
        ("reasoning", "low", "reasoning_effort", "low"),
    ],
)
def test_parameters(field: str, value: Any, name: str, told: Any) -> None:
    assert body(**{field: value})[name] == told
    assert warned(**{field: value}) == []


def test_parameters_under_other_names() -> None:
    wire = OpenAIWire(max_tokens_field="max_completion_tokens", seed_field="random_seed")
    told = body(wire, max_tokens=7, seed=3)
    assert (told["max_completion_tokens"], told["random_seed"]) == (7, 3)
    assert not {"max_tokens", "seed"} & told.keys()


@pytest.mark.parametrize(
    ("name", "value"), [("temperature", 0.1), ("top_p", 0.2), ("max_tokens", 1), ("stop", "x"), ("seed", 1)]
)
def test_a_parameter_that_the_vendor_does_not_take_is_told(name: str, value: Any) -> None:
    wire = OpenAIWire(without=frozenset({name}))
    assert warned(wire, **{name: value}) == [name]
    assert name not in body(wire, **{name: value})
    assert warned(wire) == []


def test_metadata_and_deadline_stay_here_and_extra_comes_last() -> None:
    told = body(metadata={"team": "x"}, deadline=3.0, temperature=1, extra={"temperature": 0, "user": "u"})
    assert told == {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "temperature": 0,
        "user": "u",
    }


def test_constants_and_headers_of_a_vendor_go_along() -> None:
    wire = OpenAIWire(constants={"safe": True}, headers={"x-app": "1"})
    encoded = wire.encode_generate(GenerationRequest("hi", model="m", extra={"safe": False}), stream=False)
    assert json.loads(encoded.http.body or b"")["safe"] is False
    assert body(wire)["safe"] is True
    assert encoded.http.headers == {"x-app": "1"}


# ----------------------------------------------------------------------------------------------- reasoning


@pytest.mark.parametrize(
    ("style", "asked", "told"),
    [
        ("effort", "high", {"reasoning_effort": "high"}),
        ("effort", Reasoning(), {}),
        ("nested", "high", {"reasoning": {"effort": "high"}}),
        ("nested", Reasoning(budget_tokens=9), {"reasoning": {"max_tokens": 9}}),
        ("nested", Reasoning(), {"reasoning": {"enabled": True}}),
        ("thinking", "none", {"thinking": {"type": "disabled"}}),
        ("thinking", "max", {"thinking": {"type": "enabled"}, "reasoning_effort": "max"}),
        ("enabled", "none", {"reasoning": {"enabled": False}}),
        ("enabled", "low", {"reasoning": {"enabled": True}, "reasoning_effort": "low"}),
    ],
)
def test_reasoning_in_every_style(style: Any, asked: Any, told: dict[str, Any]) -> None:
    found = body(OpenAIWire(reasoning=style), reasoning=asked)
    assert {key: found[key] for key in found.keys() - {"model", "messages"}} == told
    assert warned(OpenAIWire(reasoning=style), reasoning=asked) == []


def test_reasoning_that_cannot_be_asked_for_is_told() -> None:
    assert warned(OpenAIWire(reasoning="none"), reasoning="low") == ["reasoning"]
    assert warned(reasoning=Reasoning(budget_tokens=9)) == ["reasoning.budget_tokens"]
    both = Reasoning(effort="low", budget_tokens=9)
    assert warned(OpenAIWire(reasoning="nested"), reasoning=both) == ["reasoning.effort"]


@pytest.mark.parametrize(
    ("asked", "told"), [("minimal", "low"), ("medium", "high"), ("xhigh", "high"), ("low", "low")]
)
def test_an_effort_that_the_vendor_does_not_know_becomes_the_nearest(asked: Any, told: str) -> None:
    wire = OpenAIWire(efforts=("low", "high"))
    assert body(wire, reasoning=asked)["reasoning_effort"] == told
    assert warned(wire, reasoning=asked) == ([] if asked == told else ["reasoning.effort"])


# ---------------------------------------------------------------------------------------------------- tools


def test_tools() -> None:
    told = body(tools=[WEATHER, Tool("now", strict=True)])
    assert told["tools"] == [
        {
            "type": "function",
            "function": {
                "name": "weather",
                "description": "Tells the weather.",
                "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
            },
        },
        {
            "type": "function",
            "function": {
                "name": "now",
                "parameters": {"type": "object", "properties": {}},
                "strict": True,
            },
        },
    ]
    assert "tool_choice" not in told


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        ("auto", "auto"),
        ("none", "none"),
        ("required", "required"),
        ("weather", {"type": "function", "function": {"name": "weather"}}),
    ],
)
def test_tool_choice(choice: str, told: Any) -> None:
    assert body(tools=[WEATHER], tool_choice=choice)["tool_choice"] == told


def test_a_vendor_with_another_word_for_required() -> None:
    assert (
        body(OpenAIWire(required_word="any"), tools=[WEATHER], tool_choice="required")["tool_choice"] == "any"
    )


def test_parallel_tool_calls() -> None:
    assert body(tools=[WEATHER], parallel_tool_calls=False)["parallel_tool_calls"] is False
    plain = OpenAIWire(without=frozenset({"parallel_tool_calls", "strict"}))
    asked: dict[str, Any] = {"tools": [Tool("now", strict=True)], "parallel_tool_calls": False}
    assert warned(plain, **asked) == ["tools.strict", "parallel_tool_calls"]
    assert "strict" not in body(plain, **asked)["tools"][0]["function"]


def test_tools_where_there_are_none() -> None:
    with pytest.raises(UnsupportedFeatureError, match="no tools"):
        body(OpenAIWire(features=FEATURES - {"tools"}), tools=[WEATHER])


# ------------------------------------------------------------------------------------------ structured output


def test_a_schema_natively() -> None:
    assert body(response_format=SCHEMA)["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "count", "schema": dict(SCHEMA.schema), "strict": True},
    }
    described = JsonSchema(SCHEMA.schema, description="A number.", strict=False)
    told = body(response_format=described)["response_format"]["json_schema"]
    assert (told["description"], told["strict"]) == ("A number.", False)


def test_any_json_natively() -> None:
    assert body(messages="JSON, please", response_format="json")["response_format"] == {"type": "json_object"}
    assert warned(messages="JSON, please", response_format="json") == []


def test_any_json_needs_the_word_in_the_prompt() -> None:
    told = body(response_format="json")
    assert "JSON" in told["messages"][0]["content"]
    assert warned(response_format="json") == ["response_format"]


def test_any_json_where_only_schemas_are_known() -> None:
    told = body(OpenAIWire(json_object=False), messages="JSON, please", response_format="json")
    assert told["response_format"]["json_schema"] == {"name": "answer", "schema": {"type": "object"}}


def test_a_schema_by_json_object_and_prompt() -> None:
    told = body(OpenAIWire(structured="json_object"), response_format=SCHEMA)
    assert told["response_format"] == {"type": "json_object"}
    assert '"integer"' in told["messages"][0]["content"]


def test_a_schema_by_prompt_alone() -> None:
    told = body(OpenAIWire(structured="prompt"), response_format=SCHEMA)
    assert "response_format" not in told
    assert '"integer"' in told["messages"][0]["content"]


@pytest.mark.parametrize(
    ("tools", "choice", "told"),
    [
        ([], None, {"type": "function", "function": {"name": ANSWER_TOOL}}),
        ([WEATHER], None, "required"),
        ([WEATHER], "none", {"type": "function", "function": {"name": ANSWER_TOOL}}),
        ([WEATHER], "weather", {"type": "function", "function": {"name": "weather"}}),
    ],
)
def test_a_schema_by_a_tool(tools: list[Tool], choice: str | None, told: Any) -> None:
    found = body(OpenAIWire(structured="tool"), response_format=SCHEMA, tools=tools, tool_choice=choice)
    assert found["tools"][-1]["function"]["name"] == ANSWER_TOOL
    assert found["tool_choice"] == told
    assert "response_format" not in found


def test_a_schema_where_there_is_no_way() -> None:
    with pytest.raises(UnsupportedFeatureError, match="structured"):
        body(OpenAIWire(features=FEATURES - {"structured_output"}), response_format=SCHEMA)


# ------------------------------------------------------------------------------------------------- messages


def test_roles() -> None:
    told = body(
        messages=[
            Message.system("be", " kind"),
            Message.user("a", "b"),
            Message.assistant("c"),
            Message.user("d"),
        ]
    )
    assert told["messages"] == [
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": "ab"},
        {"role": "assistant", "content": "c"},
        {"role": "user", "content": "d"},
    ]
    developer = body(OpenAIWire(system_role="developer"), [Message.system("x"), Message.user("y")])
    assert developer["messages"][0]["role"] == "developer"


def test_names() -> None:
    messages = [Message("user", "hi", name="ann")]
    assert body(messages=messages)["messages"][0]["name"] == "ann"
    nameless = OpenAIWire(without=frozenset({"name"}))
    assert "name" not in body(nameless, messages)["messages"][0]
    assert warned(nameless, messages) == ["name"]


@pytest.mark.parametrize(
    ("part", "told"),
    [
        (Image(url="https://x/y.png"), {"type": "image_url", "image_url": {"url": "https://x/y.png"}}),
        (
            Image(data=b"\x89P", media_type="image/jpeg", detail="low"),
            {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,iVA=", "detail": "low"}},
        ),
        (File(file_id="f1"), {"type": "file", "file": {"file_id": "f1"}}),
        (
            File(data=b"%P", media_type="application/pdf", filename="a.pdf"),
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVA="}},
        ),
        (
            File(url="https://x/a.pdf"),
            {"type": "file", "file": {"filename": "file", "file_data": "https://x/a.pdf"}},
        ),
        (
            Audio(b"RI", "audio/wav"),
            {"type": "input_audio", "input_audio": {"data": "Ukk=", "format": "wav"}},
        ),
        (
            Audio(b"ID", "audio/mpeg"),
            {"type": "input_audio", "input_audio": {"data": "SUQ=", "format": "mp3"}},
        ),
        (
            Opaque({"type": "video_url", "video_url": {"url": "u"}}, "openai"),
            {"type": "video_url", "video_url": {"url": "u"}},
        ),
    ],
)
def test_content_parts(part: Any, told: Any) -> None:
    assert sent(Text("see"), part)["content"] == [{"type": "text", "text": "see"}, told]


@pytest.mark.parametrize(
    ("part", "features"),
    [
        (Image(url="https://x"), frozenset[str]()),
        (File(file_id="f"), FEATURES),
        (File(url="https://x"), FEATURES | {"files"}),
        (Audio(b"x", "audio/wav"), FEATURES),
        (Audio(b"x", "audio/flac"), FEATURES | {"audio"}),
    ],
)
def test_what_the_vendor_cannot_read_is_refused_before_it_is_sent(
    part: Any, features: frozenset[str]
) -> None:
    with pytest.raises(UnsupportedFeatureError):
        sent(part, wire=OpenAIWire(features=features))


def test_the_detail_of_an_image_where_it_is_not_known() -> None:
    wire = OpenAIWire(without=frozenset({"detail"}))
    picture = [Message.user(Image(url="https://x", detail="high"))]
    assert "detail" not in body(wire, picture)["messages"][0]["content"][0]["image_url"]
    assert warned(wire, picture) == ["detail"]


def test_another_vendors_block_is_left_out_and_told() -> None:
    messages = [Message.user("hi", Opaque({"type": "document"}, "anthropic"))]
    assert body(messages=messages)["messages"][0]["content"] == [{"type": "text", "text": "hi"}]
    assert warned(messages=messages) == ["messages"]


CALL = ToolCall("c1", "weather", '{"city":"Oslo"}')
TURN = [Message.user("?"), Message.assistant(CALL), Message.tool("c1", "rain")]


def test_a_tool_turn() -> None:
    assert body(messages=TURN)["messages"][1:] == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "c1",
                    "type": "function",
                    "function": {"name": "weather", "arguments": '{"city":"Oslo"}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "rain"},
    ]


def test_several_results_are_several_messages() -> None:
    results = Message("tool", (ToolResult("a", "1"), ToolResult("b", [Text("2"), Text("3")])))
    told = body(
        messages=[Message.user("?"), Message.assistant(ToolCall("a", "f"), ToolCall("b", "f")), results]
    )
    assert [(m["tool_call_id"], m["content"]) for m in told["messages"][2:]] == [("a", "1"), ("b", "23")]


def test_a_result_that_is_an_error_is_told() -> None:
    messages = [*TURN[:2], Message.tool("c1", "no net", is_error=True)]
    assert warned(messages=messages) == ["messages.is_error"]


def test_pictures_in_tool_results() -> None:
    messages = [*TURN[:2], Message.tool("c1", [Image(url="https://x")])]
    assert body(FULL, messages)["messages"][2]["content"][0]["type"] == "image_url"
    with pytest.raises(UnsupportedFeatureError, match="nothing but text"):
        body(messages=messages)


def test_empty_arguments_go_back_as_an_object() -> None:
    told = sent(ToolCall("c", "f", ""), role="assistant")
    assert told["tool_calls"][0]["function"]["arguments"] == "{}"


def test_long_ids_are_shortened_alike_in_calls_and_results() -> None:
    long = "toolu_" + "x" * 60
    messages = [Message.user("?"), Message.assistant(ToolCall(long, "f")), Message.tool(long, "1")]
    told = body(OpenAIWire(max_call_id=40), messages)["messages"]
    assert told[1]["tool_calls"][0]["id"] == told[2]["tool_call_id"]
    assert len(told[2]["tool_call_id"]) == 40
    assert body(messages=messages)["messages"][2]["tool_call_id"] == long


def test_refusals_go_back_in_their_field_or_as_text() -> None:
    assert sent(Refusal("no"), role="assistant") == {"role": "assistant", "content": None, "refusal": "no"}
    assert sent(Refusal("no"), role="assistant", wire=WIRE) == {"role": "assistant", "content": "no"}


def test_an_empty_assistant_message() -> None:
    assert sent(role="assistant") == {"role": "assistant", "content": ""}


def test_pictures_of_the_assistant() -> None:
    told = sent(Text("here"), Image(url="data:image/png;base64,AA=="), role="assistant")
    assert told["content"] == "here"
    assert told["images"] == [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]
    with pytest.raises(UnsupportedFeatureError):
        sent(Image(url="https://x"), role="assistant", wire=WIRE)


def test_citations_do_not_go_back() -> None:
    told = sent(Text("so"), Opaque({"citations": ["https://x"]}, "openai"), role="assistant")
    assert told == {"role": "assistant", "content": "so"}


def test_a_spoken_answer_goes_back_by_its_id() -> None:
    spoken = Opaque({"audio": {"id": "a1", "data": "AA=="}}, "openai")
    assert sent(Text("hello"), spoken, role="assistant")["audio"] == {"id": "a1"}
    assert "audio" not in sent(Text("hello"), spoken, role="assistant", wire=WIRE)


# ------------------------------------------------------------------------------------------ reasoning, back


def test_plain_reasoning_goes_back_with_its_calls_in_its_field() -> None:
    thought = Thinking("hm", raw="reasoning_content", origin="openai")
    assert sent(thought, CALL, role="assistant")["reasoning_content"] == "hm"
    assert sent(thought, Text("x"), role="assistant") == {"role": "assistant", "content": "x"}


def test_details_go_back_whole_and_in_order() -> None:
    parts = (
        Thinking("hm", raw=[{"type": "reasoning.text", "text": "hm"}], origin="openai"),
        Text("x"),
        Thinking("", redacted=True, raw=[{"type": "reasoning.encrypted", "data": "zz"}], origin="openai"),
    )
    told = sent(*parts, role="assistant")
    assert [item["type"] for item in told["reasoning_details"]] == ["reasoning.text", "reasoning.encrypted"]
    assert told["content"] == "x"


def test_thinking_blocks_go_back_into_the_content() -> None:
    block = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "s", "signature": "z"}]}
    parts = (
        Thinking("hm", raw="thinking", origin="openai"),
        Thinking("s", raw=block, origin="openai"),
        Text("x"),
    )
    assert sent(*parts, role="assistant")["content"] == [
        {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
        block,
        {"type": "text", "text": "x"},
    ]


@pytest.mark.parametrize(
    ("thought", "wire"),
    [
        (Thinking("hm", raw="reasoning", origin="other"), WIRE),
        (Thinking("hm", signature="s", origin="anthropic"), WIRE),
        (Thinking("hm"), WIRE),
        (Thinking("hm", raw=[{"type": "reasoning.text"}], origin="openai"), OpenAIWire(reasoning_back=False)),
    ],
)
def test_reasoning_that_is_not_the_vendors_stays_here(thought: Thinking, wire: OpenAIWire) -> None:
    told = sent(thought, CALL, role="assistant", wire=wire)
    assert told.keys() == {"role", "content", "tool_calls"}
    strange = thought.origin in {"other", "anthropic"}
    found = warned(wire, [Message.user("?"), Message.assistant(thought, CALL)])
    assert found == (["messages.thinking"] if strange else [])


def test_a_thought_signature_goes_back_with_its_call() -> None:
    signed = ToolCall("c", "f", "{}", signature="sig", origin="openai")
    assert sent(signed, role="assistant")["tool_calls"][0]["extra_content"] == {
        "google": {"thought_signature": "sig"}
    }
    foreign = ToolCall("c", "f", "{}", signature="sig", origin="gemini")
    assert "extra_content" not in sent(foreign, role="assistant")["tool_calls"][0]


# ------------------------------------------------------------------------------------ embeddings and models


def embed(wire: OpenAIWire = WIRE, **fields: Any) -> tuple[Any, list[str]]:
    encoded = wire.encode_embed(EmbeddingRequest(["a", "b"], model="e", **fields))
    assert encoded.http.path == "/embeddings"
    return json.loads(encoded.http.body or b""), [warning.parameter for warning in encoded.warnings]


def test_embeddings() -> None:
    assert embed() == ({"model": "e", "input": ["a", "b"]}, [])
    assert embed(dimensions=8)[0]["dimensions"] == 8
    assert embed(OpenAIWire(dimensions_field="output_dimension"), dimensions=8)[0]["output_dimension"] == 8
    assert embed(OpenAIWire(embed_base64=True))[0]["encoding_format"] == "base64"
    assert embed(extra={"user": "u"})[0]["user"] == "u"


def test_what_embeddings_cannot_be_asked_is_told() -> None:
    assert embed(input_type="query") == ({"model": "e", "input": ["a", "b"]}, ["input_type"])
    assert embed(OpenAIWire(input_type_field="input_type"), input_type="query")[0]["input_type"] == "query"
    assert embed(OpenAIWire(without=frozenset({"dimensions"})), dimensions=3)[1] == ["dimensions"]


def test_a_vendor_without_embeddings_or_models() -> None:
    bare = OpenAIWire(features=frozenset())
    with pytest.raises(UnsupportedFeatureError):
        bare.encode_embed(EmbeddingRequest("a"))
    with pytest.raises(UnsupportedFeatureError):
        bare.encode_models()


def test_models_are_asked_for() -> None:
    encoded = WIRE.encode_models()
    assert (encoded.http.method, encoded.http.path, encoded.http.body) == ("GET", "/models", None)
