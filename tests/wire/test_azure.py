"""Azure OpenAI: three forms of path, its own errors, and recorded traffic of the chat dialect as it comes from there."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmcore.config import ProviderConfig
from llmcore.errors import (
    AuthenticationError,
    ConfigurationError,
    ConnectionReset,
    ContentFilterError,
    ContextLengthError,
    EndpointError,
    InvalidRequestError,
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
from llmcore.providers.azure_openai import PLACE, endpoint_of, wire_of
from llmcore.types import (
    EmbeddingRequest,
    Event,
    File,
    Finished,
    GenerationRequest,
    GenerationResponse,
    JsonSchema,
    Message,
    Tool,
)
from llmcore.wire.azure import AzureWire
from tests.corpus import Record, chunkings, records

V1 = AzureWire()
DATED = AzureWire(root="/openai", deployments=True, api_version="2024-10-21")
ASK = GenerationRequest("?", model="gpt-x")
BYTE_BY_BYTE = 20_000


def configured(**fields: Any) -> AzureWire:
    return wire_of(ProviderConfig("azure", "azure_openai", **fields))


def paths(wire: AzureWire, model: str = "my-gpt") -> tuple[str, str, str]:
    return (
        wire.encode_generate(GenerationRequest("?", model=model), stream=False).http.path,
        wire.encode_embed(EmbeddingRequest(["a"], model)).http.path,
        wire.encode_models().http.path,
    )


# ---------------------------------------------------------------------------------------------------- paths


def test_the_v1_form_names_the_deployment_in_the_body() -> None:
    assert paths(V1) == ("/openai/v1/chat/completions", "/openai/v1/embeddings", "/openai/v1/models")
    body = V1.encode_generate(GenerationRequest("Hi", model="my-gpt", max_tokens=5), stream=False).http.body
    assert body == (
        b'{"model":"my-gpt","messages":[{"role":"user","content":"Hi"}],"max_completion_tokens":5}'
    )


def test_the_dated_form_names_the_deployment_in_the_path() -> None:
    assert paths(DATED) == (
        "/openai/deployments/my-gpt/chat/completions?api-version=2024-10-21",
        "/openai/deployments/my-gpt/embeddings?api-version=2024-10-21",
        "/openai/models?api-version=2024-10-21",
    )


def test_the_name_of_a_deployment_cannot_leave_its_place_in_the_path() -> None:
    path, _, _ = paths(DATED, "a/../b?c#d é")
    assert path.startswith("/openai/deployments/a%2F..%2Fb%3Fc%23d%20%C3%A9/chat/completions?")


@pytest.mark.parametrize("name", [".", ".."])
def test_a_step_in_the_path_is_no_deployment(name: str) -> None:
    with pytest.raises(InvalidRequestError, match="no name of a deployment"):
        DATED.encode_generate(GenerationRequest("?", model=name), stream=False)
    with pytest.raises(InvalidRequestError, match="no name of a deployment"):
        DATED.encode_embed(EmbeddingRequest(["a"], model=name))


def test_the_dated_form_needs_a_deployment() -> None:
    with pytest.raises(InvalidRequestError, match="deployment"):
        DATED.encode_generate(GenerationRequest("?"), stream=False)
    with pytest.raises(InvalidRequestError, match="deployment"):
        DATED.encode_embed(EmbeddingRequest(["a"]))
    assert V1.encode_generate(GenerationRequest("?"), stream=False).http.path == "/openai/v1/chat/completions"


@pytest.mark.parametrize(
    ("base_url", "version", "path"),
    [
        (None, None, "/openai/v1/chat/completions"),
        ("https://r.openai.azure.com", None, "/openai/v1/chat/completions"),
        ("https://r.openai.azure.com/", "preview", "/openai/v1/chat/completions?api-version=preview"),
        ("https://r.openai.azure.com/openai", None, "/v1/chat/completions"),
        ("https://r.openai.azure.com/openai/v1/", None, "/chat/completions"),
        ("https://r.openai.azure.com/openai/v1", "preview", "/chat/completions?api-version=preview"),
        (None, "2024-10-21", "/openai/deployments/my-gpt/chat/completions?api-version=2024-10-21"),
        (
            "https://r.openai.azure.com/openai/",
            "2025-01-01-preview",
            "/deployments/my-gpt/chat/completions?api-version=2025-01-01-preview",
        ),
        (
            "https://r.services.ai.azure.com/models",
            "2024-05-01-preview",
            "/chat/completions?api-version=2024-05-01-preview",
        ),
        (
            "https://gateway.test/azure",
            "2024-10-21",
            "/openai/deployments/my-gpt/chat/completions?api-version=2024-10-21",
        ),
    ],
)
def test_address_and_version_choose_the_form(base_url: str | None, version: str | None, path: str) -> None:
    assert paths(configured(base_url=base_url, api_version=version))[0] == path


def test_an_old_version_is_spoken_to_in_the_words_it_knows() -> None:
    asked = GenerationRequest("?", model="m", max_tokens=5, response_format=JsonSchema({"type": "object"}))
    old = configured(api_version="2024-02-01").encode_generate(asked, stream=True).http.body
    new = configured(api_version="2024-10-21").encode_generate(asked, stream=True).http.body
    assert old is not None
    assert new is not None
    assert {"max_tokens", "response_format"} <= set(json.loads(old))
    assert json.loads(old)["response_format"] == {"type": "json_object"}
    assert "stream_options" not in json.loads(old)
    assert json.loads(new)["max_completion_tokens"] == 5
    assert json.loads(new)["response_format"]["type"] == "json_schema"
    assert json.loads(new)["stream_options"] == {"include_usage": True}


def test_the_place() -> None:
    assert (PLACE.kind, PLACE.auth_header, PLACE.auth_prefix) == ("azure_openai", "api-key", "")
    assert PLACE.base_url is None
    assert PLACE.wire_for(ProviderConfig("a", "azure_openai", api_version="2024-10-21")) == DATED


@pytest.mark.parametrize("tail", ["", "/", "/openai", "/openai/", "/openai/v1", "/openai/v1/"])
def test_the_variable_may_hold_the_beginning_of_the_path(tail: str) -> None:
    assert endpoint_of("https://r.openai.azure.com" + tail) == "https://r.openai.azure.com"
    assert PLACE.read_base_url is endpoint_of


# ------------------------------------------------------------------------------------------------- requests


def test_tools_and_streams_are_those_of_the_chat_dialect() -> None:
    asked = GenerationRequest("?", model="m", tools=[Tool("weather")], tool_choice="weather")
    body = json.loads(DATED.encode_generate(asked, stream=True).http.body or b"")
    assert body["tools"][0]["function"]["name"] == "weather"
    assert body["tool_choice"] == {"type": "function", "function": {"name": "weather"}}
    assert body["stream"] is True


def test_files_are_refused_before_anything_is_sent() -> None:
    asked = GenerationRequest([Message.user(File(file_id="f"))], model="m")
    with pytest.raises(UnsupportedFeatureError):
        V1.encode_generate(asked, stream=False)


# --------------------------------------------------------------------------------------------------- errors


def error_of(status: int, body: Any, **headers: str) -> ProviderError:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return V1.decode_error(status, names, json.dumps(body).encode())


@pytest.mark.parametrize(
    ("status", "error", "expected"),
    [
        (400, {"code": "content_filter", "message": "The response was filtered"}, ContentFilterError),
        (
            400,
            {"code": None, "message": "x", "innererror": {"code": "ResponsibleAIPolicyViolation"}},
            ContentFilterError,
        ),
        (400, {"code": "context_length_exceeded", "message": "x"}, ContextLengthError),
        (400, {"code": "OperationNotSupported", "message": "x"}, UnsupportedFeatureError),
        (400, {"code": "BadRequest", "message": "API version not supported"}, EndpointError),
        (400, {"code": "unknown_model", "message": "Unknown model: x"}, ModelNotFoundError),
        (400, {"code": None, "message": "Invalid value"}, InvalidRequestError),
        (
            401,
            {"code": "401", "message": "Access denied due to invalid subscription key"},
            AuthenticationError,
        ),
        (
            401,
            {"code": "PermissionDenied", "message": "The principal lacks the required data action"},
            PermissionDeniedError,
        ),
        (
            403,
            {"code": "AccessDenied", "message": "Access denied due to Virtual Network/Firewall rules."},
            PermissionDeniedError,
        ),
        (404, {"code": "DeploymentNotFound", "message": "x"}, ModelNotFoundError),
        (
            404,
            {"code": "404", "message": "The API deployment for this resource does not exist."},
            ModelNotFoundError,
        ),
        (404, {"code": "404", "message": "Resource not found"}, EndpointError),
        (408, {"code": "Timeout", "message": "The operation was timeout."}, ReadTimeout),
        (
            429,
            {"code": "429", "message": "Requests to the API have exceeded the token rate limit"},
            RateLimitError,
        ),
        (429, {"code": "RateLimitReached", "message": "rate limit is exceeded"}, RateLimitError),
        (
            429,
            {"code": "429", "message": "The system is currently experiencing high demand"},
            OverloadedError,
        ),
        (429, {"code": "insufficient_quota", "message": "x"}, QuotaExhaustedError),
        (499, {"code": "x", "message": "x"}, ConnectionReset),
        (500, {"code": "InternalServerError", "message": "x"}, ServerError),
        (503, {"code": "ServiceUnavailable", "message": "x"}, OverloadedError),
    ],
)
def test_errors(status: int, error: dict[str, Any], expected: type[ProviderError]) -> None:
    found = error_of(status, {"error": error}, apim_request_id="apim-1")
    assert type(found) is expected
    assert (found.status, found.code, found.request_id) == (status, error["code"], "apim-1")


def test_a_wrong_address_is_a_matter_of_configuration() -> None:
    error = error_of(404, {"error": {"code": "404", "message": "Resource not found"}})
    assert isinstance(error, ConfigurationError)
    assert error.failover


def test_the_gateways_flat_errors_are_read_too() -> None:
    error = error_of(401, {"statusCode": 401, "message": "Unauthorized. Access token is missing"})
    assert type(error) is AuthenticationError
    assert error.message.startswith("Unauthorized")


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"retry_after_ms": "120"}, 0.12),
        ({"retry_after": "7"}, 7.0),
        ({"retry_after": "7", "retry_after_ms": "6500"}, 6.5),
    ],
)
def test_waits(headers: dict[str, str], wait: float) -> None:
    assert error_of(429, {"error": {"code": "429", "message": "x"}}, **headers).retry_after == wait


# ------------------------------------------------------------------------------------------------- answers


def read(*chunks: bytes) -> tuple[list[Event], ProviderError | None]:
    decoder = V1.event_decoder(ASK)
    events = [event for chunk in chunks for event in decoder.feed(chunk)]
    return events + decoder.finish(), decoder.error


def folded(events: list[Event]) -> GenerationResponse:
    fold = Fold()
    for event in events:
        fold.add(event)
    return fold.response()


def chunk(*choices: dict[str, Any], **fields: Any) -> bytes:
    return (
        b"data: "
        + json.dumps({"id": "c1", "model": "gpt-x", "choices": choices, **fields}).encode()
        + b"\n\n"
    )


def test_a_stream_begins_with_what_the_filter_found_in_the_prompt() -> None:
    events, error = read(
        chunk(model="", prompt_filter_results=[{"prompt_index": 0, "content_filter_results": {}}]),
        chunk({"index": 0, "delta": {"role": "assistant", "content": "Hi"}, "content_filter_results": {}}),
        chunk({"index": 0, "delta": {}, "finish_reason": "stop"}),
        b"data: [DONE]\n\n",
    )
    assert error is None
    found = folded(events)
    assert (found.text, found.finish_reason, found.model) == ("Hi", "stop", "gpt-x")


def test_a_filtered_answer_says_so() -> None:
    choice = {
        "index": 0,
        "finish_reason": "content_filter",
        "content_filter_results": {"hate": {"filtered": True}},
    }
    found = V1.decode_generate(json.dumps({"id": "c1", "model": "m", "choices": [choice]}).encode(), ASK)
    assert (found.text, found.finish_reason) == ("", "content_filter")


def test_a_stream_that_is_cut_is_no_success() -> None:
    _, error = read(chunk({"index": 0, "delta": {"content": "Hi"}}))
    assert isinstance(error, StreamInterruptedError)


# --------------------------------------------------------------------------------------- recorded traffic

AZURE = ("azure_openai",)


def told(choice: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    """What the raw JSON says, read without our code."""
    message, usage = choice.get("message") or {}, body.get("usage") or {}
    calls = [
        (c["id"], c["function"]["name"], c["function"]["arguments"]) for c in message.get("tool_calls") or []
    ]
    return {
        "text": message.get("content") or "",
        "calls": calls,
        "finish": "tool_calls" if calls else choice["finish_reason"],
        "usage": (usage.get("prompt_tokens"), usage.get("completion_tokens")),
    }


def understood(response: GenerationResponse) -> dict[str, Any]:
    return {
        "text": response.text,
        "calls": [(call.id, call.name, call.arguments) for call in response.tool_calls],
        "finish": response.finish_reason,
        "usage": (response.usage.input_tokens, response.usage.output_tokens),
    }


@pytest.mark.parametrize("record", records(api="chat_completions", operation="generate", providers=AZURE))
def test_recorded_answers(record: Record) -> None:
    assert understood(V1.decode_generate(record.body, ASK)) == told(record.json["choices"][0], record.json)


def joined(body: bytes) -> dict[str, Any]:
    """A recorded stream as one answer, by the plain rules of the dialect."""
    message: dict[str, Any] = {"content": "", "tool_calls": []}
    whole: dict[str, Any] = {"finish_reason": None}
    usage = None
    for line in body.decode().splitlines():
        if not line.startswith("data:") or "[DONE]" in line:
            continue
        piece = json.loads(line[5:])
        usage = piece.get("usage") or usage
        for choice in piece["choices"]:
            delta = choice.get("delta") or {}
            message["content"] += delta.get("content") or ""
            for call in delta.get("tool_calls") or []:
                if call.get("id"):
                    message["tool_calls"].append(
                        {"id": call["id"], "function": {**call["function"], "arguments": ""}}
                    )
                message["tool_calls"][-1]["function"]["arguments"] += call["function"].get("arguments") or ""
            whole["finish_reason"] = choice.get("finish_reason") or whole["finish_reason"]
    return told({**whole, "message": message}, {"usage": usage})


@pytest.mark.parametrize("record", records(api="chat_completions", operation="stream", providers=AZURE))
def test_recorded_streams(record: Record) -> None:
    whole = read(record.body)
    assert whole[1] is None
    assert understood(folded(whole[0])) == joined(record.body)
    assert sum(isinstance(event, Finished) for event in whole[0]) == 1
    for number, chunks in enumerate(chunkings(record.body)):
        if number != 1 or len(record.body) <= BYTE_BY_BYTE:
            assert read(*chunks) == whole


@pytest.mark.parametrize(
    "record",
    [
        *records(api="chat_completions", operation="generate", ok=False, providers=AZURE),
        *records(api="embeddings", operation="embed", ok=False, providers=AZURE),
    ],
)
def test_recorded_errors(record: Record) -> None:
    error = V1.decode_error(record.status, record.headers, record.body)
    assert type(error) is {401: AuthenticationError, 404: ModelNotFoundError}[record.status]
    assert error.message == record.json["error"]["message"]
    assert error.request_id == record.headers["apim-request-id"]


@pytest.mark.parametrize("record", records(api="embeddings", operation="embed", providers=AZURE))
def test_recorded_embeddings(record: Record) -> None:
    rows = sorted(record.json["data"], key=lambda row: row["index"])
    found = V1.decode_embed(record.body, EmbeddingRequest(["a"] * len(rows), "m"))
    assert len(found.vectors) == len(rows)
    assert found.usage.input_tokens == record.json["usage"]["prompt_tokens"]
    for vector, row in zip(found.vectors, rows, strict=True):
        if isinstance(row["embedding"], list):
            assert list(vector) == pytest.approx(row["embedding"], rel=1e-6)
        else:
            assert len(vector) * 4 == len(row["embedding"]) * 3 // 4 - row["embedding"].count("=")
