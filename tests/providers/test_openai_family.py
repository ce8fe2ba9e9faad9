"""Vendors of the OpenAI dialect: what each of them says otherwise, one row of the fact sheets after the other."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmcore import errors
from llmcore.config import ProviderConfig
from llmcore.errors import ProviderError, UnsupportedFeatureError
from llmcore.providers import find
from llmcore.providers.place import Place
from llmcore.providers.table import ROWS
from llmcore.types import (
    Audio,
    EmbeddingRequest,
    File,
    GenerationRequest,
    Image,
    JsonSchema,
    Message,
    Reasoning,
    Text,
    Thinking,
    Tool,
    ToolCall,
    Usage,
)
from llmcore.wire.openai import OpenAIWire

OURS = ("openai", "groq", "deepseek", "openrouter", "mistral", "xai", "perplexity", "huggingface")
KINDS = (*OURS, *(row.kind for row in ROWS))
ASK = GenerationRequest("hi", model="m")
SCHEMA = JsonSchema({"type": "object", "properties": {"n": {"type": "integer"}}})


def wire(kind: str) -> OpenAIWire:
    found = find(kind).wire
    assert isinstance(found, OpenAIWire)
    return found


def body(kind: str, messages: Any = "hi", *, stream: bool = False, **fields: Any) -> Any:
    encoded = wire(kind).encode_generate(GenerationRequest(messages, model="m", **fields), stream=stream)
    return json.loads(encoded.http.body or b"")


def warned(kind: str, messages: Any = "hi", **fields: Any) -> list[str]:
    encoded = wire(kind).encode_generate(GenerationRequest(messages, model="m", **fields), stream=False)
    return [warning.parameter for warning in encoded.warnings]


def error(kind: str, status: int, value: Any, headers: dict[str, str] | None = None) -> ProviderError:
    return wire(kind).decode_error(status, headers or {}, json.dumps(value).encode())


def told(message: str = "", **fields: Any) -> dict[str, Any]:
    return {"error": {"message": message, **fields}}


def answer(message: Any, finish: str = "stop", **fields: Any) -> bytes:
    return json.dumps({"choices": [{"message": message, "finish_reason": finish}], **fields}).encode()


# --------------------------------------------------------------------------------------------------- places


@pytest.mark.parametrize("kind", KINDS)
def test_every_place_is_found_and_speaks_the_dialect(kind: str) -> None:
    place = find(kind)
    assert place.kind == kind
    assert place.title
    assert isinstance(place.wire, OpenAIWire)
    assert place.base_url is None or not place.base_url.endswith("/")


def test_rows_are_sorted_and_found_by_their_aliases() -> None:
    assert [row.kind for row in ROWS] == sorted(row.kind for row in ROWS)
    for row in ROWS:
        for alias in row.aliases:
            assert find(alias) is row


@pytest.mark.parametrize(
    ("kind", "base_url", "key"),
    [
        ("openai", "https://api.openai.com/v1", "OPENAI_API_KEY"),
        ("groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY"),
        ("together", "https://api.together.ai/v1", "TOGETHER_API_KEY"),
        ("deepseek", "https://api.deepseek.com", "DEEPSEEK_API_KEY"),
        ("openrouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
        ("mistral", "https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
        ("xai", "https://api.x.ai/v1", "XAI_API_KEY"),
        ("fireworks", "https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY"),
        ("perplexity", "https://api.perplexity.ai", "PERPLEXITY_API_KEY"),
        ("cerebras", "https://api.cerebras.ai/v1", "CEREBRAS_API_KEY"),
        ("huggingface", "https://router.huggingface.co/v1", "HF_TOKEN"),
        ("lm_studio", "http://localhost:1234/v1", "LM_API_TOKEN"),
        ("localai", "http://localhost:8080/v1", "LOCALAI_API_KEY"),
    ],
)
def test_addresses_and_keys(kind: str, base_url: str, key: str) -> None:
    assert find(kind).base_url == base_url
    assert find(kind).key_env[0] == key


@pytest.mark.parametrize("kind", ["lm_studio", "vllm", "llamacpp", "localai"])
def test_servers_of_ones_own_need_no_key(kind: str) -> None:
    place = find(kind)
    assert (place.local, place.key_required) == (True, False)


def test_any_compatible_server_must_be_said_where() -> None:
    place = find("openai_compatible")
    assert (place.base_url, place.key_required) == (None, False)


@pytest.mark.parametrize("kind", KINDS)
def test_private_notes_of_one_vendor_do_not_go_to_another(kind: str) -> None:
    thought = Thinking("secret", raw="reasoning_content", origin="somebody")
    messages = [Message.user("?"), Message.assistant(thought, Text("a")), Message.user("!")]
    assert "secret" not in json.dumps(body(kind, messages))


def test_origins_are_not_shared() -> None:
    origins = [wire(kind).origin for kind in KINDS if kind not in {"openai", "openai_compatible"}]
    assert len(set(origins)) == len(origins)


# --------------------------------------------------------------------------------------------------- OpenAI


def test_openai_takes_the_newer_name_of_the_limit() -> None:
    assert body("openai", max_tokens=5)["max_completion_tokens"] == 5
    assert "max_tokens" not in body("openai", max_tokens=5)


def test_openai_is_told_organization_and_project() -> None:
    config = ProviderConfig("x", "openai", organization="org-1", project="p-1")
    made = find("openai").wire_for(config)
    assert made.encode_generate(ASK, stream=False).http.headers == {
        "openai-organization": "org-1",
        "openai-project": "p-1",
    }
    assert made.encode_models().http.headers["openai-project"] == "p-1"
    plain = find("openai").wire_for(ProviderConfig("x", "openai"))
    assert plain.encode_generate(ASK, stream=False).http.headers == {}


def test_openai_says_in_words_how_long_to_wait() -> None:
    limited = told("Rate limit reached. Please try again in 5.5s.", code="rate_limit_exceeded")
    assert error("openai", 429, limited).retry_after == 5.5
    assert error("vllm", 429, limited).retry_after is None


def test_openai_embeddings_come_as_base64() -> None:
    encoded = wire("openai").encode_embed(EmbeddingRequest("x", model="e", dimensions=3))
    assert json.loads(encoded.http.body or b"") == {
        "model": "e",
        "input": ["x"],
        "dimensions": 3,
        "encoding_format": "base64",
    }


def test_openai_takes_files_and_sound() -> None:
    content = body("openai", [Message.user(File(file_id="f"), Audio(b"x", "audio/wav"))])["messages"][0][
        "content"
    ]
    assert [part["type"] for part in content] == ["file", "input_audio"]


# ----------------------------------------------------------------------------------------------------- Groq


@pytest.mark.parametrize(
    ("status", "value", "cls"),
    [
        (400, told("x", code="tool_use_failed", failed_generation="?"), errors.GenerationFailedError),
        (400, told("x", code="json_validate_failed"), errors.GenerationFailedError),
        (413, told("Request too large for model `x` on tokens per minute (TPM)"), errors.ContextLengthError),
        (422, told("x"), errors.GenerationFailedError),
        (498, told("x", code="capacity_exceeded"), errors.OverloadedError),
        (403, told("x"), errors.PermissionDeniedError),
        (400, told("x", code="model_decommissioned"), errors.ModelNotFoundError),
    ],
)
def test_groq_errors(status: int, value: Any, cls: type[ProviderError]) -> None:
    assert type(error("groq", status, value)) is cls


def test_groq_waits() -> None:
    assert error("groq", 429, told("Please try again in 1m2s")).retry_after == 62.0


# ------------------------------------------------------------------------------------------------- DeepSeek


def test_deepseek_thinks_by_a_switch() -> None:
    assert body("deepseek", reasoning="none")["thinking"] == {"type": "disabled"}
    high = body("deepseek", reasoning="high")
    assert (high["thinking"], high["reasoning_effort"]) == ({"type": "enabled"}, "high")


def test_deepseek_reads_its_reasoning_with_every_call() -> None:
    own = Thinking("hm", raw="reasoning_content", origin="deepseek")
    call = ToolCall("c", "f")
    turn = [Message.user("?"), Message.assistant(own, call), Message.tool("c", "1")]
    assert body("deepseek", turn)["messages"][1]["reasoning_content"] == "hm"
    foreign = [Message.user("?"), Message.assistant(call), Message.tool("c", "1")]
    assert body("deepseek", foreign)["messages"][1]["reasoning_content"] == ""
    plain = [Message.user("?"), Message.assistant(own, Text("a")), Message.user("!")]
    assert "reasoning_content" not in body("deepseek", plain)["messages"][1]


def test_deepseek_has_no_schemas_but_json() -> None:
    found = body("deepseek", response_format=SCHEMA)
    assert found["response_format"] == {"type": "json_object"}
    assert "JSON schema" in found["messages"][0]["content"]


def test_deepseek_leaves_things_out_aloud() -> None:
    tool = Tool("f", strict=True)
    assert warned("deepseek", seed=1, tools=[tool], parallel_tool_calls=True) == [
        "tools.strict",
        "parallel_tool_calls",
        "seed",
    ]
    with pytest.raises(UnsupportedFeatureError):
        body("deepseek", [Message.user(Image(url="https://x"))])
    with pytest.raises(UnsupportedFeatureError):
        wire("deepseek").encode_embed(EmbeddingRequest("x"))


def test_deepseek_failures() -> None:
    with pytest.raises(errors.OverloadedError):
        wire("deepseek").decode_generate(answer({"content": ""}, "insufficient_system_resource"), ASK)
    unknown = told(
        "The supported API model names are a or b, but you passed c.", code="invalid_request_error"
    )
    assert type(error("deepseek", 400, unknown)) is errors.ModelNotFoundError
    bad_key = told("no", type="authentication_error", code="invalid_request_error")
    assert type(error("deepseek", 401, bad_key)) is errors.AuthenticationError
    assert type(error("deepseek", 402, told("Insufficient Balance"))) is errors.QuotaExhaustedError
    assert type(error("deepseek", 422, told("x"))) is errors.InvalidRequestError


def test_deepseek_keeps_alive_with_blank_lines_and_comments() -> None:
    decoder = wire("deepseek").event_decoder(ASK)
    assert decoder.feed(b"\n\n: keep-alive\n\n\n") == []
    assert decoder.heard == 0
    found = wire("deepseek").decode_generate(b"\n\n\n" + answer({"content": "a"}), ASK)
    assert found.message.text == "a"


# ----------------------------------------------------------------------------------------------- OpenRouter


def test_openrouter_asks_for_reasoning_in_one_object() -> None:
    assert body("openrouter", reasoning="high")["reasoning"] == {"effort": "high"}
    assert body("openrouter", reasoning=Reasoning(budget_tokens=99))["reasoning"] == {"max_tokens": 99}


def test_openrouter_reads_its_details_again() -> None:
    details = [{"type": "reasoning.encrypted", "data": "zz", "index": 0}]
    found = wire("openrouter").decode_generate(answer({"content": "a", "reasoning_details": details}), ASK)
    again = body("openrouter", [Message.user("?"), found.message, Message.user("!")])
    assert again["messages"][1] == {"role": "assistant", "content": "a", "reasoning_details": details}


@pytest.mark.parametrize(
    ("status", "value", "cls"),
    [
        (400, told("x", metadata={"error_type": "context_length_exceeded"}), errors.ContextLengthError),
        (400, told("x", metadata={"error_type": "string_too_long"}), errors.ContextLengthError),
        (401, told("x", metadata={"error_type": "authentication"}), errors.AuthenticationError),
        (403, told("x", metadata={"error_type": "permission_denied"}), errors.PermissionDeniedError),
        (402, told("x", metadata={"error_type": "payment_required"}), errors.QuotaExhaustedError),
        (402, told("x", metadata={"error_type": "token_limit_exceeded"}), errors.QuotaExhaustedError),
        (402, told("x", metadata={"reason": "in_flight_budget_exhausted"}), errors.RateLimitError),
        (429, told("x", metadata={"error_type": "rate_limit_exceeded"}), errors.RateLimitError),
        (503, told("x", metadata={"error_type": "provider_overloaded"}), errors.OverloadedError),
        (502, told("x", metadata={"error_type": "provider_unavailable"}), errors.ServerError),
        (500, told("x", metadata={"error_type": "server"}), errors.ServerError),
        (408, told("x", metadata={"error_type": "timeout"}), errors.ReadTimeout),
        (400, told("x", metadata={"error_type": "content_policy_violation"}), errors.ContentFilterError),
        (404, told("x", metadata={"error_type": "not_found"}), errors.ModelNotFoundError),
        (404, told("No endpoints found for a/b.", code=404), errors.ModelNotFoundError),
        (404, told("No allowed providers are available", code=404), errors.PermissionDeniedError),
        (400, told("a/b is not a valid model ID", code=400), errors.ModelNotFoundError),
        (403, told("flagged", metadata={"reasons": ["violence"]}), errors.ContentFilterError),
        (403, told("up", metadata={"raw": "Content violates usage guidelines"}), errors.ContentFilterError),
        (403, told("x", code=403), errors.PermissionDeniedError),
        (402, told("x", code=402), errors.QuotaExhaustedError),
        (429, told("x", code=429), errors.RateLimitError),
    ],
)
def test_openrouter_errors(status: int, value: Any, cls: type[ProviderError]) -> None:
    assert type(error("openrouter", status, value)) is cls


def test_openrouter_errors_say_what_the_upstream_said() -> None:
    found = error("openrouter", 400, told("Provider returned error", metadata={"raw": "no such tool " * 50}))
    assert found.message.startswith("Provider returned error: no such tool")
    assert len(found.message) < 400


def test_openrouter_errors_after_a_200() -> None:
    with pytest.raises(errors.OverloadedError):
        wire("openrouter").decode_generate(
            json.dumps(told("up", code=503, metadata={"error_type": "provider_overloaded"})).encode(), ASK
        )
    decoder = wire("openrouter").event_decoder(ASK)
    decoder.feed(b": OPENROUTER PROCESSING\n\n")
    decoder.feed(b"data: " + json.dumps(told("up", code=502)).encode() + b"\n\n")
    assert type(decoder.error) is errors.ServerError


# -------------------------------------------------------------------------------------------------- Mistral


def test_mistral_words() -> None:
    found = body("mistral", seed=3, max_tokens=5, tools=[Tool("f")], tool_choice="required", stream=True)
    assert (found["random_seed"], found["max_tokens"], found["tool_choice"]) == (3, 5, "any")
    assert "stream_options" not in found
    encoded = wire("mistral").encode_embed(EmbeddingRequest("x", model="e", dimensions=3))
    assert json.loads(encoded.http.body or b"")["output_dimension"] == 3


def test_mistral_ids_are_nine_letters() -> None:
    own, foreign = "abcDEF123", "call_0123456789"
    calls = Message.assistant(ToolCall(own, "f"), ToolCall(foreign, "f"))
    messages = body(
        "mistral", [Message.user("?"), calls, Message.tool(own, "1"), Message.tool(foreign, "2")]
    )["messages"]
    assert messages[1]["tool_calls"][0]["id"] == messages[2]["tool_call_id"] == own
    made = messages[3]["tool_call_id"]
    assert made == messages[1]["tool_calls"][1]["id"]
    assert len(made) == 9
    assert made.isalnum()


@pytest.mark.parametrize(
    ("part", "told"),
    [
        (File(url="https://x/a.pdf"), {"type": "document_url", "document_url": "https://x/a.pdf"}),
        (
            File(data=b"%P", filename="a.pdf"),
            {
                "type": "document_url",
                "document_url": "data:application/pdf;base64,JVA=",
                "document_name": "a.pdf",
            },
        ),
        (File(file_id="f"), {"type": "file", "file_id": "f"}),
        (Audio(b"RI", "audio/flac"), {"type": "input_audio", "input_audio": "Ukk="}),
    ],
)
def test_mistral_files_and_sound(part: Any, told: Any) -> None:
    assert body("mistral", [Message.user(part)])["messages"][0]["content"] == [told]


def test_mistral_thinking_goes_there_and_back() -> None:
    content = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
        {"type": "text", "text": "a"},
    ]
    found = wire("mistral").decode_generate(answer({"content": content}), ASK)
    assert (found.thinking, found.text) == ("hm", "a")
    again = body("mistral", [Message.user("?"), found.message, Message.user("!")])
    assert again["messages"][1]["content"] == content


def test_mistral_failures() -> None:
    with pytest.raises(errors.ServerError):
        wire("mistral").decode_generate(answer({"content": ""}, "error"), ASK)
    full = {"object": "error", "message": "Service tier capacity exceeded for this model.", "code": "3505"}
    assert type(error("mistral", 429, full)) is errors.OverloadedError
    assert type(error("mistral", 429, {"message": "Requests rate limit exceeded"})) is errors.RateLimitError
    assert type(error("mistral", 422, {"detail": [{"msg": "x"}]})) is errors.InvalidRequestError


# ------------------------------------------------------------------------------------------------------ xAI


@pytest.mark.parametrize(
    ("raw", "usage"),
    [
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 2,
                "total_tokens": 18,
                "completion_tokens_details": {"reasoning_tokens": 7},
            },
            Usage(9, 9, None, None, 7),
        ),
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 2,
                "completion_tokens_details": {"reasoning_tokens": 7},
            },
            Usage(9, 9, None, None, 7),
        ),
        (
            {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 30}},
            Usage(39, 2, 30),
        ),
        (
            {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}},
            Usage(9, 2, 4),
        ),
        (None, Usage()),
    ],
)
def test_xai_counts_apart(raw: Any, usage: Usage) -> None:
    found = wire("xai").decode_generate(answer({"content": "a"}, usage=raw), ASK).usage
    assert (found.input_tokens, found.output_tokens) == (usage.input_tokens, usage.output_tokens)
    assert (found.cached_tokens, found.reasoning_tokens) == (usage.cached_tokens, usage.reasoning_tokens)


@pytest.mark.parametrize(
    ("status", "value", "cls"),
    [
        (
            400,
            {"code": "Client specified", "error": "Incorrect API key provided: x."},
            errors.AuthenticationError,
        ),
        (
            403,
            {"code": "no", "error": "Your team has used all available credits"},
            errors.QuotaExhaustedError,
        ),
        (403, {"error": "reached its monthly spending limit"}, errors.QuotaExhaustedError),
        (403, {"error": "Content violates usage guidelines."}, errors.ContentFilterError),
        (403, {"error": {"message": "no"}}, errors.PermissionDeniedError),
        (404, {"code": "x", "error": "The model grok-0 was deprecated"}, errors.ModelNotFoundError),
        (410, {"error": "retired"}, errors.ModelNotFoundError),
    ],
)
def test_xai_errors(status: int, value: Any, cls: type[ProviderError]) -> None:
    assert type(error("xai", status, value)) is cls


# ----------------------------------------------------------------------------------------------- Perplexity


def test_perplexity_paths() -> None:
    place = wire("perplexity")
    assert place.encode_generate(ASK, stream=False).http.path == "/chat/completions"
    assert place.encode_models().http.path == "/v1/models"
    assert place.encode_embed(EmbeddingRequest("x")).http.path == "/v1/embeddings"


def test_perplexity_turns_alternate() -> None:
    messages = [Message.user("a"), Message.user("b"), Message.assistant("c"), Message.user("d")]
    found = body("perplexity", messages)["messages"]
    assert [(m["role"], m["content"]) for m in found] == [
        ("user", "a\n\nb"),
        ("assistant", "c"),
        ("user", "d"),
    ]


def test_perplexity_has_no_tools_and_no_plain_json() -> None:
    with pytest.raises(UnsupportedFeatureError):
        body("perplexity", tools=[Tool("f")])
    found = body("perplexity", "JSON, please", response_format="json")["response_format"]
    assert found["json_schema"]["schema"] == {"type": "object"}


def test_perplexity_files() -> None:
    content = body("perplexity", [Message.user(File(data=b"%P", filename="a.pdf"))])["messages"][0]["content"]
    assert content == [{"type": "file_url", "file_url": {"url": "JVA="}, "file_name": "a.pdf"}]


def test_perplexity_vectors_are_signed_bytes() -> None:
    encoded = wire("perplexity").encode_embed(EmbeddingRequest("x", model="e"))
    assert json.loads(encoded.http.body or b"")["encoding_format"] == "base64_int8"
    value = json.dumps({"data": [{"index": 0, "embedding": "AX//"}]}).encode()
    assert list(wire("perplexity").decode_embed(value, EmbeddingRequest("x")).vectors[0]) == [
        1.0,
        127.0,
        -1.0,
    ]
    broken = json.dumps({"data": [{"index": 0, "embedding": "A"}]}).encode()
    with pytest.raises(errors.MalformedResponseError):
        wire("perplexity").decode_embed(broken, EmbeddingRequest("x"))


def test_perplexity_without_credit_is_no_bad_key() -> None:
    assert type(error("perplexity", 401, told("Insufficient credits"))) is errors.QuotaExhaustedError
    assert type(error("perplexity", 401, told("Invalid API key"))) is errors.AuthenticationError


# ---------------------------------------------------------------------------------------------- Hugging Face


def embed_hf(value: Any, inputs: int) -> list[list[float]]:
    request = EmbeddingRequest(["x"] * inputs, model="o/m")
    return [
        list(vector)
        for vector in wire("huggingface").decode_embed(json.dumps(value).encode(), request).vectors
    ]


def test_huggingface_embeddings_stand_beside_v1() -> None:
    encoded = wire("huggingface").encode_embed(EmbeddingRequest(["a", "b"], model="org/m odel", dimensions=2))
    assert encoded.http.path == (
        "https://router.huggingface.co/hf-inference/models/org/m%20odel/pipeline/feature-extraction"
    )
    assert json.loads(encoded.http.body or b"") == {"inputs": ["a", "b"]}
    assert [warning.parameter for warning in encoded.warnings] == ["dimensions"]
    place = find("huggingface")
    assert place.base_url is not None
    assert place.trusts(encoded.http.path, place.base_url)


def test_huggingface_at_another_address() -> None:
    place = find("huggingface")
    base_url = "http://127.0.0.1:9/v1/"
    made = place.wire_for(ProviderConfig("x", "huggingface", base_url=base_url))
    path = made.encode_embed(EmbeddingRequest("a", model="m")).http.path
    assert path == "http://127.0.0.1:9/hf-inference/models/m/pipeline/feature-extraction"
    assert place.trusts(path, base_url)
    assert made.encode_generate(ASK, stream=False).http.path == "/chat/completions"


def test_huggingface_vectors_of_every_depth() -> None:
    assert embed_hf([[1, 2], [3, 4]], 2) == [[1, 2], [3, 4]]
    assert embed_hf([[[1, 2], [3, 6]], [[5, 5]]], 2) == [[2, 4], [5, 5]]
    assert embed_hf([[[[1, 2], [3, 6]]]], 1) == [[2, 4]]


@pytest.mark.parametrize("value", [{}, [[]], [[1], [1, 2]], [[[1], [1, 2]]], ["x"], 3, [[[[]]]]])
def test_huggingface_answers_without_vectors(value: Any) -> None:
    with pytest.raises(errors.MalformedResponseError):
        embed_hf(value, 2)


def test_huggingface_errors() -> None:
    loading = error("huggingface", 503, {"error": "Model is loading", "estimated_time": 20.5})
    assert (type(loading), loading.retry_after) == (errors.OverloadedError, 20.5)
    slow = error("huggingface", 503, {"error": "Model is loading", "estimated_time": 900})
    assert slow.retry_after == 60.0
    unknown = told("x", code="model_not_supported")
    assert type(error("huggingface", 400, unknown)) is errors.ModelNotFoundError
    assert type(error("huggingface", 402, {"error": "exceeded credits"})) is errors.QuotaExhaustedError


# ---------------------------------------------------------------------------------------------------- rows


@pytest.mark.parametrize(
    ("kind", "status", "value", "cls"),
    [
        ("together", 429, told("You have no credit left"), errors.QuotaExhaustedError),
        ("together", 429, told("slow"), errors.RateLimitError),
        ("together", 503, told("x"), errors.OverloadedError),
        ("together", 524, told("x"), errors.ReadTimeout),
        ("fireworks", 412, told("suspended"), errors.QuotaExhaustedError),
        ("cerebras", 429, {"message": "x", "type": "t", "code": "queue_exceeded"}, errors.OverloadedError),
        (
            "cerebras",
            429,
            {"message": "Tokens per day", "code": "token_quota_exceeded"},
            errors.QuotaExhaustedError,
        ),
        ("cerebras", 429, {"message": "per minute", "code": "token_quota_exceeded"}, errors.RateLimitError),
        ("cerebras", 400, {"message": "Current length is 9 while limit is 8"}, errors.ContextLengthError),
        ("lm_studio", 404, {"error": "No models loaded"}, errors.ModelNotFoundError),
        ("lm_studio", 400, {"error": "The context length is too short"}, errors.ContextLengthError),
        ("lm_studio", 400, {"error": "The model has crashed"}, errors.ServerError),
        (
            "vllm",
            400,
            {"object": "error", "message": "maximum context length is 8"},
            errors.ContextLengthError,
        ),
        ("vllm", 500, told("x", type="EngineDeadError", code=500), errors.OverloadedError),
        (
            "vllm",
            404,
            told("The model `x` does not exist.", type="NotFoundError", code=404),
            errors.ModelNotFoundError,
        ),
        ("llamacpp", 503, told("Loading model", code=503, type="unavailable_error"), errors.OverloadedError),
        ("llamacpp", 400, told("x", code=400, type="exceed_context_size_error"), errors.ContextLengthError),
        ("llamacpp", 500, told("input (9 tokens) is too large to process."), errors.ContextLengthError),
        ("localai", 503, told("cooling down", code=503), errors.OverloadedError),
    ],
)
def test_errors_of_the_rows(kind: str, status: int, value: Any, cls: type[ProviderError]) -> None:
    assert type(error(kind, status, value)) is cls


def test_together_and_fireworks_would_rather_fail_than_cut_the_prompt() -> None:
    for kind in ("together", "fireworks"):
        assert body(kind)["context_length_exceeded_behavior"] == "error"


def test_together_reasons_by_a_switch() -> None:
    assert body("together", reasoning="none")["reasoning"] == {"enabled": False}


def test_cerebras_takes_the_newer_name_of_the_limit() -> None:
    assert body("cerebras", max_tokens=5)["max_completion_tokens"] == 5


def test_lm_studio_knows_schemas_only() -> None:
    found = body("lm_studio", "JSON, please", response_format="json")
    assert found["response_format"]["type"] == "json_schema"


def test_places_are_plain_data() -> None:
    assert all(isinstance(row, Place) and row.configure is None for row in ROWS)
