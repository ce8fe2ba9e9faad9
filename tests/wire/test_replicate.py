"""Replicate's predictions: every field of a request, waiting, polling, streams, models and errors."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmcore.errors import (
    AuthenticationError,
    ContentFilterError,
    ContextLengthError,
    EndpointError,
    GenerationFailedError,
    InvalidRequestError,
    MalformedResponseError,
    ModelNotFoundError,
    OverloadedError,
    ProviderError,
    QuotaExhaustedError,
    RateLimitError,
    ServerError,
    StreamInterruptedError,
    TotalTimeout,
    UnsupportedFeatureError,
)
from llmcore.provider import Fold
from llmcore.providers.replicate import PLACE
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
    Refusal,
    Thinking,
    Tool,
    ToolCall,
)
from llmcore.wire.base import HttpRequest, Pending
from llmcore.wire.replicate import ReplicateWire

WIRE = ReplicateWire()
MODEL = "meta/llama"
ASKED = GenerationRequest("hi", model=MODEL)
API = "https://api.replicate.com/v1/predictions/p"
STREAM = "https://stream.replicate.com/v1/files/x"
URLS = {"get": API, "cancel": f"{API}/cancel", "stream": STREAM}
VERSION = "0123456789abcdef" * 4
SCHEMA = JsonSchema({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]})


def sent_warned(*messages: Message | str, **fields: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    given = tuple(Message.user(m) if isinstance(m, str) else m for m in messages or ("hi",))
    encoded = WIRE.encode_generate(GenerationRequest(given, model=MODEL, **fields), stream=False)
    return json.loads(encoded.http.body or b""), tuple(warning.parameter for warning in encoded.warnings)


def sent(*messages: Message | str, **fields: Any) -> dict[str, Any]:
    """The model's input, warnings forbidden."""
    body, warned = sent_warned(*messages, **fields)
    assert warned == ()
    told: dict[str, Any] = body["input"]
    return told


def http(model: str | None, *, stream: bool = False, **fields: Any) -> HttpRequest:
    return WIRE.encode_generate(GenerationRequest("hi", model=model, **fields), stream=stream).http


def prediction(status: Any = "succeeded", **fields: Any) -> bytes:
    return json.dumps({"id": "p", "model": MODEL, "status": status, "urls": URLS, **fields}).encode()


def answered(**fields: Any) -> GenerationResponse:
    response = WIRE.decode_generate(prediction(**fields), ASKED)
    assert isinstance(response, GenerationResponse)
    return response


def sse(*events: tuple[str, str]) -> bytes:
    out = ""
    for number, (name, data) in enumerate(events):
        told = "".join(f"data: {line}\n" for line in data.split("\n"))
        out += f"event: {name}\nid: {number}\n{told}\n"
    return out.encode()


def streamed(body: bytes) -> tuple[GenerationResponse, list[Event], ProviderError | None]:
    decoder = WIRE.event_decoder(ASKED)
    events = [*decoder.feed(body), *decoder.finish()]
    fold = Fold()
    for event in events:
        fold.add(event)
    return fold.response(), events, decoder.error


# ------------------------------------------------------------------------------------------------ requests


@pytest.mark.parametrize(
    ("model", "path", "version"),
    [
        ("meta/llama-3", "/v1/models/meta/llama-3/predictions", None),
        ("o w/n?m", "/v1/models/o%20w/n%3Fm/predictions", None),
        ("deployments/me/mine", "/v1/deployments/me/mine/predictions", None),
        (f"meta/llama:{VERSION}", "/v1/predictions", VERSION),
        (VERSION, "/v1/predictions", VERSION),
        ("meta/llama:", "/v1/models/meta/llama/predictions", None),
    ],
)
def test_the_model_is_in_the_path_or_is_a_version(model: str, path: str, version: str | None) -> None:
    request = http(model)
    assert (request.method, request.path) == ("POST", path)
    assert json.loads(request.body or b"").get("version") == version


