"""Gemini requests: one golden case for every feature of the dialect, every warning and every refusal."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmcore.errors import InvalidRequestError, UnsupportedFeatureError
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
from llmcore.wire.gemini import GeminiWire

WIRE = GeminiWire()
PNG = b"\x89PNG\r\n\x1a\n"
PNG64 = "iVBORw0KGgo="


def request(*messages: Message, **fields: Any) -> GenerationRequest:
    return GenerationRequest(messages or (Message.user("hi"),), **{"model": "gemini-2.5-flash", **fields})


def body(*messages: Message, **fields: Any) -> dict[str, Any]:
    encoded = WIRE.encode_generate(request(*messages, **fields), stream=False)
    assert encoded.http.body is not None
    value: dict[str, Any] = json.loads(encoded.http.body)
    return value


def warned(*messages: Message, **fields: Any) -> list[str]:
    encoded = WIRE.encode_generate(request(*messages, **fields), stream=False)
    return [warning.parameter for warning in encoded.warnings]


def config(**fields: Any) -> Any:
    return body(**fields)["generationConfig"]


def parts(*given: Any) -> Any:
    (content,) = body(Message.user(*given))["contents"]
    return content["parts"]


def test_plain_text() -> None:
    encoded = WIRE.encode_generate(request(), stream=False)
    assert encoded.http.method == "POST"
    assert encoded.http.path == "/models/gemini-2.5-flash:generateContent"
    assert encoded.http.body == b'{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}'
    assert encoded.warnings == ()


def test_streaming_asks_for_server_sent_events() -> None:
    encoded = WIRE.encode_generate(request(), stream=True)
    assert encoded.http.path == "/models/gemini-2.5-flash:streamGenerateContent?alt=sse"
    assert encoded.http.body == WIRE.encode_generate(request(), stream=False).http.body


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("gemini-2.5-pro", "/models/gemini-2.5-pro"),
        ("models/gemini-2.5-pro", "/models/gemini-2.5-pro"),
        ("/models/gemini-2.5-pro", "/models/gemini-2.5-pro"),
        ("tunedModels/my-tune", "/tunedModels/my-tune"),
        ("publishers/google/models/gemini-3-pro", "/publishers/google/models/gemini-3-pro"),
        ("projects/p/locations/eu/endpoints/7", "/projects/p/locations/eu/endpoints/7"),
        ("org/model:free", "/models/org%2Fmodel%3Afree"),
        ("models/a/b", "/models/a%2Fb"),
        ("publishers/../x", "/models/publishers%2F..%2Fx"),
        ("models/..", "/models/models%2F.."),
        ("a?key=b#c", "/models/a%3Fkey%3Db%23c"),
        ("publishers/g\r\nx/y", "/publishers/g%0D%0Ax/y"),
        ("modèle", "/models/mod%C3%A8le"),
    ],
)
def test_model_ids_are_quoted(model: str, path: str) -> None:
    encoded = WIRE.encode_generate(request(model=model), stream=False)
    assert encoded.http.path == path + ":generateContent"


def test_a_model_is_needed() -> None:
    with pytest.raises(InvalidRequestError, match="model"):
        WIRE.encode_generate(request(model=None), stream=False)


def test_another_root_stands_before_the_path() -> None:
    wire = GeminiWire(root="https://generativelanguage.googleapis.com/v1")
    encoded = wire.encode_generate(request(), stream=False)
    assert encoded.http.path.startswith(
        "https://generativelanguage.googleapis.com/v1/models/gemini-2.5-flash:"
    )
    assert wire.encode_models().http.path.startswith("https://generativelanguage.googleapis.com/v1/models?")


# ------------------------------------------------------------------------------------------------- messages


def test_system_text_stands_apart() -> None:
    sent = body(Message.system("be brief", "be kind"), Message.user("hi"))
    assert sent["systemInstruction"] == {"parts": [{"text": "be brief"}, {"text": "be kind"}]}
    assert len(sent["contents"]) == 1


def test_a_late_system_message_moves_to_the_front_with_a_warning() -> None:
    messages = (Message.user("hi"), Message.system("be brief"), Message.user("go"))
    assert body(*messages)["systemInstruction"] == {"parts": [{"text": "be brief"}]}
    assert warned(*messages) == ["messages"]


def test_roles() -> None:
    sent = body(Message.user("a"), Message.assistant("b"), Message.user("c"))
    assert [content["role"] for content in sent["contents"]] == ["user", "model", "user"]


def test_a_message_with_nothing_to_send_is_left_out() -> None:
    sent = body(Message.user("a"), Message.assistant(Thinking("hm", origin="anthropic")), Message.user("c"))
    assert [content["role"] for content in sent["contents"]] == ["user", "user"]


def test_names_of_speakers_are_dropped_with_a_warning() -> None:
    assert warned(Message("user", "hi", name="ann")) == ["messages.name"]


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (Image(data=PNG, media_type="image/x"), {"inlineData": {"mimeType": "image/x", "data": PNG64}}),
        (Image(data=PNG), {"inlineData": {"mimeType": "image/png", "data": PNG64}}),
        (Image(data=b"\xff\xd8\xff"), {"inlineData": {"mimeType": "image/jpeg", "data": "/9j/"}}),
        (Image(data=b"RIFF0000WEBP"), {"inlineData": {"mimeType": "image/webp", "data": "UklGRjAwMDBXRUJQ"}}),
        (
            Image(url=f"data:image/png;base64,{PNG64}"),
            {"inlineData": {"mimeType": "image/png", "data": PNG64}},
        ),
        (Image(url="data:,a%20b"), {"inlineData": {"mimeType": "text/plain", "data": "YSBi"}}),
        (
            Image(url="https://x.org/a.jpg?s=1"),
            {"fileData": {"mimeType": "image/jpeg", "fileUri": "https://x.org/a.jpg?s=1"}},
        ),
        (
            Image(url="https://x.org/a.webp"),
            {"fileData": {"mimeType": "image/webp", "fileUri": "https://x.org/a.webp"}},
        ),
        (Image(url="https://x.org/a"), {"fileData": {"fileUri": "https://x.org/a"}}),
        (
            Image(url="gs://b/a", media_type="image/png"),
            {"fileData": {"mimeType": "image/png", "fileUri": "gs://b/a"}},
        ),
        (
            File(data=b"%PDF-1.7"),
            {"inlineData": {"mimeType": "application/pdf", "data": "JVBERi0xLjc="}},
        ),
        (
            File(data=b"a,b", filename="t.csv"),
            {"inlineData": {"mimeType": "text/csv", "data": "YSxi"}},
        ),
        (
            File(data=b"\0"),
            {"inlineData": {"mimeType": "application/octet-stream", "data": "AA=="}},
        ),
        (
            File(url="https://x.org/a.pdf"),
            {"fileData": {"mimeType": "application/pdf", "fileUri": "https://x.org/a.pdf"}},
        ),
        (
            File(file_id="files/abc", media_type="video/mp4"),
            {
                "fileData": {
                    "mimeType": "video/mp4",
                    "fileUri": "https://generativelanguage.googleapis.com/v1beta/files/abc",
                }
            },
        ),
        (
            File(file_id="abc"),
            {"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/abc"}},
        ),
        (File(file_id="https://h/v1/files/abc"), {"fileData": {"fileUri": "https://h/v1/files/abc"}}),
        (Audio(b"\0", "audio/wav"), {"inlineData": {"mimeType": "audio/wav", "data": "AA=="}}),
    ],
)
def test_media(part: Any, expected: Any) -> None:
    assert parts("look", part) == [{"text": "look"}, expected]


@pytest.mark.parametrize("url", ["ftp://x/a.png", "file:///etc/passwd", "nonsense"])
def test_addresses_that_google_does_not_fetch(url: str) -> None:
    with pytest.raises(UnsupportedFeatureError):
        parts(Image(url=url))


@pytest.mark.parametrize("url", ["data:image/png;base64", "data:;base64,a", "https://[x"])
def test_broken_addresses(url: str) -> None:
    with pytest.raises(InvalidRequestError):
        parts(Image(url=url))


def test_image_detail_is_dropped_with_a_warning() -> None:
    image = Image(data=PNG, detail="low")
    assert warned(Message.user(image)) == ["messages.image.detail"]
    assert warned(Message.user(Image(data=PNG, detail="auto"))) == []


def test_signatures_ride_on_their_own_part() -> None:
    sent = body(
        Message.user("q"),
        Message.assistant(
            Thinking("hm", signature="s1", origin="gemini"),
            Text("a", signature="s2", origin="gemini"),
            ToolCall("x1", "f", "{}", signature="s3", origin="gemini"),
            Text("", signature="s4", origin="gemini"),
        ),
    )["contents"][1]["parts"]
    assert sent == [
        {"text": "hm", "thought": True, "thoughtSignature": "s1"},
        {"text": "a", "thoughtSignature": "s2"},
        {"functionCall": {"id": "x1", "name": "f", "args": {}}, "thoughtSignature": "s3"},
        {"text": "", "thoughtSignature": "s4"},
    ]


def test_signatures_of_others_stay_here() -> None:
    sent = body(
        Message.user("q"),
        Message.assistant(
            Thinking("hm", signature="s1", origin="anthropic"),
            Text("a", signature="s2", origin="other"),
            Text("", signature="s2"),
            ToolCall("x1", "f", "{}", signature="s3", origin="openai"),
        ),
    )["contents"][1]["parts"]
    assert sent == [{"text": "a"}, {"functionCall": {"id": "x1", "name": "f", "args": {}}}]


def test_an_image_keeps_its_signature() -> None:
    mark = Opaque({"thoughtSignature": "s"}, "gemini")
    (sent,) = body(Message.user("q"), Message.assistant(Image(data=PNG), mark))["contents"][1]["parts"]
    assert sent == {"inlineData": {"mimeType": "image/png", "data": PNG64}, "thoughtSignature": "s"}


def test_own_blocks_go_back_and_others_are_left_out_with_a_warning() -> None:
    own = {"executableCode": {"language": "PYTHON", "code": "1"}}
    messages = (Message.user("q"), Message.assistant(Opaque(own, "gemini"), Opaque({"a": 1}, "anthropic")))
    assert body(*messages)["contents"][1]["parts"] == [own]
    assert warned(*messages) == ["messages"]


def test_a_refusal_goes_back_as_text() -> None:
    assert body(Message.user("q"), Message.assistant(Refusal("no")))["contents"][1]["parts"] == [
        {"text": "no"}
    ]


# ---------------------------------------------------------------------------------------------------- tools

WEATHER = Tool("weather", "Says the weather.", {"type": "object", "properties": {"city": {"type": "string"}}})


def test_tools_keep_their_json_schema() -> None:
    assert body(tools=[WEATHER, Tool("now")])["tools"] == [
        {
            "functionDeclarations": [
                {
                    "name": "weather",
                    "description": "Says the weather.",
                    "parametersJsonSchema": {"type": "object", "properties": {"city": {"type": "string"}}},
                },
                {"name": "now", "parametersJsonSchema": {"type": "object", "properties": {}}},
            ]
        }
    ]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", {"mode": "AUTO"}),
        ("none", {"mode": "NONE"}),
        ("required", {"mode": "ANY"}),
        ("weather", {"mode": "ANY", "allowedFunctionNames": ["weather"]}),
    ],
)
def test_tool_choice(choice: str, expected: Any) -> None:
    sent = body(tools=[WEATHER], tool_choice=choice)
    assert sent["toolConfig"] == {"functionCallingConfig": expected}


def test_tool_choice_without_tools_says_nothing() -> None:
    assert "toolConfig" not in body(tool_choice="auto")


def turn(*results: ToolResult, calls: tuple[ToolCall, ...], **fields: Any) -> Any:
    messages = (Message.user("q"), Message.assistant(*calls), *(Message("tool", (r,)) for r in results))
    return body(*messages, **fields)["contents"]


def test_a_tool_turn() -> None:
    contents = turn(ToolResult("id7", "sunny"), calls=(ToolCall("id7", "weather", '{"city":"Bern"}'),))
    assert contents[1:] == [
        {
            "role": "model",
            "parts": [{"functionCall": {"id": "id7", "name": "weather", "args": {"city": "Bern"}}}],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"id": "id7", "name": "weather", "response": {"result": "sunny"}}}
            ],
        },
    ]


def test_local_ids_are_not_sent_and_results_stand_in_the_order_of_their_calls() -> None:
    contents = turn(
        ToolResult("call_1", "b"),
        ToolResult("call_0", "a"),
        calls=(ToolCall("call_0", "f"), ToolCall("call_1", "f")),
    )
    assert contents[1]["parts"] == [{"functionCall": {"name": "f", "args": {}}}] * 2
    assert contents[2]["parts"] == [
        {"functionResponse": {"name": "f", "response": {"result": "a"}}},
        {"functionResponse": {"name": "f", "response": {"result": "b"}}},
    ]
    assert len(contents) == 3


def test_ids_that_come_again_in_a_later_turn_do_not_mix_up_its_results() -> None:
    """Ids of our own begin anew with every answer of the vendor's."""
    calls = (ToolCall("call_0", "f"), ToolCall("call_1", "f"))
    contents = body(
        Message.user("q"),
        Message("assistant", calls),
        Message("tool", (ToolResult("call_0", "a"), ToolResult("call_1", "b"))),
        Message.user("again"),
        Message("assistant", calls),
        Message("tool", (ToolResult("call_1", "d"), ToolResult("call_0", "c"))),
    )["contents"]
    found = [
        part["functionResponse"]["response"]["result"]
        for content in contents
        for part in content["parts"]
        if "functionResponse" in part
    ]
    assert found == ["a", "b", "c", "d"]


