"""Ollama's native wire: every field of a request, answers, streams, models, embeddings and errors."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmcore.errors import (
    AuthenticationError,
    ConfigurationError,
    ConnectionError,
    ContextLengthError,
    EndpointError,
    InvalidRequestError,
    MalformedResponseError,
    ModelNotFoundError,
    OverloadedError,
    ProviderError,
    RateLimitError,
    ServerError,
    StreamInterruptedError,
    UnsupportedFeatureError,
)
from llmcore.provider import Fold
from llmcore.providers.ollama import PLACE, base_url_of
from llmcore.types import (
    Audio,
    EmbeddingRequest,
    Event,
    File,
    Finished,
    GenerationRequest,
    GenerationResponse,
    Image,
    JsonSchema,
    Message,
    Opaque,
    Reasoning,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from llmcore.wire.ollama import OllamaWire

WIRE = OllamaWire()
ASKED = GenerationRequest("hi", model="qwen3:4b")
TOOL = Tool("add", "adds", {"type": "object", "properties": {"a": {"type": "integer"}}})


def sent(*messages: Message | str, stream: bool = False, **fields: Any) -> dict[str, Any]:
    """The body that is sent, warnings forbidden."""
    body, warned = sent_warned(*messages, stream=stream, **fields)
    assert warned == ()
    return body


def sent_warned(
    *messages: Message | str, stream: bool = False, **fields: Any
) -> tuple[dict[str, Any], tuple[str, ...]]:
    given = tuple(Message.user(m) if isinstance(m, str) else m for m in messages or ("hi",))
    encoded = WIRE.encode_generate(GenerationRequest(given, model="m", **fields), stream=stream)
    assert (encoded.http.method, encoded.http.path) == ("POST", "/api/chat")
    return json.loads(encoded.http.body or b""), tuple(warning.parameter for warning in encoded.warnings)


def lines(*values: Any) -> bytes:
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def piece(content: str = "", **message: Any) -> dict[str, Any]:
    return {
        "model": "m",
        "message": {"role": "assistant", "content": content, **message},
        "done": False,
    }


def end(reason: str | None = "stop", **fields: Any) -> dict[str, Any]:
    return {**piece(), "done": True, **({} if reason is None else {"done_reason": reason}), **fields}


def streamed(body: bytes) -> tuple[GenerationResponse, list[Event], ProviderError | None]:
    decoder = WIRE.event_decoder(ASKED)
    events = [*decoder.feed(body), *decoder.finish()]
    fold = Fold()
    for event in events:
        fold.add(event)
    return fold.response(), events, decoder.error


def answered(**fields: Any) -> GenerationResponse:
    return WIRE.decode_generate(json.dumps(fields).encode(), ASKED)


# ------------------------------------------------------------------------------------------------ requests


def test_a_plain_question_always_says_whether_it_streams() -> None:
    assert sent() == {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": False}
    assert sent(stream=True)["stream"] is True


def test_limits_are_options() -> None:
    body = sent(max_tokens=5, temperature=0.0, top_p=0.5, seed=7, stop=["a", "b"])
    assert body["options"] == {
        "num_predict": 5,
        "temperature": 0.0,
        "top_p": 0.5,
        "seed": 7,
        "stop": ["a", "b"],
    }


def test_extra_is_merged_into_the_options_one_level_deep() -> None:
    body = sent(max_tokens=5, extra={"options": {"num_ctx": 8192}, "keep_alive": "5m"})
    assert body["options"] == {"num_predict": 5, "num_ctx": 8192}
    assert body["keep_alive"] == "5m"


def test_metadata_and_deadline_are_not_sent() -> None:
    assert sent(metadata={"a": 1}, deadline=3.0) == sent()


def test_tools_and_their_results() -> None:
    call = ToolCall("c1", "add", '{"a": 1}')
    body = sent("go", Message.assistant("hm", call), Message.tool("c1", "2"), tools=[TOOL])
    assert body["tools"] == [
        {
            "type": "function",
            "function": {"name": "add", "description": "adds", "parameters": dict(TOOL.parameters)},
        }
    ]
    assert body["messages"][1:] == [
        {
            "role": "assistant",
            "content": "hm",
            "tool_calls": [{"id": "c1", "function": {"name": "add", "arguments": {"a": 1}}}],
        },
        {"role": "tool", "content": "2", "tool_name": "add", "tool_call_id": "c1"},
    ]


def test_every_tool_result_is_a_message_of_its_own() -> None:
    results = Message(
        "tool", (ToolResult("a", "1", name="x"), ToolResult("b", [Text("2"), Image(data=b"i")]))
    )
    calls = Message.assistant(ToolCall("a", "one"), ToolCall("b", "two"))
    assert sent("go", calls, results)["messages"][2:] == [
        {"role": "tool", "content": "1", "tool_name": "x", "tool_call_id": "a"},
        {"role": "tool", "content": "2", "images": ["aQ=="], "tool_name": "two", "tool_call_id": "b"},
    ]


def test_no_choice_leaves_the_tools_out_and_auto_sends_them() -> None:
    assert "tools" not in sent(tools=[TOOL], tool_choice="none")
    assert len(sent(tools=[TOOL], tool_choice="auto")["tools"]) == 1


@pytest.mark.parametrize("choice", ["required", "add"])
def test_a_forced_choice_is_refused(choice: str) -> None:
    with pytest.raises(UnsupportedFeatureError, match="tool_choice"):
        sent(tools=[TOOL], tool_choice=choice)


@pytest.mark.parametrize(
    ("reasoning", "think"),
    [
        ("none", False),
        ("low", "low"),
        ("medium", "medium"),
        ("high", "high"),
        (Reasoning(), None),
    ],
)
def test_reasoning_is_think(reasoning: Any, think: Any) -> None:
    assert sent(reasoning=reasoning).get("think") == think


@pytest.mark.parametrize(
    ("reasoning", "think", "warning"),
    [
        ("minimal", "low", "reasoning.effort"),
        ("xhigh", "high", "reasoning.effort"),
        ("max", "high", "reasoning.effort"),
        (Reasoning(budget_tokens=100), True, "reasoning.budget_tokens"),
        (Reasoning("low", 100), "low", "reasoning.budget_tokens"),
    ],
)
def test_what_think_cannot_say_is_warned_of(reasoning: Any, think: Any, warning: str) -> None:
    body, warned = sent_warned(reasoning=reasoning)
    assert (body["think"], warned) == (think, (warning,))


def test_a_schema_is_sent_natively() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    assert sent(response_format=JsonSchema(schema))["format"] == schema
    assert sent(response_format="json")["format"] == "json"


def test_images_are_bare_base64() -> None:
    message = Message.user(
        "look",
        Image(data=b"\x00\x01"),
        Image(url="data:image/png;base64,AAE="),
        Image(url="data:text/plain,a%20b", detail="auto"),
    )
    assert sent(message)["messages"] == [
        {"role": "user", "content": "look", "images": ["AAE=", "AAE=", "YSBi"]}
    ]


def test_what_the_system_says_is_one_message_at_the_top() -> None:
    told = [{"role": "system", "content": "One.\n\nTwo."}, {"role": "user", "content": "hi"}]
    assert sent(Message.system("One."), Message.system("Two."), "hi")["messages"] == told
    body, warned = sent_warned(Message.system("One."), "hi", Message.system("Two."))
    assert (body["messages"], warned) == (told, ("messages",))
    assert sent(Message.system(""), "hi")["messages"] == [{"role": "user", "content": "hi"}]


def test_thinking_goes_back_to_its_own_dialect_only() -> None:
    message = Message.assistant(
        Thinking("mine", raw="thinking", origin="ollama"), Thinking("theirs", origin="anthropic"), "so"
    )
    body, warned = sent_warned("q", message)
    assert body["messages"][1] == {"role": "assistant", "content": "so", "thinking": "mine"}
    assert warned == ("messages.thinking",)


@pytest.mark.parametrize(
    "part",
    [
        Image(url="https://example.com/a.png"),
        File(data=b"x", filename="a.pdf"),
        Audio(b"x", "audio/wav"),
    ],
)
def test_what_it_cannot_take_is_refused(part: Any) -> None:
    with pytest.raises(UnsupportedFeatureError):
        sent(Message.user("see", part))


def test_a_broken_data_uri_is_the_requests_fault() -> None:
    with pytest.raises(InvalidRequestError, match="base64"):
        sent(Message.user(Image(url="data:image/png;base64,A")))


@pytest.mark.parametrize(
    ("fields", "warning"),
    [
        ({"tools": [TOOL], "parallel_tool_calls": False}, "parallel_tool_calls"),
        ({"tools": [Tool("a", strict=True)]}, "tools.strict"),
        ({"messages": Message("user", ("hi",), name="ann")}, "message.name"),
        ({"messages": Message.user("hi", Opaque({}, "gemini"))}, "message.opaque"),
        ({"messages": Message.user("hi", Image(data=b"x", detail="low"))}, "image.detail"),
        (
            {"messages": (Message.assistant(ToolCall("c", "f")), Message.tool("c", "no", is_error=True))},
            "message.is_error",
        ),
        ({"messages": Message.assistant(ToolCall("c", "f", "[1]"))}, "tool_call.arguments"),
    ],
)
def test_a_dropped_parameter_is_warned_of(fields: dict[str, Any], warning: str) -> None:
    request = GenerationRequest(**{"messages": "hi", "model": "m", **fields})
    encoded = WIRE.encode_generate(request, stream=False)
    assert [item.parameter for item in encoded.warnings] == [warning]


def test_arguments_that_are_no_object_are_wrapped() -> None:
    body, _ = sent_warned("q", Message.assistant(ToolCall("c", "f", "[1]")))
    assert body["messages"][1]["tool_calls"][0]["function"]["arguments"] == {"INVALID_JSON": "[1]"}


def test_an_answer_goes_back_as_it_came() -> None:
    message = {
        "role": "assistant",
        "content": "text",
        "thinking": "hm",
        "tool_calls": [{"id": "c1", "function": {"name": "f", "arguments": {"a": [1, "ä"]}}}],
    }
    response = answered(model="m", message=message, done=True, done_reason="stop")
    assert sent("q", response.message)["messages"][1] == message


# ------------------------------------------------------------------------------------------------- answers


def test_an_answer() -> None:
    body = {
        **end(
            "stop",
            prompt_eval_count=3,
            eval_count=4,
            eval_duration=5,
        ),
        "message": {"role": "assistant", "content": "hello", "thinking": "hm"},
    }
    response = answered(**body)
    assert (response.text, response.thinking, response.model) == ("hello", "hm", "m")
    assert (response.finish_reason, response.raw_finish_reason) == ("stop", "stop")
    assert (response.usage.input_tokens, response.usage.output_tokens) == (3, 4)
    assert response.usage.raw == {"prompt_eval_count": 3, "eval_count": 4, "eval_duration": 5}
    assert response.raw == body


def test_an_answer_of_the_older_operation() -> None:
    response = answered(response="hello", thinking="hm", done=True, done_reason="length")
    assert (response.text, response.thinking, response.finish_reason) == ("hello", "hm", "length")


def test_tool_calls_have_ids_and_json_text() -> None:
    calls = [
        {"function": {"name": "a", "arguments": {"x": "ä", "y": 1.5}}},
        {"id": "given", "function": {"index": 1, "name": "b", "arguments": '{"raw": 1}'}},
        {"function": {"name": "c"}},
        "odd",
    ]
    response = answered(**{**end(), "message": {"content": "", "tool_calls": calls}})
    assert response.finish_reason == "tool_calls"
    assert response.raw_finish_reason == "stop"
    assert response.tool_calls == (
        ToolCall("call_0", "a", '{"x":"ä","y":1.5}'),
        ToolCall("given", "b", '{"raw": 1}'),
        ToolCall("call_2", "c", "{}"),
        ToolCall("call_3", "", "{}"),
    )


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("load", "stop"),
        ("unload", "stop"),
        ("", "error"),
        ("brand_new", "unknown"),
        (None, "unknown"),
    ],
)
def test_finish_reasons(reason: str | None, finish: str) -> None:
    response = answered(**end(reason))
    assert (response.finish_reason, response.raw_finish_reason) == (finish, reason)
    response, _, error = streamed(lines(end(reason)))
    assert (response.finish_reason, response.raw_finish_reason, error) == (finish, reason, None)


@pytest.mark.parametrize("odd", [-1, "x", None, True, [1]])
def test_odd_counts_are_unknown(odd: Any) -> None:
    usage = answered(**end(prompt_eval_count=odd, eval_count=2.0)).usage
    assert (usage.input_tokens, usage.output_tokens) == (None, 2)


def test_a_prompt_out_of_the_cache_has_no_count() -> None:
    assert answered(**end(eval_count=1)).usage.input_tokens is None


def test_lone_surrogates_do_not_pass() -> None:
    body = rb'{"message":{"content":"a\ud83d","tool_calls":[{"function":{"name":"f","arguments":{"x":"\ud83d"}}}]},"done":true}'
    response = WIRE.decode_generate(body, ASKED)
    assert response.text == "a\ufffd"
    assert response.tool_calls[0].arguments.encode() == rb'{"x":"\ud83d"}'


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"<html>", b'{"message": "text"}', b'"text"'])
def test_what_is_no_answer_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedResponseError):
        WIRE.decode_generate(body, ASKED)


def test_an_error_with_status_200() -> None:
    with pytest.raises(ModelNotFoundError):
        answered(error="model 'x' not found")
    with pytest.raises(ServerError):
        answered(error={"message": "boom"})


# ------------------------------------------------------------------------------------------------- streams


def test_a_stream_folds_to_the_plain_answer() -> None:
    body = lines(
        piece(thinking="h"),
        piece(thinking="m"),
        piece("a"),
        piece("b"),
        piece(tool_calls=[{"id": "x", "function": {"name": "f", "arguments": {"a": 1}}}]),
        piece(tool_calls=[{"function": {"index": 1, "name": "g", "arguments": {}}}]),
        end("stop", prompt_eval_count=1, eval_count=2),
    )
    response, events, error = streamed(body)
    assert error is None
    assert type(events[-1]) is Finished
    whole = answered(
        **end("stop", prompt_eval_count=1, eval_count=2)
        | {
            "message": {
                "content": "ab",
                "thinking": "hm",
                "tool_calls": [
                    {"id": "x", "function": {"name": "f", "arguments": {"a": 1}}},
                    {"function": {"name": "g", "arguments": {}}},
                ],
            }
        }
    )
    assert response == whole
    assert response.message.parts[0] == Thinking("hm", raw="thinking", origin="ollama")
    assert [call.id for call in response.tool_calls] == ["x", "call_1"]


def test_thinking_is_sealed_before_a_tool_call() -> None:
    body = lines(piece(thinking="hm"), piece(tool_calls=[{"function": {"name": "f"}}]), end())
    assert [type(part) for part in streamed(body)[0].message.parts] == [Thinking, ToolCall]


def test_a_pair_of_surrogates_split_over_two_lines_is_joined() -> None:
    body = (
        rb'{"message":{"content":"\ud83d"}}'
        b"\n"
        rb'{"message":{"content":"\ude00"}}'
        b"\n" + lines(end())
    )
    assert streamed(body)[0].text == "\U0001f600"


@pytest.mark.parametrize(
    ("text", "cls"),
    [
        ("boom", StreamInterruptedError),
        ("model requires more system memory (9 GiB) than is available", OverloadedError),
        ("the prompt is longer than the context length", ContextLengthError),
    ],
)
def test_an_error_line_comes_after_what_was_said(text: str, cls: type[ProviderError]) -> None:
    response, _, error = streamed(lines(piece("par"), {"error": text}, end()))
    assert response.text == "par"
    assert response.finish_reason == "unknown"
    assert type(error) is cls
    assert error.message == text


@pytest.mark.parametrize("body", [b"", lines(piece("a")), lines(piece("a"))[:-1], b"\n\n"])
def test_a_stream_without_its_last_object_is_interrupted(body: bytes) -> None:
    _, events, error = streamed(body)
    assert type(error) is StreamInterruptedError
    assert not any(type(event) is Finished for event in events)


@pytest.mark.parametrize("body", [b"<html>\n", b"[1]\n", b'{"a": \n'])
def test_lines_that_are_no_objects_are_malformed(body: bytes) -> None:
    assert type(streamed(body)[2]) is MalformedResponseError


def test_the_last_line_needs_no_line_end() -> None:
    response, _, error = streamed(lines(piece("a"), end())[:-1])
    assert (response.text, response.finish_reason, error) == ("a", "stop", None)


def test_what_follows_the_end_is_ignored() -> None:
    assert streamed(lines(piece("a"), end(), piece("b"), {"error": "late"}))[0].text == "a"


# -------------------------------------------------------------------------------- embeddings and models


def test_embeddings() -> None:
    request = EmbeddingRequest(["a", "b"], model="e", dimensions=2, extra={"truncate": False})
    http = WIRE.encode_embed(request).http
    assert (http.method, http.path) == ("POST", "/api/embed")
    assert json.loads(http.body or b"") == {
        "model": "e",
        "input": ["a", "b"],
        "dimensions": 2,
        "truncate": False,
    }
    body = {"model": "e", "embeddings": [[1, 2.5], [3, 4]], "prompt_eval_count": 6}
    response = WIRE.decode_embed(json.dumps(body).encode(), request)
    assert [list(vector) for vector in response.vectors] == [[1, 2.5], [3, 4]]
    assert (response.model, response.usage.input_tokens) == ("e", 6)


def test_an_embedding_of_the_older_operation() -> None:
    response = WIRE.decode_embed(b'{"embedding": [1, 2]}', EmbeddingRequest("a", model="e"))
    assert [list(vector) for vector in response.vectors] == [[1, 2]]


def test_an_input_type_is_warned_of() -> None:
    warnings = WIRE.encode_embed(EmbeddingRequest("a", model="e", input_type="query")).warnings
    assert [warning.parameter for warning in warnings] == ["input_type"]


@pytest.mark.parametrize("body", [b"{}", b'{"embeddings": [[1], [2]]}', b'{"embeddings": [["x"]]}', b"[]"])
def test_embeddings_that_do_not_fit_are_malformed(body: bytes) -> None:
    with pytest.raises(MalformedResponseError):
        WIRE.decode_embed(body, EmbeddingRequest("a", model="e"))


def test_models() -> None:
    assert WIRE.encode_models().http.path == "/api/tags"
    body = {
        "models": [
            {
                "name": "a:latest",
                "model": "a:latest",
                "details": {"context_length": 4096},
                "capabilities": ["tools", "vision"],
            },
            {"name": "b", "details": None},
            {"size": 3},
            None,
        ]
    }
    page = WIRE.decode_models(json.dumps(body).encode())
    assert page.cursor is None
    assert [(m.id, m.context_window, m.capabilities) for m in page.models] == [
        ("a:latest", 4096, frozenset({"tools", "vision"})),
        ("b", None, None),
    ]
    with pytest.raises(MalformedResponseError):
        WIRE.decode_models(b"{}")


# -------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("status", "body", "cls"),
    [
        (400, '{"error": "invalid options: temperature"}', InvalidRequestError),
        (400, '{"error": "\\"llama3\\" does not support tools"}', UnsupportedFeatureError),
        (400, '{"error": "\\"m\\" does not support thinking"}', UnsupportedFeatureError),
        (400, '{"error": "think value \\"high\\" is not supported for this model"}', UnsupportedFeatureError),
        (400, '{"error": "the input length exceeds the context length"}', ContextLengthError),
        (500, '{"error": "the input length exceeds the context length"}', ContextLengthError),
        (401, '{"error": "unauthorized", "signin_url": "https://ollama.com/x"}', AuthenticationError),
        (404, '{"error": "model \'x\' not found, try pulling it first"}', ModelNotFoundError),
        (404, "404 page not found", EndpointError),
        (429, '{"error": "too many requests"}', RateLimitError),
        (500, '{"error": "model requires more system memory (9 GiB) than is available"}', OverloadedError),
        (500, '{"error": "cudaMalloc failed: out of memory"}', OverloadedError),
        (500, '{"error": "llama runner process has terminated"}', ServerError),
        (502, '{"error": "cannot reach the cloud"}', ConnectionError),
        (
            503,
            '{"error": "server busy, please try again. maximum pending requests exceeded"}',
            OverloadedError,
        ),
    ],
)
def test_errors(status: int, body: str, cls: type[ProviderError]) -> None:
    error = WIRE.decode_error(status, {}, body.encode())
    assert type(error) is cls
    assert error.status == status
    assert error.retry_after == (60.0 if "memory" in body else None)


def test_a_wait_that_the_server_names_is_kept() -> None:
    error = WIRE.decode_error(500, {"retry-after": "3"}, b'{"error": "requires more system memory"}')
    assert error.retry_after == 3.0


# --------------------------------------------------------------------------------------------------- place


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:8080", "http://127.0.0.1:8080"),
        ("http://0.0.0.0:8080", "http://127.0.0.1:8080"),
        ("example.com", "http://example.com:11434"),
        ("https://example.com/", "https://example.com"),
        ("https://example.com:8443/ollama/", "https://example.com:8443/ollama"),
        (":1234", "http://127.0.0.1:1234"),
        (" '10.0.0.2' ", "http://10.0.0.2:11434"),
        ("::", "http://[::1]:11434"),
        ("[::1]:99", "http://[::1]:99"),
        ("fe80::1", "http://[fe80::1]:11434"),
    ],
)
def test_the_hosts_variable_is_read_as_the_vendor_reads_it(host: str, url: str) -> None:
    assert base_url_of(host) == url


@pytest.mark.parametrize("host", ["host:port", "host:99999", "http://[1"])
def test_a_host_that_is_none_is_a_configuration_error(host: str) -> None:
    with pytest.raises(ConfigurationError, match="OLLAMA_HOST"):
        base_url_of(host)


def test_the_place() -> None:
    assert (PLACE.kind, PLACE.local, PLACE.key_required) == ("ollama", True, False)
    assert PLACE.base_url_env == ("OLLAMA_HOST",)