@pytest.mark.parametrize("model", [None, "", "llama", "a/b/c", "a//", "/b"])
def test_what_can_be_no_model_is_not_found(model: str | None) -> None:
    with pytest.raises(ModelNotFoundError, match="owner/name"):
        http(model)


def test_a_plain_answer_is_waited_for_and_a_stream_is_not() -> None:
    assert http(MODEL).headers == {"prefer": "wait"}
    assert http(MODEL, stream=True).headers == {}
    assert http(MODEL, stream=True).body == http(MODEL).body
    assert http(MODEL, stream=True, response_format="json").headers == {"prefer": "wait"}


def test_one_user_message_is_sent_as_it_is() -> None:
    assert sent("  hi\n") == {"prompt": "  hi\n"}
    assert sent(Message.system("be"), "hi", Message.system("brief")) == {
        "prompt": "hi",
        "system_prompt": "be\n\nbrief",
    }


def test_turns_become_a_transcript() -> None:
    turns = ("a", Message.assistant(Thinking("x"), "b", Refusal("c")), "d")
    assert sent(*turns) == {"prompt": "User: a\n\nAssistant: bc\n\nUser: d\n\nAssistant:"}
    assert sent("a", Message.assistant("so")) == {"prompt": "User: a\n\nAssistant: so"}


def test_limits() -> None:
    assert sent(max_tokens=5, temperature=0.0, top_p=0.5, seed=7, stop=["a", "b"]) == {
        "prompt": "hi",
        "max_tokens": 5,
        "temperature": 0.0,
        "top_p": 0.5,
        "stop_sequences": "a,b",
        "seed": 7,
    }


def test_an_image_is_an_address_or_a_data_uri() -> None:
    assert sent(Message.user("see", Image(url="https://a/b.png"))) == {
        "prompt": "see",
        "image": "https://a/b.png",
    }
    assert sent(Message.user("see", Image(data=b"\x00")))["image"] == "data:image/png;base64,AA=="


def test_the_models_own_fields_are_extra_input() -> None:
    body, _ = sent_warned(extra={"input": {"top_k": 5}, "webhook": "https://a"})
    assert body == {"input": {"prompt": "hi", "top_k": 5}, "webhook": "https://a"}


def test_a_schema_is_asked_for_in_the_prompt() -> None:
    told = sent(response_format=SCHEMA)
    assert told["prompt"] == "hi"
    assert '"required": ["a"]' in told["system_prompt"]


@pytest.mark.parametrize(
    "messages",
    [
        [Message.user(Image(data=b"x"), Image(data=b"y"))],
        [Message.user(File(data=b"x", filename="a.pdf"))],
        [Message.user(Audio(b"x", "audio/wav"))],
        [Message.user("q"), Message.assistant(ToolCall("c", "f"))],
        [Message.assistant(ToolCall("c", "f")), Message.tool("c", "r")],
    ],
)
def test_what_it_cannot_take_is_refused(messages: list[Message]) -> None:
    with pytest.raises(UnsupportedFeatureError):
        sent(*messages)


def test_tools_are_refused_unless_none_may_be_used() -> None:
    with pytest.raises(UnsupportedFeatureError, match="tools"):
        sent(tools=[Tool("f")])
    assert sent(tools=[Tool("f")], tool_choice="none") == {"prompt": "hi"}


@pytest.mark.parametrize(
    ("fields", "warning"),
    [
        ({"reasoning": "high"}, "reasoning"),
        ({"stop": ["a,b"]}, "stop"),
        ({"messages": Message("user", ("hi",), name="ann")}, "message.name"),
        ({"messages": Message.user("hi", Opaque({}, "gemini"))}, "message.opaque"),
        ({"messages": Message.user("hi", Image(data=b"x", detail="low"))}, "image.detail"),
    ],
)
def test_a_dropped_parameter_is_warned_of(fields: dict[str, Any], warning: str) -> None:
    request = GenerationRequest(**{"messages": "hi", "model": MODEL, **fields})
    encoded = WIRE.encode_generate(request, stream=False)
    assert [item.parameter for item in encoded.warnings] == [warning]