def test_a_user_message_after_results_is_a_turn_of_its_own() -> None:
    sent = body(
        Message.user("q"),
        Message.assistant(ToolCall("a", "f")),
        Message.tool("a", "1"),
        Message.user("and?"),
    )["contents"]
    assert [content["role"] for content in sent] == ["user", "model", "user", "user"]


@pytest.mark.parametrize(
    ("result", "response"),
    [
        (ToolResult("a", "text"), {"result": "text"}),
        (ToolResult("a", ""), {"result": ""}),
        (ToolResult("a", '{"x": [1, null]}'), {"x": [1, None]}),
        (ToolResult("a", "{}"), {}),
        (ToolResult("a", "[1]"), {"result": "[1]"}),
        (ToolResult("a", "{broken"), {"result": "{broken"}),
        (ToolResult("a", "boom", is_error=True), {"error": "boom"}),
        (ToolResult("a", '{"x": 1}', is_error=True), {"error": '{"x": 1}'}),
        (ToolResult("a", (Text("b"), Text("c"))), {"result": "bc"}),
    ],
)
def test_a_result_is_always_an_object(result: ToolResult, response: Any) -> None:
    (part,) = turn(result, calls=(ToolCall("a", "f"),))[2]["parts"]
    assert part["functionResponse"] == {"id": "a", "name": "f", "response": response}


