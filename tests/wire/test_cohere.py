"""Cohere's v2 wire: every field of a request, answers, streams, models, embeddings and errors."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import pytest

from llmcore.errors import (
    AuthenticationError,
    ConnectionReset,
    ContextLengthError,
    EndpointError,
    InvalidRequestError,
    MalformedResponseError,
    ModelNotFoundError,
    OverloadedError,
    PermissionDeniedError,
    ProviderError,
    QuotaExhaustedError,
    RateLimitError,
    ReadTimeout,
    ServerError,
    StreamInterruptedError,
    UnsupportedFeatureError,
)
from llmcore.provider import Fold
from llmcore.providers.cohere import PLACE
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
    Refusal,
    Text,
    Thinking,
    Tool,
    ToolCall,
)
from llmcore.wire.cohere import CohereWire

WIRE = CohereWire()
ASKED = GenerationRequest("hi", model="command-a")
ADD, SUB = Tool("add", "adds"), Tool("sub")
CITATION = {"start": 0, "end": 2, "text": "so", "sources": []}


def sent_warned(
    *messages: Message | str, stream: bool = False, **fields: Any
) -> tuple[dict[str, Any], tuple[str, ...]]:
    given = tuple(Message.user(m) if isinstance(m, str) else m for m in messages or ("hi",))
    encoded = WIRE.encode_generate(GenerationRequest(given, model="m", **fields), stream=stream)
    assert (encoded.http.method, encoded.http.path) == ("POST", "/v2/chat")
    return json.loads(encoded.http.body or b""), tuple(warning.parameter for warning in encoded.warnings)


def sent(*messages: Message | str, stream: bool = False, **fields: Any) -> dict[str, Any]:
    """The body that is sent, warnings forbidden."""
    body, warned = sent_warned(*messages, stream=stream, **fields)
    assert warned == ()
    return body


def sse(*values: Any) -> bytes:
    return b"".join(f"event: {value.get('type')}\ndata: {json.dumps(value)}\n\n".encode() for value in values)


def delta(kind: str, index: int | None = None, **message: Any) -> dict[str, Any]:
    out = {"type": kind, "delta": {"message": message}}
    return out if index is None else {**out, "index": index}


def start() -> dict[str, Any]:
    return {"type": "message-start", "id": "i", "delta": {"message": {"role": "assistant", "content": []}}}


def end(reason: Any = "COMPLETE", **fields: Any) -> dict[str, Any]:
    return {"type": "message-end", "delta": {"finish_reason": reason, **fields}}


def said(text: str, index: int = 0) -> dict[str, Any]:
    return delta("content-delta", index, content={"text": text})


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


def test_a_plain_question() -> None:
    messages = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}]
    body = sent(Message.system("be brief"), "hi")
    assert body == {"model": "m", "messages": messages, "stream": False}
    assert sent(stream=True)["stream"] is True


def test_limits() -> None:
    body = sent(max_tokens=5, temperature=0.0, top_p=0.5, seed=7, stop=["a", "b"])
    assert {name: body[name] for name in ("max_tokens", "temperature", "p", "seed", "stop_sequences")} == {
        "max_tokens": 5,
        "temperature": 0.0,
        "p": 0.5,
        "seed": 7,
        "stop_sequences": ["a", "b"],
    }


@pytest.mark.parametrize(("top_p", "p"), [(1.0, 0.99), (0.0, 0.01)])
def test_the_nucleus_is_narrower(top_p: float, p: float) -> None:
    body, warned = sent_warned(top_p=top_p)
    assert (body["p"], warned) == (p, ("top_p",))


def test_six_stop_sequences_are_refused() -> None:
    assert len(sent(stop=list("abcde"))["stop_sequences"]) == 5
    with pytest.raises(UnsupportedFeatureError, match="stop"):
        sent(stop=list("abcdef"))


@pytest.mark.parametrize(
    ("choice", "names", "word"),
    [
        (None, ["add", "sub"], None),
        ("auto", ["add", "sub"], None),
        ("none", ["add", "sub"], "NONE"),
        ("required", ["add", "sub"], "REQUIRED"),
        ("sub", ["sub"], "REQUIRED"),
    ],
)
def test_tools_and_their_choice(choice: str | None, names: list[str], word: str | None) -> None:
    body = sent(tools=[ADD, SUB], tool_choice=choice)
    assert [tool["function"]["name"] for tool in body["tools"]] == names
    assert body.get("tool_choice") == word


def test_a_tool_in_full() -> None:
    schema = {"type": "object", "properties": {}}
    tools = sent(tools=[ADD, SUB])["tools"]
    assert tools == [
        {"type": "function", "function": {"name": "add", "description": "adds", "parameters": schema}},
        {"type": "function", "function": {"name": "sub", "parameters": schema}},
    ]


def test_strict_tools_are_all_or_none() -> None:
    strict = Tool("s", strict=True)
    assert sent(tools=[strict])["strict_tools"] is True
    body, warned = sent_warned(tools=[strict, ADD])
    assert "strict_tools" not in body
    assert warned == ("tools.strict",)


def test_calls_and_results() -> None:
    calls = Message.assistant("hm", ToolCall("c1", "add", '{"a": 1}'), ToolCall("c2", "sub", ""))
    results = (Message.tool("c1", "2"), Message.tool("c2", [Text("a"), Text("b")]))
    assert sent("go", calls, *results)["messages"][1:] == [
        {
            "role": "assistant",
            "content": "hm",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}},
                {"id": "c2", "type": "function", "function": {"name": "sub", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "2"},
        {"role": "tool", "tool_call_id": "c2", "content": "ab"},
    ]


def test_a_message_of_calls_alone_has_no_content() -> None:
    assert "content" not in sent("go", Message.assistant(ToolCall("c", "f")))["messages"][1]


def test_empty_messages_are_left_out() -> None:
    told = sent(Message.system(""), "a", Message.assistant(""), "b")["messages"]
    assert told == [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]


def test_images() -> None:
    message = Message.user(
        "look",
        Image(url="https://example.com/a.png", detail="low"),
        Image(data=b"\x00", media_type="image/gif"),
    )
    assert sent(message)["messages"][0]["content"] == [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "data:image/gif;base64,AA=="}},
    ]


def test_a_schema_is_sent_natively() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    body = sent(response_format=JsonSchema(schema))
    assert body["response_format"] == {"type": "json_object", "json_schema": schema}
    assert sent(response_format="json")["response_format"] == {"type": "json_object"}


def test_a_schema_together_with_tools_is_refused() -> None:
    with pytest.raises(UnsupportedFeatureError, match="response_format"):
        sent(response_format="json", tools=[ADD])


@pytest.mark.parametrize(
    ("reasoning", "thinking"),
    [
        ("none", {"type": "disabled"}),
        (Reasoning(), {"type": "enabled"}),
        (Reasoning(budget_tokens=0), {"type": "disabled"}),
        (Reasoning(budget_tokens=9), {"type": "enabled", "token_budget": 9}),
        (Reasoning("high", 9), {"type": "enabled", "token_budget": 9}),
    ],
)
def test_reasoning(reasoning: Any, thinking: Any) -> None:
    assert sent(reasoning=reasoning)["thinking"] == thinking


def test_a_word_of_effort_only_switches_thinking_on() -> None:
    body, warned = sent_warned(reasoning="high")
    assert (body["thinking"], warned) == ({"type": "enabled"}, ("reasoning.effort",))


@pytest.mark.parametrize("part", [File(data=b"x", filename="a.pdf"), Audio(b"x", "audio/wav")])
def test_what_it_cannot_take_is_refused(part: Any) -> None:
    with pytest.raises(UnsupportedFeatureError):
        sent(Message.user("see", part))


def test_an_image_in_a_tool_result_is_refused() -> None:
    with pytest.raises(UnsupportedFeatureError, match="tool results"):
        sent(Message.assistant(ToolCall("c", "f")), Message.tool("c", [Image(data=b"x")]))


@pytest.mark.parametrize(
    ("fields", "warning"),
    [
        ({"tools": [ADD], "parallel_tool_calls": True}, "parallel_tool_calls"),
        ({"messages": Message("user", ("hi",), name="ann")}, "message.name"),
        ({"messages": Message.user("hi", Opaque({}, "gemini"))}, "message.opaque"),
        ({"messages": Message.user("hi", Image(data=b"x", detail="original"))}, "image.detail"),
        (
            {"messages": (Message.assistant(ToolCall("c", "f")), Message.tool("c", "no", is_error=True))},
            "message.is_error",
        ),
    ],
)
def test_a_dropped_parameter_is_warned_of(fields: dict[str, Any], warning: str) -> None:
    request = GenerationRequest(**{"messages": "hi", "model": "m", **fields})
    encoded = WIRE.encode_generate(request, stream=False)
    assert [item.parameter for item in encoded.warnings] == [warning]


def test_extra_comes_last() -> None:
    assert sent(extra={"safety_mode": "OFF", "stream": True, "k": 5}) | {"messages": 0} == {
        "model": "m",
        "messages": 0,
        "stream": True,
        "safety_mode": "OFF",
        "k": 5,
    }


def test_an_answer_goes_back_as_it_came() -> None:
    message = {
        "role": "assistant",
        "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "so"}],
        "tool_plan": "I will add.",
        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}],
        "citations": [CITATION],
    }
    response = answered(id="i", message=message, finish_reason="TOOL_CALL")
    assert sent("q", response.message)["messages"][1] == message


def test_others_thinking_stays_here_and_a_refusal_is_text() -> None:
    message = Message.assistant(Thinking("x"), Thinking("y", raw="tool_plan", origin="z"), Refusal("no"))
    body, warned = sent_warned("q", message)
    assert body["messages"][1] == {"role": "assistant", "content": "no"}
    assert warned == ("messages.thinking",)


# ------------------------------------------------------------------------------------------------- answers


def test_an_answer() -> None:
    usage = {
        "billed_units": {"input_tokens": 1.0, "output_tokens": 2.0},
        "tokens": {"input_tokens": 10.0, "output_tokens": 20.0, "reasoning_tokens": 5},
        "cached_tokens": 4,
    }
    message = {"role": "assistant", "content": [{"type": "text", "text": "hello"}]}
    response = answered(id="i", message=message, finish_reason="COMPLETE", usage=usage)
    assert (response.text, response.id, response.model) == ("hello", "i", None)
    assert (response.finish_reason, response.raw_finish_reason) == ("stop", "COMPLETE")
    assert (response.usage.input_tokens, response.usage.output_tokens) == (10, 20)
    assert (response.usage.cached_tokens, response.usage.reasoning_tokens) == (4, 5)
    assert response.usage.raw == usage


def test_parts_come_in_order_and_neighbouring_texts_are_one() -> None:
    content = [
        {"type": "thinking", "thinking": "hm"},
        {"type": "text", "text": "a"},
        {"type": "text", "text": "b"},
        {"type": "brand_new", "x": 1},
        "odd",
    ]
    message = {"content": content, "tool_plan": "plan", "tool_calls": [None, {"function": {"name": "f"}}]}
    response = answered(message={**message, "citations": [CITATION]}, finish_reason="TOOL_CALL")
    assert response.message.parts == (
        Thinking("hm", raw="thinking", origin="cohere"),
        Text("ab"),
        Thinking("plan", raw="tool_plan", origin="cohere"),
        ToolCall("call_0", "f", "{}"),
        Opaque({"citations": [CITATION]}, "cohere"),
    )


def test_content_may_be_plain_text_or_nothing() -> None:
    assert answered(message={"content": "a"}).text == "a"
    assert answered(message={"content": None}).message.parts == ()


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("COMPLETE", "stop"),
        ("STOP_SEQUENCE", "stop"),
        ("MAX_TOKENS", "length"),
        ("TOOL_CALL", "tool_calls"),
        ("ERROR", "error"),
        ("TIMEOUT", "error"),
        ("ERROR_TOXIC", "content_filter"),
        ("USER_CANCEL", "cancelled"),
        ("BRAND_NEW", "unknown"),
        (None, "unknown"),
    ],
)
def test_finish_reasons(reason: str | None, finish: str) -> None:
    response = answered(message={"content": "a"}, finish_reason=reason)
    assert (response.finish_reason, response.raw_finish_reason) == (finish, reason)
    response, _, error = streamed(sse(start(), said("a"), end(reason)))
    assert (response.finish_reason, response.raw_finish_reason, error) == (finish, reason, None)


def test_complete_with_calls_means_calls() -> None:
    calls = [{"id": "c", "function": {"name": "f", "arguments": ""}}]
    response = answered(message={"tool_calls": calls}, finish_reason="COMPLETE")
    assert (response.finish_reason, response.tool_calls[0].arguments) == ("tool_calls", "")


def test_usage_falls_back_to_what_is_billed_and_parts_stay_within_the_whole() -> None:
    usage = answered(message={}, usage={"billed_units": {"input_tokens": 3}, "cached_tokens": 4}).usage
    assert (usage.input_tokens, usage.output_tokens, usage.cached_tokens) == (3, None, None)
    assert answered(message={}, usage="odd").usage.input_tokens is None


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"<html>", b'{"message": 3}'])
def test_what_is_no_answer_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedResponseError):
        WIRE.decode_generate(body, ASKED)


def test_an_error_with_status_200() -> None:
    with pytest.raises(ServerError):
        answered(error={"message": "boom"})
    with pytest.raises(ServerError, match="boom") as caught:
        answered(message="boom", id="r")
    assert caught.value.request_id == "r"


# ------------------------------------------------------------------------------------------------- streams


def test_a_stream_of_text_folds_to_the_plain_answer() -> None:
    usage = {"tokens": {"input_tokens": 1, "output_tokens": 2}}
    response, events, error = streamed(
        sse(
            start(),
            delta("content-start", 0, content={"type": "thinking", "thinking": ""}),
            delta("content-delta", 0, content={"thinking": "h"}),
            delta("content-delta", 0, content={"thinking": "m"}),
            {"type": "content-end", "index": 0},
            delta("content-start", 1, content={"type": "text", "text": ""}),
            said("a", 1),
            delta("citation-start", 0, citations=CITATION),
            {"type": "citation-end", "index": 0},
            said("b", 1),
            {"type": "debug", "prompt": "x"},
            {"type": "content-end", "index": 1},
            end(usage=usage),
        )
        + b"data: [DONE]\n\n"
    )
    content = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "ab"}]
    message = {"content": content, "citations": [CITATION]}
    assert error is None
    assert type(events[-1]) is Finished
    assert response == answered(id="i", message=message, finish_reason="COMPLETE", usage=usage)


def test_a_stream_of_calls_folds_to_the_plain_answer() -> None:
    def call(**fields: Any) -> dict[str, Any]:
        return {"tool_calls": {"type": "function", **fields}}

    response, _, error = streamed(
        sse(
            start(),
            delta("tool-plan-delta", tool_plan="I "),
            delta("tool-plan-delta", tool_plan="will"),
            delta("tool-call-start", 0, **call(id="c1", function={"name": "f", "arguments": ""})),
            delta("tool-call-delta", 0, **call(function={"arguments": '{"a"'})),
            delta("tool-call-delta", 0, **call(function={"arguments": ":1}"})),
            {"type": "tool-call-end", "index": 0},
            delta("tool-call-start", 1, **call(id="c2", function={"name": "g"})),
            delta("tool-call-start", 2, tool_calls=[{"function": {"name": "h", "arguments": ""}}]),
            end("TOOL_CALL"),
        )
    )
    calls = [
        {"id": "c1", "function": {"name": "f", "arguments": '{"a":1}'}},
        {"id": "c2", "function": {"name": "g"}},
        {"function": {"name": "h", "arguments": ""}},
    ]
    assert error is None
    assert response == answered(
        id="i", message={"tool_plan": "I will", "tool_calls": calls}, finish_reason="TOOL_CALL"
    )


@pytest.mark.parametrize("told", [{}, {"arguments": ""}, {"arguments": '{"a": '}])
@pytest.mark.parametrize("reason", [None, "TOOL_CALL"])
def test_an_end_without_a_reason_inside_a_calls_arguments_is_a_cut(
    told: dict[str, Any], reason: str | None
) -> None:
    call = {"tool_calls": {"id": "c", "type": "function", "function": {"name": "f", **told}}}
    _, events, error = streamed(sse(start(), delta("tool-call-start", 0, **call), end(reason)))
    if reason is None:
        assert isinstance(error, StreamInterruptedError)
        assert not any(type(event) is Finished for event in events)
    else:
        assert error is None
        assert type(events[-1]) is Finished


def test_fragments_without_an_index_belong_to_the_last_call() -> None:
    def fragment(kind: str, **function: Any) -> dict[str, Any]:
        return {"type": kind, "delta": {"message": {"tool_calls": {"function": function}}}}

    response, _, _ = streamed(
        sse(
            fragment("tool-call-delta", name="f", arguments="{"),
            fragment("tool-call-delta", arguments="}"),
            fragment("tool-call-start", name="g", arguments="[]"),
            end("TOOL_CALL"),
        )
    )
    assert response.tool_calls == (ToolCall("call_0", "f", "{}"), ToolCall("call_1", "g", "[]"))


def test_the_events_name_stands_in_for_a_missing_type() -> None:
    body = b'event: content-delta\ndata: {"delta":{"message":{"content":{"text":"a"}}}}\n\n' + sse(end())
    assert streamed(body)[0].text == "a"


def test_an_error_at_the_end_is_a_failure() -> None:
    response, _, error = streamed(
        sse(start(), said("par"), end("ERROR", error="too many tokens in the prompt"))
    )
    assert response.text == "par"
    assert type(error) is ServerError
    assert error.message == "too many tokens in the prompt"


@pytest.mark.parametrize("value", [{"error": {"message": "boom"}}, {"message": "boom", "id": "x"}])
def test_an_error_in_the_middle(value: Any) -> None:
    body = b"data: " + json.dumps(value).encode() + b"\n\n"
    _, events, error = streamed(sse(start(), said("a")) + body)
    assert [event.text for event in events if not isinstance(event, Finished)] == ["a"]  # type: ignore[union-attr]
    assert type(error) is ServerError
    assert error.message == "boom"


@pytest.mark.parametrize("tail", [b"", b"data: [DONE]\n\n", b'event: message-end\ndata: {"type": "message-e'])
def test_a_stream_without_its_end_never_stops_well(tail: bytes) -> None:
    _, events, error = streamed(sse(start(), said("a")) + tail)
    assert isinstance(error, (StreamInterruptedError, MalformedResponseError))
    assert not any(type(event) is Finished for event in events)


def test_events_that_are_no_objects_are_malformed() -> None:
    assert type(streamed(b"data: [1]\n\n")[2]) is MalformedResponseError
    assert type(streamed(b"data: <html>\n\n")[2]) is MalformedResponseError


def test_a_plain_answer_where_a_stream_was_asked_for() -> None:
    body = {"id": "i", "message": {"content": "a"}, "finish_reason": "COMPLETE"}
    assert streamed(json.dumps(body).encode())[0] == answered(**body)
    assert type(streamed(b'{"message": "boom"}')[2]) is ServerError


# -------------------------------------------------------------------------------- embeddings and models


@pytest.mark.parametrize(
    ("given", "word"),
    [
        (None, "search_document"),
        ("document", "search_document"),
        ("query", "search_query"),
        ("clustering", "clustering"),
    ],
)
def test_embeddings_asked_for(given: str | None, word: str) -> None:
    request = EmbeddingRequest(
        ["a", "b"], model="e", dimensions=256, input_type=given, extra={"truncate": "NONE"}
    )
    encoded = WIRE.encode_embed(request)
    assert encoded.http.path == "/v2/embed"
    assert encoded.warnings == ()
    assert json.loads(encoded.http.body or b"") == {
        "model": "e",
        "texts": ["a", "b"],
        "input_type": word,
        "embedding_types": ["float"],
        "output_dimension": 256,
        "truncate": "NONE",
    }


@pytest.mark.parametrize(
    "embeddings",
    [
        {"float": [[1, 2.5], [3, 4]]},
        [[1, 2.5], [3, 4]],
        {"base64": [base64.b64encode(struct.pack("<2f", *pair)).decode() for pair in ((1, 2.5), (3, 4))]},
    ],
)
def test_embeddings_answered(embeddings: Any) -> None:
    body = {"embeddings": embeddings, "meta": {"billed_units": {"input_tokens": 3.0}}}
    response = WIRE.decode_embed(json.dumps(body).encode(), EmbeddingRequest(["a", "b"], model="e"))
    assert [list(vector) for vector in response.vectors] == [[1, 2.5], [3, 4]]
    assert response.usage.input_tokens == 3


@pytest.mark.parametrize(
    "body", [b"{}", b'{"embeddings": {"int8": [[1]]}}', b'{"embeddings": {"float": [[1], [2]]}}', b"[]"]
)
def test_embeddings_that_do_not_fit_are_malformed(body: bytes) -> None:
    with pytest.raises(MalformedResponseError):
        WIRE.decode_embed(body, EmbeddingRequest("a", model="e"))


def test_at_most_96_texts_fit_into_one_request() -> None:
    assert WIRE.embed_batch == 96


def test_models() -> None:
    assert WIRE.encode_models().http.path == "/v1/models?page_size=1000"
    assert WIRE.encode_models("a/b=").http.path == "/v1/models?page_size=1000&page_token=a%2Fb%3D"
    models = [
        {"name": "c", "context_length": 128000.0, "endpoints": ["chat"], "features": ["tools"]},
        {"name": "d", "context_length": 0, "features": None},
        {},
        3,
    ]
    page = WIRE.decode_models(json.dumps({"models": models, "next_page_token": "n"}).encode())
    assert page.cursor == "n"
    assert [(m.id, m.context_window, m.capabilities) for m in page.models] == [
        ("c", 128000, frozenset({"chat", "tools"})),
        ("d", None, None),
    ]
    assert WIRE.decode_models(b'{"models": [], "next_page_token": ""}').cursor is None
    with pytest.raises(MalformedResponseError):
        WIRE.decode_models(b"{}")


# -------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("status", "message", "cls"),
    [
        (400, "invalid request: messages must not be empty", InvalidRequestError),
        (400, "too many tokens: size limit exceeded by 11 tokens", ContextLengthError),
        (401, "invalid api token", AuthenticationError),
        (402, "please add a payment method", QuotaExhaustedError),
        (403, "not allowed", PermissionDeniedError),
        (404, "model 'x' not found, make sure the correct model ID was used", ModelNotFoundError),
        (404, "page not found", EndpointError),
        (422, "invalid value", InvalidRequestError),
        (429, "You are using a Trial key, which is limited to 20 API calls / minute", QuotaExhaustedError),
        (429, "the monthly limit is reached", QuotaExhaustedError),
        (429, "too many requests", RateLimitError),
        (498, "invalid token", AuthenticationError),
        (499, "request cancelled", ConnectionReset),
        (500, "internal", ServerError),
        (501, "not implemented", UnsupportedFeatureError),
        (503, "try later", OverloadedError),
        (504, "gateway", ReadTimeout),
    ],
)
def test_errors(status: int, message: str, cls: type[ProviderError]) -> None:
    body = json.dumps({"id": "r1", "message": message}).encode()
    error = WIRE.decode_error(status, {"retry-after": "2"}, body)
    assert type(error) is cls
    assert (error.message, error.request_id, error.retry_after) == (message, "r1", 2.0)


def test_the_headers_id_goes_before_the_bodys() -> None:
    assert WIRE.decode_error(500, {"x-debug-trace-id": "t"}, b'{"id": "r"}').request_id == "t"
    assert WIRE.decode_error(500, {}, b"<html>").request_id is None


def test_the_place() -> None:
    assert (PLACE.kind, PLACE.base_url) == ("cohere", "https://api.cohere.com")
    assert PLACE.key_env == ("CO_API_KEY", "COHERE_API_KEY")