def test_there_are_no_embeddings() -> None:
    assert "embeddings" not in WIRE.features
    with pytest.raises(UnsupportedFeatureError):
        WIRE.encode_embed(EmbeddingRequest("a", model=MODEL))


# ------------------------------------------------------------------------------------------------- answers


@pytest.mark.parametrize(
    ("output", "text"),
    [
        (["a", "", "b\n"], "ab\n"),
        ("whole", "whole"),
        (None, ""),
        ([], ""),
        ({"a": 1}, '{"a":1}'),
        (["a", 1, {"b": None}], 'a1{"b":null}'),
        (["\ud83d", "\ude00", "\ud83d"], "\U0001f600\ufffd"),
        (True, "true"),
    ],
)
def test_output_becomes_text(output: Any, text: str) -> None:
    assert answered(output=output).text == text


def test_an_answer() -> None:
    metrics = {"predict_time": 1.5, "input_token_count": 3, "output_token_count": 4}
    response = answered(output=["a"], metrics=metrics)
    assert (response.id, response.model) == ("p", MODEL)
    assert (response.finish_reason, response.raw_finish_reason) == ("stop", "succeeded")
    assert (response.usage.input_tokens, response.usage.output_tokens) == (3, 4)
    assert response.usage.raw == metrics
    assert answered(output="a", metrics={"predict_time": 1}).usage.input_tokens is None


@pytest.mark.parametrize(
    ("status", "wait"), [("starting", 1.0), ("processing", 0.5), ("queued", 0.5), ("brand_new", 0.5)]
)
def test_what_has_not_ended_is_asked_for_again(status: str, wait: float) -> None:
    pending = WIRE.decode_generate(prediction(status, output=["par"]), ASKED)
    assert pending == Pending(HttpRequest("GET", API), wait, HttpRequest("POST", f"{API}/cancel"))


@pytest.mark.parametrize("urls", [None, {}, {"get": "http://[", "cancel": "nowhere", "stream": 3}])
def test_addresses_that_are_missing_or_broken_are_made_from_the_id(urls: Any) -> None:
    body = prediction("starting", id="p/1", urls=urls)
    pending = WIRE.decode_generate(body, ASKED)
    assert isinstance(pending, Pending)
    assert pending.next.path == "/v1/predictions/p%2F1"
    assert pending.cancel == HttpRequest("POST", "/v1/predictions/p%2F1/cancel")
    assert WIRE.decode_stream_start(body, ASKED) is None


def test_a_prediction_without_id_and_address_is_malformed() -> None:
    for body in (b'{"status": "starting"}', b'{"status": "starting", "id": ".."}'):
        with pytest.raises(MalformedResponseError, match="address"):
            WIRE.decode_generate(body, ASKED)
    pending = WIRE.decode_generate(json.dumps({"status": "x", "urls": {"get": API}}).encode(), ASKED)
    assert isinstance(pending, Pending)
    assert pending.cancel is None


@pytest.mark.parametrize(
    ("status", "error", "cls"),
    [
        ("failed", "CUDA out of memory. Tried to allocate", OverloadedError),
        ("failed", "NSFW content detected", ContentFilterError),
        ("failed", "The input was flagged as sensitive. (E005)", ContentFilterError),
        ("failed", "This model's maximum context length is 8 tokens", ContextLengthError),
        ("failed", "boom", ServerError),
        ("failed", {"a": 1}, ServerError),
        ("failed", None, ServerError),
        ("canceled", None, ServerError),
        ("aborted", None, TotalTimeout),
    ],
)
def test_predictions_that_came_to_nothing(status: str, error: Any, cls: type[ProviderError]) -> None:
    with pytest.raises(ProviderError) as caught:
        WIRE.decode_generate(prediction(status, error=error), ASKED)
    assert type(caught.value) is cls
    assert (caught.value.code, caught.value.request_id) == (status, "p")
    assert caught.value.message == (error if isinstance(error, str) else caught.value.message)