def test_images_in_results() -> None:
    result = ToolResult("a", (Text("see"), Image(data=PNG)))
    (part,) = turn(result, calls=(ToolCall("a", "f"),))[2]["parts"]
    assert part["functionResponse"] == {
        "id": "a",
        "name": "f",
        "response": {"result": "see"},
        "parts": [{"inlineData": {"mimeType": "image/png", "data": PNG64}}],
    }


def test_the_nearest_earlier_call_names_the_function() -> None:
    sent = body(
        Message.user("q"),
        Message.assistant(ToolCall("call_0", "f")),
        Message.tool("call_0", "1"),
        Message.assistant(ToolCall("call_0", "g")),
        Message.tool("call_0", "2"),
    )["contents"]
    assert sent[2]["parts"][0]["functionResponse"]["name"] == "f"
    assert sent[4]["parts"][0]["functionResponse"]["name"] == "g"


def test_a_result_whose_function_nobody_knows() -> None:
    with pytest.raises(InvalidRequestError, match="which tool"):
        body(Message.user("q"), Message.tool("lost", "1"))
    sent = body(Message.user("q"), Message.tool("lost", "1", name="f"))["contents"]
    assert sent[1]["parts"][0]["functionResponse"]["name"] == "f"


@pytest.mark.parametrize("arguments", ["[1]", "not json", '{"a":', "null"])
def test_arguments_that_are_no_object_go_as_text_with_a_warning(arguments: str) -> None:
    messages = (Message.user("q"), Message.assistant(ToolCall("a", "f", arguments)))
    (part,) = body(*messages)["contents"][1]["parts"]
    assert part["functionCall"]["args"] == {"arguments": arguments}
    assert warned(*messages) == ["messages"]


def test_empty_arguments_are_an_empty_object() -> None:
    (part,) = turn(calls=(ToolCall("a", "f", ""),))[1]["parts"]
    assert part["functionCall"]["args"] == {}


# ----------------------------------------------- calls that another vendor's model made, for strict models


def signatures(contents: Any) -> list[Any]:
    return [part.get("thoughtSignature") for content in contents for part in content["parts"]]


def test_a_call_from_elsewhere_is_marked_for_models_that_refuse_unsigned_ones() -> None:
    contents = turn(
        ToolResult("a", "1"),
        ToolResult("b", "2"),
        calls=(ToolCall("a", "f"), ToolCall("b", "g")),
        model="gemini-3-pro-preview",
    )
    mark = "skip_thought_signature_validator"
    assert signatures(contents) == [None, mark, None, None, None]


def test_a_call_with_its_own_signature_needs_no_mark() -> None:
    call = ToolCall("a", "f", signature="s", origin="gemini")
    assert signatures(turn(calls=(call, ToolCall("b", "g")), model="gemini-3.5-flash")) == [None, "s", None]


def test_calls_of_earlier_turns_and_older_models_are_left_alone() -> None:
    call = Message.assistant(ToolCall("a", "f"))
    messages = (Message.user("q"), call, Message.tool("a", "1"), Message.user("and?"))
    assert signatures(body(*messages, model="gemini-3-pro")["contents"]) == [None] * 4
    assert signatures(turn(calls=(ToolCall("a", "f"),), model="gemini-2.5-pro")) == [None, None]
    assert signatures(turn(calls=(ToolCall("a", "f"),), model="gemini-flash-latest")) == [None, None]