def test_a_schema_is_checked_against_the_answer() -> None:
    request = GenerationRequest("hi", model=MODEL, response_format=SCHEMA)
    response = WIRE.decode_generate(prediction(output=["```json\n", '{"a": 1}', "\n```"]), request)
    assert isinstance(response, GenerationResponse)
    assert response.text == '{"a": 1}'
    with pytest.raises(GenerationFailedError):
        WIRE.decode_generate(prediction(output="sorry"), request)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"<html>", b'{"status": null}', b'{"status": 3}'])
def test_what_is_no_prediction_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedResponseError):
        WIRE.decode_generate(body, ASKED)
    with pytest.raises(MalformedResponseError):
        WIRE.decode_stream_start(body, ASKED)


def test_an_error_with_status_200() -> None:
    with pytest.raises(ServerError, match="boom"):
        WIRE.decode_generate(b'{"title": "T", "detail": "boom", "status": 500}', ASKED)
    with pytest.raises(AuthenticationError):
        WIRE.decode_generate(b'{"detail": "no token", "status": 401}', ASKED)


# ------------------------------------------------------------------------------------------------- streams


def test_a_stream_is_a_second_request() -> None:
    assert WIRE.two_step_stream is True
    pending = WIRE.decode_stream_start(prediction("starting"), ASKED)
    assert pending is not None
    assert (pending.next.method, pending.next.path, pending.wait_s) == ("GET", STREAM, 0.0)
    assert pending.next.headers == {"accept": "text/event-stream", "cache-control": "no-store"}
    assert pending.cancel == HttpRequest("POST", f"{API}/cancel")


def test_without_a_stream_the_answer_is_polled() -> None:
    polled = {"get": API, "cancel": f"{API}/cancel"}
    assert WIRE.decode_stream_start(prediction("starting", urls=polled), ASKED) is None
    assert WIRE.decode_stream_start(prediction("succeeded", output=["a"]), ASKED) is None
    assert WIRE.decode_stream_start(prediction("failed"), ASKED) is None
    structured = GenerationRequest("hi", model=MODEL, response_format="json")
    assert WIRE.decode_stream_start(prediction("starting"), structured) is None


def test_a_stream() -> None:
    response, events, error = streamed(
        b": hi\n\n"
        + sse(
            ("output", "a"),
            ("logs", "step 1"),
            ("output", ""),
            ("output", " b\n\nc"),
            ("new", "x"),
            ("done", "{}"),
        )
    )
    assert (response.text, response.finish_reason, error) == ("a b\n\nc", "stop", None)
    assert response.raw_finish_reason is None
    assert type(events[-1]) is Finished


def test_the_end_may_carry_figures_and_an_unknown_reason() -> None:
    metrics = {"input_token_count": 1, "output_token_count": 2}
    response, _, _ = streamed(sse(("done", json.dumps({"reason": "brand_new", "metrics": metrics}))))
    assert (response.finish_reason, response.raw_finish_reason) == ("unknown", "brand_new")
    assert response.usage.output_tokens == 2


@pytest.mark.parametrize(
    ("event", "cls", "message"),
    [
        (("error", "boom"), ServerError, "boom"),
        (("error", '{"detail": "boom"}'), ServerError, "boom"),
        (("error", "{boom"), ServerError, "{boom"),
        (("error", "NSFW content"), ContentFilterError, "NSFW content"),
        (("done", '{"reason": "error"}'), ServerError, "the prediction ended as 'failed'"),
        (("done", '{"reason": "canceled"}'), ServerError, "the prediction ended as 'canceled'"),
        (("done", ""), StreamInterruptedError, "the stream ended without saying how"),
        (("done", "[]"), StreamInterruptedError, "the stream ended without saying how"),
    ],
)
def test_a_stream_that_breaks(event: tuple[str, str], cls: type[ProviderError], message: str) -> None:
    response, events, error = streamed(sse(("output", "par"), event, ("output", "late")))
    assert response.text == "par"
    assert type(error) is cls
    assert error.message == message
    assert not any(type(event) is Finished for event in events)