# ------------------------------------------------------------------------------------------------- settings


def test_generation_config() -> None:
    assert config(temperature=0.0, top_p=0.5, max_tokens=7, stop=("a", "b"), seed=3) == {
        "temperature": 0.0,
        "topP": 0.5,
        "maxOutputTokens": 7,
        "stopSequences": ["a", "b"],
        "seed": 3,
    }


def test_json_answers() -> None:
    assert config(response_format="json") == {"responseMimeType": "application/json"}


def test_a_schema_passes_unchanged() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/A"}},
        "$defs": {"A": {"type": "string"}},
    }
    assert config(response_format=JsonSchema(schema)) == {
        "responseMimeType": "application/json",
        "responseJsonSchema": schema,
    }
    assert warned(response_format=JsonSchema(schema)) == []
    assert warned(response_format=JsonSchema(schema, description="d")) == ["response_format.description"]


@pytest.mark.parametrize(
    ("reasoning", "expected"),
    [
        ("none", {"thinkingBudget": 0}),
        ("minimal", {"thinkingLevel": "MINIMAL", "includeThoughts": True}),
        ("low", {"thinkingLevel": "LOW", "includeThoughts": True}),
        ("medium", {"thinkingLevel": "MEDIUM", "includeThoughts": True}),
        ("high", {"thinkingLevel": "HIGH", "includeThoughts": True}),
        ("xhigh", {"thinkingLevel": "XHIGH", "includeThoughts": True}),
        ("max", {"thinkingLevel": "XHIGH", "includeThoughts": True}),
        (Reasoning(), {"includeThoughts": True}),
        (Reasoning(budget_tokens=512), {"thinkingBudget": 512, "includeThoughts": True}),
        (Reasoning(budget_tokens=-1), {"thinkingBudget": -1, "includeThoughts": True}),
        (Reasoning(budget_tokens=0), {"thinkingBudget": 0}),
        (Reasoning("low", 512), {"thinkingBudget": 512, "includeThoughts": True}),
    ],
)
def test_reasoning(reasoning: Any, expected: Any) -> None:
    assert config(reasoning=reasoning) == {"thinkingConfig": expected}


@pytest.mark.parametrize(
    ("fields", "parameters"),
    [
        ({"parallel_tool_calls": False, "tools": [WEATHER]}, ["parallel_tool_calls"]),
        ({"parallel_tool_calls": True, "tools": [WEATHER]}, ["parallel_tool_calls"]),
        ({"tools": [Tool("f", strict=True)]}, ["tools.strict"]),
        ({"tools": [Tool("f", strict=False)]}, []),
        ({"reasoning": "max"}, ["reasoning.effort"]),
        ({"reasoning": "high"}, []),
        ({"reasoning": Reasoning("low", 5)}, ["reasoning.effort"]),
        ({"metadata": {"a": 1}, "deadline": 3.0}, []),
    ],
)
def test_what_cannot_be_said_is_warned_of(fields: Any, parameters: list[str]) -> None:
    assert warned(**fields) == parameters


def test_metadata_and_deadline_are_never_sent() -> None:
    assert body(metadata={"a": 1}, deadline=3.0) == body()


def test_extra_is_laid_over_the_body() -> None:
    sent = body(
        temperature=0.5,
        extra={"generationConfig": {"topK": 3}, "safetySettings": [{"category": "X"}], "cachedContent": "c"},
    )
    assert sent["generationConfig"] == {"temperature": 0.5, "topK": 3}
    assert sent["safetySettings"] == [{"category": "X"}]
    assert sent["cachedContent"] == "c"


def test_the_same_request_gives_the_same_bytes() -> None:
    asked = request(
        tools=[WEATHER], tool_choice="auto", temperature=1, response_format="json", reasoning="low"
    )
    first, second = (WIRE.encode_generate(asked, stream=True).http for _ in range(2))
    assert first == second
    assert first.body is not None
    assert list(json.loads(first.body)) == ["contents", "tools", "toolConfig", "generationConfig"]


# -------------------------------------------------------------------------------------- embeddings, models


def embed(**fields: Any) -> tuple[str, Any]:
    encoded = WIRE.encode_embed(EmbeddingRequest(**{"model": "gemini-embedding-001", **fields}))
    assert encoded.http.body is not None
    assert encoded.warnings == ()
    return encoded.http.path, json.loads(encoded.http.body)


def test_one_text_is_embedded_alone() -> None:
    assert embed(inputs="a") == (
        "/models/gemini-embedding-001:embedContent",
        {"model": "models/gemini-embedding-001", "content": {"parts": [{"text": "a"}]}},
    )


def test_many_texts_are_embedded_together() -> None:
    path, sent = embed(
        inputs=("a", "b"), model="models/m", dimensions=256, input_type="query", extra={"title": "t"}
    )
    assert path == "/models/m:batchEmbedContents"
    assert sent == {
        "requests": [
            {
                "model": "models/m",
                "content": {"parts": [{"text": text}]},
                "taskType": "RETRIEVAL_QUERY",
                "outputDimensionality": 256,
                "title": "t",
            }
            for text in ("a", "b")
        ]
    }


@pytest.mark.parametrize(
    ("word", "task"),
    [
        ("query", "RETRIEVAL_QUERY"),
        ("document", "RETRIEVAL_DOCUMENT"),
        ("clustering", "CLUSTERING"),
        ("SEMANTIC_SIMILARITY", "SEMANTIC_SIMILARITY"),
    ],
)
def test_input_types(word: str, task: str) -> None:
    assert embed(inputs="a", input_type=word)[1]["taskType"] == task


def test_models_are_listed_by_pages() -> None:
    assert WIRE.encode_models().http.path == "/models?pageSize=1000"
    assert WIRE.encode_models("a/b=&c").http.path == "/models?pageSize=1000&pageToken=a%2Fb%3D%26c"
    assert WIRE.encode_models().http.method == "GET"
    assert WIRE.encode_models().http.body is None