@pytest.mark.parametrize("tail", [b"", b"event: done\ndata: ", b"event: done\ndata: {"])
def test_a_stream_without_its_end_never_stops_well(tail: bytes) -> None:
    _, events, error = streamed(sse(("output", "a")) + tail)
    assert isinstance(error, (StreamInterruptedError, MalformedResponseError))
    assert not any(type(event) is Finished for event in events)


def test_a_prediction_where_a_stream_was_asked_for() -> None:
    assert streamed(prediction(output=["a"]))[0] == answered(output=["a"])
    assert type(streamed(prediction("starting"))[2]) is MalformedResponseError


# -------------------------------------------------------------------------------------------------- models


def test_models() -> None:
    results = [
        {"owner": "meta", "name": "llama", "created_at": "1970-01-01T00:01:00.5Z"},
        {"owner": "x", "name": "y", "created_at": "1970-01-01T00:01:00"},
        {"owner": "x", "name": "z", "created_at": "yesterday"},
        {"name": "nobody's"},
        None,
    ]
    page = WIRE.decode_models(
        json.dumps({"results": results, "next": "https://api.replicate.com/v1/models?cursor=a%3D"}).encode()
    )
    assert [(m.id, m.owned_by, m.created) for m in page.models] == [
        ("meta/llama", "meta", 60),
        ("x/y", "x", 60),
        ("x/z", "x", None),
    ]
    assert page.cursor == "/v1/models?cursor=a%3D"
    assert WIRE.encode_models().http.path == "/v1/collections/language-models"
    assert WIRE.encode_models(page.cursor).http.path == "/v1/models?cursor=a%3D"


@pytest.mark.parametrize(
    ("url", "cursor"),
    [
        (None, None),
        ("", None),
        ("https://evil.example/v1/models?cursor=a", "/v1/models?cursor=a"),
        ("https://evil.example//x", None),
        ("https://evil.example", None),
        ("http://[", None),
        (3, None),
        ("/v1/models", "/v1/models"),
    ],
)
def test_the_host_of_the_next_page_is_not_believed(url: Any, cursor: str | None) -> None:
    assert WIRE.decode_models(json.dumps({"results": [], "next": url}).encode()).cursor == cursor


def test_no_results_are_malformed() -> None:
    with pytest.raises(MalformedResponseError):
        WIRE.decode_models(b"{}")


# -------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("status", "detail", "cls", "wait"),
    [
        (401, "You did not pass a valid token", AuthenticationError, None),
        (402, "You have insufficient credit", QuotaExhaustedError, None),
        (404, "The requested resource could not be found.", ModelNotFoundError, None),
        (422, "version: Does not exist", InvalidRequestError, None),
        (429, "Request was throttled. Your rate limit resets in ~30s.", RateLimitError, 30.0),
        (500, "oops", ServerError, None),
        (503, "busy", OverloadedError, None),
    ],
)
def test_errors(status: int, detail: str, cls: type[ProviderError], wait: float | None) -> None:
    body = json.dumps({"title": "T", "detail": detail, "status": status}).encode()
    error = WIRE.decode_error(status, {}, body)
    assert type(error) is cls
    assert (error.message, error.status, error.retry_after) == (detail, status, wait)


def test_a_foreign_404_is_a_wrong_address() -> None:
    assert type(WIRE.decode_error(404, {}, b"<html>")) is EndpointError


def test_the_place_trusts_the_hosts_that_stream() -> None:
    assert (PLACE.kind, PLACE.base_url) == ("replicate", "https://api.replicate.com")
    base = PLACE.base_url or ""
    assert PLACE.trusts(STREAM, base)
    assert PLACE.trusts("https://streaming-api.svc.rno2.c.replicate.net/v1/streams/x", base)
    assert not PLACE.trusts("http://stream.replicate.com/x", base)
    assert not PLACE.trusts("https://replicate.com.evil.example/x", base)
